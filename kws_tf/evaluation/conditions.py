"""Conditions that a model is measured under: noise at a ratio, noise alone, shifts in time."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kws_tf.audio import reader, speech_commands
from kws_tf.errors import KwsError

Samples = Callable[[np.ndarray], np.ndarray]
"""From positions of examples, int [n], to their samples, float32 [n, samples]."""


class Condition(NamedTuple):
    """What the model is given, and what would be right."""

    name: str  # ``clean``, ``noise``, ``noise alone`` or ``shift``
    noise: str | None  # name of the recording
    snr_db: float | None  # signal-to-noise ratio, dB
    shift_ms: float  # positive is later
    chosen: np.ndarray  # int [n], positions of the examples
    truth: np.ndarray  # int [n], the right classes
    samples: Samples


def mix(samples: np.ndarray, noise: np.ndarray, speech_power, snr_db: float) -> np.ndarray:
    """Adds noise to samples, both float32 [examples, samples], at a signal-to-noise ratio.

    The ratio is that of ``speech_power`` [examples], from ``levels.active_power``, to the noise's
    mean power, which must not be 0. The sum may exceed [-1, 1].
    """
    noise_power = np.square(noise, dtype=np.float64).mean(1)
    gain = np.sqrt(speech_power / noise_power * 10 ** (-snr_db / 10))
    return samples + gain[:, None].astype(np.float32) * noise


def shift(samples: np.ndarray, offset: int) -> np.ndarray:
    """Moves examples by ``offset`` samples, later if positive; zeros come in."""
    moved = np.roll(samples, offset, axis=1)
    moved[:, slice(offset) if offset >= 0 else slice(offset, None)] = 0
    return moved


def excerpts(path: Path, recording: np.ndarray, places: np.ndarray, length: int) -> Samples:
    """Returns stretches of a recording, float32 [samples]; a KwsError if it cannot be mixed.

    ``places``, float [examples] in [0, 1), say where in the recording each stretch begins.
    """
    windows = len(recording) - length + 1
    if windows < 1:
        raise KwsError(
            f"{path} is shorter than an example of {length} samples; give a longer recording"
        )
    sounding = np.concatenate([[0], np.cumsum(recording != 0)])
    if not np.all(sounding[length:] - sounding[:windows]):
        raise KwsError(
            f"{path} holds nothing but zeros for as long as an example, so that it cannot be mixed "
            "at a signal-to-noise ratio; cut that part out or remove the file"
        )
    starts = (places * windows).astype(np.int64)
    return lambda chosen: recording[starts[chosen, None] + np.arange(length)]


def recordings(folder: Path, rate: int, mix_down: bool) -> Iterator[tuple[str, Path, np.ndarray]]:
    """Yields name, path and samples, float32, of each noise recording in a folder."""
    paths = speech_commands.noise_files(folder)
    stems = [path.stem for path in paths]
    for path in paths:
        name = path.stem if stems.count(path.stem) == 1 else path.name
        yield name, path, reader.load(path, rate, mix_down)


def clean(samples: Samples, labels: np.ndarray) -> Condition:
    """Returns all examples as they are."""
    return Condition("clean", None, None, 0.0, np.arange(len(labels)), labels, samples)


def noisy(
    name: str,
    noise: Samples,
    snr_db: float,
    samples: Samples,
    power: np.ndarray,
    words: np.ndarray,
    labels: np.ndarray,
) -> Condition:
    """Returns the examples of words with a recording's noise.

    ``words`` are the positions of the examples that are not silence, ``power`` [examples] is the
    active power, ``labels`` [examples] are the classes of all.
    """

    def make(chosen):
        return mix(samples(chosen), noise(chosen), power[chosen], snr_db)

    return Condition("noise", name, snr_db, 0.0, words, labels[words], make)


def noise_alone(name: str, noise: Samples, amplitudes: np.ndarray, silence: int) -> Condition:
    """Returns stretches of a recording at their amplitudes; right is the class ``silence``."""
    chosen = np.arange(len(amplitudes))
    truth = np.full(len(chosen), silence)

    def make(chosen):
        return amplitudes[chosen] * noise(chosen)

    return Condition("noise alone", name, None, 0.0, chosen, truth, make)


def shifted(ms: float, offset: int, samples: Samples, labels: np.ndarray) -> Condition:
    """Returns all examples moved by ``offset`` samples, which are ``ms`` milliseconds."""
    chosen = np.arange(len(labels))
    return Condition("shift", None, None, ms, chosen, labels, lambda c: shift(samples(c), offset))
