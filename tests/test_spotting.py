"""Spotting in long recordings: read block by block, decided as if it were whole."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.lib.stride_tricks import sliding_window_view
from running import run_main

from kws_tf.audio import reader
from kws_tf.evaluation.spotting import spot
from kws_tf.frontend.features import features
from kws_tf.labels import KEYWORDS
from kws_tf.tflite import interpreter
from kws_tf.tflite import manifest as manifests
from kws_tf.tflite import model as models
from kws_tf.tflite.trigger import Trigger

ROOT = Path(__file__).parents[1]
MODEL = ROOT / "tflite_models" / "kws-118-full.tflite"
EVERYTHING = {"threshold": 0.0, "refractory_ms": 0}  # each decision is a detection


@pytest.fixture(scope="module")
def manifest():
    return models.load(MODEL).manifest


def sound(seconds, seed=0):
    """Noise and chirps at levels that change."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(16000 * seconds)) / 16000
    chirp = np.sin(2 * np.pi * (300 * time + 150 * time**2 % 4000))
    return 0.2 * np.abs(np.sin(time)) * chirp + rng.normal(0, 0.02, len(time)) * (time % 2 > 1)


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "recording.wav"
    soundfile.write(path, sound(4.3), 16000, "PCM_16")
    return path


@pytest.mark.parametrize("rate", [16000, 44100])
def test_detections_are_those_of_the_whole(manifest, tmp_path, monkeypatch, rate):
    path = tmp_path / "recording.wav"
    soundfile.write(path, sound(4.3 * rate / 16000), rate, "PCM_16")
    samples = reader.load(path)
    monkeypatch.setattr(reader, "_BLOCK", 5000)
    spotted = spot(MODEL, path, **EVERYTHING)
    assert spotted.seconds == len(samples) / 16000 == pytest.approx(4.3, abs=1e-4)

    # The whole at once: a window of silence before and after, a decision every 200 ms.
    heard = np.rint(32768 * samples) / np.float32(32768)  # 16 bits, as the device's
    values = features(np.pad(heard, 16000), manifest.front_end).numpy()
    windows = sliding_window_view(manifest.quantize(values), 49, axis=0)[::10]
    scores = interpreter.run(MODEL.read_bytes(), windows.transpose(0, 2, 1)).outputs[0]
    expected = [
        (manifest.labels[label], min(decision * 0.2 - 0.01, spotted.seconds), score)
        for decision, label, score in Trigger(**EVERYTHING).detections(
            scores, manifest.labels, manifest.front_end.log_mel
        )
    ]
    assert len(expected) == len(windows) - 2
    for row, (word, end, score) in zip(spotted.rows, expected, strict=True):
        assert row == (word, pytest.approx(end), pytest.approx(score, abs=1e-6))


@pytest.mark.parametrize("samples", [np.zeros(32000), np.zeros(1), np.ones(8000)])
def test_what_holds_nothing(tmp_path, samples):
    soundfile.write(tmp_path / "nothing.flac", samples, 16000)
    spotted = spot(MODEL, tmp_path / "nothing.flac")
    assert spotted.rows == ()
    assert spotted.text().endswith(f"0 detections in {len(samples) / 16000:.2f} s")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input_scale": 0.5}, "of scale 0.5 and zero point 0; convert the run anew"),
        ({"labels": [*"abcdefghijklm"]}, "labels"),
    ],
)
def test_the_checks_of_evaluation(recording, tmp_path, capsys, change, message):
    model = shutil.copy(MODEL, tmp_path / "model.tflite")
    manifest = json.loads(MODEL.with_suffix(".json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(manifest | change))
    assert run_main(ROOT / "scripts" / "spot.py", model, recording) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: ")
    assert message in line


def test_script(recording, tmp_path, capsys):
    script, target = ROOT / "scripts" / "spot.py", tmp_path / "detections.json"
    assert run_main(script, MODEL, recording, "--threshold", 0, "--json", target) == 0
    written = json.loads(target.read_text())
    assert capsys.readouterr().out.count("%") == len(written["rows"]) > 0
    assert written["trigger"]["threshold"] == 0

    # Thresholds by word hold, unless the command line gives one for all words.
    trigger = Trigger(threshold=0.0, thresholds=dict.fromkeys(KEYWORDS, 1.0))
    model = shutil.copy(MODEL, tmp_path / "model.tflite")
    manifests.load(MODEL).with_trigger(trigger).save(model)
    assert spot(model, recording, refractory_ms=0).rows == ()
    assert run_main(script, model, recording, "--threshold", 0, "--json", target) == 0
    assert json.loads(target.read_text())["rows"] == written["rows"]

    recording.write_bytes(recording.read_bytes()[:-1000])
    assert run_main(script, MODEL, recording) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {recording} is truncated: its header promises")


@pytest.mark.slow
def test_half_an_hour_takes_less_than_600_mb(tmp_path):
    path = tmp_path / "long.wav"
    minute = sound(60)
    with soundfile.SoundFile(path, "w", 16000, 1, "PCM_16") as file:
        for _ in range(30):
            file.write(minute)
    # The largest memory so far; the kernel's ru_maxrss would count this process as well.
    code = (
        "import runpy, sys\n"
        f"sys.argv = {[str(ROOT / 'scripts' / 'spot.py'), str(MODEL), str(path)]}\n"
        "try:\n"
        "    runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "finally:\n"
        "    print(open('/proc/self/status').read())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert "detections in 1800.00 s" in done.stdout, done.stderr
    assert int(re.search(r"VmHWM:\s+(\d+) kB", done.stdout)[1]) < 600e3
