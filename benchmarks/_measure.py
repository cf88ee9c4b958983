"""What the benchmarks share: interleaved repeats, the table for people, the JSON for machines."""

import argparse
import os
import platform
import shlex
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

from kws_tf.errors import KwsError
from kws_tf.files import write_json
from kws_tf.progress import progress

ROOT = Path(__file__).resolve().parent.parent


def positive(text: str) -> int:
    """A whole number of at least 1, for argparse."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{number} is below 1")
    return number


def add_options(parser: argparse.ArgumentParser, repeats: int) -> None:
    """Adds the options of every benchmark."""
    parser.add_argument(
        "--repeats", type=positive, default=repeats, metavar="N", help="rounds; medians are shown"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures as JSON")


def check(options: argparse.Namespace) -> None:
    """Refuses, before the measurement, what would fail after it.

    Raises:
        KwsError: If the JSON file's folder does not exist.
    """
    if options.json and not options.json.parent.is_dir():
        raise KwsError(f"the folder of {options.json} does not exist; make it or give another")


def interleave(
    candidates: dict[str, Callable[[], float]], repeats: int
) -> dict[str, tuple[float, ...]]:
    """Times candidates in turn, so that what else the machine does meets them alike.

    Args:
        candidates: Functions that do the work and return the seconds that count; each is called
            once more beforehand, for compilation and caches.
        repeats: Rounds; every other one goes backwards.

    Returns:
        The seconds of each, in the order of the rounds.
    """
    names = list(candidates)
    for name in names:
        candidates[name]()
    rounds = [
        {name: candidates[name]() for name in (names[::-1] if number % 2 else names)}
        for number in progress(range(repeats), repeats, "rounds")
    ]
    return {name: tuple(seconds[name] for seconds in rounds) for name in names}


def median_ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """Returns the median of the ratios round by round."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        name: What was measured.
        values: A value a round.
        unit: Of the values.
        ratio: Against the baseline, median of the rounds; ``None`` for the baseline.
        bar: What is wanted; empty if nothing is.
        holds: Whether the bar is reached; ``None`` without one.
    """

    name: str
    values: Sequence[float]
    unit: str
    ratio: float | None = None
    bar: str = ""
    holds: bool | None = None

    @property
    def median(self) -> float:
        """Median of the values."""
        return statistics.median(self.values)

    def cells(self) -> list[str]:
        """Returns the cells of the table."""
        low, high = min(self.values), max(self.values)
        ratio = "" if self.ratio is None else f"{self.ratio:.3f}"
        verdict = {None: "", True: "holds", False: "missed"}[self.holds]
        value_range = f"{_short(low)} to {_short(high)}"
        return [self.name, _short(self.median), self.unit, value_range, ratio, self.bar, verdict]


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def report(
    rows: Sequence[Row], ratio: str, options: argparse.Namespace, baseline: str, **more
) -> None:
    """Prints the table and writes the JSON.

    Args:
        rows: What came out.
        ratio: What the column of ratios is.
        options: With ``json``.
        baseline: What the ratios are against.
        **more: Further entries of the JSON.
    """
    header = ["", "median", "unit", "smallest to largest", ratio, "bar", ""]
    table = [header, *(row.cells() for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        cells = [f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)]
        print("  ".join(cells).rstrip())
    print(f"\n{ratio}: against {baseline}; {machine_text()}")
    if options.json:
        entries = [asdict(row) | {"median": row.median} for row in rows]
        what = {"command": shlex.join(sys.argv), "machine": machine(), "baseline": baseline}
        write_json(options.json, what | {"ratio": ratio} | more | {"rows": entries})


def machine() -> dict:
    """Returns what the figures depend on besides the code."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return {
        "cpu": names[0] if names else platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "tensorflow": metadata.version("tensorflow"),
    }


def machine_text() -> str:
    """Returns ``machine`` as a line."""
    values = machine()
    return (
        f"{values['cores']} cores of {values['cpu']}, load {values['load']}, "
        f"Python {values['python']}, TensorFlow {values['tensorflow']}"
    )
