"""Muon against its definition, and against Adam where it is to be Adam."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from kws_tf.training.optimizer import Muon, orthogonalised


@pytest.mark.parametrize("shape", [(40, 472), (118, 472), (64, 16)])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_singular_values_become_alike_and_vectors_stay(shape, dtype):
    matrix = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    matrix *= np.geomspace(1, 10, shape[1])
    result = orthogonalised(tf.constant(matrix), dtype).numpy()
    values = np.linalg.svd(result, compute_uv=False)
    assert 0.6 < values.min() <= values.max() < 1.3
    left, _, right = np.linalg.svd(matrix, full_matrices=False)
    alike = np.sum(result * (left @ right)) / np.sqrt(np.sum(result**2))
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


def test_a_step_moves_every_gate_as_far_and_takes_off_the_decay():
    before = variables()[0].numpy()
    after = steps(Muon(0.01, matrix_ratio=3.0, matrix_decay=0.5), 1)[0]
    gradient = np.random.default_rng(0).normal(size=(6, 8)).astype(np.float32)
    gates = [orthogonalised(tf.constant(part)).numpy() for part in np.split(gradient, 4, 1)]
    expected = before - 0.03 * (np.concatenate(gates, 1) + 0.5 * before)
    np.testing.assert_allclose(after, expected, atol=1e-6)


def test_several_matrices_at_once_are_as_one_by_one():
    matrices = np.random.default_rng(3).normal(size=(4, 20, 30)).astype(np.float32)
    together = orthogonalised(tf.constant(matrices)).numpy()
    for matrix, result in zip(matrices, together, strict=True):
        np.testing.assert_allclose(orthogonalised(tf.constant(matrix)).numpy(), result, atol=1e-5)


def test_the_decay_bounds_the_spectral_norm():
    """With the same gradient for ever a matrix would grow without end."""
    trained = tf.Variable(np.eye(8, dtype=np.float32), name="kernel")
    optimizer = Muon(0.1, matrix_ratio=1.0, matrix_decay=0.5, gates=1)
    gradient = tf.constant(np.random.default_rng(4).normal(size=(8, 8)).astype(np.float32))
    for _ in range(300):
        optimizer.apply_gradients([(gradient, trained)])
    largest = np.linalg.svd(trained.numpy(), compute_uv=False)[0]
    assert 1.0 < largest < 1.3 / 0.5


def test_the_momentum_is_nesterovs():
    first, second = np.random.default_rng(5).normal(size=(2, 4, 6)).astype(np.float32)
    trained = tf.Variable(tf.zeros([4, 6]), name="kernel")
    optimizer = Muon(0.01, matrix_ratio=1.0, gates=1, matrix_decay=0.0)
    optimizer.apply_gradients([(tf.constant(first), trained)])
    moved = trained.numpy().copy()
    optimizer.apply_gradients([(tf.constant(second), trained)])
    ahead = second + 0.95 * (0.95 * first + second)
    expected = moved - 0.01 * orthogonalised(tf.constant(ahead)).numpy()
    np.testing.assert_allclose(trained.numpy(), expected, atol=1e-5)


def test_reaches_the_minimum_and_keeps_its_settings():
    wanted = np.random.default_rng(2).normal(size=(10, 12)).astype(np.float32)
    trained = tf.Variable(tf.zeros([10, 12]), name="kernel")
    schedule = keras.optimizers.schedules.CosineDecay(0.3, 200)
    optimizer = Muon(schedule, 1.0, 0.0, gates=2, product_dtype="bfloat16", global_clipnorm=1.0)
    optimizer = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert isinstance(optimizer, Muon)
    kept = (optimizer.product_dtype, optimizer.adam_for, optimizer.gates, optimizer.matrix_decay)
    assert kept == ("bfloat16", ("classifier",), 2, 0.0)
    for _ in range(200):
        optimizer.apply_gradients([(trained - wanted, trained)])
    assert np.abs(trained.numpy() - wanted).mean() < 0.05
