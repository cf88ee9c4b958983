"""Sentences that hold no keyword, for running speech in which nothing may trigger.

They are random: small phrases of function words with places for listed words. What decides is how
they sound, so the places prefer what a spotter mistakes: about every third sentence has a near
neighbour of a keyword (``vocabulary``), and many have words inside which a keyword sounds, whole
or nearly (``golden`` for ``go``, ``announce`` for ``down``).
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from kws_tf.labels import word_key
from kws_tf.synthesis import fresh_process
from kws_tf.synthesis.engine import Espeak
from kws_tf.synthesis.vocabulary import Phonemes, listed, near_sounding, parts_of, spoken

_PHRASES = (
    *("the *", "a *", "this *", "every *", "some *", "my *", "your *", "our *", "their *"),
    *("of the *", "of *", "in the *", "at the *", "with a *", "from the *", "for my *", "by *"),
    *("on the *", "up the *", "off the *", "down the *", "to the right of the *", "under the *"),
    *("and the *", "and *", "or *", "but the *", "because *", "if the *", "when his *", "than *"),
    *("she has *", "he had *", "they could *", "we will *", "I would *", "you can *", "it was *"),
    *("is *", "are *", "was *", "has been *", "must *", "should *", "did not *", "there is no *"),
    *("to *", "not *", "very *", "so *", "what *", "how *", "who *", "all *", "her * and *"),
    *("* or *", "* and the *", "* is *", "* of *", "* that was *", "*", "* *", "from * to *"),
)
"""A star is a place for a listed word. What holds a keyword is left out."""
_PLACE = "*"
_FEWEST, _MOST = 2, 5
"""Phrases of a sentence."""
_NEAR_SHARE = 1 / 3
"""Of the sentences: those with a near neighbour."""
_AROUND_SHARE = 0.3
"""Of the places: those for a word around a keyword."""
_AROUND = 30
"""Words around a keyword, at most: else one of which there are many would be half of all."""
_COMMA_SHARE = 0.3
_MARKS = (".", ".", ".", "!", "?")
_PHONEMES_PER_EDIT = 3
"""For each so many phonemes of a keyword, one may differ in the word that holds it."""


@dataclass(frozen=True)
class Lexicon:
    """What sentences without some keywords are made of.

    Attributes:
        phrases: Function words with stars, which are places for a word.
        words: Listed words.
        near: For each keyword, words and phrases that sound nearly like it.
        around: For each keyword, longer words that hold its phonemes, whole or nearly.
    """

    phrases: tuple[str, ...]
    words: tuple[str, ...]
    near: dict[str, tuple[str, ...]]
    around: dict[str, tuple[str, ...]]
    _sounds: dict[str, tuple[Phonemes, ...]]
    _keywords: frozenset[Phonemes]

    def holds_keyword(self, text: str) -> bool:
        """Tells whether some words of a text, one after the other, sound or read as a keyword.

        In any accent, so ``know`` holds ``no``; a keyword inside a longer word does not count.
        """
        longest = max(map(len, self._keywords))
        in_each_way = zip(*(self._sounds[word] for word in parts_of(text)), strict=True)
        for words in in_each_way:
            for start in range(len(words)):
                run: Phonemes = ()
                for word in words[start:]:
                    run += word
                    if run in self._keywords:
                        return True
                    if len(run) > longest:
                        break
        return False


def lexicon_without(keywords: Sequence[str]) -> Lexicon:
    """Returns what sentences without these keywords are made of, as espeak-ng pronounces it."""
    return fresh_process.call(_lexicon, tuple(keywords))


def sentence(rng: np.random.Generator, lexicon: Lexicon, before: str = "") -> str:
    """Returns a sentence with its punctuation marks.

    Nor does it hold a keyword together with the plain words ``before`` it.
    """
    near = _joined(lexicon.near) or lexicon.words
    around = _joined(lexicon.around) or lexicon.words
    while True:
        number = rng.integers(_FEWEST, _MOST + 1)
        phrases = [_one(rng, lexicon.phrases).split() for _ in range(number)]
        places = [(p, i) for p in phrases for i, word in enumerate(p) if word == _PLACE]
        for phrase, place in places:
            phrase[place] = _one(rng, around if rng.random() < _AROUND_SHARE else lexicon.words)
        if rng.random() < _NEAR_SHARE:
            phrase, place = _one(rng, places)
            phrase[place] = _one(rng, near)
        texts = [" ".join(phrase) for phrase in phrases]
        if not lexicon.holds_keyword(" ".join([before, *texts])):
            break
    for index in range(number - 1):
        texts[index] += "," if rng.random() < _COMMA_SHARE else ""
    return " ".join(texts) + _one(rng, _MARKS)


def plain(text: str) -> str:
    """Returns the words of a sentence without its marks.

    Example:
        >>> plain("the kettle, of course.")
        'the kettle of course'
    """
    return " ".join(word.rstrip(",.!?") for word in text.split())


def _one(rng: np.random.Generator, items: Sequence):
    return items[rng.integers(len(items))]


def _joined(by_keyword: dict[str, tuple[str, ...]]) -> list[str]:
    return [text for texts in by_keyword.values() for text in texts]


def _lexicon(keywords: tuple[str, ...]) -> Lexicon:
    espeak = Espeak()
    near = {
        keyword: [" ".join(parts_of(text)) for text in texts]
        for keyword, texts in near_sounding(espeak, keywords).items()
    }
    words = [*listed("common_words.txt"), *listed("longer_words.txt")]
    texts = [*_PHRASES, *words, *keywords, *(text for texts in near.values() for text in texts)]
    sounds = _ways(espeak, [word for text in texts for word in parts_of(text)])
    sounds[_PLACE] = (("",),) * len(sounds[words[0]])  # as nothing else sounds
    taken = {way for ways in _ways(espeak, keywords).values() for way in ways}
    # A phrase word by word, too: espeak-ng joins some words when it speaks them together.
    for keyword in keywords:
        in_each_way = zip(*(sounds[part] for part in parts_of(keyword)), strict=True)
        taken |= {tuple(itertools.chain(*parts)) for parts in in_each_way}
    every = Lexicon((), (), {}, {}, sounds, frozenset(taken))

    def left(texts: Sequence[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(text for text in texts if not every.holds_keyword(text)))

    words = left(words)
    return replace(
        every,
        phrases=left(_PHRASES),
        words=words,
        near={keyword: left(texts) for keyword, texts in near.items()},
        around={keyword: _around(keyword, words, sounds) for keyword in keywords},
    )


def _ways(espeak: Espeak, texts: Sequence[str]) -> dict[str, tuple[Phonemes, ...]]:
    """Returns how each text sounds in every accent, and its letters as one more way."""
    return {
        text: (*found, tuple(word_key(text).replace(" ", "")))
        for text, found in spoken(espeak, texts).items()
    }


def _around(
    keyword: str, words: Sequence[str], sounds: dict[str, tuple[Phonemes, ...]]
) -> tuple[str, ...]:
    """Returns the words that hold a keyword's phonemes, or those of a part of a phrase.

    Those that hold them whole come first, then the shorter ones.
    """
    wanted = {way for part in parts_of(keyword) for way in sounds[part][:-1]}  # not the letters
    found = {}
    for word in words:
        within = [
            (_edits_within(a, b), len(b), word)
            for a, b in itertools.product(wanted, set(sounds[word][:-1]))
            if len(b) > len(a) and _edits_within(a, b) <= len(a) // _PHONEMES_PER_EDIT
        ]
        if within:
            found[word] = min(within)
    return tuple(sorted(found, key=found.get)[:_AROUND])


def _edits_within(a: Phonemes, b: Phonemes) -> int:
    """Returns the fewest edits between ``a`` and any part of ``b`` (Sellers 1980)."""
    row = [0] * (len(b) + 1)
    for i, x in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (x != y))
    return min(row)
