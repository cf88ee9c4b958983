"""The C kernel against the NumPy reference of TFLM: every value, also where it saturates."""

import ctypes
import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from models import random_inputs, random_model

from kws_tf.audio import speech_commands
from kws_tf.chip import files, library, lstm_tables
from kws_tf.chip.frontend import CFrontEnd, c_features_int8
from kws_tf.chip.spotter import ChipSpotter
from kws_tf.data.sources import read_samples
from kws_tf.errors import KwsError
from kws_tf.quantization import activation_tables
from kws_tf.reference import IntegerModel
from kws_tf.tflite import model as models
from kws_tf.tflite import tflm

MODELS = sorted((Path(__file__).parents[1] / "tflite_models").glob("*.tflite"))
SHIM = Path(__file__).parent / "c" / "run_lstm.c"
SANITIZER = ("-fsanitize=undefined", "-fno-sanitize-recover=all")
KINDS = {"plain": ("-DKWS_LSTM_PLAIN",), "of this machine": ()}


class _Factor(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int32) for name in lstm_tables.Factor._fields]


class _Lstm(ctypes.Structure):
    _fields_ = [
        *(("inputs", ctypes.c_uint16), ("units", ctypes.c_uint16), ("weights", ctypes.c_void_p)),
        *(("factors", _Factor * 8), ("hidden_factor", _Factor)),
        *((n, ctypes.c_int32) for n in ("hidden_zero_point", "cell_power", "cell_limit")),
    ]


class _Classifier(ctypes.Structure):
    _fields_ = [
        *(("units", ctypes.c_uint16), ("classes", ctypes.c_uint16)),
        *((name, ctypes.c_void_p) for name in ("weights", "biases", "factors")),
        *((n, ctypes.c_int32) for n in ("zero_point", "multiplier", "left", "smallest")),
    ]


@pytest.fixture(scope="module", params=KINDS)
def kernel(request):
    """The kernel as a library, undefined behaviour checked."""
    names = ("kws_lstm.h", "kws_lstm.c", "kws_classifier.h", "kws_classifier.c")
    texts = {name: files.source(name) for name in names}
    flags = (*SANITIZER, *KINDS[request.param])
    return library.build(texts | {"run_lstm.c": SHIM.read_text()}, flags)


def pointer(array):
    return array.ctypes.data_as(ctypes.c_void_p)


def run_lstm(kernel, model: IntegerModel, inputs):
    tables = lstm_tables.make_tables(model)
    _, units, features = model.input_weights.shape
    factors = (_Factor * 8)(*[_Factor(*factor) for pair in tables.factors for factor in pair])
    lstm = _Lstm(
        *(features, units, tables.weights.ctypes.data, factors, _Factor(*tables.hidden_factor)),
        *(model.hidden_state.zero_point, model.cell_power, tables.cell_limit),
    )
    inputs = np.ascontiguousarray(inputs)
    examples, steps, _ = inputs.shape
    hidden = np.empty((examples, steps, units), np.int8)
    cell = np.empty((examples, units), np.int16)
    memory = np.full(tables.state_bytes // 2, 77, np.int16)  # whatever was there
    failed = kernel.run_lstm(
        *(ctypes.byref(lstm), pointer(inputs), ctypes.c_size_t(examples), ctypes.c_size_t(steps)),
        *(pointer(memory), pointer(hidden), pointer(cell)),
    )
    assert not failed
    return hidden, cell


def run_classifier(kernel, model: IntegerModel, hidden):
    tables = lstm_tables.make_tables(model)
    classes, units = model.dense_weights.shape
    weights = np.ascontiguousarray(model.dense_weights)
    factors = (_Factor * classes)(*[_Factor(*factor) for factor in tables.dense_factors])
    classifier = _Classifier(
        *(units, classes, weights.ctypes.data, tables.dense_biases.ctypes.data),
        *(ctypes.addressof(factors), model.logits.zero_point, *tables.softmax),
    )
    logits = np.empty((len(hidden), classes), np.int8)
    posteriors = np.empty_like(logits)
    wide = np.ascontiguousarray(hidden, np.int16)
    kernel.run_classifier(
        *(ctypes.byref(classifier), pointer(wide), ctypes.c_size_t(len(hidden))),
        *(pointer(logits), pointer(posteriors)),
    )
    return logits, posteriors


def assert_equal(kernel, model, inputs):
    wanted = model.run(inputs, "tflm")
    hidden, cell = run_lstm(kernel, model, inputs)
    np.testing.assert_array_equal(hidden, wanted.hidden)
    np.testing.assert_array_equal(cell, wanted.cell)
    logits, posteriors = run_classifier(kernel, model, hidden[:, -1])
    np.testing.assert_array_equal(logits, wanted.logits)
    np.testing.assert_array_equal(posteriors, wanted.posteriors)
    return wanted


CASES = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**32 - 1),
        "units": st.one_of(st.integers(1, 40), st.integers(1, 344)),
        "features": st.integers(1, 80),
        "classes": st.integers(2, 40),
        "cell_power": st.integers(-15, -9),
        "gain": st.sampled_from([0.5, 2.0, 8.0, 30.0]),
        "input_zero_point": st.integers(-128, 127),
        "hidden_zero_point": st.integers(-128, 127),
        "cell_clip": st.sampled_from([0.0, 0.7, 10.0]),
        "per_class": st.booleans(),
    }
)
LARGEST = {"seed": 0, "units": 344, "features": 80, "gain": 30.0, "input_zero_point": -128}
SMALLEST = {"seed": 1, "units": 1, "features": 1, "classes": 2, "cell_power": -15}


@settings(max_examples=60, deadline=None)
@given(case=CASES, bits=st.integers(2, 8))
@example(case=LARGEST | {"hidden_zero_point": 127, "cell_clip": 0.0}, bits=8)
@example(case=SMALLEST, bits=2)
def test_every_value_equals_the_reference(kernel, case, bits):
    model = random_model(**case)
    largest = 2 ** (bits - 1) - 1

    def narrow(weights):
        return np.clip(weights, -largest, largest)

    model = dataclasses.replace(
        model,
        input_weights=narrow(model.input_weights),
        recurrent_weights=narrow(model.recurrent_weights),
    )
    assert_equal(kernel, model, random_inputs(case["seed"], 2, 6, case["features"]))


def test_every_place_saturates_and_is_equal(kernel):
    """Products, their sum, the cell's products and sum, the cell's clip, the hidden state."""
    model = random_model(3, units=32, features=20, gain=60.0, cell_power=-15, cell_clip=0.9)
    inputs = random_inputs(3, 8, 30, 20)
    wanted = assert_equal(kernel, model, inputs)
    limit = int(0.9 * 2**15)
    assert np.sum(np.abs(wanted.cell) == limit) > 10
    unclipped = dataclasses.replace(model, cell_clip=0.0)
    wanted = assert_equal(kernel, unclipped, inputs)
    assert np.sum(wanted.cell == 32767) and np.sum(wanted.cell == -32768)
    # A hidden state of a small scale leaves int8 at both ends.
    scale = dataclasses.replace(model.hidden_state, scale=np.float32(0.002))
    small = dataclasses.replace(
        model, hidden_state=scale, effective_hidden=scale, dense_input=scale
    )
    wanted = assert_equal(kernel, small, inputs)
    assert np.mean(wanted.hidden == 127) > 0.1 and np.mean(wanted.hidden == -128) > 0.1


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_committed_models(kernel, path):
    opened = models.load(path)
    shape = (opened.manifest.front_end.frames, opened.manifest.front_end.features)
    model = IntegerModel.from_tflite(opened.content)
    assert_equal(kernel, model, random_inputs(0, 2, *shape))
    sample = np.load(path.with_suffix(".sample.npz"))["inputs"]
    assert_equal(kernel, model, sample[::8])


def test_the_table_is_tflms():
    text = files.source("kws_lstm.c")
    numbers = text[text.index("sigmoid_samples[256] = {") :].split("{")[1].split("}")[0]
    assert list(map(int, numbers.split(","))) == list(activation_tables._tflm_sigmoid_samples())


def test_what_the_kernel_cannot_compute_is_refused():
    with pytest.raises(KwsError, match="has 513 units and 2 inputs"):
        lstm_tables.make_tables(random_model(0, units=513, features=2))
    model = random_model(0, units=4, features=2)
    biases = np.full_like(model.biases, 2**23)
    with pytest.raises(KwsError, match="may exceed"):
        lstm_tables.make_tables(dataclasses.replace(model, biases=biases))


# --- The whole spotter.


@pytest.fixture(scope="module")
def opened():
    return models.load(next(path for path in MODELS if path.stem == "kws-118-full"))


def test_examples_through_the_spotter(opened):
    spotter, front_end = ChipSpotter(opened), opened.manifest.front_end
    rng = np.random.default_rng(0)
    level = rng.uniform(10, 20000, (70, 1))
    samples = (rng.standard_normal((70, front_end.samples)) * level).clip(-32768, 32767)
    samples = samples.astype(np.int16)
    features = c_features_int8(samples, opened.manifest)
    wanted = IntegerModel.from_tflite(opened.content).run(features, "tflm").posteriors
    np.testing.assert_array_equal(spotter.outputs_of_features(features), wanted)
    np.testing.assert_array_equal(spotter.outputs(samples), wanted)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_blocks_of_any_length_give_the_same_detections(opened, seed):
    """And those of Python's trigger on the same windows."""
    rng = np.random.default_rng(seed)
    manifest = opened.manifest
    trigger = dataclasses.replace(
        manifest.trigger, threshold=0.2, refractory_ms=600.0, thresholds={"go": 0.3}
    )
    manifest = manifest.with_trigger(trigger)
    stream = rng.standard_normal(48_000) * np.repeat(rng.uniform(0, 12_000, 30), 1600)
    stream = stream.clip(-32768, 32767).astype(np.int16)
    spotter = ChipSpotter(dataclasses.replace(opened, manifest=manifest))
    found, position = [], 0
    while position < len(stream):
        size = int(rng.integers(1, 321))  # at most a hop: one decision a block
        detection = spotter.listen(stream[position : position + size])
        found += [detection] if detection else []
        position += size

    front_end = manifest.front_end
    rows = CFrontEnd(manifest).feed(stream)
    ends = range(front_end.frames, len(rows) + 1, trigger.decision_hops(front_end.log_mel))
    windows = np.stack([rows[end - front_end.frames : end] for end in ends])
    outputs = IntegerModel.from_tflite(opened.content).run(windows, "tflm").posteriors
    wanted = trigger.detections(outputs, manifest.labels, front_end.log_mel)
    assert found == [(label, np.float32(score)) for _, label, score in wanted]


def test_values_of_another_form_are_refused(opened):
    spotter, samples = ChipSpotter(opened), opened.manifest.front_end.samples
    for values in (np.zeros((2, samples)), np.zeros((2, samples - 1), np.int16)):
        with pytest.raises(KwsError, match=rf"takes int16 \[examples, {samples}\], not"):
            spotter.outputs(values)
    with pytest.raises(KwsError, match=r"takes int8 \[examples, 49, 40\], not int8 \[49, 40\]"):
        spotter.outputs_of_features(np.zeros((49, 40), np.int8))
    with pytest.raises(KwsError, match=r"takes int16 samples \[n\], not float64 \[3\]"):
        spotter.listen(np.zeros(3))
    assert spotter.outputs(np.zeros((0, samples), np.int16)).shape == (0, 12)


@pytest.mark.slow
@pytest.mark.skipif("KWS_TF_DATA" not in os.environ, reason="KWS_TF_DATA names no data folder")
@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_the_whole_test_set_equals_tflm(path):
    """Every output of every example, from samples on."""
    opened = models.load(path)
    folder = Path(os.environ["KWS_TF_DATA"]) / "speech_commands_test_set_v0.02"
    examples = speech_commands.scan_test_set(folder, opened.manifest.labels)
    samples = read_samples([file for file, _ in examples], opened.manifest.front_end)
    wanted = tflm.run(opened.content, c_features_int8(samples, opened.manifest)).outputs[0]
    np.testing.assert_array_equal(ChipSpotter(opened).outputs(samples), wanted)
