"""Writing what an evaluation found: JSON, plot and, of a run, its table of accuracies."""

import io
from pathlib import Path

import numpy as np

from kws_tf.errors import KwsError
from kws_tf.evaluation.evaluate import Evaluation, Subject
from kws_tf.evaluation.metrics import Metrics
from kws_tf.files import write_bytes, write_json

_ONLY_IN_REPORT = ("per_class", "labels", "confusion")


def save(
    evaluation: Evaluation,
    subject: Subject,
    folder: Path | None = None,
    json_copy: Path | None = None,
) -> list[Path]:
    """Writes JSON and plot, and in a run folder an entry of ``accuracy.json``.

    Without ``folder`` they go to the run folder, and nowhere for a model that is in none;
    ``json_copy`` gets the JSON as well. Returns the files written.
    """
    folder = folder or (subject.run.path if subject.run else None)
    written = []
    try:
        if folder:
            written += _write_report(evaluation, subject, Path(folder))
        if json_copy:
            write_json(json_copy, evaluation.to_json())
            written.append(json_copy)
        if subject.run:
            entry = {k: v for k, v in evaluation.to_json().items() if k not in _ONLY_IN_REPORT}
            entries = subject.run.accuracies() | {evaluation.key: entry}
            write_json(subject.run.accuracy_file, entries)
            written.append(subject.run.accuracy_file)
    except OSError as error:
        raise KwsError(
            f"cannot write {error.filename} ({error.strerror}); give another --out or --json"
        ) from error
    return written


def _write_report(evaluation: Evaluation, subject: Subject, folder: Path) -> list[Path]:
    # Models that are in no run may share a folder.
    name = "evaluation" if subject.run else f"{subject.file.stem}.evaluation"
    report = folder / f"{name}-{evaluation.key}.json"
    plot = report.with_suffix(".png")
    counted = evaluation.metrics
    accuracy = f"{counted.correct:,} of {counted.total:,} ({100 * counted.accuracy:.2f} %)"
    folder.mkdir(parents=True, exist_ok=True)
    write_json(report, evaluation.to_json())
    save_plot(counted, plot, f"{evaluation.key}: {accuracy}")
    return [report, plot]


def save_plot(metrics: Metrics, path: Path, title: str) -> None:
    """Writes the confusion matrix as a PNG, coloured by their share of the row."""
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
