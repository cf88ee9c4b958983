"""Products of fake-quantized tensors without float rounding, requantized as the runtimes do."""

import tensorflow as tf


def away_from_zero(dtype) -> float:
    """Returns a factor just above 1: ``tf.round`` then takes halves away from zero, not to even."""
    return 1.0 + 2.0 ** (-22 if dtype == tf.float32 else -44)


def requantization(factor):
    """Splits a real factor, 2^-24 to 2^8, into the ``first`` and ``second`` of ``requantize``.

    Both runtimes multiply an int32 by a 31-bit mantissa and round, halves up, then divide by a
    power of two and round again, halves away from zero (``MultiplyByQuantizedMultiplier`` with
    double rounding, in TFLite's ``kernels/internal/common.h``). For a factor of 1/2 or more the
    second step does nothing; below, a quarter and more of the values that a single rounding would
    get differ.

    Example:
        >>> first, second = requantization(tf.constant(0.1, tf.float64))
        >>> requantize(tf.constant([-15.0, 14.0, 15.0], tf.float64), first, second).numpy()
        array([-2.,  1.,  2.])
    """
    # frexp's exponent by counting, exact where a logarithm is not: 2^(e-1) <= factor < 2^e.
    two = tf.constant(2.0, factor.dtype)
    powers = tf.constant([2.0**n for n in range(-24, 9)], factor.dtype)
    exponent = tf.reduce_sum(tf.cast(factor[..., None] >= powers, factor.dtype), -1) - 24.0
    # The multiplier has 31 bits; float32 has fewer, which this leaves as they are.
    factor = tf.round(factor * tf.pow(two, 31.0 - exponent)) * tf.pow(two, exponent - 31.0)
    right = tf.nn.relu(-exponent)
    return factor * tf.pow(two, right), tf.pow(two, -right) * away_from_zero(factor.dtype)


def requantize(total, first, second):
    """Rounds integers twice, to another scale.

    In float64 the result is the runtimes' for every int32 total and factor of which the product
    fits 53 bits: for every sum of products of int8 in a model. float32 holds 24 bits: where the
    product needs more, a result may be the other neighbour. Nothing is saturated.
    """
    product = total * first
    if product.dtype == tf.float64:
        return tf.round(tf.floor(product + 0.5) * second)
    # In float32 nearly all halves come of the product's own rounding; they have no right side.
    return tf.round(tf.round(product) * second)


def integer_totals(x, w, x_scale, w_scale, bias=None):
    """Multiplies integers, given as in ``exact_matmul``; returns integers, float32 [batch, m].

    float32 sums of integers are exact below 2^24, which 8-bit operands stay under for up to
    1,032 terms; the same sum over real values would be off in its last bits, and now and then
    on the wrong side of a rounding.

    The gradient that comes back must be that of the real number ``total * x_scale * w_scale``, not
    of the total; those of x, w and bias are then those of ``x @ w + bias``. So what scales the
    total must pass the gradient on as it is.
    """
    bias = tf.zeros([w.shape[1]], x.dtype) if bias is None else bias

    @tf.custom_gradient
    def forward(x, w, bias):
        total = tf.matmul(tf.round(x / x_scale), tf.round(w / w_scale))

        def gradient(upstream):
            # Its sum over the batch as a product, which takes a fraction of ``reduce_sum``'s time.
            ones = tf.ones([1, tf.shape(upstream)[0]], x.dtype)
            return (
                tf.matmul(upstream, w, transpose_b=True),
                tf.matmul(x, upstream, transpose_a=True),
                tf.matmul(ones, upstream)[0],
            )

        return total + tf.round(bias / (x_scale * w_scale)), gradient

    return forward(x, w, bias)


def exact_matmul(x, w, x_scale, w_scale, bias=None, result_scale=None, factor_dtype=None):
    """Multiplies integers, then scales: what an integer kernel does.

    Args:
        x: float32 [batch, n]; integers times ``x_scale``.
        w: float32 [n, m]; integers times ``w_scale``.
        x_scale: float32 scalar, or ``None`` if x is not quantized.
        w_scale: float32 [m], or ``None`` if w is not quantized.
        bias: float32 [m], added as an int32 of scale ``x_scale * w_scale``; optional.
        result_scale: Scale the result is requantized to, rounded twice; ``None`` leaves it
            unrounded.
        factor_dtype: Type in which the runtime multiplies the scales; that of x when ``None``.

    Returns:
        float32 [batch, m], real values, not saturated. Gradients are those of ``x @ w + bias``;
        the scales have none.
    """
    if x_scale is None or w_scale is None:
        product = tf.matmul(x, w)
        return product if bias is None else product + bias

    @tf.custom_gradient
    def scaled(total):
        scale = x_scale * w_scale
        if result_scale is None:
            result = total * scale
        else:
            step = tf.cast(result_scale, total.dtype)
            factor = tf.cast(tf.cast(scale / step, factor_dtype or total.dtype), total.dtype)
            result = requantize(total, *requantization(factor)) * step
        return result, lambda upstream: upstream  # as integer_totals wants it

    return scaled(integer_totals(x, w, x_scale, w_scale, bias))
