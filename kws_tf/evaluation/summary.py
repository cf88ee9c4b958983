"""The end of a first run: convert the model, measure it in every form, make a table."""

from dataclasses import dataclass
from pathlib import Path

from kws_tf.conversion.convert import convert_run
from kws_tf.data.locate import test_set_beside
from kws_tf.evaluation import evaluate, labelled, results
from kws_tf.evaluation.evaluate import Evaluation
from kws_tf.evaluation.labelled import LabelledFeatures
from kws_tf.run_folder import RunFolder

RUNTIMES = ("keras", "tflite", "tflm")
_FORMS = (
    ("float Keras", "keras", "float"),
    ("fake-quant Keras", "keras", "quantized"),
    ("int8, TFLite", "tflite", "quantized"),
    ("int8, TFLite Micro", "tflm", "quantized"),
)


@dataclass(frozen=True)
class Summary:
    """What was measured: each form's name and evaluation, on what, and the files to keep."""

    rows: tuple[tuple[str, Evaluation], ...]
    examples: LabelledFeatures
    written: tuple[Path, ...]

    def text(self) -> str:
        """Returns the table to print."""
        examples = self.examples
        lines = [
            f"{len(examples.labels):,} examples of {examples.source} ({examples.split}), of voices "
            "that are not in the training data",
            f"{'model':<20} {'right':>6} {'accuracy':>10}",
        ]
        for name, evaluation in self.rows:
            counted = evaluation.metrics
            lines.append(f"{name:<20} {counted.correct:>6,} {100 * counted.accuracy:>8.2f} %")
        on_tflm = self.rows[-1][1].details
        lines.append(
            f"file: {on_tflm['bytes']:,} bytes; arena of TFLite Micro on this machine: "
            f"{on_tflm['arena_bytes']['total']:,} bytes"
        )
        lines.append("written: " + ", ".join(map(str, self.written)))
        return "\n".join(lines)


def convert_and_measure(
    run: RunFolder, test_dir: Path | None = None, runtimes: tuple[str, ...] = RUNTIMES
) -> Summary:
    """Converts a run and evaluates it as float and fake-quant Keras, under TFLite and TFLM.

    A run of the ``paper`` profile cannot be converted: it is evaluated in Keras alone.

    Args:
        run: A finished run.
        test_dir: Audio, one folder per class; if absent, the test set beside the run's data, or
            the validation partition where there is none.
        runtimes: What to evaluate it with, of ``RUNTIMES``.
    """
    deploys = run.train_settings().profile == "tflite"
    written = [run.accuracy_file]
    if deploys:
        convert_run(run)
        written = [run.model_file, run.model_file.with_suffix(".json"), *written]
    examples = labelled.of_run(run, test_dir or test_set_beside(run.data_dir()))
    rows = []
    for name, runtime, phase in _FORMS:
        if not run.weights_file(phase).exists() or (runtime != "keras" and not deploys):
            continue  # a run without pretraining, or without a converted model
        if runtime not in runtimes:
            continue
        path = run.path if runtime == "keras" else run.model_file
        subject = evaluate.open_subject(path, runtime, phase)
        evaluation = evaluate.evaluate(subject, examples, runtime, phase=phase)
        results.save(evaluation, subject)
        rows.append((name, evaluation))
    return Summary(tuple(rows), examples, tuple(written))
