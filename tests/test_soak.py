"""Left listening: what is counted, what is left out, what is written, what is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from models import classifier_file, random_model, save_model
from running import run_main
from tiny_run import write_wav

from kws_tf.audio import reader
from kws_tf.evaluation.spotting import spot
from kws_tf.files import write_json
from kws_tf.frontend.config import FrontEnd
from kws_tf.listening import recordings, soak, transcripts
from kws_tf.progress import note
from kws_tf.tflite import model as models

SCRIPT = Path(__file__).parents[1] / "scripts" / "soak.py"
LABELS = ("_silence_", "_unknown_", "up", "down")
FRONT_END = FrontEnd(example_ms=300.0).normalised([-8.0] * 40, [3.0] * 40)
RATE = 16000
TRIGGER = {"decision_ms": 60.0, "smoothing_decisions": 2, "threshold": 0.3, "refractory_ms": 100.0}
NEGATIVES = {
    "one.wav": (3.0, RATE),
    "deep/two.flac": (2.5, 44100),
    "deep/er/three.ogg": (4.0, RATE),
}


def sound(seconds, rate, seed):
    rng = np.random.default_rng(seed)
    time = np.arange(round(rate * seconds)) / rate
    tone = np.sin(2 * np.pi * np.cumsum(500 + 400 * np.sin(3 * time + seed)) / rate)
    return 0.1 * np.abs(np.sin(2 * time)) * tone + rng.normal(0, 0.001, len(time))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A model, three recordings in folders within folders, a test set, a background."""
    folder = tmp_path_factory.mktemp("soak")
    random = random_model(0, units=12, features=40, classes=len(LABELS))
    content = classifier_file(random, FRONT_END.frames)
    details = {"details": {"trigger": TRIGGER}}
    scale = random.input.scale
    save_model(folder / "run/model.tflite", content, LABELS, FRONT_END, scale, 12, **details)
    for seed, (name, (seconds, rate)) in enumerate(NEGATIVES.items()):
        path = folder / "others" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, sound(seconds, rate, seed), rate)
    (folder / "others" / "readme.pdf").write_text("no recording")
    (folder / "texts.tsv").write_text("one\tIT WAS\ntwo\tSIT DOWN THERE\nthree\tUPON\n")
    rng = np.random.default_rng(0)
    for label in LABELS[2:]:
        for number in range(4):
            tone = np.sin(np.arange(4800) * rng.uniform(0.1, 0.5)) * np.hanning(4800)
            samples = 0.2 * tone + rng.normal(0, 0.001, 4800)
            write_wav(folder / "test" / label / f"{number:08x}_nohash_0.wav", samples)
    write_wav(folder / "below" / "hiss.wav", rng.normal(0, 0.05, 50000))
    return folder


@pytest.fixture
def call(world, capsys):
    """Runs scripts/soak.py; returns exit code, output and errors."""

    def call(*arguments, model=world / "run" / "model.tflite"):
        return run_main(SCRIPT, model, *arguments), *capsys.readouterr()

    return call


def measured(world, **plan):
    model = models.load(world / "run" / "model.tflite")
    return soak.measure(model, soak.Plan(runtime="tflite", **plan))


# --- Negatives.


def test_alarms_are_what_spot_detects_in_each_recording(world):
    result = measured(world, negatives=[world / "others"]).negatives
    expected, seconds = [], 0.0
    for name in sorted(NEGATIVES, key=lambda name: name.split("/")):
        spotted = spot(world / "run" / "model.tflite", world / "others" / name)
        expected += [(f"others/{name}", *row) for row in spotted.rows]
        seconds += spotted.seconds
    got = [(a.name, a.word, a.seconds, a.score) for a in result.alarms]
    assert sorted(got) == sorted(expected)
    assert len({name for name, *_ in got}) == 3
    assert result.hours == pytest.approx(seconds / 3600)
    assert sum(rate.count for rate in result.by_word().values()) == len(got)


def test_files_by_themselves_and_several_folders(world):
    places = [world / "others" / "one.wav", world / "others" / "deep"]
    found = recordings.find(places)
    assert list(found.paths) == ["one.wav", "deep/er/three.ogg", "deep/two.flac"]


def test_recordings_of_the_same_name_are_all_heard(world, tmp_path):
    for part in ("a", "b"):
        (tmp_path / part / "speech").mkdir(parents=True)
        shutil.copy(world / "others" / "one.wav", tmp_path / part / "speech" / "1.wav")
    places = [tmp_path / "a" / "speech", tmp_path / "b" / "speech", tmp_path / "a" / "speech"]
    assert list(recordings.find(places).paths) == ["speech/1.wav", "b/speech/1.wav"]


def test_transcripts_leave_out_and_say_so(world, call, tmp_path):
    target = tmp_path / "a.json"
    arguments = ("--negatives", world / "others", "--transcripts", world / "texts.tsv")
    note.cache_clear()  # it tells once a process
    code, text, errors = call(*arguments, "--json", target)
    assert code == 0
    assert "2 of 3 recordings; 1 of 0.0 minutes left out, as they hold a keyword" in text
    assert "files that are no recordings by their names (1, such as readme.pdf)" in errors
    part = json.loads(target.read_text())["negatives"]
    assert part["left_out"] == {"others/deep/two.flac": "down"}
    assert part["left_out_seconds"] == 2.5
    assert (part["recordings"], part["of"]) == (2, 3)
    assert part["hours"] == pytest.approx(7 / 3600, rel=1e-3)


# --- Transcripts.


def test_sound_alikes_and_spellings_are_found():
    texts = {
        "a": "I KNOW THAT",
        "b": "nothing at all",
        "c": "WRITE it Down",
        "d": "Yes, sir.",
        "e": "UPON MY WORD",
        "f": "turn the LIGHTS, on",
        "g": "lights are on",
        "h": "don’t go-between",
    }
    found = transcripts.keywords_in(texts, ["no", "right", "yes", "up", "lights on"])
    assert found == {"a": "know", "c": "write", "d": "yes", "f": "lights on"}


def test_words_that_cannot_be_spoken_count_as_spelled():
    found = transcripts.keywords_in({"a": "Да нет", "b": "нет"}, ["да", "no"])
    assert found == {"a": "да"}


# --- Positives.


def test_every_word_once_and_the_same_from_a_seed(world, call, tmp_path):
    files = [tmp_path / name for name in ("a.json", "b.json", "c.json")]
    for file, seed in zip(files, (1, 1, 2), strict=True):
        code, text, _ = call("--positives", world / "test", "--seed", seed, "--json", file)
        assert code == 0
    assert "positives: 8 of 8 words in 0.3 minutes of quiet noise of -70 dBFS" in text
    one, same, other = (json.loads(file.read_text()) for file in files)
    assert one == same != other
    part = one["positives"]
    assert (part["words"], part["of"], part["seed"], part["snr_db"]) == (8, 8, 1, None)
    for row in part["by_word"].values():
        assert row["found"] + row["missed"] == 4
    assert part["found"] + len(part["missed"]) == 8
    assert one["curve"]["words"] == 8


def test_a_background_at_a_ratio(world, call, tmp_path):
    target = tmp_path / "a.json"
    arguments = ("--positives", world / "test", "--background", world / "below", "--limit", 2)
    code, text, _ = call(*arguments, "--snr-db", 0, 5, "--json", target)
    assert code == 0
    assert "4 of 8 words" in text and "a background at 0 to 5 dB (1 of 1 recordings)" in text
    part = json.loads(target.read_text())["positives"]
    assert (part["words"], part["of"], part["snr_db"], part["quiet_dbfs"]) == (4, 8, [0, 5], None)
    assert part["background"]["recordings"] == 1


# --- Both, and what is written.


def test_all_that_can_be_asked_for(world, call, tmp_path):
    files = [tmp_path / name for name in ("a.json", "a.svg", "b.svg")]
    for number, plot in enumerate(files[1:]):
        folder = tmp_path / f"alarms{number}"
        arguments = ("--negatives", world / "others", "--positives", world / "test")
        arguments += ("--json", files[0], "--plot", plot, "--save-alarms", folder)
        code, text, _ = call(*arguments, "--threshold", 0.4, "--refractory-ms", 300)
        assert code == 0
    report = json.loads(files[0].read_text())
    model = models.load(world / "run" / "model.tflite")
    assert report["sha256"] == model.sha256
    assert report["runtime"] == ("c" if any(map(shutil.which, ("cc", "gcc"))) else "tflite")
    assert report["trigger"]["threshold"] == 0.4
    assert str(world) not in files[0].read_text()  # paths of this machine
    alarms = report["negatives"]["alarms"]
    # The curve has the same figures as the trigger's own threshold.
    curve = report["curve"]
    place = np.searchsorted(curve["thresholds"], 0.4)
    assert curve["alarms"][place] == len(alarms) > 3
    assert curve["found"][place] == report["positives"]["found"]
    assert curve["hours"] == report["negatives"]["hours"]
    assert files[1].read_bytes() == files[2].read_bytes()
    assert text.splitlines()[-1] == f"{len(alarms)} alarms written to {folder}"
    cut = sorted(folder.iterdir())
    assert len(cut) == len(alarms)
    for path, alarm in zip(cut, alarms, strict=True):
        name = Path(alarm["name"]).stem
        for part in (alarm["word"], f"{alarm['score']:.3f}", name, f"{alarm['seconds']:.2f}s"):
            assert f"_{part}" in path.stem
        whole = reader.load(world / alarm["name"])
        start = max(0, round((alarm["seconds"] - 1.3) * RATE))
        want = whole[start : round((alarm["seconds"] + 1) * RATE)]
        got = reader.load(path)
        assert len(got) == len(want)
        np.testing.assert_allclose(got, want, atol=1 / 32768)


def test_a_run_keeps_the_result(world, call, tmp_path):
    run = shutil.copytree(world / "run", tmp_path / "run")
    write_json(run / "settings.json", {})
    code, *_ = call("--negatives", world / "others", model=run)
    assert code == 0
    assert json.loads((run / "soak.json").read_text())["negatives"]["recordings"] == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to listen to"),
        (["--negatives", "none"], "does not exist"),
        (["--negatives", "empty"], "has no recordings"),
        (["--negatives", "broken"], "cut.wav is truncated"),
        (["--negatives", "others", "--transcripts", "none.tsv"], "none.tsv cannot be read"),
        (["--negatives", "others", "--transcripts", "untabbed.tsv"], "line 2 of"),
        (["--negatives", "others", "--transcripts", "twice.tsv"], "another text for one"),
        (["--negatives", "below", "--transcripts", "texts.tsv"], "name none of the recordings"),
        (["--negatives", "others/deep/two.flac", "--transcripts", "texts.tsv"], "are left out"),
        (["--negatives", "others", "--save-alarms", "below"], "has something in it"),
        (["--negatives", "others", "--save-alarms", "none/new"], "does not exist"),
        (["--negatives", "others", "--threshold", "2"], "threshold is 2.0"),
        (["--negatives", "others", "--plot", "a.png"], "give --positives"),
        (["--negatives", "others", "--background", "below"], "no words to run under"),
        (["--positives", "none"], "the folder none does not exist"),
        (["--positives", "below"], "no folder for the class 'up'"),
        (["--positives", "test", "--snr-db", "1", "2"], "needs a background"),
        (["--positives", "test", "--background", "below", "--snr-db", "2", "1"], "swap them"),
        (["--positives", "test", "--background", "below", "--snr-db", "2", "nan"], "finite"),
        (["--positives", "test", "--save-alarms", "new"], "give --negatives"),
        (["--positives", "test", "--transcripts", "texts.tsv"], "give some as well"),
        (["--positives", "test", "--seed", "-1"], "0 or more"),
        (["--positives", "test", "--plot", "a.gif"], "neither .png nor .svg"),
        (["--positives", "test", "--json", "none/a.json"], "does not exist"),
        (["--negatives", "others", "--save-stream", "a.wav"], "give --positives"),
        (["--positives", "test", "--save-stream", "a.flac"], "end in .wav"),
        (["--positives", "test", "--save-stream", "none/a.wav"], "does not exist"),
    ],
)
def test_bad_input_is_one_sentence(world, call, monkeypatch, arguments, message):
    monkeypatch.chdir(world)
    (world / "empty").mkdir(exist_ok=True)
    (world / "broken").mkdir(exist_ok=True)
    whole = (world / "others" / "one.wav").read_bytes()
    (world / "broken" / "cut.wav").write_bytes(whole[:-1000])
    (world / "untabbed.tsv").write_text("one\ta\ntwo b\n")
    (world / "twice.tsv").write_text("one\ta\none\tb\n")
    code, _, errors = call(*arguments)
    assert code == 2
    line = errors.splitlines()[-1]
    assert line.startswith("error: ")
    assert message in line
