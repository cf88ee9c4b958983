"""Synthetic speakers: accents and variants of espeak-ng's voice with habits of their own."""

import hashlib
import math
from dataclasses import dataclass

import numpy as np

from kws_tf.audio.speech_commands import TESTING, TRAINING, VALIDATION, partition_of
from kws_tf.synthesis.chance import about, generator, in_turn
from kws_tf.synthesis.settings import SynthesisSettings

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
    """A synthetic speaker.

    Attributes:
        name: Eight hex digits that the official rule puts into ``partition``.
        partition: One of ``PARTITIONS``.
        voice: ``accent+variant``, as espeak-ng names it.
        pitch: Base pitch, 0 to 99 in espeak-ng's scale.
        rate: Words a minute.
        size: Factor on all frequencies, as a shorter (> 1) or longer vocal tract gives.
    """

    name: str
    partition: str
    voice: str
    pitch: float
    rate: float
    size: float


def cast(settings: SynthesisSettings) -> dict[str, list[Speaker]]:
    """Returns each partition's speakers, female and male in turn, no variant in two partitions."""
    return {partition: _cast(settings, partition) for partition in VARIANTS}


def _cast(settings: SynthesisSettings, partition: str) -> list[Speaker]:
    rng = generator(settings.seed, "cast", partition)
    pools = [rng.permutation(variants) for variants in VARIANTS[partition]]
    number = math.ceil(settings.counts(settings.words[0])[partition] / _EXAMPLES_PER_SPEAKER)
    return [
        Speaker(
            name=_name(f"{settings.seed}/{partition}/{index}", partition),
            partition=partition,
            voice=f"{rng.choice(settings.accents)}+{in_turn(pools[index % 2], index // 2)}",
            pitch=float(np.clip(about(rng, 50, 25 * settings.variety), 0, 99)),
            rate=about(rng, 155, 45 * settings.variety),
            size=about(rng, 1, 0.08 * settings.variety),
        )
        for index in range(number)
    ]


def _name(identity: str, partition: str) -> str:
    """Returns the first hash of an identity that the official rule puts into a partition."""
    attempt = 0
    while True:
        name = hashlib.sha1(f"{identity}/{attempt}".encode()).hexdigest()[:8]
        if partition_of(name) == partition:
            return name
        attempt += 1
