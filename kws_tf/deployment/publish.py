"""Putting a run's model among the committed ones, with all a user needs to judge it."""

import dataclasses
from pathlib import Path

import numpy as np

from kws_tf.conversion import manifest as manifests
from kws_tf.errors import KwsError
from kws_tf.evaluation import interpreter, micro
from kws_tf.evaluation.labelled import LabelledFeatures, quantize
from kws_tf.evaluation.metrics import decisions
from kws_tf.files import write_bytes
from kws_tf.training.run_folder import RunFolder, read_json

_KEPT = ("correct", "n", "accuracy", "split", "kernels", "equal_decisions")
SAMPLE_CLIPS_A_CLASS = 8


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
    entries = read_json(run.accuracy_file)
    target = Path(folder) / f"{name}.tflite"
    accuracies = {}
    for key in ("tflite", "micro"):
        entry = entries.get(key, {})
        if entry.get("sha256") == manifest.sha256:
            command = f"python scripts/evaluate.py {target} --test-dir {Path(clips.source).name}"
            accuracies[key] = {"command": f"{command} --runtime {key}"}
            accuracies[key] |= {field: entry[field] for field in _KEPT if field in entry}
    if len(accuracies) < 2:
        raise KwsError(
            f"the model of {run.path} has not been evaluated on a test set; run "
            "scripts/evaluate.py on it, with --runtime tflite and --runtime micro"
        )
    settings = read_json(run.settings_file)
    for place in ("data_dir", "data_digest"):
        settings.pop(place, None)
    for other in ("teacher", "warm_up_run"):  # names of runs, without where they lie
        value = settings["train"].get(other)
        if value:
            names = [Path(path).name for path in ([value] if isinstance(value, str) else value)]
            settings["train"][other] = names
    chosen = np.concatenate(
        [
            np.flatnonzero(clips.labels == label)[:SAMPLE_CLIPS_A_CLASS]
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
                "micro": _correct(micro.run(content, inputs), labels),
            },
        },
        "arena_bytes": entries["micro"]["arena_bytes"],
        "settings": settings,
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(target.with_suffix(".sample.npz"), inputs=inputs, labels=labels)
    dataclasses.replace(manifest, details=details).save(target)
    write_bytes(target, content)
    return target


def _correct(ran, labels) -> int:
    return int(np.sum(decisions(ran.outputs[0]) == labels))
