"""Evaluating a converted model, or the Keras model of a run, and writing what came out."""

import hashlib
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kws_tf.errors import KwsError
from kws_tf.evaluation import metrics
from kws_tf.evaluation.labelled import LabelledFeatures, quantize
from kws_tf.evaluation.metrics import Metrics
from kws_tf.files import write_json
from kws_tf.frontend.config import FrontEnd
from kws_tf.run_folder import RunFolder, open_run
from kws_tf.tflite import interpreter, runner
from kws_tf.tflite import manifest as manifests
from kws_tf.tflite.manifest import Manifest
from kws_tf.tflite.runner import Outputs


@dataclass(frozen=True)
class Subject:
    """What is evaluated.

    Attributes:
        file: The .tflite, or the weights of a Keras model.
        labels: The class names in the order of the outputs.
        front_end: From samples to features.
        manifest: Of a .tflite; ``None`` for a Keras model.
        run: The run folder, if it is in one.
    """

    file: Path
    labels: tuple[str, ...]
    front_end: FrontEnd
    manifest: Manifest | None
    run: RunFolder | None


@dataclass(frozen=True)
class Evaluation:
    """What came out.

    Attributes:
        key: Name of runtime, variant and split, such as ``tflite`` or ``tflm-validation``.
        metrics: The decisions counted.
        details: What ran on what, and what it took; JSON-ready.
    """

    key: str
    metrics: Metrics
    details: dict

    def to_json(self) -> dict:
        """Returns a JSON-ready dictionary."""
        return self.details | self.metrics.to_json()

    def text(self) -> str:
        """Returns the table to print."""
        lines = [metrics.table(self.metrics), ""]
        if "microseconds" in self.details:
            lines.append(
                f"one inference: {self.details['microseconds']:,.0f} microseconds (median)"
            )
        if "arena_bytes" in self.details:
            lines.append("TFLite Micro's arena on this machine, bytes:")
            lines += [f"  {kind:<44} {n:>8,}" for kind, n in self.details["arena_bytes"].items()]
        if "equal_decisions" in self.details:
            equal, n = self.details["equal_decisions"], self.metrics.total
            lines.append(
                f"decisions equal to TFLite's ({self.details['kernels']} kernels): "
                f"{equal:,} of {n:,} ({100 * equal / n:.2f} %)"
            )
        return "\n".join(lines)


def open_subject(path: Path, runtime: str, phase: str) -> Subject:
    """Finds what to evaluate.

    Args:
        path: A .tflite with its manifest beside it, or a run folder.
        runtime: ``tflite``, ``tflm`` or ``keras``.
        phase: For ``keras``: ``quantized`` or ``float``.

    Raises:
        KwsError: If it is missing or damaged, or not for that runtime.
    """
    path = Path(path)
    if runtime == "keras":
        run = open_run(path)
        return Subject(run.weights_file(phase), run.labels(), run.front_end(), None, run)
    model = open_run(path).model_file if path.is_dir() else path
    run = RunFolder(model.parent)
    manifest = manifests.load(model)
    # A model that lies in its run's folder is recorded there, however it was named.
    in_run = run.model_file.name == model.name and run.settings_file.exists()
    return Subject(model, manifest.labels, manifest.front_end, manifest, run if in_run else None)


def evaluate(
    subject: Subject,
    clips: LabelledFeatures,
    runtime: str = "tflite",
    kernels: str = "default",
    phase: str = "quantized",
    frontend: str = "tensorflow",
) -> Evaluation:
    """Runs every clip and counts the decisions.

    Args:
        subject: What to evaluate.
        clips: What to run; of the subject's classes and front end.
        runtime: ``tflite``, ``tflm`` (compared with ``tflite`` as well) or ``keras``.
        kernels: Of TFLite: ``default`` or ``reference``.
        phase: For ``keras``: ``quantized`` or ``float``.
        frontend: ``tensorflow``, or ``c`` for the int8 input that the C code makes of the audio.

    Raises:
        KwsError: If model, manifest and clips do not fit each other, or it cannot be run.
    """
    if runtime == "keras":
        key = f"keras-{phase}"
        extra = {"phase": phase}
        model = subject.run.load_model(phase)
        scores = model.predict(clips.features, batch_size=256, verbose=0)
    else:
        key = "tflite-reference" if (runtime, kernels) == ("tflite", "reference") else runtime
        key += "-c-frontend" if frontend == "c" else ""
        scores, extra = _run_tflite(subject, clips, runtime, kernels, frontend)
    check_scores(scores, subject)
    content = subject.file.read_bytes()
    details = {
        "command": shlex.join(sys.argv),
        "model": str(subject.file),
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "data": clips.source,
        "split": clips.split,
        "runtime": runtime,
    }
    counted = metrics.measure(metrics.decisions(scores), clips.labels, subject.labels)
    key += "" if clips.split == "test" else f"-{clips.split}"
    return Evaluation(key, counted, details | extra)


def checked_model(subject: Subject) -> bytes:
    """Returns the content of a .tflite whose input is what its manifest says.

    Raises:
        KwsError: If it is damaged or has another input.
    """
    model, where = subject.file.read_bytes(), str(subject.file)
    found = runner.input_format(model, where)
    if (found.scale, found.zero_point) != (subject.manifest.input_scale, 0):
        raise KwsError(
            f"the input of {where} has the scale {found.scale:g} and the zero point "
            f"{found.zero_point}, its manifest says {subject.manifest.input_scale:g} and 0; "
            "convert the run anew"
        )
    return model


def check_scores(scores: np.ndarray, subject: Subject) -> None:
    """Refuses scores that are not one for each label.

    Args:
        scores: [clips, ...], the model's output.
        subject: The model.

    Raises:
        KwsError: If they are not.
    """
    if scores.ndim != 2 or scores.shape[1] != len(subject.labels):
        raise KwsError(
            f"the output of {subject.file} is {list(scores.shape[1:])} and there are "
            f"{len(subject.labels)} labels; use the files as training and conversion wrote them"
        )


def _run_tflite(subject, clips, runtime, kernels, frontend) -> tuple[np.ndarray, dict]:
    """Returns the scores, and what goes into the report beside them."""
    model, where = checked_model(subject), str(subject.file)
    inputs = _inputs(clips, subject.manifest, frontend)
    result: Outputs = interpreter.run(model, inputs, kernels, where)
    extra: dict = {"kernels": kernels, "frontend": frontend}
    scores = result.outputs[0]
    if runtime == "tflm":
        from kws_tf.tflite import tflm

        on_tflite, result = scores, tflm.run(model, inputs, where)
        scores = result.outputs[0]
        equal = metrics.decisions(scores) == metrics.decisions(on_tflite)
        extra["equal_decisions"] = int(equal.sum())
        extra["arena_bytes"] = result.arena_bytes
    return scores, extra | {"microseconds": result.microseconds}


def _inputs(clips: LabelledFeatures, manifest: Manifest, frontend: str) -> np.ndarray:
    """Returns the model's int8 input."""
    if frontend == "tensorflow":
        return quantize(clips.features, manifest)
    if clips.samples is None:
        raise KwsError("the C front end takes audio, not records; give --test-dir a test set")
    from kws_tf.frontend.c_frontend import c_features_int8

    return c_features_int8(clips.samples, manifest)


def test_set_of(subject: Subject) -> Path:
    """Returns the test set that lies beside the data a model was trained on.

    Raises:
        KwsError: If there is none, or the model is in no run folder.
    """
    from kws_tf.data.locate import test_set_beside

    folder = test_set_beside(subject.run.data_dir()) if subject.run else None
    if folder is None:
        raise KwsError(
            f"there is no test set beside the data of {subject.file}; give --test-dir one, "
            "or --records the validation records"
        )
    return folder


def save(
    evaluation: Evaluation, subject: Subject, folder: Path, json_copy: Path | None = None
) -> list[Path]:
    """Writes JSON and picture, and in a run folder an entry of ``accuracy.json``.

    Args:
        evaluation: What to write.
        subject: What was evaluated.
        folder: Where to; it is made if it is missing.
        json_copy: A further file to write the JSON to.

    Returns:
        The files written.

    Raises:
        KwsError: If a file cannot be written, or ``accuracy.json`` is damaged.
    """
    # Models that are in no run may share a folder.
    name = "evaluation" if subject.run else f"{subject.file.stem}.evaluation"
    report = Path(folder) / f"{name}-{evaluation.key}.json"
    picture = report.with_suffix(".png")
    counted = evaluation.metrics
    title = (
        f"{evaluation.key}: {counted.correct:,} of {counted.total:,} "
        f"({100 * counted.accuracy:.2f} %)"
    )
    written = [report, picture]
    try:
        report.parent.mkdir(parents=True, exist_ok=True)
        write_json(report, evaluation.to_json())
        metrics.save_plot(counted, picture, title)
        if json_copy:
            write_json(json_copy, evaluation.to_json())
            written.append(json_copy)
        if subject.run:
            _record(evaluation, subject.run)
            written.append(subject.run.accuracy_file)
    except OSError as error:
        raise KwsError(
            f"cannot write {error.filename} ({error.strerror}); give another --output or --json"
        ) from error
    return written


def _record(evaluation: Evaluation, run: RunFolder) -> None:
    """Adds or replaces an entry of the run's ``accuracy.json``."""
    entries = run.accuracies()
    left_out = ("per_class", "labels", "confusion")
    entries[evaluation.key] = {
        name: value for name, value in evaluation.to_json().items() if name not in left_out
    }
    write_json(run.accuracy_file, entries)
