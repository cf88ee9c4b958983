"""Evaluating a converted model, or the Keras model of a run, on labelled examples."""

import hashlib
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kws_tf.errors import KwsError
from kws_tf.evaluation import metrics
from kws_tf.evaluation.labelled import LabelledFeatures
from kws_tf.evaluation.metrics import Metrics
from kws_tf.frontend.config import FrontEnd
from kws_tf.models.computing import compute
from kws_tf.run_folder import RunFolder, open_run
from kws_tf.tflite import interpreter
from kws_tf.tflite import model as models
from kws_tf.tflite.manifest import Manifest
from kws_tf.tflite.model import Model


@dataclass(frozen=True)
class Subject:
    """What is evaluated: a .tflite ``model``, or the weights of a Keras model, perhaps of a run."""

    file: Path
    labels: tuple[str, ...]
    front_end: FrontEnd
    model: Model | None
    run: RunFolder | None


@dataclass(frozen=True)
class Evaluation:
    """What came out."""

    key: str  # runtime, variant and split, such as ``tflm-validation``
    metrics: Metrics
    details: dict  # what ran on what, and what it took; JSON-ready

    def to_json(self) -> dict:
        """Returns a JSON-ready dictionary."""
        return self.details | self.metrics.to_json()

    def text(self) -> str:
        """Returns the table to print."""
        lines = [metrics.table(self.metrics), ""]
        if "microseconds" in self.details:
            median = self.details["microseconds"]
            lines.append(f"one inference: {median:,.0f} microseconds (median)")
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
        runtime: ``tflite``, ``tflm``, ``c`` or ``keras``.
        phase: For ``keras``: ``quantized`` or ``float``.
    """
    path = Path(path)
    if runtime == "keras":
        run = open_run(path)
        return Subject(run.weights_file(phase), run.labels(), run.front_end(), None, run)
    file = open_run(path).model_file if path.is_dir() else path
    model, run = models.load(file), RunFolder(file.parent)
    # A model that lies in its run's folder belongs to it, however it was named.
    in_run = run.model_file.name == file.name and run.settings_file.exists()
    manifest = model.manifest
    return Subject(file, manifest.labels, manifest.front_end, model, run if in_run else None)


def evaluate(
    subject: Subject,
    examples: LabelledFeatures,
    runtime: str = "tflite",
    kernels: str = "default",
    phase: str = "quantized",
    frontend: str = "tensorflow",
) -> Evaluation:
    """Runs every example and counts the decisions.

    Args:
        subject: What to evaluate.
        examples: Of the subject's classes and front end.
        runtime: ``tflite``, ``tflm`` or ``c``, the chip's code without TFLM (both compared with
            ``tflite`` as well), or ``keras``.
        kernels: Of TFLite: ``default`` or ``reference``.
        phase: For ``keras``: ``quantized`` or ``float``.
        frontend: ``tensorflow``, or ``c`` for the int8 input that the C code makes of the audio.
    """
    if runtime == "keras":
        key, extra = f"keras-{phase}", {"phase": phase}
        (scores,) = compute(subject.run.load_model(phase), examples.features)
    else:
        key = "tflite-reference" if (runtime, kernels) == ("tflite", "reference") else runtime
        key += "-c-frontend" if frontend == "c" else ""
        scores, extra = _run_tflite(subject.model, examples, runtime, kernels, frontend)
    content = subject.file.read_bytes()
    details = {
        "command": shlex.join(sys.argv),
        "model": str(subject.file),
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "data": examples.source,
        "split": examples.split,
        "runtime": runtime,
    }
    counted = metrics.measure(metrics.decisions(scores), examples.labels, subject.labels)
    key += "" if examples.split == "test" else f"-{examples.split}"
    return Evaluation(key, counted, details | extra)


def _run_tflite(model: Model, examples, runtime, kernels, frontend) -> tuple[np.ndarray, dict]:
    """Returns the scores, and what goes into the report beside them."""
    inputs, where = _inputs(examples, model.manifest, frontend), str(model.path)
    result = interpreter.run(model.content, inputs, kernels, where)
    extra: dict = {"kernels": kernels, "frontend": frontend}
    scores = on_tflite = result.outputs[0]
    if runtime == "c":
        from kws_tf.chip.spotter import ChipSpotter

        scores = ChipSpotter(model).outputs_of_features(inputs)
    else:
        if runtime == "tflm":
            from kws_tf.tflite import tflm

            result = tflm.run(model.content, inputs, where)
            scores = result.outputs[0]
            extra["arena_bytes"] = result.arena_bytes
        extra["microseconds"] = result.microseconds
    if runtime != "tflite":
        equal = metrics.decisions(scores) == metrics.decisions(on_tflite)
        extra["equal_decisions"] = int(equal.sum())
    return scores, extra


def _inputs(examples: LabelledFeatures, manifest: Manifest, frontend: str) -> np.ndarray:
    """Returns the model's int8 input."""
    if frontend == "tensorflow":
        return manifest.quantize(examples.features)
    if examples.samples is None:
        raise KwsError("the C front end takes the audio of a test set; give --test-dir one")
    from kws_tf.chip.frontend import c_features_int8

    return c_features_int8(examples.samples, manifest)
