"""What a stream holds, and what a model made of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from kws_tf.frontend.config import LogMel
from kws_tf.labels import SILENCE, UNKNOWN
from kws_tf.tflite.trigger import Trigger


@dataclass(frozen=True)
class Word:
    """A keyword that is said in a stream; times in seconds from the stream's beginning."""

    label: str  # the keyword
    start: float  # where the word itself begins, not its recording
    end: float
    name: str  # of the recording


class Detected(NamedTuple):
    """A keyword that the trigger let through."""

    label: str
    time: float  # end of the decision's window, seconds from the stream's beginning
    score: float  # averaged posterior


@dataclass(frozen=True)
class Heard:
    """All decisions on a stream: number k was made at ``first + k * step`` seconds."""

    name: str
    seconds: float  # length of the stream
    outputs: np.ndarray  # int8 [decisions, classes], 256 * posterior - 128
    first: float
    step: float
    words: tuple[Word, ...] = ()


class Peaks(NamedTuple):
    """The decisions at which a keyword's smoothed score is high, each with its best keyword.

    The score is ``sums / (256 * smoothing_decisions)``.
    """

    decisions: np.ndarray  # int64 [n], numbers of decisions, rising
    labels: np.ndarray  # int64 [n], indices into the labels
    sums: np.ndarray  # int64 [n], of ``output + 128`` over the last decisions


@dataclass(frozen=True)
class Listened:
    """What is kept of a stream, however long: enough for any threshold above the lowest."""

    name: str
    seconds: float
    peaks: Peaks
    first: float
    step: float
    words: tuple[Word, ...] = ()

    def detected(self, trigger: Trigger, labels: Sequence[str], log_mel: LogMel) -> list[Detected]:
        """Returns what the trigger lets through, as ``Trigger.detections`` of all decisions.

        No threshold may be below the one that the peaks were kept with.
        """
        least = [least_sum(trigger.threshold, trigger.smoothing_decisions)] * len(labels)
        gap, last, found = refractory_decisions(trigger, log_mel), None, []
        for decision, label, total in zip(*map(np.ndarray.tolist, self.peaks), strict=True):
            if total >= least[label] and (last is None or decision - last >= gap):
                last = decision
                score = total / (256 * trigger.smoothing_decisions)
                found.append(Detected(labels[label], self.first + decision * self.step, score))
        return found


class Smoothing:
    """Finds the peaks of outputs that come piece by piece.

    Args:
        labels: The class names.
        smoothing_decisions: So many decisions are averaged.
        lowest: Least sum to keep; see ``least_sum``.
    """

    def __init__(self, labels: Sequence[str], smoothing_decisions: int, lowest: int):
        self._keywords = np.array(keyword_indices(labels))
        self._length, self._lowest = smoothing_decisions, lowest
        self._held = np.empty((0, len(self._keywords)), np.int64)
        self._decisions = 0  # seen before those held

    def __call__(self, outputs: np.ndarray) -> Peaks:
        """Returns the peaks among further decisions, int8 [decisions, classes]."""
        values = outputs[:, self._keywords].astype(np.int64) + 128
        values = np.concatenate([self._held, values])
        held = min(self._length - 1, len(values))
        first = self._decisions + self._length - 1
        self._decisions += len(values) - held
        self._held = values[len(values) - held :]
        if len(values) < self._length:
            return NO_PEAKS
        sums = sliding_window_view(values, self._length, axis=0).sum(-1)
        best = sums.argmax(1)  # the first of equal ones
        highest = sums[np.arange(len(sums)), best]
        kept = np.flatnonzero(highest >= self._lowest)
        return Peaks(first + kept, self._keywords[best[kept]], highest[kept])


NO_PEAKS = Peaks(*(np.empty(0, np.int64) for _ in Peaks._fields))


def joined(parts: Sequence[Peaks]) -> Peaks:
    """Returns the peaks of all pieces of a stream."""
    return Peaks(*map(np.concatenate, zip(*parts, strict=True))) if parts else NO_PEAKS


def listened(heard: Heard, labels: Sequence[str], trigger: Trigger, lowest: float) -> Listened:
    """Keeps of a stream the decisions with a score of at least ``lowest``, 0 to 1."""
    length = trigger.smoothing_decisions
    peaks = Smoothing(labels, length, least_sum(lowest, length))(heard.outputs)
    return Listened(heard.name, heard.seconds, peaks, heard.first, heard.step, heard.words)


def keyword_indices(labels: Sequence[str]) -> list[int]:
    """Returns the indices of the labels that can trigger."""
    return [i for i, label in enumerate(labels) if label not in (SILENCE, UNKNOWN)]


def least_sum(threshold: float, smoothing_decisions: int) -> int:
    """Returns the least sum of outputs that reaches a threshold."""
    return int(np.ceil(threshold * 256 * smoothing_decisions))


def refractory_decisions(trigger: Trigger, log_mel: LogMel) -> int:
    """Returns after how many decisions the next detection may come."""
    return -(-trigger.refractory_hops(log_mel) // trigger.decision_hops(log_mel))
