"""A model that listens piece by piece decides as on the whole, and as spotter and chip do."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from models import classifier_file, random_model, save_model

from kws_tf.chip.spotter import ChipSpotter
from kws_tf.errors import KwsError
from kws_tf.evaluation.spotting import spot
from kws_tf.frontend.config import FrontEnd
from kws_tf.frontend.features import features
from kws_tf.listening import ears as ears_file
from kws_tf.listening.ears import Ears
from kws_tf.listening.heard import Heard, listened
from kws_tf.tflite import interpreter
from kws_tf.tflite import model as models

LABELS = ("_silence_", "_unknown_", "up", "down")
FRONT_END = FrontEnd(example_ms=300.0).normalised([-8.0] * 40, [3.0] * 40)  # of 4,800 samples
RATE = 16000
TRIGGER = {"decision_ms": 60.0, "smoothing_decisions": 2, "threshold": 0.3, "refractory_ms": 100.0}

needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="there is no C compiler"
)
RUNTIMES = [pytest.param("c", marks=needs_compiler), "tflite"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "tiny.tflite"
    random = random_model(0, units=12, features=40, classes=len(LABELS))
    content = classifier_file(random, FRONT_END.frames)
    details = {"details": {"trigger": TRIGGER}}
    scale = random.input.scale
    return models.load(save_model(path, content, LABELS, FRONT_END, scale, 12, **details))


@pytest.fixture
def short_segments(monkeypatch):
    monkeypatch.setattr(ears_file, "_DECISIONS", {"c": 5, "tflite": 5})


def sound(seconds, seed=0):
    """Tones that come and go, int16."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(RATE * seconds)) / RATE
    tone = np.sin(2 * np.pi * np.cumsum(500 + 400 * np.sin(3 * time)) / RATE)
    samples = 3000 * np.abs(np.sin(2 * time)) * tone + rng.normal(0, 30, len(time))
    return np.rint(samples).astype(np.int16)


def heard(ears, *blocks):
    return np.concatenate(list(ears.hear(blocks)))


def of_whole(model, samples, hops, runtime):
    """All windows of a stream with silence around it, at once."""
    padded = np.pad(samples, FRONT_END.samples)
    if runtime == "c":
        rows = ChipSpotter(model).rows(padded)
    else:
        values = features(padded / np.float32(32768), FRONT_END).numpy()
        rows = model.manifest.quantize(values)
    starts = range(0, len(rows) - FRONT_END.frames + 1, hops)
    windows = np.stack([rows[start : start + FRONT_END.frames] for start in starts])
    return of_windows(model, windows, runtime)


def of_windows(model, windows, runtime):
    if runtime == "c":
        return ChipSpotter(model).outputs_of_features(windows)
    return interpreter.run(model.content, windows).outputs[0]


@pytest.mark.parametrize("runtime", RUNTIMES)
@settings(max_examples=10)
@given(st.lists(st.integers(0, 30000), max_size=6), st.integers(0, 30000))
def test_blocks_of_any_size_are_the_whole(model, runtime, cuts, length):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ears_file, "_DECISIONS", {"c": 5, "tflite": 5})
        ears = Ears(model, runtime)
        samples = sound(2)[:length]
        outputs = heard(ears, *np.split(samples, sorted(cuts)))
    np.testing.assert_array_equal(outputs, of_whole(model, samples, 3, runtime))
    assert len(outputs) == ears.decisions(len(samples))


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("decision_ms", [20.0, 100.0, 700.0])
def test_any_interval(model, short_segments, runtime, decision_ms):
    ears, samples = Ears(model, runtime, decision_ms), sound(6)
    assert ears.hops == decision_ms / 20
    outputs = heard(ears, *np.array_split(samples, 9))
    np.testing.assert_array_equal(outputs, of_whole(model, samples, ears.hops, runtime))


@needs_compiler
def test_detections_are_the_chips(model):
    """Sample by sample, as the device hears them: the same words at the same decisions."""
    spotter, samples = ChipSpotter(model), sound(8)
    ears, trigger = Ears(model), model.manifest.trigger
    padded, found = np.pad(samples, FRONT_END.samples), []
    hop = FRONT_END.log_mel.hop_samples
    for start in range(0, len(padded), hop):
        detection = spotter.listen(padded[start : start + hop])
        if detection:
            found.append((start + hop, *detection))
    stream = Heard("a", len(samples) / RATE, heard(ears, samples), ears.first, ears.step)
    kept = listened(stream, LABELS, trigger, 0.2)
    got = kept.detected(trigger, LABELS, FRONT_END.log_mel)
    assert len(got) == len(found) > 5
    for one, (until, label, score) in zip(got, found, strict=True):
        assert (one.label, one.score) == (LABELS[label], pytest.approx(score, abs=1e-7))
        # The window ends within the hop that let it through.
        assert until - hop < (one.time * RATE + FRONT_END.samples) <= until


def test_detections_are_those_of_spot(model, tmp_path):
    samples = sound(8)
    soundfile.write(tmp_path / "a.wav", samples, RATE, "PCM_16")
    spotted = spot(model.path, tmp_path / "a.wav")
    ears, trigger = Ears(model, "tflite"), model.manifest.trigger
    stream = Heard("a", 8.0, heard(ears, samples), ears.first, ears.step)
    got = listened(stream, LABELS, trigger, 0.2).detected(trigger, LABELS, FRONT_END.log_mel)
    assert len(got) > 5
    for one, (word, time, score) in zip(got, spotted.rows, strict=True):
        assert (one.label, min(one.time, 8.0), one.score) == (word, time, score)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_many_streams_are_each_by_itself(model, short_segments, runtime):
    ears = Ears(model, runtime)
    parts = {name: sound(length, seed) for seed, (name, length) in enumerate([("a", 3), ("b", 1)])}
    parts["c"] = np.empty(0, np.int16)
    got = {name: [] for name in parts}
    order = []
    for name, outputs in ears.hear_all((n, [samples]) for n, samples in parts.items()):
        got[name].append(outputs)
        order.append(name)
    assert order == sorted(order) and set(order) == set(parts)
    for name, samples in parts.items():
        np.testing.assert_array_equal(np.concatenate(got[name]), heard(ears, samples))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_features_made_elsewhere(model, short_segments, runtime):
    ears = Ears(model, runtime)
    rows = np.random.default_rng(0).integers(-128, 128, (70, 40), np.int8)
    starts = range(0, 70 - FRONT_END.frames + 1, ears.hops)
    windows = np.stack([rows[start : start + FRONT_END.frames] for start in starts])
    np.testing.assert_array_equal(ears.decide(rows), of_windows(model, windows, runtime))
    assert ears.decide(rows[:5]).shape == (0, len(LABELS))


def test_floats_are_rounded_to_16_bits(model):
    ears, samples = Ears(model), sound(1)
    near = samples / np.float32(32768) + np.float32(0.3 / 32768)
    np.testing.assert_array_equal(heard(ears, near), heard(ears, samples))


def test_memory_does_not_grow(model, short_segments):
    """A stream is read only so far ahead of what was decided."""
    ears, read = Ears(model), 0

    def blocks():
        nonlocal read
        while True:
            read += 1600
            yield np.zeros(1600, np.int16)

    decided = 0
    for outputs in ears.hear(blocks()):
        decided += len(outputs)
        assert read / RATE - decided * ears.step < 10
        if decided > 2000:
            break


def test_errors_of_a_stream_come_through(model):
    def blocks():
        yield sound(1)
        raise KwsError("cut")

    with pytest.raises(KwsError, match="cut"):
        list(Ears(model).hear(blocks()))


def test_without_a_compiler(model, monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    monkeypatch.setenv("PATH", "")
    assert Ears(model).runtime == "tflite"
    with pytest.raises(KwsError, match="no runtime 'gpu'"):
        Ears(model, "gpu")


@needs_compiler
@pytest.mark.parametrize(
    ("units", "hops", "changes"),
    [
        (12, 1, {}),
        (21, 3, {"cell_power": -15, "hidden_zero_point": -9}),
        (33, 20, {"cell_power": -9, "gain": 20.0, "cell_clip": 3.0}),
        (64, 2, {"per_class": True, "hidden_zero_point": 40}),
    ],
)
@pytest.mark.parametrize("windows", [1, 16, 37])
def test_many_windows_at_once_are_each_as_the_chip_computes_it(
    tmp_path, units, hops, changes, windows
):
    random = random_model(units, units=units, features=40, classes=len(LABELS), **changes)
    content = classifier_file(random, FRONT_END.frames)
    path, scale = tmp_path / "a.tflite", random.input.scale
    chip = ChipSpotter(models.load(save_model(path, content, LABELS, FRONT_END, scale, units)))
    count = (windows - 1) * hops + FRONT_END.frames
    rows = np.random.default_rng(0).integers(-128, 128, (count, 40), np.int8)
    each = np.stack([rows[n * hops : n * hops + FRONT_END.frames] for n in range(windows)])
    got = chip.outputs_of_rows(rows, hops)
    np.testing.assert_array_equal(got, chip.outputs_of_features(each))
    assert windows == 1 or len(np.unique(got, axis=0)) > windows / 2
    assert chip.outputs_of_rows(rows[: FRONT_END.frames - 1], hops).shape == (0, len(LABELS))


@needs_compiler
@pytest.mark.parametrize("name", ["kws-118-full", "kws-118-mfcc10", "kws-344-full"])
def test_many_windows_of_a_shipped_model(name):
    path = Path(__file__).parents[1] / "tflite_models" / f"{name}.tflite"
    if not path.exists():
        pytest.skip(f"there is no {path.name}")
    chip = ChipSpotter(models.load(path))
    rows = chip.rows(sound(4))
    each = np.stack([rows[start : start + 49] for start in range(0, len(rows) - 48, 10)])
    np.testing.assert_array_equal(chip.outputs_of_rows(rows, 10), chip.outputs_of_features(each))


@needs_compiler
def test_the_chip_refuses_other_rows(model):
    with pytest.raises(KwsError, match="takes int8 \\[rows, 40\\]"):
        ChipSpotter(model).outputs_of_rows(np.zeros((60, 40), np.int16), 1)
    with pytest.raises(KwsError, match="int16 samples"):
        ChipSpotter(model).rows(np.zeros(600, np.float32))
