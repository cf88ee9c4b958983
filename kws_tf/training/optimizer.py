"""The optimizer of a phase, Adam or Muon, and its learning rates."""

import tensorflow as tf
import tf_keras as keras

from kws_tf.settings import TrainSettings

_MOMENTUM = 0.95
_ITERATIONS = 5
# A quintic whose iteration takes every singular value to about 1, from the reference.
_A, _B, _C = 3.4445, -4.7750, 2.0315


def orthogonalised(matrices: tf.Tensor, dtype: str = "float32") -> tf.Tensor:
    """Returns about the nearest matrices, [..., rows, columns], with singular values all alike.

    A few Newton-Schulz iterations, with products of type ``dtype``; the singular values come out
    between about 0.7 and 1.2, which is near enough for an update.
    """
    wide = matrices.shape[-2] <= matrices.shape[-1]
    x = matrices / (tf.norm(matrices, axis=[-2, -1], keepdims=True) + 1e-7)
    x = tf.cast(x if wide else tf.linalg.matrix_transpose(x), dtype)
    for _ in range(_ITERATIONS):
        square = tf.matmul(x, x, transpose_b=True)
        x = _A * x + tf.matmul(_B * square + _C * tf.matmul(square, square), x)
    x = tf.cast(x, matrices.dtype)
    return x if wide else tf.linalg.matrix_transpose(x)


@keras.utils.register_keras_serializable("kws_tf")
class Muon(keras.optimizers.Adam):
    """Muon for the matrices of an LSTM, Adam for all else: biases, clips, the layers named.

    Each gate's matrix moves by its orthogonalised Nesterov momentum times a rate (Jordan et al.,
    Muon, https://kellerjordan.github.io/posts/muon). Such an update is as large in every
    direction, so that without decay (Liu et al., Muon is Scalable for LLM Training, arXiv
    2502.16982, section 2.2) a recurrent matrix grows until training diverges. As an update's norm
    is about 1, that of a gate stays below about ``1 / matrix_decay``.

    Args:
        learning_rate: Number or schedule, Adam's.
        matrix_ratio: Rate of the matrices, the spectral norm of an update, relative to it.
        matrix_decay: Decay of the matrices: a step takes their rate times this of them off.
        adam_for: Parts of names of variables that Adam trains; the layer before the softmax
            usually is one.
        gates: Matrices that lie side by side in a variable.
        product_dtype: Type of the products that orthogonalise, ``float32`` or ``bfloat16``.
        name: Of the optimizer.
        **kwargs: As of ``tf_keras.optimizers.Adam``.
    """

    def __init__(
        self,
        learning_rate=0.003,
        matrix_ratio: float = 7.0,
        matrix_decay: float = 0.05,
        adam_for: tuple[str, ...] = ("classifier",),
        gates: int = 4,
        product_dtype: str = "float32",
        name: str = "Muon",
        **kwargs,
    ):
        super().__init__(learning_rate, name=name, **kwargs)
        self.matrix_ratio, self.matrix_decay = matrix_ratio, matrix_decay
        self.adam_for, self.gates = tuple(adam_for), gates
        self.product_dtype = product_dtype

    def update_step(self, gradient, variable):
        """Updates one variable."""
        if len(variable.shape) != 2 or any(part in variable.name for part in self.adam_for):
            super().update_step(gradient, variable)
            return
        momentum = self._momentums[self._index_dict[self._var_key(variable)]]
        momentum.assign(_MOMENTUM * momentum + gradient)
        matrices = tf.stack(tf.split(gradient + _MOMENTUM * momentum, self.gates, axis=1))
        direction = tf.concat(tf.unstack(orthogonalised(matrices, self.product_dtype)), 1)
        rate = self.matrix_ratio * tf.cast(self.learning_rate, variable.dtype)
        variable.assign_sub(rate * (direction + self.matrix_decay * variable))

    def get_config(self):
        """Returns the arguments."""
        return super().get_config() | {
            name: getattr(self, name)
            for name in ("matrix_ratio", "matrix_decay", "adam_for", "gates", "product_dtype")
        }


def optimizer(settings: TrainSettings, phase: str, learning_rate) -> keras.optimizers.Optimizer:
    """Makes the optimizer of a phase; fine-tuning always has Adam."""
    options = {"learning_rate": learning_rate, "global_clipnorm": 1.0}
    if phase == "float" and settings.optimizer == "muon":
        return Muon(product_dtype=settings.product_dtype, **options)
    return keras.optimizers.Adam(**options)


def learning_rates(
    peak: float, epochs: int, steps: int
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Returns a phase's schedule: to ``peak`` over its first epoch, to 1 % at its end."""
    return keras.optimizers.schedules.CosineDecay(
        0.0,
        max(1, epochs - 1) * steps,  # Keras counts from the end of the rise
        alpha=0.01,
        warmup_target=peak,
        warmup_steps=steps,
    )
