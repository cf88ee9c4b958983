"""Words missed against false alarms an hour, for every threshold at once.

A smoothed score is a sum of integers, so there are no more thresholds to tell apart than sums:
256 a decision averaged. Each runs the trigger with its own refractory time and judges its own
detections, in one pass over the decisions that matter.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from kws_tf.frontend.config import LogMel
from kws_tf.listening import protocol
from kws_tf.listening.heard import Heard, Listened, decisions_apart, listened, lowest_sum
from kws_tf.listening.rates import Rate
from kws_tf.tflite.trigger import Trigger

LOWEST = 0.2
"""The curve's lowest threshold."""
RATES = (10.0, 5.0, 2.0, 1.0, 0.5, 0.1)
"""False alarms an hour that the short table asks for."""


@dataclass(frozen=True)
class Counts:
    """What every threshold finds in some streams and what it takes for a word."""

    thresholds: np.ndarray  # float64 [thresholds], rising by 1 / (256 * smoothing_decisions)
    words: np.ndarray  # int64 [classes], said
    found: np.ndarray  # int64 [thresholds, classes]
    alarms: np.ndarray  # int64 [thresholds, classes]
    hours: float


def count(
    streams: Iterable[Listened | Heard],
    trigger: Trigger,
    labels: Sequence[str],
    log_mel: LogMel,
    lowest: float = LOWEST,
) -> Counts:
    """Runs the trigger at every threshold, the same for all words.

    Args:
        streams: Kept peaks must reach down to ``lowest``.
        trigger: Its smoothing, decision interval and refractory time; its threshold has no part.
        labels: The class names.
        log_mel: Gives the hop.
        lowest: The first threshold.
    """
    levels = np.arange(lowest_sum(trigger, lowest), 255 * trigger.smoothing_decisions + 2)
    shape = len(levels), len(labels)
    found, alarms = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    words, seconds = np.zeros(len(labels), np.int64), 0.0
    for stream in streams:
        if isinstance(stream, Heard):
            stream = listened(stream, labels, trigger, lowest)
        seconds += stream.seconds
        for word in stream.words:
            words[labels.index(word.label)] += 1
        apart = decisions_apart(trigger, log_mel)
        _count_stream(stream, levels, apart, labels, found, alarms)
    return Counts(levels / trigger.full_sum, words, found, alarms, seconds / 3600)


def _count_stream(stream: Listened, levels, apart: int, labels, found, alarms) -> None:
    """Adds a stream's detections, as ``Listened.detected`` and ``protocol.judge`` at each level."""
    last = np.full(len(levels), -apart)  # decision of the last detection
    waiting = {label: [] for label in labels}  # words by their end, each with who has found it
    for word in sorted(stream.words, key=lambda word: word.end):
        waiting[word.label].append((word, np.zeros(len(levels), bool)))
    reached = np.searchsorted(levels, stream.peaks.sums, "right").tolist()
    decisions, indices = stream.peaks.decisions.tolist(), stream.peaks.labels.tolist()
    for decision, index, end in zip(decisions, indices, reached, strict=True):
        fires = decision - last[:end] >= apart
        last[:end][fires] = decision
        time, queue = stream.first + decision * stream.step, waiting[labels[index]]
        while queue and protocol.is_over(queue[0][0], time):
            queue.pop(0)
        for word, has_found in queue:
            if protocol.fits(word, time):
                finds = fires & ~has_found[:end]
                has_found[:end] |= finds
                found[:end, index] += finds
                fires &= ~finds
        alarms[:end, index] += fires


@dataclass(frozen=True)
class Curve:
    """The trade-off: words of some streams, false alarms of the same or of others."""

    thresholds: np.ndarray  # float64 [thresholds], rising
    found: np.ndarray  # int64 [thresholds]
    alarms: np.ndarray  # int64 [thresholds]
    words: int
    hours: float

    @classmethod
    def of(cls, positives: Counts, negatives: Counts | None = None) -> "Curve":
        """Returns the curve of words in ``positives`` and alarms in ``negatives``, or the same."""
        negatives = negatives or positives
        return cls(
            positives.thresholds,
            positives.found.sum(1),
            negatives.alarms.sum(1),
            int(positives.words.sum()),
            negatives.hours,
        )

    def at_most(self, per_hour: float) -> int | None:
        """Returns the place of the threshold that finds most words at no more false alarms.

        Of equal ones it is the highest; without words it is the lowest threshold. ``None`` where
        all have more alarms.
        """
        allowed = np.flatnonzero(self.alarms <= per_hour * self.hours)
        if not len(allowed):
            return None
        if not self.words:
            return int(allowed[0])
        found = self.found[allowed]
        return int(allowed[np.flatnonzero(found == found.max())[-1]])

    def to_json(self) -> dict:
        """Returns a JSON-ready dictionary; of thresholds that change nothing, the highest."""
        changes = (np.diff(self.found) != 0) | (np.diff(self.alarms) != 0)
        kept = np.flatnonzero(np.append(changes, True))
        return {
            "words": self.words,
            "hours": self.hours,
            "thresholds": self.thresholds[kept].tolist(),
            "found": self.found[kept].tolist(),
            "alarms": self.alarms[kept].tolist(),
        }

    def text(self) -> str:
        """Returns the short table to print."""
        lines = [f"{'alarms an hour':<16}{'threshold':>10}{'found':>16}   measured (95 %)"]
        for rate in RATES:
            place = self.at_most(rate)
            start = f"at most {rate:<8g}"
            if place is None:
                lines.append(f"{start}{'none':>10}")
                continue
            found = "-"
            if self.words:
                found = f"{self.found[place]:,} ({100 * self.found[place] / self.words:.1f} %)"
            measured = Rate(int(self.alarms[place]), self.hours)
            lines.append(f"{start}{self.thresholds[place]:>10.3f}{found:>16}   {measured}")
        return "\n".join(lines)
