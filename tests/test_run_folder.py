"""Run folders: settings that bind them, damaged ones, those of version 0.1."""

import dataclasses
import json
import re
import shutil

import pytest
from publish_run import publish_run
from tiny_run import AUGMENTATION, DATA, TRAIN, WORDS

from kws_tf.errors import KwsError
from kws_tf.files import write_json
from kws_tf.frontend.config import front_end
from kws_tf.labels import class_names
from kws_tf.run_folder import RunFolder, open_run
from kws_tf.settings import Augmentation
from kws_tf.training import loop


@pytest.fixture
def copy(untrained, tmp_path):
    """A copy of the untrained run, which counts as finished."""
    return RunFolder(shutil.copytree(untrained.path, tmp_path / "copy"))


def train(run, train=TRAIN, data=DATA, augmentation=AUGMENTATION, audio=None):
    return loop.train(run.path, audio or run.data_dir(), train, data, augmentation, verbose=0)


def change(file, **sections):
    """Changes sections of a JSON file; a value of ``None`` is taken out."""
    content = json.loads(file.read_text())
    for name, changes in sections.items():
        merged = content[name] | changes
        content[name] = {key: value for key, value in merged.items() if value is not None}
    write_json(file, content)


def contents(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


# --- Settings.


def test_labels_are_those_of_the_words(untrained):
    assert untrained.labels() == class_names(WORDS)
    assert untrained.front_end().log_mel == front_end("logmel40").log_mel


@pytest.mark.parametrize(
    "changes",
    [
        {"train": dataclasses.replace(TRAIN, hidden=9)},
        {"train": dataclasses.replace(TRAIN, quantized_epochs=3)},
        {"data": dataclasses.replace(DATA, silence_share=0.2)},
        {"augmentation": Augmentation(shift_ms=50)},
        {"audio": "elsewhere"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_another_setting_in_the_same_folder_is_refused(copy, changes):
    before = contents(copy.path)
    with pytest.raises(KwsError, match=r"other settings.*--run-dir"):
        train(copy, **changes)
    assert contents(copy.path) == before


def test_setting_that_an_older_run_has_not_saved_is_the_default(copy):
    change(copy.settings_file, train={"product_dtype": None}, augmentation={"warp": None})
    train(copy)
    with pytest.raises(KwsError, match="other settings"):
        train(copy, dataclasses.replace(TRAIN, product_dtype="bfloat16"))


def test_two_processes_do_not_train_into_one_folder(copy, tmp_path):
    with copy.exclusive(), pytest.raises(KwsError, match="another process trains into"):
        train(copy)
    train(copy)
    with RunFolder(tmp_path / "new" / "run").exclusive():
        assert (tmp_path / "new" / "run").is_dir()
    assert not (tmp_path / "new" / "run").exists()  # nothing was left in it


def test_run_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "run").write_text("")
    for work in (RunFolder(tmp_path / "run").check_writable, lambda: train_into(tmp_path / "run")):
        with pytest.raises(KwsError, match=r"cannot make the run folder .*give another --run-dir"):
            work()


def train_into(folder):
    loop.train(folder, folder, TRAIN, DATA, AUGMENTATION, verbose=0)


def test_open_run_wants_a_run(tmp_path):
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(KwsError, match="not a run folder"):
            open_run(path)


# --- Damaged ones.


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"train": 3}',
        '{"train": {"new": 1}}',
        '{"train": {"hidden": "x"}}',
        '{"train": {"hidden": 8}, "data": {"words": [2147483648, "down"]}}',
        '{"train": {"learning_rate": NaN}}',
        b'{"train": {"hidden": 8}, "data": {"words": ["caf\xe9"]}}',
    ],
)
def test_damaged_settings_are_refused(copy, content):
    content = content if isinstance(content, bytes) else content.encode()
    copy.settings_file.write_bytes(content)
    with pytest.raises(KwsError, match=re.escape(str(copy.settings_file))):
        copy.load_model("float")


@pytest.mark.parametrize("content", ["", "3", "{}", "[3]", '[{"phase": "float"}]'])
def test_damaged_history_is_refused(copy, content):
    copy.history_file.write_text(content)
    with pytest.raises(KwsError, match=rf"{copy.history_file} is damaged .*train the run anew"):
        train(copy)


def test_weights_of_another_model_or_damaged_ones_are_refused(copy):
    settings = copy.settings_file.read_text()
    change(copy.settings_file, train={"hidden": 9})
    for phase in ("float", "quantized"):
        with pytest.raises(KwsError, match="do not fit the model"):
            copy.load_model(phase)
    copy.settings_file.write_text(settings)
    shutil.copy(copy.weights_file("float"), copy.weights_file("quantized"))
    with pytest.raises(KwsError, match="do not fit the model"):
        copy.load_model("quantized")
    content = copy.weights_file("float").read_bytes()
    copy.weights_file("float").write_bytes(content[: len(content) // 2])
    with pytest.raises(KwsError, match="do not fit the model"):
        copy.load_model("float")
    copy.weights_file("float").unlink()
    with pytest.raises(KwsError, match="no float weights yet"):
        copy.load_model("float")


# --- Version 0.1.

OF_0_1 = {
    "train": {
        **{"network": "lstm", "hidden": 8, "profile": "tflite", "pact": True, "weight_bits": 8},
        **{"learned_step": False, "input_bits": 8, "hidden_bits": 8, "clip_percentile": 99.99},
        **{"clip_l2": 0.0001, "runtime": "tflm", "overflow_penalty": 10.0, "float_epochs": 2},
        **{"quantized_epochs": 2, "batch_size": 16, "optimizer": "adam", "learning_rate": 0.02},
        **{"matrix_decay": 0.05, "quantized_learning_rate": 0.0005, "label_smoothing": 0.1},
        **{"dropout": 0.0, "averaging": 0.0, "warm_up_run": "", "start_from": ""},
        **{"teacher": [], "teacher_share": 0.7, "sharp_teachers": True, "teacher_epochs": 20},
        **{"product_dtype": "float32", "seed": 0},
    },
    "data": {
        **{"words": ["up", "down"], "window_ms": 500.0, "synthetic_per_word": -1},
        **{"recordings_per_word": -1, "front_end": "logmel40", "unknown_share": 0.1},
        **{"silence_share": 0.1, "level_noise": False, "mix_down": False},
    },
    "augmentation": {
        **{"shift_ms": 100.0, "noise_share": 0.8, "noise_volume": 0.1, "noise_roll_ms": 0.0},
        **{"gain_db": 6.0, "speed": 0.1, "warp": 0.08, "filter_db": 0.0, "mix_share": 0.0},
        **{"mix_volume": 0.5, "edge_share": 0.0, "edge_ms": 300.0, "time_masks": 1},
        **{"time_mask_ms": 120.0, "band_masks": 1, "band_mask": 6},
    },
}
SETTINGS_OF_0_1 = dataclasses.replace(TRAIN, unsmoothed_teachers=True, soft_target_epochs=20)


@pytest.fixture
def old(copy):
    """The copy in the words of version 0.1."""
    places = ("data_dir", "data_digest")
    settings = json.loads(copy.settings_file.read_text())
    write_json(copy.settings_file, OF_0_1 | {name: settings[name] for name in places})
    shape = json.loads(copy.front_end_file.read_text())
    shape["clip_ms"] = shape.pop("example_ms")
    write_json(copy.front_end_file, shape)
    rows = json.loads(copy.history_file.read_text())
    write_json(copy.history_file, [row | {"clips": row.pop("examples")} for row in rows])
    accuracies = {"micro": {"correct": 9, "n": 10}, "micro-validation": {"n": 5}, "float": {"n": 2}}
    write_json(copy.accuracy_file, accuracies)
    return copy


def test_a_run_of_version_0_1_loads(old, untrained):
    assert old.train_settings() == SETTINGS_OF_0_1
    assert (old.data_settings(), old.augmentation()) == (DATA, AUGMENTATION)
    assert old.front_end() == untrained.front_end()
    assert old.history() == untrained.history()
    assert set(old.accuracies()) == {"tflm", "tflm-validation", "float"}
    assert old.accuracies()["tflm"] == {"correct": 9, "n": 10}
    for phase in ("float", "quantized"):
        assert old.load_model(phase)


def test_a_run_of_version_0_1_is_resumed(old):
    before = contents(old.path)
    train(old, SETTINGS_OF_0_1)
    assert contents(old.path) == before


@pytest.mark.parametrize(
    ("section", "changes"),
    [
        ("train", {"dropout": 0.5}),
        ("train", {"averaging": 0.9}),
        ("train", {"matrix_decay": 0.2}),
        ("train", {"clip_l2": 0.0}),
        ("train", {"teacher": ["runs/teacher"]}),  # of which it learned by a share of 0.7
        ("augmentation", {"filter_db": 3.0}),
    ],
)
def test_a_run_with_a_setting_that_there_is_no_more_loads_but_is_not_resumed(old, section, changes):
    change(old.settings_file, **{section: changes})
    settings = dataclasses.replace(SETTINGS_OF_0_1, teacher=tuple(changes.get("teacher", ())))
    assert old.train_settings() == settings
    name = "teacher_share" if "teacher" in changes else next(iter(changes))
    with pytest.raises(KwsError, match=rf"there are no more \({name}\); train into another"):
        train(old, settings)


# --- Published runs.


def test_a_published_run_loads_and_names_no_places(copy, tmp_path):
    change(copy.settings_file, train={"teacher": [str(tmp_path / "far" / "teacher")]})
    published = open_run(publish_run(copy, tmp_path / "checkpoints"))
    assert published.path == tmp_path / "checkpoints" / copy.path.name
    assert str(tmp_path) not in published.settings_file.read_text()
    assert published.labels() == copy.labels()
    assert published.train_settings().teacher == ("teacher",)
    for phase in ("float", "quantized"):
        for one, other in zip(
            published.load_model(phase).get_weights(),
            copy.load_model(phase).get_weights(),
            strict=True,
        ):
            assert (one == other).all()


def test_an_unfinished_run_is_not_published(copy, tmp_path):
    write_json(copy.history_file, copy.history()[:3])
    with pytest.raises(KwsError, match="is not finished"):
        publish_run(copy, tmp_path / "checkpoints")
    assert not (tmp_path / "checkpoints").exists()
