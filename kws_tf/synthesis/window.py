"""How long a window the words need."""

import math
from collections.abc import Sequence

from kws_tf.errors import KwsError
from kws_tf.labels import clean_word
from kws_tf.settings import LONGEST_WINDOW_MS
from kws_tf.synthesis import fresh_process
from kws_tf.synthesis.engine import Espeak
from kws_tf.synthesis.words import can_speak

USUAL_WINDOW_MS = 1000
_BARELY, _ROOM = 0.1, 0.4
"""Seconds of a window beside the word: at least, and better."""


def fitting_window(words: Sequence[str]) -> int:
    """Returns the window for these words: 1,000 ms, or more where the longest needs it.

    It holds the word, spoken by a neutral voice and not in haste, for as long as three decisions
    of the device take, whose posteriors are averaged.

    Args:
        words: The keywords; those that cannot be spoken do not count.

    Returns:
        The length, ms.

    Raises:
        KwsError: If a word is too long for the longest window.
    """
    spoken = [word for word in map(clean_word, words) if can_speak(word)]
    if not spoken:
        return USUAL_WINDOW_MS
    return check_length(spoken, LONGEST_WINDOW_MS / 1000)


def check_length(words: Sequence[str], seconds: float) -> int:
    """Refuses words that a window barely holds.

    Args:
        words: Words that can be spoken.
        seconds: Length of the window.

    Returns:
        The window for the longest of the words, ms.

    Raises:
        KwsError: If one is too long for the window.
    """
    lengths = fresh_process.call(_spoken_lengths, tuple(words))
    word, longest = max(lengths.items(), key=lambda item: item[1])
    window = max(USUAL_WINDOW_MS, 100 * math.ceil(10 * (longest + _ROOM)))
    if longest + _BARELY > seconds:
        advice = f"give --window-ms {min(window, LONGEST_WINDOW_MS)} or choose a shorter word"
        if longest + _BARELY > LONGEST_WINDOW_MS / 1000:
            advice = f"the longest window is {LONGEST_WINDOW_MS} ms, so choose a shorter word"
        raise KwsError(
            f"'{word}' takes {longest:.1f} s and does not fit the window of {seconds:g} s; {advice}"
        )
    return min(window, LONGEST_WINDOW_MS)


def _spoken_lengths(words: Sequence[str]) -> dict[str, float]:
    """Returns how long each word takes, seconds."""
    espeak = Espeak()
    return {w: len(espeak.speak(w, "en+m3", 150)) / espeak.sample_rate for w in words}
