"""What a stream holds, and what a model made of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from kws_tf.frontend.config import LogMel
from kws_tf.tflite.trigger import Trigger, keyword_indices


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
        least = trigger.least_sums(labels)
        gap, last, found = decisions_apart(trigger, log_mel), None, []
        for decision, label, total in zip(*map(np.ndarray.tolist, self.peaks), strict=True):
            if total >= least[label] and (last is None or decision - last >= gap):
                last = decision
                score = total / trigger.full_sum
                found.append(Detected(labels[label], self.first + decision * self.step, score))
        return found


class Smoothing:
    """Finds the peaks of outputs that come piece by piece.

    Args:
        labels: The class names.
        trigger: Gives how many decisions are averaged.
        lowest: Least score to keep, 0 to 1.
    """

    def __init__(self, labels: Sequence[str], trigger: Trigger, lowest: float):
        self._keywords = keyword_indices(labels)
        self._trigger, self._lowest = trigger, lowest_sum(trigger, lowest)
        self._held = np.empty((0, len(labels)), np.int8)
        self._decisions = 0  # before those held

    def __call__(self, outputs: np.ndarray) -> Peaks:
        """Returns the peaks among further decisions, int8 [decisions, classes]."""
        outputs = np.concatenate([self._held, outputs])
        sums = self._trigger.sums(outputs)[:, self._keywords]
        best = sums.argmax(1)  # the first of equal ones
        highest = sums[np.arange(len(sums)), best]
        kept = np.flatnonzero(highest >= self._lowest)
        decisions = self._decisions + self._trigger.smoothing_decisions - 1 + kept
        self._held = outputs[len(sums) :]
        self._decisions += len(sums)
        return Peaks(decisions, self._keywords[best[kept]], highest[kept])


NO_PEAKS = Peaks(*(np.empty(0, np.int64) for _ in Peaks._fields))


def joined(parts: Sequence[Peaks]) -> Peaks:
    """Returns the peaks of all pieces of a stream."""
    return Peaks(*map(np.concatenate, zip(*parts, strict=True))) if parts else NO_PEAKS


def listened(heard: Heard, labels: Sequence[str], trigger: Trigger, lowest: float) -> Listened:
    """Keeps of a stream the decisions with a score of at least ``lowest``, 0 to 1."""
    peaks = Smoothing(labels, trigger, lowest)(heard.outputs)
    return Listened(heard.name, heard.seconds, peaks, heard.first, heard.step, heard.words)


def lowest_sum(trigger: Trigger, threshold: float) -> int:
    """Returns the sum that a threshold of all words asks for."""
    return int(trigger.changed(threshold=threshold).least_sums(["any"])[0])


def decisions_apart(trigger: Trigger, log_mel: LogMel) -> int:
    """Returns how many decisions lie between two detections, at least."""
    return max(1, -(-trigger.refractory_hops(log_mel) // trigger.decision_hops(log_mel)))
