"""A stream of words as a recording, with a table of what is said when.

The table has a line a word: start and end, seconds, and the word, with tabs between them, as
Audacity exports and imports label tracks (https://manual.audacityteam.org, "Importing and
Exporting Labels").
"""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import soundfile

from kws_tf.errors import KwsError
from kws_tf.files import replacing, write_bytes
from kws_tf.listening.streams import Piece


class Said(NamedTuple):
    """What is said, and when, seconds from the recording's beginning."""

    start: float
    end: float
    text: str


def table_of(recording: Path) -> Path:
    """Returns where the table of a stream's words is written: beside it."""
    return recording.with_suffix(".txt")


def recorded(pieces: Iterable[Piece], path: Path, rate: int) -> Iterator[Piece]:
    """Yields pieces of samples as they come and writes them, WAV of 16 bits, and their words."""
    lines = []
    with (
        replacing(path) as unfinished,
        soundfile.SoundFile(unfinished, "w", rate, 1, "PCM_16", format="WAV") as file,
    ):
        for piece in pieces:
            file.write(piece.values)
            lines += [f"{word.start:.3f}\t{word.end:.3f}\t{word.label}\n" for word in piece.words]
            yield piece
    write_bytes(table_of(path), "".join(lines).encode())


def read_table(path: Path) -> list[Said]:
    """Reads a table of words.

    Raises:
        KwsError: It cannot be read, or a line is of another form.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise KwsError(
            f"the words {path} cannot be read ({error}); give a file of UTF-8"
        ) from error
    said = []
    for number, line in enumerate(lines, 1):
        start, end, text = (*line.split("\t", 2), "", "")[:3]
        try:
            said.append(Said(float(start), float(end), text))
            if not -math.inf < said[-1].start <= said[-1].end < math.inf or not text.strip():
                raise ValueError
        except ValueError as error:
            raise KwsError(
                f"line {number} of {path} is no word with its time; write the start, a tab, the "
                "end, a tab and the word, in seconds"
            ) from error
    return said
