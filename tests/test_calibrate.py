"""A calibrated trigger: the best there is, within the false alarms allowed, and what is written."""

import dataclasses
import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import classifier_file, random_model, save_model
from running import run_main
from tiny_run import make_audio, write_wav

from kws_tf.data.records import PUBLISHED, to_uint8
from kws_tf.errors import KwsError
from kws_tf.files import write_json
from kws_tf.frontend.config import FrontEnd, LogMel
from kws_tf.listening import protocol, thresholds, tuning_streams
from kws_tf.listening.calibrate import calibrate
from kws_tf.listening.heard import Detected, Heard, Word
from kws_tf.listening.thresholds import COMMON, Tally
from kws_tf.listening.tuning import Tuning
from kws_tf.tflite import manifest as manifests
from kws_tf.tflite import model as models
from kws_tf.tflite.trigger import Trigger

SCRIPT = Path(__file__).parents[1] / "scripts" / "calibrate.py"
LABELS = ("_silence_", "_unknown_", "up", "down")
LOG_MEL = LogMel()
STEP = 0.2


def stream(events, hours, is_words):
    """Outputs of silence but for events of a second, (label, score), evenly laid out."""
    outputs = np.full((round(3600 * hours / STEP), len(LABELS)), -128, np.int8)
    outputs[:, 0] = 127
    starts = np.linspace(5, len(outputs) - 20, len(events)).astype(int)
    words = []
    for start, (label, score) in zip(starts, events, strict=True):
        row = np.full(len(LABELS), -128)
        row[LABELS.index(label)] = round(256 * score) - 128
        row[0] = 127 - round(255 * score)
        outputs[start : start + 5] = row
        words.append(Word(label, STEP * (start - 3), STEP * (start + 1), f"{start}.wav"))
    return Heard("stream", 3600 * hours, outputs, 0.0, STEP, tuple(words) if is_words else ())


def tuning(words, alarms, hours=1.0):
    rng = np.random.default_rng(4)
    words = [words[place] for place in rng.permutation(len(words))]
    alarms = [alarms[place] for place in rng.permutation(len(alarms))]
    return {200.0: Tuning([stream(words, 0.2, True)], [stream(alarms, hours, False)])}


def calibrated(streams, per_hour=0.5, before=None):
    return calibrate(streams, before or Trigger(), LABELS, LOG_MEL, per_hour)


# --- Which trigger.


@pytest.mark.parametrize(
    ("alarm", "per_hour", "found", "alarms"),
    [(0.6, 0.5, 20, 0), (0.8, 0.5, 10, 0), (0.8, 3.9, 10, 0), (0.8, 4.0, 20, 3)],
)
def test_the_threshold_is_known(alarm, per_hour, found, alarms):
    """Three alarms take a fourth of the cost, so 4 an hour."""
    words = [("up", 0.95)] * 10 + [("up", 0.7)] * 10
    result = calibrated(tuning(words, [("up", alarm)] * 3), per_hour)
    figures = result.chosen.figures
    assert (figures.found, figures.wrong, figures.alarms) == (found, 0, alarms)
    assert not result.trigger.thresholds
    least = result.trigger.threshold
    assert (0.6 < least <= 0.7) if found == 20 else (0.8 < least <= 0.95)


def test_doubles_cost_so_the_refractory_time_is_long_enough():
    words = [("up", 0.9)] * 20
    before = Trigger(smoothing_decisions=1, refractory_ms=500.0)
    result = calibrated(tuning(words, [("up", 0.6)]), before=before)
    assert (result.before.figures.found, result.before.figures.wrong) == (20, 20)
    assert (result.chosen.figures.found, result.chosen.figures.wrong) == (20, 0)
    assert result.trigger.refractory_ms >= 1000


def test_one_word_alone_causes_alarms():
    words = [("up", 0.95)] * 20 + [("down", 0.6)] * 20
    result = calibrated(tuning(words, [("up", 0.9)] * 6))
    assert result.is_by_word
    assert set(result.trigger.thresholds) | {"rest"} in ({"up", "rest"}, {"down", "rest"})
    least = result.trigger.least_sums(LABELS) / result.trigger.full_sum
    assert least[2] > 0.9 and least[3] < 0.61
    assert (result.chosen.figures.found, result.chosen.figures.alarms) == (40, 0)
    assert result.options[0].figures.found == 20
    assert result.crossed.by_word.found == 40
    assert "of their own: " in result.text()


def test_two_words_that_cause_alarms_share_the_threshold():
    """Each threshold of its own lets one more in elsewhere, on average."""
    words = [("up", 0.95)] * 20 + [("down", 0.6)] * 20
    alarms = [("up", 0.9)] * 6 + [("down", 0.5)] * 3
    assert not calibrated(tuning(words, alarms)).is_by_word
    assert calibrated(tuning(words, alarms), 4.0).is_by_word


def test_what_may_be_chance_is_not_kept():
    """Four more words are too few for a sign test."""
    words = [("up", 0.95)] * 20 + [("down", 0.6)] * 4
    result = calibrated(tuning(words, [("up", 0.9)] * 6))
    assert result.crossed.by_word.found == result.crossed.common.found + 4
    assert result.crossed.chance == pytest.approx(1 / 16)
    assert not result.is_by_word
    assert "no thresholds by word" in result.text()


def test_a_good_trigger_stays():
    streams = tuning([("up", 0.9)] * 20, [("up", 0.3)])
    before = Trigger(threshold=0.77, refractory_ms=1234.0)
    result = calibrated(streams, before=before)
    assert result.trigger == before
    assert "the trigger stays" in result.text()
    found = calibrated(tuning([("up", 0.9)] * 20, [("up", 0.8)] * 3), before=before)
    assert calibrated(tuning([("up", 0.9)] * 20, [("up", 0.8)] * 3), before=found.trigger).trigger
    assert found.trigger.threshold > 0.8


def random_streams(seed):
    rng = np.random.default_rng(seed)
    labels = lambda count: rng.choice(LABELS[2:], count).tolist()  # noqa: E731
    words = list(zip(labels(30), rng.uniform(0.3, 0.99, 30).tolist(), strict=True))
    alarms = list(zip(labels(12), rng.uniform(0.2, 0.95, 12).tolist(), strict=True))
    return tuning(words, alarms, 0.5)


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([0.5, 4.0, 12.0]), st.floats(0.3, 0.95))
def test_never_more_alarms_than_allowed_and_no_worse_than_before(seed, per_hour, threshold):
    streams, before = random_streams(seed), Trigger(threshold=threshold)
    result = calibrated(streams, per_hour, before)
    assert result == calibrated(streams, per_hour, before)
    assert result.allowed == max(0, np.floor(per_hour * 0.5) - 1)
    figures = result.chosen.figures
    assert figures.alarms <= result.allowed
    if result.before.figures.alarms <= result.allowed:
        assert figures.gain >= result.before.figures.gain
    # What is said of a trigger is what the device does.
    for measured in (result.before, result.chosen, *result.options):
        (words,), (negatives,) = streams[200.0].words, streams[200.0].negatives
        trigger = measured.trigger
        one, other = (
            protocol.judge(
                heard.words,
                [
                    Detected(LABELS[d.label], STEP * d.decision, d.score)
                    for d in trigger.detections(heard.outputs, LABELS, LOG_MEL)
                ],
            )
            for heard in (words, negatives)
        )
        got = measured.figures
        assert (got.found, got.wrong, got.alarms) == (
            len(one.found),
            len(one.alarms),
            len(other.alarms),
        )
    assert json.loads(json.dumps(result.to_json()))["chosen"]["found"] == figures.found


@given(st.integers(0, 2**31), st.integers(1, 8))
def test_thresholds_of_two_words_are_the_best_there_are(seed, most):
    rng = np.random.default_rng(seed)
    gain = rng.integers(-2, 9, (5, 2))
    alarms = np.sort(rng.integers(0, 4, (5, 2)), axis=0)[::-1]
    gain[-1] = alarms[-1] = 0  # none triggers
    tally, any_alarm = Tally(gain, alarms), alarms.max(0) > 0
    alike = [gain[n].sum() for n in range(5) if alarms[n].sum() + (alarms.max() > 0) <= most]
    apart = [
        gain[a, 0] + gain[b, 1]
        for a, b in itertools.product(range(5), repeat=2)
        if (alarms[(a, b), (0, 1)] + any_alarm).sum() <= most
    ]
    assert gain[thresholds.common(tally, most)].sum() == max(alike)
    places = thresholds.by_word(tally, most, [0, 1])
    got = sum(gain[places.get(word, places[COMMON]), word] for word in (0, 1))
    assert got == max(alike + apart)


def test_large_budgets_are_rounded_down():
    rng = np.random.default_rng(0)
    alarms = np.sort(rng.integers(0, 3000, (50, 3)), axis=0)[::-1]
    gain = np.sort(rng.integers(0, 100, (50, 3)), axis=0)[::-1].copy()
    gain[-1] = alarms[-1] = 0
    places = thresholds.by_word(Tally(gain, alarms), 2000, [0, 1, 2])
    cost = sum(alarms[places.get(word, places[COMMON]), word] for word in range(3))
    assert 1500 < cost <= 2000


def test_halves_are_all_of_it():
    peaked = random_streams(3)[200.0].peaks(LABELS, Trigger(smoothing_decisions=1))
    halves = [peaked.half(side) for side in (0, 1)]
    assert sum(half.hours for half in halves) == pytest.approx(peaked.hours)
    assert halves[0].hours == pytest.approx(peaked.hours / 2)
    for kind in ("words", "negatives"):
        (whole,), parts = getattr(peaked, kind), [getattr(half, kind)[0] for half in halves]
        decisions = np.concatenate([part.peaks.decisions for part in parts])
        np.testing.assert_array_equal(np.sort(decisions), whole.peaks.decisions)
        assert {w for part in parts for w in part.words} == set(whole.words)
        assert all(len(part.peaks.decisions) for part in parts)


def test_what_the_hours_show():
    few = calibrated(tuning([("up", 0.9)] * 9, [("up", 0.5)], 0.27))
    assert "none in 0.27 h says under 11 an hour; give more hours" in few.shown
    assert "0.5 an hour takes 6 h" in few.shown
    many = calibrated(tuning([("up", 0.9)] * 9, [], 7.0))
    assert "under 0.43 an hour, less than the 0.5 asked for" in many.shown


def test_what_cannot_be_calibrated():
    with pytest.raises(KwsError, match="no word is found"):
        calibrated(tuning([("up", 0.5)] * 9, [("up", 0.9)] * 9))
    with pytest.raises(KwsError, match="ask for more than 0"):
        calibrated(tuning([("up", 0.5)], []), -1)
    with pytest.raises(KwsError, match="hold no keyword"):
        Tuning([stream([], 0.1, True)], [stream([], 0.1, False)])
    with pytest.raises(KwsError, match="nothing in the negatives"):
        Tuning([stream([("up", 0.9)], 0.1, True)], [])


# --- From folders.

FRONT_END = FrontEnd(example_ms=300.0).normalised([-8.0] * 40, [3.0] * 40)
TRIGGER = {"decision_ms": 60.0, "smoothing_decisions": 2, "threshold": 0.3, "refractory_ms": 100.0}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A model of random weights, recordings without words, a test set, a data folder."""
    folder = tmp_path_factory.mktemp("calibrate")
    random = random_model(0, units=12, features=40, classes=len(LABELS))
    content = classifier_file(random, FRONT_END.frames)
    details = {"details": {"trigger": TRIGGER, "recipe": "kept"}}
    save_model(
        folder / "run/model.tflite", content, LABELS, FRONT_END, random.input.scale, 12, **details
    )
    make_audio(folder / "data")
    rng = np.random.default_rng(0)
    for number in range(3):
        write_wav(folder / "others" / f"{number}.wav", rng.normal(0, 0.01, 40000))
    for word in LABELS[2:]:
        for path in sorted((folder / "data" / word).iterdir())[:6]:
            (folder / "test" / word).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder / "test" / word)
    return folder


def listen(world, positives, **changes):
    model = models.load(world / "run" / "model.tflite")
    places = tuning_streams.Places([world / "others"], positives, **changes)
    return tuning_streams.listen(model, places, [60.0, 100.0])


@pytest.mark.parametrize(("name", "words"), [("test", 12), ("data", 8)])
def test_streams_of_what_the_folder_is(world, name, words):
    tuned, text = listen(world, world / name)
    assert list(tuned) == [60.0, 100.0]
    for interval, one in tuned.items():
        quiet, loud = one.words
        assert len(quiet.words) == len(loud.words) == words / 2
        spoken = [word.name for heard in one.words for word in heard.words]
        assert len(set(spoken)) == words
        for heard in (*one.words, *one.negatives):
            assert heard.step == interval / 1000
            assert abs(heard.first + len(heard.outputs) * heard.step - heard.seconds) < 0.7
        assert [heard.seconds for heard in one.negatives] == [2.5] * 3
    kind = {"test": "a test set", "data": "the validation partition"}[name]
    assert kind in text and "10 to 20 dB (3 of 3 recordings)" in text
    again, _ = listen(world, world / name)
    other, _ = listen(world, world / name, seed=1)
    for one, same, differs in zip(
        *(streams[60.0].words for streams in (tuned, again, other)), strict=True
    ):
        np.testing.assert_array_equal(one.outputs, same.outputs)
        assert one.words != differs.words


def test_records_are_mixed_in_mel_power(world, monkeypatch):
    from kws_tf.data import records
    from kws_tf.frontend.features import log_mel

    rng = np.random.default_rng(0)
    samples = rng.normal(0, 0.02, (8, 4800)) * np.hanning(4800)
    stored = records.Records(
        to_uint8(log_mel(samples.astype(np.float32), PUBLISHED), PUBLISHED).numpy(),
        np.array(["up", "down"] * 4),
        np.array([f"{n}.wav" for n in range(8)]),
        PUBLISHED,
    )
    monkeypatch.setattr(records, "is_record_folder", lambda folder: True)
    monkeypatch.setattr(
        records, "read", lambda folder, partition: {"validation": stored}[partition]
    )
    tuned, text = listen(world, world / "test")
    assert "validation records" in text
    for heard in tuned[60.0].words:
        assert len(heard.words) == 4
        end = heard.first + (len(heard.outputs) - 1) * heard.step
        assert heard.first == pytest.approx(0.29)  # of whole frames
        assert 0 <= heard.seconds + 0.01 - end < 0.07


def test_only_the_trigger_of_the_manifest_changes(world, tmp_path, capsys):
    run = shutil.copytree(world / "run", tmp_path / "run")
    write_json(run / "settings.json", {})
    target = tmp_path / "a.json"
    arguments = ("--negatives", world / "others", "--positives", world / "test")
    arguments += ("--alarms-per-hour", 3000, "--json", target)
    former = manifests.load(run / "model.tflite")
    code = run_main(SCRIPT, run, *arguments, "--decision-ms", 60, 100)
    text, errors = capsys.readouterr()
    assert code == 0, errors
    manifest = manifests.load(run / "model.tflite")
    report = json.loads(target.read_text())
    assert dataclasses.asdict(manifest.trigger) == report["chosen"]["trigger"]
    assert manifest == former.with_trigger(manifest.trigger) != former
    assert manifest.details["recipe"] == "kept"
    assert report["before"]["trigger"]["threshold"] == 0.3
    assert [one["trigger"]["decision_ms"] for one in report["by_decision_interval"]] == [100, 60]
    assert "best at 60 ms" in text and text.splitlines()[-1].endswith("run/model.json")
    assert str(world) not in target.read_text()
    first = (run / "model.json").read_bytes(), target.read_text()
    shutil.copy(world / "run" / "model.json", run)
    assert run_main(SCRIPT, run, *arguments, "--decision-ms", 60, 100) == 0
    assert first == ((run / "model.json").read_bytes(), target.read_text())


@pytest.mark.parametrize("option", [("--background", "others"), ("--snr-db", 5, 10), ("--seed", 1)])
def test_what_would_be_ignored_is_refused(world, monkeypatch, capsys, option):
    monkeypatch.chdir(world)
    assert run_main(SCRIPT, "run", *option) == 2
    assert f"{option[0]} is of streams that are made of --negatives" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--positives", "test"], "give --negatives"),
        (["--negatives", "others"], "give --positives"),
        (["--negatives", "empty", "--positives", "test"], "has no recordings"),
        (["--negatives", "others", "--positives", "none"], "none does not exist"),
        (["--negatives", "others", "--positives", "others"], "no folder for the class 'up'"),
        (["--negatives", "others", "--positives", "single"], "two streams need two"),
        (["--negatives", "others", "--positives", "training"], "no recording of 'down'"),
        (["--negatives", "others", "--positives", "test", "--alarms-per-hour", "-1"], "cannot be"),
        (["--negatives", "others", "--positives", "test", "--snr-db", "2", "1"], "swap them"),
        (["--negatives", "others", "--positives", "test", "--decision-ms", "0"], "decision_ms is"),
        (["--negatives", "others", "--positives", "test", "--seed", "-1"], "0 or more"),
        (["--negatives", "others", "--positives", "test", "--json", "no/a.json"], "not exist"),
    ],
)
def test_bad_input_is_one_sentence(world, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(world)
    (world / "empty").mkdir(exist_ok=True)
    chosen = tuning_streams.speech_commands.partition_of
    for word in LABELS[2:]:
        paths = sorted((world / "data" / word).iterdir())
        trained = next(path for path in paths if chosen(path) == "training")
        for name in ("single", "training"):
            (world / name / word).mkdir(parents=True, exist_ok=True)
            shutil.copy(trained, world / name / word)
    shutil.copytree(
        world / "data/_background_noise_", world / "training/_background_noise_", dirs_exist_ok=True
    )
    before = (world / "run" / "model.json").read_bytes()
    assert run_main(SCRIPT, "run/model.tflite", *arguments) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: ") and message in line
    assert (world / "run" / "model.json").read_bytes() == before
