"""What joins the examples of a batch: windows of other recordings, keywords cut in half."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tensorflow as tf
from test_pipeline import DATA, LEVELS, OFF, examples

from kws_tf.data import augment, other_speech, pipeline, spectrograms
from kws_tf.errors import KwsError
from kws_tf.frontend.config import LogMel
from kws_tf.labels import SILENCE_INDEX, UNKNOWN_INDEX
from kws_tf.settings import Augmentation

STORED = LogMel(hop_ms=10.0)


def recordings(level, frames=400):
    """Recordings of one level, so that their windows are known by it."""
    return spectrograms.Spectrograms(np.full((frames, 40), level, np.uint8), STORED, 1)


def with_others(**kinds):
    found = {kind: recordings(level) for kind, level in kinds.items()}
    return dataclasses.replace(examples(), others=found)


def first(source, data=DATA, augmentation=OFF, seed=0, first_step=0):
    made = other_speech.batches(source, LEVELS, data, augmentation, 8, seed, first_step)
    features, labels = next(iter(made.as_numpy_iterator()))
    return np.rint(features.mean((1, 2))).astype(int), labels


def test_nothing_joins_where_there_is_nothing():
    assert other_speech.batches(examples(), LEVELS, DATA, OFF, 8, 0) is None


def test_every_kind_has_its_share_and_its_label():
    data = dataclasses.replace(DATA, negative_share=0.5, noise_windows=0.25, alarm_share=0.125)
    levels, labels = first(with_others(negatives=100, noise=150, alarms=200), data)
    assert levels.tolist() == [100] * 4 + [150] * 2 + [200]
    assert labels.tolist() == [UNKNOWN_INDEX] * 4 + [SILENCE_INDEX] * 2 + [UNKNOWN_INDEX]


def test_pauses_are_no_negatives_but_may_be_noise():
    frames = np.full((4000, 40), 50, np.uint8)
    frames[500:1000] = np.where(np.arange(500) % 40 < 20, 50, 120)[:, None]  # somebody speaks
    kinds = {kind: spectrograms.Spectrograms(frames, STORED, 1) for kind in ("negatives", "noise")}
    source = dataclasses.replace(examples(), others=kinds)
    data = dataclasses.replace(DATA, negative_share=8.0, noise_windows=8.0)
    levels, labels = first(source, data)
    assert (levels[labels == UNKNOWN_INDEX] > 55).mean() > 0.5
    assert (levels[labels == SILENCE_INDEX] == 50).mean() > 0.7


def test_windows_are_drawn_anew_and_follow_from_seed_and_step():
    frames = np.repeat(np.arange(200, dtype=np.uint8), 40)[:, None].repeat(40, 1)
    source = dataclasses.replace(
        examples(), others={"negatives": spectrograms.Spectrograms(frames, STORED, 1)}
    )
    made = other_speech.batches(source, LEVELS, DATA, OFF, 8, 0)
    batches = [values for values, _ in made.take(3).as_numpy_iterator()]
    assert len({batch.tobytes() for batch in batches}) == 3
    resumed = other_speech.batches(source, LEVELS, DATA, OFF, 8, 0, first_step=2)
    np.testing.assert_array_equal(next(iter(resumed.as_numpy_iterator()))[0], batches[2])
    other = other_speech.batches(source, LEVELS, DATA, OFF, 8, 1)
    assert np.any(next(iter(other.as_numpy_iterator()))[0] != batches[0])


def test_a_window_has_speech_to_its_ends_whatever_speed_and_shift():
    wild = dataclasses.replace(OFF, speed=0.5, shift_ms=500.0)
    levels = np.concatenate(
        [first(with_others(negatives=100), seed=s, augmentation=wild)[0] for s in range(4)]
    )
    assert set(levels) == {100}


def test_recordings_shorter_than_a_window_are_refused():
    source = dataclasses.replace(examples(), others={"negatives": recordings(100, frames=90)})
    with pytest.raises(KwsError, match=r"^there are 0\.9 s of negatives"):
        other_speech.batches(source, LEVELS, DATA, OFF, 8, 0)


def test_speech_too_short_to_put_words_into_is_refused():
    source = dataclasses.replace(examples(), others={"negatives": recordings(100, frames=90)})
    settings = dataclasses.replace(OFF, context_share=1.0)
    with pytest.raises(KwsError, match=r"^there are 0\.9 s of negatives"):
        pipeline.training_batches(source, LEVELS, DATA, settings, 8, 0)


def test_cut_words_are_unknown_and_little_is_left():
    data = dataclasses.replace(DATA, cut_share=1.0)
    _, labels = first(examples(), data)
    assert labels.tolist() == [UNKNOWN_INDEX] * 8
    word = np.zeros((200, 98, 40), np.uint8)
    word[:, 30:70] = np.arange(100, 140, dtype=np.uint8)[:, None]  # 40 frames, each its own level
    word[:, 45] = 160
    parts = augment.cut_in_half(tf.constant(word), [0, 1]).numpy()[:, :, 0]
    held = [part[part > 0] for part in parts]
    # Frames within 2.5 nats of the loudest are the word: those from 135 up, and the loudest.
    assert {len(values) > 0 for values in held} == {True}
    enters = np.array([part[-1] > 0 for part in parts])
    leaves = np.array([part[0] > 0 for part in parts])
    assert np.all(enters != leaves)
    assert 60 < enters.sum() < 140


def test_a_word_of_known_length_is_cut_to_a_fifth_to_two_fifths():
    word = np.full((300, 98, 40), 5, np.uint8)
    word[:, 30:70] = 150
    parts = augment.cut_in_half(tf.constant(word), [3, 4]).numpy()[:, :, 0]
    left = (parts == 150).sum(1)
    assert left.min() >= 8
    assert left.max() <= 16
    assert len(set(left.tolist())) > 4


def test_a_word_in_running_speech_is_5_to_25_db_louder():
    word = tf.fill([500, 49, 40], 2.0)
    speech = tf.fill([500, 49, 40], 6.0)
    settings = dataclasses.replace(OFF, context_share=0.5)
    mixed = augment.in_speech(word, speech, [0, 1], settings, LogMel()).numpy()[:, 0, 0]
    added = np.expm1(mixed - 2.0)  # power, relative to the word's
    chosen = added > 1e-4
    assert 0.4 < chosen.mean() < 0.6
    decibels = -10 * np.log10(added[chosen])
    assert 5 <= decibels.min() < 7
    assert 23 < decibels.max() <= 25.01


def test_batches_put_words_into_the_negatives():
    source = with_others(negatives=200)
    settings = dataclasses.replace(OFF, context_share=1.0)
    made = pipeline.training_batches(source, LEVELS, DATA, settings, 8, 0)
    alone = pipeline.training_batches(source, LEVELS, DATA, OFF, 8, 0)
    louder, plain = (next(iter(b.dataset.as_numpy_iterator()))[0].mean() for b in (made, alone))
    assert louder > plain


def test_spectrograms_are_those_of_the_whole_recording_and_computed_once(tmp_path, monkeypatch):
    from kws_tf.data.records import to_uint8
    from kws_tf.frontend.features import log_mel

    samples = np.random.default_rng(0).normal(0, 0.1, 40_000).astype(np.float32)
    folder = tmp_path / "speech" / "deep"
    folder.mkdir(parents=True)
    soundfile.write(folder / "a.wav", samples, 16_000, "FLOAT")
    partition = spectrograms.partition_of(folder / "a.wav")
    found = spectrograms.load([tmp_path / "speech"], partition, LogMel(), tmp_path / "cache")
    expected = to_uint8(log_mel(samples, STORED), STORED).numpy()
    np.testing.assert_array_equal(found.frames, expected)
    assert found.recordings == 1
    assert found.hours == pytest.approx(len(expected) / 360_000)
    monkeypatch.setattr(spectrograms, "_write", None)
    again = spectrograms.load([tmp_path / "speech"], partition, LogMel(), tmp_path / "cache")
    np.testing.assert_array_equal(again.frames, expected)


def test_an_alarm_is_in_the_partition_of_its_recording():
    for number in range(20):
        cut = Path(f"0001_lights on_0.912_{number}-7-0001_12.34s.wav")
        assert spectrograms.partition_of(cut) == spectrograms.partition_of(
            Path(f"{number}-1-0003.ogg")
        )


def test_partitions_share_no_speaker(tmp_path):
    folder = tmp_path / "speech"
    folder.mkdir()
    for speaker in range(40):
        for utterance in range(2):
            name = f"{speaker}-{utterance}-0000.wav"
            soundfile.write(folder / name, np.full(1600, speaker / 100), 16_000, "PCM_16")
    levels = {
        partition: set(
            np.unique(spectrograms.load([folder], partition, LogMel(), tmp_path).frames[:, 0])
        )
        for partition in ("training", "validation")
    }
    numbers = [
        spectrograms.load([folder], partition, LogMel(), tmp_path).recordings
        for partition in ("training", "validation")
    ]
    assert sum(numbers) == 80
    assert min(numbers) > 4
    assert {number % 2 for number in numbers} == {0}
    assert len(levels) == 2


def test_recordings_of_a_year_are_not_one_speakers():
    days = {spectrograms.partition_of(Path(f"2026-11-{day:02}.wav")) for day in range(1, 31)}
    assert days == {"training", "validation"}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda place: None, "does not exist"),
        (lambda place: place.mkdir(), "has no recordings"),
        (lambda place: (place.mkdir(), (place / "a.wav").write_bytes(b"RIFF")), "a.wav"),
    ],
)
def test_bad_folders_are_refused(tmp_path, make, message):
    place = tmp_path / "speech"
    make(place)
    with pytest.raises(KwsError, match=message):
        spectrograms.load([place], "training", LogMel(), tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*.u8"))


def test_augmentation_reaches_the_windows():
    settings = Augmentation(gain_db=12.0, noise_share=0.0, time_masks=0, band_masks=0)
    source = with_others(negatives=100)
    made = other_speech.batches(source, LEVELS, DATA, settings, 64, 0)
    features, _ = next(iter(made.as_numpy_iterator()))
    assert features.mean((1, 2)).std() > 5
