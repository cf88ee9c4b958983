"""The classes and their order: the one place that decides it."""

import unicodedata
from collections.abc import Iterable, Sequence

from kws_tf.errors import KwsError

SILENCE = "_silence_"
UNKNOWN = "_unknown_"
SILENCE_INDEX = 0
UNKNOWN_INDEX = 1
FIRST_KEYWORD_INDEX = 2
# The ten commands of the 12-class task (Warden 2018, arXiv 1804.03209, section 7).
KEYWORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")


def clean_word(word: str) -> str:
    """Returns a word or phrase in Unicode's composed form, with single spaces between its parts.

    Example:
        >>> clean_word("  lights   on ")
        'lights on'
    """
    return unicodedata.normalize("NFC", " ".join(word.split()))


def word_key(word: str) -> str:
    """Returns what the spellings of one word have in common.

    Example:
        >>> word_key("Lights_On") == word_key("lights on")
        True
    """
    return clean_word(word.replace("_", " ")).casefold()


def class_names(words: Sequence[str] = KEYWORDS) -> tuple[str, ...]:
    """Returns the class names in the order of the model's outputs, in which keywords stay as given.

    Raises:
        KwsError: If there is no word, one is named twice (in whatever spelling) or has a reserved
            name, or one cannot be the name of a folder and a line of a file.

    Example:
        >>> class_names(["up", "down"])
        ('_silence_', '_unknown_', 'up', 'down')
    """
    words = tuple(words)
    keys = {word_key(word) for word in words}
    if not words or len(keys) != len(words) or {SILENCE, UNKNOWN} & set(words) or "" in keys:
        raise KwsError(
            f"the list of words ({','.join(words)}) is empty, names a word twice or holds a "
            "reserved name; give each keyword once, such as --words up,down"
        )
    for word in words:
        if word != clean_word(word) or word[0] in "._" or not word.isprintable() or "/" in word:
            raise KwsError(
                f"the word {word!r} cannot name a folder of recordings; give words without slash, "
                "control character or double space that begin with neither dot nor underscore"
            )
    return (SILENCE, UNKNOWN, *words)


def check_spelling(words: Sequence[str], spoken: Iterable[str], where: str) -> None:
    """Refuses spoken words that are keywords in another spelling, and would count as unknown."""
    spelling = {word_key(word): word for word in words}
    for word in sorted(set(map(str, spoken))):
        wanted = spelling.get(word_key(word), word)
        if word != wanted:
            raise KwsError(
                f"the examples of '{word}' in {where} are of the keyword '{wanted}' in another "
                f"spelling; rename their folder, or spell it '{word}' in --words"
            )
