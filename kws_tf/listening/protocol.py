"""Which detections are right: the protocol of MLPerf Tiny's streaming wake word, and stricter.

A detection of a word from the word's beginning to one second after its end is right, once a word.
Any other detection is a false alarm: of another word, at another time, or a second one of the same
word. A word without a right detection is missed. (MLCommons, MLPerf Tiny v1.3, streaming wake
word, https://github.com/mlcommons/tiny.) There a second detection of a word does not count, and
false alarms within a second of one count as that one; here each that the trigger lets through does.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from kws_tf.listening.heard import Detected, Word

GRACE_SECONDS = 1.0
"""A detection may come so long after the end of its word."""
_ROUNDING = 1e-6  # seconds; times are sums of floats, a sample is 60 times as long


@dataclass(frozen=True)
class Judged:
    """Detections sorted into right and wrong, words into found and missed."""

    found: tuple[tuple[Word, Detected], ...] = ()  # by the time of detection
    missed: tuple[Word, ...] = ()
    alarms: tuple[Detected, ...] = ()

    def __add__(self, other: "Judged") -> "Judged":
        """Returns the sum of two streams."""
        return Judged(
            self.found + other.found, self.missed + other.missed, self.alarms + other.alarms
        )

    @property
    def delays(self) -> np.ndarray:
        """Seconds from the end of each word found to its detection; negative is before."""
        return np.array([detected.time - word.end for word, detected in self.found])

    def found_by_word(self) -> Counter:
        """Returns how often each word was found."""
        return Counter(word.label for word, _ in self.found)

    def missed_by_word(self) -> Counter:
        """Returns how often each word was missed."""
        return Counter(word.label for word in self.missed)

    def alarms_by_word(self) -> Counter:
        """Returns how often each word was detected where it was not."""
        return Counter(detected.label for detected in self.alarms)


def judge(words: Iterable[Word], detections: Sequence[Detected]) -> Judged:
    """Judges the detections of one stream.

    Where a detection fits several words it counts for the one that ends first, so that as many are
    found as can be.
    """
    left = sorted(words, key=lambda word: word.end)
    found, alarms = [], []
    for detected in sorted(detections, key=lambda one: one.time):
        word = next((w for w in left if w.label == detected.label and fits(w, detected.time)), None)
        if word is None:
            alarms.append(detected)
        else:
            left.remove(word)
            found.append((word, detected))
    return Judged(tuple(found), tuple(left), tuple(alarms))


def fits(word: Word, time: float) -> bool:
    """Tells whether a detection of the word at that time is right."""
    return word.start - _ROUNDING <= time <= word.end + GRACE_SECONDS + _ROUNDING


def is_over(word: Word, time: float) -> bool:
    """Tells whether no detection from that time on can be right."""
    return time > word.end + GRACE_SECONDS + _ROUNDING
