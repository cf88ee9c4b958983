"""Accuracy against signal-to-noise ratio and against time shift as a plot, PNG or SVG."""

import io
from pathlib import Path

from kws_tf.evaluation.robustness_result import Robustness, shift_name, snr_name
from kws_tf.files import write_bytes

# The colours of Okabe and Ito, which colour-blind readers tell apart (https://jfly.uni-koeln.de/
# color/, "Color Universal Design"); each line has a marker of its own as well.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
_MARKERS = "osD^vPX*"


def save(result: Robustness, path: Path, title: str = "") -> None:
    """Draws accuracy against ratio and shift into a ``.png`` or ``.svg``."""
    # Without pyplot: no global state, no display.
    import matplotlib
    from matplotlib.figure import Figure

    noises, shifts = result.noise_table(), result.of("shift")
    panels = [draw for draw, wanted in ((_draw_noise, noises), (_draw_shift, shifts)) if wanted]
    style = {"font.size": 10, "svg.hashsalt": "kws_tf", "svg.fonttype": "path"}
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(1.2 + 4.4 * len(panels), 4.2), layout="constrained")
        figure.suptitle(title, fontsize=11)
        grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for draw, axes in zip(panels, grid, strict=True):
            draw(axes, result)
            axes.grid(axis="y", color="#dddddd", linewidth=0.8)
            axes.set_axisbelow(True)
            axes.spines[["top", "right"]].set_visible(False)
        grid[0].set_ylabel("accuracy, %")
        image, kind = io.BytesIO(), path.suffix.lower().lstrip(".")
        # No date in an SVG: the same figures give the same file.
        metadata = {"Date": None} if kind == "svg" else {}
        figure.savefig(image, format=kind, dpi=150, metadata=metadata)
    write_bytes(path, image.getvalue())


def _draw_noise(axes, result: Robustness) -> None:
    table = result.noise_table()
    mean = table.pop("mean", None)
    for number, (name, row) in enumerate(table.items()):
        snrs = sorted(row, reverse=True)
        axes.plot(
            range(len(snrs)),
            [100 * row[snr] for snr in snrs],
            color=_COLOURS[number % len(_COLOURS)],
            marker=_MARKERS[number % len(_MARKERS)],
            markersize=5,
            linewidth=1.6,
            label=name.replace("_", " "),
        )
    if mean:
        values = [100 * mean[snr] for snr in snrs]
        axes.plot(range(len(snrs)), values, "k--", linewidth=1.6, label="mean")
    axes.set_xticks(range(len(snrs)), map(snr_name, snrs))
    axes.set_xlabel("signal-to-noise ratio, dB (active speech level)")
    axes.legend(frameon=False, fontsize=9, loc="lower left")


def _draw_shift(axes, result: Robustness) -> None:
    rows = sorted(result.of("shift"), key=lambda row: row.shift_ms)
    shifts = [row.shift_ms for row in rows]
    values = [100 * row.accuracy for row in rows]
    axes.plot(shifts, values, color=_COLOURS[0], marker="o", markersize=5, linewidth=1.6)
    axes.set_xticks(shifts, map(shift_name, shifts))
    axes.set_xlabel("time shift, ms (positive is later)")
