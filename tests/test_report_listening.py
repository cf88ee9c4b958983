"""The report on a model left listening: its figures, its players, its timeline in a browser."""

import base64
import io
import itertools
import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from markupsafe import Markup
from report_run import HOSTILE, Outline, finished_run, hostile_audio
from running import run_main
from tiny_run import write_wav

from kws_tf.audio import reader
from kws_tf.errors import KwsError
from kws_tf.files import write_json
from kws_tf.frontend.config import FrontEnd, LogMel
from kws_tf.listening import soak
from kws_tf.listening.rates import Rate
from kws_tf.report import charts, listening, page, timeline
from kws_tf.report.timeline import Stretch
from kws_tf.run_folder import RunFolder
from kws_tf.tflite import model as models

SCRIPTS = Path(__file__).parents[1] / "scripts"
RATE = 16000
FRONT_END = FrontEnd(log_mel=LogMel(hop_ms=25.0))
TRIGGER = {"decision_ms": 100.0, "smoothing_decisions": 2, "threshold": 0.4, "refractory_ms": 200.0}
RECORDINGS = {"one.wav": (6.0, RATE), "deep/two.flac": (5.0, 44100)}
TEXT = "say </script> & “yes”"


def sound(seconds, rate, seed):
    rng = np.random.default_rng(seed)
    moment = np.arange(round(rate * seconds)) / rate
    tone = np.sin(2 * np.pi * np.cumsum(500 + 400 * np.sin(3 * moment + seed)) / rate)
    return 0.1 * np.abs(np.sin(2 * moment)) * tone + rng.normal(0, 0.001, len(moment))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A run that was left listening to two recordings and to words; not to be changed."""
    folder = tmp_path_factory.mktemp("world")
    run = finished_run(folder / "run", hostile_audio(folder / "audio"), FRONT_END)
    manifest = json.loads(run.model_file.with_suffix(".json").read_text())
    manifest["details"] = manifest.get("details", {}) | {"trigger": TRIGGER}
    write_json(run.model_file.with_suffix(".json"), manifest)
    for seed, (name, (seconds, rate)) in enumerate(RECORDINGS.items()):
        path = folder / "others" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, sound(seconds, rate, seed), rate)
    rng = np.random.default_rng(0)
    for label in run.labels()[2:]:
        for number in range(4):
            tone = np.sin(np.arange(8000) * rng.uniform(0.1, 0.5)) * np.hanning(8000)
            write_wav(folder / "test" / label / f"{number:08x}_nohash_0.wav", 0.2 * tone)
    (folder / "texts.tsv").write_text(f"one\t{TEXT}\n", encoding="utf-8")
    places = ("--negatives", folder / "others", "--positives", folder / "test")
    places += ("--save-stream", folder / "words.wav")
    assert run_main(SCRIPTS / "soak.py", run.path, *places) == 0
    return folder


@pytest.fixture
def run(world, tmp_path):
    return RunFolder(shutil.copytree(world / "run", tmp_path / "run"))


@pytest.fixture
def undrawn(monkeypatch):
    monkeypatch.setattr(charts, "chart", lambda draw, name, alt, *size: Markup("<svg></svg>"))


@pytest.fixture(scope="module")
def built(world):
    """A page with a timeline."""
    (world / "said.txt").write_text("1.5\t2.25\tsaid\n3\t9\tlater\n")
    tables = world / "texts.tsv", world / "said.txt"
    stretch = Stretch(world / "others" / "one.wav", 1.0, 5.0, *tables)
    return page.build(RunFolder(world / "run"), stretch=stretch)


def decoded(uri):
    kind, content = uri.split(";base64,")
    assert kind == "data:audio/ogg"
    return soundfile.read(io.BytesIO(base64.b64decode(content)))


def alike(got, want):
    return len(got) == len(want) and np.corrcoef(got, want)[0, 1] > 0.95


def changed(run, change):
    """Writes ``soak.json`` anew after a change of its content."""
    result = json.loads(run.soak_file.read_text())
    change(result)
    write_json(run.soak_file, result)


# --- The section.


def test_figures_are_those_of_the_json(world, built):
    result = json.loads((world / "run" / "soak.json").read_text())
    negatives, positives = result["negatives"], result["positives"]
    texts = Outline(built).texts
    per_hour = str(Rate(len(negatives["alarms"]), negatives["hours"]))
    assert len(negatives["alarms"]) > 3
    assert per_hour.split(" ")[0] in texts
    assert any(per_hour.split(" ", 1)[1] in text for text in texts)
    assert f"{positives['found']:,} of {positives['words']:,}" in texts
    words = listening.section(RunFolder(world / "run"))["words"]
    for word, *cells in words["rows"]:
        alarms, found = negatives["by_word"][word], positives["by_word"][word]
        row = dict(zip(words["head"][1:], cells, strict=True))
        assert row["false alarms"] == str(alarms["count"])
        assert (row["found"], row["missed"]) == (str(found["found"]), str(found["missed"]))
    assert [word for word, *_ in words["rows"]] == result["labels"][2:]


def test_every_alarm_can_be_heard(world):
    shown = listening.section(RunFolder(world / "run"))
    alarms = json.loads((world / "run" / "soak.json").read_text())["negatives"]["alarms"]
    assert shown["total"] == len(shown["alarms"]) == len(alarms)
    alarms.sort(key=lambda alarm: -alarm["score"])
    for alarm, one in zip(alarms, shown["alarms"], strict=True):
        assert (one["word"], one["name"]) == (alarm["word"], alarm["name"])
        assert (one["at"], one["score"]) == (f"{alarm['seconds']:.2f} s", f"{alarm['score']:.3f}")
        whole = reader.load(world / alarm["name"])
        start = max(0, round((alarm["seconds"] - 2) * RATE))
        samples, rate = decoded(one["audio"])
        assert rate == RATE
        assert alike(samples, whole[start : round((alarm["seconds"] + 1) * RATE)])


def test_the_highest_of_many_alarms(world, undrawn, monkeypatch):
    monkeypatch.setattr(listening, "PLAYERS", 2)
    run = RunFolder(world / "run")
    alarms = json.loads(run.soak_file.read_text())["negatives"]["alarms"]
    scores = sorted((alarm["score"] for alarm in alarms), reverse=True)
    shown = listening.section(run)["alarms"]
    assert [alarm["score"] for alarm in shown] == [f"{score:.3f}" for score in scores[:2]]
    outline = Outline(page.build(run))
    assert len(outline.of("audio")) == 2
    assert any(f"of {len(alarms)} in all" in text for text in outline.texts)


def test_a_recording_that_is_gone_or_shorter_is_a_sentence(world, run, tmp_path):
    others = shutil.copytree(world / "others", tmp_path / "others")
    changed(run, lambda result: result.update(places=[str(others)]))
    (others / "one.wav").unlink()
    soundfile.write(others / "deep/two.flac", np.full(100, 0.01), 44100)
    for alarm in listening.section(run)["alarms"]:
        assert "audio" not in alarm
        gone = "no longer where it was" if "one" in alarm["name"] else "ends before the alarm"
        assert gone in alarm["gone"]
    shutil.rmtree(others)
    assert all("no longer" in alarm["gone"] for alarm in listening.section(run)["alarms"])


@pytest.mark.parametrize("part", ["negatives", "positives"])
def test_one_part_alone(run, part, undrawn):
    other = {"negatives": "positives", "positives": "negatives"}[part]

    def leave_out(result):
        del result[other]
        if part == "negatives":
            result["curve"]["words"] = 0

    changed(run, leave_out)
    shown = listening.section(run)
    assert (shown["curve"] is None) == (part == "negatives")
    assert (shown["total"] is None) == (part == "positives")
    Outline(page.build(run))


def test_not_measured_or_of_another_model(run, undrawn):
    command = f"kws-tf soak {run.path} --negatives FOLDER --positives TEST"
    changed(run, lambda result: result.update(sha256=64 * "0"))
    assert listening.section(run) == {"command": command}
    run.soak_file.unlink()
    assert command in Outline(page.build(run)).texts


def test_a_trigger_that_has_changed_since_is_told(run):
    assert "another one" not in listening.section(run)["trigger"]
    manifest = run.model_file.with_suffix(".json")
    manifest.write_text(manifest.read_text().replace('"threshold": 0.4', '"threshold": 0.6'))
    text = listening.section(run)["trigger"]
    measured, own = text.split("The model's own is another one: ")
    assert "threshold 0.4," in measured
    assert "threshold 0.6," in own


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        "3",
        "{}",
        '"count"',
        '"found"',
        '"thresholds"',
        '"seconds"',
        '"trigger"',
        "HOURS",
        "NAN",
    ],
)
def test_damage_is_one_sentence(run, content):
    text = run.soak_file.read_text()
    if content == "HOURS":
        changed(run, lambda result: result["negatives"]["alarms_per_hour"].update(hours=0))
    elif content == "NAN":
        changed(run, lambda result: result["negatives"]["alarms"][0].update(seconds=np.nan))
    elif content.startswith('"'):
        run.soak_file.write_text(text.replace(content, '"other"'))
    else:
        run.soak_file.write_text(content)
    with pytest.raises(KwsError, match=r"soak.json is damaged \(.*repeat kws-tf soak"):
        listening.section(run)


# --- The timeline's data.


def test_detections_are_those_of_soak(world):
    model = models.load(world / "run" / "model.tflite")
    for name in RECORDINGS:
        path = world / "others" / name
        alarms = soak.measure(model, soak.Plan([path])).negatives.alarms
        data = timeline.build(model, Stretch(path))
        got = [(one["label"], one["time"], one["score"]) for one in data["detections"]]
        assert got == [
            (alarm.word, pytest.approx(alarm.seconds), pytest.approx(alarm.score, abs=1e-4))
            for alarm in alarms
        ]
        assert got


def test_a_stretch_is_a_part_of_the_whole(world):
    model, path = models.load(world / "run" / "model.tflite"), world / "others" / "one.wav"
    whole = timeline.build(model, Stretch(path))
    part = timeline.build(model, Stretch(path, 2.05, 4.0))
    assert (part["start"], part["seconds"], whole["seconds"]) == (2.05, pytest.approx(1.95), 6.0)
    assert -part["hop"] < part["first"] <= 0
    offset = round((part["first"] + 2.05 - whole["first"]) / whole["hop"])
    for name in ("posteriors", "scores"):
        for got, want in zip(part[name], whole[name], strict=True):
            assert got == want[offset : offset + len(got)]
            assert 20 <= len(got) <= 21
    within = [one for one in whole["detections"] if 2.05 <= one["time"] <= 4]
    times = [one["time"] + 2.05 for one in part["detections"]]
    assert times == pytest.approx([one["time"] for one in within])
    samples, _ = decoded(part["audio"])
    assert alike(samples, reader.load(path)[round(2.05 * RATE) : 4 * RATE])


def test_the_stream_of_words_that_soak_saved(world):
    """The same detections as in the measurement, the words where they were laid."""
    run = RunFolder(world / "run")
    positives = json.loads(run.soak_file.read_text())["positives"]
    stream, table = world / "words.wav", world / "words.txt"
    length = soundfile.info(stream).duration
    assert length == pytest.approx(3600 * positives["hours"])
    data = timeline.build(models.load(run.model_file), Stretch(stream, 0, length, words=table))
    assert len(data["said"]) == positives["words"]
    assert len(data["detections"]) == positives["found"] + len(positives["alarms"])
    said = [(one["text"], round(one["start"], 3), round(one["end"], 3)) for one in data["said"]]
    for word in positives["missed"]:
        assert (word["label"], round(word["start"], 3), round(word["end"], 3)) in said
    first, second = data["said"][:2]
    middle = Stretch(stream, first["start"] + 0.01, second["start"] - 0.01, words=table)
    (one,) = timeline.build(models.load(run.model_file), middle)["said"]
    assert (one["text"], one["start"]) == (first["text"], pytest.approx(-0.01))


def test_long_spectrograms_are_several_pictures(world, monkeypatch):
    monkeypatch.setattr(timeline, "_COLUMNS", 7)
    model, path = models.load(world / "run" / "model.tflite"), world / "others" / "one.wav"
    parts = timeline.build(model, Stretch(path, 0, 3.0))["spectrogram"]
    assert len(parts) == 17
    for one, following in itertools.pairwise(parts):
        assert one["end"] == pytest.approx(following["start"])
        assert one["end"] - one["start"] == pytest.approx(7 * 0.025)


def test_no_model_to_listen_with(run, world, undrawn):
    run.model_file.unlink()
    with pytest.raises(KwsError, match="no model that could listen; run kws-tf convert"):
        page.build(run, stretch=Stretch(world / "others" / "one.wav"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--from", 1], "give --timeline as well"),
        (["--mix-down"], "give --timeline as well"),
        (["--timeline", "none.wav"], "none.wav cannot be read"),
        (["--timeline", "texts.tsv"], "texts.tsv cannot be decoded"),
        (["--timeline", "others/one.wav", "--from", -1], "--from -1 is no time"),
        (["--timeline", "others/one.wav", "--from", "nan"], "--from nan is no time"),
        (
            ["--timeline", "others/one.wav", "--from", 7],
            "beyond the end of others/one.wav, at 6.00",
        ),
        (["--timeline", "others/one.wav", "--to", 7], "--to 7 is beyond the end"),
        (["--timeline", "others/one.wav", "--to", "nan"], "--to nan is not after"),
        (["--timeline", "others/one.wav", "--from", 2, "--to", 2], "--to 2 is not after --from 2"),
        (["--timeline", "others/one.wav", "--to", 601], "more than the 600 s"),
        (["--timeline", "others/deep/two.flac", "--transcripts", "texts.tsv"], "no text for two"),
        (["--timeline", "stereo.wav"], "give --mix-down"),
        (["--words", "words.txt"], "give --timeline as well"),
        (["--timeline", "others/one.wav", "--words", "none.txt"], "none.txt cannot be read"),
        (
            ["--timeline", "others/one.wav", "--words", "texts.tsv"],
            "line 1 of texts.tsv is no word",
        ),
    ],
)
def test_bad_stretch_is_one_sentence(world, run, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(world)
    soundfile.write(world / "stereo.wav", np.zeros((RATE, 2)), RATE)
    monkeypatch.setattr(page, "_of_training", lambda *_: {})
    monkeypatch.setattr(page, "_of_measurements", lambda *_: {})
    code = run_main(SCRIPTS / "report.py", run.path, *arguments)
    errors = capsys.readouterr().err.splitlines()
    assert code == 2
    assert errors[-1].startswith("error: ") and message in errors[-1]
    assert not (run.path / "report.html").exists()


# --- The page, as text and in a browser.


def test_page_stays_one_file_with_one_script(built):
    outline = Outline(built)
    assert len(set(outline.ids)) == len(outline.ids)
    scripts = outline.of("script")
    assert scripts == [{"type": "application/json", "id": "timeline-data"}, {}]
    assert outline.of("meta")[2]["content"].count("script-src 'sha256-") == 1
    assert all(audio["src"].startswith("data:audio/ogg;base64,") for audio in outline.of("audio"))
    assert all(audio["aria-label"] for audio in outline.of("audio"))
    assert any(TEXT in text for text in outline.texts)


VIEW = "document.querySelector('#timeline span').textContent"
CANVAS = "document.querySelector('#timeline canvas')"
#: A digest of what is drawn, and how many colours it has.
DRAWN = f"""(() => {{
  const canvas = {CANVAS}, copy = new OffscreenCanvas(canvas.width, canvas.height);
  const paint = copy.getContext('2d', {{willReadFrequently: true}});
  paint.drawImage(canvas, 0, 0);
  const all = new Uint32Array(paint.getImageData(0, 0, copy.width, copy.height).data.buffer);
  return [new Set(all).size, all.reduce((sum, value, k) => (sum + value * (k % 997)) % 1e9, 0)];
}})()"""


def key(browser, name):
    browser.evaluate(f"""{CANVAS}.dispatchEvent(new KeyboardEvent('keydown',
        {{key: '{name}', bubbles: true}}))""")


def told(browser):
    return browser.evaluate(f"{CANVAS}.getAttribute('aria-valuetext')")


@pytest.mark.parametrize("size", [(1440, 900), (390, 844)], ids=["desktop", "phone"])
def test_timeline_in_chromium(world, built, browser, tmp_path, size):
    file = tmp_path / "report.html"
    file.write_text(built, encoding="utf-8")
    browser.events.clear()
    browser.open(file, *size)
    assert browser.evaluate("document.documentElement.scrollWidth") <= size[0]
    whole = browser.evaluate(DRAWN)
    assert whole[0] > 50
    assert browser.evaluate(VIEW) == "1.0 s to 5.0 s"

    # Zoom and pan by buttons, keys and the wheel.
    browser.evaluate("document.querySelector('#timeline [aria-label=\"Zoom in\"]').click()")
    assert browser.evaluate(VIEW) == "1.0 s to 3.0 s"
    assert browser.evaluate(DRAWN) != whole
    key(browser, "PageDown")
    assert browser.evaluate(VIEW) == "2.0 s to 4.0 s"
    wheel = (
        "new WheelEvent('wheel', {ctrlKey: true, deltaY: -200, cancelable: true, bubbles: true})"
    )
    browser.evaluate(f"{CANVAS}.dispatchEvent({wheel})")
    from_, to = (float(part.split(" ")[0]) for part in browser.evaluate(VIEW).split(" to "))
    assert to - from_ == pytest.approx(1.0, abs=0.11)
    pointer = """{clientX: box.right - 1, clientY: box.top + 50, bubbles: true}"""
    hovered = f"""(() => {{ const box = {CANVAS}.getBoundingClientRect();
        {CANVAS}.dispatchEvent(new PointerEvent('pointermove', {pointer}));
        return document.querySelector('#timeline canvas + div').textContent; }})()"""
    assert float(browser.evaluate(hovered).split(" s: ")[0]) == pytest.approx(to, abs=0.06)
    browser.evaluate(f"{CANVAS}.dispatchEvent(new PointerEvent('pointerleave'))")
    key(browser, "0")
    assert browser.evaluate(DRAWN) == whole

    # The cursor moves by keys, and with the sound; what it stands on is read aloud.
    assert told(browser).startswith("1.00 s: ")
    key(browser, "ArrowRight")
    assert told(browser).startswith("1.10 s: ")
    assert browser.evaluate(DRAWN) != whole
    browser.evaluate("document.querySelector('#timeline audio').currentTime = 2.5")
    deadline = time.monotonic() + 20
    while not told(browser).startswith("3.50 s: ") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert told(browser).startswith("3.50 s: ")
    assert "“later”" in told(browser)
    detection = "document.querySelector('#timeline > div:last-child button')"
    browser.evaluate(f"{detection}.click()")
    time_of = browser.evaluate(f"{detection}.textContent").split(" at ")[-1]
    assert told(browser).startswith(f"{time_of}: ")
    assert HOSTILE in browser.evaluate("document.querySelector('#timeline').textContent")

    kinds = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
    assert [event for event in browser.events if event[0] in kinds] == []
    assert "Page.javascriptDialogOpening" not in dict(browser.events)
    requests = [p["request"]["url"] for m, p in browser.events if m == "Network.requestWillBeSent"]
    assert [url for url in requests if not url.startswith("data:")] == [file.as_uri()]


def test_timeline_takes_its_colours_from_the_page(built, browser, tmp_path):
    file = tmp_path / "report.html"
    file.write_text(built, encoding="utf-8")
    drawn = set()
    for scheme in ("light", "dark"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.call("Emulation.setEmulatedMedia", features=features)
        browser.open(file, 1440, 900)
        drawn.add(tuple(browser.evaluate(DRAWN)))
    assert len(drawn) == 2
