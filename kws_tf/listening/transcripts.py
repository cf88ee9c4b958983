"""Which recordings hold a keyword, by what was said in them.

A table has a line a recording: its name without the ending, a tab, the text. A recording holds a
keyword if its text has it, in any spelling of ``word_key``, or words that sound the same (``know``
and ``no``): espeak-ng's phonemes in one of its accents of English, of words spoken one by one.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from kws_tf.errors import KwsError
from kws_tf.labels import word_key
from kws_tf.synthesis import fresh_process
from kws_tf.synthesis.engine import ACCENTS, Espeak
from kws_tf.synthesis.words import can_speak

Sounds = Mapping[str, Sequence[tuple[str, ...]]]
"""Of a word, the phonemes in each accent."""


def read(table: Path) -> dict[str, str]:
    """Reads a table of names and texts.

    Raises:
        KwsError: It cannot be read, a line has no tab, or a name has two different texts.
    """
    try:
        lines = Path(table).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise KwsError(
            f"the transcripts {table} cannot be read ({error}); give a file of UTF-8"
        ) from error
    texts: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        name, tab, text = line.partition("\t")
        if line.strip() and not tab:
            raise KwsError(f"line {number} of {table} has no tab; write NAME, a tab and the text")
        if tab and texts.setdefault(name, text) != text:
            raise KwsError(f"line {number} of {table} has another text for {name}; keep one")
    return texts


def keywords_in(texts: Mapping[str, str], keywords: Iterable[str]) -> dict[str, str]:
    """Returns the recordings that hold a keyword or what sounds the same.

    Args:
        texts: From ``read``.
        keywords: Words or phrases; of those that English voices cannot speak, the spelling counts.

    Returns:
        Name of the recording, and its words in question.
    """
    spoken = {name: _words(text) for name, text in texts.items()}
    wanted = [_words(keyword) for keyword in keywords]
    every = {word for words in (*spoken.values(), *wanted) for word in words}
    sounds = fresh_process.call(_sounds, tuple(sorted(filter(can_speak, every))))
    longest = 1 + max(map(len, wanted))  # a word may sound like two
    known: dict[tuple[str, ...], bool] = {}  # most are asked for again and again

    def first(words: Sequence[str]) -> str:
        for start in range(len(words)):
            for end in range(start + 1, min(len(words), start + longest) + 1):
                part = tuple(words[start:end])
                if part not in known:
                    known[part] = any(_is_same(part, keyword, sounds) for keyword in wanted)
                if known[part]:
                    return " ".join(part)
        return ""

    found = {name: first(words) for name, words in spoken.items()}
    return {name: words for name, words in found.items() if words}


def _words(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"[\w'-]+", word_key(text).replace("’", "'")))


def _sounds(words: Sequence[str]) -> dict[str, list[tuple[str, ...]]]:
    espeak = Espeak()
    accents = [espeak.phonemes(words, accent) for accent in ACCENTS]
    return {word: list(found) for word, *found in zip(words, *accents, strict=True)}


def _is_same(words: tuple[str, ...], keyword: tuple[str, ...], sounds: Sounds) -> bool:
    if words == keyword:
        return True
    if not all(word in sounds for word in (*words, *keyword)):
        return False
    return any(
        sum((sounds[word][accent] for word in words), ())
        == sum((sounds[word][accent] for word in keyword), ())
        for accent in range(len(ACCENTS))
    )
