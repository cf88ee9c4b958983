"""Recordings of running speech: files, transcripts, voices, levels."""

import itertools
import wave

import numpy as np
import pytest

from kws_tf.audio.speech_commands import PARTITIONS
from kws_tf.synthesis import running_speech
from kws_tf.synthesis.dataset import make_dataset
from kws_tf.synthesis.running_speech import SECONDS, Talk, plan_talks, render_talk
from kws_tf.synthesis.sentences import lexicon_without
from kws_tf.synthesis.settings import SynthesisSettings
from kws_tf.synthesis.voices import VARIANTS, cast

SMALL = SynthesisSettings(
    *(("no", "lights on"), ()), per_word=20, noise_seconds=1, speech_minutes=(0.7, 0.3, 0.5)
)


@pytest.fixture(scope="module")
def of_small():
    return lexicon_without(SMALL.words)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("speech") / "set", SMALL, 2) / "running_speech"


def samples_of(path):
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 16_000)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32_768


def transcripts(folder):
    lines = (folder / "transcripts.tsv").read_text(encoding="utf-8").splitlines()
    return dict(line.split("\t") for line in lines)


def test_transcripts_match_the_recordings(folder, of_small):
    assert {path.name for path in folder.iterdir()} == set(PARTITIONS)
    texts = {}
    for partition, number in zip(PARTITIONS, (3, 2, 2), strict=True):
        there = transcripts(folder / partition)
        assert list(there) == [f"{partition}-{n:05d}" for n in range(number)]
        files = {path.name for path in (folder / partition).iterdir()}
        assert files == {"transcripts.tsv", *(f"{name}.wav" for name in there)}
        texts |= there
    assert len(set(texts.values())) == len(texts) == len(plan_talks(SMALL))
    for text in texts.values():
        assert not of_small.holds_keyword(text)
        assert 15 < len(text.split()) < 90


def test_as_long_as_asked_for_and_as_loud_as_words(folder):
    for partition, minutes in zip(PARTITIONS, SMALL.speech_minutes, strict=True):
        recordings = [samples_of(path) for path in (folder / partition).glob("*.wav")]
        seconds = [len(samples) / 16_000 for samples in recordings]
        assert sum(seconds) >= 60 * minutes
        assert SECONDS <= min(seconds) <= max(seconds) < 35
        for samples in recordings:
            assert -45 < 10 * np.log10(np.mean(samples**2)) < -6
            energy = np.mean(samples[: len(samples) // 160 * 160].reshape(-1, 160) ** 2, axis=1)
            # Much of it is speech, which is louder than the pauses.
            assert np.percentile(energy, 60) > 3 * np.percentile(energy, 2)


class Engine:
    """Says everything as two seconds of a tone, and keeps what was asked for."""

    sample_rate = 22_050

    def __init__(self):
        self.calls = []

    def speak(self, text, voice, rate, pitch, pitch_range):
        self.calls.append((text, voice, rate, pitch, pitch_range))
        return np.sin(np.arange(2 * self.sample_rate) / 8)


@pytest.mark.parametrize("partition", PARTITIONS)
def test_another_voice_of_the_partition_for_each_sentence(partition, of_small):
    engine, speakers = Engine(), cast(SMALL)[partition]
    samples, text = render_talk(engine, SMALL, speakers, of_small, Talk(partition, 0))
    assert len(samples) >= SECONDS * 16_000
    assert np.abs(samples).max() <= 1
    assert text == " ".join(running_speech.plain(text) for text, *_ in engine.calls)
    voices = [voice for _, voice, *_ in engine.calls]
    assert len(voices) > 4
    variants = set(itertools.chain(*VARIANTS[partition]))
    assert {voice.split("+")[1] for voice in voices} <= variants
    if len(speakers) > 1:
        assert all(a != b for a, b in itertools.pairwise(voices))
    assert set(voices) <= {speaker.voice for speaker in speakers}


def test_a_recording_depends_on_its_name_alone(of_small):
    speakers = cast(SMALL)["training"]
    first, second, other = (
        render_talk(Engine(), SMALL, speakers, of_small, Talk("training", number))
        for number in (3, 3, 4)
    )
    np.testing.assert_array_equal(first[0], second[0])
    assert first[1] == second[1] != other[1]


@pytest.mark.parametrize(
    ("minutes", "numbers"), [((30, 15, 15), (120, 60, 60)), ((0.01, 0.25, 0.26), (1, 1, 2))]
)
def test_how_many_recordings(minutes, numbers):
    talks = plan_talks(SynthesisSettings(speech_minutes=minutes))
    assert tuple(sum(talk.partition == p for talk in talks) for p in PARTITIONS) == numbers
    assert len({talk.name for talk in talks}) == len(talks)
