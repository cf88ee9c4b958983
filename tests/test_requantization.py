"""Requantization in the layer against the runtimes' fixed-point arithmetic, value by value."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from kws_tf.quantization import fixed_point as fx
from kws_tf.quantization.quantizers import FixedPointQuantizer
from kws_tf.quantization.requantization import exact_matmul, requantization, requantize

SHIFTS = range(-23, 9)
"""All that ``requantization`` takes: factors from 2^-24 to 2^8."""
# Sums of products of int8 stay below 2^24; TFLite's left shift must stay within int32.
LARGEST_TOTAL = 2**24 - 1


def in_layer(totals, factor, dtype=tf.float64):
    factors = requantization(tf.constant(factor, dtype))
    return requantize(tf.constant(totals, dtype), *factors).numpy()


def in_runtimes(totals, factor):
    return fx.multiply_by_quantized_multiplier(totals, fx.quantize_multiplier(factor))


def some_totals(rng, shift):
    """All small integers, large ones, and those of which a power of two makes halves."""
    largest = LARGEST_TOTAL >> max(shift, 0)
    odd = 2 * rng.integers(-(2**10), 2**10, 300) + 1
    totals = [np.arange(-300, 301), rng.integers(-largest, largest + 1, 3000), [-largest, largest]]
    totals += [odd << power for power in range(13)]
    totals = np.unique(np.concatenate(totals))
    return totals[np.abs(totals) <= largest]


def some_factors(rng, shift):
    """Of one shift: powers of two, few bits, a float32 product of scales, a float64 one."""
    mantissas = [[0.5], 0.5 + rng.integers(0, 8, 4) / 16, 0.5 + rng.random(8) / 2]
    mantissas += [(0.5 + rng.random(8) / 2).astype(np.float32), [1 - 2.0**-31]]
    return np.concatenate(mantissas) * 2.0**shift


@pytest.mark.parametrize("shift", SHIFTS)
def test_float64_is_the_runtimes_at_every_shift(shift):
    rng = np.random.default_rng(shift + 100)
    totals = some_totals(rng, shift)
    for factor in some_factors(rng, shift):
        np.testing.assert_array_equal(
            in_layer(totals, factor), in_runtimes(totals, factor), err_msg=f"factor {factor!r}"
        )


@given(total=st.integers(-LARGEST_TOTAL, LARGEST_TOTAL), factor=st.floats(2.0**-24, 1.0))
def test_float64_is_the_runtimes_for_any_factor(total, factor):
    assert in_layer(total, factor) == in_runtimes(total, factor)


def test_halves_of_the_first_rounding_go_up_and_of_the_second_away_from_zero():
    # 1/2 has one rounding, of the product; 1/8 has the product, exact, divided by 4 after.
    np.testing.assert_array_equal(in_layer([-3, -1, 1, 3], 0.5), [-1, 0, 1, 2])
    np.testing.assert_array_equal(in_layer([-12, -4, 4, 12], 0.125), [-2, -1, 1, 2])
    # Both: 7 / 16 is 3.5 eighths, which become 4, a half of 8: two roundings where one gives 0.
    np.testing.assert_array_equal(in_layer([-7, 7], 2.0**-4), [0, 1])


@pytest.mark.parametrize("shift", range(-8, 3))
def test_float32_is_the_runtimes_where_it_is_exact(shift):
    """Where product and quotient fit 24 bits, halves of the first rounding aside."""
    rng = np.random.default_rng(shift + 100)
    totals = np.unique(np.concatenate([np.arange(-300, 301), rng.integers(-(2**14), 2**14, 3000)]))
    for factor in (0.5 + np.arange(256) / 512) * 2.0**shift:  # 9 bits
        first_half = (totals * factor * 2.0 ** max(-shift, 0)) % 1 == 0.5
        got, want = in_layer(totals, factor, tf.float32), in_runtimes(totals, factor)
        np.testing.assert_array_equal(got[~first_half], want[~first_half])
        assert np.abs(got - want).max() <= 1


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_float32_is_at_most_one_off_and_float64_never(dtype):
    rng = np.random.default_rng(0)
    for factor in 2.0 ** rng.uniform(-14, -4, 50):
        totals = rng.integers(-(2**15) / factor, 2**15 / factor, 2000).clip(-(2**24), 2**24)
        off = np.abs(in_layer(totals, factor, dtype) - in_runtimes(totals, factor))
        assert off.max() <= (dtype == tf.float32)
        assert np.mean(off != 0) < 0.01


@pytest.mark.parametrize("factor_dtype", [tf.float32, tf.float64])
def test_a_product_of_int8_matrices_is_the_runtimes_saturated(factor_dtype):
    """As both runtimes: TFLite multiplies scales in float32, TFLite Micro in float64."""
    rng = np.random.default_rng(1)
    x, w = rng.integers(-128, 128, (40, 60)), rng.integers(-127, 128, (60, 32))
    x[0], w[:, 0], x[1], w[:, 1] = -128, 127, 127, 127  # far beyond 16 bits
    bias = rng.integers(-9000, 9000, 32)
    x_scale = np.float32(0.0317)
    w_scale = rng.uniform(0.002, 0.02, 32).astype(np.float32)
    real_bias = tf.constant(bias * (x_scale.astype(float) * w_scale))
    with tf.GradientTape() as tape:
        real_w = tf.Variable(w * w_scale.astype(float))
        product = exact_matmul(
            tf.constant(x * x_scale.astype(float)),
            real_w,
            tf.constant(x_scale, tf.float64),
            tf.constant(w_scale, tf.float64),
            real_bias,
            result_scale=2.0**-12,
            factor_dtype=factor_dtype,
        )
    precision = factor_dtype.as_numpy_dtype
    factor = precision(x_scale) * w_scale.astype(precision) * precision(2.0**12)
    want = fx.multiply_by_quantized_multiplier(x @ w + bias, fx.quantize_multiplier(factor))
    np.testing.assert_array_equal(product * 2.0**12, want)
    saturated = fx.saturate(want, 16)
    assert {saturated.min(), saturated.max()} == {-(2**15), 2**15 - 1}
    np.testing.assert_array_equal(FixedPointQuantizer(12)(product) * 2.0**12, saturated)
    # Straight through the roundings: the gradient of the real product.
    np.testing.assert_allclose(
        tape.gradient(product, real_w), np.tile((x * x_scale).sum(0)[:, None], 32), rtol=1e-6
    )
