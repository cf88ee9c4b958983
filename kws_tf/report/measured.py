"""What ``kws-tf evaluate`` and ``kws-tf verify`` have measured on a run's models."""

import hashlib
import json
import shlex

from kws_tf.evaluation import tensor_table
from kws_tf.report.damage import damage_named
from kws_tf.run_folder import RunFolder
from kws_tf.tflite import model as models

# What a figure is called, its name in verify.json, its key in accuracy.json, the options of
# the command that measures it.
_FIGURES = (
    ("float Keras", "float Keras", "keras-float", ("--runtime", "keras", "--phase", "float")),
    ("fake-quant Keras", "fake-quant Keras", "keras-quantized", ("--runtime", "keras")),
    ("TFLite int8", "TFLite, default kernels", "tflite", ()),
    ("TFLM int8", "TFLite Micro", "tflm", ("--runtime", "tflm")),
)


def command(name: str, run: RunFolder, *options: str) -> str:
    """Returns a command on a run as it is typed."""
    return shlex.join(["kws-tf", name, str(run.path), *options])


def read_proof(run: RunFolder) -> dict | None:
    """Reads ``verify.json``; ``None`` if there is none of the model that is there now."""
    path = run.path / "verify.json"
    if not (path.exists() and run.model_file.exists()):
        return None
    content = models.load(run.model_file).content
    rows = [list(row) for row in tensor_table.rows(content, str(run.model_file))]
    with damage_named(path, f"repeat {command('verify', run)}"):
        proof = json.loads(path.read_bytes())
        if proof["tensors"] != rows:
            return None
        # Version 0.1 wrote "clips".
        return {{"clips": "examples"}.get(key, key): value for key, value in proof.items()}


def headline(run: RunFolder, proof: dict | None) -> list[dict]:
    """Collects the accuracies of all four stages, the file's and the arena's bytes.

    A test set goes before the validation set, the verifier's figures, which are all of the same
    examples, before those of single evaluations. What was measured on other files than those that
    are there now is left out.

    Returns:
        Figures with ``title``, and ``value`` and ``text``, or the ``command`` that makes them.
    """
    verified, evaluated = _verified(run, proof), _evaluated(run)
    has_model, is_paper = run.model_file.exists(), run.train_settings().profile == "paper"
    convert = "the paper profile is not converted" if is_paper else command("convert", run)
    figures = []
    for title, name, key, options in _FIGURES:
        can_run = has_model or key.startswith("keras")
        otherwise = {"command": command("evaluate", run, *options) if can_run else convert}
        found = [
            *filter(None, [verified.get(name)]),
            *(evaluated[k] for k in (key, f"{key}-validation") if k in evaluated),
        ]
        best = min(found, key=lambda figure: figure["split"] != "test", default=otherwise)
        figures.append({"title": title} | best)
    size = _bytes(run.model_file.stat().st_size) if has_model else {"command": convert}
    arena = verified.get("arena") or evaluated.get("arena")
    arena = arena or {"command": figures[-1].get("command", command("verify", run))}
    return [*figures, {"title": "model file"} | size, {"title": "arena"} | arena]


def _verified(run: RunFolder, proof: dict | None) -> dict[str, dict]:
    """Returns the verifier's figures by the names in ``verify.json``, and ``arena``."""
    if not proof:
        return {}
    with damage_named(run.path / "verify.json", f"repeat {command('verify', run)}"):
        found = {
            name: _accuracy(proof["split"], correct, proof["examples"])
            for name, correct in proof["correct"].items()
        }
        return found | {"arena": _bytes(proof["arena_bytes"]["total"])}


def _evaluated(run: RunFolder) -> dict[str, dict]:
    """Returns the figures of single evaluations by their keys, and ``arena``."""
    files = (run.model_file, run.weights_file("float"), run.weights_file("quantized"))
    hashes = {hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.exists()}
    found = {}
    with damage_named(run.accuracy_file, f"delete it and repeat {command('evaluate', run)}"):
        for key, entry in run.accuracies().items():
            if entry["sha256"] in hashes:  # of what is there now
                found[key] = _accuracy(entry["split"], entry["correct"], entry["n"])
                if key in ("tflm", "tflm-validation"):
                    found.setdefault("arena", _bytes(entry["arena_bytes"]["total"]))
    return found


def _accuracy(split: str, correct: int, examples: int) -> dict:
    text = f"{correct:,} of {examples:,}, {split}"
    return {"value": f"{100 * correct / examples:.2f} %", "text": text, "split": split}


def _bytes(size: int) -> dict:
    return {"value": f"{size:,}", "text": "bytes"}
