"""The training step in halves: the loss and the gradient of the whole batch."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from kws_tf.models import spotter
from kws_tf.models.teacher import build_teacher
from kws_tf.training import step

CLASSES, RATE = 4, 1e-3
LOSS = keras.losses.CategoricalCrossentropy(from_logits=True)


def sample(size, dtype="float64"):
    rng = np.random.default_rng(size)
    features = rng.normal(size=(size, 6, 5)).astype(dtype)
    return features, np.eye(CLASSES, dtype=dtype)[rng.integers(0, CLASSES, size)]


def float_model():
    keras.utils.set_random_seed(0)
    return spotter.build_float(6, 5, 4, CLASSES)


def quantized_model():
    """One whose hidden products leave Q3.12, so that the layer adds its penalty."""
    keras.utils.set_random_seed(0)
    model = spotter.build_quantized(
        6, 5, 4, CLASSES, clip_l2=0.1, overflow_penalty=3.0, dtype="float64"
    )
    cell = model.get_layer(spotter.LSTM).cell
    cell.recurrent_kernel.assign(cell.recurrent_kernel * 60.0)
    for gate in "ifco":
        cell.clip(f"recurrent_{gate}").assign(40.0)
    return model


def trained(model, features, targets, steps=1, two_cores=True):
    """Weights after some steps of gradient descent, and the metrics of the last one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(step, "two_loops_pay", lambda: two_cores)
        step.compile_model(model, keras.optimizers.SGD(RATE))
    for _ in range(steps):
        metrics = model.train_step((tf.constant(features), tf.constant(targets)))
    return model.get_weights(), {name: float(value) for name, value in metrics.items()}


@pytest.mark.parametrize(
    ("build", "size", "two_cores"),
    [
        (float_model, 1, True),
        (float_model, 17, True),
        (quantized_model, 16, True),
        (quantized_model, 16, False),
        (quantized_model, 18, False),
    ],
)
def test_the_loss_depends_neither_on_parts_nor_on_cores(build, size, two_cores):
    """It is that of the whole; what layers add is the weighted mean of the halves'."""
    model = build()
    before = model.get_weights()
    features, targets = sample(size, model.input.dtype.name)
    cut = size // 2
    halves = [features[:cut], features[cut:]] if cut else [features]
    with tf.GradientTape() as tape:
        of_layers = sum(len(half) / size * tf.add_n(losses(model, half)) for half in halves)
        total = LOSS(targets, model(features, training=True)) + of_layers
    variables = model.trainable_variables
    gradients = tape.gradient(total, variables)
    keras.optimizers.SGD(RATE).apply_gradients(zip(gradients, variables, strict=True))
    expected = model.get_weights()

    weights, metrics = trained(build(), features, targets, two_cores=two_cores)
    assert metrics["loss"] == pytest.approx(float(total), rel=1e-6)
    tolerance = 1e-6 if build is quantized_model else 1e-3  # of float32
    for start, mine, theirs in zip(before, weights, expected, strict=True):
        moved = np.max(np.abs(theirs - start))
        np.testing.assert_allclose(mine, theirs, atol=tolerance * moved + 1e-12)
    if build is quantized_model:
        assert float(of_layers) > 1.0  # there is a penalty to compare


@pytest.mark.parametrize(("size", "lengths"), [(16, [16]), (18, [9, 9]), (1, [1])])
def test_one_core_takes_the_whole_batch_if_that_is_the_same(size, lengths):
    features = tf.range(size)
    pieces = step.whole(features, 10 * features)
    assert [len(piece) for piece, _ in pieces] == lengths
    assert sorted(np.concatenate([piece for piece, _ in pieces])) == list(range(size))
    for piece, targets in pieces:
        np.testing.assert_array_equal(targets, 10 * piece)
    if size == 16:
        assert list(pieces[0][0].numpy()[:4]) == [0, 1, 8, 9]


def test_two_loops_pay_where_there_are_two_cores(monkeypatch):
    for cores in ({0}, {0, 1}):
        monkeypatch.setattr(step.os, "sched_getaffinity", lambda _, cores=cores: cores)
        assert step.two_loops_pay() == (len(cores) > 1)
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [kind])
    assert not step.two_loops_pay()


def losses(model, features):
    model(features, training=True)
    return [tf.zeros([], model.input.dtype), *model.losses]


def test_a_loss_of_the_weights_alone_counts_once():
    inputs = keras.Input((6, 5))
    hidden = spotter.QuantizedLSTM(4, None, name=spotter.LSTM)(inputs)
    outputs = keras.layers.Dense(CLASSES, kernel_initializer="zeros", use_bias=False)(hidden)
    model = keras.Model(inputs, outputs)
    model.add_loss(lambda: tf.constant(5.0))
    _, metrics = trained(model, *sample(9, "float32"))
    assert metrics["loss"] == pytest.approx(5.0 + np.log(CLASSES), rel=1e-6)


def test_metrics_are_those_of_keras():
    features, targets = sample(10, "float32")
    _, metrics = trained(float_model(), features, targets, steps=3)
    model = float_model()
    model.compile(keras.optimizers.SGD(RATE), LOSS, metrics=["accuracy"])
    model.train_step = tf.autograph.experimental.do_not_convert(model.train_step)
    batches = tf.data.Dataset.from_tensors((features, targets)).repeat(3)
    history = model.fit(batches, epochs=1, verbose=0).history
    assert metrics == pytest.approx({name: value for name, (value,) in history.items()}, rel=1e-5)


def test_halves_do_not_wait_for_each_other(monkeypatch):
    monkeypatch.setattr(step, "two_loops_pay", lambda: True)
    model = float_model()
    step.compile_model(model, keras.optimizers.Adam())
    batches = iter(tf.data.Dataset.from_tensors(sample(8, "float32")).repeat())
    model.make_train_function()(batches)
    assert model.train_tf_function.experimental_get_tracing_count() == 1
    graph = model.train_tf_function.get_concrete_function(batches).graph
    halves = [op for op in graph.get_operations() if op.type == "StatefulPartitionedCall"]
    assert len(halves) == 2
    assert halves[0].get_attr("f").name == halves[1].get_attr("f").name  # traced once
    for half, other in (halves, halves[::-1]):
        assert other not in ancestors(half)


def ancestors(operation):
    """All operations that run before one."""
    found, waiting = set(), [operation]
    while waiting:
        one = waiting.pop()
        before = {tensor.op for tensor in one.inputs} | set(one.control_inputs)
        waiting += before - found
        found |= before
    return found


def test_batch_normalisation_takes_the_whole_batch(monkeypatch):
    monkeypatch.setattr(step, "step_in_parts", None)
    model = build_teacher(8, 8, CLASSES)
    step.compile_model(model, keras.optimizers.SGD(RATE))
