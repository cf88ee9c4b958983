"""Who says which word how often."""

from dataclasses import dataclass

from kws_tf.synthesis.chance import generator, in_turn
from kws_tf.synthesis.settings import SynthesisSettings
from kws_tf.synthesis.voices import Speaker, cast


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
                Utterance(word, speakers[partition][in_turn(order, index)], index // len(order))
                for index in range(number)
            ]
    return sorted(utterances, key=lambda u: (u.speaker.partition, u.speaker.name, u.path))
