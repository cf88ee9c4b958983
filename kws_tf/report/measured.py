"""What ``scripts/evaluate.py`` and ``scripts/verify.py`` have measured on a run's models."""

import hashlib
import json
import shlex

from kws_tf.evaluation import verify
from kws_tf.report.damage import damage_named
from kws_tf.run_folder import RunFolder
from kws_tf.tflite import manifest

# What a figure is called, its name in verify.json, its key in accuracy.json, the options of
# evaluate.py that measure it.
_FIGURES = (
    ("float Keras", "float Keras", "keras-float", ("--runtime", "keras", "--phase", "float")),
    ("fake-quant Keras", "fake-quant Keras", "keras-quantized", ("--runtime", "keras")),
    ("TFLite int8", "TFLite, default kernels", "tflite", ()),
    ("TFLM int8", "TFLite Micro", "tflm", ("--runtime", "tflm")),
)


def command(script: str, run: RunFolder, *options: str) -> str:
    """Returns the command line of a script on a run."""
    return shlex.join(["python", f"scripts/{script}.py", str(run.path), *options])


def read_proof(run: RunFolder) -> dict | None:
    """Reads ``verify.json``; ``None`` if there is none of the model that is there now.

    Raises:
        KwsError: If it or the model is damaged.
    """
    path = run.path / "verify.json"
    if not (path.exists() and run.model_file.exists()):
        return None
    manifest.load(run.model_file)  # refuses a damaged model, which the next line would crash on
    rows = [list(row) for row in verify.tensor_rows(run.model_file.read_bytes())]
    with damage_named(path, f"repeat {command('verify', run)}"):
        proof = json.loads(path.read_text())
        return proof if proof["tensors"] == rows else None


def headline(run: RunFolder, proof: dict | None) -> list[dict]:
    """Collects the accuracies of all four stages, the file's and the arena's bytes.

    A test set goes before the validation set, the verifier's figures, which are all of the same
    clips, before those of single evaluations. What was measured on other files than those that
    are there now is left out.

    Args:
        run: The run.
        proof: From ``read_proof``.

    Returns:
        Figures with ``title``, and ``value`` and ``text``, or the ``command`` that makes them.

    Raises:
        KwsError: If ``accuracy.json`` or ``verify.json`` is damaged.
    """
    found: dict[str, list[dict]] = {title: [] for title, *_ in _FIGURES}
    arena = None
    if proof:
        with damage_named(run.path / "verify.json", f"repeat {command('verify', run)}"):
            for title, name, *_ in _FIGURES:
                if name in proof["correct"]:
                    figure = _accuracy(proof["split"], proof["correct"][name], proof["clips"])
                    found[title].append(figure)
            arena = _bytes(proof["arena_bytes"]["total"])
    if run.accuracy_file.exists():
        advice = f"delete it and repeat {command('evaluate', run)}"
        with damage_named(run.accuracy_file, advice):
            entries = _current_entries(run)
            for title, _, key, _ in _FIGURES:
                for entry in filter(None, map(entries.get, (key, f"{key}-validation"))):
                    figure = _accuracy(entry["split"], entry["correct"], entry["n"])
                    found[title].append(figure)
                    if key == "tflm":
                        arena = arena or _bytes(entry["arena_bytes"]["total"])

    has_model, is_paper = run.model_file.exists(), run.train_settings().profile == "paper"
    convert = "the paper profile is not converted" if is_paper else command("convert", run)
    figures = []
    for title, _, key, options in _FIGURES:
        can_run = has_model or key.startswith("keras")
        otherwise = {"command": command("evaluate", run, *options) if can_run else convert}
        best = min(found[title], key=lambda figure: figure["split"] != "test", default=otherwise)
        figures.append({"title": title} | best)
    size = _bytes(run.model_file.stat().st_size) if has_model else {"command": convert}
    arena = arena or {"command": figures[-1].get("command", command("verify", run))}
    return [*figures, {"title": "model file"} | size, {"title": "arena"} | arena]


def _current_entries(run: RunFolder) -> dict:
    """Returns the entries of ``accuracy.json`` that are of the files that are there now."""
    files = (run.model_file, run.weights_file("float"), run.weights_file("quantized"))
    hashes = {hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.exists()}
    entries = json.loads(run.accuracy_file.read_text())
    return {key: entry for key, entry in entries.items() if entry["sha256"] in hashes}


def _accuracy(split: str, correct: int, clips: int) -> dict:
    text = f"{correct:,} of {clips:,}, {split}"
    return {"value": f"{100 * correct / clips:.2f} %", "text": text, "split": split}


def _bytes(size: int) -> dict:
    return {"value": f"{size:,}", "text": "bytes"}
