"""Muon: momentum, orthogonalised; the warm-up of an LSTM needs fewer epochs than with Adam."""

import tensorflow as tf
import tf_keras as keras

_MOMENTUM = 0.95
_ITERATIONS = 5
# A quintic whose iteration takes every singular value to about 1, from the reference.
_A, _B, _C = 3.4445, -4.7750, 2.0315


def orthogonalised(matrix: tf.Tensor, dtype: str = "float32") -> tf.Tensor:
    """Returns about the nearest matrix whose singular values are all alike.

    A few Newton-Schulz iterations; the singular values come out between about 0.7 and 1.2, which
    is near enough for an update.

    Args:
        matrix: float32 [rows, columns].
        dtype: Type of the products, ``float32`` or ``bfloat16``.

    Returns:
        float32 [rows, columns].
    """
    wide = matrix.shape[0] <= matrix.shape[1]
    x = matrix / (tf.norm(matrix) + 1e-7)
    x = tf.cast(x if wide else tf.transpose(x), dtype)
    for _ in range(_ITERATIONS):
        square = tf.matmul(x, x, transpose_b=True)
        x = _A * x + tf.matmul(_B * square + _C * tf.matmul(square, square), x)
    x = tf.cast(x, matrix.dtype)
    return x if wide else tf.transpose(x)


@keras.utils.register_keras_serializable("kws_tf")
class Muon(keras.optimizers.Adam):
    """Muon for matrices, Adam for all else: biases, clips, the layers named.

    A matrix moves by ``learning_rate * 0.2 * sqrt(longer side)`` times its orthogonalised Nesterov
    momentum, about as far as with Adam, so that one learning rate serves both (Jordan et al.,
    Muon, https://kellerjordan.github.io/posts/muon; Liu et al., arXiv 2502.16982, section 2.2).

    Args:
        learning_rate: Number or schedule.
        adam_for: Parts of names of variables that Adam trains; the layer before the softmax
            usually is one.
        product_dtype: Type of the products that orthogonalise, ``float32`` or ``bfloat16``.
        name: Of the optimizer.
        **kwargs: As of ``tf_keras.optimizers.Adam``.
    """

    def __init__(
        self,
        learning_rate=0.006,
        adam_for: tuple[str, ...] = ("classifier",),
        product_dtype: str = "float32",
        name: str = "Muon",
        **kwargs,
    ):
        super().__init__(learning_rate, name=name, **kwargs)
        self.adam_for = tuple(adam_for)
        self.product_dtype = product_dtype

    def update_step(self, gradient, variable):
        """Updates one variable."""
        if len(variable.shape) != 2 or any(part in variable.name for part in self.adam_for):
            super().update_step(gradient, variable)
            return
        momentum = self._momentums[self._index_dict[self._var_key(variable)]]
        momentum.assign(_MOMENTUM * momentum + gradient)
        direction = orthogonalised(gradient + _MOMENTUM * momentum, self.product_dtype)
        step = tf.cast(self.learning_rate, variable.dtype) * 0.2 * max(variable.shape) ** 0.5
        variable.assign_sub(step * direction)

    def get_config(self):
        """Returns the arguments."""
        return super().get_config() | {
            "adam_for": self.adam_for,
            "product_dtype": self.product_dtype,
        }
