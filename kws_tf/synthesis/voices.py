"""Synthetic speakers, and which of them says which word how often."""

import itertools
import math
from dataclasses import dataclass

import numpy as np

from kws_tf.audio.recordings.speakers import name_for
from kws_tf.audio.speech_commands import TESTING, TRAINING, VALIDATION
from kws_tf.synthesis.settings import SynthesisSettings
from kws_tf.synthesis.signals import generator

# espeak-ng's voice variants, female and male. Those that sound nearly alike (by log-mel distance
# over 35 words) share a partition; whispering, croaking, robotic and strongly echoing ones, and
# those whose words are seldom recognised from the other variants' words, are left out.
VARIANTS = {
    TRAINING: (
        ("f1", "f2", "f5", "Annie", "aunty", "belinda", "linda", "steph", "steph2", "steph3"),
        (
            *("m1", "m3", "m4", "m5", "m6", "m7", "Alex", "Mike", "Nguyen", "Mario", "max"),
            *("boris", "adam", "klatt6", "benjamin", "edward2", "Reed", "mike2", "klatt"),
            *("klatt2", "david", "Diogo", "Henrique", "Hugo", "michel", "miguel", "Denis"),
            *("victor", "Gene", "Gene2", "iven", "iven3", "iven4", "paul", "ed", "john"),
            *("travis", "AnxiousAndy"),
        ),
    ),
    VALIDATION: (
        ("f3", "grandma"),
        ("m2", "Michael", "gustave", "marcelo", "quincy", "antonio", "Tweaky"),
    ),
    TESTING: (
        ("f4", "Andrea", "anika"),
        (
            *("rob", "robert", "pedro", "Storm", "sandro", "Andy"),
            *("klatt3", "klatt4", "klatt5", "edward"),
        ),
    ),
}
_EXAMPLES_PER_SPEAKER = 1.5
"""Of one word."""


@dataclass(frozen=True)
class Speaker:
    """An accent and a variant of espeak-ng's voice, with habits of its own.

    The official rule puts the name into the partition. The rate is in words a minute, the pitch in
    espeak-ng's scale; all frequencies are multiplied by the size, as by that of a vocal tract.
    """

    name: str
    partition: str
    voice: str
    pitch: float
    rate: float
    size: float


@dataclass(frozen=True)
class Utterance:
    """One example to make: a speaker says a word for the ``repetition``-th time."""

    word: str
    speaker: Speaker
    repetition: int

    @property
    def path(self) -> str:
        """Path in the data set: ``<word>/<speaker>_nohash_<repetition>.wav``."""
        return f"{self.word}/{self.speaker.name}_nohash_{self.repetition}.wav"


def plan(settings: SynthesisSettings) -> list[Utterance]:
    """Returns every utterance of the data set, speaker by speaker."""
    speakers = cast(settings)
    utterances = []
    for word in settings.words + settings.other_words:
        for partition, number in settings.counts(word).items():
            # Rare words are not always spoken by the same few.
            order = generator(settings.seed, word, partition).permutation(len(speakers[partition]))
            utterances += [
                Utterance(word, speakers[partition][order[i % len(order)]], i // len(order))
                for i in range(number)
            ]
    return sorted(utterances, key=lambda u: (u.speaker.partition, u.speaker.name, u.path))


def cast(settings: SynthesisSettings) -> dict[str, list[Speaker]]:
    """Returns each partition's speakers, female and male in turn, no variant in two partitions."""
    return {partition: _cast(settings, partition) for partition in VARIANTS}


def _cast(settings: SynthesisSettings, partition: str) -> list[Speaker]:
    rng = generator(settings.seed, "cast", partition)
    pools = [rng.permutation(variants) for variants in VARIANTS[partition]]
    variety = settings.variety
    number = math.ceil(settings.counts(settings.words[0])[partition] / _EXAMPLES_PER_SPEAKER)
    return [
        Speaker(
            name=name_for(f"{settings.seed}/{partition}/{index}", partition),
            partition=partition,
            voice=f"{rng.choice(settings.accents)}+{pool[index // 2 % len(pool)]}",
            pitch=float(np.clip(rng.uniform(50 - 25 * variety, 50 + 25 * variety), 0, 99)),
            rate=rng.uniform(155 - 45 * variety, 155 + 45 * variety),
            size=rng.uniform(1 - 0.08 * variety, 1 + 0.08 * variety),
        )
        for index, pool in zip(range(number), itertools.cycle(pools))
    ]
