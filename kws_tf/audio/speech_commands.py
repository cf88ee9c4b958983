"""The folder layout of Google Speech Commands: words, speakers, partitions, test set.

Source: Pete Warden, "Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition",
2018, https://arxiv.org/abs/1804.03209. A data folder has one folder a word with recordings named
``<speaker>_nohash_<n>.wav``, and ``_background_noise_`` with long ones. They may be FLAC copies of
the official WAV files, or of any other kind that the reader knows.
"""

import codecs
import hashlib
import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from kws_tf.audio import folders
from kws_tf.errors import KwsError
from kws_tf.labels import UNKNOWN
from kws_tf.progress import note

NOISE_FOLDER = "_background_noise_"
TRAINING, VALIDATION, TESTING = "training", "validation", "testing"
PARTITIONS = (TRAINING, VALIDATION, TESTING)

_LISTS = {VALIDATION: "validation_list.txt", TESTING: "testing_list.txt"}
_MAX_NUM_WAVS_PER_CLASS = 2**27 - 1


class Recording(NamedTuple):
    """One recording: its word's folder, who speaks it, and one of ``PARTITIONS``."""

    path: Path
    word: str
    speaker: str
    partition: str


def speaker_of(filename: str | os.PathLike) -> str:
    """Returns the part of a recording's name that names the speaker: all before ``_nohash_``.

    A name without ``_nohash_`` is a speaker of its own; its extension does not count, so that a
    FLAC copy has the speaker of the WAV file.
    """
    name = os.path.basename(filename)
    speaker, mark, _ = name.partition("_nohash_")
    return speaker if mark else folders.stem(name)


def partition_of(
    filename: str | os.PathLike, validation_percent: float = 10, testing_percent: float = 10
) -> str:
    """Returns the partition of a recording by the official rule, a hash of the speaker.

    The rule is ``which_set`` of
    https://github.com/tensorflow/tensorflow/blob/v2.16.2/tensorflow/examples/speech_commands/input_data.py,
    also printed in the README of the data set. Folders before the name do not count.
    """
    digest = hashlib.sha1(os.fsencode(speaker_of(filename))).hexdigest()
    percent = (int(digest, 16) % (_MAX_NUM_WAVS_PER_CLASS + 1)) * (100.0 / _MAX_NUM_WAVS_PER_CLASS)
    if percent < validation_percent:
        return VALIDATION
    if percent < validation_percent + testing_percent:
        return TESTING
    return TRAINING


def scan(data_dir: str | os.PathLike, words: Iterable[str] | None = None) -> list[Recording]:
    """Lists the recordings of a data folder, or of some of its words, by word and name.

    Partitions come from ``validation_list.txt`` and ``testing_list.txt`` where they are there,
    else from ``partition_of``. Lines of a list that name nothing in the folder, and files that are
    no recordings by their names, are told on stderr.

    Raises:
        KwsError: The folder or a wanted word is missing or without recordings, a word's folder has
            files but none that training can take, only one of the two lists is there, no line of a
            list names a recording, or the lists put a speaker into two partitions.
    """
    data_dir = Path(data_dir)
    there = [name for name in folders.folders(data_dir) if not name.startswith("_")]
    if not there:
        raise KwsError(
            f"{data_dir} has no word folders; give a folder with one folder of recordings for each "
            "word"
        )
    wanted = there if words is None else sorted(set(words))
    if missing := sorted(set(wanted) - set(there)):
        raise KwsError(
            f"unknown word '{missing[0]}': {data_dir} has no such folder; it has: "
            f"{', '.join(there)}"
        )
    paths = {word: folders.recordings(data_dir / word) for word in wanted}
    for word in wanted:
        if not paths[word] and words is not None:
            raise KwsError(
                f"the folder {data_dir / word} has no recordings; add some, with "
                f"scripts/import_recordings.py, or leave out the word '{word}'"
            )
    if not any(paths.values()):
        raise KwsError(
            f"the word folders of {data_dir} have no recordings; add some, with "
            "scripts/import_recordings.py"
        )
    keys = {path: (word, folders.stem(path.name)) for word in wanted for path in paths[word]}
    listed = _listed(data_dir, keys.values(), set(there) - set(wanted))
    recordings = []
    for path, key in keys.items():
        partition = partition_of(path) if listed is None else listed.get(key, TRAINING)
        recordings.append(Recording(path, key[0], speaker_of(path), partition))
    _check_speakers(recordings, data_dir)
    return recordings


def noise_files(data_dir: str | os.PathLike) -> list[Path]:
    """Lists the noise recordings: in ``_background_noise_``, in the folder itself, or beside it.

    That there are none is an error.
    """
    folder = Path(data_dir)
    if not folder.is_dir():
        raise KwsError(f"the noise folder {folder} does not exist; give an existing one")
    for place in (folder / NOISE_FOLDER, folder, folder.resolve().parent / NOISE_FOLDER):
        if place.is_dir():
            is_data_folder = place == folder and folder.name != NOISE_FOLDER
            if found := folders.recordings(place, is_data_folder):
                return found
    raise KwsError(
        f"{folder} has neither {NOISE_FOLDER} nor recordings; give a folder with noise recordings"
    )


def scan_test_set(test_dir: str | os.PathLike, labels: Sequence[str]) -> list[tuple[Path, int]]:
    """Lists the recordings of a test set in the canonical layout, one folder a class.

    Folders of other classes are left out, and so are recordings in ``_unknown_`` (named
    ``<word>_<speaker>_nohash_<n>``) whose word is among ``labels``, as they are no unknown words
    to that model. Each class must have some.

    Returns:
        Recordings with their index into ``labels``, by label and name.
    """
    test_dir = Path(test_dir)
    there = folders.folders(test_dir)
    result = []
    for index, label in enumerate(labels):
        if label not in there:
            raise KwsError(
                f"the test set {test_dir} has no folder for the class '{label}'; "
                f"it has: {', '.join(there) or 'no folders'}"
            )
        paths = folders.recordings(test_dir / label)
        if label == UNKNOWN:
            paths = [p for p in paths if speaker_of(p).rpartition("_")[0] not in labels]
        if not paths:
            raise KwsError(
                f"the test folder {test_dir / label} has no recordings of the class '{label}'; "
                "add some"
            )
        result += [(path, index) for path in paths]
    return result


def _listed(data_dir: Path, there: Collection[tuple[str, str]], others: Collection[str]):
    """Returns the partition of each listed recording, by word and stem; ``None`` without lists.

    A line is ``word/name.wav``. It may have backslashes and any folders before; the list may begin
    with a byte-order mark. Lines of ``others``, words that are not in use, are not checked.
    """
    there = set(there)
    missing = [name for name in _LISTS.values() if not (data_dir / name).is_file()]
    if len(missing) == len(_LISTS):
        return None
    if missing:
        raise KwsError(
            f"{data_dir} has one official list but not {missing[0]}; add it, or remove the other "
            "so that the partition comes from the recordings' names"
        )
    listed: dict[tuple[str, str], str] = {}
    for partition, name in _LISTS.items():
        lines, lost = _lines(data_dir / name), []
        for line in lines:
            word, recording = ("", *line.replace("\\", "/").split("/"))[-2:]
            key = word, folders.stem(recording)
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


def _check_speakers(recordings: Iterable[Recording], data_dir: Path) -> None:
    """Raises if a speaker is in two partitions: then accuracy would be that of known voices."""
    first: dict[str, Recording] = {}
    for one in recordings:
        other = first.setdefault(one.speaker, one)
        if other.partition != one.partition:
            raise KwsError(
                f"the lists in {data_dir} put the speaker '{one.speaker}' into two partitions "
                f"({other.word}/{other.path.name}: {other.partition}, "
                f"{one.word}/{one.path.name}: {one.partition}); correct the lists"
            )
