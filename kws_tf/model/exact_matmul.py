"""Products of fake-quantized tensors without float rounding."""

import tensorflow as tf


def exact_matmul(x, w, x_scale, w_scale, bias=None):
    """Multiplies integers, then scales: what an integer kernel does before it rounds.

    float32 sums of integers are exact below 2^24, which 8-bit operands stay under for up to
    1,032 terms; the same sum over real values would be off in its last bits, and now and then
    on the wrong side of a rounding.

    Args:
        x: float32 [batch, n]; integers times ``x_scale``.
        w: float32 [n, m]; integers times ``w_scale``.
        x_scale: float32 scalar, or ``None`` if x is not quantized.
        w_scale: float32 [m] or scalar, or ``None`` if w is not quantized.
        bias: float32 [m], added as an int32 of scale ``x_scale * w_scale``; optional.

    Returns:
        float32 [batch, m], real values. Gradients are those of ``x @ w + bias``; the scales
        have none.
    """
    if x_scale is None or w_scale is None:
        product = tf.matmul(x, w)
        return product if bias is None else product + bias

    bias = tf.zeros([w.shape[1]]) if bias is None else bias

    @tf.custom_gradient
    def forward(x, w, bias):
        scale = x_scale * w_scale
        total = tf.matmul(tf.round(x / x_scale), tf.round(w / w_scale)) + tf.round(bias / scale)

        def gradient(upstream):
            return (
                tf.matmul(upstream, w, transpose_b=True),
                tf.matmul(x, upstream, transpose_a=True),
                tf.reduce_sum(upstream, 0),
            )

        return total * scale, gradient

    return forward(x, w, bias)
