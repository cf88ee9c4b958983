"""The optimizer of a phase and its learning rates."""

import tf_keras as keras

from kws_tf.settings import TrainSettings
from kws_tf.training.muon import Muon


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
