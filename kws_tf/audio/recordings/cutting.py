"""One recording of one word: decoded, checked, cut to a window around the word, levelled.

Files are decoded by libsndfile (package soundfile), not by tensorflow-io 0.37.1, which reads
32-bit PCM WAV as float, refuses 64-bit float and Opus, and crashes on an empty OGG file; an import
must outlive every file. TensorFlow is not needed here at all.
"""

import enum
import io
import os
import re
from typing import NamedTuple

import numpy as np
from scipy.signal import resample_poly

from kws_tf.audio.reader import SAMPLE_RATE
from kws_tf.labels import word_key
from kws_tf.quiet import captured_stderr

SPEECH_DBFS = -20.0
"""Level of the speech in a clip: RMS over its bursts, dB re full scale."""
PEAK_DBFS = -1.0
"""Largest sample of a clip; a peaky word stays below ``SPEECH_DBFS`` rather than clip."""

_RATES = range(4_000, 192_001)
_ABSURD = 1e6  # re full scale; floats of a damaged file
_MOST_SECONDS = 60  # nobody takes longer over one word
MOST_NOISE_SECONDS = 3600  # what fits into the memory
_SHORTEST_MS, _SHORTEST_SPEECH_MS = 200, 100
_RAIL, _RAIL_MS = 0.985, 1.0  # of full scale; the largest code of 8 bits is at 0.992

# Tried on the 2,099 real clips of a part of Speech Commands v0.01, of which 99 % have one burst.
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
    CLIPPED = "clipped"


DOUBTFUL = frozenset({Problem.TOO_SHORT, Problem.TOO_LONG, Problem.WORD_COUNT})
"""A clip can be made, but hardly of the word, or not of the whole of it.

What is clipped is not among them: it is of use, since people and their microphones clip.
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
    """Decodes a file, mixes it down and resamples it.

    Args:
        path: WAV (8 to 64 bits), FLAC, OGG (Vorbis or Opus), MP3, AIFF or whatever else
            libsndfile knows; the content tells which, not the name.
        most_seconds: A longer recording is not decoded.

    Returns:
        float32 [samples] at 16 kHz, full scale 1, and whether the recording is clipped.

    Raises:
        Rejection: The file is missing, of another kind, damaged, without samples or too long.
    """
    import soundfile

    try:
        # mpg123, which decodes MP3, prints to stderr.
        with (
            captured_stderr(),
            open(path, "rb") as file,
            soundfile.SoundFile(file.fileno(), closefd=False) as sound,
        ):
            rate, is_float = sound.samplerate, sound.subtype in ("FLOAT", "DOUBLE")
            if rate not in _RATES:
                raise Rejection(Problem.UNREADABLE, f"a sample rate of {rate:,} Hz")
            if sound.frames > most_seconds * rate:
                raise Rejection(Problem.TOO_LONG, f"over {most_seconds:g} s, or of unknown length")
            samples = sound.read(dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        detail = f"cannot be decoded ({error.error_string.strip(' .')})"
        raise Rejection(Problem.UNREADABLE, detail) from error
    except OSError as error:
        raise Rejection(Problem.UNREADABLE, error.strerror or str(error)) from error
    except MemoryError as error:
        raise Rejection(Problem.UNREADABLE, "too large for the memory") from error
    if not len(samples):
        raise Rejection(Problem.UNREADABLE, "no samples")
    if not (np.abs(samples) < _ABSURD).all():
        raise Rejection(Problem.UNREADABLE, "samples that are not numbers, or far too large")
    return to_mono_16k(samples, rate), is_clipped(samples, rate, is_float)


def to_mono_16k(samples: np.ndarray, rate: int) -> np.ndarray:
    """Mixes down and resamples.

    Args:
        samples: float32 [samples, channels].
        rate: Hz.

    Returns:
        float32 [samples] at 16 kHz.
    """
    mono = samples.mean(axis=1)
    return mono if rate == SAMPLE_RATE else resample_poly(mono, SAMPLE_RATE, rate)


def is_clipped(samples: np.ndarray, rate: int, is_float: bool = False) -> bool:
    """Tells whether any channel is at full scale for more than 1 ms in all.

    Args:
        samples: float32 [samples, channels], full scale 1.
        rate: Hz.
        is_float: Samples may lie beyond full scale, and are then not clipped.
    """
    size = np.abs(samples)
    if is_float and size.max() > 1:
        return False
    return bool(((size >= _RAIL).sum(axis=0) > _RAIL_MS * rate / 1000).any())


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

    The word is in the middle of the clip, or as near to it as the recording allows: silence is
    added only where the recording is shorter than the clip. What is too long, or of more bursts
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
    clip = samples[max(start, 0) : start + length]
    clip = np.pad(clip, (max(-start, 0), length - len(clip) - max(-start, 0)))
    gain = 10 ** (SPEECH_DBFS / 20) / np.sqrt(np.mean(spoken**2))
    gain = min(gain, 10 ** (PEAK_DBFS / 20) / np.abs(clip).max())
    return (gain * clip).astype(np.float32), tuple(findings)


def wav_bytes(samples: np.ndarray) -> bytes:
    """Returns a 16-bit mono WAV file at 16 kHz of float samples; beyond full scale they clip."""
    import soundfile

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
