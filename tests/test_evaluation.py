"""Evaluation: both runtimes against the NumPy reference, the counts, the files, the errors."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import wave
from pathlib import Path

import models
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from models import classifier_file, pack, random_inputs, random_model
from running import run_main
from tensorflow.lite.python import schema_py_generated as schema

from kws_tf.chip.frontend import c_features_int8
from kws_tf.chip.spotter import ChipSpotter
from kws_tf.data import pipeline, records, sources
from kws_tf.errors import KwsError
from kws_tf.evaluation import labelled, metrics, results
from kws_tf.frontend.config import FrontEnd
from kws_tf.frontend.features import features
from kws_tf.models.building import build_model
from kws_tf.quantization.quantizers import PactQuantizer
from kws_tf.run_folder import RunFolder
from kws_tf.settings import Augmentation, DataSettings, TrainSettings
from kws_tf.tflite import formats, interpreter, tflm
from kws_tf.tflite import model as tflite_model
from kws_tf.tflite.manifest import Manifest

ROOT = Path(__file__).parents[1]
SCRIPTS, EXPERIMENTS = ROOT / "scripts", ROOT / "experiments"
WORDS = ("up", "down")
LABELS = ("_silence_", "_unknown_", *WORDS)
TASK = DataSettings(words=WORDS)
FRONT_END = FrontEnd(example_ms=300.0).normalised([-8.0] * 40, [3.0] * 40)
MODEL = random_model(0, units=12, features=40, classes=len(LABELS))
FILE = classifier_file(MODEL, FRONT_END.frames)


# --- Fixtures: a model with its manifest, a test set, records, a run.


def save_model(folder, content=FILE, scale=MODEL.input.scale, **changes) -> Path:
    """Writes a model and a manifest that fits it, but for the changes."""
    path = folder / "model.tflite"
    return models.save_model(path, content, LABELS, FRONT_END, scale, 12, **changes)


@pytest.fixture
def model_path(tmp_path):
    return save_model(tmp_path / "model")


def save_wav(path, seed, channels=1, samples=4000):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    tone = np.sin(np.arange(samples * channels) * rng.uniform(0.02, 0.6))
    noisy = 8000 * tone + rng.normal(0, 500, samples * channels)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(noisy.astype("<i2").tobytes())


@pytest.fixture
def test_set(tmp_path):
    for index, label in enumerate(LABELS):
        for number in range(5 + index):
            word = "cat_" if label == "_unknown_" else ""
            name = f"{word}{number:08x}_nohash_0.wav"
            save_wav(tmp_path / "test" / label / name, 10 * index + number)
    return tmp_path / "test"


@pytest.fixture
def record_dir(tmp_path):
    rng = np.random.default_rng(0)
    log_mel = FRONT_END.log_mel
    frames = FRONT_END.frames
    for partition, words in (
        ("training", ["up"]),
        ("validation", ["up"] * 10 + ["down"] * 10 + ["cat"] * 3),
        ("background", ["_background_noise_"] * 4),
    ):
        spectrograms = rng.integers(0, 256, (len(words), frames, log_mel.bands)).astype(np.uint8)
        names = [f"{i:08x}_nohash_0.wav" for i in range(len(words))]
        records.write(tmp_path / "records", partition, log_mel, [(spectrograms, words, names)])
    return tmp_path / "records"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of random weights, which tests copy."""
    run = RunFolder(tmp_path_factory.mktemp("runs") / "run")
    train = TrainSettings(hidden=6)
    run.start(train, DataSettings(words=WORDS), Augmentation(), Path("data"), FRONT_END)
    for phase in ("float", "quantized"):
        tf.keras.utils.set_random_seed(1)
        model = build_model(train, FRONT_END, len(LABELS), phase)
        model.save_weights(run.weights_file(phase))
    return run.path


@pytest.fixture
def run(trained, tmp_path):
    return RunFolder(shutil.copytree(trained, tmp_path / "run"))


@pytest.fixture
def evaluate(capsys):
    """Runs scripts/evaluate.py; returns exit code, stdout and stderr."""

    def call(*arguments):
        code = run_main(SCRIPTS / "evaluate.py", *arguments)
        return code, *capsys.readouterr()

    return call


# --- Counts.


def test_metrics_of_a_small_example():
    #        decided  a  b  c
    # truth a         2  1  0
    #       b         0  3  0
    #       c         0  0  0   a class without examples that is never decided for
    truth = np.array([0, 0, 0, 1, 1, 1])
    m = metrics.measure(np.array([0, 1, 0, 1, 1, 1]), truth, ("a", "b", "c"))
    assert (m.correct, m.total, m.accuracy) == (5, 6, 5 / 6)
    np.testing.assert_array_equal(m.confusion, [[2, 1, 0], [0, 3, 0], [0, 0, 0]])
    np.testing.assert_array_equal(m.precision, [1, 3 / 4, np.nan])
    np.testing.assert_array_equal(m.recall, [2 / 3, 1, np.nan])
    values = json.loads(json.dumps(m.to_json(), allow_nan=False))
    assert values["per_class"]["a"] == {"n": 3, "correct": 2, "precision": 1, "recall": 2 / 3}
    assert values["per_class"]["c"]["recall"] is None
    assert metrics.table(m).splitlines() == [
        "accuracy: 5 of 6 (83.33 %)",
        "",
        "class examples  precision   recall",
        "a            3    100.0 %   66.7 %",
        "b            3     75.0 %  100.0 %",
        "c            0          -        -",
        "",
        "confusion matrix (rows: truth, columns: decision)",
        "         a    b    c",
        "a        2    1    .",
        "b        .    3    .",
        "c        .    .    .",
    ]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1))
def test_metrics_count_every_example_once(pairs):
    truth, decided = np.array(pairs).T
    m = metrics.measure(decided, truth, tuple("abcde"))
    assert m.total == len(pairs)
    assert m.correct == sum(t == d for t, d in pairs)
    for t in range(5):
        for d in range(5):
            assert m.confusion[t, d] == pairs.count((t, d))


def test_the_first_of_equal_scores_decides():
    scores = np.array([[3, 7, 7], [-128, -128, -128]], np.int8)
    np.testing.assert_array_equal(metrics.decisions(scores), [1, 0])


def test_plot_of_the_confusion_matrix(tmp_path):
    m = metrics.measure(np.array([0, 1, 1]), np.array([0, 1, 0]), ("a", "b"))
    results.save_plot(m, tmp_path / "a.png", "title")
    image = tf.io.decode_png((tmp_path / "a.png").read_bytes(), 3).numpy()
    assert min(image.shape[:2]) > 200
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 3
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


# --- Features.


@settings(deadline=None)
@given(st.integers(2, 8), st.floats(0.1, 50), st.integers(0, 10**6))
def test_quantize_is_what_the_layer_computes(bits, clip, seed):
    rng = np.random.default_rng(seed)
    quantizer = PactQuantizer(bits, clip)
    scale = np.float32(quantizer.scale({"clip": np.float32(clip)}))
    halves = (rng.integers(-300, 300, 50) + 0.5) * scale
    values = np.concatenate([rng.normal(0, clip, 200), halves]).astype(np.float32)
    manifest = Manifest(LABELS, FRONT_END, float(scale), bits, 1, 8, 64 * "0", 1)
    integers = manifest.quantize(values)
    want = quantizer(tf.constant(values), False, {"clip": tf.constant(clip, tf.float32)})
    np.testing.assert_array_equal(integers.astype(np.float32) * scale, want)


def test_test_folder_gives_the_front_ends_features(test_set):
    examples = labelled.load(LABELS, FRONT_END, TASK, test_set)
    np.testing.assert_array_equal(np.bincount(examples.labels), [5, 6, 7, 8])
    assert examples.names[0] == "_silence_/00000000_nohash_0.wav"
    assert examples.features.dtype == np.float32
    for row in (0, 25):
        samples = sources.read_samples([test_set / examples.names[row]], FRONT_END)
        want = features(tf.constant(samples[0] / np.float32(32768)), FRONT_END)
        np.testing.assert_allclose(examples.features[row], want, atol=1e-5)


def test_records_give_the_validation_set(record_dir):
    examples = labelled.load(LABELS, FRONT_END, TASK, data_dir=record_dir)
    stored = sources.load(record_dir, "validation", FRONT_END, TASK)
    want, labels = pipeline.fixed_set(stored, FRONT_END, TASK)
    np.testing.assert_array_equal(examples.features, want)
    np.testing.assert_array_equal(examples.labels, labels)
    np.testing.assert_array_equal(np.bincount(labels), [2, 2, 10, 10])


# --- Runtimes.


@pytest.mark.parametrize("runtime", ["tflite", "tflm"])
def test_runtimes_reset_between_examples_and_keep_their_order(runtime):
    """More examples than a block, so that several threads take part."""
    inputs = random_inputs(1, 50, FRONT_END.frames, 40)
    if runtime == "tflite":
        got = interpreter.run(FILE, inputs, "reference")
    else:
        got = tflm.run(FILE, inputs)
    want = MODEL.run(inputs, runtime)
    names = ("posteriors", "hidden", "cell", "logits")
    for name, output in zip(names, got.outputs, strict=True):
        assert output.dtype == getattr(want, name).dtype
        np.testing.assert_array_equal(output, getattr(want, name), err_msg=name)
    assert 0 < got.microseconds < 1e6


def test_default_kernels_agree_but_for_the_softmax():
    inputs = random_inputs(2, 20, FRONT_END.frames, 40)
    got = interpreter.run(FILE, inputs, "default").outputs
    want = MODEL.run(inputs)
    np.testing.assert_array_equal(got[1], want.hidden)
    assert np.abs(got[0].astype(int) - want.posteriors).max() <= 1


def test_arena_bytes_by_kind():
    arena = tflm.run(FILE, random_inputs(0, 1, FRONT_END.frames, 40)).arena_bytes
    assert arena["total"] == arena["head"] + arena["tail"]
    # The hidden state's 12 bytes and the cell state's 24, each aligned to 16.
    assert arena["TfLiteTensor variable buffer data"] == 16 + 32
    areas = ("total", "head", "tail")
    assert sum(n for kind, n in arena.items() if kind not in areas) <= arena["tail"]


def test_an_operator_that_tflm_has_not():
    kind, shape = schema.TensorType.INT8, [1, 4, 4]
    tensors = [(kind, shape, None, 1.0, 0)] * 2
    file = pack(
        tensors, [(schema.BuiltinOperator.LSH_PROJECTION, 1, [0], [1], None, None)], [0], [1]
    )
    for runtime, message in ((tflm, "builtin opcode 'LSH_PROJECTION'"), (interpreter, "LSH_PROJ")):
        with pytest.raises(KwsError, match=message):
            runtime.run(file, np.zeros((1, 4, 4), np.int8))


@settings(deadline=None)
@given(st.integers(0, len(FILE) - 1))
def test_a_truncated_model_never_reaches_a_runtime(size):
    with pytest.raises(KwsError, match=r"damaged|not a \.tflite"):
        formats.ends(FILE[:size], "m.tflite")


@pytest.mark.parametrize(
    "inputs", [np.zeros((1, 14, 10), np.int8), np.zeros((1, 14, 40), np.float32)]
)
def test_inputs_of_another_form_are_refused(inputs):
    for runtime in (interpreter, tflm):
        with pytest.raises(KwsError, match=r"input of the model is int8 \[1, 14, 40\]"):
            runtime.run(FILE, inputs)


# --- The script.


def load(test_set):
    return labelled.load(LABELS, FRONT_END, TASK, test_set)


def expected_decisions(test_set, runtime):
    examples = load(test_set)
    integers = np.rint(examples.features / MODEL.input.scale).clip(-128, 127).astype(np.int8)
    return MODEL.run(integers, runtime).posteriors.argmax(axis=1), examples.labels


def test_a_model_in_no_run_gets_no_files_beside_it(evaluate, model_path, test_set):
    before = sorted(model_path.parent.iterdir())
    code, out, _ = evaluate(model_path, "--test-dir", test_set, "--kernels", "reference")
    decided, truth = expected_decisions(test_set, "tflite")
    assert code == 0
    assert f"accuracy: {np.count_nonzero(decided == truth)} of 26" in out
    assert "written" not in out
    assert sorted(model_path.parent.iterdir()) == before


def test_results_go_where_out_and_json_say(evaluate, model_path, test_set, tmp_path):
    out, copy = tmp_path / "new", tmp_path / "copy.json"
    arguments = ("--test-dir", test_set, "--kernels", "reference", "-o", out, "--json", copy)
    code, text, _ = evaluate(model_path, *arguments)
    assert code == 0
    decided, truth = expected_decisions(test_set, "tflite")
    correct = np.count_nonzero(decided == truth)
    written = out / "model.evaluation-tflite-reference.json"
    assert {path.name for path in out.iterdir()} == {written.name, written.stem + ".png"}
    assert f"written: {written}, " in text
    report = json.loads(written.read_text())
    assert json.loads(copy.read_text()) == report
    assert (report["correct"], report["n"], report["split"]) == (correct, 26, "test")
    assert report["confusion"] == metrics.measure(decided, truth, LABELS).confusion.tolist()
    assert report["sha256"] == hashlib.sha256(FILE).hexdigest()
    assert report["data"] == str(test_set)
    assert "--kernels reference" in report["command"]


def test_evaluate_under_tflm_compares_with_tflite(evaluate, model_path, test_set, tmp_path):
    code, out, _ = evaluate(
        *(model_path, "--test-dir", test_set, "--runtime", "tflm"),
        *("--kernels", "reference", "--json", tmp_path / "a.json"),
    )
    assert code == 0
    report = json.loads((tmp_path / "a.json").read_text())
    tflm_decided, truth = expected_decisions(test_set, "tflm")
    lite_decided, _ = expected_decisions(test_set, "tflite")
    assert report["correct"] == np.count_nonzero(tflm_decided == truth)
    assert report["equal_decisions"] == np.count_nonzero(tflm_decided == lite_decided)
    assert report["arena_bytes"]["total"] > 1000
    assert "arena" in out


@pytest.mark.skipif(not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="no C compiler")
@pytest.mark.parametrize("frontend", ["tensorflow", "c"])
def test_evaluate_by_the_chips_code(evaluate, model_path, test_set, tmp_path, frontend):
    """It decides as TFLite Micro's reference, on the features of either front end."""
    opened = tflite_model.load(model_path)
    examples = load(test_set)
    inputs = opened.manifest.quantize(examples.features)
    if frontend == "c":
        inputs = c_features_int8(examples.samples, opened.manifest)
    wanted = MODEL.run(inputs, "tflm").posteriors
    np.testing.assert_array_equal(ChipSpotter(opened).outputs_of_features(inputs), wanted)
    on_tflite = MODEL.run(inputs, "tflite").posteriors
    file = tmp_path / "a.json"
    options = ("--test-dir", test_set, "--runtime", "c", "--kernels", "reference", "--json", file)
    code, out, _ = evaluate(model_path, *options, "--frontend", frontend)
    assert code == 0
    report, truth = json.loads(file.read_text()), examples.labels
    counted = metrics.measure(wanted.argmax(axis=1), truth, LABELS)
    assert report["confusion"] == counted.confusion.tolist()
    equal = np.count_nonzero(wanted.argmax(axis=1) == on_tflite.argmax(axis=1))
    assert report["equal_decisions"] == equal
    assert f"decisions equal to TFLite's (reference kernels): {equal} of 26" in out
    assert "arena" not in out and "microseconds" not in report


def test_evaluate_a_runs_keras_models(evaluate, run, test_set):
    examples = load(test_set)
    for phase in ("quantized", "float"):
        options = ("--test-dir", test_set, "--runtime", "keras", "--phase", phase)
        code, out, _ = evaluate(run.path, *options)
        assert code == 0
        decided = np.argmax(run.load_model(phase)(examples.features), axis=1)
        correct = np.count_nonzero(decided == examples.labels)
        assert f"accuracy: {correct} of 26" in out
        assert json.loads(run.accuracy_file.read_text())[f"keras-{phase}"]["correct"] == correct


def test_a_run_collects_its_accuracies(evaluate, run, test_set, record_dir):
    save_model(run.path)
    assert evaluate(run.path, "--test-dir", test_set)[0] == 0
    code, out, _ = evaluate(run.path / "model.tflite", "--data-dir", record_dir)
    assert code == 0
    assert " of 24 (" in out
    accuracies = json.loads(run.accuracy_file.read_text())
    assert {key: entry["n"] for key, entry in accuracies.items()} == {
        "tflite": 26,
        "tflite-validation": 24,
    }
    assert (run.path / "evaluation-tflite.png").exists()
    # The run's own data are in "data", which is not here.
    code, _, err = evaluate(run.path, "--partition", "validation")
    assert_one_sentence(code, err, "the data folder data does not exist")


def test_an_evaluated_run_is_published(evaluate, capsys, run, test_set, tmp_path):
    save_model(run.path)
    publish = (EXPERIMENTS / "publish_model.py", run.path, "mine", "--test-dir", test_set)
    assert evaluate(run.path, "--test-dir", test_set)[0] == 0
    assert_one_sentence(run_main(*publish), capsys.readouterr().err, "--runtime tflm")
    assert evaluate(run.path, "--test-dir", test_set, "--runtime", "tflm")[0] == 0
    assert run_main(*publish, "-o", tmp_path / "out") == 0
    published = tflite_model.load(tmp_path / "out" / "mine.tflite")
    assert published.content == FILE
    details = published.manifest.details
    accuracies = run.accuracies()
    for key in ("tflite", "tflm"):
        assert details["accuracy"][key]["correct"] == accuracies[key]["correct"]
        assert details["accuracy"][key]["command"].endswith(f"--runtime {key}")
    assert str(tmp_path / "run") not in json.dumps(details)
    with np.load(tmp_path / "out" / "mine.sample.npz") as sample:
        assert details["sample"]["examples"] == len(sample["labels"]) == 26
        decided = MODEL.run(sample["inputs"], "tflm").posteriors.argmax(1)
        assert details["sample"]["correct"]["tflm"] == np.sum(decided == sample["labels"])


def assert_one_sentence(code, err, message):
    assert code == 2
    (line,) = [line for line in err.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in err
    assert re.search(message, line), line


def test_bad_data_is_one_sentence(evaluate, model_path, test_set, record_dir, tmp_path):
    def fails(message, *arguments):
        code, _, err = evaluate(model_path, *arguments)
        assert_one_sentence(code, err, message)

    fails("does not exist", "--test-dir", tmp_path / "none")
    fails("does not exist", "--data-dir", tmp_path / "none")
    fails("give --test-dir one")
    fails("has no --partition", "--test-dir", test_set, "--partition", "training")
    fails("give --test-dir one", "--data-dir", record_dir, "--frontend", "c")
    fails("is not a run folder", "--test-dir", test_set, "--runtime", "keras")
    fails("none for a.json does not exist", "--test-dir", test_set, "--json", "none/a.json")
    (tmp_path / "file").write_text("")
    fails("cannot write .*file", "--test-dir", test_set, "--out", tmp_path / "file")
    save_wav(test_set / "up" / "ffffffff_nohash_0.wav", 1, channels=2)
    fails("--mix-down", "--test-dir", test_set)
    assert evaluate(model_path, "--test-dir", test_set, "--mix-down")[0] == 0
    for path in (test_set / "down").iterdir():
        path.unlink()
    fails("no recordings of the class", "--test-dir", test_set)
    (test_set / "down").rmdir()
    fails("no folder for the class 'down'", "--test-dir", test_set)
    description = json.loads((record_dir / records.DESCRIPTION).read_text())
    description["log_mel"]["high_hz"] = 8000.0
    (record_dir / records.DESCRIPTION).write_text(json.dumps(description))
    fails("front end", "--data-dir", record_dir)


def test_a_run_without_normalisation_is_refused(evaluate, run, test_set):
    run.front_end_file.write_text(json.dumps(FrontEnd(example_ms=300.0).to_json()))
    code, _, err = evaluate(run.path, "--test-dir", test_set, "--runtime", "keras")
    assert_one_sentence(code, err, "lacks its normalisation constants")


def test_help_does_not_import_tensorflow():
    code = (
        f"import sys, runpy; sys.path.insert(0, {str(SCRIPTS)!r}); sys.argv[1:] = ['--help']\n"
        f"try: runpy.run_path({str(SCRIPTS / 'evaluate.py')!r}, run_name='__main__')\n"
        "except SystemExit: sys.exit('tensorflow' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
