"""Manifests: what is written is read, damage is one sentence, on every way in."""

import copy
import dataclasses
import json
import re
from pathlib import Path

import models
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import classifier_file, random_model
from running import run_main
from tiny_run import write_wav

from kws_tf.errors import KwsError
from kws_tf.frontend.config import FrontEnd
from kws_tf.tflite import manifest as manifests
from kws_tf.tflite import model as tflite_model
from kws_tf.tflite.manifest import Manifest
from kws_tf.tflite.trigger import Trigger

SCRIPTS = Path(__file__).parents[1] / "scripts"
LABELS = ("_silence_", "_unknown_", "up", "down")
FRONT_END = FrontEnd(example_ms=300.0).normalised([-8.0] * 40, [3.0] * 40)
MODEL = random_model(0, units=12, features=40, classes=len(LABELS))
FILE = classifier_file(MODEL, FRONT_END.frames)


def save_model(folder: Path, content=FILE, /, **changes) -> Path:
    path = folder / "model.tflite"
    return models.save_model(path, content, LABELS, FRONT_END, MODEL.input.scale, 12, **changes)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A model with its manifest, not to be changed."""
    trigger = {"threshold": 0.5, "smoothing_decisions": 2, "thresholds": {"up": 0.8}}
    details = {"trigger": trigger, "accuracy": [1, "a"]}
    folder = tmp_path_factory.mktemp("model")
    return save_model(folder, clips={"cell/input": 3.0, "cell/cell": 8.0}, details=details)


# --- Round trips.


def test_what_is_written_is_read(saved, tmp_path):
    model = tflite_model.load(saved)
    assert model.content == FILE
    assert model.manifest.labels == LABELS
    assert model.manifest.front_end == FRONT_END
    trigger = Trigger(threshold=0.5, smoothing_decisions=2, thresholds={"up": 0.8})
    assert model.manifest.trigger == trigger
    assert model.manifest.with_trigger(trigger).trigger == trigger
    written = model.manifest.save(tmp_path / "model.tflite")
    assert json.loads(written.read_text())["format"] == 2
    assert manifests.load(tmp_path / "model.tflite") == model.manifest


def test_a_manifest_of_version_0_1_is_read(saved, tmp_path):
    values = json.loads(saved.with_suffix(".json").read_text())
    values["format"] = 1
    values["front_end"]["clip_ms"] = values["front_end"].pop("example_ms")
    (tmp_path / "model.json").write_text(json.dumps(values))
    assert manifests.load(tmp_path / "model.tflite") == manifests.load(saved)


# --- Damage.

anything = st.recursive(
    st.one_of(
        *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
        st.sampled_from([2**31, 10**400, -1, 0, 1, 8, 1e300, "\ud800", "\n", "_silence_", "1"]),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


def places(values, path=()):
    """The paths of all values within JSON."""
    yield path
    children = values.items() if isinstance(values, dict) else ()
    for key, value in enumerate(values) if isinstance(values, list) else children:
        yield from places(value, (*path, key))


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_damaged_json_is_one_sentence_or_a_valid_manifest(saved, tmp_path_factory, data):
    values = json.loads(saved.with_suffix(".json").read_text())
    damaged = {"": copy.deepcopy(values)}
    path = ("", *data.draw(st.sampled_from(list(places(values)))))
    parent = damaged
    for key in path[:-1]:
        parent = parent[key]
    kind = data.draw(st.sampled_from(["replaced", "removed", "added"]))
    if kind == "replaced" or path == ("",):
        parent[path[-1]] = data.draw(anything)
    elif kind == "removed":
        del parent[path[-1]]
    elif isinstance(parent, dict):
        parent[data.draw(st.text())] = data.draw(anything)
    else:
        parent.insert(path[-1], data.draw(anything))
    text = json.dumps(damaged[""])
    folder = tmp_path_factory.getbasetemp()
    assert_read_or_refused(folder / "damaged.tflite", text.encode())


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_damaged_bytes_are_one_sentence_or_a_valid_manifest(saved, tmp_path_factory, data):
    content = bytearray(saved.with_suffix(".json").read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        del content[position:]
    else:
        content[position] = data.draw(st.integers(0, 255))
    assert_read_or_refused(tmp_path_factory.getbasetemp() / "bytes.tflite", bytes(content))


def assert_read_or_refused(path, content):
    path.with_suffix(".json").write_bytes(content)
    try:
        manifest = manifests.load(path)
    except KwsError as error:
        assert str(path.with_suffix(".json")) in str(error)
        assert str(error).isprintable() and len(str(error)) < 500
        return
    assert any(label[0] != "_" for label in manifest.labels)
    assert Manifest.parse(json.loads(json.dumps(manifest.to_json()))) == manifest
    manifest.quantize(np.zeros((1, manifest.front_end.frames, manifest.front_end.features)))


def test_deep_json_is_one_sentence(tmp_path):
    (tmp_path / "model.json").write_text(100_000 * "[")
    with pytest.raises(KwsError, match=r"model.json is damaged"):
        manifests.load(tmp_path / "model.tflite")


# --- Every way in.


@pytest.fixture
def ways_in(capsys, tmp_path):
    """Runs all commands that take a model file; returns exit code and the error of each."""
    for label in LABELS:
        word = "cat_" if label == "_unknown_" else ""
        path = tmp_path / "test" / label / f"{word}00000000_nohash_0.wav"
        write_wav(path, np.sin(np.arange(4800)) / 2)
    write_wav(tmp_path / "a.wav", np.sin(np.arange(8000)) / 2)

    def call(path):
        test = ("--test-dir", tmp_path / "test")
        for name, *arguments in (
            ("evaluate", *test),
            ("robustness", *test, "--noise-dir", tmp_path, "--snrs", "--alone", 0, "--shifts", 0),
            ("spot", tmp_path / "a.wav"),
            ("export_micro", "-o", tmp_path / "firmware"),
        ):
            capsys.readouterr()
            yield run_main(SCRIPTS / f"{name}.py", path, *arguments), capsys.readouterr().err

    return call


def test_a_good_model_passes_them(ways_in, tmp_path):
    content = one_output(FILE)
    assert [code for code, _ in ways_in(save_model(tmp_path / "m", content))] == [0] * 4


def one_output(content: bytes) -> bytes:
    from kws_tf.tflite.graph import Graph

    graph = Graph(content)
    graph.main.outputs = graph.main.outputs[:1]
    return graph.to_bytes()


def with_zero_point(zero_point: int, scale=MODEL.input.scale) -> bytes:
    from kws_tf.tflite.graph import Graph

    graph = Graph(FILE)
    graph.set_scale(graph.main.inputs[0], scale, zero_point)
    return graph.to_bytes()


def json_with(**changes):
    return lambda folder: save_model(folder, **changes)


def thresholds(values):
    return json_with(details={"trigger": {"thresholds": values}})


def log_mel_with(**changes):
    values = FRONT_END.to_json()
    return json_with(front_end=values | {"log_mel": values["log_mel"] | changes})


def rewritten(name: str, content: bytes):
    """A model of which one file is then overwritten."""

    def make(folder):
        path = save_model(folder)
        (folder / name).write_bytes(content)
        return path

    return make


def without_manifest(folder):
    path = save_model(folder)
    path.with_suffix(".json").unlink()
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (json_with(labels=[*LABELS, "thirteenth"]), "the 5 labels of its manifest need"),
        (json_with(labels=["_silence_", "_unknown_"]), "none of its labels is a keyword"),
        (json_with(labels=["a", "a", "b", "c"]), "a label is there twice"),
        (json_with(labels="abcd"), "labels is 'abcd', no list"),
        (json_with(labels=["a", None, "b", "c"]), "the label None is not a text"),
        (json_with(labels=["a", "b\n", "c", "d"]), "is not a text that can be printed"),
        (rewritten("model.json", b"null"), "None is no table of fields"),
        (rewritten("model.json", b"{"), "model.json is damaged"),
        (rewritten("model.json", b"\xff\xfe\xff"), "model.json is damaged"),
        (json_with(details="x"), "details is 'x', no table"),
        (json_with(details={"trigger": None}), "None is no table"),
        (json_with(details={"trigger": {"treshold": 1}}), "its field 'treshold' is unknown"),
        (json_with(details={"trigger": {"threshold": 2}}), "threshold is 2, not a number from 0"),
        (
            json_with(details={"trigger": {"smoothing_decisions": 1.5}}),
            "smoothing_decisions is 1.5, not a whole number from 1 to 100",
        ),
        (thresholds([0.5]), r"thresholds is \[0.5\], no table of words"),
        (thresholds({"up": 2}), "threshold of 'up' is 2, not a number from 0 to 1"),
        (thresholds({"up": "0.5"}), "threshold of 'up' is '0.5', not a number from 0 to 1"),
        (thresholds({"upp": 0.5}), "the trigger has a threshold for 'upp', no keyword"),
        (thresholds({"_unknown_": 0.5}), "a threshold for '_unknown_', no keyword"),
        (json_with(front_end=FRONT_END.to_json() | {"example_ms": 2**31}), "example_ms is 2147"),
        (json_with(front_end=FrontEnd(example_ms=300.0).to_json()), "lacks the normalisation"),
        (json_with(front_end=None), "None is no table of fields"),
        (log_mel_with(sample_rate=2**31), "sample_rate is 2147483648, not a whole number"),
        (log_mel_with(bands=True), "bands is True"),
        (json_with(input_bits=9), "input_bits is 9, not a whole number from 2 to 8"),
        (json_with(input_scale="0.1"), "input_scale is '0.1'"),
        (json_with(hidden_units=None), "hidden_units is None"),
        (json_with(clips={"a": None}), "the clip 'a' is None"),
        (json_with(sha256="no"), "sha256 is 'no'"),
        (json_with(sha256=64 * "0"), "SHA-256 or size differs"),
        (json_with(bytes=5), "SHA-256 or size differs"),
        (json_with(format=3), "its format is 3"),
        (json_with(surplus=1), "its field 'surplus' is unknown"),
        (without_manifest, "the manifest .*model.json is missing"),
        (json_with(input_scale=0.5), "the input of .*model.tflite is int8 .*its manifest says"),
        (lambda folder: save_model(folder, with_zero_point(-3)), "zero point -3, its manifest"),
        (
            json_with(front_end=dataclasses.asdict(FRONT_END) | {"example_ms": 500.0}),
            "its manifest",
        ),
        (json_with(labels=["_silence_", "up"]), "the 2 labels of its manifest need"),
        (lambda folder: save_model(folder, FILE[:3000]), "truncated or damaged"),
        (rewritten("model.tflite", FILE[:3000]), "SHA-256 or size differs"),
        (rewritten("model.tflite", b"this is text"), "not a .tflite file"),
        (lambda folder: folder / "none.tflite", "cannot read the model"),
    ],
)
def test_a_bad_model_is_one_sentence_on_every_way_in(ways_in, tmp_path, make, message):
    for code, err in ways_in(make(tmp_path / "m")):
        assert code == 2
        (line,) = err.splitlines()
        assert line.startswith("error: ")
        assert re.search(message, line), line


def test_a_model_of_logits_gives_posteriors(tmp_path):
    from kws_tf.tflite.graph import Graph

    graph = Graph(FILE)
    graph.main.outputs = [graph.dense.outputs[0]]
    model = tflite_model.load(save_model(tmp_path, graph.to_bytes()))
    scores = np.random.default_rng(0).integers(-128, 128, (5, len(LABELS))).astype(np.int8)
    real = (scores.astype(float) - MODEL.logits.zero_point) * MODEL.logits.scale
    want = np.exp(real) / np.exp(real).sum(1, keepdims=True)
    np.testing.assert_allclose(model.posteriors(scores), want, atol=1e-5)
    rounded = model.trigger_outputs(scores)
    assert rounded.dtype == np.int8
    np.testing.assert_allclose((rounded + 128.0) / 256, want, atol=0.5001 / 256)
    softmax = tflite_model.load(save_model(tmp_path / "softmax"))
    np.testing.assert_array_equal(softmax.posteriors(scores), (scores + np.float32(128)) / 256)
    np.testing.assert_array_equal(softmax.trigger_outputs(scores), scores)
