"""How sure a rate is that was counted: the exact Poisson interval."""

from dataclasses import dataclass

from scipy.stats import chi2

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Rate:
    """Events in some hours, as a rate with its 95 % interval.

    The interval is exact (Garwood, Fiducial limits for the Poisson distribution, Biometrika 28,
    1936). Without an event it reaches from 0 to 3 / hours, the rate that would show one in 95 of
    100 cases.

    Example:
        >>> str(Rate(10, 2.0)), str(Rate(0, 6.0))
        ('5.0 (2.4 to 9.2)', '0 (under 0.50)')
    """

    count: int
    hours: float

    @property
    def per_hour(self) -> float:
        """Events an hour."""
        return self.count / self.hours

    @property
    def low(self) -> float:
        """Lower end of the interval, events an hour."""
        if not self.count:
            return 0.0
        return float(chi2.ppf((1 - CONFIDENCE) / 2, 2 * self.count) / 2 / self.hours)

    @property
    def high(self) -> float:
        """Upper end of the interval, events an hour."""
        share = (1 + CONFIDENCE) / 2 if self.count else CONFIDENCE
        return float(chi2.ppf(share, 2 * self.count + 2) / 2 / self.hours)

    def __str__(self) -> str:
        if not self.count:
            return f"0 (under {_shown(self.high)})"
        return f"{_shown(self.per_hour)} ({_shown(self.low)} to {_shown(self.high)})"

    def to_json(self) -> dict:
        """Returns a JSON-ready dictionary."""
        return {
            "count": self.count,
            "hours": self.hours,
            "per_hour": self.per_hour,
            "interval_95": [self.low, self.high],
        }


def _shown(value: float) -> str:
    """Returns a rate with two digits or, where it has more, all before the point."""
    return f"{value:.0f}" if value >= 9.95 else f"{value:.{1 if value >= 0.995 else 2}f}"
