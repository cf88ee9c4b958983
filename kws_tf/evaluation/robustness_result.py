"""What a measurement of robustness found: rows, their tables and JSON."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Row:
    """The decisions under one condition."""

    condition: str  # as of ``Condition``, or ``clean words``, without silence
    noise: str | None  # name of the recording
    snr_db: float | None  # signal-to-noise ratio, dB
    shift_ms: float  # positive is later
    n: int  # examples
    correct: int  # right decisions

    @property
    def accuracy(self) -> float:
        """Share of right decisions."""
        return self.correct / self.n


@dataclass(frozen=True)
class Robustness:
    """Accuracy under every condition, in the order of measurement; JSON-ready ``details``."""

    rows: Sequence[Row]
    details: dict

    def of(self, condition: str) -> list[Row]:
        """Returns the rows of a condition."""
        return [row for row in self.rows if row.condition == condition]

    def noise_table(self) -> dict[str, dict[float, float]]:
        """Returns the accuracy by recording and ratio (``inf`` is clean), and their mean."""
        table: dict[str, dict[float, float]] = {}
        for row in self.of("noise"):
            (clean,) = self.of("clean words")
            table.setdefault(row.noise, {np.inf: clean.accuracy})[row.snr_db] = row.accuracy
        if len(table) > 1:
            columns = zip(*(row.values() for row in table.values()), strict=True)
            snrs = next(iter(table.values()))
            table["mean"] = dict(zip(snrs, map(float, map(np.mean, columns)), strict=True))
        return table

    def to_json(self) -> dict:
        """Returns a JSON-ready dictionary."""
        return self.details | {"rows": [vars(r) | {"accuracy": r.accuracy} for r in self.rows]}

    def text(self) -> str:
        """Returns the tables to print."""
        (clean,) = self.of("clean")
        lines = [f"clean: {clean.correct:,} of {clean.n:,} ({100 * clean.accuracy:.2f} %)"]
        lines += self._noise_lines()
        alone = self.of("noise alone")
        if alone:
            lines += ["", f"noise alone, % of {alone[0].n:,} stretches that are taken for silence"]
            width = max(len(row.noise) for row in alone)
            lines += [f"{row.noise:<{width}}{100 * row.accuracy:8.2f}" for row in alone]
        shifts = self.of("shift")
        if shifts:
            lines += ["", f"accuracy against time shift, % of {clean.n:,} examples"]
            for title, cells in (
                ("ms", [shift_name(row.shift_ms) for row in shifts]),
                ("", [f"{100 * row.accuracy:.2f}" for row in shifts]),
            ):
                lines.append(f"{title:<3}" + "".join(f"{cell:>8}" for cell in cells))
        return "\n".join(lines)

    def _noise_lines(self) -> list[str]:
        table = self.noise_table()
        if not table:
            return []
        words = self.of("clean words")[0].n
        width, columns = max(map(len, table)), next(iter(table.values()))
        return [
            "",
            f"accuracy against signal-to-noise ratio, % of {words:,} examples of words",
            f"{'dB':<{width}}" + "".join(f"{snr_name(snr):>8}" for snr in columns),
            *(
                f"{name:<{width}}" + "".join(f"{100 * row[snr]:8.2f}" for snr in columns)
                for name, row in table.items()
            ),
        ]


def snr_name(snr: float) -> str:
    """Returns a ratio in dB as it is printed; infinity is clean."""
    return "clean" if snr == np.inf else f"{snr:g}"


def shift_name(ms: float) -> str:
    """Returns a shift in ms as it is printed."""
    return f"{ms:+g}" if ms else "0"
