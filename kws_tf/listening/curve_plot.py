"""Words missed against false alarms an hour as a plot, PNG or SVG."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kws_tf.files import write_bytes
from kws_tf.listening.curve import Curve

_MARKED = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""Thresholds to mark."""


def save(curve: Curve, path: Path, title: str = "") -> None:
    """Draws a curve into a ``.png`` or ``.svg``."""
    # Without pyplot: no global state, no display.
    import matplotlib
    from matplotlib.figure import Figure

    style = {"font.size": 10, "svg.hashsalt": "kws_tf", "svg.fonttype": "path"}
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(6.4, 4.4), layout="constrained")
        axes = figure.subplots()
        draw(axes, curve, "#0072B2", "#999999", _MARKED)
        axes.grid(color="#dddddd", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_title(title, fontsize=11)
        image, kind = io.BytesIO(), path.suffix.lower().lstrip(".")
        # No date in an SVG: the same figures give the same file.
        metadata = {"Date": None} if kind == "svg" else {}
        figure.savefig(image, format=kind, dpi=150, metadata=metadata)
    write_bytes(path, image.getvalue())


def draw(axes, curve: Curve, colour: str, faint: str, marked: Sequence[float]) -> None:
    """Draws a curve on Matplotlib's axes, with some thresholds marked.

    What has no false alarm is drawn at the rate of half of one, left of a faint line.
    """
    rates = rate_drawn(curve.alarms, curve.hours)
    missed = 100 * (1 - curve.found / curve.words)
    axes.plot(rates, missed, color=colour, linewidth=1.6)
    for threshold in marked:
        place = np.searchsorted(curve.thresholds, threshold - 1e-9)
        if place < len(rates):
            axes.plot(rates[place], missed[place], "o", color=colour, markersize=5)
            where = {"xytext": (5, 5), "textcoords": "offset points", "fontsize": 9}
            axes.annotate(f"{threshold:g}", (rates[place], missed[place]), **where)
    axes.axvline(1 / curve.hours, color=faint, linestyle=":", linewidth=1)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")
    # Up to the first threshold without an alarm, from which on words are lost for nothing.
    without = missed[curve.alarms == 0]
    axes.set_ylim(0, min(100, max(10, 1.1 * without[0]) if len(without) else 100))
    axes.set_xlabel(f"false alarms an hour, in {curve.hours:.2f} h (left of the dotted line: none)")
    axes.set_ylabel(f"missed of {curve.words:,} words, %")


def rate_drawn(alarms, hours: float):
    """Returns where the axis has so many alarms, an hour: none is at half of one."""
    return np.maximum(alarms, 0.5) / hours
