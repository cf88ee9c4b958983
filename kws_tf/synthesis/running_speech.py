"""Recordings of running speech by the data set's voices, without keywords: negatives.

``running_speech/`` has a folder a partition, each with recordings of over a quarter of a minute and
``transcripts.tsv``: the name of each recording (without ``.wav``), a tab, its words.
"""

import itertools
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.fft import next_fast_len

from kws_tf.audio.speech_commands import PARTITIONS
from kws_tf.synthesis.engine import Espeak
from kws_tf.synthesis.rendering import in_room, manner, recorded, tilted
from kws_tf.synthesis.sentences import Lexicon, plain, sentence
from kws_tf.synthesis.settings import SynthesisSettings
from kws_tf.synthesis.signals import generator, resampled, unit_rms, wav_bytes
from kws_tf.synthesis.voices import Speaker, cast

RUNNING_SPEECH_FOLDER = "running_speech"
TRANSCRIPTS = "transcripts.tsv"
SECONDS = 15.0
"""Of a recording, at least: the last sentence is spoken to its end."""
_PAUSE = (0.15, 0.8)
"""Seconds after a sentence."""


class Talk(NamedTuple):
    """A recording to make: some people who speak a sentence each, one after the other."""

    partition: str
    number: int

    @property
    def name(self) -> str:
        """Name of the recording, without ``.wav``."""
        return f"{self.partition}-{self.number:05d}"


def plan_talks(settings: SynthesisSettings) -> list[Talk]:
    """Returns every recording of running speech."""
    return [
        Talk(partition, number)
        for partition, minutes in zip(PARTITIONS, settings.speech_minutes, strict=True)
        for number in range(math.ceil(60 * minutes / SECONDS))
    ]


def write_talks(
    settings: SynthesisSettings, lexicon: Lexicon, talks: list[Talk], folder: Path
) -> list[str]:
    """Writes recordings into their partitions' folders, which are there; returns their texts."""
    espeak, speakers, texts = Espeak(), cast(settings), []
    for talk in talks:
        samples, text = render_talk(espeak, settings, speakers[talk.partition], lexicon, talk)
        content = wav_bytes(samples, settings.sample_rate)
        (folder / talk.partition / f"{talk.name}.wav").write_bytes(content)
        texts.append(text)
    return texts


def write_transcripts(folder: Path, texts: dict[Talk, str]) -> None:
    """Writes each partition's table of names and texts."""
    for partition in PARTITIONS:
        of_it = sorted(talk for talk in texts if talk.partition == partition)
        lines = [f"{talk.name}\t{texts[talk]}\n" for talk in of_it]
        (folder / partition / TRANSCRIPTS).write_text("".join(lines), encoding="utf-8")


def render_talk(
    espeak: Espeak,
    settings: SynthesisSettings,
    speakers: list[Speaker],
    lexicon: Lexicon,
    talk: Talk,
) -> tuple[np.ndarray, str]:
    """Makes one recording, float64 in -1..1, and its text; its name and the seed decide all."""
    rng = generator(settings.seed, RUNNING_SPEECH_FOLDER, talk.name)
    pieces, texts, length = [], [], 0
    for index in itertools.cycle(rng.permutation(len(speakers))):
        text = sentence(rng, lexicon, before=texts[-1] if texts else "")
        pieces.append(_spoken(rng, espeak, settings, speakers[index], text))
        texts.append(plain(text))
        length += len(pieces[-1])
        if length >= settings.samples(SECONDS):
            break
    speech = _at_fast_length(np.concatenate(pieces))
    samples = recorded(rng, settings, unit_rms(speech))
    return samples, " ".join(texts)


def _spoken(
    rng: np.random.Generator,
    espeak: Espeak,
    settings: SynthesisSettings,
    speaker: Speaker,
    text: str,
) -> np.ndarray:
    """Returns a sentence and the pause after it [n], its speech of unit RMS, perhaps in a room."""
    spoken = espeak.speak(text, speaker.voice, *manner(rng, speaker))
    spoken = _at_fast_length(spoken)
    length = len(spoken) * settings.sample_rate / espeak.sample_rate / speaker.size
    # Lengths of which FFTs are fast (others take ten times as long): voices change by 4 % at most.
    spoken = resampled(spoken, next_fast_len(round(length), real=True) / len(spoken))
    tilted(rng, settings, spoken)
    spoken = np.pad(unit_rms(spoken), (0, settings.samples(rng.uniform(*_PAUSE))))
    if rng.random() < settings.room_share:
        spoken = in_room(rng, settings, spoken)
    return spoken


def _at_fast_length(samples: np.ndarray) -> np.ndarray:
    """Returns samples with some silence after them, until FFTs of them are fast."""
    return np.pad(samples, (0, next_fast_len(len(samples), real=True) - len(samples)))
