"""Sigmoid and tanh as the runtimes compute them, for simulation in training.

``ideal`` is the exact function, rounded afterwards by the signal's quantizer.
"""

import tensorflow as tf

ACTIVATIONS = {
    "ideal": (tf.sigmoid, tf.tanh),
}
