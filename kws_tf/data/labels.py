"""The classes and their order: the one place that decides it."""

from collections.abc import Sequence

from kws_tf.errors import KwsError

SILENCE = "_silence_"
UNKNOWN = "_unknown_"
SILENCE_INDEX = 0
UNKNOWN_INDEX = 1
FIRST_KEYWORD_INDEX = 2
# The ten commands of the 12-class task (Warden 2018, arXiv 1804.03209, section 7).
KEYWORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")


def class_names(words: Sequence[str] = KEYWORDS) -> tuple[str, ...]:
    """Returns the class names in the order of the model's outputs.

    Args:
        words: The keywords, in order.

    Raises:
        KwsError: If there is no word, or one is named twice or has a reserved name.
    """
    words = tuple(words)
    if not words or len(set(words)) != len(words) or {SILENCE, UNKNOWN, ""} & set(words):
        raise KwsError(
            f"the list of words ({','.join(words)}) is empty, names a word twice or holds a "
            "reserved name; give each keyword once, such as --words up,down"
        )
    return (SILENCE, UNKNOWN, *words)
