"""Words laid into streams: where they are said to be, at the ratio asked for, from a seed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_run import write_wav

from kws_tf.audio.levels import active_power
from kws_tf.data.records import PUBLISHED, to_uint8
from kws_tf.errors import KwsError
from kws_tf.frontend.features import log_mel, mel_power
from kws_tf.listening import background, boundaries, streams

RATE = 16000
COUNT = 6
LABELS = ("up", "down") * (COUNT // 2)
NAMES = tuple(f"{n}.wav" for n in range(COUNT))


def example(number):
    """A word of 0.3 s, as loud and as late as its number, over faint noise."""
    rng = np.random.default_rng(number)
    samples = rng.normal(0, 1e-4, RATE)
    start = 3200 + 1600 * (number % 4)
    tone = np.sin(2 * np.pi * (400 + 200 * number) * np.arange(4800) / RATE)
    samples[start : start + 4800] += 0.02 * (1 + number) * tone
    return samples.astype(np.float32)


def truth(number):
    start = 0.2 + 0.1 * (number % 4)
    return start, start + 0.3


def whole(pieces):
    pieces = list(pieces)
    values = np.concatenate([piece.values for piece in pieces])
    return values, [word for piece in pieces for word in piece.words]


def audio(plan, below=None):
    return whole(streams.sample_stream(example, LABELS, NAMES, plan, RATE, below))


@pytest.fixture
def hiss(tmp_path):
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{n}.wav" for n in range(3)]
    for path, loudness, seconds in zip(paths, (0.01, 0.05, 0.2), (2.0, 3.7, 5.0), strict=True):
        write_wav(path, rng.normal(0, loudness, round(seconds * RATE)))
    return paths


# --- The plan.


def test_every_example_once_with_drawn_gaps():
    plan = streams.plan(1000, 3, (5.0, 20.0))
    assert sorted(p.example for p in plan.placed) == list(range(1000))
    gaps = np.array([p.gap for p in plan.placed]) / 100
    ratios = np.array([p.snr_db for p in plan.placed])
    for values, low, high in ((gaps, 0.5, 2.5), (ratios, 5, 20)):
        assert low <= values.min() < low + 0.1 * (high - low)
        assert high >= values.max() > high - 0.1 * (high - low)
    assert plan == streams.plan(1000, 3, (5.0, 20.0)) != streams.plan(1000, 4, (5.0, 20.0))
    with pytest.raises(KwsError, match="above the highest"):
        streams.plan(2, 0, (3.0, 2.0))


# --- Words within examples.


@given(st.integers(0, 60), st.integers(3, 38), st.floats(-30, 30), st.floats(-50, -20))
def test_the_word_is_found_by_energy(first, length, level_db, noise_db):
    power = np.full(98, 10 ** (noise_db / 10))
    power[first : first + length] = 1
    power *= 10 ** (level_db / 10)
    assert boundaries.word_frames(power) == (first, first + length - 1)


def test_pauses_are_within_the_word_and_clicks_without():
    power = np.full(98, 1e-6)
    power[30:40] = power[55:60] = 1.0  # 0.15 s apart
    power[90] = 0.5
    assert boundaries.word_frames(power) == (30, 59)


def test_without_a_word_to_be_told_it_is_all():
    assert boundaries.word_frames(np.ones(98)) == (0, 97)
    assert boundaries.word_seconds(boundaries.frame_power(np.ones(100), RATE)) == (0, 0.03)


@pytest.mark.parametrize("number", range(COUNT))
def test_both_renders_find_the_same_word(number):
    samples = example(number)
    of_samples = boundaries.word_seconds(boundaries.frame_power(samples, RATE))
    spectrogram = mel_power(log_mel(samples, PUBLISHED), PUBLISHED).numpy()
    of_mel = boundaries.word_seconds(spectrogram.sum(1))
    assert of_samples == pytest.approx(truth(number), abs=0.031)
    assert of_mel == pytest.approx(truth(number), abs=0.031)


def test_the_active_mean_leaves_pauses_out():
    tone = 0.1 * np.sin(np.arange(5 * RATE))
    paused = np.concatenate([tone, np.zeros(5 * RATE)])
    for samples in (tone, paused):
        mean = boundaries.active_mean(boundaries.frame_power(samples, RATE))
        assert mean == pytest.approx(0.005, rel=0.02)
        assert mean == pytest.approx(active_power(samples[None], RATE)[0], rel=0.1)
    assert boundaries.active_mean(np.zeros(5)) == 0


# --- Audio.


def test_words_are_where_they_are_said_to_be():
    plan = streams.plan(COUNT, 1)
    values, words = audio(plan)
    assert values.dtype == np.int16
    begins = 0
    for placed, word in zip(plan.placed, words, strict=True):
        begins += placed.gap * 160
        assert (word.label, word.name) == (LABELS[placed.example], NAMES[placed.example])
        start, end = (begins / RATE + at for at in truth(placed.example))
        assert (word.start, word.end) == pytest.approx((start, end), abs=0.031)
        added = values[begins : begins + RATE] / 32768 - example(placed.example)
        assert np.abs(added).max() < 0.003  # the example is there, and quiet noise
        begins += RATE
    assert len(values) == begins + 2.5 * RATE
    last = values[-RATE:] / 32768
    assert 10 * np.log10(np.mean(last**2)) == pytest.approx(streams.QUIET_DBFS, abs=0.5)


def test_the_same_seed_gives_the_same_stream(hiss):
    def made(seed):
        plan = streams.plan(COUNT, seed, (0.0, 20.0))
        return audio(plan, background.of_files(hiss, RATE, seed))

    (one, words), (again, same), (other, _) = made(5), made(5), made(6)
    np.testing.assert_array_equal(one, again)
    assert words == same
    assert len(one) != len(other) or not np.array_equal(one, other)


def test_the_ratio_is_the_one_asked_for(hiss):
    plan = streams.plan(COUNT, 2, (-5.0, 20.0))
    values, _ = audio(plan, background.of_files(hiss, RATE, 2))
    begins = 0
    for placed in plan.placed:
        begins += placed.gap * 160
        speech = example(placed.example)
        noise = values[begins : begins + RATE] / 32768 - speech
        ratio = active_power(speech[None], RATE)[0] / np.mean(noise**2)
        assert 10 * np.log10(ratio) == pytest.approx(placed.snr_db, abs=0.5)
        begins += RATE


def test_a_background_takes_all_recordings_before_one_again(hiss):
    endless = background.of_files(hiss, RATE, 0)
    values = np.concatenate([endless.take(n) for n in (1, 7000, 100000, 64199)])
    lengths = [2 * RATE, round(3.7 * RATE), 5 * RATE]
    assert len(values) == sum(lengths)  # once all
    assert np.mean(values**2) == pytest.approx(1, rel=0.05)
    again = endless.take(len(values))
    np.testing.assert_array_equal(np.sort(values), np.sort(again))  # all, in whatever order


def test_what_cannot_be_mixed_is_refused(tmp_path, hiss):
    plan = streams.plan(COUNT, 0)
    silent = streams.sample_stream(lambda n: np.zeros(RATE, np.float32), LABELS, NAMES, plan, RATE)
    with pytest.raises(KwsError, match="holds nothing but zeros"):
        list(silent)
    write_wav(tmp_path / "zeros.wav", np.zeros(RATE))
    with pytest.raises(KwsError, match=r"zeros.wav holds nothing but zeros"):
        background.of_files([tmp_path / "zeros.wav"], RATE, 0)
    with pytest.raises(KwsError, match="nothing but silence"):
        background.of_mel_power([np.zeros((50, 40), np.float32)], 0)


# --- Mel power.


@pytest.fixture(scope="module")
def records():
    return to_uint8(log_mel(np.stack([example(n) for n in range(COUNT)]), PUBLISHED), PUBLISHED)


def spectrogram(records, plan, hop_ms=20.0, below=None):
    return whole(streams.mel_stream(records.numpy(), LABELS, NAMES, plan, PUBLISHED, hop_ms, below))


def test_both_renders_agree(records):
    """Frames within an example, and words; an example of a record is two frames shorter."""
    plan = streams.plan(COUNT, 1)
    values, words = audio(plan)
    rows, mel_words = spectrogram(records, plan, 10.0)
    assert rows.dtype == np.float32
    of_audio, at_audio, at_rows = log_mel(values / np.float32(32768), PUBLISHED).numpy(), 0, 0
    for placed, word, mel_word in zip(plan.placed, words, mel_words, strict=True):
        at_audio, at_rows = at_audio + placed.gap, at_rows + placed.gap
        one, other = of_audio[at_audio : at_audio + 98], rows[at_rows : at_rows + 98]
        loud = one > -4
        assert np.abs(one - other)[loud].max() < 0.2  # nats; 0.05 of it rounding to 8 bits
        assert mel_word.start - at_rows / 100 == pytest.approx(
            word.start - at_audio / 100, abs=0.031
        )
        at_audio, at_rows = at_audio + 100, at_rows + 98
    assert len(rows) == at_rows + 250
    quiet = [of_audio[-100:].mean(), rows[-100:].mean()]
    assert quiet[0] == pytest.approx(quiet[1], abs=0.2)


def test_the_hop_takes_every_second_frame(records):
    plan = streams.plan(COUNT, 4)
    every, words = spectrogram(records, plan, 10.0)
    second, same = spectrogram(records, plan, 20.0)
    np.testing.assert_array_equal(second, every[::2])
    assert words == same
    with pytest.raises(KwsError, match="no multiple"):
        spectrogram(records, plan, 15.0)


def test_the_ratio_of_mel_power(records):
    rng = np.random.default_rng(0)
    noise = [rng.exponential(level, (n, 40)).astype(np.float32) for level, n in ((3, 90), (9, 400))]
    plan = streams.plan(COUNT, 7, (-5.0, 15.0))
    rows, _ = spectrogram(records, plan, 10.0, background.of_mel_power(noise, 7))
    power, begins = mel_power(rows, PUBLISHED).numpy().sum(1), 0
    for placed in plan.placed:
        begins += placed.gap
        stored = log_mel(example(placed.example), PUBLISHED)
        speech = mel_power(stored, PUBLISHED).numpy().sum(1)
        below = power[begins : begins + 98] - speech
        ratio = boundaries.active_mean(speech) / below[speech < 0.1 * speech.max()].mean()
        assert 10 * np.log10(ratio) == pytest.approx(placed.snr_db, abs=0.7)
        begins += 98


def test_a_silent_record_is_refused(records):
    with pytest.raises(KwsError, match="is silent"):
        spectrogram(0 * records, streams.plan(COUNT, 0))
