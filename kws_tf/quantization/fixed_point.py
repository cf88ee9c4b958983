"""Integer fixed-point primitives of TFLite's kernels, on NumPy arrays.

A value in Qm.n is an integer that stands for itself divided by 2**n. Everything is computed in
int64, so nothing here overflows where the C code (int16 or int32) does not; where the C code
saturates or wraps, the docstring has it.

Sources: gemmlowp ``fixedpoint/fixedpoint.h``; TensorFlow Lite ``kernels/internal/common.h`` and
``kernels/internal/quantization_util.cc``.
"""

import functools
import math
from typing import NamedTuple

import numpy as np


class Multiplier(NamedTuple):
    """A positive real factor ``mantissa * 2**(shift - 31)``; fields broadcast (one a channel)."""

    mantissa: np.ndarray
    """int64, in [2**30, 2**31) or 0: the factor's leading 31 bits, Q0.31."""
    shift: np.ndarray
    """int64: the power of two; positive shifts left."""


def quantize_multiplier(factors) -> Multiplier:
    """Splits real factors into a 31-bit mantissa, rounded half away from zero, and a shift.

    A factor below 2**-32 becomes 0. The factor's own precision matters: TFLite's LSTM computes
    its factors in float32, TFLM's in float64, and so they requantize a little differently.
    """
    fraction, shift = np.frexp(np.asarray(factors, np.float64))
    mantissa = np.floor(fraction * 2.0**31 + 0.5).astype(np.int64)
    rounded_up = mantissa == 1 << 31
    mantissa = np.where(rounded_up, 1 << 30, mantissa)
    shift = shift.astype(np.int64) + rounded_up
    underflow = shift < -31
    return Multiplier(np.where(underflow, 0, mantissa), np.where(underflow, 0, shift))


def saturate(x, bits: int):
    """Limits to the range of a signed integer of ``bits`` bits."""
    return np.clip(x, -(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def rounding_divide_by_pot(x, exponent):
    """``x / 2**exponent``, rounded to nearest, halves away from zero (exponent >= 0)."""
    x = np.asarray(x, np.int64)
    half = (np.int64(1) << exponent) >> 1
    # An arithmetic shift rounds down: one less for negative x sends -0.5 to -1 instead of 0.
    return (x + half - ((x < 0) & (half > 0))) >> exponent


def rounding_doubling_high_mul(a, b, bits: int):
    """Product of two numbers in Q0.(bits-1), in that format: ``a * b / 2**(bits-1)``.

    Rounded to nearest, halves up (towards +infinity). -1 * -1 saturates; nothing else can
    overflow. It is gemmlowp's SaturatingRoundingDoublingHighMul, whose sign-dependent nudge and
    truncating division come to this.
    """
    product = np.asarray(a, np.int64) * b
    return np.minimum((product + (1 << (bits - 2))) >> (bits - 1), (1 << (bits - 1)) - 1)


def multiply_by_quantized_multiplier(x, multiplier: Multiplier):
    """``x`` times a real factor, as an integer: requantization.

    Two roundings, as both runtimes do on every platform they are built for by default
    (TFLITE_SINGLE_ROUNDING off): first ``(x << left) * mantissa / 2**31``, halves up, then
    a division by ``2**right``, halves away from zero. ``x << left`` must fit int32, as the result
    does, which the caller saturates.
    """
    left = np.maximum(multiplier.shift, 0)
    right = np.maximum(-multiplier.shift, 0)
    x = np.asarray(x, np.int64) << left
    return rounding_divide_by_pot(rounding_doubling_high_mul(x, multiplier.mantissa, 32), right)


def saturating_shift_left(x, exponent: int, bits: int):
    """``x * 2**exponent``, saturated to ``bits`` bits."""
    return saturate(np.asarray(x, np.int64) << exponent, bits)


def constant(value: float, integer_bits: int, bits: int) -> int:
    """A real constant in Q(integer_bits).(bits-1-integer_bits).

    gemmlowp keeps its constants as 32-bit numbers and, for 16 bits, rounds those once more
    (halves away from zero); the twofold rounding is repeated here.
    """
    wide = math.floor(value * 2.0 ** (31 - integer_bits) + 0.5)
    return int(rounding_divide_by_pot(wide, 32 - bits))


def _exp_on_quarter(a, bits: int):
    """exp(a) for a in [-1/4, 0), both Q0.(bits-1): 4th-order Taylor series around -1/8."""
    mul = functools.partial(rounding_doubling_high_mul, bits=bits)
    centre = constant(math.exp(-1 / 8), 0, bits)
    x = a + (1 << (bits - 4))  # a + 1/8
    x2 = mul(x, x)
    x3 = mul(x2, x)
    x4_over_4 = rounding_divide_by_pot(mul(x2, x2), 2)
    # x^4/24 + x^3/6 + x^2/2 = ((x^4/4 + x^3) / 3 + x^2) / 2
    tail = rounding_divide_by_pot(mul(x4_over_4 + x3, constant(1 / 3, 0, bits)) + x2, 1)
    return saturate(centre + mul(centre, x + tail), bits)


def exp_on_negative_values(a, integer_bits: int, bits: int):
    """exp(a) for a <= 0, Q(integer_bits).(bits-1-integer_bits) to Q0.(bits-1), 16 or 32 bits.

    The fraction modulo 1/4 goes through a Taylor series; each higher bit of -a that is set
    multiplies by its constant exp(-2**k), k = -2 ... 4, every product rounded halves up. exp(0) is
    the largest number, 1 - 2**-(bits-1).
    """
    a = np.asarray(a, np.int64)
    fraction_bits = bits - 1 - integer_bits
    quarter = 1 << (fraction_bits - 2)
    remainder_modulo = (a & (quarter - 1)) - quarter  # in [-1/4, 0)
    result = _exp_on_quarter(saturating_shift_left(remainder_modulo, integer_bits, bits), bits)
    remainder = remainder_modulo - a
    for exponent in range(-2, min(integer_bits, 5)):
        factor = constant(math.exp(-(2.0**exponent)), 0, bits)
        is_set = remainder & (1 << (fraction_bits + exponent)) != 0
        result = np.where(is_set, rounding_doubling_high_mul(result, factor, bits), result)
    if integer_bits > 5:  # no constant for -32 and below: exp is 0 there
        result = np.where(a < -(1 << (fraction_bits + 5)), 0, result)
    return np.where(a == 0, (1 << (bits - 1)) - 1, result)


def _reciprocal_of_half_sum(a, bits: int):
    """2 / (1 + a), Q0.(bits-1) to Q2.(bits-3): three Newton-Raphson steps on 1/d, d = (1 + a)/2."""
    mul = functools.partial(rounding_doubling_high_mul, bits=bits)
    one = 1 << (bits - 3)  # 1.0 in Q2
    half_denominator = (a + (1 << (bits - 1))) >> 1  # 1.0 in Q0 is 2**(bits-1) - 1; halves up
    x = constant(48 / 17, 2, bits) + mul(half_denominator, constant(-32 / 17, 2, bits))
    for _ in range(3):
        # Q2 * Q2 is Q4: two bits back to Q2, saturating.
        error = mul(x, one - mul(half_denominator, x))
        x = x + saturating_shift_left(error, 2, bits)
    return x


def one_over_one_plus(a, bits: int):
    """1 / (1 + a) for a in [0, 1], both Q0.(bits-1); 1.0 saturates."""
    # The same integer read with one integer bit less is half the value.
    return saturating_shift_left(_reciprocal_of_half_sum(a, bits), 1, bits)


def one_minus_over_one_plus(a, bits: int):
    """(1 - a) / (1 + a) for a in [0, 1], both Q0.(bits-1): 2 / (1 + a) - 1; 1.0 saturates."""
    return saturating_shift_left(_reciprocal_of_half_sum(a, bits) - (1 << (bits - 3)), 2, bits)
