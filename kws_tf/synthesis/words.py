"""Which words the English voices can speak, and the words that Speech Commands has by default."""

import unicodedata

from kws_tf.errors import KwsError
from kws_tf.labels import clean_word

UNKNOWN_WORDS = (
    *("bed", "bird", "cat", "dog", "eight", "five", "four", "happy", "house", "marvin", "nine"),
    *("one", "seven", "sheila", "six", "three", "tree", "two", "wow", "zero"),
    *("backward", "forward", "follow", "learn", "visual"),
)
"""The words of Speech Commands v0.02 that are none of the ten keywords."""


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
    """Returns a word in the spelling that names its folder.

    Args:
        word: A word or a phrase.

    Raises:
        KwsError: It cannot be spoken, or cannot name a folder.
    """
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


def spoken_text(word: str) -> str:
    """Returns what to speak for a word: names of folders may have underscores for spaces."""
    return word.replace("_", " ")
