"""A run's history as curves: learning, and the clips over training."""

import math
from collections import defaultdict

import numpy as np

from kws_tf.report import charts
from kws_tf.report.damage import damage_named
from kws_tf.report.signals import title
from kws_tf.run_folder import RunFolder, quality

_NUMBERS = ("epoch", "seconds", "examples", "loss", "accuracy", "val_loss", "val_accuracy")
_FEW_EPOCHS = 8
# Per cent of the values that the frame may leave out: those of the first epochs.
_SKIPPED = 8


def load(run: RunFolder) -> list[dict]:
    """Reads the history, a row per epoch, both phases in order; a KwsError if it is damaged."""
    rows = run.history()
    with damage_named(run.history_file, "train the run anew"):
        for row in rows:
            numbers = [row[name] for name in _NUMBERS]
            numbers += [value for name, value in row.items() if name.startswith("clip/")]
            if not all(isinstance(number, int | float) for number in numbers):
                raise ValueError("a row holds what is no number")
        if not any(row["phase"] == "quantized" for row in rows):
            raise ValueError("it has no quantized epoch")
    return rows


def best_epoch(rows: list[dict], phase: str) -> int | None:
    """Returns the position among ``rows`` of the epoch whose weights were kept."""
    positions = [i for i, row in enumerate(rows) if row["phase"] == phase]
    return max(positions, key=lambda i: quality(rows[i]), default=None)


def learning_curves(rows: list[dict]) -> list[dict]:
    """Draws accuracy and loss over the epochs of both phases, with ``title`` and ``svg``."""
    best = best_epoch(rows, "quantized")
    plots = []
    for what, unit, factor, ends in (
        ("accuracy", "accuracy, %", 100, (_SKIPPED, 100)),
        ("loss", "loss", 1, (0, 100 - _SKIPPED)),
    ):
        columns = {
            "training": [factor * row[what] for row in rows],
            "validation": [factor * row[f"val_{what}"] for row in rows],
        }
        last = columns["validation"][-1]
        alt = f"{unit} over {len(rows)} epochs; validation ends at {last:.4g}"

        def draw(axes, columns=columns, unit=unit, ends=ends):
            _lines(axes, columns)
            _mark(axes, best + 1)
            floats = sum(row["phase"] == "float" for row in rows)
            if floats:
                axes.axvspan(floats + 0.5, len(rows) + 0.5, color=charts.FAINT, alpha=0.15, lw=0)
            if len(rows) > _FEW_EPOCHS:
                low, high = np.nanpercentile(list(columns.values()), ends)
                axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
            axes.set_xlabel("epoch")
            axes.set_ylabel(unit)
            axes.legend(loc="best")

        svg = charts.chart(draw, f"learning-{what}", alt)
        plots.append({"title": what.capitalize(), "svg": svg})
    return plots


def clip_curves(rows: list[dict]) -> list[dict]:
    """Draws every clip over the quantized epochs, those of the gates of a matrix together."""
    rows = [row for row in rows if row["phase"] == "quantized"]
    best = best_epoch(rows, "quantized")
    groups: dict[str, dict[str, list[float]]] = defaultdict(dict)
    for name in rows[-1]:
        if name.startswith("clip/"):
            label, gate = title(name.removeprefix("clip/"))
            groups[label][gate] = [row.get(name, math.nan) for row in rows]
    plots = []
    for number, (label, columns) in enumerate(groups.items()):
        changes = [
            f"{gate} {values[0]:.3g} → {values[best]:.3g}".strip()
            for gate, values in columns.items()
        ]
        text = ", ".join(changes)

        def draw(axes, columns=columns):
            _lines(axes, columns)
            _mark(axes, best + 1)
            axes.set_xlabel("quantized epoch")
            axes.ticklabel_format(axis="y", useOffset=False)
            if len(columns) > 1:
                axes.legend(ncols=4, loc="lower left", bbox_to_anchor=(0, 1), handlelength=1.6)

        svg = charts.chart(draw, f"clips-{number}", f"clip of {label} by epoch: {text}", 3.0, 2.0)
        plots.append({"title": label, "svg": svg, "text": text})
    return plots


def _lines(axes, columns: dict[str, list[float]]) -> None:
    for number, (name, values) in enumerate(columns.items()):
        axes.plot(
            range(1, len(values) + 1),
            values,
            label=name,
            color=charts.LINES[number % len(charts.LINES)],
            linestyle=charts.DASHES[number % len(charts.DASHES)],
            marker="o" if len(values) <= _FEW_EPOCHS else None,
            markersize=3.5,
        )
    axes.margins(x=0.02)
    axes.xaxis.get_major_locator().set_params(integer=True)


def _mark(axes, epoch: int) -> None:
    axes.axvline(epoch, color=charts.INK, linewidth=0.8, linestyle=(0, (2, 2)))
