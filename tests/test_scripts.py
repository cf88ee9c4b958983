"""The command lines: help at once, the path from audio to a verified model, bad inputs."""

import io
import json
import re
import shutil
import subprocess
import sys
import wave
from contextlib import redirect_stdout
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from running import run_main
from tiny_run import UNKNOWN_WORD, WORDS, write_wav

from kws_tf import presets
from kws_tf.data import locate
from kws_tf.labels import class_names
from kws_tf.run_folder import open_run
from kws_tf.settings import Augmentation, DataSettings, TrainSettings

SCRIPTS = Path(__file__).parents[1] / "scripts"
NAMES = sorted(path.name for path in SCRIPTS.glob("[!_]*.py"))
OPTIONS = (
    *("--words", ",".join(WORDS), "--window-ms", 500, "--hidden", 8, "--batch-size", 16),
    *("--float-epochs", 1, "--quantized-epochs", 1, "--synthetic-per-word", 0),
)


@pytest.fixture
def audio(tones):
    return tones


def run_script(name, *arguments):
    """Runs a script in this process and returns its exit code."""
    return run_main(SCRIPTS / f"{name}.py", *arguments)


@pytest.fixture
def call(capsys):
    """Runs a script in this process and returns exit code, output and errors."""

    def call(name, *arguments):
        return run_script(name, *arguments), *capsys.readouterr()

    return call


@pytest.fixture
def refused(call):
    """Runs a script that is to end with one line of error, and returns it."""

    def refused(name, *arguments):
        code, _, errors = call(name, *arguments)
        assert code == 2
        (line,) = errors.splitlines()
        assert line.startswith("error: ")
        return line

    return refused


@pytest.fixture(scope="module")
def trained(tones, tmp_path_factory):
    """A run that train.py made, and what it printed into a file."""
    run = tmp_path_factory.mktemp("runs") / "run"
    log = io.StringIO()
    with redirect_stdout(log):
        code = run_script("train", "--data-dir", tones, "--run-dir", run, *OPTIONS)
    assert code == 0
    return run, log.getvalue()


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained[0], tmp_path / "run")


def change_settings(run, section="train", **changes):
    file = run / "settings.json"
    settings = json.loads(file.read_text())
    settings[section] |= changes
    file.write_text(json.dumps(settings))


# --- Help.


@pytest.fixture(scope="module")
def helps():
    """What each script prints with --help, in one process that must not import TensorFlow."""
    code = f"""
import contextlib, io, json, runpy, sys
sys.path.insert(0, {str(SCRIPTS)!r})
texts = {{}}
for name in {NAMES!r}:
    sys.argv = [name, "--help"]
    with contextlib.redirect_stdout(io.StringIO()) as text:
        try:
            runpy.run_path({str(SCRIPTS)!r} + "/" + name, run_name="__main__")
        except SystemExit as end:
            texts[name] = end.code, "tensorflow" in sys.modules, text.getvalue()
print(json.dumps(texts))
"""
    command = [sys.executable, "-c", code]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


@pytest.mark.parametrize("name", NAMES)
def test_help_at_once(helps, name):
    code, imported, text = helps[name]
    assert code == 0
    assert not imported
    assert text.startswith("usage:")


def test_help_shows_the_defaults_that_training_uses(helps):
    text = re.sub(r"-?\s+", "", helps["train.py"][2])
    shown = 0
    for settings_class in (TrainSettings, DataSettings, Augmentation):
        for entry in fields(settings_class):
            help_text = re.sub(r"-?\s+", "", entry.metadata["help"])
            assert (help_text in text) == bool(entry.metadata["group"]), entry.name
            shown += help_text in text
    assert shown == 31
    assert "unknownexamplesperepoch,relativetokeywordexamples(default:0.1;presetfull:0.3;" in text


@pytest.mark.parametrize(
    ("preset", "synthetic", "changes"),
    [
        ("full", False, {}),
        ("full", False, {"front_end": "mfcc10"}),
        ("untaught", False, {"front_end": "hello_edge"}),
        ("untaught", False, {"window_ms": 1500.0}),
        ("untaught", False, {"words": WORDS}),
        ("quick", True, {}),
        ("own-words", True, {"words": WORDS}),
    ],
)
def test_the_preset_fits_the_task(preset, synthetic, changes):
    assert presets.fitting(DataSettings(**changes), synthetic) == preset


@pytest.mark.parametrize(
    ("hidden", "changes", "starts"),
    [(118, {}, True), (64, {}, False), (118, {"front_end": "mfcc10"}, False)],
)
def test_few_recordings_start_from_a_run_that_fits(hidden, changes, starts):
    chosen = presets.defaults("own-words", DataSettings(words=WORDS, **changes), hidden)
    assert ("start_from" in chosen) == starts
    assert open_run(presets.OTHER_WORDS).train_settings().hidden == 118


def test_the_teachers_of_the_preset_are_there():
    settings = presets.settings(TrainSettings, "full")
    assert [open_run(path).labels() for path in settings.teacher] == [
        class_names(DataSettings().words)
    ] * 3


# --- From audio to a verified model.


def test_a_log_file_has_a_line_per_epoch(trained):
    run, log = trained
    assert not set("\b\r\x1b") & set(log)
    lines = log.splitlines()
    assert lines[0] == "preset untaught: edge_share 0.25, cut_share 0.03, context_share 0.1"
    of_epochs = [line for line in lines if re.match(r"\w+ epoch ", line)]
    assert [line.split(":")[0] for line in of_epochs] == [
        "float epoch 1 of 1",
        "quantized epoch 1 of 1",
    ]
    for line, row in zip(of_epochs, open_run(run).history(), strict=True):
        assert f"loss {row['loss']:.4f}, accuracy {100 * row['accuracy']:.2f} %" in line
        assert line.endswith(f"validation {100 * row['val_accuracy']:.2f} %")
    assert len(lines) - len(of_epochs) == 6  # preset, an empty line, a table of 3, the folder


def test_train_convert_verify(run, audio, call):
    code, text, _ = call("convert", run)
    assert code == 0
    assert "bytes, int8 in and out" in text
    assert {"cell/cell", "cell/hidden", "classifier/kernel"} <= set(text.split())
    manifest = json.loads((run / "model.json").read_text())
    assert manifest["labels"] == ["_silence_", "_unknown_", *WORDS]
    assert manifest["bytes"] == (run / "model.tflite").stat().st_size

    # Five examples of each class cannot hold the bounds on accuracy; the exact ones do.
    code, text, _ = call("verify", run, "--json", run / "other.json")
    checks = json.loads((run / "other.json").read_text())["checks"]
    assert code == (0 if all(check["holds"] for check in checks) else 1)
    exact = [check["holds"] for check in checks if "bit-exact" in check["text"]]
    assert exact == [True, True]
    assert "post-training quantization" in text

    code, text, _ = call("evaluate", run, "--data-dir", audio)
    assert code == 0
    assert json.loads((run / "accuracy.json").read_text())["tflite-validation"]["n"] == 10


def test_train_again_resumes(run, audio, call):
    before = (run / "history.json").read_bytes()
    code, text, _ = call("train", "--data-dir", audio, "--run-dir", run, *OPTIONS)
    assert code == 0
    assert f"run folder: {run}" in text
    assert (run / "history.json").read_bytes() == before


def test_a_moved_data_folder_resumes(run, audio, call, tmp_path):
    before = (run / "history.json").read_bytes()
    moved = shutil.copytree(audio, tmp_path / "moved")
    code, _, _ = call("train", "--data-dir", moved, "--run-dir", run, *OPTIONS)
    assert code == 0
    assert (run / "history.json").read_bytes() == before
    assert json.loads((run / "settings.json").read_text())["data_dir"] == str(moved)
    write_wav(moved / "up" / "0_nohash_0.wav", np.zeros(16000))  # now they are other data
    shutil.move(moved, tmp_path / "again")
    code, _, errors = call("train", "--data-dir", tmp_path / "again", "--run-dir", run, *OPTIONS)
    assert code == 2
    assert "other settings" in errors


def test_train_without_data_synthesises(refused, monkeypatch, tmp_path):
    from kws_tf.synthesis import dataset

    made = []

    def make_dataset(folder, settings):
        made.append((folder, settings.words))
        return tmp_path / "made"

    monkeypatch.setattr(dataset, "make_dataset", make_dataset)
    options = ("--words", "up,down", "--window-ms", 500)
    line = refused("train", "--run-dir", tmp_path / "run", *options)
    assert str(tmp_path / "made" / dataset.SPEECH_FOLDER) in line
    ((folder, words),) = made
    assert (folder.parts[0], words) == ("data", ("up", "down"))


# --- Bad inputs.


def test_a_run_folder_that_cannot_be_made_is_noticed_before_all_work(
    refused, monkeypatch, tmp_path
):
    monkeypatch.setattr(locate, "training_data", None)
    (tmp_path / "file").write_text("")
    line = refused("train", "--run-dir", tmp_path / "file" / "run")
    assert f"cannot make the run folder {tmp_path / 'file' / 'run'}" in line


@pytest.fixture
def train(refused, tmp_path):
    def train(*arguments):
        return refused("train", "--run-dir", tmp_path / "new", *OPTIONS, *arguments)

    yield train
    assert not (tmp_path / "new" / "history.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--words", "up,up"], "names a word twice"),
        (["--words", ""], "is empty"),
        (["--words", "up,_unknown_"], "reserved name"),
        (["--words", "up,left"], "no example of the word 'left'"),
        (["--hidden", 0], "--hidden 0 is out of range"),
        (["--weight-bits", 9], "--weight-bits 9 is out of range"),
        (["--learning-rate", "nan"], "--learning-rate nan is out of range"),
        (["--shift-ms", -1], "--shift-ms -1.0 is out of range"),
        (["--batch-size", 1000], "fewer than a batch"),
        (["--float-epochs", 0, "--quantized-epochs", 0], "nothing to train"),
        (["--teacher", "absent"], "absent is not a run folder"),
    ],
)
def test_bad_option_of_train(train, audio, arguments, message):
    assert message in train("--data-dir", audio, *arguments)


def test_option_that_is_no_number(call):
    code, _, errors = call("train", "--hidden", "many")
    assert code == 2
    assert errors.splitlines()[-1].endswith("argument --hidden: invalid int value: 'many'")


def test_missing_or_empty_data(train, tmp_path):
    absent, empty = tmp_path / "absent", tmp_path / "empty"
    empty.mkdir()
    assert f"the data folder {absent} does not exist" in train("--data-dir", absent)
    assert f"{empty} has no word folders" in train("--data-dir", empty)
    (empty / "up").mkdir()
    assert "have no recordings" in train("--data-dir", empty)


@pytest.fixture
def own_audio(audio, tmp_path):
    return shutil.copytree(audio, tmp_path / "own")


def test_word_without_training_recordings(train, own_audio):
    # Name after name until the official rule has left none in training.
    from kws_tf.audio import speech_commands

    for path in (own_audio / "up").iterdir():
        if speech_commands.partition_of(path) == "training":
            path.unlink()
    assert "no example of the word 'up' in the training partition" in train("--data-dir", own_audio)


def test_no_unknown_word(train, own_audio):
    shutil.rmtree(own_audio / UNKNOWN_WORD)
    assert "no training examples of other words" in train("--data-dir", own_audio)


def test_no_noise(train, own_audio):
    shutil.rmtree(own_audio / "_background_noise_")
    assert "noise" in train("--data-dir", own_audio)


@pytest.mark.parametrize("size", [0, 20, 44, 1000])
def test_truncated_wav(train, own_audio, size):
    path = sorted((own_audio / "up").iterdir())[0]
    path.write_bytes(path.read_bytes()[:size])
    assert str(path) in train("--data-dir", own_audio)


def test_stereo_wav(train, own_audio):
    path = sorted((own_audio / "down").iterdir())[0]
    write_wav(path, np.zeros(32000))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(bytes(64000))
    assert "--mix-down" in train("--data-dir", own_audio)


def test_run_with_other_settings(refused, run, audio):
    line = refused("train", "--data-dir", audio, "--run-dir", run, *OPTIONS, "--hidden", 9)
    assert "other settings" in line


@pytest.mark.parametrize("name", ["convert", "verify", "evaluate"])
def test_no_run(refused, tmp_path, name):
    more = ["--data-dir", tmp_path] if name == "evaluate" else []
    assert "not a run folder" in refused(name, tmp_path, *more)
    if name != "evaluate":
        assert "not a run folder" in refused(name, tmp_path / "absent")


def test_convert_of_an_unfinished_run(refused, run):
    (run / "quantized.weights.h5").unlink()
    assert "no quantized weights yet" in refused("convert", run)
    assert not (run / "model.tflite").exists()


def test_convert_of_a_run_of_another_shape(refused, run):
    change_settings(run, hidden=9)
    assert "do not fit the model" in refused("convert", run)


def test_convert_of_a_run_with_damaged_settings(refused, run):
    change_settings(run, "data", words=[2147483648, "down"])
    line = refused("convert", run)
    assert f"{run / 'settings.json'} cannot be used: --words is (2147483648, 'down')" in line


def test_convert_of_a_paper_run(refused, run):
    from kws_tf.models.building import build_model, save_weights
    from kws_tf.run_folder import RunFolder

    change_settings(run, profile="paper")
    folder = RunFolder(run)
    model = build_model(folder.train_settings(), folder.front_end(), 4, "quantized")
    save_weights(model, folder.weights_file("quantized"))
    line = refused("convert", run)
    assert "'paper' profile" in line
    assert "--profile tflite" in line


def test_convert_to_a_name_that_is_the_manifests(refused, run):
    assert "ends in .tflite" in refused("convert", run, "-o", run / "model.json")


@pytest.mark.parametrize("content", [b"", b"no model at all, but some text", b"\x1c\0\0\0TFL3" * 9])
def test_evaluate_what_is_no_model(refused, run, audio, content):
    (run / "model.tflite").write_bytes(content)
    shutil.copy(run / "front_end.json", run / "model.json")
    assert str(run / "model.") in refused("evaluate", run / "model.tflite", "--data-dir", audio)


def test_verify_before_convert(refused, run):
    line = refused("verify", run)
    assert f"cannot read the model {run / 'model.tflite'}" in line


def test_verify_with_another_models_manifest(refused, run, call):
    call("convert", run)
    manifest = json.loads((run / "model.json").read_text())
    (run / "model.json").write_text(json.dumps(manifest | {"sha256": 64 * "0"}))
    assert str(run / "model.") in refused("verify", run)
