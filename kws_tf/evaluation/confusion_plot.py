"""A confusion matrix as a PNG."""

import io
from pathlib import Path

import numpy as np

from kws_tf.evaluation.metrics import Metrics
from kws_tf.files import write_bytes


def save(metrics: Metrics, path: Path, title: str) -> None:
    """Writes the counts, coloured by their share of the row."""
    # Without pyplot: no global state, no display.
    from matplotlib.figure import Figure

    size = len(metrics.labels)
    share = metrics.confusion / np.maximum(metrics.confusion.sum(axis=1, keepdims=True), 1)
    side = 2.5 + 0.5 * size
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(size), metrics.labels, rotation=45, ha="right")
    axes.set_yticks(range(size), metrics.labels)
    axes.set_xlabel("decision")
    axes.set_ylabel("truth")
    axes.set_title(title, fontsize=10)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    for row, column in np.argwhere(metrics.confusion):
        colour = "white" if share[row, column] > 0.5 else "black"
        text = str(metrics.confusion[row, column])
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=120)
    write_bytes(path, png.getvalue())
