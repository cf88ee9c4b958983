"""The benchmarks run, tiny; their figures are made as they say."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from models import classifier_file, random_model
from running import run_main

from kws_tf.frontend.config import FrontEnd
from kws_tf.tflite.manifest import Manifest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
NAMES = sorted(path.name for path in BENCHMARKS.glob("[!_]*.py"))


@pytest.fixture(autouse=True)
def folder_on_path(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)


@pytest.fixture
def call(capsys):
    """Runs a benchmark in this process and returns exit code, output and errors."""

    def call(name, *arguments):
        code = run_main(BENCHMARKS / f"{name}.py", *arguments)
        return code, *capsys.readouterr()

    return call


@pytest.fixture
def rows(call, tmp_path):
    """Runs a benchmark once and returns the rows of its JSON by name."""

    def rows(name, *arguments):
        file = tmp_path / "figures.json"
        code, text, _ = call(name, *arguments, "--repeats", 1, "--json", file)
        assert code == 0
        report = json.loads(file.read_text())
        assert report["machine"]["cores"] >= 1
        for row in report["rows"]:
            assert row["name"] in text
            assert row["median"] == row["values"][0] > 0
            assert (row["holds"] is None) == (not row["bar"])
        assert sum(row["ratio"] is None for row in report["rows"]) == 1
        return {row["name"]: row for row in report["rows"]}

    return rows


def test_every_help_is_shown_without_tensorflow():
    code = f"""
import contextlib, io, runpy, sys
sys.path.insert(0, {str(BENCHMARKS)!r})
for name in {NAMES!r}:
    sys.argv = [name, "--help"]
    with contextlib.redirect_stdout(io.StringIO()) as text:
        try:
            runpy.run_path({str(BENCHMARKS)!r} + "/" + name, run_name="__main__")
        except SystemExit as end:
            assert end.code == 0, name
    assert text.getvalue().startswith("usage:"), name
assert "tensorflow" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_interleaved_rounds_in_turn_after_a_warm_up():
    import _measure

    called = []

    def candidate(name, seconds):
        def run():
            called.append(name)
            return next(seconds)

        return run

    a, b = iter([9.0, 1.0, 2.0, 4.0]), iter([9.0, 4.0, 4.0, 4.0])
    times = _measure.interleave({"a": candidate("a", a), "b": candidate("b", b)}, 3)
    assert called == ["a", "b", "a", "b", "b", "a", "a", "b"]
    assert times == {"a": (1.0, 2.0, 4.0), "b": (4.0, 4.0, 4.0)}
    assert _measure.median_ratio(times["a"], times["b"]) == 0.5


def test_training_step(rows):
    found = rows("training_step", "--units", 8, "--batch-size", 4, "--steps", 1)
    plain, quantized = found["8 units, plain LSTM"], found["8 units, quantized, tflite"]
    assert plain["unit"] == "examples/s"
    assert quantized["ratio"] == pytest.approx(quantized["median"] / plain["median"])


def test_input_pipeline(rows):
    sizes = ("--units", 4, "--batch-size", 4, "--examples", 40, "--steps", 2, "--settle", 1)
    found = rows("input_pipeline", "--phases", "float", *sizes)
    fixed = found.pop("4 units, float, one batch repeated")
    again = "12 of 40 epochs, the rest again"
    kinds = {"records", "audio", "made before", f"records, {again}", f"audio, {again}"}
    assert {f"4 units, float, {kind}" for kind in kinds} == set(found)
    made, repeated = (
        found[f"4 units, float, {name}"]["median"] for name in ("audio", "made before")
    )
    assert found[f"4 units, float, audio, {again}"]["median"] == pytest.approx(
        0.3 * made + 0.7 * repeated
    )
    for row in found.values():
        assert row["ratio"] == pytest.approx(1 - fixed["median"] / row["median"])
        assert row["holds"] == (row["ratio"] < 0.2)


def test_front_end(call, rows):
    found = rows("front_end", "--examples", 2)
    assert set(found) == {"tf.signal, plainly", "kws_tf.frontend"}
    _, text, _ = call("front_end", "--examples", 2, "--repeats", 1)
    difference = float(text.split("difference between the two:")[1].split()[0])
    assert difference < 1e-4


def test_start_up(rows, tmp_path):
    slow = tmp_path / "slow.py"
    slow.write_text("import time\ntime.sleep(1.1)\nimport multiprocessing.pool, json.tool")
    found = rows("start_up", BENCHMARKS.parent / "scripts" / "evaluate.py", slow)
    slow_row = found.pop(f"{tmp_path.name}/slow.py")
    assert slow_row["median"] > 1100
    assert not slow_row["holds"]
    assert slow_row["ratio"] == pytest.approx(
        slow_row["median"] / found["python -c pass"]["median"]
    )
    report = json.loads((tmp_path / "figures.json").read_text())
    assert "multiprocessing.pool" in report["slowest_imports"][slow_row["name"]]


def test_interpreter(rows, tmp_path):
    model = random_model(0, units=4, features=40, classes=3)
    front_end = FrontEnd(example_ms=110.0).normalised([0.0] * 40, [1.0] * 40)
    content = classifier_file(model, front_end.frames)
    (tmp_path / "tiny.tflite").write_bytes(content)
    Manifest(
        labels=("_silence_", "_unknown_", "up"),
        front_end=front_end,
        input_scale=float(model.input.scale),
        input_bits=8,
        hidden_units=4,
        weight_bits=8,
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
    ).save(tmp_path / "tiny.tflite")
    found = rows("interpreter", tmp_path / "tiny.tflite", "--examples", 1)
    titles = ("float, TFLite", "int8, TFLite", "int8, TFLite Micro", "int8, the chip's C")
    assert set(found) == {f"tiny, {title}" for title in titles}
    assert all(row["unit"] == "us/example" for row in found.values())


@pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")
def test_soak(rows):
    found = rows("soak", "--seconds", 3)
    assert set(found) == {"window by window, C, one core", "soak, C", "soak, TFLite"}
    assert found["soak, C"]["ratio"] > 0


def test_bad_input_is_one_sentence(call, tmp_path):
    for arguments in (
        ("start_up", "--json", tmp_path / "none" / "a.json"),
        ("interpreter", tmp_path / "none.tflite"),
        ("input_pipeline", "--data-dir", tmp_path / "none"),
    ):
        code, _, errors = call(*arguments)
        assert code == 2
        (line,) = errors.splitlines()
        assert line.startswith("error: ")
