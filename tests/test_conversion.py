"""Conversion: the clips are the file's scales, and the file computes what the layer computes."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow.lite.python import schema_py_generated as schema

from kws_tf.conversion import convert, guards
from kws_tf.conversion.convert import convert_model, to_int8
from kws_tf.conversion.parameters import integer_parameters, write_parameters
from kws_tf.errors import KwsError
from kws_tf.models import spotter
from kws_tf.quantization.dense import QuantizedDense
from kws_tf.quantization.lstm import QuantizedLSTM
from kws_tf.quantization.profiles import tflite
from kws_tf.quantization.quantizers import PactQuantizer
from kws_tf.reference.integer_model import IntegerModel
from kws_tf.tflite import graph as g
from kws_tf.tflite import interpreter, tflm

FRAMES = 8
#: Units, features and classes; the converter runs once for each.
SHAPES = [(8, 10, 4), (33, 40, 13)]


def trained_like(units=8, features=10, classes=4, seed=0, frames=FRAMES, **options):
    """A quantized spotter whose gates and cell use their ranges, as a trained one's do."""
    rng = np.random.default_rng(seed)
    model = spotter.build_quantized(frames, features, units, classes, **options)
    cell, classifier = model.get_layer("lstm").cell, model.get_layer("classifier")
    cell.kernel.assign(rng.normal(0, 1.5 / np.sqrt(features), cell.kernel.shape))
    cell.recurrent_kernel.assign(rng.normal(0, 1 / np.sqrt(units), cell.recurrent_kernel.shape))
    cell.bias.assign(rng.normal(0, 0.5, cell.bias.shape))
    classifier.kernel.assign(rng.normal(0, 1, classifier.kernel.shape))
    classifier.bias.assign(rng.normal(0, 0.3, classifier.bias.shape))
    x = some_features(16, frames, features, seed)
    spotter.set_initial_clips(model, x, percentile=99)
    return model


def some_features(n, frames, features, seed=0):
    return np.random.default_rng(seed + 1).normal(size=(n, frames, features)).astype(np.float32)


def quantized_input(x, model):
    scale = model.get_layer("lstm").cell.scale("input").numpy()
    bits = model.get_layer("lstm").cell.quantizers["input"].bits
    return np.clip(np.rint(x / scale), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1).astype(np.int8)


def inside(model, x):
    """Last hidden state and logits of the Keras model as integers."""
    lstm, classifier = model.get_layer("lstm"), model.get_layer("classifier")
    hidden, logits = keras.Model(model.input, [lstm.output, model.output])(x)
    return (
        np.rint(hidden / lstm.cell.scale("hidden")),
        np.rint(logits / classifier.scale("output")),
    )


@pytest.fixture(scope="module")
def model():
    return trained_like()


@pytest.fixture(scope="module")
def content(model):
    return convert_model(model)


def test_scales_are_the_clips_to_the_last_bit(model, content):
    graph = g.Graph(content)
    lstm, dense = graph.lstm, graph.dense
    clip = {name: np.float32(v.numpy()) for name, v in spotter.clips(model).items()}
    assert graph.scale(graph.main.inputs[0]) == clip["cell/input"] / np.float32(128)
    for i, gate in enumerate("ifco"):
        for first, name in ((g.KERNEL, "kernel"), (g.RECURRENT, "recurrent")):
            expected = clip[f"cell/{name}_{gate}"] / np.float32(127)
            assert graph.scale(lstm.inputs[first + i]) == expected
        bias = graph.scale(lstm.inputs[g.INPUT]) * graph.scale(lstm.inputs[g.KERNEL + i])
        assert graph.scale(lstm.inputs[g.BIAS + i]) == bias
    for index in (
        lstm.inputs[g.HIDDEN_STATE],
        lstm.intermediates[g.EFFECTIVE_HIDDEN],
        lstm.outputs[0],
        graph.slice.outputs[0],
    ):
        assert graph.scale(index) == clip["cell/hidden"] / np.float32(128)
    cell_scale = graph.scale(lstm.inputs[g.CELL_STATE])
    assert np.log2(cell_scale) == np.ceil(np.log2(clip["cell/cell"])) - 15
    assert np.float32(lstm.builtinOptions.cellClip) == clip["cell/cell"]
    assert graph.scale(dense.inputs[1]) == clip["classifier/kernel"] / np.float32(127)
    assert graph.scale(dense.outputs[0]) == clip["classifier/output"] / np.float32(128)


def test_integers_are_the_layers(model, content):
    graph, cell = g.Graph(content), model.get_layer("lstm").cell
    quantized, scales = cell._quantized_matrix("kernel", cell.kernel)
    integers = np.rint(quantized / scales)
    file = np.concatenate([graph.values(i).T for i in graph.lstm.inputs[1:5]], axis=1)
    np.testing.assert_array_equal(file, integers)
    bias = np.concatenate([graph.values(i) for i in graph.lstm.inputs[12:16]])
    np.testing.assert_array_equal(bias, np.rint(cell.bias / (cell.scale("input") * scales)))


def test_it_is_the_fused_op_and_small(content):
    names = ["UNIDIRECTIONAL_SEQUENCE_LSTM", "STRIDED_SLICE", "FULLY_CONNECTED", "SOFTMAX"]
    assert g.Graph(content).names == names


def test_conversion_is_deterministic(model, content):
    anew = convert.fused_graph.__wrapped__(FRAMES, 10, 8, 4)
    assert write_parameters(anew, integer_parameters(model)) == content


def test_a_model_of_ones_own_converts_to_the_same_file(model, content):
    """Layers are found by type: in a Sequential, under any names, with quantizers by name."""
    inputs = keras.Input((FRAMES, 10))
    functional = QuantizedDense(4, "pact_weights", "pact", name="b")(
        QuantizedLSTM(8, name="a")(inputs)
    )
    for other in (
        keras.Model(inputs, functional),
        keras.Sequential(
            [
                keras.Input((FRAMES, 10)),
                QuantizedLSTM(8, tflite()),
                QuantizedDense(4, PactQuantizer(narrow_range=True), PactQuantizer()),
            ]
        ),
    ):
        other.set_weights(model.get_weights())
        assert spotter.clips(other).keys() == spotter.clips(model).keys()
        assert convert_model(other) == content


def test_weights_are_copied_between_models_of_any_names(model):
    other = keras.Sequential(
        [keras.Input((FRAMES, 10)), QuantizedLSTM(8, None), keras.layers.Dense(4)]
    )
    before = other.layers[1].get_weights()
    spotter.copy_weights(model, other, classifier=False)
    np.testing.assert_array_equal(other.layers[0].cell.bias, model.get_layer("lstm").cell.bias)
    np.testing.assert_array_equal(other.layers[1].get_weights()[0], before[0])
    spotter.copy_weights(model, other)
    np.testing.assert_array_equal(other.layers[1].kernel, model.get_layer("classifier").kernel)
    assert spotter.clips(other) == {}


LSTM, DENSE = "tflite", ("pact_weights", "pact")


def sequential(*layers, shape=(FRAMES, 10)):
    return lambda: keras.Sequential([keras.Input(shape), *layers])


def two_outputs():
    inputs = keras.Input((FRAMES, 10))
    hidden = QuantizedLSTM(4)(inputs)
    return keras.Model(inputs, [hidden, QuantizedDense(3, *DENSE)(hidden)])


@pytest.mark.parametrize(
    ("build", "problem"),
    [
        (sequential(QuantizedLSTM(4)), "0 layers of type QuantizedDense"),
        (
            sequential(keras.layers.LSTM(4), QuantizedDense(3, *DENSE)),
            "0 layers of type QuantizedLSTM",
        ),
        (
            sequential(QuantizedLSTM(4, LSTM, True), QuantizedLSTM(4), QuantizedDense(3, *DENSE)),
            "2 layers of type QuantizedLSTM",
        ),
        (
            sequential(QuantizedLSTM(4), keras.layers.ReLU(name="relu"), QuantizedDense(3, *DENSE)),
            r"besides .* it has relu \(ReLU\)",
        ),
        (
            sequential(QuantizedLSTM(4), QuantizedDense(3, *DENSE), keras.layers.Softmax(name="s")),
            r"it has s \(Softmax\); .*softmax is added in conversion",
        ),
        (sequential(QuantizedDense(3, *DENSE), QuantizedLSTM(4)), "must have one input"),
        (
            sequential(QuantizedLSTM(4, LSTM, True), QuantizedDense(3, *DENSE)),
            "without return_sequences",
        ),
        (two_outputs, "must have one input"),
        (
            lambda: keras.Sequential([QuantizedLSTM(4), QuantizedDense(3, *DENSE)]),
            "from a keras.Input",
        ),
        (
            sequential(QuantizedLSTM(4, "paper"), QuantizedDense(3, *DENSE)),
            "16-bit formats of its own",
        ),
        (
            sequential(QuantizedLSTM(4, None), QuantizedDense(3, *DENSE)),
            "16-bit formats of its own",
        ),
        (sequential(QuantizedLSTM(4), keras.layers.Dense(3)), 'use QuantizedDense\\(units, "pact_'),
        (
            sequential(QuantizedLSTM(4), QuantizedDense(3, "pact", "pact")),
            "PACT quantizers of kernel",
        ),
        (
            sequential(QuantizedLSTM(4), QuantizedDense(3, *DENSE, "pact")),
            "PACT quantizers of kernel",
        ),
        (
            sequential(QuantizedLSTM(4, tflite(hidden_bits=9)), QuantizedDense(3, *DENSE)),
            "'hidden' of cell has 9 bits",
        ),
    ],
)
def test_other_models_are_refused_with_the_reason(build, problem):
    with pytest.raises(KwsError, match=problem):
        convert_model(build())


@given(
    seed=st.integers(0, 10_000),
    shape=st.sampled_from(SHAPES),
    weight_bits=st.integers(2, 8),
    cell_clip=st.floats(0.53125, 8.0),
)
@settings(max_examples=5)
def test_file_computes_what_the_layer_computes(seed, shape, weight_bits, cell_clip):
    model = trained_like(*shape, seed=seed, runtime="tflite", weight_bits=weight_bits)
    cell = model.get_layer("lstm").cell
    cell.clip("cell").assign(cell_clip)
    content = convert_model(model)
    probe = g.with_inner_outputs(content)
    x = some_features(24, FRAMES, shape[1], seed)
    inputs = quantized_input(x, model)
    exact = IntegerModel.from_tflite(content)
    for runtime, ran in (
        ("tflite", interpreter.run(probe, inputs, "reference")),
        ("tflm", tflm.run(probe, inputs)),
    ):
        _, hidden, logits = ran.outputs
        reference = exact.run(inputs, runtime)
        np.testing.assert_array_equal(reference.hidden[:, -1], hidden)
        np.testing.assert_array_equal(reference.logits, logits)
        cell.runtime = runtime  # the same weights with the other's functions
        layer_hidden, layer_logits = inside(model, x)
        assert np.abs(layer_hidden - hidden).max() <= 1
        assert np.mean(layer_hidden == hidden) >= 0.97
        assert np.abs(layer_logits - logits).max() <= 2


def test_input_and_hidden_bits_are_the_files():
    model = trained_like(input_bits=5, hidden_bits=6, trainable_clips=False)
    graph = g.Graph(convert_model(model))
    clip = {name: np.float32(v.numpy()) for name, v in spotter.clips(model).items()}
    assert graph.scale(graph.main.inputs[0]) == clip["cell/input"] / np.float32(16)
    hidden = graph.lstm.inputs[g.HIDDEN_STATE]
    assert graph.scale(hidden) == clip["cell/hidden"] / np.float32(32)


# --- guards -----------------------------------------------------------------------------------


def broken(content, change):
    graph = g.Graph(content)
    change(graph)
    return graph.to_bytes()


def test_guards_pass_a_good_model(content):
    guards.check(content)


def test_guard_no_fused_op():
    inputs = keras.Input((10,), batch_size=1)
    dense = keras.Model(inputs, keras.layers.Dense(3)(inputs))
    content = to_int8(dense, np.ones((4, 10), np.float32))
    with pytest.raises(KwsError, match="0 UNIDIRECTIONAL_SEQUENCE_LSTM"):
        guards.check(content)


def test_guard_float_tensor(content):
    def change(graph):
        graph.tensor(graph.dense.outputs[0]).type = schema.TensorType.FLOAT32

    with pytest.raises(KwsError, match="is float"):
        guards.check(broken(content, change))


@pytest.mark.parametrize("scale", [2.0**-16, 2.0**-11, 0.0001])
def test_guard_cell_scale(content, scale):
    def change(graph):
        graph.set_scale(graph.lstm.inputs[g.CELL_STATE], scale)

    with pytest.raises(KwsError, match="compute garbage"):
        guards.check(broken(content, change))


@pytest.mark.parametrize("where", ["state", "intermediate", "output", "slice"])
def test_guard_hidden_scales(content, where):
    def change(graph):
        index = {
            "state": graph.lstm.inputs[g.HIDDEN_STATE],
            "intermediate": graph.lstm.intermediates[g.EFFECTIVE_HIDDEN],
            "output": graph.lstm.outputs[0],
            "slice": graph.slice.outputs[0],
        }[where]
        graph.set_scale(index, 1.01 * graph.scale(index))

    with pytest.raises(KwsError, match="unequal scales"):
        guards.check(broken(content, change))


@pytest.mark.parametrize(
    ("positions", "option"),
    [((9, 10, 11), "peephole"), ((16,), "projection"), ((20,), "layer normalisation")],
)
def test_guard_lstm_options(content, positions, option):
    def change(graph):
        for position in positions:
            graph.lstm.inputs[position] = graph.lstm.inputs[g.BIAS]

    with pytest.raises(KwsError, match=option):
        guards.check(broken(content, change))


def test_guard_cifg(content):
    def change(graph):
        for position in (1, 5, 12):
            graph.lstm.inputs[position] = -1

    with pytest.raises(KwsError, match="CIFG"):
        guards.check_lstm_options(g.Graph(broken(content, change)), "the model")


def test_guard_activation(content):
    def change(graph):
        graph.lstm.builtinOptions.fusedActivationFunction = schema.ActivationFunctionType.RELU

    with pytest.raises(KwsError, match="another activation"):
        guards.check(broken(content, change))


def test_guard_states_are_variables(content):
    def change(graph):
        graph.tensor(graph.lstm.inputs[g.CELL_STATE]).isVariable = False

    with pytest.raises(KwsError, match="no variable tensors"):
        guards.check(broken(content, change))


def test_guard_collapsed_clip():
    model = trained_like()
    model.get_layer("lstm").cell.clip("kernel_c").assign(1e-3)
    with pytest.raises(KwsError, match="at their clip"):
        convert_model(model)


def test_guard_clip_too_large():
    model = trained_like()
    model.get_layer("lstm").cell.clip("recurrent_f").assign(1e6)
    with pytest.raises(KwsError, match="all zero"):
        convert_model(model)


def test_a_file_that_is_no_model_is_refused(tmp_path):
    for content in (b"", b"hello world, this is text", b"\x1c\0\0\0TFL3" + b"\xff" * 40):
        path = tmp_path / "model.tflite"
        path.write_bytes(content)
        with pytest.raises(KwsError, match=r"not a \.tflite file|damaged"):
            g.read(path)
    with pytest.raises(KwsError, match="cannot read"):
        g.read(tmp_path / "absent.tflite")


def test_wrong_shapes_cannot_be_written(content):
    other = integer_parameters(trained_like(units=9))
    with pytest.raises(ValueError, match="takes"):
        write_parameters(content, other)


def test_parameters_are_a_plain_record(model):
    parameters = integer_parameters(model)
    assert {f.name for f in dataclasses.fields(parameters)} >= {"kernel", "cell_clip"}
    assert parameters.kernel.dtype == np.int8 and parameters.biases.dtype == np.int32
    assert tf.dtypes.as_dtype(parameters.cell_scale.dtype) == tf.float32
