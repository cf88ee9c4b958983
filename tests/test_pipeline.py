"""Batches: what an epoch holds, its order and chance, and normalisation."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from kws_tf.data import pipeline
from kws_tf.data.sources import Examples, keyword_indices
from kws_tf.errors import KwsError
from kws_tf.frontend.config import LogMel, front_end
from kws_tf.labels import KEYWORDS, class_names
from kws_tf.settings import Augmentation, DataSettings

WORDS = ("up", "down")
OFF = Augmentation.off()
DATA = DataSettings(words=WORDS, unknown_share=0.25, silence_share=0.2)


def examples(keywords=40, unknown=30, noise=5):
    """Spectrograms of one level each, so that an example is known by its mean feature.

    Keyword examples have the levels 1 to ``keywords``, unknown ones those after, noise has 0.
    """
    levels = np.arange(1, keywords + unknown + 1, dtype=np.uint8)
    values = np.tile(levels[:, None, None], (1, 98, 40))
    keyword = np.concatenate([np.arange(keywords) % 2, np.full(unknown, -1)]).astype(np.int64)
    silence = np.zeros((noise, 98, 40), np.uint8)
    return Examples(values, keyword, silence, WORDS, LogMel(hop_ms=10.0))


# Features that are the levels.
LEVELS = front_end("logmel40").normalised([-14.65] * 40, [0.1] * 40)


def epoch(batches):
    """The levels and labels of the next epoch, [batches * batch size] each."""
    features, labels = zip(*batches.dataset.take(batches.steps).as_numpy_iterator(), strict=True)
    features = np.concatenate(features)
    assert features.dtype == np.float32
    assert features.shape[1:] == (49, 40)
    return np.rint(features.mean((1, 2))).astype(int), np.concatenate(labels)


def batches(source=None, batch_size=2, seed=0, first_epoch=0, augmentation=OFF, data=DATA):
    source = source or examples()
    return pipeline.training_batches(
        source, LEVELS, data, augmentation, batch_size, seed, first_epoch
    )


def test_an_epoch_has_what_it_should():
    made = batches()  # 40 keyword, 10 unknown, 8 silent examples
    assert (made.steps, made.examples) == (29, 58)
    levels, labels = epoch(made)
    keyword = levels[labels >= 2]
    assert sorted(keyword) == list(range(1, 41))
    np.testing.assert_array_equal(labels[labels >= 2], 2 + (keyword - 1) % 2)
    unknown = levels[labels == 1]
    assert len(unknown) == len(set(unknown)) == 10
    assert set(unknown) <= set(range(41, 71))
    assert list(levels[labels == 0]) == [0] * 8


@settings(max_examples=50, deadline=None)
@given(st.floats(0, 2), st.floats(0, 2), st.integers(1, 30), st.integers(0, 40))
def test_shares(unknown_share, silence_share, keywords, unknown):
    data = DataSettings(words=WORDS, unknown_share=unknown_share, silence_share=silence_share)
    # Before batches are made of it, which takes longer than all else.
    source = examples(keywords, unknown)
    drawn = pipeline._draw_epoch(source, data, tf.constant([0, 0], tf.int64))
    position, noise, labels, silence = (column.numpy() for column in drawn)
    assert np.sum(labels >= 2) == keywords
    assert np.sum(labels == 1) == min(unknown, round(unknown_share * keywords))
    assert np.sum(labels == 0) == round(silence_share * keywords)
    np.testing.assert_array_equal(silence, labels == 0)
    np.testing.assert_array_equal(source.keyword[position][labels == 1], -1)
    assert np.all((noise >= 0) & (noise < len(source.noise)))


def test_each_epoch_is_drawn_and_shuffled_anew():
    made = batches()
    first, second = epoch(made), epoch(batches(first_epoch=1))
    assert set(first[0][first[1] == 1]) != set(second[0][second[1] == 1])
    assert list(first[0]) != list(second[0])


def test_same_seed_same_batches_and_resumed_is_uninterrupted():
    make = {"augmentation": Augmentation(), "batch_size": 8}
    steps = batches(**make).steps
    once = list(batches(**make).dataset.take(3 * steps).as_numpy_iterator())
    again = list(batches(**make).dataset.take(3 * steps).as_numpy_iterator())
    resumed = list(batches(first_epoch=2, **make).dataset.take(steps).as_numpy_iterator())
    for left, right in zip(once + once[2 * steps :], again + resumed, strict=True):
        np.testing.assert_array_equal(left[0], right[0])
        np.testing.assert_array_equal(left[1], right[1])
    other = next(batches(seed=1, **make).dataset.as_numpy_iterator())
    assert np.any(other[0] != once[0][0])
    # The same examples meet other augmentation in the next epoch.
    assert not {x.tobytes() for x, _ in once[:steps]} & {x.tobytes() for x, _ in once[steps:]}


def test_epochs_are_made_once_and_repeated():
    made = []

    def batch_after_batch():
        while True:
            made.append(np.random.default_rng(len(made)).normal(size=(2, 49, 40)))
            yield made[-1], np.full(2, len(made))

    types = tf.TensorSpec([2, 49, 40], tf.float32), tf.TensorSpec([2], tf.int64)
    dataset = tf.data.Dataset.from_generator(batch_after_batch, output_signature=types)
    alone = tf.data.Options()
    alone.autotune.enabled = False  # which would make batches ahead
    dataset = dataset.with_options(alone)
    again = pipeline.repeated_epochs(pipeline.Batches(dataset, steps=2, examples=4), epochs=3)
    repeated = list(again.take(15).as_numpy_iterator())
    assert len(made) == 6
    for number, (features, labels) in enumerate(repeated):
        assert features.dtype == np.float32
        np.testing.assert_allclose(features, made[number % 6], rtol=2**-10, atol=1e-6)
        np.testing.assert_array_equal(labels, number % 6 + 1)


def test_the_remainder_of_an_epoch_is_left_out():
    made = batches(batch_size=25)
    assert (made.steps, made.examples) == (2, 50)
    assert [len(y) for _, y in made.dataset.take(5).as_numpy_iterator()] == [25] * 5


def test_fewer_examples_than_a_batch():
    with pytest.raises(KwsError, match="58 training examples, fewer than a batch of 59"):
        batches(batch_size=59)


def test_without_noise():
    source = examples(noise=0)
    levels, labels = epoch(batches(source, augmentation=Augmentation(gain_db=0, warp=0)))
    assert not np.any(labels == 0)
    assert np.all(np.isfinite(levels))
    levels, labels = epoch(batches(source))
    assert sorted(levels[labels >= 2]) == list(range(1, 41))


def test_without_unknown_words():
    _, labels = epoch(batches(examples(unknown=0)))
    assert set(labels) == {0, 2, 3}


def test_validation_set_is_fixed():
    first, labels = pipeline.fixed_set(examples(), LEVELS, DATA)
    second, again = pipeline.fixed_set(examples(), LEVELS, DATA)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(labels, again)
    levels = np.rint(first.mean((1, 2)))
    np.testing.assert_array_equal(levels[:40], np.arange(1, 41))
    np.testing.assert_array_equal(labels, [2, 3] * 20 + [1] * 10 + [0] * 8)
    np.testing.assert_array_equal(levels[50:], 0)


def test_samples_and_their_normalisation():
    rng = np.random.default_rng(0)
    samples = (rng.normal(size=(30, 16000)) * 3000).astype(np.int16)
    noise = (rng.normal(size=(4, 16000)) * 3000).astype(np.int16)
    source = Examples(samples, np.arange(30) % 3 - 1, noise, WORDS, None)
    for name in ("logmel40", "mfcc10", "hello_edge"):
        fitted = pipeline.fit_normalisation(source, front_end(name))
        assert dataclasses.replace(fitted, mean=(), std=()) == front_end(name)
        data = DataSettings(words=WORDS, unknown_share=0.5, silence_share=0)
        features, _ = pipeline.fixed_set(source, fitted, data)
        assert np.all(abs(features.mean((0, 1))) < 0.2)
        assert np.all(abs(features.std((0, 1)) - 1) < 0.2)
    made = pipeline.training_batches(source, fitted, data, Augmentation(), 10, 0)
    x, y = next(made.dataset.as_numpy_iterator())
    assert x.shape == (10, fitted.frames, fitted.features)
    assert np.all(np.isfinite(x))
    assert set(y) <= {1, 2, 3}


def test_normalisation_of_spectrograms():
    source = examples(4, 3)
    source = dataclasses.replace(
        source, values=np.random.default_rng(0).integers(0, 256, (7, 98, 40), dtype=np.uint8)
    )
    fitted = pipeline.fit_normalisation(source, front_end("logmel40"))
    values = source.values[:, ::2].astype(np.float64).reshape(-1, 40) / 10 - 14.65
    np.testing.assert_allclose(fitted.mean, values.mean(0), atol=1e-3)
    np.testing.assert_allclose(fitted.std, values.std(0), atol=1e-3)
    constant = pipeline.fit_normalisation(
        dataclasses.replace(source, values=source.values * 0), front_end("logmel40")
    )
    assert min(constant.std) > 0


def test_label_order():
    assert class_names() == ("_silence_", "_unknown_", *KEYWORDS)
    assert class_names(["b", "a"]) == ("_silence_", "_unknown_", "b", "a")


@pytest.mark.parametrize("words", [(), ("up", "up"), ("up", ""), ("_silence_",), ("_unknown_",)])
def test_bad_word_lists(words):
    with pytest.raises(KwsError, match="list of words"):
        class_names(words)
    with pytest.raises(KwsError, match="list of words"):
        keyword_indices(np.array(["up"]), words, "folder")


def test_missing_word_is_named():
    spoken = np.array(["up", "cat", "down"])
    np.testing.assert_array_equal(keyword_indices(spoken, WORDS, "folder"), [0, -1, 1])
    with pytest.raises(KwsError, match="of the word 'left' in the folder; it has: cat, do"):
        keyword_indices(spoken, ("up", "left"), "folder")
