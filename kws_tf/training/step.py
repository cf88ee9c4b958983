"""The training step: a batch in two halves, which run beside each other on two cores."""

from itertools import pairwise

import tensorflow as tf
import tf_keras as keras

from kws_tf.quantization import fused
from kws_tf.quantization.lstm import QuantizedLSTM


def compile_model(model: keras.Model, optimizer: keras.optimizers.Optimizer) -> None:
    """Compiles a model for ``fit``, with the step in halves if it has a ``QuantizedLSTM``.

    Another model, such as the teacher, keeps Keras' own step: batch normalisation needs the whole
    batch, and its convolutions use all cores by themselves.

    Args:
        model: From features, float32 [batch, frames, features], to logits, [batch, classes].
        optimizer: Of all its variables.
    """
    fused.start_compiler()
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=[keras.metrics.CategoricalAccuracy("accuracy")])
    # All variables before the step is traced: one that makes variables is traced twice.
    optimizer.build(model.trainable_variables)
    if any(isinstance(layer, QuantizedLSTM) for layer in model.layers):
        model.train_step = in_halves(model, loss)
    # Keras needs no AutoGraph, which would take some ten seconds to go through its code.
    plain = tf.autograph.experimental.do_not_convert
    model.train_step, model.test_step = plain(model.train_step), plain(model.test_step)


def in_halves(model: keras.Model, loss: keras.losses.Loss):
    """Returns a training step that computes the two halves of a batch beside each other.

    XLA runs an element-wise loop on one core; two halves keep two of them busy. The step is the
    same on every machine, with one core as well: the overflow penalty is taken from a sample of
    the examples that the layer is given, so a whole batch would have another sample and with it
    another loss.

    Each half's loss is the mean over its examples, plus the losses that its layers add. The loss
    of the batch is the mean of the two, weighted by their numbers of examples, so that a loss of
    the weights alone, such as the L2 penalty on clips, counts once.

    Args:
        model: A compiled model, in which every example is computed by itself.
        loss: Mean over a batch, from targets and outputs.

    Returns:
        A function to take the place of the model's ``train_step``: from (features, targets), of a
        batch size that is known when it is traced, to the metrics by name. A batch of one example
        stays whole.
    """

    @tf.function(autograph=False)
    def gradients_of(features, targets, batch):
        weight = features.shape[0] / batch
        with tf.GradientTape() as tape:
            outputs = model(features, training=True)
            of_layers = weight * tf.add_n([tf.zeros([], outputs.dtype), *model.losses])
            total = weight * loss(targets, outputs) + of_layers
        return tape.gradient(total, model.trainable_variables), outputs, of_layers

    def train_step(data):
        features, targets = data
        batch = features.shape[0]
        cuts = [0, batch // 2, batch] if batch > 1 else [0, batch]
        # Nothing but variables that both read joins the two, so the runtime may run them at once.
        results = [
            gradients_of(features[start:end], targets[start:end], batch)
            for start, end in pairwise(cuts)
        ]
        gradients, outputs, of_layers = zip(*results, strict=True)
        summed = [tf.add_n(parts) for parts in zip(*gradients, strict=True)]
        variables = model.trainable_variables
        model.optimizer.apply_gradients(zip(summed, variables, strict=True))
        outputs = tf.concat(outputs, 0)
        # Counts the loss for the metric of that name, with what the layers have added.
        model.compiled_loss(targets, outputs, regularization_losses=list(of_layers))
        return model.compute_metrics(features, targets, outputs, None)

    return train_step
