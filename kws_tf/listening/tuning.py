"""Streams that a trigger is chosen on, as heard, and both halves of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from kws_tf.errors import KwsError
from kws_tf.frontend.config import LogMel
from kws_tf.listening import curve, protocol
from kws_tf.listening.heard import Heard, Listened, Peaks, listened
from kws_tf.listening.protocol import Judged
from kws_tf.tflite.trigger import Trigger

LOWEST = curve.LOWEST
"""The lowest threshold that is tried."""
_PARTS = 20  # of the negatives; every second one is of the same half


@dataclass(frozen=True)
class Tuning:
    """What a model made of streams of words and of streams without, at one decision interval."""

    words: Sequence[Heard]
    negatives: Sequence[Heard]

    def __post_init__(self):
        """Refuses what nothing can be chosen on."""
        if not any(stream.words for stream in self.words):
            raise KwsError("the tuning streams hold no keyword; give --positives with recordings")
        if not sum(stream.seconds for stream in self.negatives):
            raise KwsError("there is nothing in the negatives; give --negatives with recordings")

    def peaks(self, labels: Sequence[str], trigger: Trigger, lowest: float = LOWEST) -> "Peaked":
        """Keeps the decisions with a smoothed score of at least ``lowest``."""
        words, negatives = (
            [listened(stream, labels, trigger, lowest) for stream in streams]
            for streams in (self.words, self.negatives)
        )
        return Peaked(words, negatives)


@dataclass(frozen=True)
class Peaked:
    """Tuning streams at one decision interval and smoothing: what any trigger above can let in."""

    words: Sequence[Listened]
    negatives: Sequence[Listened]

    @property
    def hours(self) -> float:
        """Length of the streams without words."""
        return sum(stream.seconds for stream in self.negatives) / 3600

    def judge(self, trigger: Trigger, labels: Sequence[str], log_mel: LogMel) -> tuple:
        """Returns what is right and wrong in the streams of words, each, and false alarms."""
        of_words, negatives = (
            [
                protocol.judge(stream.words, stream.detected(trigger, labels, log_mel))
                for stream in streams
            ]
            for streams in (self.words, self.negatives)
        )
        return of_words, sum(negatives, Judged())

    def half(self, side: int) -> "Peaked":
        """Returns one half, 0 or 1: every second word, every second twentieth of the negatives.

        So both have the same kinds of negatives, and what was said in one go is mostly in one half.
        """
        part, begin, negatives = sum(s.seconds for s in self.negatives) / _PARTS, 0.0, []
        for stream in self.negatives:
            times = np.clip(_times(stream), 0, stream.seconds)
            kept = (begin + times) // part % 2 == side
            ends = _before(np.array([begin, begin + stream.seconds]), part, side)
            seconds = float(ends[1] - ends[0])
            negatives.append(replace(stream, seconds=seconds, peaks=_kept(stream.peaks, kept)))
            begin += stream.seconds
        return Peaked([_every_second_word(stream, side) for stream in self.words], negatives)


def _times(stream: Listened) -> np.ndarray:
    return stream.first + stream.peaks.decisions * stream.step


def _kept(peaks: Peaks, kept: np.ndarray) -> Peaks:
    return Peaks(*(column[kept] for column in peaks))


def _before(times: np.ndarray, part: float, side: int) -> np.ndarray:
    """Returns how many seconds of one half come before each time."""
    return times // (2 * part) * part + np.clip(times % (2 * part) - side * part, 0, part)


def _every_second_word(stream: Listened, side: int) -> Listened:
    """Returns the stream with one half of its words, and what is from each to the next."""
    words = sorted(stream.words, key=lambda word: word.start)
    starts = np.array([word.start for word in words])
    number = np.maximum(np.searchsorted(starts, _times(stream), "right") - 1, 0)
    kept = _kept(stream.peaks, number % 2 == side)
    return replace(stream, seconds=stream.seconds / 2, peaks=kept, words=tuple(words[side::2]))
