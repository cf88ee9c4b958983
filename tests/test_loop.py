"""Training: what a run leaves, what it refuses."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf
from tiny_run import AUGMENTATION, DATA, TRAIN, WORDS

from kws_tf import run_folder
from kws_tf.cli.train import print_summary
from kws_tf.data import pipeline, sources
from kws_tf.errors import KwsError
from kws_tf.training import loop


def train(folder, audio, **changes):
    settings = dataclasses.replace(TRAIN, **changes)
    return loop.train(folder, audio, settings, DATA, AUGMENTATION, verbose=0)


def test_run_folder_is_complete(finished, tones):
    run = finished.run
    assert sorted(path.name for path in run.path.iterdir()) == [
        "environment.json",
        "float.weights.h5",
        "front_end.json",
        "history.json",
        "labels.txt",
        "quantized.weights.h5",
        "settings.json",
        "tensorboard",
    ]
    assert (run.path / "labels.txt").read_text().split() == ["_silence_", "_unknown_", *WORDS]
    assert (run.train_settings(), run.data_settings()) == (TRAIN, DATA)
    assert (run.augmentation(), run.data_dir()) == (AUGMENTATION, tones.resolve())
    assert len(run.front_end().mean) == len(run.front_end().std) == 40
    environment = json.loads((run.path / "environment.json").read_text())
    assert environment["git_revision"] == run_folder.git_revision() != ""
    assert environment["packages"]["tensorflow"] == tf.__version__
    assert environment["command"]


def test_history_has_a_row_per_epoch(finished):
    history = finished.run.history()
    phases = [(row["phase"], row["epoch"]) for row in history]
    assert phases == [("float", 0), ("float", 1), ("quantized", 0), ("quantized", 1)]
    # 32 keyword examples, 3 unknown, 3 silent: two batches of 16.
    assert {row["examples"] for row in history} == {32}
    assert all(0 <= row["val_accuracy"] <= 1 and row["val_loss"] > 0 for row in history)
    clips = [{k: v for k, v in row.items() if k.startswith("clip/")} for row in history]
    assert clips[0] == clips[1] == {}
    assert len(clips[2]) == len(clips[3]) == 13
    assert clips[2] != clips[3]


def test_tensorboard_has_the_curves_of_both_phases(finished):
    for phase in ("float", "quantized"):
        files = (finished.run.path / "tensorboard" / phase).rglob("events*")
        tags = {
            value.tag
            for file in files
            for event in tf.compat.v1.train.summary_iterator(str(file))
            for value in event.summary.value
        }
        assert {"epoch_loss", "epoch_accuracy"} <= tags
        assert ("epoch_clip/cell/hidden" in tags) == (phase == "quantized")


def test_summary_names_the_best_epochs(finished, capsys):
    print_summary(finished.run)
    lines = capsys.readouterr().out.splitlines()
    for phase in ("float", "quantized"):
        accuracies = [r["val_accuracy"] for r in finished.run.history() if r["phase"] == phase]
        (line,) = (line.split() for line in lines if line.startswith(phase))
        assert line[1:4] == ["2", str(np.argmax(accuracies) + 1), f"{100 * max(accuracies):.2f}"]


def test_the_loaded_model_scores_what_the_history_says(finished, tones):
    run = finished.run
    examples = sources.load(tones, "validation", run.front_end(), DATA)
    features, labels = pipeline.fixed_set(examples, run.front_end(), DATA)
    for phase in ("float", "quantized"):
        decisions = run.load_model(phase)(features).numpy().argmax(1)
        best = max(row["val_accuracy"] for row in run.history() if row["phase"] == phase)
        assert np.mean(decisions == labels) == pytest.approx(best)


def test_the_peak_rate_is_that_of_the_phase():
    settings = dataclasses.replace(TRAIN, learning_rate=0.5, quantized_learning_rate=0.1)
    assert loop._peak_rate(settings, "float") == 0.5
    assert loop._peak_rate(settings, "quantized") == 0.1
    from_the_start = dataclasses.replace(settings, float_epochs=0)
    assert loop._peak_rate(from_the_start, "quantized") == 0.5
    started = dataclasses.replace(from_the_start, start_from="other")
    assert loop._peak_rate(started, "quantized") == 0.1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"float_epochs": 0, "quantized_epochs": 0}, "nothing to train"),
        ({"network": "teacher"}, "--quantized-epochs 0"),
        ({"network": "teacher", "quantized_epochs": 0, "optimizer": "muon"}, "with Adam"),
        ({"batch_size": 1000}, "smaller --batch-size"),
        ({"teacher": ("absent",)}, "absent is not a run folder"),
        ({"pretraining_run": "absent"}, "absent is not a run folder"),
        ({"start_from": "absent"}, "absent is not a run folder"),
    ],
)
def test_settings_that_cannot_be_trained_are_refused(tones, tmp_path, changes, message):
    with pytest.raises(KwsError, match=message):
        train(tmp_path / "run", tones, **changes)
    # The folder stays free for a run of other settings.
    assert not (tmp_path / "run" / "history.json").exists()
