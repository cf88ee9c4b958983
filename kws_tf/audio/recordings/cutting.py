"""The word in a recording: found by its energy, checked, cut to a window, levelled."""

import enum
import io
import re
from typing import NamedTuple

import numpy as np
import soundfile

from kws_tf.audio.reader import SAMPLE_RATE
from kws_tf.labels import word_key

SPEECH_DBFS = -20.0
"""Level of the speech in an example: RMS over its bursts, dB re full scale."""
PEAK_DBFS = -1.0
"""Largest sample of an example, for which a peaky word stays below ``SPEECH_DBFS``."""

_SHORTEST_MS, _SHORTEST_SPEECH_MS = 200, 100

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


def bursts(samples: np.ndarray) -> np.ndarray:
    """Finds the stretches of speech by energy, with pauses of more than 300 ms between them.

    A frame of 10 ms holds speech if its level above 100 Hz is within 30 dB of the loudest frame's,
    6 dB above the background's (the tenth percentile) and above -60 dBFS. What is shorter than
    60 ms, or has 15 dB less energy than the strongest burst, is a click or a breath and left out.

    Args:
        samples: float32 [samples] at 16 kHz.

    Returns:
        int [bursts, 2]: the first sample of each and the first after it.
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
    """Cuts the word out of a recording.

    The word is in the middle of the example, or as near to it as the recording allows: silence is
    added only where the recording is shorter than the window. What is too long, or of more bursts
    than the word has parts, gives the stretch with the most energy.

    Args:
        samples: float32 [samples] at 16 kHz.
        word: A word or a phrase; each of its parts may be a burst of its own.
        length: Samples wanted.

    Returns:
        float32 [length] with the speech at ``SPEECH_DBFS`` and no sample above ``PEAK_DBFS``, or
        ``None`` if there is no speech; and what is wrong with it.
    """
    samples = samples.astype(float) - samples.mean(dtype=float)
    findings = []
    if len(samples) < _samples(_SHORTEST_MS):
        findings.append(Finding(Problem.TOO_SHORT, f"{_ms(len(samples))} of recording"))
    spans = bursts(samples)
    if not len(spans):
        return None, tuple(findings) or (Finding(Problem.SILENT, "nothing above the background"),)
    spoken = np.concatenate([samples[start:end] for start, end in spans])
    if not findings and len(spoken) < _samples(_SHORTEST_SPEECH_MS):
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


def wav_bytes(samples: np.ndarray) -> bytes:
    """Returns a 16-bit mono WAV file at 16 kHz of float samples, limited to full scale."""
    file = io.BytesIO()
    soundfile.write(file, samples, SAMPLE_RATE, "PCM_16", format="WAV")
    return file.getvalue()


def _levels(samples: np.ndarray) -> np.ndarray:
    """Returns the level of each 10 ms, dBFS, smoothed over 30 ms, without hum and rumble."""
    # The square of a second-order Butterworth filter, without phase: steeper ones ring on clicks.
    ratio = (np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE) / _HIGH_PASS_HZ) ** 4
    power = np.fft.irfft(np.fft.rfft(samples) * ratio / (1 + ratio), len(samples)) ** 2
    power = np.pad(power, (0, -len(power) % _FRAME)).reshape(-1, _FRAME).mean(axis=1)
    smooth = np.convolve(np.pad(power, 1, mode="edge"), np.ones(3) / 3, "valid")
    return 10 * np.log10(smooth + 1e-12)


def _samples(milliseconds: float) -> int:
    return round(milliseconds * SAMPLE_RATE / 1000)


def _ms(samples: int) -> str:
    return f"{round(samples * 1000 / SAMPLE_RATE):,} ms"
