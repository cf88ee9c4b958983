"""Who speaks in a recording, and in which partition each speaker goes.

The official rule takes the partition from a hash of the speaker's name (``partition_of``). Names
are therefore made so that the rule gives the partition wanted: no list of files is needed, and
the recordings keep their partition wherever they are copied.
"""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from itertools import count
from pathlib import PurePath

from kws_tf.audio.speech_commands import PARTITIONS, partition_of, speaker_of
from kws_tf.labels import clean_word, word_key


def told_by(path: PurePath, word: str) -> str | None:
    """Returns the speaker that a recording's path tells, without regard to case.

    The first that applies: what comes before ``_nohash_`` in the name, the folder within the
    word's folder, what comes before the first underscore in the name. The word itself at the
    beginning of a name does not count: ``lights_on_anna_3.wav`` is Anna's, ``up_3.wav`` nobody's.
    The path is relative to the word's folder.
    """
    official = speaker_of(path)
    if official != path.stem:
        name = official
    elif len(path.parts) > 1:
        name = path.parts[0]
    else:
        # The word may be spelled with other spaces, underscores and hyphens.
        spelled = "[ _-]+".join(map(re.escape, re.split("[ -]", word_key(word))))
        stem = re.sub(f"^{spelled}[ _-]+", "", clean_word(path.stem).casefold())
        name, underscore, _ = stem.partition("_")
        name = name if underscore else ""
    return clean_word(name).casefold() or None


def is_official(path: PurePath) -> bool:
    """Tells whether a name is one of Speech Commands, so that its speaker keeps it."""
    return "_nohash_" in path.name and bool(re.fullmatch("[0-9a-f]{8}", speaker_of(path)))


def name_for(speaker: str, partition: str) -> str:
    """Returns eight hex digits for a speaker that the official rule puts into the partition."""
    return next(name for name in _names(speaker) if partition_of(name) == partition)


def assign(said: Mapping[str, Mapping[str, int]], kept: Collection[str] = ()) -> dict[str, str]:
    """Puts every speaker into one partition, whatever the order of the arguments.

    The official rule decides. Where it leaves a word without a speaker in some partition, the
    speaker of the fewest recordings whose move helps is moved, again and again. A word gets
    speakers for training first, then for validation, then for testing, as far as it has speakers.
    ``said`` has the number of recordings of each word by each speaker. Speakers that are ``kept``
    have given names, and with them given partitions.
    """
    partitions = {
        speaker: partition_of(speaker if speaker in kept else next(_names(speaker)))
        for speaker in said
    }
    movable = sorted(set(said) - set(kept), key=lambda s: (sum(said[s].values()), s))
    there = Counter((word, partitions[speaker]) for speaker in said for word in said[speaker])

    def change(move: tuple[str, str]) -> list[int]:
        """Returns by how many words without a speaker each partition changes."""
        speaker, target = move
        left = sum(there[word, partitions[speaker]] == 1 for word in said[speaker])
        found = sum(there[word, target] == 0 for word in said[speaker])
        return [left * (p == partitions[speaker]) - found * (p == target) for p in PARTITIONS]

    while moves := [(s, p) for s in movable for p in PARTITIONS if p != partitions[s]]:
        move = min(moves, key=change)  # of equals, the first
        if change(move) >= [0] * len(PARTITIONS):
            break
        speaker, target = move
        for word in said[speaker]:
            there[word, partitions[speaker]] -= 1
            there[word, target] += 1
        partitions[speaker] = target
    return partitions


def _names(speaker: str) -> Iterator[str]:
    """Yields eight hex digits for a speaker, others each time."""
    return (hashlib.sha1(os.fsencode(f"{speaker}/{n}")).hexdigest()[:8] for n in count())
