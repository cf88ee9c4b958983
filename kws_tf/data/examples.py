"""The clips of a partition in memory, from records or from audio, in one form."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kws_tf.frontend.config import LogMel


@dataclass(frozen=True)
class Examples:
    """Clips of one partition, as stored: 8-bit pictures or 16-bit samples.

    Attributes:
        clips: uint8 [clips, frames, bands] or int16 [clips, samples].
        keyword: int64 [clips]; index into ``words``, -1 for an unknown word.
        noise: Background noise in slices of a clip's shape; same dtype as ``clips``.
        words: The keywords.
        log_mel: Front end of the pictures; ``None`` for samples.
    """

    clips: np.ndarray
    keyword: np.ndarray
    noise: np.ndarray
    words: Sequence[str]
    log_mel: LogMel | None

    @property
    def keyword_positions(self) -> np.ndarray:
        """Positions of the keyword clips, int64."""
        return np.flatnonzero(self.keyword >= 0)

    @property
    def unknown_positions(self) -> np.ndarray:
        """Positions of the clips of unknown words, int64."""
        return np.flatnonzero(self.keyword < 0)
