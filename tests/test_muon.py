"""Muon against its definition, and against Adam where it is to be Adam."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from kws_tf.training.muon import Muon, orthogonalised


@pytest.mark.parametrize("shape", [(40, 472), (118, 472), (64, 16)])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_singular_values_become_alike_and_vectors_stay(shape, dtype):
    matrix = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    matrix *= np.geomspace(1, 10, shape[1])
    result = orthogonalised(tf.constant(matrix), dtype).numpy()
    values = np.linalg.svd(result, compute_uv=False)
    assert 0.6 < values.min() <= values.max() < 1.3
    left, _, right = np.linalg.svd(matrix, full_matrices=False)
    alike = np.sum(result * (left @ right)) / np.sqrt(result.size and np.sum(result**2))
    assert alike / np.sqrt(min(shape)) > 0.95


def variables():
    rng = np.random.default_rng(1)
    shapes = {"kernel": (6, 8), "bias": (8,), "clip": (), "classifier/kernel": (8, 3)}
    return [
        tf.Variable(rng.normal(size=shape).astype(np.float32), name=name)
        for name, shape in shapes.items()
    ]


def steps(optimizer, number=3):
    trained = variables()
    for step in range(number):
        rng = np.random.default_rng(step)
        gradients = [tf.constant(rng.normal(size=v.shape).astype(np.float32)) for v in trained]
        optimizer.apply_gradients(zip(gradients, trained, strict=True))
    return [v.numpy() for v in trained]


def test_all_but_the_matrix_is_adams():
    ours, adams = steps(Muon(0.01)), steps(keras.optimizers.Adam(0.01))
    for one, other in zip(ours[1:], adams[1:], strict=True):
        np.testing.assert_array_equal(one, other)
    assert np.abs(ours[0] - adams[0]).max() > 1e-3


def test_first_step_of_a_matrix_has_the_stated_length():
    before, after = variables()[0].numpy(), steps(Muon(0.01), 1)[0]
    gradient = np.random.default_rng(0).normal(size=(6, 8)).astype(np.float32)
    direction = orthogonalised(tf.constant(gradient * 1.95)).numpy()
    np.testing.assert_allclose(before - after, 0.01 * 0.2 * 8**0.5 * direction, atol=1e-6)


def test_momentum_remembers_the_gradients():
    trained = tf.Variable(np.eye(4, dtype=np.float32), name="kernel")
    optimizer = Muon(0.1)
    optimizer.apply_gradients([(tf.eye(4), trained)])
    moved = trained.numpy().copy()
    optimizer.apply_gradients([(tf.zeros([4, 4]), trained)])
    assert np.all(np.diag(trained.numpy()) < np.diag(moved))


def test_reaches_the_minimum_and_keeps_its_settings():
    wanted = np.random.default_rng(2).normal(size=(10, 12)).astype(np.float32)
    trained = tf.Variable(tf.zeros([10, 12]), name="kernel")
    schedule = keras.optimizers.schedules.CosineDecay(0.3, 200)
    optimizer = Muon(schedule, product_dtype="bfloat16", global_clipnorm=1.0)
    optimizer = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert isinstance(optimizer, Muon)
    assert (optimizer.product_dtype, optimizer.adam_for) == ("bfloat16", ("classifier",))
    for _ in range(200):
        optimizer.apply_gradients([(trained - wanted, trained)])
    assert np.abs(trained.numpy() - wanted).mean() < 0.05
