"""A run with other recordings: what it keeps, what binds it, and its own validation streams."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import soundfile
from running import run_main
from test_scripts import SCRIPTS
from tiny_run import AUGMENTATION, DATA, TRAIN

from kws_tf.data import sources
from kws_tf.errors import KwsError
from kws_tf.run_folder import FOUND, quality
from kws_tf.settings import OtherRecordings
from kws_tf.training import distillation, loop

SHORT = dataclasses.replace(TRAIN, float_epochs=2, quantized_epochs=1)


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    """Recordings of other tones, enough for both partitions."""
    folder = tmp_path_factory.mktemp("negatives") / "speech"
    folder.mkdir()
    rng, time = np.random.default_rng(0), np.arange(48_000) / 16_000
    for number in range(16):
        pitch = rng.uniform(200, 3000)
        tone = np.sin(2 * np.pi * pitch * time) * (np.sin(2 * np.pi * 2 * time) > 0)
        samples = 0.1 * tone + rng.normal(0, 0.001, len(time))
        soundfile.write(folder / f"{number}-1-0000.flac", samples, 16_000)
    return folder


@pytest.fixture(scope="module")
def run(tones, speech, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        for room in (sources, distillation):
            patch.setattr(room, "ROOT", folder / "data", raising=False)
        return train(folder / "run", tones, speech)


def train(folder, tones, *speech, **kinds):
    others = OtherRecordings(tuple(map(str, speech)), **kinds)
    data = dataclasses.replace(DATA, cut_share=0.25)
    augmentation = dataclasses.replace(AUGMENTATION, context_share=0.5)
    return loop.train(folder, tones, SHORT, data, augmentation, 0, others)


def test_every_epoch_is_listened_to_and_the_best_one_kept(run):
    history = run.history()
    assert [FOUND in row for row in history] == [True] * 3
    assert all(0 <= row[FOUND] <= 1 for row in history)
    assert max(history[:2], key=quality)["phase"] == "float"
    assert run.weights_file("quantized").exists()


def test_a_run_keeps_what_it_was_trained_with(run, speech):
    assert run.other_recordings() == OtherRecordings((str(speech),))


def test_other_negatives_are_another_run(run, tones, speech, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "ROOT", tmp_path)
    train(run.path, tones, speech)  # finished: there is nothing to do
    with pytest.raises(KwsError, match="holds a run with other settings"):
        train(run.path, tones)
    moved = tmp_path / "moved"
    shutil.copytree(speech, moved)
    monkeypatch.chdir(tmp_path)
    train(run.path, tones, "moved")  # recognised wherever they lie, and found from anywhere
    assert run.other_recordings() == OtherRecordings((str(moved),))
    train(run.path, tones, speech)
    (tmp_path / "more").mkdir()
    soundfile.write(tmp_path / "more" / "a.wav", np.zeros(16_000), 16_000)
    with pytest.raises(KwsError, match="holds a run with other settings"):
        train(run.path, tones, speech, tmp_path / "more")


def test_calibrate_takes_what_the_run_kept_apart(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run_main(SCRIPTS / "convert.py", run.path) == 0
    code = run_main(SCRIPTS / "calibrate.py", run.path, "--json", tmp_path / "found.json")
    printed = capsys.readouterr()
    if code:  # so small a model may find no word
        assert "no word is found" in printed.err
        return
    assert "validation examples in quiet" in printed.out
    found = json.loads((tmp_path / "found.json").read_text())
    manifest = json.loads(run.model_file.with_suffix(".json").read_text())
    assert manifest["details"]["trigger"] == found["chosen"]["trigger"]
    # Converted anew, the same model keeps its trigger.
    assert run_main(SCRIPTS / "convert.py", run.path) == 0
    assert json.loads(run.model_file.with_suffix(".json").read_text()) == manifest


def test_missing_negatives_are_noticed(tones, tmp_path):
    with pytest.raises(KwsError, match=r"nowhere.* does not exist"):
        train(tmp_path / "run", tones, tmp_path / "nowhere")
    assert not (tmp_path / "run").exists()


def test_negatives_of_one_partition_alone_are_refused(tones, speech, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "ROOT", tmp_path)
    others = OtherRecordings((str(next(speech.iterdir())),))
    front_end = loop.named_front_end(DATA.front_end, DATA.window_ms)
    with pytest.raises(KwsError, match="none of the recordings of negatives is for"):
        for partition in ("training", "validation"):
            sources.load(tones, partition, front_end, DATA, others)


def test_alarms_of_validation_recordings_are_not_learned(
    tones, speech, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(sources, "ROOT", tmp_path)
    others = OtherRecordings(alarms=(str(speech),))
    front_end = loop.named_front_end(DATA.front_end, DATA.window_ms)
    found = sources.load(tones, "training", front_end, DATA, others).others["alarms"]
    assert 0 < found.recordings < 16
    left_out = 16 - found.recordings
    assert f"{left_out} of 16 alarms are of validation recordings" in capsys.readouterr().err
    assert not sources.load(tones, "validation", front_end, DATA, others).others
