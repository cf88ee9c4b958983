"""The examples of a partition in memory, from records or from audio, in one form."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kws_tf.errors import KwsError
from kws_tf.frontend.config import LogMel
from kws_tf.labels import check_spelling, class_names


@dataclass(frozen=True)
class Examples:
    """Examples of one partition, as stored: 8-bit spectrograms or 16-bit samples.

    Attributes:
        values: uint8 [examples, frames, bands] or int16 [examples, samples].
        keyword: int64 [examples]; index into ``words``, -1 for an unknown word.
        noise: Background noise in slices of an example's shape; same dtype as ``values``.
        words: The keywords.
        log_mel: Front end of the spectrograms; ``None`` for samples.
    """

    values: np.ndarray
    keyword: np.ndarray
    noise: np.ndarray
    words: Sequence[str]
    log_mel: LogMel | None

    @property
    def keyword_positions(self) -> np.ndarray:
        """Positions of the keywords, int64."""
        return np.flatnonzero(self.keyword >= 0)

    @property
    def unknown_positions(self) -> np.ndarray:
        """Positions of the unknown words, int64."""
        return np.flatnonzero(self.keyword < 0)


def keyword_indices(spoken: np.ndarray, words: Sequence[str], where: str) -> np.ndarray:
    """Returns the index of each example's word among the keywords, -1 for others, int64.

    Args:
        spoken: The word of each example.
        words: The keywords.
        where: Where the examples are, for the error.

    Raises:
        KwsError: If there is no example of a keyword, one is spelled in another way there, or the
            list of words is not usable.
    """
    class_names(words)
    check_spelling(words, spoken, where)
    index = {word: i for i, word in enumerate(words)}
    keyword = np.array([index.get(word, -1) for word in spoken], np.int64)
    for word, i in index.items():
        if not np.any(keyword == i):
            raise KwsError(
                f"there is no example of the word '{word}' in the {where}; "
                f"it has: {', '.join(sorted(set(map(str, spoken)))) or 'none'}"
            )
    return keyword
