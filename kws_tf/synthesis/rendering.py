"""Samples of the data set: a voice in a room, at a level, over noise; and background noises."""

import math

import numpy as np
from scipy.fft import next_fast_len

from kws_tf.errors import KwsError
from kws_tf.synthesis.engine import Espeak
from kws_tf.synthesis.settings import CUT, SynthesisSettings
from kws_tf.synthesis.signals import coloured_noise, gain, generator, resampled, unit_rms
from kws_tf.synthesis.voices import Speaker, Utterance

_KEPT_SHARE = (0.3, 0.65)
"""What is left of a cut word."""
_FASTEST_RATE = 300
"""Words a minute; beyond it words blur."""
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


def render(espeak: Espeak, settings: SynthesisSettings, utterance: Utterance) -> np.ndarray:
    """Makes one example, float64 in -1..1; the utterance's path and the seed decide all chance."""
    rng = generator(settings.seed, utterance.path)
    length = settings.samples(settings.seconds)
    spoken = _spoken(rng, espeak, settings, utterance)
    tilted(rng, settings, spoken)
    spoken, start = _placed(rng, spoken, length, cut=utterance.word.endswith(CUT))
    samples = np.zeros(length)
    samples[start : start + len(spoken)] = spoken
    if rng.random() < settings.room_share:
        samples = in_room(rng, settings, samples)
    # Level and SNR are about the word, however much of the example it fills.
    samples /= np.sqrt(np.mean(samples[start : start + len(spoken)] ** 2))
    return recorded(rng, settings, samples)


def manner(rng: np.random.Generator, speaker: Speaker) -> tuple[float, float, float]:
    """Returns the rate, pitch and range of pitch with which a speaker speaks this time."""
    rate = speaker.rate * rng.uniform(0.85, 1.15)
    pitch = np.clip(speaker.pitch + rng.normal(0, 6), 0, 99)
    return rate, pitch, rng.uniform(25, 85)


def tilted(rng: np.random.Generator, settings: SynthesisSettings, samples: np.ndarray) -> None:
    """Tilts the spectrum of samples [n] in place, as another mouth or microphone does."""
    tilt = 0.4 * settings.variety
    samples[1:] -= rng.uniform(-tilt, tilt) * samples[:-1]


def recorded(
    rng: np.random.Generator, settings: SynthesisSettings, speech: np.ndarray
) -> np.ndarray:
    """Returns speech [n] of unit RMS over noise and at a level, in -1..1."""
    exponent = rng.uniform(0, 2)
    noise = coloured_noise(rng, len(speech), settings.sample_rate, exponent)
    samples = speech + noise * gain(-rng.uniform(*settings.snr_db))
    samples *= gain(np.clip(rng.normal(-19, 6), -35, -9))  # as in Speech Commands
    return samples / max(1.0, np.abs(samples).max())


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


def _spoken(
    rng: np.random.Generator, espeak: Espeak, settings: SynthesisSettings, utterance: Utterance
) -> np.ndarray:
    """Returns the whole word [n], as fast as it must be to fit the example."""
    speaker = utterance.speaker
    # The mark changes the melody.
    text = utterance.word.removesuffix(CUT) + rng.choice(["", ".", "!", "?"])
    rate, pitch, pitch_range = manner(rng, speaker)
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


def in_room(rng: np.random.Generator, settings: SynthesisSettings, dry: np.ndarray) -> np.ndarray:
    """Adds an exponentially decaying noise tail (RT60 0.1 to 0.4 s) 8 to 20 dB under the direct."""
    rt60 = rng.uniform(0.1, 0.4)
    time = np.arange(1, settings.samples(rt60)) / settings.sample_rate
    tail = rng.normal(size=len(time)) * 10 ** (-3 * time / rt60)
    tail *= gain(rng.uniform(-20, -8)) / np.linalg.norm(tail)
    response = np.concatenate([[1.0], tail])
    size = next_fast_len(len(dry) + len(response), real=True)
    return np.fft.irfft(np.fft.rfft(dry, size) * np.fft.rfft(response, size), size)[: len(dry)]


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
