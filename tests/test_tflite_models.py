"""The committed models: their files belong together, run in both runtimes, and decide well."""

from pathlib import Path

import numpy as np
import pytest

from kws_tf import run_folder
from kws_tf.conversion import guards
from kws_tf.reference.integer_model import IntegerModel
from kws_tf.tflite import graph, interpreter, tflm
from kws_tf.tflite import manifest as manifests
from kws_tf.tflite import model as tflite_model

FOLDER = Path(__file__).resolve().parent.parent / "tflite_models"
MODELS = sorted(FOLDER.glob("*.tflite"))
CHECKPOINTS = sorted(path.parent for path in FOLDER.glob("checkpoints/*/settings.json"))


def test_there_are_models_and_checkpoints():
    assert MODELS
    assert CHECKPOINTS


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_model(path):
    model = tflite_model.load(path)  # compares the hash
    details = model.manifest.details
    guards.check(model.content)
    with np.load(path.with_suffix(".sample.npz"), allow_pickle=False) as sample:
        inputs, labels = sample["inputs"], sample["labels"]
    assert details["sample"]["examples"] == len(labels)
    assert np.array_equal(np.unique(labels), np.arange(len(model.manifest.labels)))
    probe = graph.with_inner_outputs(model.content)
    exact = IntegerModel.from_tflite(model.content)
    for runtime, ran in (
        ("tflite", interpreter.run(probe, inputs, "reference")),
        ("tflm", tflm.run(probe, inputs)),
    ):
        posteriors, hidden, logits = ran.outputs
        reference = exact.run(inputs[::4], runtime)
        np.testing.assert_array_equal(reference.hidden[:, -1], hidden[::4])
        np.testing.assert_array_equal(reference.logits, logits[::4])
        assert np.sum(posteriors.argmax(1) == labels) == details["sample"]["correct"][runtime]
    assert ran.arena_bytes["total"] >= details["arena_bytes"]["total"]


@pytest.mark.parametrize("path", CHECKPOINTS, ids=lambda path: path.name)
def test_checkpoint_loads_and_decides_well(path):
    run = run_folder.open_run(path)
    phases = [phase for phase in ("float", "quantized") if run.weights_file(phase).exists()]
    assert phases
    models = [run.load_model(phase) for phase in phases]
    manifest = manifests.load(FOLDER / "kws-118-full.tflite")
    with np.load(FOLDER / "kws-118-full.sample.npz", allow_pickle=False) as sample:
        features, labels = sample["inputs"] * manifest.input_scale, sample["labels"]
    # In the model's normalisation; the run may have its own.
    features = features * np.array(manifest.front_end.std) + manifest.front_end.mean
    features = ((features - run.front_end().mean) / run.front_end().std).astype(np.float32)
    same_words = run.labels() == manifest.labels
    for model in models:
        decided = np.argmax(model(features), axis=1)
        if same_words:
            assert np.mean(decided == labels) > 0.9
        else:  # a run to start from has other words, and silence
            assert np.mean((decided == 0) == (labels == 0)) > 0.9
