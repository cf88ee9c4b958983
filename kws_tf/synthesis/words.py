"""Words: Speech Commands' own, which ones the English voices can speak, and how long they take."""

import math
import unicodedata
from collections.abc import Sequence

from kws_tf.errors import KwsError
from kws_tf.labels import clean_word
from kws_tf.settings import LONGEST_WINDOW_MS
from kws_tf.synthesis import fresh_process
from kws_tf.synthesis.engine import Espeak, speak_all

UNKNOWN_WORDS = (
    *("bed", "bird", "cat", "dog", "eight", "five", "four", "happy", "house", "marvin", "nine"),
    *("one", "seven", "sheila", "six", "three", "tree", "two", "wow", "zero"),
    *("backward", "forward", "follow", "learn", "visual"),
)
"""The words of Speech Commands v0.02 that are none of the ten keywords."""
_USUAL_WINDOW_MS = 1000
_BARELY, _ROOM = 0.1, 0.4
"""Seconds of a window beside the word: at least, and better."""


def can_speak(word: str) -> bool:
    """Tells whether the English voices can speak a word.

    Example:
        >>> can_speak("lights on"), can_speak("да")
        (True, False)
    """
    try:
        checked_word(word)
    except KwsError:
        return False
    return True


def checked_word(word: str) -> str:
    """Returns a word in the spelling that names its folder, or refuses one that none can speak."""
    word = clean_word(word)
    if word.startswith("_"):
        raise KwsError(f"'{word}' cannot be spoken; begin every word with a letter or a digit")
    if not any(character.isalnum() for character in word):
        raise KwsError(f"'{word}' has nothing to speak; give words of letters or digits")
    for character in word:
        latin = unicodedata.name(character, "").startswith("LATIN")
        if not (latin or character in "0123456789 '-_"):
            raise KwsError(
                f"'{character}' in '{word}' cannot be spoken by the English voices; "
                "use Latin letters, digits, spaces, ' and - (or record the word yourself)"
            )
    return word


def fitting_window(words: Sequence[str]) -> int:
    """Returns the window for these words: 1,000 ms, or more where the longest needs it.

    It holds the word, spoken by a neutral voice and not in haste, for as long as three decisions
    of the device take, whose posteriors are averaged. Words that cannot be spoken do not count.
    """
    spoken = [word for word in map(clean_word, words) if can_speak(word)]
    if not spoken:
        return _USUAL_WINDOW_MS
    return check_length(spoken, LONGEST_WINDOW_MS / 1000)


def check_length(words: Sequence[str], seconds: float) -> int:
    """Returns the window for the longest word, ms, or refuses one that ``seconds`` barely hold."""
    spoken = fresh_process.call(speak_all, tuple(words), "en+m3", 150)
    longest, word = max(zip(map(len, spoken), words, strict=True), key=lambda pair: pair[0])
    longest /= Espeak.sample_rate
    window = max(_USUAL_WINDOW_MS, 100 * math.ceil(10 * (longest + _ROOM)))
    if longest + _BARELY > seconds:
        advice = f"give --window-ms {min(window, LONGEST_WINDOW_MS)} or choose a shorter word"
        if longest + _BARELY > LONGEST_WINDOW_MS / 1000:
            advice = f"the longest window is {LONGEST_WINDOW_MS} ms, so choose a shorter word"
        raise KwsError(
            f"'{word}' takes {longest:.1f} s and does not fit the window of {seconds:g} s; {advice}"
        )
    return min(window, LONGEST_WINDOW_MS)
