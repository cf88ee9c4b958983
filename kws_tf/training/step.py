"""The training step: a batch in two halves, which run beside each other on two cores."""

import os

import tensorflow as tf
import tf_keras as keras

from kws_tf.quantization import fused
from kws_tf.quantization.lstm import QuantizedLSTM

Batch = tuple[tf.Tensor, tf.Tensor]


def compile_model(
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    loss: keras.losses.Loss | None = None,
) -> None:
    """Compiles a model for ``fit``, with the step in halves if it has a ``QuantizedLSTM``.

    The loss is of logits, by default their cross-entropy.

    Another model, such as the teacher, keeps Keras' own step: batch normalisation needs the whole
    batch, and its convolutions use all cores by themselves.
    """
    fused.start_compiler()
    loss = loss or keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=[keras.metrics.CategoricalAccuracy("accuracy")])
    # All variables before the step is traced: one that makes variables is traced twice.
    optimizer.build(model.trainable_variables)
    if any(isinstance(layer, QuantizedLSTM) for layer in model.layers):
        model.train_step = step_in_parts(model, loss, parts if two_loops_pay() else whole)
    # Keras needs no AutoGraph, which would take some ten seconds to go through its code.
    plain = tf.autograph.experimental.do_not_convert
    model.train_step, model.test_step = plain(model.train_step), plain(model.test_step)


def two_loops_pay() -> bool:
    """Returns whether two halves train faster; makes TensorFlow look for its devices.

    XLA runs an element-wise loop on one core, so two halves keep two cores busy. One core, or a
    GPU, is faster with the whole batch.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    config = tf.config.threading
    pools = config.get_intra_op_parallelism_threads(), config.get_inter_op_parallelism_threads()
    fewest = min(cores or 1, *(threads or cores or 1 for threads in pools))  # 0 means all cores
    return fewest > 1 and not tf.config.list_logical_devices("GPU")


def parts(features: tf.Tensor, targets: tf.Tensor) -> list[Batch]:
    """Cuts a batch in two; the second half is the larger one of an odd number."""
    half = features.shape[0] // 2
    cuts = (slice(None, half), slice(half, None)) if half else (slice(None),)
    return [(features[cut], targets[cut]) for cut in cuts]


def whole(features: tf.Tensor, targets: tf.Tensor) -> list[Batch]:
    """Leaves a batch whole, in an order that gives it the loss that its halves have.

    The layer takes its overflow penalty from the first quarter of the examples that it is given.
    So those come first that are in the first quarter of a half. A batch whose size is no multiple
    of 8 has other numbers of them, and is cut in two.
    """
    quarter, left = divmod(features.shape[0], 8)
    if left:
        return parts(features, targets)
    sizes = [quarter, 3 * quarter, quarter, 3 * quarter]
    pieces = (tf.split(values, sizes) for values in (features, targets))
    return [tuple(tf.concat([one[0], one[2], one[1], one[3]], 0) for one in pieces)]


def step_in_parts(model: keras.Model, loss: keras.losses.Loss, cut=parts):
    """Returns a training step that computes parts of a batch beside each other.

    Each part's loss is the mean over its examples, plus the losses that its layers add. The loss
    of the batch is the mean over the parts, weighted by their numbers of examples, so that a loss
    of the weights alone, such as the L2 penalty on clips, counts once.

    Args:
        model: A compiled model, in which every example is computed by itself.
        loss: Mean over a batch, from targets and outputs.
        cut: Features and targets to parts, ``parts`` or ``whole``; the loss is the same.

    Returns:
        A ``train_step`` for the model: from (features, targets), of a batch size that is known
        when it is traced, to the metrics by name.
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
        pieces = cut(*data)
        # Nothing but variables that all read joins them, so the runtime may run them at once.
        results = [gradients_of(*piece, data[0].shape[0]) for piece in pieces]
        gradients, outputs, of_layers = zip(*results, strict=True)
        summed = [tf.add_n(of_parts) for of_parts in zip(*gradients, strict=True)]
        model.optimizer.apply_gradients(zip(summed, model.trainable_variables, strict=True))
        outputs = tf.concat(outputs, 0)
        targets = tf.concat([targets for _, targets in pieces], 0)
        # Counts the loss for the metric of that name, with what the layers have added.
        model.compiled_loss(targets, outputs, regularization_losses=list(of_layers))
        return model.compute_metrics(None, targets, outputs, None)

    return train_step
