"""Where the word lies within its example: by energy."""

import numpy as np

WINDOW_SECONDS, HOP_SECONDS = 0.03, 0.01
"""Of the frames whose energy is looked at; those of the log-mel records."""

_PAUSE = 20  # frames; shorter pauses are within the word
_RANGE_DB = 30.0  # what is so far below the loudest frame is no part of the word
_SHARE = 1 / 3  # nor what is in this share, in dB, of the way from the noise to it
_FLAT_DB = 6.0  # an example of so small a range has no word to be told from noise
_MARGIN = 10 ** (-15.9 / 10)  # of ITU-T P.56: active is what is so little below the active level


def frame_power(samples: np.ndarray, rate: int) -> np.ndarray:
    """Returns the mean square of each frame, float64 [frames], of samples, float [n]."""
    window, hop = round(WINDOW_SECONDS * rate), round(HOP_SECONDS * rate)
    total = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    starts = np.arange(0, max(1, len(samples) - window + 1), hop)
    ends = np.minimum(starts + window, len(samples))
    return (total[ends] - total[starts]) / (ends - starts)


def word_frames(power: np.ndarray) -> tuple[int, int]:
    """Returns the first and the last frame of the word.

    It is the loudest stretch, over pauses of up to 0.2 s, of frames within 30 dB of the loudest
    and above a third of the way, in dB, from the noise (the tenth percentile) to it. Of an example
    without a word to be told from noise it is all.

    Args:
        power: [frames] in any unit, a frame every 10 ms.
    """
    decibels = 10 * np.log10(np.maximum(power, 1e-12))
    noise, peak = np.percentile(decibels, 10), decibels.max()
    if peak - noise < _FLAT_DB:
        return 0, len(power) - 1
    loud = np.flatnonzero(decibels >= max(peak - _RANGE_DB, noise + _SHARE * (peak - noise)))
    parts = np.split(loud, np.flatnonzero(np.diff(loud) > _PAUSE) + 1)
    best = max(parts, key=lambda part: power[part].sum())
    return int(best[0]), int(best[-1])


def word_seconds(power: np.ndarray) -> tuple[float, float]:
    """Returns where the word begins and ends in its example, seconds; ``power`` as above."""
    first, last = word_frames(power)
    return first * HOP_SECONDS, last * HOP_SECONDS + WINDOW_SECONDS


def active_mean(power: np.ndarray) -> float:
    """Returns the mean power of the frames in which somebody speaks, as ITU-T P.56 defines it.

    A frame is active if it is at most 15.9 dB below the level of the active ones: energy over
    active time. Frames take the place of the recommendation's envelope, so that it can be had of
    spectrograms, too.

    Args:
        power: [frames] in any unit.

    Example:
        >>> round(active_mean(np.array([1.0, 1.0, 1e-6, 0.0])), 3)
        1.0
    """
    ordered = np.sort(np.asarray(power, np.float64))[::-1]
    levels = ordered.sum() / np.arange(1, len(ordered) + 1)  # if so many are active
    fits = np.flatnonzero(ordered >= _MARGIN * levels)
    return float(levels[fits[-1]]) if len(fits) else 0.0
