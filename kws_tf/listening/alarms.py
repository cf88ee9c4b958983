"""False alarms cut out of their recordings, to be heard, or to be learned from."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from kws_tf.audio import reader
from kws_tf.audio.folders import stem
from kws_tf.errors import KwsError
from kws_tf.files import write_bytes
from kws_tf.listening.soak_result import Alarm
from kws_tf.progress import progress

AROUND_SECONDS = 1.0
"""Of what is cut out before and after the window."""


def check_folder(folder: Path) -> None:
    """Refuses a folder that has something in it, or cannot be made."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise KwsError(f"{folder} has something in it; give --save-alarms a new or empty folder")
    if not folder.absolute().parent.is_dir():
        raise KwsError(f"{folder.parent} does not exist; make it, or give another --save-alarms")


def save(alarms: Sequence[Alarm], folder: Path, rate: int, mix_down: bool = False) -> list[Path]:
    """Writes the window of each alarm and a second before and after, as WAV of 16 bits.

    A name has a number, the word, the score, the recording and the time of the decision in it,
    such as ``0001_yes_0.912_19-198-0004_12.39s.wav``; the number is the alarm's among all.

    Args:
        alarms: In the order of their recordings.
        folder: A new or empty one.
        rate: Sample rate to write, Hz.
        mix_down: As when they were found.

    Returns:
        The files, in the order of the alarms.
    """
    check_folder(folder)
    folder.mkdir(exist_ok=True)
    files = []
    for number, (alarm, samples) in enumerate(
        zip(alarms, stretches(alarms, rate, mix_down), strict=True), 1
    ):
        word = alarm.word.replace(" ", "_")
        name = f"{number:04d}_{word}_{alarm.score:.3f}_{stem(alarm.path.name)}_{alarm.seconds:.2f}s"
        files.append(folder / f"{name}.wav")
        write_bytes(files[-1], reader.wav_bytes(samples, rate))
    return files


def stretches(alarms: Sequence[Alarm], rate: int, mix_down: bool = False) -> Iterator[np.ndarray]:
    """Yields the window of each alarm and a second before and after, float32 [samples].

    Args:
        alarms: In the order of their recordings, each of which is read once.
        rate: Sample rate, Hz.
        mix_down: As when they were found.

    Raises:
        KwsError: A recording cannot be read, or ends before an alarm.
    """
    told = progress(groupby(alarms, lambda one: one.path), _runs(alarms), "cutting")
    for path, some in told:
        spans = [_span(alarm, rate) for alarm in some]
        yield from _cut(path, spans, rate, mix_down)


def _runs(alarms: Sequence[Alarm]) -> int:
    return sum(1 for _ in groupby(alarm.path for alarm in alarms))


def _span(alarm: Alarm, rate: int) -> tuple[int, int]:
    start = alarm.seconds - alarm.window - AROUND_SECONDS
    return max(0, round(start * rate)), round((alarm.seconds + AROUND_SECONDS) * rate)


def _cut(path: Path, spans: Sequence[tuple[int, int]], rate: int, mix_down: bool) -> list:
    """Returns stretches of a recording, float32, read once; the end of it ends them."""
    parts, place = [[] for _ in spans], 0
    for block in reader.blocks(path, rate, mix_down):
        for part, (start, end) in zip(parts, spans, strict=True):
            if start < place + len(block) and end > place:
                part.append(block[max(0, start - place) : end - place].copy())
        place += len(block)
        if place >= max(end for _, end in spans):
            break
    if not all(parts):
        raise KwsError(f"{path} ends before the alarm in it; give the recording as it was")
    return [np.concatenate(part) for part in parts]
