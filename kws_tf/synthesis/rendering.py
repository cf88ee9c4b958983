"""One utterance as samples: a voice in a room, at a level, over noise."""

import numpy as np

from kws_tf.errors import KwsError
from kws_tf.synthesis.engine import Espeak
from kws_tf.synthesis.settings import CUT, SynthesisSettings
from kws_tf.synthesis.signals import coloured_noise, gain, generator, resampled
from kws_tf.synthesis.voices import Utterance

_KEPT_SHARE = (0.3, 0.65)
"""What is left of a cut word."""
_FASTEST_RATE = 300
"""Words a minute; beyond it words blur."""


def render(espeak: Espeak, settings: SynthesisSettings, utterance: Utterance) -> np.ndarray:
    """Makes one example; the utterance's path and the seed decide all chance.

    Returns:
        float64 samples [seconds * sample_rate] in -1..1.

    Raises:
        KwsError: The word does not fit the example, or espeak-ng cannot speak it.
    """
    rng = generator(settings.seed, utterance.path)
    length = settings.samples(settings.seconds)
    spoken = _spoken(rng, espeak, settings, utterance)
    tilt = 0.4 * settings.variety  # of the spectrum
    spoken[1:] -= rng.uniform(-tilt, tilt) * spoken[:-1]
    spoken, start = _placed(rng, spoken, length, cut=utterance.word.endswith(CUT))
    samples = np.zeros(length)
    samples[start : start + len(spoken)] = spoken
    if rng.random() < settings.room_share:
        samples = _in_room(rng, settings, samples)
    # Level and SNR are about the word, however much of the example it fills.
    samples /= np.sqrt(np.mean(samples[start : start + len(spoken)] ** 2))
    exponent = rng.uniform(0, 2)
    noise = coloured_noise(rng, length, settings.sample_rate, exponent)
    samples += noise * gain(-rng.uniform(*settings.snr_db))
    samples *= gain(np.clip(rng.normal(-19, 6), -35, -9))  # as in Speech Commands
    return samples / max(1.0, np.abs(samples).max())


def _spoken(
    rng: np.random.Generator, espeak: Espeak, settings: SynthesisSettings, utterance: Utterance
) -> np.ndarray:
    """Returns the whole word [n], as fast as it must be to fit the example."""
    speaker = utterance.speaker
    # The mark changes the melody.
    text = utterance.word.removesuffix(CUT) + rng.choice(["", ".", "!", "?"])
    rate = speaker.rate * rng.uniform(0.85, 1.15)
    pitch = np.clip(speaker.pitch + rng.normal(0, 6), 0, 99)
    pitch_range = rng.uniform(25, 85)
    while True:
        spoken = espeak.speak(text, speaker.voice, rate, pitch, pitch_range)
        spoken = resampled(spoken, settings.sample_rate / espeak.sample_rate / speaker.size)
        if len(spoken) <= settings.samples(settings.seconds):
            return spoken
        if rate >= _FASTEST_RATE:
            raise KwsError(
                f"'{utterance.word}' takes {len(spoken) / settings.sample_rate:.1f} s, more than "
                f"the window of {settings.seconds:g} s; give a larger --window-ms or a shorter word"
            )
        rate = min(rate * 1.2, _FASTEST_RATE)


def _placed(
    rng: np.random.Generator, spoken: np.ndarray, length: int, cut: bool
) -> tuple[np.ndarray, int]:
    """Returns what the example holds of a word, and the sample at which it begins.

    A whole word lies about the middle; a cut one enters at the end or leaves at the beginning.
    """
    if not cut:
        return spoken, round((length - len(spoken)) * rng.beta(3, 3))
    kept = round(len(spoken) * rng.uniform(*_KEPT_SHARE))
    if rng.random() < 0.5:
        return spoken[:kept], length - kept
    return spoken[-kept:], 0


def _in_room(rng: np.random.Generator, settings: SynthesisSettings, dry: np.ndarray) -> np.ndarray:
    """Adds an exponentially decaying noise tail (RT60 0.1 to 0.4 s) 8 to 20 dB under the direct."""
    rt60 = rng.uniform(0.1, 0.4)
    time = np.arange(1, settings.samples(rt60)) / settings.sample_rate
    tail = rng.normal(size=len(time)) * 10 ** (-3 * time / rt60)
    tail *= gain(rng.uniform(-20, -8)) / np.linalg.norm(tail)
    response = np.concatenate([[1.0], tail])
    size = len(dry) + len(response)
    return np.fft.irfft(np.fft.rfft(dry, size) * np.fft.rfft(response, size), size)[: len(dry)]
