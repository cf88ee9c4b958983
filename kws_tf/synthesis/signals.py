"""Operations on float64 samples that rendering, noises and phrases share."""

import io
import wave

import numpy as np


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
    """Returns a WAV file of 16-bit mono.

    Args:
        samples: float [n]; what is beyond -1..1 is limited to full scale.
        sample_rate: Hz.
    """
    pcm = np.round(np.clip(samples, -1, 1) * 32_767).astype("<i2")
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(pcm.tobytes())
    return content.getvalue()
