"""The words that a spotter for one's own words must refuse: those that sound near, and others.

Near is the edit distance between espeak-ng's phonemes, the smallest over the accents that speak
the data set. Of ``common_words.txt`` the nearest words are taken: for ``dim`` they are ``dip``,
``him``, ``team`` and others. For a phrase they are also its parts alone, its parts turned round,
the phrase with one part replaced by a near-sounding word, and with one part taken from another
phrase of the list. What sounds the same as a keyword (``write`` and ``right``) is left out.
"""

from collections.abc import Iterable, Iterator, Sequence
from importlib import resources

from kws_tf.labels import KEYWORDS, word_key
from kws_tf.synthesis import fresh_process
from kws_tf.synthesis.engine import ACCENTS, Espeak
from kws_tf.synthesis.words import UNKNOWN_WORDS

NEAR = 8
"""Near-sounding words for each keyword; likewise near-sounding phrases."""

Phonemes = tuple[str, ...]
Sounds = frozenset[Phonemes]


def unknown_words(words: Sequence[str]) -> tuple[str, ...]:
    """Returns the near-sounding words for a list of keywords, then those of Speech Commands."""
    return fresh_process.call(_unknown_words, tuple(words))


def _unknown_words(words: tuple[str, ...]) -> tuple[str, ...]:
    espeak = Espeak()
    found = [text for texts in near_sounding(espeak, words).values() for text in texts]
    candidates = _sounds(espeak, (*found, *KEYWORDS, *UNKNOWN_WORDS))
    keys, taken = set(map(word_key, words)), set().union(*_sounds(espeak, words).values())
    chosen = {}
    for text, sounds in candidates.items():
        key = word_key(text)
        if key not in keys and not sounds & taken:
            chosen.setdefault(key, text)
    return tuple(chosen.values())


def near_sounding(espeak: Espeak, words: Sequence[str]) -> dict[str, list[str]]:
    """Returns for each keyword what is easily taken for it; may hold what sounds the same."""
    common = _sounds(espeak, listed("common_words.txt"))
    parts = _sounds(espeak, [part for word in words for part in (word, *parts_of(word))])
    near = {part: _nearest(sounds, common) for part, sounds in parts.items()}
    return {word: list(_near_texts(word, words, near)) for word in words}


def listed(name: str) -> list[str]:
    """Returns the words of a list that comes with the package."""
    return (resources.files("kws_tf.synthesis") / name).read_text(encoding="utf-8").split()


def spoken(espeak: Espeak, texts: Iterable[str]) -> dict[str, tuple[Phonemes, ...]]:
    """Returns the phonemes of each text, one entry for each of ``ACCENTS``, in the texts' order."""
    texts = list(dict.fromkeys(texts))
    by_accent = [espeak.phonemes(texts, accent) for accent in ACCENTS]
    return {text: tuple(found) for text, *found in zip(texts, *by_accent, strict=True)}


def parts_of(word: str) -> list[str]:
    """Returns the words of a phrase."""
    return word.replace("_", " ").split()


def _sounds(espeak: Espeak, texts: Iterable[str]) -> dict[str, Sounds]:
    return {text: frozenset(found) for text, found in spoken(espeak, texts).items()}


def _near_texts(word: str, words: Sequence[str], near: dict[str, list[str]]) -> Iterator[str]:
    """Yields what is easily taken for a keyword."""
    parts = parts_of(word)
    if len(parts) == 1:
        yield from near[word][:NEAR]
        return
    yield from parts
    yield " ".join(reversed(parts))
    places = range(len(parts))
    near_sounding = [(place, near[parts[place]][turn]) for turn in range(NEAR) for place in places]
    others = [parts_of(other) for other in words if other != word]
    swapped = [(place, other[place]) for other in others for place in places[: len(other)]]
    for place, part in near_sounding[:NEAR] + swapped[:NEAR]:
        yield " ".join((*parts[:place], part, *parts[place + 1 :]))


def _nearest(wanted: Sounds, common: dict[str, Sounds]) -> list[str]:
    """Returns the words nearest in sound, without those that sound the same."""
    distance = {
        word: min(_edits(a, b) for a in wanted for b in sounds) for word, sounds in common.items()
    }
    ranked = sorted((edits, word) for word, edits in distance.items() if edits)
    return [word for _, word in ranked[:NEAR]]


def _edits(a: Sequence[str], b: Sequence[str]) -> int:
    """Returns Levenshtein's distance."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (x != y))
    return row[-1]
