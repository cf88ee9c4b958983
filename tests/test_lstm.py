"""The LSTM's parity: quantizers off = Keras, fast path = the cell's specification."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kws_tf.quantization.activations import RUNTIMES
from kws_tf.quantization.lstm import QuantizedLSTM, QuantizedLSTMCell
from kws_tf.quantization.profiles import PROFILES, SIGNALS, paper, tflite
from kws_tf.quantization.quantizers import CellQuantizer, FixedPointQuantizer, PactQuantizer


def sample(batch=4, steps=9, features=10, seed=0):
    return np.random.default_rng(seed).normal(size=(batch, steps, features)).astype(np.float32)


def with_realistic_weights(layer, x, seed=0):
    """Builds a layer and gives it weights that reach the formats' whole range."""
    rng = np.random.default_rng(seed)
    layer(x)
    cell = layer.cell
    cell.kernel.assign(rng.normal(0, 0.6, cell.kernel.shape))
    cell.recurrent_kernel.assign(rng.normal(0, 0.4, cell.recurrent_kernel.shape))
    cell.bias.assign(rng.normal(0, 0.5, cell.bias.shape))
    return layer


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("return_sequences", [False, True])
def test_without_quantizers_it_is_the_keras_lstm(return_sequences, fast):
    x = sample(steps=20)
    ours = with_realistic_weights(QuantizedLSTM(7, None, return_sequences, fast=fast), x)
    keras_lstm = keras.layers.LSTM(7, return_sequences=return_sequences)
    keras_lstm(x)
    keras_lstm.set_weights(
        [w.numpy() for w in (ours.cell.kernel, ours.cell.recurrent_kernel, ours.cell.bias)]
    )
    np.testing.assert_allclose(ours(x), keras_lstm(x), atol=1e-5)


def gradients(layer, x, compiled=False):
    """Returns the gradients of the outputs' squares by the input and the weights."""

    def compute():
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(tf.square(layer(x, training=True)))
        return tape.gradient(loss, [x, *layer.trainable_weights])

    return (tf.function(compute, autograph=False) if compiled else compute)()


@pytest.mark.parametrize("compiled", [False, True])
def test_without_quantizers_its_gradients_are_the_keras_lstms(compiled):
    x = tf.constant(sample())
    ours = with_realistic_weights(QuantizedLSTM(5, None), x)
    keras_lstm = keras.layers.LSTM(5)
    keras_lstm(x)
    keras_lstm.set_weights(ours.get_weights())
    for mine, theirs in zip(gradients(ours, x, compiled), gradients(keras_lstm, x), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-4)


@pytest.mark.parametrize("quantizers", [None, "tflite"])
def test_bfloat16_changes_gradients_a_little_and_inference_not_at_all(quantizers):
    x = tf.constant(sample())
    exact = with_realistic_weights(QuantizedLSTM(5, quantizers), x)
    rough = QuantizedLSTM(5, quantizers, product_dtype="bfloat16")
    rough(x)
    rough.set_weights(exact.get_weights())
    np.testing.assert_array_equal(exact(x), rough(x))
    same = []
    for mine, theirs in zip(gradients(rough, x), gradients(exact, x), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=0.03 * np.max(np.abs(theirs)) + 1e-3)
        same.append(np.array_equal(mine, theirs))
    assert not all(same)


def test_the_compiled_step_equals_the_eager_one():
    x = tf.constant(sample(steps=20))
    layer = with_realistic_weights(QuantizedLSTM(6, "tflite", True, runtime="tflm"), x)
    hidden = tf.function(layer)(x)
    # float32 decides ties by its last bit, which compilation may round otherwise.
    assert np.mean(hidden != layer(x)) < 0.01
    np.testing.assert_allclose(hidden, layer(x), atol=1.01 / 128)
    for mine, theirs in zip(gradients(layer, x, True), gradients(layer, x), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=0.02 * np.max(np.abs(theirs)) + 1e-3)


def test_a_saved_model_computes_and_trains_as_before(tmp_path):
    x = tf.constant(sample(steps=3))
    inputs = keras.Input(x.shape[1:])
    plain = QuantizedLSTM(4, None, return_sequences=True)(inputs)
    model = keras.Model(inputs, QuantizedLSTM(5, "tflite", overflow_penalty=1.0)(plain))
    model.save(tmp_path / "saved", save_format="tf")
    again = tf.saved_model.load(str(tmp_path / "saved"))
    np.testing.assert_allclose(again(x), model(x), atol=1e-6)
    gradients_of = {}
    for which in (model, again):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(which(x, training=True)))
        variables = {variable.name: variable for variable in which.trainable_variables}
        gradients_of[which] = tape.gradient(loss, variables)
    before, after = gradients_of.values()
    for name, wanted in before.items():
        tolerance = 0.02 * np.max(np.abs(wanted)) + 1e-3  # a tie of a rounding
        np.testing.assert_allclose(after[name], wanted, atol=tolerance, err_msg=name)


def test_training_may_be_a_tensor():
    x = tf.constant(sample(steps=3))
    layer = with_realistic_weights(QuantizedLSTM(5, "tflite"), x)
    step = tf.function(lambda x, training: layer(x, training=training))
    np.testing.assert_allclose(step(x, tf.constant(True)), layer(x), atol=1.01 / 128)


@pytest.mark.parametrize("absent", SIGNALS)
@pytest.mark.parametrize("profile", ["tflite", "paper"])
def test_each_quantizer_can_be_absent(profile, absent):
    quantizers = PROFILES[profile]() | {absent: None}
    y = with_realistic_weights(QuantizedLSTM(3, quantizers), sample(steps=3))(sample(steps=3))
    assert np.isfinite(y).all()


@given(
    units=st.integers(1, 12),
    features=st.integers(1, 12),
    hidden_clip=st.floats(0.05, 1.0),
    cell_clip=st.floats(0.51, 8.0),
    seed=st.integers(0, 1000),
    runtime=st.sampled_from(RUNTIMES),
)
@example(12, 6, 1.0, 0.51, 255, "ideal")  # a cell state exactly on its limit, and not cut
@settings(max_examples=10)
def test_fast_path_equals_the_cell(units, features, hidden_clip, cell_clip, seed, runtime):
    # In float64, where no tie of a rounding hangs on the last bit: then the values are the same.
    x = tf.constant(sample(3, 8, features, seed), tf.float64)
    results = []
    for fast in (True, False):
        layer = QuantizedLSTM(
            units, "tflite", return_sequences=True, runtime=runtime, fast=fast, dtype="float64"
        )
        with_realistic_weights(layer, x, seed)
        layer.cell.clip("hidden").assign(hidden_clip)
        layer.cell.clip("cell").assign(cell_clip)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
            loss = tf.reduce_sum(tf.square(y) * tf.linspace(tf.cast(1, y.dtype), 2, units))
        results.append((y, tape.gradient(loss, [x, *layer.trainable_weights])))
    (fast, fast_gradients), (cell, cell_gradients) = results
    np.testing.assert_array_equal(fast, cell)
    # The fused step differentiates at the rounded gates.
    for mine, theirs in zip(fast_gradients, cell_gradients, strict=True):
        size = np.max(np.abs(theirs)) + 1e-3
        np.testing.assert_allclose(mine / size, theirs / size, atol=0.02)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_fast_path_equals_the_cell_in_float32_but_for_ties(runtime):
    x = tf.constant(sample(16, 20))
    fast, cell = (
        with_realistic_weights(
            QuantizedLSTM(8, "tflite", return_sequences=True, runtime=runtime, fast=fast), x
        )(x)
        for fast in (True, False)
    )
    assert np.mean(fast != cell) < 0.01
    np.testing.assert_allclose(fast, cell, atol=1.01 / 128)


@pytest.mark.parametrize(("batch", "sampled"), [(1, 1), (8, 2)])
def test_the_overflow_penalty_is_the_mean_squared_excess_of_hidden_products(batch, sampled):
    x = tf.constant(sample(batch))
    layer = QuantizedLSTM(5, "tflite", return_sequences=True, overflow_penalty=3.0)
    with_realistic_weights(layer, x)
    layer.cell.recurrent_kernel.assign(layer.cell.recurrent_kernel * 30.0)
    for gate in "ifco":
        layer.cell.clip(f"recurrent_{gate}").assign(20.0)
    with tf.GradientTape(persistent=True) as tape:
        hidden = layer(x)
        (penalty,) = layer.losses
        products = hidden[:sampled, :-1] @ layer.cell.recurrent_weights()[0]
        excess = tf.maximum(tf.abs(products) - 7.5, 0.0)
        expected = 3.0 * tf.reduce_mean(tf.square(excess))
    assert expected > 0
    np.testing.assert_allclose(penalty, expected, rtol=1e-5)
    weights = layer.trainable_weights
    for mine, theirs in zip(
        tape.gradient(penalty, weights), tape.gradient(expected, weights), strict=True
    ):
        assert (mine is None) == (theirs is None)
        if mine is not None:
            np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5 * penalty)


def test_outputs_are_on_the_hidden_states_grid():
    x = sample()
    layer = with_realistic_weights(QuantizedLSTM(6, "tflite", True), x)
    layer.cell.clip("hidden").assign(0.7)
    integers = layer(x).numpy() / (np.float32(0.7) / 128)
    np.testing.assert_allclose(integers, np.round(integers), atol=1e-3)
    assert integers.min() >= -128 and integers.max() <= 127


@pytest.mark.parametrize(
    "quantizers",
    ["tflite", "paper", None, {"input": PactQuantizer(4), "hidden": "pact6", "cell": "pact_cell"}],
)
def test_serialises_in_a_functional_model(quantizers, tmp_path):
    inputs = keras.Input((3, 10))
    model = keras.Model(inputs, QuantizedLSTM(4, quantizers, name="lstm")(inputs))
    for variable in model.weights:
        variable.assign(variable * 1.1 + 0.01)
    model.save(tmp_path / "model.keras")
    restored = keras.models.load_model(tmp_path / "model.keras")
    x = sample(steps=3)
    np.testing.assert_array_equal(model(x), restored(x))
    assert restored.get_layer("lstm").cell.quantizers == model.get_layer("lstm").cell.quantizers


def test_quantizers_may_be_given_by_name():
    x = sample()
    named = {"input": "pact8", "kernel_i": "pact_weights4", "gate": "q3_12", "cell": "pact_cell"}
    objects = {
        "input": PactQuantizer(8),
        "kernel_i": PactQuantizer(4, narrow_range=True),
        "gate": FixedPointQuantizer(12),
        "cell": CellQuantizer(),
    }
    ours, theirs = (
        with_realistic_weights(QuantizedLSTM(5, signals), x) for signals in (named, objects)
    )
    assert ours.cell.quantizers == objects
    np.testing.assert_array_equal(ours(x), theirs(x))
    by_name = {signal: "pact_weights" if "_" in signal else q for signal, q in tflite().items()}
    fixed = {s: q for s, q in tflite().items() if isinstance(q, FixedPointQuantizer)}
    assert QuantizedLSTM(4, by_name | fixed).deploys


def test_the_cells_configuration_round_trips():
    cell = QuantizedLSTMCell(5, tflite(weight_bits=4), "tflm", unit_forget_bias=False)
    config = keras.saving.serialize_keras_object(cell)
    restored = keras.saving.deserialize_keras_object(config)
    assert restored.get_config() == cell.get_config()
    assert restored.quantizers == cell.quantizers


def test_cell_runs_in_the_keras_rnn():
    x = sample()
    layer = with_realistic_weights(QuantizedLSTM(5, "tflite"), x)
    rnn = keras.layers.RNN(QuantizedLSTMCell(5, tflite()))
    rnn(x)
    rnn.set_weights(layer.cell.get_weights())
    np.testing.assert_allclose(rnn(x), layer(x), atol=1.01 / 128)


def test_fit_trains_every_clip(without_autograph):
    x, y = sample(64, 5, seed=3), np.random.default_rng(0).normal(size=(64, 4)) * 3
    layer = QuantizedLSTM(4, "tflite")
    model = keras.Sequential([layer])
    with_realistic_weights(layer, x)
    for name, variable in layer.cell.clips().items():
        variable.assign({"input": 0.5, "cell": 0.6, "hidden": 0.2}.get(name, 0.3))
    before = {name: float(v) for name, v in layer.cell.clips().items()}
    model.compile("adam", "mse")
    model.fit(x, y, epochs=1, batch_size=32, verbose=0)
    assert all(float(v) != before[name] for name, v in layer.cell.clips().items())


def test_fixed_clips_stay():
    layer = with_realistic_weights(QuantizedLSTM(4, tflite(trainable=False)), sample())
    assert len(layer.trainable_weights) == 3 and len(layer.cell.clips()) == 11


def test_paper_profile_has_eleven_clips():
    layer = with_realistic_weights(QuantizedLSTM(4, paper()), sample())
    assert len(layer.cell.clips()) == 11
    assert not layer.deploys


def test_a_mask_is_refused():
    with pytest.raises(ValueError, match="takes no mask"):
        QuantizedLSTM(4)(sample(), mask=tf.ones([4, 9], tf.bool))


def test_an_unknown_number_of_steps_is_refused():
    with pytest.raises(ValueError, match="fixed number of steps"):
        QuantizedLSTM(4)(keras.Input((None, 10)))


def test_an_unknown_signal_or_profile_is_refused():
    with pytest.raises(ValueError, match="no such signal"):
        QuantizedLSTM(4, {"hiden": FixedPointQuantizer(7, 8)})
    with pytest.raises(ValueError, match="no such profile"):
        QuantizedLSTM(4, "tflight")
    with pytest.raises(ValueError, match="no such quantizer: 'pakt8'"):
        QuantizedLSTM(4, {"input": "pakt8"})
    with pytest.raises(ValueError, match="no such runtime"):
        QuantizedLSTM(4, runtime="micro")
    with pytest.raises(ValueError, match="take the formats of the 'tflite' profile"):
        QuantizedLSTM(4, "paper", runtime="tflm")
