"""Copy a run's model to tflite_models/, with manifest, accuracies and a sample of test inputs."""

import dataclasses
import io
from pathlib import Path

import numpy as np
from publish_run import portable_settings

from kws_tf.cli import command
from kws_tf.errors import KwsError
from kws_tf.evaluation import labelled
from kws_tf.evaluation.labelled import LabelledFeatures
from kws_tf.evaluation.metrics import decisions
from kws_tf.files import write_bytes
from kws_tf.run_folder import RunFolder, open_run
from kws_tf.tflite import interpreter, tflm
from kws_tf.tflite import model as models

_KEPT = ("correct", "n", "accuracy", "split", "kernels", "equal_decisions")
SAMPLE_EXAMPLES_PER_CLASS = 8


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
    settings = portable_settings(run)
    for place in ("data_dir", "data_digest"):
        settings.pop(place, None)
    per_class = [np.flatnonzero(examples.labels == i) for i in range(len(manifest.labels))]
    chosen = np.concatenate([positions[:SAMPLE_EXAMPLES_PER_CLASS] for positions in per_class])
    inputs, labels = manifest.quantize(examples.features[chosen]), examples.labels[chosen]
    details = {
        "trigger": dataclasses.asdict(manifest.trigger),
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


def _correct(ran, labels) -> int:
    return int(np.sum(decisions(ran.outputs[0]) == labels))


def main() -> None:
    parser = command.parser(__doc__)
    parser.add_argument("run", type=Path, help="a run folder, converted and evaluated")
    parser.add_argument("name", help="name of the files, without ending")
    parser.add_argument(
        "--test-dir", type=Path, required=True, metavar="DIR", help="test set the sample is from"
    )
    parser.add_argument(
        "-o", "--out", type=Path, default=Path("tflite_models"), metavar="DIR", help="folder"
    )
    options = parser.parse_args()
    run = open_run(options.run)
    print(publish(run, options.out, options.name, labelled.of_run(run, options.test_dir)))


if __name__ == "__main__":
    command.run(main)
