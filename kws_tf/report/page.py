"""The page: everything there is to see of a run, in one HTML file."""

import dataclasses
import json
from pathlib import Path

import jinja2
import numpy as np

from kws_tf.errors import KwsError
from kws_tf.evaluation import labelled
from kws_tf.evaluation.labelled import LabelledFeatures
from kws_tf.report import classes, exactness, histograms, history, measured, signals
from kws_tf.report.damage import damage_named
from kws_tf.report.decisions import decide
from kws_tf.run_folder import RunFolder

#: Clips that the model decides on at most; a larger set is sampled.
CLIPS = 5000
#: Of these, clips whose activations go into the histograms.
ACTIVATION_EXAMPLES = 128


def build(
    run: RunFolder,
    test_dir: Path | None = None,
    data_dir: Path | None = None,
    limit: int = CLIPS,
) -> str:
    """Makes the page.

    Args:
        run: A run whose training is finished; what evaluation and verifier have written in it
            is shown as well.
        test_dir: A test set to show decisions and activations on; if absent, validation clips.
        data_dir: Where those come from; the run's own data if absent.
        limit: Greatest number of clips that are run.

    Returns:
        HTML that needs nothing from outside.

    Raises:
        KwsError: If the run is unfinished, or a file of it or the data is missing or damaged.
    """
    if limit < 1:
        raise KwsError(f"--clips {limit} is out of range; choose 1 or more")
    model = run.load_model("quantized")
    rows = history.load(run)
    proof = measured.read_proof(run)
    headline = measured.headline(run, proof)
    verify = measured.command("verify", run)
    with damage_named(run.path / "verify.json", f"repeat {verify}"):
        tables = exactness.tables(proof) if proof else None
    clips = _clips(run, test_dir, data_dir, limit)
    decisions = decide(run, model, clips)
    chosen = np.linspace(0, len(clips.labels) - 1, ACTIVATION_EXAMPLES).astype(int)
    chosen = np.unique(chosen)
    seen = signals.observe(model, clips.features[chosen])
    best = {phase: history.best_epoch(rows, phase) for phase in ("float", "quantized")}
    folder = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(
        loader=folder, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    return environment.get_template("page.html.j2").render(
        name=run.path.resolve().name,
        words=run.data_settings().words,
        train=run.train_settings(),
        front_end=run.front_end(),
        summary=_summary(run, rows, best),
        settings=_settings(run),
        headline=headline,
        rows=rows,
        best=best,
        learning=history.learning_curves(rows),
        clip_curves=history.clip_curves(rows),
        weights=histograms.histograms([s for s in seen if s.is_weight]),
        activations=histograms.histograms([s for s in seen if not s.is_weight]),
        activation_clips=len(chosen),
        exactness=tables,
        convert_command=measured.command("convert", run),
        verify_command=verify,
        decisions=decisions,
        mistakes=decisions.mistakes(),
        classes=classes.classes(decisions),
    )


def _clips(run, test_dir, data_dir, limit) -> LabelledFeatures:
    settings = run.data_settings()
    task = (run.labels(), run.front_end())
    if test_dir:
        clips = labelled.from_test_folder(test_dir, *task, settings.mix_down)
    else:
        data_dir = data_dir or run.data_dir()
        clips = labelled.from_records(data_dir, "validation", *task, settings)
    if len(clips.labels) <= limit:
        return clips
    chosen = np.sort(np.random.default_rng(0).permutation(len(clips.labels))[:limit])
    names = [clips.names[index] for index in chosen]
    return dataclasses.replace(
        clips, features=clips.features[chosen], labels=clips.labels[chosen], names=names
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
        "epochs": f"{epochs}, of {rows[-1]['clips']:,} clips",
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
            environment = json.loads(file.read_text())
            packages = environment.pop("packages")
            tables["made with"] = environment | packages
    return tables
