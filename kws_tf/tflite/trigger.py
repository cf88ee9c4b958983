"""When a posterior becomes a detection: the device's settings, kept in the manifest."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from kws_tf.checks import known_fields, number
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

    Raises:
        KwsError: If a value is out of its range.
    """

    decision_ms: float = 200.0  # time between decisions; rounded to whole hops
    smoothing_decisions: int = 3  # posteriors are averaged over so many
    threshold: float = 0.7  # least averaged posterior of a keyword to trigger it
    refractory_ms: float = 1000.0  # time after a detection in which there is no other

    def __post_init__(self):
        """Checks every value."""
        for name, limits in _RANGES.items():
            try:
                value = number(name, getattr(self, name), *limits)
            except ValueError as error:
                raise KwsError(f"the trigger's {error}; choose one within") from error
            object.__setattr__(self, name, value)

    def decision_hops(self, log_mel: LogMel) -> int:
        """Returns the hops between decisions, at least 1."""
        return max(1, round(self.decision_ms / log_mel.hop_ms))

    def refractory_hops(self, log_mel: LogMel) -> int:
        """Returns the refractory time in hops."""
        return round(self.refractory_ms / log_mel.hop_ms)

    def detections(
        self, posteriors: np.ndarray, labels: Sequence[str], log_mel: LogMel
    ) -> list[Detection]:
        """Returns the detections in order of time, as the device's ``KeywordSpotter::Decide``.

        Args:
            posteriors: Numbers [decisions, classes], one row every ``decision_hops``.
            labels: The class names.
            log_mel: Gives the hop.
        """
        keywords = [i for i, label in enumerate(labels) if label not in (SILENCE, UNKNOWN)]
        step, refractory = self.decision_hops(log_mel), self.refractory_hops(log_mel)
        found: list[Detection] = []
        for end in range(self.smoothing_decisions, len(posteriors) + 1):
            mean = np.mean(posteriors[end - self.smoothing_decisions : end], axis=0)
            best = max(keywords, key=lambda i: mean[i])
            if found and (end - 1 - found[-1].decision) * step < refractory:
                continue
            if mean[best] >= self.threshold:
                found.append(Detection(end - 1, best, float(mean[best])))
        return found

    @classmethod
    def parse(cls, values) -> "Trigger":
        """Returns the trigger that a manifest gives; a ValueError if it is damaged."""
        for name, value in known_fields(cls, values).items():
            number(name, value, *_RANGES[name])
        return cls(**values)


_RANGES: dict[str, tuple[type, float, float]] = {
    "decision_ms": (float, 1, 10_000),
    "smoothing_decisions": (int, 1, 100),
    "threshold": (float, 0, 1),
    "refractory_ms": (float, 0, 60_000),
}
