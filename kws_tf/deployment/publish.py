"""Putting a run's model among the committed ones, with all a user needs to judge it."""

import dataclasses
import io
from pathlib import Path

import numpy as np

from kws_tf.errors import KwsError
from kws_tf.evaluation.labelled import LabelledFeatures
from kws_tf.evaluation.metrics import decisions
from kws_tf.files import write_bytes, write_json
from kws_tf.models.building import save_weights
from kws_tf.run_folder import RunFolder, by_name, read_json
from kws_tf.settings import as_json
from kws_tf.tflite import interpreter, tflm
from kws_tf.tflite import model as models

_KEPT = ("correct", "n", "accuracy", "split", "kernels", "equal_decisions")
SAMPLE_EXAMPLES_PER_CLASS = 8
EXPERIMENT_RESULT = "result.json"
"""What an experiment adds to its run folder; a copy that has it need not be run again."""


def publish(run: RunFolder, folder: Path, name: str, examples: LabelledFeatures) -> Path:
    """Copies a run's model and manifest, with its accuracies and a sample of labelled inputs.

    Args:
        run: A converted and evaluated run.
        folder: Where to; such as ``tflite_models``.
        name: Of the files, without ending.
        examples: A test set; the first ones of each class become the sample.

    Returns:
        The copied model.

    Raises:
        KwsError: If the run is not converted, or its model was not evaluated since.
    """
    model = models.load(run.model_file)
    content, manifest = model.content, model.manifest
    entries = run.accuracies()
    target = Path(folder) / f"{name}.tflite"
    accuracies = _accuracies(run, entries, manifest.sha256, target, examples.source)
    settings = _portable_settings(run)
    for place in ("data_dir", "data_digest"):
        settings.pop(place, None)
    per_class = [np.flatnonzero(examples.labels == i) for i in range(len(manifest.labels))]
    chosen = np.concatenate([positions[:SAMPLE_EXAMPLES_PER_CLASS] for positions in per_class])
    inputs, labels = manifest.quantize(examples.features[chosen]), examples.labels[chosen]
    details = {
        "accuracy": accuracies,
        "sample": {
            "examples": len(labels),
            "correct": {
                "tflite": _correct(interpreter.run(content, inputs), labels),
                "tflm": _correct(tflm.run(content, inputs), labels),
            },
        },
        "arena_bytes": entries["tflm"]["arena_bytes"],
        "settings": settings,
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    sample = io.BytesIO()
    np.savez_compressed(sample, inputs=inputs, labels=labels)
    write_bytes(target.with_suffix(".sample.npz"), sample.getvalue())
    dataclasses.replace(manifest, details=details).save(target)
    write_bytes(target, content)
    return target


def _accuracies(run: RunFolder, entries: dict, sha256: str, target: Path, source: str) -> dict:
    """Returns what evaluation measured on the model, with the commands that measure it again."""
    found = {}
    for key in ("tflite", "tflm"):
        entry = entries.get(key, {})
        if entry.get("sha256") == sha256:
            command = f"kws-tf evaluate {target} --test-dir {Path(source).name} --runtime {key}"
            found[key] = {"command": command}
            found[key] |= {field: entry[field] for field in _KEPT if field in entry}
    if len(found) < 2:
        raise KwsError(
            f"the model of {run.path} has not been evaluated on a test set; run kws-tf evaluate "
            "on it, with --runtime tflite and with --runtime tflm"
        )
    return found


def publish_run(run: RunFolder, folder: Path) -> Path:
    """Copies what a run needs to be loaded, learned from and fine-tuned elsewhere.

    That is settings, labels, front end, history, best weights and, of an experiment, its result;
    places on this machine become names.

    Args:
        run: A finished run.
        folder: Where to; the copy has the run's name.

    Returns:
        The copy, a run folder.

    Raises:
        KwsError: If the run is not finished.
    """
    target = RunFolder(Path(folder) / run.path.resolve().name)
    settings = run.train_settings()
    epochs = {"float": settings.float_epochs, "quantized": settings.quantized_epochs}
    done = [row["phase"] for row in run.history()]
    if any(done.count(phase) < number for phase, number in epochs.items()):
        raise KwsError(
            f"{run.path} is not finished; let kws-tf train finish (the same command resumes)"
        )
    phases = [phase for phase, number in epochs.items() if number]
    target.path.mkdir(parents=True, exist_ok=True)
    copied = [run.path / "labels.txt", run.front_end_file, run.history_file]
    result = run.path / EXPERIMENT_RESULT
    for path in copied + ([result] if result.exists() else []):
        write_bytes(target.path / path.name, path.read_bytes())
    for phase in phases:  # without the optimizer's state, which is twice as large
        save_weights(run.load_model(phase), target.weights_file(phase))
    write_json(target.settings_file, _portable_settings(run))
    return target.path


def _portable_settings(run: RunFolder) -> dict:
    """Returns a run's settings with names of runs and data instead of where they lie."""
    return read_json(run.settings_file) | {
        "train": as_json(by_name(run.train_settings())),
        "data_dir": run.data_dir().name,
    }


def _correct(ran, labels) -> int:
    return int(np.sum(decisions(ran.outputs[0]) == labels))
