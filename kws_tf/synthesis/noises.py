"""Background recordings: noises, a hum of the mains, and people talking all at once."""

import math

import numpy as np

from kws_tf.synthesis.engine import Espeak
from kws_tf.synthesis.settings import SynthesisSettings
from kws_tf.synthesis.signals import coloured_noise, generator, resampled, unit_rms
from kws_tf.synthesis.voices import Speaker

_BABBLE = (
    "The weather was fine when we left the harbour, and nobody thought of rain.",
    "She asked whether the kitchen table had been moved again during the night.",
    "My brother bought a pound of apples and a newspaper at the corner shop.",
    "Most people agree that the old bridge should be painted before winter comes.",
    "We could hear music from the garden, though the windows were all shut.",
    "They talked about the journey, about money, and about what to cook for dinner.",
)
_SECONDS_PER_SENTENCE = 4
_TALKERS = 8


def background_noises(
    espeak: Espeak, settings: SynthesisSettings, speakers: list[Speaker]
) -> dict[str, np.ndarray]:
    """Returns the background recordings of the speakers' partition, of unit RMS, by name."""
    rng = generator(settings.seed, "noise", speakers[0].partition)
    length, rate = settings.samples(settings.noise_seconds), settings.sample_rate
    # In this order: all draw from one generator.
    hum = _hum(rng, settings)
    babble = _babble(rng, espeak, settings, speakers)
    return {
        "white_noise": coloured_noise(rng, length, rate, 0),
        "pink_noise": coloured_noise(rng, length, rate, 1),
        "brown_noise": coloured_noise(rng, length, rate, 2),
        "mains_hum": unit_rms(unit_rms(hum) + 0.2 * coloured_noise(rng, length, rate, 1)),
        "babble": unit_rms(babble),
    }


def _hum(rng: np.random.Generator, settings: SynthesisSettings) -> np.ndarray:
    """Returns the mains' frequency and 14 multiples of it."""
    length = settings.samples(settings.noise_seconds)
    time = np.arange(length) / settings.sample_rate
    mains = rng.choice([50, 60])
    return sum(
        np.sin(2 * np.pi * (mains * k * time + rng.random())) * rng.uniform(0.3, 1) / k
        for k in range(1, 16)
    )


def _babble(
    rng: np.random.Generator, espeak: Espeak, settings: SynthesisSettings, speakers: list[Speaker]
) -> np.ndarray:
    """Returns people who talk at once, each in a loop from a place of their own."""
    babble = np.zeros(settings.samples(settings.noise_seconds))
    sentences = math.ceil(settings.noise_seconds / _SECONDS_PER_SENTENCE)
    for _ in range(_TALKERS):
        speaker = speakers[rng.integers(len(speakers))]
        text = " ".join(rng.permutation(_BABBLE)[:sentences])
        talk = espeak.speak(text, speaker.voice, speaker.rate, speaker.pitch)
        talk = resampled(talk, settings.sample_rate / espeak.sample_rate / speaker.size)
        babble += np.resize(np.roll(unit_rms(talk), rng.integers(len(talk))), len(babble))
    return babble
