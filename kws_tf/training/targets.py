"""What a model is trained towards: smoothed labels, or soft targets."""

from collections.abc import Callable

import tensorflow as tf


def smoothed_targets(classes: int, smoothing: float) -> Callable:
    """Returns a function (features, labels, soft targets if any) -> (features, targets).

    Soft targets, where there are any, are the targets (Hinton et al., Distilling the Knowledge in
    a Neural Network, arXiv 1503.02531, at temperature 1); elsewhere the smoothed labels are.

    Args:
        classes: Number of classes.
        smoothing: Label smoothing.
    """

    def targets(features, labels, soft_targets=None):
        if soft_targets is not None:
            return features, tf.cast(soft_targets, tf.float32)
        return features, tf.one_hot(labels, classes) * (1 - smoothing) + smoothing / classes

    return targets
