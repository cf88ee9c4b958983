"""The level of speech: ITU-T P.56 (12/2011), clause 8, method B."""

import numpy as np
from scipy.ndimage import maximum_filter1d

# Clause 8.3: time constant of the envelope, hangover, and margin under the active level.
_ENVELOPE_SECONDS = 0.03
_HANGOVER_SECONDS = 0.2
_MARGIN_DB = 15.9
_THRESHOLDS = 0.5 ** np.arange(15, 0, -1)


def active_power(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Measures the power over the time in which somebody speaks, whatever the pauses are.

    Samples are float [examples, samples]; returned is float64 [examples], the mean square, and 0
    for an example of zeros.

    Example:
        >>> tone = 0.5 * np.sin(np.arange(160000.0))  # of 10 s and the power 0.125
        >>> paused = np.concatenate([tone, np.zeros(160000)])
        >>> round(float(active_power(paused[None], 16000)[0]), 2)
        0.12
    """
    samples = np.asarray(samples, np.float64)
    reached = _envelope_peak(samples, sample_rate)
    active = np.array([(reached >= threshold).sum(1) for threshold in _THRESHOLDS])
    active[0] = np.where(active[0], active[0], samples.shape[1])  # fainter than every threshold
    energy = np.square(samples).sum(1)
    level = 10 * np.log10(np.maximum(energy, 1e-300) / np.maximum(active, 1))
    margin = np.where(active, level - 20 * np.log10(_THRESHOLDS)[:, None], -np.inf)
    # The threshold that lies the margin under its own level is between this and the one before.
    after = np.argmax(margin <= _MARGIN_DB, axis=0)
    before, examples = np.maximum(after - 1, 0), np.arange(len(samples))
    fall = np.where(after, margin[before, examples] - margin[after, examples], np.inf)
    part = (margin[before, examples] - _MARGIN_DB) / fall
    change = level[after, examples] - level[before, examples]
    decibels = level[before, examples] + part * change
    return np.where(energy, 10 ** (decibels / 10), 0.0)


def _envelope_peak(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Returns the envelope's largest value within the hangover before each sample."""
    length = samples.shape[1]
    # Two equal exponential averages in a row have the impulse response (1 - g)^2 (n + 1) g^n.
    g = np.exp(-1 / (_ENVELOPE_SECONDS * sample_rate))
    n = np.arange(length)
    response = np.fft.rfft((1 - g) ** 2 * (n + 1) * g**n, 2 * length)
    envelope = np.fft.irfft(np.fft.rfft(np.abs(samples), 2 * length) * response)[:, :length]
    span = 1 + round(_HANGOVER_SECONDS * sample_rate)
    before = (span - 1) // 2
    return maximum_filter1d(envelope, span, 1, mode="constant", cval=-np.inf, origin=before)
