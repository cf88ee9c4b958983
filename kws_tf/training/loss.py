"""The loss: cross-entropy of logits that allow for how often training shows a class."""

import numpy as np
import tensorflow as tf
import tf_keras as keras


@keras.utils.register_keras_serializable("kws_tf")
class PriorCrossentropy(keras.losses.Loss):
    """Cross-entropy of logits plus the logarithm of each class's surplus.

    Where most of a batch is unknown, a model learns to expect it. With this it learns what the
    examples alone would teach it to expect (Menon et al., Long-tail learning via logit adjustment,
    arXiv 2007.07314, equation 10).

    Args:
        surplus: Of each class, by which factor it is more frequent than it is to be expected.
        name: Of the loss.

    Example:
        >>> loss = PriorCrossentropy([1.0, 3.0])
        >>> round(float(loss([[1.0, 0.0]], [[0.0, 0.0]])), 3)  # log 4 instead of log 2
        1.386
    """

    def __init__(self, surplus, name: str = "prior_crossentropy"):
        super().__init__(name=name)
        self.surplus = [float(factor) for factor in surplus]

    def call(self, targets, logits):
        """Returns the loss of each example, float32 [batch]."""
        logits = tf.convert_to_tensor(logits)
        logits += tf.constant(np.log(self.surplus), logits.dtype)
        return keras.losses.categorical_crossentropy(targets, logits, from_logits=True)

    def get_config(self) -> dict:
        """Returns what restores the loss."""
        return {"surplus": self.surplus, "name": self.name}
