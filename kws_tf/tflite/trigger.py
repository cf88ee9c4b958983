"""When a posterior becomes a detection: the device's settings, kept in the manifest."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from kws_tf.checks import known_fields, number, require, shown
from kws_tf.errors import KwsError
from kws_tf.frontend.config import LogMel
from kws_tf.labels import SILENCE, UNKNOWN


class Detection(NamedTuple):
    """A keyword that the trigger let through."""

    decision: int  # number of the decision that let it through
    label: int  # index into the labels
    score: float  # averaged posterior


@dataclass(frozen=True)
class Trigger:
    """How the device turns a stream of posteriors into detections.

    All in integers: a posterior is a whole number of 256ths, and the sum of the last ones of a
    class is compared with a least sum. So Python, C and C++ agree on every decision.

    Raises:
        KwsError: If a value is out of its range.
    """

    decision_ms: float = 200.0  # time between decisions; rounded to whole hops
    smoothing_decisions: int = 3  # posteriors are averaged over so many
    threshold: float = 0.7  # least averaged posterior of a keyword to trigger it
    refractory_ms: float = 1000.0  # time after a detection in which there is no other
    thresholds: dict[str, float] = field(default_factory=dict, hash=False)  # by word, in its place

    def __post_init__(self):
        """Checks every value."""
        try:
            values = _checked(dataclasses.asdict(self))
        except ValueError as error:
            raise KwsError(f"the trigger's {error}; choose one within") from error
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def changed(self, **changes) -> "Trigger":
        """Returns the trigger with other values; a new ``threshold`` is that of all words."""
        if "threshold" in changes:
            changes = {"thresholds": {}} | changes
        return dataclasses.replace(self, **changes)

    def decision_hops(self, log_mel: LogMel) -> int:
        """Returns the hops between decisions, at least 1."""
        return max(1, round(self.decision_ms / log_mel.hop_ms))

    def refractory_hops(self, log_mel: LogMel) -> int:
        """Returns the refractory time in hops."""
        return round(self.refractory_ms / log_mel.hop_ms)

    @property
    def full_sum(self) -> int:
        """The sum of posteriors that are all 1; as the largest is 255/256, none reaches it."""
        return 256 * self.smoothing_decisions

    def least_sums(self, labels: Sequence[str]) -> np.ndarray:
        """Returns the sum from which each class triggers, int32 [classes].

        ``ceil(threshold * full_sum)``, after the product is rounded to a millionth: so a score,
        given as threshold, lets itself through. What is no keyword has a sum out of reach.

        Raises:
            KwsError: If a word that has a threshold is not a keyword among the labels.
        """
        try:
            self.check_words(labels)
        except ValueError as error:
            raise KwsError(f"{error}; give thresholds of the model's words") from error
        least = np.full(len(labels), self.full_sum, np.int32)
        for index in keyword_indices(labels):
            threshold = self.thresholds.get(labels[index], self.threshold)
            least[index] = math.ceil(round(threshold * self.full_sum, 6))
        return least

    def check_words(self, labels: Sequence[str]) -> None:
        """Raises a ValueError if a word that has a threshold is not a keyword among the labels."""
        keywords = {labels[index] for index in keyword_indices(labels)}
        for word in self.thresholds:
            require(word in keywords, f"the trigger has a threshold for {shown(word)}, no keyword")

    def sums(self, outputs: np.ndarray) -> np.ndarray:
        """Returns the sums of the last ``smoothing_decisions`` posteriors, in 256ths.

        Args:
            outputs: int8 [decisions, classes]: 256 * posterior - 128.

        Returns:
            int64 [decisions - smoothing_decisions + 1, classes], the first of the decision at which
            there are enough; empty if there are too few.

        Raises:
            KwsError: If the outputs are of another form.
        """
        if outputs.dtype != np.int8 or outputs.ndim != 2:
            raise KwsError(
                f"the trigger takes int8 outputs [decisions, classes], not {outputs.dtype} "
                f"{list(outputs.shape)}; give it 256 * posterior - 128"
            )
        total = np.zeros((len(outputs) + 1, outputs.shape[1]), np.int64)
        np.cumsum(outputs, axis=0, dtype=np.int64, out=total[1:])
        count = self.smoothing_decisions
        return total[count:] - total[:-count] + 128 * count

    def detections(
        self, outputs: np.ndarray, labels: Sequence[str], log_mel: LogMel
    ) -> list[Detection]:
        """Returns the detections in order of time, as the device's ``kws_trigger_decide``.

        Args:
            outputs: int8 [decisions, classes], 256 * posterior - 128, one row every
                ``decision_hops``.
            labels: The class names.
            log_mel: Gives the hop.

        Raises:
            KwsError: If the outputs are of another form, or a word that has a threshold is not a
                keyword among the labels.
        """
        sums, least = self.sums(outputs), self.least_sums(labels)
        keywords = keyword_indices(labels)
        best = keywords[sums[:, keywords].argmax(axis=1)]  # of equal sums the first
        largest = sums[np.arange(len(sums)), best]
        rows = np.flatnonzero(largest >= least[best])
        # So many decisions from one detection to the next, at least.
        apart = max(1, -(-self.refractory_hops(log_mel) // self.decision_hops(log_mel)))
        found: list[Detection] = []
        next_one = 0
        while next_one < len(rows):
            row = int(rows[next_one])
            score = int(largest[row]) / self.full_sum
            decision = row + self.smoothing_decisions - 1
            found.append(Detection(decision, int(best[row]), score))
            next_one = int(np.searchsorted(rows, row + apart))
        return found

    @classmethod
    def parse(cls, values) -> "Trigger":
        """Returns the trigger that a manifest gives; a ValueError if it is damaged."""
        return cls(**_checked(known_fields(cls, values)))


def keyword_indices(labels: Sequence[str]) -> np.ndarray:
    """Returns the indices of the labels that are keywords, int64, in order."""
    return np.flatnonzero([label not in (SILENCE, UNKNOWN) for label in labels])


_RANGES: dict[str, tuple[type, float, float]] = {
    "decision_ms": (float, 1, 10_000),
    "smoothing_decisions": (int, 1, 100),
    "threshold": (float, 0, 1),
    "refractory_ms": (float, 0, 60_000),
}


def _checked(values: dict) -> dict:
    """Returns fields' values in their types; a ValueError if one is of another or out of range."""
    values = dict(values)
    thresholds = values.pop("thresholds", {})
    values = {name: number(name, value, *_RANGES[name]) for name, value in values.items()}
    require(isinstance(thresholds, dict), f"thresholds is {shown(thresholds)}, no table of words")
    return values | {
        "thresholds": {
            word: number(f"threshold of {shown(word)}", value, *_RANGES["threshold"])
            for word, value in thresholds.items()
        }
    }
