"""An endless background: recordings in an order drawn from a seed, each at the same level."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from kws_tf.audio import reader
from kws_tf.audio.levels import active_power
from kws_tf.errors import KwsError
from kws_tf.listening.boundaries import active_mean

Load = Callable[[int], Iterator[np.ndarray]]
"""From a recording's number to its pieces, [n, ...], of the active level 1."""


class Background:
    """Recordings one after the other, all of them once, then all in a new order.

    Args:
        load: Reads a recording piece by piece.
        recordings: How many there are.
        seed: Of the order.
    """

    def __init__(self, load: Load, recordings: int, seed: int):
        self._pieces = self._endless(load, recordings, np.random.default_rng([seed, 1]))
        self._held = next(self._pieces)

    def take(self, length: int) -> np.ndarray:
        """Returns what follows, [length, ...]."""
        parts, missing = [self._held[:length]], length - len(self._held[:length])
        self._held = self._held[length:]
        while missing:
            piece = next(self._pieces)
            parts.append(piece[:missing])
            self._held = piece[missing:]
            missing -= len(parts[-1])
        return np.concatenate(parts)

    @staticmethod
    def _endless(load: Load, recordings: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
        while True:
            for number in rng.permutation(recordings):
                yield from load(number)


def of_files(paths: Sequence[Path], rate: int, seed: int, mix_down: bool = False) -> Background:
    """Returns a background of recordings of any length, float32 samples.

    The level is the active level (ITU-T P.56), the mean of that of pieces of half a minute.

    Raises:
        KwsError: Nothing but zeros in a recording, when its turn comes.
    """
    gains: dict[int, float] = {}

    def load(number: int) -> Iterator[np.ndarray]:
        path = paths[number]
        if number not in gains:
            levels = [(active_power(b[None], rate)[0], len(b)) for b in _blocks(path)]
            power = sum(level * length for level, length in levels)
            if not power:
                raise KwsError(
                    f"{path} holds nothing but zeros, so that it is no background; remove it"
                )
            gains[number] = np.sqrt(sum(length for level, length in levels if level) / power)
        for block in _blocks(path):
            yield np.float32(gains[number]) * block

    def _blocks(path: Path) -> Iterator[np.ndarray]:
        return reader.blocks(path, rate, mix_down)

    return Background(load, len(paths), seed)


def of_mel_power(recordings: Sequence[np.ndarray], seed: int) -> Background:
    """Returns a background of mel power, each float [frames, bands], a frame every 10 ms.

    The level is that of ``boundaries.active_mean`` of the sum over bands.

    Raises:
        KwsError: There is no power in a recording.
    """
    levels = [active_mean(recording.sum(1)) for recording in recordings]
    if not levels or not all(levels):
        raise KwsError("a background holds nothing but silence; give other recordings")

    def load(number: int) -> Iterator[np.ndarray]:
        yield recordings[number] / np.float32(levels[number])

    return Background(load, len(recordings), seed)
