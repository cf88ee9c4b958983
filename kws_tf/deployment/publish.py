"""Putting a run's model among the committed ones, with all a user needs to judge it."""

import dataclasses
from pathlib import Path

import numpy as np

from kws_tf.errors import KwsError
from kws_tf.evaluation.labelled import LabelledFeatures, quantize
from kws_tf.evaluation.metrics import decisions
from kws_tf.files import write_bytes, write_json
from kws_tf.models.building import save_weights
from kws_tf.run_folder import RunFolder, by_name, read_json
from kws_tf.settings import as_json
from kws_tf.tflite import interpreter, tflm
from kws_tf.tflite import manifest as manifests

_KEPT = ("correct", "n", "accuracy", "split", "kernels", "equal_decisions")
SAMPLE_EXAMPLES_A_CLASS = 8


def publish(run: RunFolder, folder: Path, name: str, clips: LabelledFeatures) -> Path:
    """Copies a run's model and manifest, with its accuracies and a sample of labelled inputs.

    Args:
        run: A converted and evaluated run.
        folder: Where to; such as ``tflite_models``.
        name: Of the files, without ending.
        clips: A test set; the first clips of each class become the sample.

    Returns:
        The copied model.

    Raises:
        KwsError: If the run is not converted, or its model was not evaluated since.
    """
    manifest = manifests.load(run.model_file)
    entries = run.accuracies()
    target = Path(folder) / f"{name}.tflite"
    accuracies = {}
    for key in ("tflite", "tflm"):
        entry = entries.get(key, {})
        if entry.get("sha256") == manifest.sha256:
            command = f"python scripts/evaluate.py {target} --test-dir {Path(clips.source).name}"
            accuracies[key] = {"command": f"{command} --runtime {key}"}
            accuracies[key] |= {field: entry[field] for field in _KEPT if field in entry}
    if len(accuracies) < 2:
        raise KwsError(
            f"the model of {run.path} has not been evaluated on a test set; run "
            "scripts/evaluate.py on it, with --runtime tflite and --runtime tflm"
        )
    settings = _portable_settings(run)
    for place in ("data_dir", "data_digest"):
        settings.pop(place, None)
    chosen = np.concatenate(
        [
            np.flatnonzero(clips.labels == label)[:SAMPLE_EXAMPLES_A_CLASS]
            for label in range(len(manifest.labels))
        ]
    )
    inputs, labels = quantize(clips.features[chosen], manifest), clips.labels[chosen]
    content = run.model_file.read_bytes()
    details = {
        "accuracy": accuracies,
        "sample": {
            "clips": len(labels),
            "correct": {
                "tflite": _correct(interpreter.run(content, inputs), labels),
                "tflm": _correct(tflm.run(content, inputs), labels),
            },
        },
        "arena_bytes": entries["tflm"]["arena_bytes"],
        "settings": settings,
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(target.with_suffix(".sample.npz"), inputs=inputs, labels=labels)
    dataclasses.replace(manifest, details=details).save(target)
    write_bytes(target, content)
    return target


def publish_run(run: RunFolder, folder: Path, result: Path | None = None) -> Path:
    """Copies what a run needs to be loaded, learned from and fine-tuned elsewhere.

    That is settings, labels, front end, history and best weights; places on this machine become
    names.

    Args:
        run: A finished run.
        folder: Where to; the copy has the run's name.
        result: The ``result.json`` of an experiment, to go along.

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
            f"{run.path} is not finished; let scripts/train.py finish (the same command resumes)"
        )
    phases = [phase for phase, number in epochs.items() if number]
    target.path.mkdir(parents=True, exist_ok=True)
    copied = [run.path / "labels.txt", run.front_end_file, run.history_file]
    for path in copied + ([result] if result else []):
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
