"""Quantizers: value, gradient, serialisation, and use through tfmot."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras
from hypothesis import given
from hypothesis import strategies as st

from kws_tf.quantization.dense import QuantizedDense
from kws_tf.quantization.identifiers import ALIASES, get
from kws_tf.quantization.quantize_config import PactQuantizeConfig
from kws_tf.quantization.quantizers import (
    CellQuantizer,
    ClipRange,
    FixedPointQuantizer,
    PactQuantizer,
)

clips = st.floats(0.0625, 20, width=32)
bit_widths = st.integers(2, 10)
values = st.lists(st.floats(-40, 40, width=32), min_size=1, max_size=20)


def weights(clip):
    return {"clip": tf.Variable(clip, dtype=tf.float32)}


@given(clips, bit_widths, st.booleans(), values)
def test_pact_is_the_papers_formula_on_the_integers_grid(clip, bits, narrow_range, xs):
    quantizer = PactQuantizer(bits, narrow_range=narrow_range)
    clip, x = np.float32(clip), np.array(xs, np.float32)
    steps = 2 ** (bits - 1) - narrow_range
    scale = clip / np.float32(steps)
    formula = np.sign(x) * 0.5 * (np.abs(x) - np.abs(np.abs(x) - clip) + clip)
    expected = np.clip(np.rint(formula / scale), -steps, 2 ** (bits - 1) - 1)
    y = quantizer(tf.constant(x), training=True, weights=weights(clip)).numpy()
    assert quantizer.scale(weights(clip)).numpy() == scale
    # The formula's own float error may cross a rounding; it is then one step.
    assert np.max(np.abs(y / scale - expected)) < 1.01
    on_grid = np.abs(formula / scale % 1 - 0.5) > 1e-3
    np.testing.assert_allclose((y / scale)[on_grid], expected[on_grid], atol=1e-3)


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("quantizer", [PactQuantizer(4), CellQuantizer()])
def test_pact_gradients(quantizer, graph):
    w = weights(1.0)
    x = tf.constant([-3.0, -1.5, -0.4, 0.0, 0.7, 1.2])
    upstream = tf.constant([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])

    def gradients():
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.reduce_sum(quantizer(x, training=True, weights=w) * upstream)
        return tape.gradient(y, [x, w["clip"]])

    dx, dclip = (tf.function(gradients) if graph else gradients)()
    np.testing.assert_array_equal(dx, [0, 0, 3, 4, 5, 0])
    assert dclip == -1.0 - 2.0 + 6.0


@given(clip=clips, bits=st.integers(2, 8), narrow_range=st.booleans(), xs=values)
def test_learned_step_is_the_papers_gradient_at_the_same_value(clip, bits, narrow_range, xs):
    plain = PactQuantizer(bits, narrow_range=narrow_range)
    learned = PactQuantizer(bits, narrow_range=narrow_range, learned_step=True)
    x, variables = tf.constant(xs), weights(clip)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = learned(x, training=True, weights=variables)
    np.testing.assert_array_equal(y, plain(x, training=True, weights=variables))
    d_x, d_clip = tape.gradient(y, [x, variables["clip"]])
    # Equation 3, for the scale; the clip is as many scales as there are integers below 0.
    v = np.float32(xs) / plain.scale(variables).numpy()
    inside = np.abs(np.float32(xs)) <= np.float32(clip)
    of_scale = np.where(inside, y / plain.scale(variables) - v, np.sign(xs) * -plain.low)
    at_most = np.where(inside, 0.0, np.sign(xs) * (np.abs(y / plain.scale(variables)) + plain.low))
    expected = np.sum(of_scale + at_most) / -plain.low
    np.testing.assert_allclose(d_clip, expected, atol=1e-3 * len(xs))
    np.testing.assert_array_equal(d_x, inside)


def test_l2_is_added_for_the_clip():
    layer = keras.layers.Layer()
    PactQuantizer(clip=3.0, l2=0.5).build(None, "signal", layer)
    assert float(sum(layer.losses)) == pytest.approx(0.5 * 9.0)


def test_fixed_clip_is_not_trainable():
    layer = keras.layers.Layer()
    PactQuantizer(trainable=False).build(None, "signal", layer)
    assert not layer.trainable_weights and len(layer.non_trainable_weights) == 1


def test_a_clip_stays_positive_in_training():
    layer = keras.layers.Layer()
    clip = PactQuantizer(clip=0.01).build(None, "signal", layer)["clip"]
    optimizer = keras.optimizers.SGD(1.0)
    optimizer.apply_gradients([(tf.constant(5.0), clip)])
    assert float(clip) > 0


@pytest.mark.parametrize(
    ("clip", "scale"),
    [(0.6, -15), (1.0, -15), (1.001, -14), (2.0, -14), (4.0, -13), (4.1, -12), (8.0, -12)],
)
def test_cell_scale_is_the_next_power_of_two(clip, scale):
    quantizer = CellQuantizer()
    assert float(quantizer.scale(weights(clip))) == 2.0**scale
    assert float(quantizer.limit(weights(clip))) == min(32767, np.floor(clip / 2.0**scale))


@given(st.floats(0.53125, 8.0, width=32), values)
def test_cell_values_fit_16_bits_and_the_clip(clip, xs):
    quantizer, w = CellQuantizer(), weights(clip)
    integers = quantizer(tf.constant(xs, tf.float32), None, w).numpy() / quantizer.scale(w).numpy()
    np.testing.assert_array_equal(integers, np.rint(integers))
    assert np.abs(integers).max() <= quantizer.limit(w).numpy() <= 32767


def test_fixed_point_saturates_and_passes_the_gradient_through():
    quantizer, x = FixedPointQuantizer(12), tf.constant([-9.0, 0.00013, 9.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = quantizer(x)
    np.testing.assert_array_equal(y, [-8.0, 2.0**-12, 8.0 - 2.0**-12])
    np.testing.assert_array_equal(tape.gradient(y, x), [1, 1, 1])


@pytest.mark.parametrize(
    "quantizer",
    [
        PactQuantizer(5, 2.5, False, True, 0.1, True),
        CellQuantizer(3.0, False, 0.1),
        FixedPointQuantizer(7, 8),
        PactQuantizeConfig(4, 5, 0.3, 0.7),
        ClipRange(0.2, 3.0),
        QuantizedDense(3, PactQuantizer(4, narrow_range=True), "pact8", "q3_12", name="logits"),
    ],
    ids=lambda quantizer: type(quantizer).__name__,
)
def test_config_round_trip(quantizer):
    config = keras.saving.serialize_keras_object(quantizer)
    restored = keras.saving.deserialize_keras_object(config)
    assert type(restored) is type(quantizer)
    assert restored.get_config() == quantizer.get_config()
    again = keras.saving.serialize_keras_object(restored)
    assert again["config"] == config["config"] and "module" in again


def test_equal_quantizers_are_those_of_equal_arguments():
    assert PactQuantizer(5) == PactQuantizer(5) != PactQuantizer(6)
    assert PactQuantizer(16, 8.0) != CellQuantizer(8.0)


@pytest.mark.parametrize(
    ("name", "quantizer"),
    [
        ("pact", PactQuantizer(8)),
        ("pact4", PactQuantizer(4)),
        ("pact_weights", PactQuantizer(8, narrow_range=True)),
        ("pact_weights2", PactQuantizer(2, narrow_range=True)),
        ("pact_cell", CellQuantizer()),
        ("q3_12", FixedPointQuantizer(12, 16)),
        ("q0_7", FixedPointQuantizer(7, 8)),
    ],
)
def test_names_of_quantizers(name, quantizer):
    assert get(name) == quantizer
    assert get(quantizer) is quantizer
    assert get(keras.saving.serialize_keras_object(quantizer)) == quantizer


def test_every_alias_is_documented():
    assert get(None) is None
    for alias in ALIASES:
        begin = alias.partition("<")[0].rstrip("_")
        assert f"``{begin}" in get.__doc__


@pytest.mark.parametrize(
    "identifier", ["pakt8", "pact8bits", "pact_cell16", "q3", "", 8, PactQuantizer]
)
def test_unknown_names_are_refused(identifier):
    with pytest.raises(ValueError, match=r"no such quantizer.*pact_weights<bits>"):
        get(identifier)


@pytest.mark.parametrize("arguments", [{"bits": 1}, {"clip": 0.0}, {"clip": -1.0}])
def test_nonsense_is_refused(arguments):
    with pytest.raises(ValueError, match=r"at least 2 bits|must be positive"):
        PactQuantizer(**arguments)


def test_tfmot_quantizes_a_dense_layer_with_it(without_autograph):
    annotate = tfmot.quantization.keras.quantize_annotate_layer
    config = PactQuantizeConfig(weight_clip=0.3, output_clip=0.5)
    model = keras.Sequential([keras.Input((6,)), annotate(keras.layers.Dense(3), config)])
    with tfmot.quantization.keras.quantize_scope({"PactQuantizeConfig": PactQuantizeConfig}):
        model = tfmot.quantization.keras.quantize_apply(model)
    names = [v.name for v in model.trainable_variables]
    assert sum("clip" in name for name in names) == 2
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(64, 6)), rng.normal(size=(64, 3)) * 5
    before = [v.numpy() for v in model.trainable_variables if "clip" in v.name]
    model.compile("adam", "mse", run_eagerly=True)
    model.fit(x, y, epochs=1, verbose=0)
    after = [v.numpy() for v in model.trainable_variables if "clip" in v.name]
    assert all(a != b for a, b in zip(after, before, strict=True))
    steps = model(x).numpy() / (after[1] / 128)
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-3)
