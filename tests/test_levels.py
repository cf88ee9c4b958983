"""The active speech level against ITU-T P.56 as it is written."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kws_tf.audio.levels import active_power

RATE = 16000


def literal_active_power(x, rate):
    """ITU-T P.56, clause 8, as it is written: sample by sample, threshold by threshold."""
    g, hangover = np.exp(-1 / (0.03 * rate)), round(0.2 * rate)
    thresholds = 2.0 ** np.arange(-15, 0)
    activity, since = np.zeros(15), np.full(15, hangover)
    p = q = 0.0
    for value in np.abs(x):
        p = g * p + (1 - g) * value
        q = g * q + (1 - g) * p
        reached = q >= thresholds
        activity += reached | (since < hangover)
        since = np.where(reached, 0, since + 1)
    before = None
    for count, threshold in zip(activity, thresholds, strict=True):
        if not count:
            break
        level = 10 * np.log10(np.sum(x**2) / count)
        margin = level - 20 * np.log10(threshold)
        if margin <= 15.9:
            if before:
                part = (before[1] - 15.9) / (before[1] - margin)
                level = before[0] + part * (level - before[0])
            return 10 ** (level / 10)
        before = level, margin
    return 10 ** (before[0] / 10) if before else np.mean(x**2)  # too faint for any threshold


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.floats(-50, 0),
    st.lists(st.integers(0, 1500), min_size=2, max_size=6),
)
def test_active_power_is_that_of_p56(seed, peak_db, lengths):
    rng = np.random.default_rng(seed)
    parts = [
        10 ** (peak_db / 20) * (number % 2) * rng.uniform(-1, 1, length)
        for number, length in enumerate(lengths)
    ]
    x = np.concatenate([*parts, [10 ** (peak_db / 20)]])
    expected = literal_active_power(x, 4000)
    np.testing.assert_allclose(active_power(x[None], 4000), [expected], rtol=1e-6)


def test_active_power_of_a_tone_is_its_mean_power_however_long_the_pause():
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(4 * RATE) / RATE)
    paused = np.concatenate([tone, np.zeros(8 * RATE)])
    for samples in (tone, paused):
        decibels = 10 * np.log10(active_power(samples[None], RATE)[0] / np.mean(tone**2))
        assert abs(decibels) < 0.5  # of the hangover


def test_active_power_of_nothing_is_zero():
    assert active_power(np.zeros([1, 800]), RATE) == [0]
