"""What is right and what a false alarm, at one threshold and at all; how sure a rate is."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kws_tf.frontend.config import LogMel
from kws_tf.listening import curve, protocol
from kws_tf.listening.heard import Detected, Heard, Smoothing, Word, joined, listened
from kws_tf.listening.rates import Rate
from kws_tf.tflite.trigger import Trigger

LABELS = ("_silence_", "_unknown_", "up", "down")
LOG_MEL = LogMel()


# --- The protocol.


def up(start, end, label="up"):
    return Word(label, start, end, "a.wav")


@pytest.mark.parametrize(
    ("time", "label", "is_right"),
    [
        (2.0, "up", True),  # exactly at the beginning
        (1.999, "up", False),
        (3.5, "up", True),  # exactly a second after the end
        (3.501, "up", False),
        (2.2, "up", True),
        (2.2, "down", False),
    ],
)
def test_edges_of_a_word(time, label, is_right):
    word, detected = up(2.0, 2.5), Detected(label, time, 0.9)
    judged = protocol.judge([word], [detected])
    assert judged.found == (((word, detected),) if is_right else ())
    assert judged.missed == (() if is_right else (word,))
    assert judged.alarms == (() if is_right else (detected,))


def test_edges_are_there_despite_rounding():
    times = [-0.01 + k * 0.2 for k in range(100)]
    for time in times:
        assert protocol.fits(up(time, time + 1), time + 1e-12)
        assert protocol.fits(up(time - 1.7, time - 1.0), time)


def test_a_second_detection_of_the_same_word_is_a_false_alarm():
    first, second = Detected("up", 1.4, 0.8), Detected("up", 1.6, 0.9)
    judged = protocol.judge([up(1.0, 1.5)], [first, second])
    assert judged.alarms == (second,)
    assert judged.delays == pytest.approx([-0.1])


def test_two_words_near_each_other():
    early, late = up(0.0, 0.5), up(0.8, 1.2)
    both = [Detected("up", 1.0, 0.8), Detected("up", 1.4, 0.8)]
    assert [word for word, _ in protocol.judge([late, early], both).found] == [early, late]
    one = protocol.judge([late, early], both[1:])  # fits both, the first ends sooner
    assert one.found[0][0] == early and one.missed == (late,)


def test_counts_by_word():
    judged = protocol.judge([up(0, 1), up(5, 6)], [Detected("up", 1, 1), Detected("down", 5, 1)])
    judged += protocol.judge([up(0, 1, "down")], [])
    assert judged.found_by_word() == {"up": 1}
    assert judged.missed_by_word() == {"up": 1, "down": 1}
    assert judged.alarms_by_word() == {"down": 1}


# --- Rates.


@pytest.mark.parametrize(
    ("count", "low", "high"),
    [(1, 0.025318, 5.571643), (10, 4.795389, 18.390356), (100, 81.3640, 121.6271)],
)
def test_the_exact_interval(count, low, high):
    """Values of tables, such as Ulm, Am J Epidemiol 131 (1990), table 1."""
    rate = Rate(count, 2.0)
    assert rate.per_hour == count / 2
    assert (rate.low, rate.high) == pytest.approx((low / 2, high / 2), rel=1e-4)


def test_none_says_under_three_in_that_time():
    assert Rate(0, 6.0).high == pytest.approx(3 / 6, rel=0.002)
    assert str(Rate(0, 6.0)) == "0 (under 0.50)"
    assert str(Rate(113, 0.78)) == "145 (119 to 174)"
    assert Rate(0, 6.0).to_json()["interval_95"][0] == 0


# --- What is kept of a stream, and the curve.


def outputs_of(seed, decisions=400):
    """Outputs with stretches of high scores, ties among them."""
    rng = np.random.default_rng(seed)
    slow = np.repeat(rng.normal(0, 120, (decisions // 4 + 1, 4)), 4, axis=0)[:decisions]
    values = np.clip(slow + rng.normal(0, 30, slow.shape), -128, 127)
    return np.round(values / 8).astype(np.int8) * np.int8(8)


def detected(trigger, outputs, first=-0.01, step=0.2):
    """What ``Trigger.detections`` says, in seconds."""
    found = trigger.detections(outputs, LABELS, LOG_MEL)
    return [Detected(LABELS[label], first + k * step, score) for k, label, score in found]


@settings(max_examples=60)
@given(
    st.integers(0, 2**31),
    st.integers(1, 6),
    st.floats(0.2, 1),
    st.sampled_from([0.0, 200, 500, 1000]),
    st.lists(st.integers(0, 400), max_size=9),
)
def test_peaks_give_the_triggers_detections(seed, smoothing, threshold, refractory, cuts):
    trigger = Trigger(200.0, smoothing, threshold, refractory, {"down": 0.6})
    outputs = outputs_of(seed)
    smooth = Smoothing(LABELS, trigger, 0.2)
    peaks = joined([smooth(part) for part in np.split(outputs, sorted(cuts))])
    whole = listened(Heard("a", 80.0, outputs, -0.01, 0.2), LABELS, trigger, 0.2)
    for got, want in zip(peaks, whole.peaks, strict=True):
        np.testing.assert_array_equal(got, want)
    got = dataclasses.replace(whole, peaks=peaks).detected(trigger, LABELS, LOG_MEL)
    assert got == detected(trigger, outputs)


def test_a_stream_shorter_than_the_smoothing_has_no_peaks():
    trigger = Trigger(smoothing_decisions=3)
    short = np.full((2, 4), 127, np.int8)
    assert not len(listened(Heard("a", 0.1, short, 0, 0.2), LABELS, trigger, 0).peaks.sums)
    assert not len(joined([]).sums)


def streams(count=3):
    """Streams with words here and there, some over each other."""
    made = []
    for seed in range(count):
        rng = np.random.default_rng(seed + 100)
        starts = rng.uniform(0, 78, 30)
        words = tuple(
            up(s, s + rng.uniform(0.1, 0.8), LABELS[2 + n % 2]) for n, s in enumerate(starts)
        )
        made.append(Heard(f"s{seed}", 80.0, outputs_of(seed), -0.01, 0.2, words))
    return made


@pytest.mark.parametrize(("smoothing", "refractory"), [(1, 0.0), (3, 1000.0), (4, 500.0)])
def test_the_curve_is_the_trigger_at_each_threshold(smoothing, refractory):
    trigger = Trigger(200.0, smoothing, 0.7, refractory)
    made = streams()
    counts = curve.count(made, trigger, LABELS, LOG_MEL, 0.3)
    assert counts.hours == pytest.approx(240 / 3600)
    assert counts.words.tolist() == [0, 0, 45, 45]
    assert counts.thresholds[0] >= 0.3 > counts.thresholds[0] - 1 / (256 * smoothing)
    for place in [*range(0, len(counts.thresholds), 7), len(counts.thresholds) - 1]:
        at = dataclasses.replace(trigger, threshold=float(counts.thresholds[place]))
        judged = protocol.Judged()
        for stream in made:
            judged += protocol.judge(stream.words, detected(at, stream.outputs))
        for index, label in enumerate(LABELS):
            assert counts.found[place, index] == judged.found_by_word()[label]
            assert counts.alarms[place, index] == judged.alarms_by_word()[label]
    assert counts.found.sum() > 100 and counts.alarms.sum() > 100
    assert counts.found[-1].sum() == counts.alarms[-1].sum() == 0  # above the highest sum


def test_the_curve_takes_what_is_kept_as_well():
    trigger = Trigger()
    kept = [listened(stream, LABELS, trigger, 0.3) for stream in streams()]
    counts = [curve.count(some, trigger, LABELS, LOG_MEL, 0.3) for some in (streams(), kept)]
    for one, other in zip(*map(dataclasses.astuple, counts), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_threshold_for_a_rate():
    thresholds = np.array([0.5, 0.6, 0.7, 0.8])
    one = curve.Curve(thresholds, np.array([9, 9, 8, 0]), np.array([20, 5, 5, 0]), 10, 2.0)
    assert [one.at_most(rate) for rate in (10, 9, 2.5, 2.4, 0)] == [1, 1, 1, 3, 3]
    assert one.text().splitlines()[:3] == [
        "alarms an hour   threshold           found   measured (95 %)",
        "at most 10           0.600      9 (90.0 %)   2.5 (0.81 to 5.8)",
        "at most 5            0.600      9 (90.0 %)   2.5 (0.81 to 5.8)",
    ]
    without = dataclasses.replace(one, words=0)
    assert [without.at_most(rate) for rate in (10, 2.5, 2.4)] == [0, 1, 3]
    noisy = dataclasses.replace(one, alarms=one.alarms + 1)
    assert noisy.at_most(0.4) is None
    assert noisy.text().splitlines()[-1].split() == ["at", "most", "0.1", "none"]


def test_json_leaves_out_thresholds_that_change_nothing():
    found, alarms = np.array([5, 5, 4, 4, 4]), np.array([2, 2, 2, 2, 1])
    one = curve.Curve(np.arange(5) / 10, found, alarms, 6, 1.0)
    assert one.to_json() == {
        "words": 6,
        "hours": 1.0,
        "thresholds": [0.1, 0.3, 0.4],
        "found": [5, 4, 4],
        "alarms": [2, 2, 1],
    }


def test_words_and_alarms_of_different_streams():
    trigger = Trigger()
    counts = [curve.count([s], trigger, LABELS, LOG_MEL) for s in streams(2)]
    both = curve.Curve.of(*counts)
    np.testing.assert_array_equal(both.found, counts[0].found.sum(1))
    np.testing.assert_array_equal(both.alarms, counts[1].alarms.sum(1))
