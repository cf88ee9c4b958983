"""The NumPy reference against its definitions, TFLite and TFLite Micro: every value equal."""

import dataclasses
from fractions import Fraction

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from hypothesis import given, settings
from hypothesis import strategies as st
from models import classifier_file, pack, random_inputs, random_model
from tensorflow.lite.python import schema_py_generated as schema
from tflite_micro import runtime as tflm_runtime

from kws_tf.conversion import convert
from kws_tf.errors import KwsError
from kws_tf.quantization import activation_tables as act
from kws_tf.quantization import fixed_point as fx
from kws_tf.reference import IntegerModel, IntegerOutputs, products
from kws_tf.reference.integer_model import Quantization
from kws_tf.reference.softmax import softmax_int8
from kws_tf.tflite import graph as g
from kws_tf.tflite import interpreter as tflite

INT16 = np.arange(-32768, 32768, dtype=np.int64)
int32s = st.integers(-(1 << 31), (1 << 31) - 1)
RUNTIMES = ("tflite", "tflm")


# --- Both runtimes.


def reference_interpreter(file: bytes):
    kernels = tf.lite.experimental.OpResolverType.BUILTIN_REF
    opened = tf.lite.Interpreter(model_content=file, experimental_op_resolver_type=kernels)
    opened.allocate_tensors()
    return opened


def run_tflite(file: bytes, inputs) -> IntegerOutputs:
    interpreter = reference_interpreter(file)
    source = interpreter.get_input_details()[0]["index"]
    targets = [detail["index"] for detail in interpreter.get_output_details()]
    rows = []
    for example in inputs:
        interpreter.reset_all_variables()
        interpreter.set_tensor(source, example[None])
        interpreter.invoke()
        rows.append([interpreter.get_tensor(target)[0] for target in targets])
    posteriors, hidden, cell, logits = (np.stack(column) for column in zip(*rows, strict=True))
    return IntegerOutputs(hidden, cell, logits, posteriors)


def run_tflm(file: bytes, inputs) -> IntegerOutputs:
    interpreter = tflm_runtime.Interpreter.from_bytes(file)
    rows = []
    for example in inputs:
        interpreter.reset()
        interpreter.set_input(example[None], 0)
        interpreter.invoke()
        rows.append([interpreter.get_output(k)[0] for k in range(4)])
    posteriors, hidden, cell, logits = (np.stack(column) for column in zip(*rows, strict=True))
    return IntegerOutputs(hidden, cell, logits, posteriors)


RUN = {"tflite": run_tflite, "tflm": run_tflm}


def assert_equal(got: IntegerOutputs, want: IntegerOutputs):
    for name, ours, theirs in zip(IntegerOutputs._fields, got, want, strict=True):
        assert ours.dtype == theirs.dtype, name
        np.testing.assert_array_equal(ours, theirs, err_msg=name)


# --- Primitives against their definitions.


def round_half(value: Fraction, away: bool) -> int:
    """Nearest integer; halves away from zero, or up."""
    if away and value < 0:
        return -round_half(-value, True)
    return (value + Fraction(1, 2)).__floor__()


@given(int32s, st.integers(0, 31))
def test_rounding_divide_by_pot_rounds_halves_away_from_zero(x, exponent):
    assert fx.rounding_divide_by_pot(x, exponent) == round_half(Fraction(x, 1 << exponent), True)


@given(int32s, int32s)
def test_rounding_doubling_high_mul_is_gemmlowps(a, b):
    # gemmlowp: a nudge with the product's sign, then a division that truncates.
    nudge = 1 << 30 if a * b >= 0 else 1 - (1 << 30)
    quotient = abs(a * b + nudge) >> 31
    want = quotient if a * b + nudge >= 0 else -quotient
    assert fx.rounding_doubling_high_mul(a, b, 32) == min(want, (1 << 31) - 1)


@given(st.floats(2.0**-31, 2.0**20))
def test_quantize_multiplier_keeps_31_bits(factor):
    mantissa, shift = fx.quantize_multiplier(factor)
    assert 1 << 30 <= mantissa < 1 << 31
    error = Fraction(int(mantissa)) * Fraction(2) ** (int(shift) - 31) - Fraction(factor)
    assert abs(error) <= Fraction(factor) / (1 << 31)


def test_quantize_multiplier_edges():
    assert fx.quantize_multiplier(0.0) == (0, 0)
    assert fx.quantize_multiplier(2.0**-40) == (0, 0)
    assert fx.quantize_multiplier(1 - 2.0**-40) == (1 << 30, 1)  # the mantissa rounds up to 2**31


@given(st.integers(-(1 << 24), 1 << 24), st.floats(2.0**-20, 2.0**6))
def test_requantization_rounds_twice(x, factor):
    mantissa, shift = (int(part) for part in fx.quantize_multiplier(factor))
    first = round_half(Fraction((x << max(shift, 0)) * mantissa, 1 << 31), away=False)
    want = round_half(Fraction(first, 1 << max(-shift, 0)), away=True)
    assert fx.multiply_by_quantized_multiplier(x, fx.quantize_multiplier(factor)) == want
    assert abs(want - Fraction(x) * Fraction(factor)) <= 1 + abs(x) * factor * 2.0**-30


@pytest.mark.parametrize(("bits", "tolerance"), [(16, 3), (32, 300)])
def test_fixed_point_functions_approximate_the_real_ones(bits, tolerance):
    one = 2.0 ** (bits - 1)
    a = np.linspace(-8, 0, 4001)
    raw = np.round(a * one / 16).astype(np.int64)
    exact = np.exp(raw / one * 16)
    assert np.abs(fx.exp_on_negative_values(raw, 4, bits) - exact * one).max() <= tolerance * 2
    x = np.round(np.linspace(0, 1 - 1 / one, 4001) * one).astype(np.int64)
    reciprocal = fx.one_over_one_plus(x, bits)
    assert np.abs(reciprocal - np.minimum(one / (1 + x / one), one - 1)).max() <= tolerance * 2
    ratio = fx.one_minus_over_one_plus(x, bits)
    assert np.abs(ratio - (1 - x / one) / (1 + x / one) * one).max() <= tolerance * 4


# --- Activations, on all 65,536 inputs.


def one_op(code, power) -> bytes:
    shape, kind = [1, 65536], schema.TensorType.INT16
    tensors = [(kind, shape, None, 2.0**power, 0), (kind, shape, None, 2.0**-15, 0)]
    return pack(tensors, [(code, 3, [0], [1], None, None)], [0], [1])


def run_one_op(code, power):
    interpreter = tflm_runtime.Interpreter.from_bytes(one_op(code, power), arena_size=1 << 20)
    interpreter.set_input(INT16.astype(np.int16)[None], 0)
    interpreter.invoke()
    return interpreter.get_output(0)[0]


def test_tflm_sigmoid_table_is_the_runtimes():
    got = run_one_op(schema.BuiltinOperator.LOGISTIC, -12)
    np.testing.assert_array_equal(got, act.tflm_sigmoid_table())


@pytest.mark.parametrize("integer_bits", range(7))
def test_tflm_tanh_table_is_the_runtimes(integer_bits):
    got = run_one_op(schema.BuiltinOperator.TANH, integer_bits - 15)
    np.testing.assert_array_equal(got, act.tflm_tanh_table(integer_bits))


def sweep_model(swept: str) -> IntegerModel:
    """256 units whose pre-activation of one gate is 256 x + unit - 128: with x, all of Q3.12.

    The cell of scale 2**-15 then is that gate times the other, saturated one (the gates i, g), or
    keeps a constant while the hidden state shows the output gate.
    """
    model = random_model(0, units=256, features=4, cell_power=-15)
    gates = {"input": 0, "cell": 2}
    weights = np.zeros_like(model.input_weights)
    weights[gates[swept]] = 64  # times 4 features
    biases = np.full_like(model.biases, 1 << 20)  # saturates the other gates
    biases[gates[swept]] = np.arange(256)
    return dataclasses.replace(
        model,
        input=Quantization(np.float32(2.0**-6)),
        input_weights=weights,
        input_weight_scales=np.full(4, 2.0**-6, np.float32),
        biases=biases,
    )


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("swept", ["input", "cell"])
def test_gate_functions_inside_the_op(swept, runtime):
    model = sweep_model(swept)
    x = np.arange(-128, 128, dtype=np.int8)
    got = RUN[runtime](classifier_file(model, 1), np.tile(x[:, None, None], (1, 1, 4)))
    tables = {
        "tflite": (act.tflite_sigmoid_table(), act.tflite_tanh_table(3)),
        "tflm": (act.tflm_sigmoid_table(), act.tflm_tanh_table(3)),
    }[runtime]
    index = {"input": 0, "cell": 1}[swept]
    other = np.int64(tables[1 - index][-1])  # at the largest pre-activation
    want = fx.rounding_divide_by_pot(tables[index].astype(np.int64) * other, 15)
    off = np.abs(got.cell.reshape(-1) - want)
    # TFLM rounds this product twice: one LSB where both halves fall together.
    assert off.max() <= (runtime == "tflm")
    assert np.count_nonzero(off) < 10


@pytest.mark.parametrize("integer_bits", range(7))
def test_tables_approximate_the_real_functions(integer_bits):
    x = INT16 / 2.0 ** (15 - integer_bits)
    exact = np.tanh(x) * 32768
    assert np.abs(act.tflite_tanh_table(integer_bits) - exact).max() < 40
    assert np.abs(act.tflm_tanh_table(integer_bits) - exact).max() < 5
    exact = 32768 / (1 + np.exp(-INT16 / 4096))
    assert np.abs(act.tflite_sigmoid_table() - exact).max() < 40
    assert np.abs(act.tflm_sigmoid_table() - exact).max() < 3


def test_tflite_tanh_refuses_formats_it_does_not_compute():
    with pytest.raises(ValueError, match="integer bits"):
        act.tflite_tanh_table(-1)


@settings(max_examples=30)
@given(st.integers(2, 40), st.floats(0.002, 4.0), st.integers(0, 10**6))
def test_softmax_is_both_runtimes_and_near_the_real_one(classes, scale, seed):
    rng = np.random.default_rng(seed)
    span = int(rng.integers(1, 128))
    logits = rng.integers(-span, span + 1, (64, classes)).astype(np.int8)
    got = softmax_int8(logits, np.float32(scale))
    real = np.exp((logits - logits.max(axis=1, keepdims=True).astype(np.int64)) * scale)
    real = 256 * real / real.sum(axis=1, keepdims=True) - 128
    assert np.abs(got - np.clip(real, -128, 127)).max() <= 1

    options = schema.SoftmaxOptionsT()
    options.beta = 1.0
    shape, kind = logits.shape, schema.TensorType.INT8
    tensors = [(kind, shape, None, scale, 3), (kind, shape, None, 1 / 256, -128)]
    operators = [(schema.BuiltinOperator.SOFTMAX, 2, [0], [1], options, None)]
    file = pack(tensors, operators, [0], [1])
    on_tflm = tflm_runtime.Interpreter.from_bytes(file, arena_size=1 << 16)
    on_tflm.set_input(logits, 0)
    on_tflm.invoke()
    np.testing.assert_array_equal(got, on_tflm.get_output(0))
    on_tflite = reference_interpreter(file)
    on_tflite.set_tensor(0, logits)
    on_tflite.invoke()
    np.testing.assert_array_equal(got, on_tflite.get_tensor(1))


# --- The whole model.


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10**6),
    units=st.integers(8, 64),
    features=st.sampled_from([10, 40]),
    classes=st.integers(3, 12),
    cell_power=st.integers(-15, -9),
    gain=st.sampled_from([0.5, 2.0, 8.0]),
    input_zero_point=st.integers(-128, 127),
    hidden_zero_point=st.sampled_from([0, 0, -7, 30]),
    cell_clip=st.sampled_from([0.0, 10.0, 0.7]),
    per_class=st.booleans(),
)
def test_every_value_equals_both_runtimes(seed, units, features, classes, **options):
    model = random_model(seed, units, features, classes, **options)
    file = classifier_file(model, 12)
    inputs = random_inputs(seed + 1, 6, 12, features)
    read = IntegerModel.from_tflite(file)
    for runtime in RUNTIMES:
        assert_equal(read.run(inputs, runtime), RUN[runtime](file, inputs))


@pytest.mark.parametrize("cell_power", [-15, -14, -13, -12])
def test_long_examples_and_blocks(cell_power):
    model = random_model(cell_power + 100, 40, 40, 12, cell_power)
    inputs = random_inputs(3, 130, 49, 40)  # more than one block
    file = classifier_file(model, 49)
    for runtime in RUNTIMES:
        assert_equal(model.run(inputs, runtime), RUN[runtime](file, inputs))


def test_each_runtime_reads_its_own_hidden_scale():
    model = random_model(5)
    inputs = random_inputs(6, 4, 12, 10)
    stale = dataclasses.replace(
        model, effective_hidden=Quantization(np.float32(model.hidden_state.scale * 1.5), 3)
    )
    for runtime in RUNTIMES:
        assert_equal(stale.run(inputs, runtime), RUN[runtime](classifier_file(stale, 12), inputs))
    assert_equal(stale.run(inputs, "tflm"), model.run(inputs, "tflm"))
    assert np.any(stale.run(inputs).hidden != model.run(inputs).hidden)


def test_a_recurrent_product_beyond_int16():
    """W x = -20000, R h = +60000: TFLite saturates the sum alone, TFLM each product first."""
    model = random_model(7, units=8, cell_power=-12)
    recurrent = np.zeros_like(model.recurrent_weights)
    recurrent[0] = 127
    biases = np.full_like(model.biases, 1 << 20)  # gates open, hidden state at its largest
    biases[0] = -20000
    model = dataclasses.replace(
        model,
        input=Quantization(np.float32(2.0**-6)),
        input_weights=np.zeros_like(model.input_weights),
        input_weight_scales=np.full(4, 2.0**-6, np.float32),
        recurrent_weights=recurrent,
        recurrent_weight_scales=np.full(4, 0.04, np.float32),
        biases=biases,
    )
    inputs = random_inputs(8, 1, 9, 10)
    got = {runtime: model.run(inputs, runtime) for runtime in RUNTIMES}
    for runtime in RUNTIMES:
        assert_equal(got[runtime], RUN[runtime](classifier_file(model, 9), inputs))
    assert np.abs(got["tflite"].cell.astype(int) - got["tflm"].cell).min() > 100


@pytest.mark.parametrize("per_class", [False, True])
def test_both_roundings_of_the_dense_layer(per_class):
    """TFLite's reference kernel rounds twice before TensorFlow 2.20 and once from there on."""
    model = random_model(11, units=24, classes=40, per_class=per_class)
    inputs = random_inputs(12, 250, 1, 10)
    file = classifier_file(model, 1)
    for runtime in RUNTIMES:
        twice, once = (model.run(inputs, runtime, how).logits for how in ("twice", "once"))
        off = np.abs(twice.astype(int) - once)
        assert off.max() == 1 and 1e-4 < off.mean() < 1e-2  # a logit in some thousand
        rounds_once = runtime == "tflite" and products.tflite_rounding() == "once"
        got = RUN[runtime](file, inputs).logits
        np.testing.assert_array_equal(got, once if rounds_once else twice)


@pytest.mark.parametrize(
    ("version", "rounding"),
    [("2.16.2", "twice"), ("2.19.1", "twice"), ("2.20.0", "once"), ("2.21.0-rc1", "once")],
)
def test_the_rounding_is_that_of_the_installed_version(version, rounding, monkeypatch):
    monkeypatch.setattr(tf, "__version__", version)
    assert products.tflite_rounding() == rounding


@given(st.lists(int32s, min_size=1, max_size=20), st.floats(2.0**-30, 2.0**-24))
def test_rounding_once_is_to_nearest_halves_away_from_zero(totals, factor):
    factor = 2.0 ** round(np.log2(factor))
    got = products.fully_connected(
        np.zeros((1, 1), np.int8),
        np.zeros((len(totals), 1), np.int8),
        np.array(totals),
        np.array([factor]),
        0,
        "once",
    )
    want = [round_half(Fraction(total) * Fraction(factor), True) for total in totals]
    np.testing.assert_array_equal(got[0], np.clip(want, -128, 127))


def test_converted_model(tmp_path):
    """What the converter makes of a tf_keras model, weights raised so that the cell passes 1."""
    tf_keras.utils.set_random_seed(1)
    model = convert.fused_model(6, 10, 24, 4)
    weights = model.get_weights()
    model.set_weights([weights[0] * 3, weights[1] * 2, weights[2] + 0.3, *weights[3:]])
    calibration = np.random.default_rng(0).normal(size=(8, 6, 10)).astype(np.float32)
    path = tmp_path / "model.tflite"
    path.write_bytes(convert.to_int8(model, calibration))

    read = IntegerModel.from_tflite(path)
    assert read.input_weights.shape == (4, 24, 10) and read.input.zero_point != 0
    inputs = random_inputs(2, 20, 6, 10)
    file = classifier_file(read, 6)  # the same integers, with the inner tensors as outputs
    for runtime in RUNTIMES:
        assert_equal(read.run(inputs, runtime), RUN[runtime](file, inputs))
    ran = tflite.run(path.read_bytes(), inputs[:1])
    assert np.abs(ran.outputs[0].astype(int) - read.run(inputs[:1]).posteriors).max() <= 1


# --- What it refuses.


def test_refuses_what_it_does_not_compute(tmp_path):
    with pytest.raises(KwsError, match="cannot read the model"):
        IntegerModel.from_tflite(tmp_path / "none.tflite")
    with pytest.raises(KwsError, match="TFL3"):
        IntegerModel.from_tflite(b"not a model")
    with pytest.raises(KwsError, match="damaged"):
        IntegerModel.from_tflite(classifier_file(random_model(0), 3)[:200])
    with pytest.raises(KwsError, match="0 UNIDIRECTIONAL_SEQUENCE_LSTM"):
        IntegerModel.from_tflite(one_op(schema.BuiltinOperator.TANH, -12))
    with pytest.raises(KwsError, match="cell state of scale"):
        IntegerModel.from_tflite(classifier_file(random_model(0, cell_power=-16), 3))
    model = random_model(0)
    with pytest.raises(KwsError, match="int8 inputs"):
        model.run(np.zeros((1, 3, 10), np.float32))
    with pytest.raises(KwsError, match="int8 inputs"):
        model.run(np.zeros((1, 3, 11), np.int8))
    with pytest.raises(KwsError, match="tflite or tflm"):
        model.run(np.zeros((1, 3, 10), np.int8), "other")
    with pytest.raises(KwsError, match="twice or once"):
        model.run(np.zeros((1, 3, 10), np.int8), dense_rounding="thrice")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda graph: graph.main.operators.pop(), "fused LSTM, slice, dense, softmax"),
        (lambda graph: setattr(graph.lstm.builtinOptions, "timeMajor", True), "plain int8 one"),
        (lambda graph: graph.set_values(graph.slice.inputs[1], [0, 1, 0]), "the last step"),
        (
            lambda graph: setattr(
                graph.tensor(graph.lstm.inputs[g.KERNEL]).quantization, "scale", np.ones(2)
            ),
            "several scales",
        ),
    ],
)
def test_refuses_other_graphs(change, problem):
    graph = g.Graph(classifier_file(random_model(0), 3))
    change(graph)
    with pytest.raises(KwsError, match=problem):
        IntegerModel.from_tflite(graph.to_bytes())
