"""What a Keras model computes, in batches."""

import numpy as np
import tensorflow as tf
import tf_keras as keras

_BATCH = 256


def compute(model: keras.Model, inputs: np.ndarray) -> list[np.ndarray]:
    """Returns a model's outputs for inference.

    The values are those of ``predict``, whose tracing of Keras' own loop takes seconds a model.
    There must be one input at least; each output is an array [examples, ...].
    """
    compiled = tf.function(
        lambda batch: model(batch, training=False),
        input_signature=[tf.TensorSpec([None, *inputs.shape[1:]], model.inputs[0].dtype)],
        autograph=False,
    )
    batches = (inputs[start : start + _BATCH] for start in range(0, len(inputs), _BATCH))
    parts = [tf.nest.flatten(compiled(batch)) for batch in batches]
    return [np.concatenate(column) for column in zip(*parts, strict=True)]
