"""A recording to an example: read, checked, its word found by energy, cut and levelled."""

import enum
import os
import re
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from kws_tf.audio import reader
from kws_tf.audio.reader import SAMPLE_RATE
from kws_tf.audio.resampling import resampled
from kws_tf.labels import word_key

SPEECH_DBFS = -20.0
"""Level of the speech in an example: RMS over its bursts, dB re full scale."""
PEAK_DBFS = -1.0
"""Largest sample of an example, for which a peaky word stays below ``SPEECH_DBFS``."""
MOST_NOISE_SECONDS = 3600
"""What fits into the memory."""
_MOST_SECONDS = 60  # nobody takes longer over one word
_FULL_SCALE, _FULL_SCALE_MS = 0.985, 1.0  # the largest code of 8 bits is at 0.992
_SHORTEST, _SHORTEST_SPEECH = SAMPLE_RATE // 5, SAMPLE_RATE // 10

# Tried on 2,099 recordings of a part of Speech Commands v0.01, of which 99 % have one burst.
_FRAME = SAMPLE_RATE // 100
_HIGH_PASS_HZ = 100
_SILENCE_DBFS = -60.0
_RANGE_DB = 30.0
_ABOVE_BACKGROUND_DB = 6.0
_PAUSE_FRAMES = 30
_CLICK_FRAMES = 6
_WEAK_DB = 15.0


class Problem(enum.Enum):
    """What can be wrong with a recording."""

    UNREADABLE = "unreadable"
    SILENT = "silent"
    TOO_SHORT = "too short"
    TOO_LONG = "too long"
    WORD_COUNT = "wrong word count"
    OVERLOADED = "overloaded"


DOUBTFUL = frozenset({Problem.TOO_SHORT, Problem.TOO_LONG, Problem.WORD_COUNT})
"""An example can be cut, but hardly of the word, or not of the whole of it.

What is overloaded is not among them: models meet overloaded microphones in use, too.
"""


class Finding(NamedTuple):
    """A problem of one recording, and what was measured."""

    problem: Problem
    detail: str


class Rejection(Exception):
    """No samples can be had from a file."""

    def __init__(self, problem: Problem, detail: str):
        super().__init__(detail)
        self.finding = Finding(problem, detail)


def read(path: str | os.PathLike, most_seconds: float = _MOST_SECONDS) -> tuple[np.ndarray, bool]:
    """Decodes a file to float32 at 16 kHz, mixed down; tells whether the recording is overloaded.

    A file that cannot be read, or is longer than ``most_seconds``, raises a Rejection.
    """
    try:
        with reader.AudioFile(path) as file:
            blocks = _limited(file.decoded(), most_seconds, file.samplerate)
            return mixed(blocks, file.samplerate, file.is_float)
    except reader.UnreadableAudio as error:
        raise Rejection(Problem.UNREADABLE, error.reason) from error


def mixed(
    blocks: Iterable[np.ndarray], rate: int, is_float: bool = False
) -> tuple[np.ndarray, bool]:
    """Mixes down blocks [samples, channels], resamples, and looks for overload.

    That is any channel at full scale for over 1 ms, unless floats lie beyond it.
    """
    mono, at_full_scale, peak = [], 0, 0.0
    for block in blocks:
        size = np.abs(block)
        at_full_scale = at_full_scale + (size >= _FULL_SCALE).sum(axis=0)
        peak = max(peak, size.max())
        mono.append(block.mean(axis=1))
    is_overloaded = np.any(at_full_scale > _FULL_SCALE_MS * rate / 1000)
    samples = np.concatenate(list(resampled(mono, rate, SAMPLE_RATE)))
    return samples, bool(is_overloaded and not (is_float and peak > 1))


def bursts(samples: np.ndarray) -> np.ndarray:
    """Returns the first sample of each stretch of speech and the first after it, int [bursts, 2].

    Between them are pauses of more than 300 ms. A frame of 10 ms holds speech if its level above
    100 Hz is within 30 dB of the loudest frame's, 6 dB above the background's (the tenth
    percentile) and above -60 dBFS. What is shorter than 60 ms, or has 15 dB less energy than the
    strongest burst, is a click or a breath and left out.
    """
    if len(samples) < _FRAME:
        return np.empty((0, 2), int)
    level = _levels(samples)
    threshold = max(
        level.max() - _RANGE_DB, np.percentile(level, 10) + _ABOVE_BACKGROUND_DB, _SILENCE_DBFS
    )
    frames = np.flatnonzero(level > threshold)
    groups = np.split(frames, np.flatnonzero(np.diff(frames) > _PAUSE_FRAMES + 1) + 1)
    energies = np.array([np.sum(10 ** (level[group] / 10)) for group in groups])
    weakest = energies.max() * 10 ** (-_WEAK_DB / 10)
    spans = [
        (group[0] * _FRAME, (group[-1] + 1) * _FRAME)
        for group, energy in zip(groups, energies, strict=True)
        if len(group) >= _CLICK_FRAMES and energy > weakest
    ]
    return np.minimum(np.array(spans, int).reshape(-1, 2), len(samples))


def cut_example(
    samples: np.ndarray, word: str, length: int
) -> tuple[np.ndarray | None, tuple[Finding, ...]]:
    """Cuts the word out of a recording, float32 at 16 kHz.

    The word is in the middle of the example, or as near to it as the recording allows: silence is
    added only where the recording is shorter than the window. What is too long, or of more bursts
    than the word has parts, gives the stretch with the most energy.

    Returns:
        float32 [length] with the speech at ``SPEECH_DBFS`` and no sample above ``PEAK_DBFS``, or
        ``None`` if there is no speech; and what is wrong with it.
    """
    samples = samples.astype(float) - samples.mean(dtype=float)
    findings = []
    if len(samples) < _SHORTEST:
        findings.append(Finding(Problem.TOO_SHORT, f"{_ms(len(samples))} of recording"))
    spans = bursts(samples)
    if not len(spans):
        return None, tuple(findings) or (Finding(Problem.SILENT, "nothing above the background"),)
    spoken = np.concatenate([samples[start:end] for start, end in spans])
    if not findings and len(spoken) < _SHORTEST_SPEECH:
        findings.append(Finding(Problem.TOO_SHORT, f"{_ms(len(spoken))} of speech"))
    parts = len(re.split(r"[\s-]+", word_key(word)))
    if len(spans) > parts:
        detail = f"{len(spans)} bursts of speech where {parts} can be"
        findings.append(Finding(Problem.WORD_COUNT, detail))
    elif spans[-1, 1] - spans[0, 0] > length:
        detail = f"{_ms(spans[-1, 1] - spans[0, 0])} of speech in a window of {_ms(length)}"
        findings.append(Finding(Problem.TOO_LONG, detail))
    if any(finding.problem in DOUBTFUL for finding in findings) and len(samples) > length:
        energy = np.cumsum(np.pad(samples**2, (1, 0)))
        start = int(np.argmax(energy[length:] - energy[:-length]))
    else:
        earliest, latest = sorted((0, len(samples) - length))
        start = int(np.clip((spans[0, 0] + spans[-1, 1] - length) // 2, earliest, latest))
    cut = samples[max(start, 0) : start + length]
    cut = np.pad(cut, (max(-start, 0), length - len(cut) - max(-start, 0)))
    gain = 10 ** (SPEECH_DBFS / 20) / np.sqrt(np.mean(spoken**2))
    gain = min(gain, 10 ** (PEAK_DBFS / 20) / np.abs(cut).max())
    return (gain * cut).astype(np.float32), tuple(findings)


def _limited(blocks: Iterable[np.ndarray], most_seconds: float, rate: int) -> Iterable[np.ndarray]:
    count = 0
    for block in blocks:
        count += len(block)
        if count > most_seconds * rate:
            raise Rejection(Problem.TOO_LONG, f"over {most_seconds:g} s")
        yield block


def _levels(samples: np.ndarray) -> np.ndarray:
    """Returns the level of each 10 ms, dBFS, smoothed over 30 ms, without hum and rumble."""
    # The square of a second-order Butterworth filter, without phase: steeper ones ring on clicks.
    ratio = (np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE) / _HIGH_PASS_HZ) ** 4
    power = np.fft.irfft(np.fft.rfft(samples) * ratio / (1 + ratio), len(samples)) ** 2
    power = np.pad(power, (0, -len(power) % _FRAME)).reshape(-1, _FRAME).mean(axis=1)
    smooth = np.convolve(np.pad(power, 1, mode="edge"), np.ones(3) / 3, "valid")
    return 10 * np.log10(smooth + 1e-12)


def _ms(samples: int) -> str:
    return f"{round(samples * 1000 / SAMPLE_RATE):,} ms"
