"""What rendering, noises and phrases share: chance by a key, and operations on float64 samples."""

import hashlib

import numpy as np

from kws_tf.audio import reader


def generator(*key) -> np.random.Generator:
    """Returns a random generator that depends on nothing but a key of numbers and strings.

    Example:
        >>> bool(generator(0, "yes").integers(100) == generator(0, "yes").integers(100))
        True
    """
    return np.random.default_rng(list(hashlib.sha256(repr(key).encode()).digest()))


def gain(decibels: float) -> float:
    """Returns the factor on samples that changes their level by so many dB."""
    return 10 ** (decibels / 20)


def unit_rms(samples: np.ndarray) -> np.ndarray:
    """Returns the samples at an RMS of 1."""
    return samples / np.sqrt(np.mean(samples**2))


def resampled(samples: np.ndarray, ratio: float) -> np.ndarray:
    """Resamples to ``round(n * ratio)`` samples by cutting the spectrum; ``ratio`` at most 1."""
    length = round(len(samples) * ratio)
    return np.fft.irfft(np.fft.rfft(samples)[: length // 2 + 1], length) * (length / len(samples))


def coloured_noise(
    rng: np.random.Generator, length: int, sample_rate: int, exponent: float
) -> np.ndarray:
    """Returns noise of unit RMS [length] whose power falls as 1 / f^exponent above 30 Hz."""
    frequency = np.fft.rfftfreq(length, 1 / sample_rate)
    spectrum = np.fft.rfft(rng.normal(size=length)) * np.maximum(frequency, 30) ** (-exponent / 2)
    spectrum[0] = 0
    return unit_rms(np.fft.irfft(spectrum, length))


def wav_bytes(samples: np.ndarray, sample_rate: int) -> bytes:
    """Returns a WAV file of float samples [n], rounded, and limited to full scale."""
    return reader.wav_bytes(
        np.round(np.clip(samples, -1, 1) * 32_767).astype(np.int16), sample_rate
    )
