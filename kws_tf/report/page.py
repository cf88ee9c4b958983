"""The page: everything there is to see of a run, in one HTML file."""

import base64
import dataclasses
import hashlib
import json
from pathlib import Path

import jinja2
import numpy as np
from markupsafe import Markup

from kws_tf.errors import KwsError
from kws_tf.evaluation import labelled
from kws_tf.evaluation.labelled import LabelledFeatures
from kws_tf.report import (
    classes,
    exactness,
    histograms,
    history,
    listening,
    measured,
    signals,
    timeline,
)
from kws_tf.report.damage import damage_named
from kws_tf.report.decisions import decide
from kws_tf.report.timeline import Stretch
from kws_tf.run_folder import RunFolder
from kws_tf.tflite import model as models

#: Examples that the model decides on at most; a larger set is sampled.
EXAMPLES = 5000
#: Of these, examples whose activations go into the histograms.
ACTIVATION_EXAMPLES = 128

_START = """
new KwsTimeline(document.getElementById("timeline"),
  JSON.parse(document.getElementById("timeline-data").textContent));
"""


def build(
    run: RunFolder,
    test_dir: Path | None = None,
    data_dir: Path | None = None,
    limit: int = EXAMPLES,
    stretch: Stretch | None = None,
) -> str:
    """Makes the page, HTML that needs nothing from outside.

    Args:
        run: A run whose training is finished; what evaluation and verifier have written in it
            is shown as well.
        test_dir: A test set to show decisions and activations on; if absent, the validation set.
        data_dir: Where that comes from; the run's own data if absent.
        limit: Largest number of examples that are run.
        stretch: A stretch of audio to show on a timeline.
    """
    if limit < 1:
        raise KwsError(f"--examples {limit} is out of range; choose 1 or more")
    model = run.load_model("quantized")
    rows = history.load(run)
    # What was measured before the examples are run, which takes a while.
    shown = _of_training(run, rows) | _of_measurements(run)
    shown |= {"listening": listening.section(run), "timeline": _of_stretch(run, stretch)}
    examples = _sample(labelled.of_run(run, test_dir, data_dir), limit)
    folder = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(
        loader=folder, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    template = environment.get_template("page.html.j2")
    return template.render(shown | _of_examples(run, model, examples))


def _of_training(run: RunFolder, rows: list[dict]) -> dict:
    """Returns the template's variables on settings and history."""
    best = {phase: history.best_epoch(rows, phase) for phase in ("float", "quantized")}
    return {
        "name": run.path.resolve().name,
        "words": run.data_settings().words,
        "train": run.train_settings(),
        "front_end": run.front_end(),
        "summary": _summary(run, rows, best),
        "settings": _settings(run),
        "best": best,
        "learning": history.learning_curves(rows),
        "clip_curves": history.clip_curves(rows),
    }


def _of_measurements(run: RunFolder) -> dict:
    """Returns the template's variables on what evaluation and verifier wrote."""
    proof, verify = measured.read_proof(run), measured.command("verify", run)
    with damage_named(run.path / "verify.json", f"repeat {verify}"):
        tables = exactness.tables(proof) if proof else None
    return {
        "headline": measured.headline(run, proof),
        "exactness": tables,
        "convert_command": measured.command("convert", run),
        "verify_command": verify,
    }


def _of_stretch(run: RunFolder, stretch: Stretch | None) -> dict | None:
    """Returns what the template shows of a stretch of audio."""
    if not stretch:
        return None
    if not run.model_file.exists():
        convert = measured.command("convert", run)
        raise KwsError(f"{run.path} has no model that could listen; run {convert}")
    model = models.load(run.model_file)
    data = timeline.build(model, stretch)
    folder = Path(__file__).parent
    script = (folder / "timeline.js").read_text(encoding="utf-8") + _START
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    trigger, window = model.manifest.trigger, model.manifest.front_end.example_ms
    end = data["start"] + data["seconds"]
    return {
        "title": f"{stretch.path.name}, {data['start']:.2f} to {end:.2f} s",
        "trigger": listening.trigger_text(trigger),
        "smoothing": trigger.smoothing_decisions,
        "window": f"{window / 1000:g} s",
        "said": stretch.text(),
        "data": Markup(json.dumps(data, allow_nan=False).replace("<", r"\u003c")),
        "script": Markup(script),
        "hash": f"sha256-{digest}",
    }


def _of_examples(run: RunFolder, model, examples: LabelledFeatures) -> dict:
    """Returns the template's variables on decisions and activations."""
    decisions = decide(run, model, examples)
    chosen = np.linspace(0, len(examples.labels) - 1, ACTIVATION_EXAMPLES).astype(int)
    chosen = np.unique(chosen)
    seen = signals.observe(model, examples.features[chosen])
    return {
        "decisions": decisions,
        "mistakes": decisions.mistakes(),
        "classes": classes.classes(decisions),
        "weights": histograms.histograms([s for s in seen if s.is_weight]),
        "activations": histograms.histograms([s for s in seen if not s.is_weight]),
        "activation_examples": len(chosen),
    }


def _sample(examples: LabelledFeatures, limit: int) -> LabelledFeatures:
    """Draws examples where there are more than ``limit``."""
    if len(examples.labels) <= limit:
        return examples
    chosen = np.sort(np.random.default_rng(0).permutation(len(examples.labels))[:limit])
    names = [examples.names[index] for index in chosen]
    return dataclasses.replace(
        examples, features=examples.features[chosen], labels=examples.labels[chosen], names=names
    )


def _summary(run: RunFolder, rows: list[dict], best: dict) -> dict[str, str]:
    """Returns the settings that matter most, in words."""
    train, front_end = run.train_settings(), run.front_end()
    epochs = f"{train.float_epochs} float, {train.quantized_epochs} quantized"
    bits = f"weights {train.weight_bits}"
    if train.profile == "tflite":
        bits += f", input {train.input_bits}, hidden state {train.hidden_bits}"
    kept = rows[best["quantized"]]
    accuracy = f"{100 * kept['val_accuracy']:.2f} %"
    return {
        "words": ", ".join(run.data_settings().words),
        "hidden units": str(train.hidden),
        "profile": f"{train.profile}, clips {'trained (PACT)' if train.pact else 'fixed'}",
        "bits": bits,
        "front end": f"{front_end.name}, {front_end.frames} × {front_end.features} features",
        "epochs": f"{epochs}, of {rows[-1]['examples']:,} examples",
        "seed": str(train.seed),
        "training": f"{sum(row['seconds'] for row in rows) / 60:.0f} minutes",
        "validation": f"{accuracy} in quantized epoch {kept['epoch'] + 1}, whose weights were kept",
    }


def _settings(run: RunFolder) -> dict[str, dict]:
    """Returns all settings and what the run was made with, a table each."""
    train, data, augmentation = run.train_settings(), run.data_settings(), run.augmentation()
    tables = {
        "model and training": dataclasses.asdict(train),
        "task": dataclasses.asdict(data) | {"data_dir": run.data_dir()},
        "augmentation": dataclasses.asdict(augmentation),
    }
    file = run.path / "environment.json"
    if file.exists():
        with damage_named(file, "delete it, or train the run anew"):
            environment = json.loads(file.read_text(encoding="utf-8"))
            packages = environment.pop("packages")
            tables["made with"] = environment | packages
    return tables
