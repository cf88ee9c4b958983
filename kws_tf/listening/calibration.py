"""What a calibration found: the trigger before and after, what each finds, how sure that is."""

import dataclasses
from dataclasses import dataclass

from scipy.stats import binomtest

from kws_tf.listening.rates import CONFIDENCE, Rate
from kws_tf.tflite.trigger import Trigger


@dataclass(frozen=True)
class Figures:
    """What a trigger did on tuning streams."""

    words: int = 0  # said in the streams of words
    found: int = 0
    wrong: int = 0  # detections there that are not of a word said, or its second
    alarms: int = 0  # detections in the streams without words
    hours: float = 0.0  # length of those

    def __add__(self, other: "Figures") -> "Figures":
        mine, others = dataclasses.astuple(self), dataclasses.astuple(other)
        return Figures(*(a + b for a, b in zip(mine, others, strict=True)))

    @property
    def gain(self) -> int:
        """Words found less wrong detections, of which a calibration seeks the most."""
        return self.found - self.wrong

    @property
    def found_interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the share found.

        E. B. Wilson, Probable inference, JASA 22, 1927.
        """
        low, high = binomtest(self.found, self.words).proportion_ci(CONFIDENCE, "wilson")
        return float(low), float(high)

    @property
    def rate(self) -> Rate:
        """False alarms an hour, with the exact Poisson interval."""
        return Rate(self.alarms, self.hours)

    def to_json(self) -> dict:
        """Returns a JSON-ready dictionary."""
        return dataclasses.asdict(self) | {
            "found_share": self.found / self.words,
            "found_interval_95": self.found_interval,
            "alarms_per_hour": self.rate.to_json(),
        }

    def text(self) -> str:
        """Returns the columns that ``_HEAD`` names."""
        low, high = (100 * end for end in self.found_interval)
        found = f"{100 * self.found / self.words:.1f} % ({low:.1f} to {high:.1f})"
        return f"{found:>22}{self.wrong:>7,}   {self.rate}"


@dataclass(frozen=True)
class Measured:
    """A trigger and what it did."""

    trigger: Trigger
    figures: Figures

    def to_json(self) -> dict:
        """Returns a JSON-ready dictionary."""
        return {"trigger": dataclasses.asdict(self.trigger)} | self.figures.to_json()

    def text(self, name: str) -> str:
        """Returns a row of the table."""
        one = self.trigger
        settings = f"{1000 / one.decision_ms:>9.3g}{one.smoothing_decisions:>9}"
        settings += f"{one.refractory_ms:>11g} ms{one.threshold:>10.3f}"
        return f"{name:<18}{settings}{self.figures.text()}"


_HEAD = (
    f"{'':<18}{'a second':>9}{'mean of':>9}{'refractory':>14}{'threshold':>10}"
    f"{'found (95 %)':>22}{'wrong':>7}   alarms an hour (95 %)"
)


@dataclass(frozen=True)
class Crossed:
    """Chosen on each half of the streams and tried on the other, as the sum of both."""

    common: Figures  # one threshold of all words
    by_word: Figures  # some of their own
    chance: float  # of so many words that only those by word find, or more, if it were all chance


@dataclass(frozen=True)
class Calibration:
    """A trigger chosen on tuning streams."""

    per_hour: float  # false alarms that were asked for
    allowed: int  # false alarms in the hours at hand
    before: Measured
    chosen: Measured
    options: tuple[Measured, ...]  # the best of each decision interval, one threshold for all
    crossed: Crossed

    @property
    def trigger(self) -> Trigger:
        """The trigger that was chosen."""
        return self.chosen.trigger

    @property
    def is_by_word(self) -> bool:
        """Whether some words have a threshold of their own."""
        return bool(self.trigger.thresholds)

    @property
    def expected(self) -> Figures:
        """What is to be expected elsewhere, as the halves show it; on fewer hours, so for less."""
        return self.crossed.by_word if self.is_by_word else self.crossed.common

    def to_json(self) -> dict:
        """Returns a JSON-ready dictionary."""
        return {
            "asked_alarms_per_hour": self.per_hour,
            "allowed_alarms": self.allowed,
            "before": self.before.to_json(),
            "chosen": self.chosen.to_json(),
            "by_decision_interval": [one.to_json() for one in self.options],
            "crossed": {
                "common": self.crossed.common.to_json(),
                "by_word": self.crossed.by_word.to_json(),
                "chance": self.crossed.chance,
            },
            "shown": self.shown,
        }

    @property
    def shown(self) -> str:
        """Says in a sentence what the hours at hand can show about the rate asked for."""
        rate = self.chosen.figures.rate
        says = f"{'none' if not rate.count else f'{rate.count:,}'} in {rate.hours:.2f} h says "
        if rate.high <= self.per_hour:
            return f"{says}under {rate.high:.2g} an hour, less than the {self.per_hour:g} asked for"
        if not rate.count:
            needed = Rate(0, 1.0).high / self.per_hour
            return (
                f"{says}under {rate.high:.2g} an hour; give more hours of negatives: "
                f"{self.per_hour:g} an hour takes {needed:.2g} h without one to show"
            )
        return (
            f"{says}{rate.low:.2g} to {rate.high:.2g} an hour; more hours of negatives say more "
            f"about the {self.per_hour:g} asked for"
        )

    def text(self) -> str:
        """Returns the table to print."""
        many = f"{self.allowed:,}" if self.allowed else "none"
        lines = [
            f"asked for: at most {self.per_hour:g} false alarms an hour; allowed in "
            f"{self.chosen.figures.hours:.2f} h: {many}",
            "",
            f"{'':<18}decisions",
            _HEAD,
            self.before.text("before"),
        ]
        if len(self.options) > 1:
            for one in self.options:
                lines.append(one.text(f"best at {one.trigger.decision_ms:g} ms"))
        lines.append(self.chosen.text("calibrated"))
        lines.append(f"{'one half by other':<18}{'':>42}{self.expected.text()}")
        lines += ["", *self._words(), self.shown]
        if self.chosen.trigger == self.before.trigger:
            lines.append("the trigger stays, as no other that was tried is better")
        return "\n".join(lines)

    def _words(self) -> list[str]:
        if self.is_by_word:
            own = self.trigger.thresholds.items()
            return ["of their own: " + ", ".join(f"{word} {least:.3f}" for word, least in own)]
        return ["no thresholds by word: tried on the other half, they find no more, or by chance"]
