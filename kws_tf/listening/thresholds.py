"""Thresholds that find most words for so many false alarms: one of all words, or some of their own.

How many alarms a threshold lets in elsewhere is more than it lets in where it was chosen. One that
is lowered until it meets the next alarm has k alarms above it; of as many further hours, on
average k + 1 are above (the ranks of old and new alarms are exchangeable). So a threshold costs
the alarms that it lets in and one more, and all costs together may be ``per_hour * hours``, but
always 1: with few hours, no alarm. Each further threshold of a word's own costs its one more, too.
Only of words that make no alarm at any threshold it costs nothing.

This is a little more than the mean of Jeffreys' posterior, k + 1/2, which holds for a threshold
that does not depend on the alarms.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

COMMON = -1
"""Stands for all words without a threshold of their own."""
_MOST = 200  # costs that are told apart; of larger budgets they are rounded up
_IMPOSSIBLE = -(2**40)


@dataclass(frozen=True)
class Tally:
    """What the words of some streams gain and what those without words cost, by threshold.

    The thresholds rise, and none triggers at the last one.
    """

    gain: np.ndarray  # int64 [thresholds, classes], words found less wrong detections
    alarms: np.ndarray  # int64 [thresholds, classes]


def budget(per_hour: float, hours: float) -> int:
    """Returns the cost that all thresholds together may have, at least 1."""
    return max(1, math.floor(per_hour * hours + 1e-9))


def common(tally: Tally, most: int) -> int:
    """Returns the place of the threshold of all words that gains most at a cost of ``most``.

    Of equal ones it is the highest.
    """
    gain, alarms = tally.gain.sum(1), tally.alarms.sum(1)
    fits = np.flatnonzero(alarms + (alarms.max() > 0) <= most)
    return int(fits[gain[fits] == gain[fits].max()][-1])


def by_word(tally: Tally, most: int, words: Collection[int]) -> dict[int, int]:
    """Returns the places of thresholds, of single words and of the others in ``COMMON``.

    Words get one of their own one after the other, always the one with which most is gained, as
    long as any gains. How the costs are shared is solved exactly, but as if words did not stand
    in each other's refractory time; the caller runs the trigger.

    Args:
        tally: Of all classes.
        most: The cost that all thresholds together may have.
        words: The classes that are keywords.
    """
    # No more can be spent than all alarms and one for each word.
    most = min(most, int(tally.alarms.max(0).sum()) + len(words))
    unit = -(-most // _MOST)
    most //= unit
    apart, left = _Frontier(np.zeros(most + 1, np.int64), [{}] * (most + 1)), set(words)
    best = _frontier(tally, COMMON, left, most, unit)
    while len(left) > 1:
        tried = {}
        for word in sorted(left):
            own = _joined(apart, _frontier(tally, word, [word], most, unit))
            tried[word] = own, _joined(own, _frontier(tally, COMMON, left - {word}, most, unit))
        word = max(tried, key=lambda one: tried[one][1].gains[most])
        if tried[word][1].gains[most] <= best.gains[most]:
            break
        apart, best = tried[word]
        left.remove(word)
    return best.picks[most]


@dataclass(frozen=True)
class _Frontier:
    """The most that can be gained at each cost from 0, and the places of the thresholds for it."""

    gains: np.ndarray  # int64 [costs]
    picks: list[dict[int, int]]


def _frontier(
    tally: Tally, key: int, classes: Collection[int], most: int, unit: int = 1
) -> _Frontier:
    """Returns what one threshold of some classes can gain; its cost is counted in units."""
    classes = sorted(classes)
    gain, alarms = tally.gain[:, classes].sum(1), tally.alarms[:, classes].sum(1)
    costs = -(-(alarms + (alarms.max() > 0)) // unit)
    gains, picks = np.full(most + 1, _IMPOSSIBLE), [{} for _ in range(most + 1)]
    for cost in range(most + 1):
        fits = np.flatnonzero(costs <= cost)
        if len(fits):
            gains[cost] = gain[fits].max()
            picks[cost] = {key: int(fits[gain[fits] == gains[cost]][-1])}
    return _Frontier(gains, picks)


def _joined(one: _Frontier, other: _Frontier) -> _Frontier:
    """Returns what both can gain, however they share the cost."""
    gains, picks = np.empty_like(one.gains), []
    for cost in range(len(gains)):
        sums = one.gains[: cost + 1] + other.gains[cost::-1]
        share = int(sums.argmax())
        gains[cost] = sums[share]
        picks.append(one.picks[share] | other.picks[cost - share])
    return _Frontier(gains, picks)
