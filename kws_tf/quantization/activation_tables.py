"""The LSTM's 16-bit sigmoid and tanh in TFLite and in TFLite Micro.

The two runtimes compute different functions. TFLite evaluates exponentials and a Newton-Raphson
division in 16-bit fixed point; TFLite Micro interpolates in a table of 256 values. Each is given
here as all its results, int16 ``[65536]``, that of x at index ``x + 32768``.

Sources: TensorFlow Lite ``kernels/internal/reference/portable_tensor_utils.cc`` (ApplySigmoid,
ApplyTanh); TFLite Micro ``micro/kernels/lstm_eval.cc`` and
``kernels/internal/reference/integer_ops/logistic.h`` and ``tanh.h``.
"""

import functools

import numpy as np

from kws_tf.quantization import fixed_point as fx

_INT16 = np.arange(-32768, 32768, dtype=np.int64)


def _frozen(values) -> np.ndarray:
    table = np.ascontiguousarray(values, np.int16)
    table.setflags(write=False)  # it is cached and shared
    return table


def lookup(table: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Applies a table of 65,536 values to int16-ranged integers of any shape."""
    return table[np.asarray(x, np.int64) + 32768]


@functools.cache
def tflite_sigmoid_table() -> np.ndarray:
    """TFLite's sigmoid, Q3.12 to Q0.15.

    ``1 / (1 + exp(-|x|))`` in 16-bit fixed point; a negative x gives 32767 minus that; 0 gives
    16384 (exactly a half).
    """
    positive = fx.one_over_one_plus(fx.exp_on_negative_values(-np.abs(_INT16), 3, 16), 16)
    result = np.where(_INT16 > 0, positive, 32767 - positive)
    return _frozen(np.where(_INT16 == 0, 1 << 14, result))


@functools.cache
def tflite_tanh_table(integer_bits: int) -> np.ndarray:
    """TFLite's tanh, Q(integer_bits).(15-integer_bits) to Q0.15.

    ``(1 - e) / (1 + e)`` with ``e = exp(-2|x|)`` in 16-bit fixed point, mirrored; tanh(0) is 0.
    The gate's input is Q3.12 (3 integer bits); a cell of scale ``2**power`` has ``15 + power``.
    Beyond 0 to 6 TFLite computes nothing and leaves the output as it was: a ValueError here.
    """
    if not 0 <= integer_bits <= 6:
        raise ValueError(f"TFLite's tanh takes 0 to 6 integer bits, not {integer_bits}")
    # 2x is the same integer with one more integer bit.
    exp = fx.exp_on_negative_values(-np.abs(_INT16), integer_bits + 1, 16)
    return _frozen(np.sign(_INT16) * fx.one_minus_over_one_plus(exp, 16))


@functools.cache
def _tflm_sigmoid_samples() -> np.ndarray:
    """TFLM's one table: sigmoid(i / 24) for i = 0 ... 255 in unsigned Q0.16 (512 bytes of flash).

    Each sample is lifted by half of the largest error of the chord to the next,
    ``h**2 / 16 * |sigmoid''|`` with h = 1/24, which halves the interpolation's error; then rounded
    to nearest. The last is 65535. These are the runtime's 256 numbers.
    """
    sigmoid = 1 / (1 + np.exp(-np.arange(256) / 24))
    lift = sigmoid * (1 - sigmoid) * (2 * sigmoid - 1) / 24**2 / 16
    samples = np.floor(65536 * (sigmoid + lift) + 0.5).astype(np.int64)
    samples[-1] = 65535
    return samples


def _interpolate(magnitude, fraction_bits: int, saturated: int):
    """Linear interpolation in the sigmoid samples, unrounded: Q0.(16 + fraction_bits).

    From index 255 on (10.6 and above) the result is the constant ``saturated``.
    """
    samples = _tflm_sigmoid_samples()
    index = np.minimum(magnitude >> fraction_bits, 255)
    fraction = magnitude & ((1 << fraction_bits) - 1)
    low, high = samples[index], samples[np.minimum(index + 1, 255)]
    return np.where(index == 255, saturated, (low << fraction_bits) + fraction * (high - low))


@functools.cache
def tflm_sigmoid_table() -> np.ndarray:
    """TFLM's sigmoid, Q3.12 to Q0.15.

    ``|3x|`` splits into an index (its upper bits: real value times 24) and 9 bits to interpolate
    with; the result, Q0.25 for x >= 0 and ``2**25 - result`` for x < 0, is rounded to Q0.15
    by ``(r + 512) >> 10`` for x >= 0 and ``(r + 511) >> 10`` for x < 0, which makes
    ``sigmoid(x) + sigmoid(-x) = 32768`` exactly below saturation at 32767.
    """
    result = _interpolate(np.abs(3 * _INT16), 9, 0x7FFF << 10)
    return _frozen(np.where(_INT16 >= 0, result + 512, (1 << 25) - result + 511) >> 10)


@functools.cache
def tflm_tanh_table(integer_bits: int) -> np.ndarray:
    """TFLM's tanh, Q(integer_bits).(15-integer_bits) to Q0.15, as ``2 sigmoid(2x) - 1``.

    The input times 3 is brought to Q3.12 (index resolution 1/24): for 3 or more integer bits
    ``3x << (integer_bits - 3)``, else ``(3x + half) >> (3 - integer_bits)``, halves up. Its
    magnitude splits into an index and 8 bits to interpolate with; the result, Q0.24, less a half
    (2**23), mirrored for negative x, is rounded to Q0.15 by ``(r + 128) >> 8`` for x >= 0 and
    ``(r + 127) >> 8`` for x < 0. The integer bits are those of ``tflite_tanh_table``.
    """
    shift = integer_bits - 3
    scaled = (3 * _INT16) << shift if shift >= 0 else (3 * _INT16 + (1 << (-shift - 1))) >> -shift
    result = _interpolate(np.abs(scaled), 8, 0xFFFF << 8) - (1 << 23)
    return _frozen(np.where(scaled >= 0, result + 128, -result + 127) >> 8)
