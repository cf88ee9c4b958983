"""Robustness: the ratio wanted is the ratio mixed, the shift wanted the shift, the figures."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import classifier_file, random_model, save_model
from running import run_main
from tiny_run import write_wav

from kws_tf.audio.levels import active_power
from kws_tf.errors import KwsError
from kws_tf.evaluation import conditions, evaluate, labelled, robustness
from kws_tf.evaluation.robustness_result import Robustness, Row
from kws_tf.frontend.config import FrontEnd
from kws_tf.settings import DataSettings

SCRIPTS = Path(__file__).parents[1] / "scripts"
LABELS = ("_silence_", "_unknown_", "up", "down")
FRONT_END = FrontEnd(example_ms=300.0).normalised([-8.0] * 40, [3.0] * 40)
RATE = 16000
WORDS, EXAMPLES = 15, 20


# --- Mixing and shifting.


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(-10, 40), st.floats(-60, 0), st.floats(-60, 0))
def test_the_ratio_wanted_is_the_ratio_mixed(seed, snr, speech_db, noise_db):
    rng = np.random.default_rng(seed)
    speech = 10 ** (speech_db / 20) * rng.uniform(-1, 1, (3, 1600)) * np.hanning(1600)
    noise = 10 ** (noise_db / 20) * rng.uniform(-1, 1, (3, 1600))
    speech, noise = speech.astype(np.float32), noise.astype(np.float32)
    power = active_power(speech, RATE)
    added = conditions.mix(speech, noise, power, snr).astype(np.float64) - speech
    assert added.shape == speech.shape
    np.testing.assert_allclose(10 * np.log10(power / np.mean(added**2, axis=1)), snr, atol=0.01)
    correlation = np.sum(added * noise, 1) / np.linalg.norm(added, axis=1)
    np.testing.assert_allclose(correlation, np.linalg.norm(noise, axis=1), rtol=1e-3)


@given(st.integers(-30, 30))
def test_shift_moves_and_fills_with_zeros(offset):
    x = np.arange(1, 63, dtype=np.int16).reshape(2, 31)
    moved = conditions.shift(x, offset)
    assert moved.dtype == x.dtype
    for position in range(31):
        source = position - offset
        expected = x[:, source] if 0 <= source < 31 else 0
        np.testing.assert_array_equal(moved[:, position], expected)


def test_shift_by_zero_is_the_identity():
    x = np.random.default_rng(0).normal(size=(3, 50))
    np.testing.assert_array_equal(conditions.shift(x, 0), x)


# --- The measurement.


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with a model, a test set of tones and two noise recordings."""
    folder = tmp_path_factory.mktemp("robustness")
    rng = np.random.default_rng(0)
    model = random_model(0, units=12, features=40, classes=len(LABELS))
    content = classifier_file(model, FRONT_END.frames)
    save_model(folder / "model.tflite", content, LABELS, FRONT_END, model.input.scale, 12)
    for label in LABELS:
        for number in range(WORDS // 3):
            tone = np.sin(np.arange(4800) * rng.uniform(0.02, 0.6))
            loudness = 0.0 if label == "_silence_" else 0.2
            word = "cat_" if label == "_unknown_" else ""
            samples = loudness * tone + rng.normal(0, 0.02, 4800)
            write_wav(folder / "test" / label / f"{word}{number:08x}_nohash_0.wav", samples)
    for name, loudness in (("hiss", 0.1), ("roar", 0.5)):
        write_wav(folder / "noise" / f"{name}.wav", rng.normal(0, loudness, 9000))
    return folder


@pytest.fixture
def measure(world):
    subject = evaluate.open_subject(world / "model.tflite", "tflite", "quantized")

    def measure(snrs=(), shifts=(), **more):
        plan = robustness.Plan(snrs, shifts, **more)
        return robustness.measure(subject.model, world / "test", world / "noise", plan)

    return measure


def test_what_changes_nothing_gives_the_accuracy_of_evaluate(world, measure):
    subject = evaluate.open_subject(world / "model.tflite", "tflite", "quantized")
    task = DataSettings(words=LABELS[2:])
    examples = labelled.load(LABELS, FRONT_END, task, world / "test")
    expected = evaluate.evaluate(subject, examples).metrics
    result = measure([200.0], [0.0])
    (clean,), (words,), (shifted,) = map(result.of, ("clean", "clean words", "shift"))
    assert (clean.correct, clean.n) == (expected.correct, EXAMPLES) == (shifted.correct, shifted.n)
    silent = expected.confusion[0]
    assert (words.correct, words.n) == (expected.correct - silent[0], WORDS)
    assert {row.noise: (row.correct, row.n) for row in result.of("noise")} == {
        "hiss": (words.correct, WORDS),
        "roar": (words.correct, WORDS),
    }


def test_conditions_reach_the_model(measure, monkeypatch):
    seen = []
    ran = robustness.interpreter.run

    def spy(model, inputs, **more):
        seen.append(inputs)
        return ran(model, inputs, **more)

    monkeypatch.setattr(robustness.interpreter, "run", spy)
    result = measure([20.0, 0.0], [-20.0, 20.0])
    (inputs,) = seen
    counts = [row.n for row in result.rows if row.condition != "clean words"]
    assert counts == [EXAMPLES, *[WORDS] * 4, *[EXAMPLES] * 2]
    clean, *others = np.split(inputs, np.cumsum(counts)[:-1])
    loud, faint = others[1].astype(int), others[0].astype(int)
    assert np.mean(loud) > np.mean(faint) > np.mean(clean[5:])
    # One hop is 20 ms: the frames within are those of the clean examples, moved by one.
    earlier, later = others[-2:]
    np.testing.assert_array_equal(earlier[:, :-2], clean[:, 1:-1])
    np.testing.assert_array_equal(later[:, 2:], clean[:, 1:-1])


def test_the_limit_is_a_fixed_choice(measure):
    first, again = (measure([5.0], [50.0], limit=2, seed=3) for _ in range(2))
    assert first.rows == again.rows
    assert [row.n for row in first.rows] == [8, 6, 6, 6, 8]
    many = [(f"{label}/{n}", label) for label in range(3) for n in range(50)]
    chosen = [robustness._choose(many, 4, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    assert chosen[0] == chosen[1] != chosen[2]
    assert [sum(label == wanted for _, label in chosen[0]) for wanted in range(3)] == [4] * 3


def test_a_recording_that_cannot_be_mixed_is_refused():
    places = np.array([0.0, 0.5, 0.999999])
    recording = np.arange(1, 11, dtype=np.float32)
    cut = conditions.excerpts(Path("a.wav"), recording, places, 4)
    np.testing.assert_array_equal(cut(np.arange(3))[:, 0], [1, 4, 7])
    np.testing.assert_array_equal(cut(np.array([2])), [[7, 8, 9, 10]])
    with pytest.raises(KwsError, match="shorter than an example"):
        conditions.excerpts(Path("a.wav"), recording, places, 11)
    recording[3:7] = 0
    with pytest.raises(KwsError, match="nothing but zeros"):
        conditions.excerpts(Path("a.wav"), recording, places, 4)


def test_noise_alone_is_right_as_silence(world, measure, monkeypatch):
    still = measure([5.0], [20.0])
    result = measure([5.0], [20.0], alone=30)
    rows = result.of("noise alone")
    assert [(r.noise, r.n) for r in rows] == [("hiss", 30), ("roar", 30)]
    # What else is measured does not depend on it.
    assert [r for r in result.rows if r.condition != "noise alone"] == list(still.rows)

    decide = robustness.metrics.decisions
    decided = []

    def spy(scores):
        decided.append(decide(scores))
        return decided[-1]

    monkeypatch.setattr(robustness.metrics, "decisions", spy)
    again = measure(alone=30)
    assert [r.correct for r in again.of("noise alone")] == [
        int((d == LABELS.index("_silence_")).sum()) for d in decided[1:3]
    ]
    assert again.of("noise alone") == rows


def row(condition, noise=None, snr=None, ms=0.0, n=10, correct=9):
    return Row(condition, noise, snr, ms, n, correct)


def test_table():
    rows = [
        row("clean", n=12, correct=11),
        row("clean words"),
        row("noise", "tap", 20.0, correct=8),
        row("noise", "tap", 0.0, correct=5),
        row("noise", "bike", 20.0, correct=7),
        row("noise", "bike", 0.0, correct=4),
        row("noise alone", "tap", n=50, correct=49),
        row("noise alone", "bike", n=50, correct=50),
        row("shift", ms=-50.0, n=12, correct=3),
        row("shift", ms=0.0, n=12, correct=11),
    ]
    assert Robustness(rows, {}).text().splitlines() == [
        "clean: 11 of 12 (91.67 %)",
        "",
        "accuracy against signal-to-noise ratio, % of 10 examples of words",
        "dB     clean      20       0",
        "tap    90.00   80.00   50.00",
        "bike   90.00   70.00   40.00",
        "mean   90.00   75.00   45.00",
        "",
        "noise alone, % of 50 stretches that are taken for silence",
        "tap    98.00",
        "bike  100.00",
        "",
        "accuracy against time shift, % of 12 examples",
        "ms      -50       0",
        "      25.00   91.67",
    ]


# --- The script.


@pytest.fixture
def call(world, capsys):
    """Runs scripts/robustness.py; returns exit code, output and errors."""

    def call(*arguments, model=world / "model.tflite", test=world / "test", noise=world / "noise"):
        data = ("--test-dir", test, "--noise-dir", noise)
        code = run_main(SCRIPTS / "robustness.py", model, *data, *arguments)
        return code, *capsys.readouterr()

    return call


def test_script_prints_and_writes(call, tmp_path):
    files = [tmp_path / name for name in ("a.json", "a.svg", "b.svg")]
    for plot in files[1:]:
        arguments = ("--snrs", 5, "--shifts", -50, 0, "--alone", 2, "--json", files[0])
        arguments += ("--plot", plot)
        code, text, _ = call(*arguments)
        assert code == 0
    assert text.startswith("clean: ")
    report = json.loads(files[0].read_text())
    assert [(r["condition"], r["noise"], r["snr_db"], r["shift_ms"]) for r in report["rows"]] == [
        ("clean", None, None, 0),
        ("clean words", None, None, 0),
        ("noise", "hiss", 5, 0),
        ("noise", "roar", 5, 0),
        ("noise alone", "hiss", None, 0),
        ("noise alone", "roar", None, 0),
        ("shift", None, None, -50),
        ("shift", None, None, 0),
    ]
    assert all(r["accuracy"] == r["correct"] / r["n"] for r in report["rows"])
    assert files[1].read_bytes() == files[2].read_bytes()
    assert files[1].read_bytes().startswith(b"<?xml")
    assert call("--snrs", "--alone", 0, "--shifts", 0, "--plot", tmp_path / "c.png")[0] == 0
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "folders", "message"),
    [
        (["--shifts", 300], {}, "leaves nothing of an example"),
        (["--snrs", "nan"], {}, "finite"),
        (["--snrs", "--shifts", "--alone", 0], {}, "nothing to measure"),
        (["--snrs", "--shifts", "--plot", "a.png"], {}, "no part for noise alone"),
        (["--limit", -1], {}, "0 or more"),
        (["--plot", "a.gif"], {}, "neither .png nor .svg"),
        (["--json", "none/a.json"], {}, "does not exist"),
        ([], {"model": Path("none.tflite")}, "cannot read the model"),
        ([], {"test": Path("none")}, "does not exist"),
        ([], {"noise": Path("none")}, "does not exist"),
    ],
)
def test_bad_input_is_one_sentence(call, arguments, folders, message):
    code, _, errors = call(*arguments, **folders)
    assert code == 2
    (line,) = errors.splitlines()
    assert line.startswith("error: ")
    assert message in line


def test_a_mute_word_is_refused(call, world, tmp_path):
    for label in LABELS:
        word = "cat_" if label == "_unknown_" else ""
        silence = np.zeros(4800) if label == "up" else np.ones(4800)
        write_wav(tmp_path / label / f"{word}00000000_nohash_0.wav", silence)
    code, _, errors = call(test=tmp_path)
    assert code == 2
    assert "up/00000000_nohash_0.wav holds nothing but zeros" in errors
    assert call("--snrs", "--alone", 0, test=tmp_path)[0] == 0
