"""What a model left listening did: tables and JSON."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kws_tf.files import write_json
from kws_tf.listening.curve import Curve
from kws_tf.listening.ears import RUNTIMES
from kws_tf.listening.protocol import Judged
from kws_tf.listening.rates import Rate
from kws_tf.listening.recordings import Recordings
from kws_tf.listening.streams import QUIET_DBFS

_SHOWN = 20
"""So many alarms are printed; JSON has all."""


@dataclass(frozen=True)
class Alarm:
    """A false alarm in a recording."""

    name: str  # of the recording: folder and path in it
    path: Path
    seconds: float  # end of the decision's window, from the recording's beginning
    word: str
    score: float
    window: float  # length of the decision's window, seconds

    def to_json(self) -> dict:
        """Returns a JSON-ready dictionary, without this machine's path."""
        names = ("name", "seconds", "word", "score")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Negatives:
    """Recordings without the words; every detection is a false alarm."""

    recordings: Recordings
    hours: float
    alarms: tuple[Alarm, ...]  # by recording and time
    keywords: tuple[str, ...]

    @property
    def rate(self) -> Rate:
        """False alarms an hour, of all words."""
        return Rate(len(self.alarms), self.hours)

    def by_word(self) -> dict[str, Rate]:
        """Returns the false alarms an hour of each word."""
        counts = Counter(alarm.word for alarm in self.alarms)
        return {word: Rate(counts[word], self.hours) for word in self.keywords}

    def to_json(self) -> dict:
        """Returns a JSON-ready dictionary."""
        return self.recordings.to_json() | {
            "hours": self.hours,
            "alarms_per_hour": self.rate.to_json(),
            "by_word": {word: rate.to_json() for word, rate in self.by_word().items()},
            "alarms": [alarm.to_json() for alarm in self.alarms],
        }

    def lines(self) -> list[str]:
        """Returns the tables to print."""
        width = _width(self.keywords)
        lines = [
            f"negatives: {self.recordings.text}",
            f"{len(self.alarms):,} false alarms in {_time(self.hours)}, an hour {self.rate}",
            "",
            f"{'word':<{width}}{'alarms':>8}   an hour (95 %)",
        ]
        rates = self.by_word().items()
        lines += [f"{word:<{width}}{rate.count:>8,}   {rate}" for word, rate in rates]
        if self.alarms:
            highest = sorted(self.alarms, key=lambda alarm: -alarm.score)[:_SHOWN]
            lines += ["", _title(len(self.alarms)), f"{'word':<{width}}{'score':>8}{'at':>12}   in"]
            lines += [
                f"{alarm.word:<{width}}{alarm.score:>8.3f}{alarm.seconds:>10.2f} s   {alarm.name}"
                for alarm in highest
            ]
        return lines


@dataclass(frozen=True)
class Positives:
    """Words laid into one stream."""

    judged: Judged
    of: int  # recordings in the test set, of which those said were drawn
    hours: float
    seed: int
    snr_db: tuple[float, float] | None  # over a background; quiet without
    background: Recordings | None
    keywords: tuple[str, ...]

    @property
    def words(self) -> int:
        """Words that were said."""
        return len(self.judged.found) + len(self.judged.missed)

    def delay(self) -> dict[str, float]:
        """Returns median and 95th percentile of the delay from a word's end, s, if one is found."""
        if not self.judged.found:
            return {}
        median, late = np.percentile(self.judged.delays, [50, 95])
        return {"median": float(median), "percentile_95": float(late)}

    def by_word(self) -> dict[str, tuple[int, int, int]]:
        """Returns found, missed and false alarms of each word."""
        found, missed = self.judged.found_by_word(), self.judged.missed_by_word()
        alarms = self.judged.alarms_by_word()
        return {word: (found[word], missed[word], alarms[word]) for word in self.keywords}

    def to_json(self) -> dict:
        """Returns a JSON-ready dictionary."""
        names = ("found", "missed", "alarms")
        alarms = Rate(len(self.judged.alarms), self.hours)
        return {
            "words": self.words,
            "of": self.of,
            "found": len(self.judged.found),
            "hours": self.hours,
            "seed": self.seed,
            "snr_db": self.snr_db,
            "quiet_dbfs": None if self.background else QUIET_DBFS,
            "background": self.background.to_json() if self.background else None,
            "alarms_per_hour": alarms.to_json(),
            "delay_seconds": self.delay(),
            "by_word": {
                word: dict(zip(names, row, strict=True)) for word, row in self.by_word().items()
            },
            "missed": [vars(word) for word in self.judged.missed],
            "alarms": [alarm._asdict() for alarm in self.judged.alarms],
        }

    def lines(self) -> list[str]:
        """Returns the tables to print."""
        width, judged = _width(self.keywords), self.judged
        place = f"quiet noise of {QUIET_DBFS:g} dBFS"
        if self.background and self.snr_db:
            low, high = self.snr_db
            place = f"a background at {low:g} to {high:g} dB ({self.background.text})"
        share = 100 * len(judged.found) / self.words
        lines = [
            f"positives: {self.words:,} of {self.of:,} words in {_time(self.hours)} of {place}",
            f"found {len(judged.found):,} of {self.words:,} ({share:.1f} %); "
            f"{len(judged.alarms):,} false alarms, an hour {Rate(len(judged.alarms), self.hours)}",
        ]
        if delay := self.delay():
            lines.append(
                f"delay from the word's end: median {delay['median']:.2f} s, 95 % within "
                f"{delay['percentile_95']:.2f} s"
            )
        lines += ["", f"{'word':<{width}}{'found':>8}{'missed':>8}{'found, %':>10}{'alarms':>8}"]
        for word, (found, missed, alarms) in self.by_word().items():
            share = f"{100 * found / (found + missed):.1f}" if found + missed else "-"
            lines.append(f"{word:<{width}}{found:>8,}{missed:>8,}{share:>10}{alarms:>8,}")
        return lines


@dataclass(frozen=True)
class Soak:
    """A measurement; JSON-ready ``details`` say of what."""

    details: dict
    negatives: Negatives | None
    positives: Positives | None
    curve: Curve  # words of the positives, alarms of the negatives; or of what there is

    def to_json(self) -> dict:
        """Returns a JSON-ready dictionary."""
        parts = {"negatives": self.negatives, "positives": self.positives}
        found = {name: part.to_json() for name, part in parts.items() if part}
        return self.details | found | {"curve": self.curve.to_json()}

    def save(self, file: Path, places: Sequence[Path], mix_down: bool = False) -> None:
        """Writes a run's ``soak.json``: with where the negatives are, for the report's players."""
        where = {"places": [str(Path(place).resolve()) for place in places], "mix_down": mix_down}
        write_json(file, self.to_json() | where)

    def text(self) -> str:
        """Returns the tables to print."""
        trigger = self.details["trigger"]
        threshold = f"threshold {trigger['threshold']:g}"
        if trigger["thresholds"]:
            some = (f"{word} {value:g}" for word, value in trigger["thresholds"].items())
            threshold += f" ({', '.join(some)})"
        lines = [
            f"{self.details['model']}, {RUNTIMES[self.details['runtime']]}",
            f"trigger: every {trigger['decision_ms']:g} ms, mean of "
            f"{trigger['smoothing_decisions']}, {threshold}, refractory time "
            f"{trigger['refractory_ms']:g} ms",
        ]
        for part in filter(None, (self.negatives, self.positives)):
            lines += ["", *part.lines()]
        return "\n".join([*lines, "", "by threshold, of all words alike", self.curve.text()])


def _width(keywords: tuple[str, ...]) -> int:
    return max(6, *map(len, keywords)) + 1


def _time(hours: float) -> str:
    return f"{hours:.2f} h" if hours >= 1 else f"{60 * hours:.1f} minutes"


def _title(alarms: int) -> str:
    if alarms <= _SHOWN:
        return "alarms by score"
    return f"the {_SHOWN} alarms of the highest score, of {alarms:,}; --json writes all"
