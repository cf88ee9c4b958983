"""The 8-bit softmax of TensorFlow Lite's ``kernels/internal/reference/softmax.h``."""

import numpy as np

from kws_tf.quantization import fixed_point as fx


def softmax_int8(logits: np.ndarray, scale: float, beta: float = 1.0) -> np.ndarray:
    """8-bit softmax of TFLM and of TFLite's reference kernel, output scale 1/256, zero point -128.

    The difference to the largest logit becomes Q5.26, its exponential Q0.31; the exponentials are
    summed in Q12.19, the sum's reciprocal is a mantissa and a shift; the product is rounded
    halves away from zero. Differences that do not fit Q5.26 (below about -31) count as 0.
    TFLite's default kernel uses float32 instead.

    Args:
        logits: int8 ``[N, C]``, as the result.
        scale: Scale of the logits (float32 value).
        beta: Factor on the logits.

    Example:
        >>> softmax_int8(np.array([[0, 20, -60]], np.int8), 0.1).tolist()
        [[-97, 97, -128]]
    """
    factor = min(beta * float(scale) * (1 << 26), 2.0**31 - 1)
    multiplier = fx.quantize_multiplier(factor)
    shift = int(multiplier.shift)
    difference = logits.astype(np.int64) - logits.max(axis=-1, keepdims=True)
    counts = difference >= -((31 << 26) >> shift)
    exponent = fx.multiply_by_quantized_multiplier(np.where(counts, difference, 0), multiplier)
    exponential = np.where(counts, fx.exp_on_negative_values(exponent, 5, 32), 0)
    total = fx.rounding_divide_by_pot(exponential, 12).sum(axis=-1, keepdims=True)
    # total = (1 + x) * 2**exponent with x in [0, 1): one_over_one_plus takes x in Q0.31.
    bit_length = np.frexp(total.astype(np.float64))[1].astype(np.int64)
    reciprocal = fx.one_over_one_plus((total << (32 - bit_length)) - (1 << 31), 32)
    product = fx.rounding_doubling_high_mul(reciprocal, exponential, 32)
    # 31 bits to drop, less 8 to keep, and the sum's magnitude: 12 integer bits - leading zeros.
    result = fx.rounding_divide_by_pot(product, bit_length - 20 + 31 - 8)
    return np.where(counts, np.clip(result - 128, -128, 127), -128).astype(np.int8)
