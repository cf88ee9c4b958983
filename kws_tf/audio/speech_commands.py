"""The folder layout of Google Speech Commands: words, speakers, partitions, test set.

Source: Pete Warden, "Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition",
2018, https://arxiv.org/abs/1804.03209. A data folder has one folder a word with recordings named
``<speaker>_nohash_<n>.wav``, and ``_background_noise_`` with long ones. They may be FLAC copies of
the official WAV files, or of any other kind that the reader knows.
"""

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from kws_tf.audio import folders, partition_lists
from kws_tf.errors import KwsError
from kws_tf.labels import UNKNOWN

NOISE_FOLDER = "_background_noise_"
TRAINING, VALIDATION, TESTING = "training", "validation", "testing"
PARTITIONS = (TRAINING, VALIDATION, TESTING)

_LISTS = {VALIDATION: "validation_list.txt", TESTING: "testing_list.txt"}
_MAX_NUM_WAVS_PER_CLASS = 2**27 - 1


class Recording(NamedTuple):
    """One recording of one word.

    Attributes:
        path: The file.
        word: The word's folder.
        speaker: Who speaks, as ``speaker_of`` tells from the name.
        partition: One of ``PARTITIONS``.
    """

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
    also printed in the README of the data set.

    Args:
        filename: A recording's name; folders before it do not count.
        validation_percent: Share of speakers for validation, %.
        testing_percent: Share of speakers for testing, %.

    Returns:
        One of ``PARTITIONS``.
    """
    digest = hashlib.sha1(os.fsencode(speaker_of(filename))).hexdigest()
    percent = (int(digest, 16) % (_MAX_NUM_WAVS_PER_CLASS + 1)) * (100.0 / _MAX_NUM_WAVS_PER_CLASS)
    if percent < validation_percent:
        return VALIDATION
    if percent < validation_percent + testing_percent:
        return TESTING
    return TRAINING


def scan(data_dir: str | os.PathLike, words: Iterable[str] | None = None) -> list[Recording]:
    """Lists the recordings of a data folder.

    Partitions come from ``validation_list.txt`` and ``testing_list.txt`` where they are there,
    else from ``partition_of``. Lines of a list that name nothing in the folder, and files that are
    no recordings by their names, are told on stderr.

    Args:
        data_dir: The folder that holds one folder a word.
        words: The words wanted; ``None`` is every word there.

    Returns:
        Recordings sorted by word and name: the same folder gives the same list everywhere.

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
    for word in wanted:
        if word not in there:
            raise KwsError(
                f"unknown word '{word}': {data_dir} has no such folder; it has: {', '.join(there)}"
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
    names = {(word, folders.stem(path.name)) for word in wanted for path in paths[word]}
    listed = partition_lists.read(data_dir, _LISTS, names, set(there) - set(wanted))
    recordings = []
    for word in wanted:
        for path in paths[word]:
            if listed is None:
                partition = partition_of(path)
            else:
                partition = listed.get((word, folders.stem(path.name)), TRAINING)
            recordings.append(Recording(path, word, speaker_of(path), partition))
    _check_speakers(recordings, data_dir)
    return recordings


def noise_files(data_dir: str | os.PathLike) -> list[Path]:
    """Lists the noise recordings.

    Args:
        data_dir: A data folder with ``_background_noise_`` in it or beside it, or a folder of
            recordings.

    Raises:
        KwsError: There is no such folder, or nothing in it that can be used.
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

    Folders of other classes are left out. Recordings in ``_unknown_`` are named
    ``<word>_<speaker>_nohash_<n>``; those whose word is among ``labels`` are left out, as they
    are no unknown words to that model.

    Args:
        test_dir: The folder that holds one folder a class.
        labels: The model's classes in order, ``_silence_`` and ``_unknown_`` among them.

    Returns:
        Recordings with their index into ``labels``, in the order of ``labels``, then of the names.

    Raises:
        KwsError: The folder or that of a class is missing or without recordings.
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
