"""A file that somebody recorded: read, or refused for a reason that a table can show."""

import os
from collections.abc import Iterable

import numpy as np

from kws_tf.audio import reader
from kws_tf.audio.recordings.cutting import Finding, Problem
from kws_tf.audio.resampling import resampled

MOST_NOISE_SECONDS = 3600
"""What fits into the memory."""
_MOST_SECONDS = 60  # nobody takes longer over one word
_FULL_SCALE, _FULL_SCALE_MS = 0.985, 1.0  # the largest code of 8 bits is at 0.992


class Rejection(Exception):
    """No samples can be had from a file."""

    def __init__(self, problem: Problem, detail: str):
        super().__init__(detail)
        self.finding = Finding(problem, detail)


def read(path: str | os.PathLike, most_seconds: float = _MOST_SECONDS) -> tuple[np.ndarray, bool]:
    """Decodes a file, mixes it down and resamples it.

    Returns:
        float32 [samples] at 16 kHz, full scale 1, and whether the recording is overloaded.

    Raises:
        Rejection: The file cannot be read, or is longer than ``most_seconds``.
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
    samples = np.concatenate(list(resampled(mono, rate, reader.SAMPLE_RATE)))
    return samples, bool(is_overloaded and not (is_float and peak > 1))


def _limited(blocks: Iterable[np.ndarray], most_seconds: float, rate: int) -> Iterable[np.ndarray]:
    count = 0
    for block in blocks:
        count += len(block)
        if count > most_seconds * rate:
            raise Rejection(Problem.TOO_LONG, f"over {most_seconds:g} s")
        yield block
