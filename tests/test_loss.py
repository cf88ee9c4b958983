"""The loss allows for how much more often training shows a class."""

import dataclasses

import numpy as np
import pytest
import tf_keras as keras
from test_other_speech import with_others
from test_pipeline import DATA, examples

from kws_tf.data import other_speech
from kws_tf.training.loss import PriorCrossentropy


def test_without_surplus_it_is_cross_entropy():
    logits = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    targets = np.eye(4, dtype=np.float32)[[0, 1, 2, 3, 1]]
    plain = keras.losses.CategoricalCrossentropy(from_logits=True)
    assert float(PriorCrossentropy([1] * 4)(targets, logits)) == pytest.approx(
        float(plain(targets, logits)), abs=1e-6
    )


def test_the_best_logits_are_those_of_the_task_without_the_surplus():
    """A class shown three times as often: the frequencies of the task minimise the loss."""
    task = np.array([0.5, 0.25, 0.25])
    shown = task * [1, 3, 1] / np.sum(task * [1, 3, 1])
    loss = PriorCrossentropy([1, 3, 1])
    at = float(loss(shown[None], np.log(task)[None]))
    for step in np.eye(3) * 0.01:
        assert at < float(loss(shown[None], (np.log(task) + step)[None]))
        assert at < float(loss(shown[None], (np.log(task) - step)[None]))


def test_it_is_saved_and_restored():
    loss = PriorCrossentropy([1.0, 2.5])
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert isinstance(again, PriorCrossentropy)
    assert again.surplus == [1.0, 2.5]


def test_surplus_counts_what_joins_the_batch():
    # 40 keyword, 10 unknown and 8 silent examples; in a batch of 29 there are 5 and 4.
    data = dataclasses.replace(DATA, negative_share=20 / 29, noise_windows=4 / 29)
    found = other_speech.surplus(with_others(negatives=9, noise=9), data, 29, 4)
    np.testing.assert_allclose(found, [2.0, 5.0, 1.0, 1.0])
    np.testing.assert_allclose(other_speech.surplus(examples(), DATA, 29, 4), 1.0)
