"""Validation streams: what they hold, what counts as found, which epoch is kept."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from test_pipeline import LEVELS, examples

from kws_tf.data.spectrograms import Spectrograms
from kws_tf.errors import KwsError
from kws_tf.frontend.config import LogMel
from kws_tf.run_folder import FOUND, quality
from kws_tf.training import overheard, validation
from kws_tf.training.validation import ValidationStreams

STORED = LogMel(hop_ms=10.0)
UP, DOWN, SPEECH = 200, 170, 120
"""Levels, by which a model that looks at the loudest frame knows a word."""


def validation_examples(negatives, spoken=()):
    """Twenty examples of two words, each of its own level, over speech of another."""
    values = np.zeros((20, 98, 40), np.uint8)
    values[::2, 40:60], values[1::2, 40:60] = UP, DOWN
    spoken = np.array(spoken, np.int64).reshape(-1, 2)
    others = {"negatives": Spectrograms(negatives, STORED, 1, spoken=spoken)}
    return dataclasses.replace(examples(), values=values, keyword=np.arange(20) % 2, others=others)


def speech(frames=3000, said=()):
    made = np.full((frames, 40), SPEECH, np.uint8)
    for start in said:
        made[start : start + 20] = UP
    return made


def listener():
    """Classes silence, unknown, up, down, by the level of a window's loudest frame."""
    inputs = keras.Input((49, 40))

    def logits(features):
        level = tf.reduce_max(tf.reduce_mean(features, 2), 1)
        wanted = tf.constant([0.0, float(SPEECH), float(UP), float(DOWN)])
        return -tf.abs(level[:, None] - wanted)

    return keras.Model(inputs, keras.layers.Lambda(logits)(inputs))


def test_a_model_that_knows_the_words_finds_them_all():
    streams = ValidationStreams(validation_examples(speech()), LEVELS)
    assert streams.found(listener()) == 1.0
    assert "10 validation examples in quiet, 10 in running speech at 10 to 20 dB" in streams.text


def test_words_in_the_negatives_are_false_alarms_unless_the_teachers_heard_them():
    said = range(300, 2800, 250)
    of_alarms = ValidationStreams(validation_examples(speech(said=said)), LEVELS)
    assert of_alarms.found(listener()) == 0.0  # every threshold that finds a word has alarms
    windows = [(start - 39, start + 59) for start in said]
    excused = ValidationStreams(validation_examples(speech(said=said), windows), LEVELS)
    assert excused.found(listener()) == 1.0


def test_decisions_are_every_200_ms_on_windows_of_49_frames():
    streams = ValidationStreams(validation_examples(speech()), LEVELS)
    seen = []

    def decide(rows):
        seen.append(len(rows))
        return np.full((max(0, (len(rows) - 49) // 10 + 1), 4), -128, np.int8)

    from kws_tf.tflite.trigger import Trigger

    words, negatives = streams.heard(decide, Trigger())
    assert (len(words), len(negatives)) == (2, 1)
    assert seen[-1] == 1500  # 30 s of 20 ms hops
    assert words[0].step == pytest.approx(0.2)
    assert words[0].first == pytest.approx(0.99)
    assert words[0].seconds == pytest.approx(seen[0] * 0.02)


def test_the_best_epoch_finds_most_and_is_then_most_accurate():
    rows = [
        {"val_accuracy": 0.99, FOUND: 0.5},
        {"val_accuracy": 0.90, FOUND: 0.6},
        {"val_accuracy": 0.95, FOUND: 0.6},
    ]
    assert max(rows, key=quality) is rows[2]
    assert max([{"val_accuracy": 0.9}, {"val_accuracy": 0.95}], key=quality)["val_accuracy"] == 0.95


def test_windows_where_words_are_said_are_not_drawn():
    frames = np.zeros((2000, 40), np.uint8)
    frames[1000:1100] = 1
    recordings = Spectrograms(frames, STORED, 1, spoken=np.array([[1000, 1098], [1010, 1108]]))
    starts = np.random.default_rng(0).integers(0, 1900, (400, 8))
    drawn = recordings.drawn(starts, 98)
    assert drawn.shape == (400, 98, 40)
    assert (drawn[:, :, 0].sum(1) < 60).all()
    unmarked = dataclasses.replace(recordings, spoken=np.empty((0, 2), np.int64))
    assert (unmarked.drawn(starts, 98)[:, :, 0].sum(1) > 60).any()
    np.testing.assert_array_equal(
        unmarked.drawn(starts, 98), [frames[s : s + 98] for s in starts[:, 0]]
    )


def test_teachers_mark_what_they_are_sure_of(untrained, tmp_path, monkeypatch):
    from kws_tf.training import distillation

    monkeypatch.setattr(distillation, "FOLDER", tmp_path)
    monkeypatch.setattr(type(untrained), "load_model", lambda run, phase: sure_of_loud())
    frames = np.full((1200, 40), 100, np.uint8)
    frames[600:620] = 250
    recordings = Spectrograms(frames, STORED, 1, digest="some")
    marked = overheard.without_keywords(recordings, [untrained])
    assert len(marked.spoken)
    assert (marked.spoken[:, 0] <= 619).all()
    assert (marked.spoken[:, 1] > 600).all()
    assert (np.diff(marked.spoken, axis=1) == 48).all()  # its windows last 0.5 s
    monkeypatch.setattr(overheard, "_spoken", None)  # kept, not computed again
    again = overheard.without_keywords(recordings, [untrained])
    np.testing.assert_array_equal(again.spoken, marked.spoken)


def sure_of_loud():
    inputs = keras.Input((None, 40))

    def logits(features):
        loud = tf.reduce_max(features, [1, 2]) > 2.0
        return tf.where(loud[:, None], tf.constant([[0.0, 0.0, 9.0, 0.0]]), tf.zeros([1, 4]))

    return keras.Model(inputs, keras.layers.Lambda(logits)(inputs))


def test_a_run_without_negatives_has_no_streams(untrained):
    with pytest.raises(KwsError, match="was trained without negatives"):
        validation.of_run(untrained)
