"""Phrases to try a spotter on."""

import os
from pathlib import Path

import numpy as np

from kws_tf.audio.reader import SAMPLE_RATE
from kws_tf.errors import KwsError
from kws_tf.files import write_bytes
from kws_tf.synthesis import fresh_process
from kws_tf.synthesis.engine import Espeak, speak_all
from kws_tf.synthesis.signals import coloured_noise, gain, generator, resampled, wav_bytes
from kws_tf.synthesis.words import checked_word

_SPEECH_DBFS, _NOISE_DBFS = -19, -55


def say(
    text: str, out: str | os.PathLike, voice: str = "en+f4", rate: float = 150, pause: float = 0.8
) -> list[tuple[str, float, float]]:
    """Speaks the parts of a text between commas into a WAV file of 16 kHz, over faint noise.

    The rate is in words a minute; the pause, in seconds, is before, after and between the parts.

    Returns:
        Each part with the seconds at which it begins and ends.
    """
    parts = [checked_word(part) for part in text.split(",") if part.strip()]
    if not parts or not 80 <= rate <= 450 or not 0 <= pause <= 10:
        raise KwsError("give words to say, a rate of 80 to 450 and a pause of 0 to 10 s")
    silence = np.zeros(round(pause * SAMPLE_RATE))
    pieces, spans = [silence], []
    spoken_parts = fresh_process.call(speak_all, parts, voice, rate)
    for part, spoken in zip(parts, spoken_parts, strict=True):
        spoken = resampled(spoken, SAMPLE_RATE / Espeak.sample_rate)
        start = sum(map(len, pieces)) / SAMPLE_RATE
        spans.append((part, start, start + len(spoken) / SAMPLE_RATE))
        pieces += [spoken, silence]
    samples = np.concatenate(pieces)
    samples *= gain(_SPEECH_DBFS) / np.sqrt(np.mean(samples[samples != 0] ** 2))
    samples += coloured_noise(generator(text), len(samples), SAMPLE_RATE, 1) * gain(_NOISE_DBFS)
    write_bytes(Path(out), wav_bytes(samples, SAMPLE_RATE))
    return spans
