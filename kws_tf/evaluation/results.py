"""Writing what an evaluation found: JSON, plot and, of a run, its table of accuracies."""

from pathlib import Path

from kws_tf.errors import KwsError
from kws_tf.evaluation import confusion_plot
from kws_tf.evaluation.evaluate import Evaluation, Subject
from kws_tf.files import write_json
from kws_tf.run_folder import RunFolder

_ONLY_IN_REPORT = ("per_class", "labels", "confusion")


def save(
    evaluation: Evaluation,
    subject: Subject,
    folder: Path | None = None,
    json_copy: Path | None = None,
) -> list[Path]:
    """Writes JSON and plot, and in a run folder an entry of ``accuracy.json``.

    Args:
        evaluation: What to write.
        subject: What was evaluated.
        folder: Where to, made if it is missing; if absent, the run folder, and nowhere for a model
            that is in none.
        json_copy: A further file to write the JSON to.

    Returns:
        The files written.
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
            _record(evaluation, subject.run)
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
    confusion_plot.save(counted, plot, f"{evaluation.key}: {accuracy}")
    return [report, plot]


def _record(evaluation: Evaluation, run: RunFolder) -> None:
    """Adds or replaces an entry of the run's ``accuracy.json``."""
    entries = run.accuracies()
    entry = {k: v for k, v in evaluation.to_json().items() if k not in _ONLY_IN_REPORT}
    write_json(run.accuracy_file, entries | {evaluation.key: entry})
