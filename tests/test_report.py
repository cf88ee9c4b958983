"""The report: what it shows of a run, what it refuses, and how it looks in a browser."""

import hashlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import Markup
from report_run import FRONT_END, HOSTILE, Outline, finished_run, hostile_audio
from running import run_main
from tiny_run import AUGMENTATION, TRAIN, UNKNOWN_WORD, write_wav

from kws_tf.conversion.convert import convert_run
from kws_tf.errors import KwsError
from kws_tf.evaluation import evaluate, labelled, metrics, verify
from kws_tf.evaluation.labelled import LabelledFeatures
from kws_tf.files import write_json
from kws_tf.models import spotter
from kws_tf.models.building import build_model, save_weights
from kws_tf.models.computing import compute
from kws_tf.report import charts, classes, exactness, history, measured, page, signals
from kws_tf.report.decisions import Decisions
from kws_tf.run_folder import RunFolder
from kws_tf.training import loop

SCRIPTS = Path(__file__).parents[1] / "scripts"
SECTIONS = (
    *("listening", "learning", "confusion", "classes", "clips", "weights", "activations"),
    "exactness",
)


@pytest.fixture(scope="module")
def audio(tmp_path_factory):
    return hostile_audio(tmp_path_factory.mktemp("data") / "audio")


@pytest.fixture(scope="module")
def original(audio, tmp_path_factory):
    """A finished run, not to be changed."""
    return finished_run(tmp_path_factory.mktemp("runs") / "run", audio)


@pytest.fixture(scope="module")
def html(original):
    return page.build(original)


@pytest.fixture
def run(original, tmp_path):
    return RunFolder(shutil.copytree(original.path, tmp_path / "run"))


@pytest.fixture
def report(capsys):
    """Runs scripts/report.py and returns exit code, output and errors."""

    def report(*arguments):
        return run_main(SCRIPTS / "report.py", *arguments), *capsys.readouterr()

    return report


@pytest.fixture
def undrawn(monkeypatch):
    """Leaves charts empty, which take most of a page's time, where something else is tested."""

    def chart(draw, name, alt, *size):
        return Markup('<svg role="img" aria-label="{}"></svg>').format(alt)

    monkeypatch.setattr(charts, "chart", chart)


@pytest.fixture(scope="module")
def outline(html):
    return Outline(html)


# --- The page.


def test_has_all_sections_and_unique_ids(outline):
    assert [attributes["id"] for attributes in outline.of("section")] == list(SECTIONS)
    assert len(set(outline.ids)) == len(outline.ids)
    links = [attributes["href"] for attributes in outline.of("a")]
    assert links == [f"#{name}" for name in SECTIONS]


def test_needs_nothing_from_elsewhere(html, outline):
    assert len(html) < 3e6
    assert not {"script", "link", "iframe", "object", "base"} & set(outline.tags)
    policy = outline.of("meta")[2]["content"]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:"
    assert all(image["src"].startswith("data:image/png;base64,") for image in outline.of("img"))
    # Nothing but the names of the SVG vocabularies.
    assert set(re.findall(r"https?://[^\"'\s<)]+", html)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert set(re.findall(r"url\(([^)]{2})", html)) == {"#p"}


def test_everything_drawn_has_a_text(outline):
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in outline.of("svg"))
    assert all(image["alt"] for image in outline.of("img"))
    # Two learning curves; clips in 7 groups; 9 weights, 7 activations.
    assert len(outline.of("svg")) == 2 + 7 + 9 + 7


def test_words_are_text(outline):
    assert HOSTILE in outline.texts
    assert not any("onerror" in attributes for _, attributes in outline.attributes)


def test_shows_the_runs_figures(original, outline):
    proof = json.loads((original.path / "verify.json").read_text())
    assert len(proof["correct"]) == 4
    for right in proof["correct"].values():
        assert f"{right} of 10, validation" in outline.texts
        assert f"{10 * right:.2f} %" in outline.texts
    assert f"{original.model_file.stat().st_size:,}" in outline.texts
    assert f"{proof['arena_bytes']['total']:,}" in outline.texts
    for check in proof["checks"]:
        assert check["text"] in outline.texts


def test_matrix_and_history_are_the_runs(original, html, outline):
    examples = labelled.of_run(original)
    subject = evaluate.open_subject(original.path, "tflite", "quantized")
    counted = evaluate.evaluate(subject, examples).metrics
    np.testing.assert_array_equal(matrix_of(html), counted.confusion)
    best = max(history.load(original)[2:], key=lambda row: row["val_accuracy"])
    kept = f"{100 * best['val_accuracy']:.2f} % in quantized epoch {best['epoch'] + 1}"
    assert any(text.startswith(kept) for text in outline.texts)


def matrix_of(html):
    matrix = html[html.index('<table class="matrix">') :]
    cells = re.findall(r"<td[^>]*>([\d·]+)</td>", matrix[: matrix.index("</table>")])
    return np.array([int(cell) if cell != "·" else 0 for cell in cells]).reshape(4, 4)


@pytest.mark.slow
def test_trained_converted_and_verified_run(audio, original, tmp_path):
    data = original.data_settings()
    run = loop.train(tmp_path / "run", audio, TRAIN, data, AUGMENTATION, verbose=0)
    convert_run(run, None)
    proof = verify.verify(run, labelled.of_run(run))
    write_json(run.path / "verify.json", proof.to_json())
    text = page.build(run)
    right = proof.to_json()["correct"]["TFLite, default kernels"]
    assert (matrix_of(text).sum(), np.trace(matrix_of(text))) == (10, right)
    texts = Outline(text).texts
    assert f"{right} of 10, validation" in texts
    assert {check.text for check in proof.checks} <= set(texts)


# --- What is missing is named with the command that makes it; stale figures are not shown.


def figures_of(run):
    figures = measured.headline(run, measured.read_proof(run))
    return {f["title"]: f.get("text") or f["command"] for f in figures}


def evaluated(file, split="test"):
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return {"n": 77, "correct": 33, "split": split, "sha256": digest}


def test_a_proof_of_version_0_1_is_read(run):
    file = run.path / "verify.json"
    now = measured.read_proof(run)
    file.write_text(file.read_text().replace('"examples"', '"clips"'))
    assert measured.read_proof(run) == now
    assert now["examples"] == 10


def test_proof_of_another_model_is_left_out(run):
    proof = json.loads((run.path / "verify.json").read_text())
    proof["tensors"][0][3] = "0.5"
    write_json(run.path / "verify.json", proof)
    assert measured.read_proof(run) is None
    assert figures_of(run)["arena"] == f"kws-tf evaluate {run.path} --runtime tflm"


def test_evaluation_of_another_model_is_left_out(run):
    (run.path / "verify.json").unlink()
    entry = evaluated(run.model_file)
    write_json(run.accuracy_file, {"tflite": entry, "tflm": entry | {"sha256": 64 * "0"}})
    figures = figures_of(run)
    assert figures["TFLite int8"] == "33 of 77, test"
    assert figures["TFLM int8"] == f"kws-tf evaluate {run.path} --runtime tflm"


def test_test_set_goes_before_validation(run):
    entries = {
        "tflite": evaluated(run.model_file),
        "tflite-validation": evaluated(run.model_file, "validation"),
        "tflm-validation": evaluated(run.model_file, "validation")
        | {"arena_bytes": {"total": 1234}},
        "keras-float": evaluated(run.weights_file("float")),
    }
    write_json(run.accuracy_file, entries)
    figures = figures_of(run)
    assert figures["float Keras"] == figures["TFLite int8"] == "33 of 77, test"
    # Of two on the validation set the verifier's.
    assert figures["TFLM int8"].endswith(" of 10, validation")
    (run.path / "verify.json").unlink()
    assert figures_of(run)["TFLM int8"] == "33 of 77, validation"
    assert measured.headline(run, None)[-1]["value"] == "1,234"


def unconverted(run, **changes):
    """Makes it a run with other settings and without a model file."""
    file = json.loads(run.settings_file.read_text())
    file["train"] |= changes
    write_json(run.settings_file, file)
    for name in ("model.tflite", "model.json"):
        (run.path / name).unlink()


def test_paper_profile(run, undrawn):
    unconverted(run, profile="paper")
    model = build_model(run.train_settings(), run.front_end(), 4, "quantized")
    save_weights(model, run.weights_file("quantized"))
    outline = Outline(page.build(run))
    assert outline.texts.count("the paper profile is not converted") == 4
    assert any(text.startswith("fake-quant Keras on 10 examples") for text in outline.texts)
    labels = [svg["aria-label"] for svg in outline.of("svg")]
    drawn = [label for label in labels if label.startswith("Histogram")]
    assert len(drawn) == 8 + 1 + 1 + 13  # matrices, biases, classifier, activations


def test_unconverted_quantized_from_the_start_with_fixed_clips(run, undrawn):
    unconverted(run, pact=False)
    write_json(run.history_file, history.load(run)[2:3])
    text = page.build(run)
    assert text.count(f"<code>kws-tf convert {run.path}</code>") == 5
    assert f"<code>kws-tf verify {run.path}</code>" in text
    assert f"kws-tf evaluate {run.path} --runtime keras --phase float" in text
    Outline(text)
    assert "This run keeps its clips" in text
    assert "The shaded epochs" not in text


# --- The command line.


def test_script_on_a_test_set(original, report, undrawn, tmp_path):
    audio = original.data_dir()
    write_wav(tmp_path / "test" / "_silence_" / "0.wav", np.zeros(16000))
    for label in original.labels()[1:]:
        source = audio / (label if label != "_unknown_" else UNKNOWN_WORD)
        for number, path in enumerate(sorted(source.iterdir())[:6]):
            target = tmp_path / "test" / label / f"cat_{number:08x}_nohash_0.wav"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    out = tmp_path / "page.html"
    code, text, _ = report(
        original.path, "--out", out, "--test-dir", tmp_path / "test", "--examples", 12
    )
    assert code == 0
    assert text.startswith(f"written: {out} (")
    assert re.search(r"on 12 examples of\s+\S+ \(test\)", out.read_text())


@pytest.mark.parametrize(
    ("name", "message"),
    [("settings.json", "not a run folder"), ("quantized.weights.h5", "no quantized weights yet")],
)
def test_no_run_or_an_unfinished_one(run, report, name, message):
    (run.path / name).unlink()
    code, _, errors = report(run.path)
    (line,) = errors.splitlines()
    assert (code, line[:7]) == (2, "error: ")
    assert message in line
    assert not (run.path / "report.html").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--examples", 0], "--examples 0 is out of range"),
        (["--data-dir", "absent"], "absent does not exist"),
        (["--test-dir", "absent"], "absent"),
        (["--out", "absent/page.html"], "absent"),
    ],
)
def test_bad_option(run, report, arguments, message):
    code, _, errors = report(run.path, *arguments)
    assert code == 2
    assert errors.splitlines()[-1].startswith("error: ")
    assert message in errors.splitlines()[-1]


@pytest.mark.parametrize(
    "content", ["[{", "[]", "3", "null", '{"a": 1}', "[1]", '[{"phase": "float"}]', None]
)
def test_damaged_history_is_one_sentence(run, content):
    damaged = run.history_file.read_text().replace('"loss": ', '"loss": null, "old": ')
    run.history_file.write_text(damaged if content is None else content)
    with pytest.raises(KwsError, match=r"history.json is damaged \(.*train the run anew"):
        history.load(run)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("verify.json", "[]", r"verify.json is damaged .*repeat kws-tf verify"),
        ("verify.json", "{", "verify.json is damaged"),
        ("verify.json", '"correct"', "verify.json is damaged"),
        ("verify.json", '"arena_bytes"', "verify.json is damaged"),
        ("accuracy.json", "{", r"accuracy.json is damaged .*delete it"),
        ("accuracy.json", '{"tflite": 3}', "accuracy.json is damaged"),
        ("accuracy.json", '{"tflite": {"sha256": 3}, "tflm": []}', "accuracy.json is damaged"),
        ("accuracy.json", "COUNTS", "accuracy.json is damaged"),
        ("model.tflite", "no model", "is not a .tflite file"),
        ("model.json", "{}", "model.json is damaged"),
    ],
)
def test_damaged_measurement_is_one_sentence(run, name, content, message):
    file = run.path / name
    if name == "verify.json" and content.startswith('"'):
        content = file.read_text().replace(content, '"other"')
    elif content == "COUNTS":
        content = json.dumps({"tflite": evaluated(run.model_file) | {"n": 0}})
    file.write_text(content)
    with pytest.raises(KwsError, match=message):
        figures_of(run)


@pytest.mark.parametrize(
    ("name", "key", "message"),
    [("verify.json", '"holds"', "verify.json is damaged"), ("environment.json", '"packages"', "")],
)
def test_page_of_a_damaged_file_is_one_sentence(run, undrawn, name, key, message):
    file = run.path / name
    file.write_text(file.read_text().replace(key, '"other"'))
    with pytest.raises(KwsError, match=message or f"{name} is damaged"):
        page.build(run)


# --- Its parts.


def test_observed_signals_lead_to_the_models_logits(original):
    features = np.random.default_rng(0).normal(0, 1.5, [5, FRONT_END.frames, 40]).astype(np.float32)
    model = original.load_model("quantized")
    (expected,) = compute(model, features)
    seen = {signal.name: signal for signal in signals.observe(model, features)}
    logits = seen["classifier/output"]
    quantized = np.clip(np.rint(logits.values / logits.step), -128, 127) * logits.step
    np.testing.assert_allclose(quantized.reshape(5, 4), expected, atol=1e-5)

    np.testing.assert_array_equal(seen["cell/input"].values.reshape(features.shape), features)
    kernel = model.get_layer(spotter.LSTM).cell.kernel.numpy()
    np.testing.assert_array_equal(seen["cell/kernel_f"].values, kernel[:, 8:16].ravel())
    assert seen["cell/hidden"].values.size == 5 * FRONT_END.frames * 8
    assert seen["cell/gate"].limit == 8
    clips = {name: float(clip) for name, clip in spotter.clips(model).items()}
    assert {name: s.limit for name, s in seen.items() if s.has_clip} == clips


def test_share_beyond_the_limit():
    values = np.array([-3.0, -2.0, 0.0, 1.9, 2.0, 2.1, 8.0, 0.5])
    assert signals.Signal("cell/cell", values, 2.0, 2 / 128, True).beyond == 3 / 8


def test_signals_have_names():
    assert signals.title("cell/kernel_f") == ("input weights", "f")
    assert signals.title("cell/sigmoid_o") == ("sigmoid", "o")
    assert signals.title("cell/tanh_c") == ("tanh", "c")
    assert signals.title("classifier/output") == ("logits", "")


def decisions_of(posteriors, labels):
    count = posteriors.shape[1]
    names = [f"number {number}" for number in range(len(labels))]
    features = np.zeros([len(labels), 4, 3], np.float32)
    examples = LabelledFeatures(features, labels, names, "somewhere", "test")
    counted = metrics.measure(metrics.decisions(posteriors), labels, list("abcdef")[:count])
    return Decisions("a model", examples, posteriors, counted)


def test_examples_are_the_ends_of_what_is_right_and_the_worst_mistakes():
    rows = [(0.9, 0.1), (0.7, 0.3), (0.6, 0.4), (0.4, 0.6), (0.2, 0.8), (0.1, 0.9), (0.3, 0.7)]
    decisions = decisions_of(np.array(rows), np.zeros(7, np.int64))
    first, second = classes.classes(decisions)
    assert [e["name"][-1] for e in first["examples"]] == ["0", "2", "5", "4"]
    assert [e["right"] for e in first["examples"]] == [True, True, False, False]
    assert first["mistaken_for"] == [("b", 4)]
    assert (first["n"], first["correct"]) == (7, 3)
    assert (second["recall"], second["examples"]) == (None, [])
    assert decisions.mistakes() == [("a", "b", 4)]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(2, 6))
def test_examples_and_mistakes_of_any_decisions(seed, number, count):
    rng = np.random.default_rng(seed)
    posteriors = rng.integers(0, 256, [number, count]) / 256
    labels = rng.integers(0, count, number)
    decisions = decisions_of(posteriors, labels)
    for index, entry in enumerate(classes.classes(decisions)):
        chosen = [int(e["name"].split()[1]) for e in entry["examples"]]
        assert len(set(chosen)) == len(chosen) <= 4
        assert all(labels[position] == index for position in chosen)
        assert sum(e["right"] for e in entry["examples"]) == min(2, entry["correct"])
    wrong = int(np.sum(decisions.decided != labels))
    assert sum(n for _, _, n in decisions.mistakes(count**2)) == wrong


def test_only_all_is_100_percent():
    assert exactness._percent(1.0) == "100.00 %"
    assert exactness._percent(1 - 1e-9) == "under 100 %"
    assert exactness._percent(0.98765) == "98.77 %"


def test_chart_takes_its_colours_from_the_page():
    def draw(axes):
        axes.plot([1, 2], color=charts.LINES[1])
        axes.set_xlabel("a < b")

    svg = str(charts.chart(draw, "name", 'what "it" <shows>'))
    assert svg == str(charts.chart(draw, "name", 'what "it" <shows>'))
    assert 'aria-label="what &#34;it&#34; &lt;shows&gt;"' in svg
    assert "var(--line-1)" in svg
    assert "var(--ink)" in svg
    assert not re.search(r"#0[1-7]0", svg)
    assert "a &lt; b</text>" in svg
    Outline(svg)


# --- In a browser.


@pytest.mark.parametrize("size", [(1440, 900), (390, 844)], ids=["desktop", "phone"])
def test_in_chromium(html, browser, tmp_path, size):
    file = tmp_path / "report.html"
    file.write_text(html)
    browser.events.clear()
    browser.open(file, *size)
    # Also the tables that are folded away.
    browser.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert browser.evaluate("innerWidth") == size[0]
    assert browser.evaluate("document.documentElement.scrollWidth") <= size[0]
    for name in SECTIONS:
        height = browser.evaluate(f"document.getElementById('{name}').offsetHeight")
        assert height > 100, name
    assert browser.evaluate("[...document.images].every(i => i.complete && i.naturalWidth)")
    # Text of charts can be read: none under 8 CSS pixels.
    smallest = """Math.min(...[...document.querySelectorAll('svg text')].map(
        t => parseFloat(getComputedStyle(t).fontSize) * Math.hypot(
            t.getScreenCTM().a, t.getScreenCTM().b)))"""
    assert browser.evaluate(smallest) > 8

    reported = dict.fromkeys(method for method, _ in browser.events)
    for kind in ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"):
        assert kind not in reported
    assert "Page.javascriptDialogOpening" not in reported
    requests = [p["request"]["url"] for m, p in browser.events if m == "Network.requestWillBeSent"]
    assert [url for url in requests if not url.startswith("data:")] == [file.as_uri()]


def test_dark_where_the_system_is(html, browser, tmp_path):
    file = tmp_path / "report.html"
    file.write_text(html)
    colours = set()
    for scheme in ("light", "dark"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.call("Emulation.setEmulatedMedia", features=features)
        browser.open(file, 1440, 900)
        for element, name in (("document.body", "background-color"), ("'svg text'", "fill")):
            target = element if "." in element else f"document.querySelector({element})"
            colours.add(browser.evaluate(f"getComputedStyle({target})['{name}']"))
    assert len(colours) == 4
