"""Histograms of weights and activations against their clips."""

from collections.abc import Sequence

import numpy as np

from kws_tf.report import charts
from kws_tf.report.signals import Signal, title

_BINS = 64


def histograms(signals: Sequence[Signal]) -> list[dict]:
    """Draws a histogram for each signal, with ``title``, ``svg`` and ``text``."""
    return [_histogram(signal) for signal in signals]


def _histogram(signal: Signal) -> dict:
    name = " ".join(title(signal.name)).strip()
    reach = 1.05 * max(signal.limit, float(np.abs(signal.values).max()))
    counts, edges = np.histogram(signal.values, _BINS, (-reach, reach))
    share = 100 * counts / counts.sum()

    def draw(axes):
        axes.stairs(share, edges, fill=True, color=charts.LINES[0], alpha=0.75)
        for side in (-1, 1):
            axes.axvline(side * signal.limit, color=charts.CLIP, linewidth=1.4)
            axes.axvspan(
                side * signal.limit, side * reach, color=charts.CLIP, alpha=0.12, linewidth=0
            )
        axes.set_xlim(-reach, reach)
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("")
        axes.set_ylabel("% of values")

    kind = "clip" if signal.has_clip else "fixed format, ends at"
    text = (
        f"{kind} ±{signal.limit:.4g}, step {signal.step:.3g}; "
        f"{_percent(signal.beyond)} of {signal.values.size:,} values beyond"
    )
    svg = charts.chart(draw, f"histogram-{signal.name}", f"Histogram of {name}: {text}", 3.0, 2.0)
    return {"title": name, "svg": svg, "text": text}


def _percent(share: float) -> str:
    if 0 < share < 1e-4:
        return "under 0.01 %"
    return f"{100 * share:.2f} %" if share else "none"
