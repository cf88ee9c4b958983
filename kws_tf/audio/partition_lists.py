"""``validation_list.txt`` and ``testing_list.txt``: which recordings are held out."""

import codecs
from collections.abc import Collection
from pathlib import Path

from kws_tf.audio.folders import stem
from kws_tf.errors import KwsError
from kws_tf.progress import note

Name = tuple[str, str]
"""A recording's word, and its name without extension."""


def read(data_dir: Path, names: dict[str, str], there: Collection[Name], others: Collection[str]):
    """Reads the lists of a data folder.

    A line is ``word/name.wav``. It may have backslashes and any folders before; the list may begin
    with a byte-order mark. Lines that name nothing are told on stderr.

    Args:
        data_dir: The data folder.
        names: The list of each held-out partition.
        there: The recordings of the words in use.
        others: Words of the folder that are not in use, whose lines are not checked.

    Returns:
        The partition of each listed recording, by ``Name``; ``None`` without lists.

    Raises:
        KwsError: A list is missing, no line of one names anything, or both name the same.
    """
    missing = [name for name in names.values() if not (data_dir / name).is_file()]
    if len(missing) == len(names):
        return None
    if missing:
        raise KwsError(
            f"{data_dir} has one official list but not {missing[0]}; add it, or remove the other "
            "so that the partition comes from the recordings' names"
        )
    listed: dict[Name, str] = {}
    for partition, name in names.items():
        lines, lost = _lines(data_dir / name), []
        for line in lines:
            word, recording = ("", *line.replace("\\", "/").split("/"))[-2:]
            key = word, stem(recording)
            if key not in there and word not in others:
                lost.append(line)
            if listed.setdefault(key, partition) != partition:
                raise KwsError(f"{line} is in both lists of {data_dir}; remove it from one of them")
        if lost:
            text = f"lines of {data_dir / name} name no recording there, such as {lost[0]}"
            if len(lost) == len(lines):
                raise KwsError(f"all {len(lines):,} {text}; correct the list, or remove both lists")
            note(f"{len(lost):,} of {len(lines):,} {text}")
    return listed


def _lines(path: Path) -> list[str]:
    """Returns the lines that are not empty, of UTF-8 or, with its mark, UTF-16."""
    content = path.read_bytes()
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = content.decode("utf-16", errors="replace")
    else:
        text = content.decode("utf-8-sig", errors="surrogateescape")  # as names of files are
    return [line.strip() for line in text.split("\n") if line.strip()]
