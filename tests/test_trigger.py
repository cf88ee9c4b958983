"""The trigger: Python's detections are C's, and what each of its settings does."""

import ctypes
import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kws_tf.chip import files, library
from kws_tf.chip.source import header
from kws_tf.errors import KwsError
from kws_tf.frontend.config import LogMel
from kws_tf.tflite.trigger import Detection, Trigger

SHIM = Path(__file__).parent / "c" / "run_trigger.c"
LABELS = ("_silence_", "up", "_unknown_", "down", "stop")
LOG_MEL = LogMel()
TRIGGERS = [
    Trigger(),
    Trigger(20.0, 1, 0.0, 0.0),  # every decision is a detection
    Trigger(20.0, 5, 0.4, 100.0, {"up": 0.6, "stop": 0.3}),
    Trigger(60.0, 2, 0.6, 500.0, {"down": 0.2}),
    Trigger(200.0, 4, 0.2, 20.0, {"up": 1.0, "down": 0.0}),
]


def random_outputs(seed: int, decisions: int) -> np.ndarray:
    """Outputs that stay alike for a while, with many equal ones and both ends of the range."""
    rng = np.random.default_rng(seed)
    level = np.repeat(rng.integers(-128, 128, (decisions // 4 + 1, len(LABELS))), 4, axis=0)
    values = level[:decisions] + 8 * rng.integers(-4, 5, (decisions, len(LABELS)))
    return values.clip(-128, 127).astype(np.int8)


def by_definition(trigger: Trigger, outputs: np.ndarray) -> list[Detection]:
    """The detections, decision by decision."""
    found, count = [], trigger.smoothing_decisions
    least = trigger.least_sums(LABELS)
    for end in range(count, len(outputs) + 1):
        sums = (outputs[end - count : end].astype(int) + 128).sum(axis=0)
        best = max((1, 3, 4), key=lambda i: sums[i])
        hops = (end - 1 - found[-1].decision) * trigger.decision_hops(LOG_MEL) if found else 10**9
        if hops >= trigger.refractory_hops(LOG_MEL) and sums[best] >= least[best]:
            found.append(Detection(end - 1, best, sums[best] / (256 * count)))
    return found


def build(trigger: Trigger) -> ctypes.CDLL:
    """The trigger in C with these settings."""
    texts = {n: files.source(n) for n in ("kws_trigger.h", "kws_trigger.c", "kws_labels.h")}
    texts["kws_labels.c"] = files.labels_source(LABELS)
    lines = files.trigger_lines(trigger, LABELS, LOG_MEL)
    texts["kws_config.h"] = header("KWS_CONFIG_H_", lines)
    texts["run_trigger.c"] = SHIM.read_text()
    built = library.build(texts, ("-fsanitize=undefined", "-fno-sanitize-recover=all"))
    built.run_trigger.restype = ctypes.c_size_t
    return built


def detections_in_c(built: ctypes.CDLL, outputs: np.ndarray) -> list[Detection]:
    at, labels = np.empty((2, len(outputs)), np.int32)
    scores = np.empty(len(outputs), np.float32)
    outputs = np.ascontiguousarray(outputs)
    pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in (outputs, at, labels, scores)]
    found = built.run_trigger(pointers[0], ctypes.c_size_t(len(outputs)), *pointers[1:])
    columns = (at[:found].tolist(), labels[:found].tolist(), scores[:found])
    return [Detection(*row) for row in zip(*columns, strict=True)]


def as_in_c(detections: list[Detection]) -> list[Detection]:
    return [detection._replace(score=np.float32(detection.score)) for detection in detections]


# --- Parity.


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_python_c_and_the_definition_agree(trigger):
    """Over thousands of decisions, and over streams that are shorter than the smoothing."""
    built = build(trigger)
    for seed, decisions in ((0, 20_000), *enumerate(range(7))):
        outputs = random_outputs(seed, decisions)
        found = trigger.detections(outputs, LABELS, LOG_MEL)
        assert found == by_definition(trigger, outputs)
        assert as_in_c(found) == detections_in_c(built, outputs)
        assert len({label for _, label, _ in found}) >= 2 or decisions < 7


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    trigger=st.builds(
        Trigger,
        *(st.floats(1, 300), st.integers(1, 5), st.floats(0, 1), st.floats(0, 2000)),
        st.dictionaries(st.sampled_from(["up", "down", "stop"]), st.floats(0, 1)),
    ),
)
def test_any_trigger_is_the_definition(seed, trigger):
    outputs = random_outputs(seed, 200)
    found = trigger.detections(outputs, LABELS, LOG_MEL)
    assert found == by_definition(trigger, outputs)


# --- Thresholds.


@given(smoothing=st.integers(1, 100), data=st.data())
def test_a_score_as_threshold_is_its_sum(smoothing, data):
    total = data.draw(st.integers(0, 256 * smoothing))
    trigger = Trigger(smoothing_decisions=smoothing, threshold=total / (256 * smoothing))
    never = 256 * smoothing
    assert trigger.least_sums(LABELS).tolist() == [never, total, never, total, total]


def test_least_sums():
    """``0.1 * 1280`` is 128, though the float 0.1 is a little more than a tenth."""
    trigger = Trigger(
        smoothing_decisions=5, threshold=0.1, thresholds={"down": 0.7, "stop": 0.1001}
    )
    assert trigger.least_sums(LABELS).tolist() == [1280, 128, 1280, 896, 129]
    loudest = np.full((9, len(LABELS)), 127, np.int8)
    loudest[:, [1, 3, 4]] = -128  # silence and unknown words alone are certain
    assert trigger.sums(loudest).tolist() == 5 * [[1275, 0, 1275, 0, 0]]
    assert trigger.detections(loudest, LABELS, LOG_MEL) == []
    never = Trigger(threshold=1.0)
    assert never.detections(np.full((9, 5), 127, np.int8), LABELS, LOG_MEL) == []


def test_the_largest_sum_alone_can_trigger():
    """A word that is more certain and below its own threshold keeps another from triggering."""
    outputs = np.full((3, len(LABELS)), -128, np.int8)
    outputs[:, 1], outputs[:, 3] = 20, 0
    trigger = Trigger(threshold=0.4)
    assert trigger.detections(outputs, LABELS, LOG_MEL) == [Detection(2, 1, 148 / 256)]
    by_word = dataclasses.replace(trigger, thresholds={"up": 0.9})
    assert by_word.detections(outputs, LABELS, LOG_MEL) == []


def test_a_changed_threshold_is_that_of_all_words():
    trigger = Trigger(thresholds={"up": 0.9})
    assert trigger.changed(threshold=0.5) == Trigger(threshold=0.5)
    assert trigger.changed(refractory_ms=0.0).thresholds == {"up": 0.9}
    both = trigger.changed(threshold=0.5, thresholds={"down": 0.2})
    assert both == Trigger(threshold=0.5, thresholds={"down": 0.2})
    assert hash(trigger) == hash(Trigger()) and trigger != Trigger()


@given(st.integers(0, 100), st.integers(0, 40))
def test_detections_keep_the_refractory_time(seed, hops):
    trigger = Trigger(60.0, 1, 0.1, 20.0 * hops)
    found = trigger.detections(random_outputs(seed, 300), LABELS, LOG_MEL)
    for one, other in itertools.pairwise(found):
        assert 3 * (other.decision - one.decision) >= hops


# --- Errors.


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"thresholds": {"up": 1.5}},
            "the trigger's threshold of 'up' is 1.5, not a number from 0",
        ),
        ({"thresholds": {"up": None}}, "the trigger's threshold of 'up' is None, not a number"),
        ({"thresholds": ["up"]}, r"the trigger's thresholds is \['up'\], no table of words"),
        ({"threshold": float("nan")}, "the trigger's threshold is nan, not a number from 0 to 1"),
        ({"smoothing_decisions": 0}, "smoothing_decisions is 0, not a whole number from 1 to 100"),
    ],
)
def test_values_out_of_range_are_refused(values, message):
    with pytest.raises(KwsError, match=message):
        Trigger(**values)


@pytest.mark.parametrize("word", ["go", "Up", "_silence_"])
def test_a_threshold_of_no_keyword_is_refused(word):
    trigger = Trigger(thresholds={"up": 0.5, word: 0.5})
    message = f"a threshold for '{word}', no keyword; give thresholds of the model's words"
    with pytest.raises(KwsError, match=message):
        trigger.detections(random_outputs(0, 9), LABELS, LOG_MEL)


@pytest.mark.parametrize("outputs", [np.zeros((4, 5), np.float32), np.zeros(5, np.int8)])
def test_outputs_of_another_form_are_refused(outputs):
    with pytest.raises(KwsError, match=r"takes int8 outputs \[decisions, classes\], not "):
        Trigger().detections(outputs, LABELS, LOG_MEL)
