"""What speech to synthesise, how much of it and in which format."""

import hashlib
import json
import math
from dataclasses import asdict, dataclass

from kws_tf.audio.speech_commands import TESTING, TRAINING, VALIDATION
from kws_tf.errors import KwsError
from kws_tf.labels import KEYWORDS, word_key
from kws_tf.synthesis.engine import ACCENTS
from kws_tf.synthesis.words import UNKNOWN_WORDS, checked_word

RECIPE_VERSION = 2
"""Raise it whenever the same settings would give other bytes."""
CUT = " (cut)"
"""Ends the name of the folder of a keyword's parts."""


@dataclass(frozen=True)
class SynthesisSettings:
    """What is spoken, how often, and in which format. The settings determine every byte.

    Attributes:
        words: The keywords, in the spelling that names their folders.
        unknown_words: Other words, for the unknown class; keywords among them are left out.
        per_word: Examples of each keyword over all partitions, at least 3.
        per_unknown_word: Examples of each other word over all partitions, at least 3.
        validation_share: Share of a word's examples spoken by validation voices.
        testing_share: Share of a word's examples spoken by testing voices.
        seed: Any integer; another seed gives other speakers and utterances.
        sample_rate: Hz, at most 22,050, espeak-ng's own.
        seconds: Length of an example.
        noise_seconds: Length of each background recording.
        speech_minutes: Running speech for training, validation and testing, minutes; at least so
            much is made.
        cut_words: Whether parts of the keywords, as in a window that a word enters or leaves, are
            made for the unknown class as well, in folders ``<word> (cut)``.
        accents: Accents of the speakers; what stands twice is twice as frequent.
        variety: Factor on how far speakers differ in pitch, rate, vocal tract and spectral tilt.
        snr_db: Smallest and largest level of the word over the noise, dB.
        room_share: Share of examples spoken in a room.

    Raises:
        KwsError: A value is out of range, or a word cannot be spoken.

    Example:
        >>> settings = SynthesisSettings(words=("lights on", "dim"), per_word=100)
        >>> settings.counts("dim")
        {'training': 75, 'validation': 10, 'testing': 15}
    """

    words: tuple[str, ...] = KEYWORDS
    unknown_words: tuple[str, ...] = UNKNOWN_WORDS
    per_word: int = 300
    per_unknown_word: int = 25
    validation_share: float = 0.1
    testing_share: float = 0.15
    seed: int = 0
    sample_rate: int = 16_000
    seconds: float = 1.0
    noise_seconds: float = 30.0
    speech_minutes: tuple[float, float, float] = (30.0, 15.0, 15.0)
    cut_words: bool = False
    accents: tuple[str, ...] = ACCENTS
    variety: float = 1.0
    snr_db: tuple[float, float] = (10, 50)
    room_share: float = 0.5

    def __post_init__(self):
        self._check_numbers()
        words = tuple(checked_word(word) for word in self.words)
        keys = [word_key(word) for word in words]
        if not words:
            raise KwsError("no word to synthesise; give at least one")
        for number, (key, word) in enumerate(zip(keys, words, strict=True)):
            if key in keys[:number]:
                raise KwsError(f"the word '{word}' is given twice; give each word once")
        unknown = {word_key(word): word for word in map(checked_word, self.unknown_words)}
        object.__setattr__(self, "words", words)
        object.__setattr__(
            self, "unknown_words", tuple(word for key, word in unknown.items() if key not in keys)
        )

    def _check_numbers(self) -> None:
        for name in ("per_word", "per_unknown_word"):
            if getattr(self, name) < 3:
                raise KwsError(f"{name} is {getattr(self, name)}; 3 partitions need at least 3")
        shares = self.validation_share, self.testing_share
        if min(shares) <= 0 or sum(shares) >= 1:
            raise KwsError(
                f"the shares for validation ({shares[0]}) and testing ({shares[1]}) leave none "
                "for training; give positive shares whose sum is below 1"
            )
        if not 8_000 <= self.sample_rate <= 22_050:
            raise KwsError(f"the sample rate is {self.sample_rate} Hz; give 8,000 to 22,050")
        if not 0.25 <= self.seconds <= 5:
            raise KwsError(f"an example would last {self.seconds} s; give 0.25 to 5 seconds")
        if not 0 <= self.variety <= 1.6:
            raise KwsError(f"speakers that differ {self.variety} times as much; give 0 to 1.6")
        if self.noise_seconds < self.seconds:
            raise KwsError("background recordings are shorter than an example; raise noise_seconds")
        positive = [minutes for minutes in self.speech_minutes if 0 < minutes < math.inf]
        if not len(positive) == len(self.speech_minutes) == 3:
            given = ", ".join(f"{minutes:g}" for minutes in self.speech_minutes)
            raise KwsError(
                f"running speech of {given} minutes; give three numbers above 0: of minutes for "
                "training, validation and testing"
            )

    @property
    def digest(self) -> str:
        """Ten hex digits that name these settings, fit for the name of a cache folder."""
        return hashlib.sha256(json.dumps(self.description()).encode()).hexdigest()[:10]

    @property
    def other_words(self) -> tuple[str, ...]:
        """All words of the unknown class."""
        cut = tuple(word + CUT for word in self.words) if self.cut_words else ()
        return self.unknown_words + cut

    def description(self) -> dict:
        """Returns what tells one data set from another, in JSON's types."""
        # Through JSON, so that what is read back compares equal.
        return json.loads(json.dumps({"recipe": RECIPE_VERSION, "settings": asdict(self)}))

    def counts(self, word: str) -> dict[str, int]:
        """Returns how many examples of a word each partition gets, at least one each."""
        total = self.per_word if word in self.words else self.per_unknown_word
        validation = max(1, round(total * self.validation_share))
        testing = max(1, round(total * self.testing_share))
        validation = min(validation, total - 2)
        testing = min(testing, total - 1 - validation)
        training = total - validation - testing
        return {TRAINING: training, VALIDATION: validation, TESTING: testing}

    def samples(self, seconds: float) -> int:
        """Returns the number of samples that last so long."""
        return round(seconds * self.sample_rate)
