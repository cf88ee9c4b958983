"""The folder layout of Google Speech Commands: words, speakers, partitions, test set.

Source: Pete Warden, "Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition",
2018, https://arxiv.org/abs/1804.03209. A data folder has one folder a word with clips named
``<speaker>_nohash_<n>.wav``, and ``_background_noise_`` with long recordings. Clips may be FLAC
copies of the official WAV files.
"""

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

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
    """Returns the part of a clip's name that names the speaker: all before ``_nohash_``.

    A name without ``_nohash_`` is a speaker of its own; its extension does not count, so that a
    FLAC copy has the speaker of the WAV file.
    """
    name = os.path.basename(filename)
    speaker, mark, _ = name.partition("_nohash_")
    return speaker if mark else os.path.splitext(name)[0]


def partition_of(
    filename: str | os.PathLike, validation_percent: float = 10, testing_percent: float = 10
) -> str:
    """Returns the partition of a clip by the official rule, a hash of the speaker.

    The rule is ``which_set`` of
    https://github.com/tensorflow/tensorflow/blob/v2.16.2/tensorflow/examples/speech_commands/input_data.py,
    also printed in the README of the data set.

    Args:
        filename: A clip's name; folders before it do not count.
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
    """Lists the clips of a data folder.

    Partitions come from ``validation_list.txt`` and ``testing_list.txt`` where they are there,
    else from ``partition_of``.

    Args:
        data_dir: The folder that holds one folder a word.
        words: The words wanted; ``None`` is every word there.

    Returns:
        Clips sorted by word and name: the same folder gives the same list everywhere.

    Raises:
        KwsError: The folder or a wanted word is missing or without clips, only one of the two
            lists is there, or the lists put a speaker into two partitions.
    """
    data_dir = Path(data_dir)
    there = [name for name in _folders(data_dir) if not name.startswith("_")]
    if not there:
        raise KwsError(
            f"{data_dir} has no word folders; give a folder with one folder of clips for each word"
        )
    wanted = there if words is None else sorted(set(words))
    for word in wanted:
        if word not in there:
            raise KwsError(
                f"unknown word '{word}': {data_dir} has no such folder; it has: {', '.join(there)}"
            )
    listed = _read_lists(data_dir)
    clips = []
    for word in wanted:
        paths = _audio_files(data_dir / word)
        if not paths and words is not None:
            raise KwsError(
                f"the folder {data_dir / word} has no WAV or FLAC files; add clips or leave out "
                f"the word '{word}'"
            )
        for path in paths:
            if listed is None:
                partition = partition_of(path)
            else:
                partition = listed.get((word, path.stem), TRAINING)
            clips.append(Recording(path, word, speaker_of(path), partition))
    if not clips:
        raise KwsError(f"the word folders of {data_dir} have no WAV or FLAC files; add clips")
    _check_speakers(clips, data_dir)
    return clips


def noise_files(data_dir: str | os.PathLike) -> list[Path]:
    """Lists the noise recordings.

    Args:
        data_dir: A data folder with ``_background_noise_`` in it or beside it, or a folder of
            recordings.

    Raises:
        KwsError: There is no such folder, or nothing in it.
    """
    folder = Path(data_dir)
    if not folder.is_dir():
        raise KwsError(f"the noise folder {folder} does not exist; give an existing one")
    for place in (folder / NOISE_FOLDER, folder, folder.resolve().parent / NOISE_FOLDER):
        if place.is_dir() and (paths := _audio_files(place)):
            return paths
    raise KwsError(
        f"{folder} has neither {NOISE_FOLDER} nor WAV or FLAC files; give a folder with noise "
        "recordings"
    )


def scan_test_set(test_dir: str | os.PathLike, labels: Sequence[str]) -> list[tuple[Path, int]]:
    """Lists the clips of a test set in the canonical layout, one folder a class.

    Folders of other classes are left out. Clips in ``_unknown_`` are named
    ``<word>_<speaker>_nohash_<n>``; those whose word is among ``labels`` are left out, as they
    are no unknown words to that model.

    Args:
        test_dir: The folder that holds one folder a class.
        labels: The model's classes in order, ``_silence_`` and ``_unknown_`` among them.

    Returns:
        Clips with their index into ``labels``, in the order of ``labels``, then of the names.

    Raises:
        KwsError: The folder or that of a class is missing or without clips.
    """
    test_dir = Path(test_dir)
    there = _folders(test_dir)
    result = []
    for index, label in enumerate(labels):
        if label not in there:
            raise KwsError(
                f"the test set {test_dir} has no folder for the class '{label}'; "
                f"it has: {', '.join(there) or 'no folders'}"
            )
        paths = _audio_files(test_dir / label)
        if label == UNKNOWN:
            paths = [p for p in paths if speaker_of(p).rpartition("_")[0] not in labels]
        if not paths:
            raise KwsError(
                f"the test folder {test_dir / label} has no WAV or FLAC files of the class "
                f"'{label}'; add clips"
            )
        result += [(path, index) for path in paths]
    return result


def _folders(folder: Path) -> list[str]:
    """Returns the names of the visible folders within, sorted."""
    if not folder.is_dir():
        raise KwsError(f"the folder {folder} does not exist; give an existing one")
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))


def _audio_files(folder: Path) -> list[Path]:
    """Returns the visible WAV and FLAC files, sorted by name; of two copies of a clip, one."""
    with os.scandir(folder) as entries:
        names = sorted(
            e.name
            for e in entries
            if e.name.lower().endswith((".wav", ".flac"))
            and not e.name.startswith(".")
            and e.is_file()
        )
    by_stem = {os.path.splitext(name)[0]: name for name in names}
    return [folder / name for name in sorted(by_stem.values())]


def _read_lists(data_dir: Path) -> dict[tuple[str, str], str] | None:
    """Returns the partition of each listed (word, name without extension), or no lists' None."""
    missing = [name for name in _LISTS.values() if not (data_dir / name).is_file()]
    if len(missing) == len(_LISTS):
        return None
    if missing:
        raise KwsError(
            f"{data_dir} has one official list but not {missing[0]}; add it, or remove the other "
            "so that the partition comes from the clips' names"
        )
    listed: dict[tuple[str, str], str] = {}
    for partition, name in _LISTS.items():
        for line in (data_dir / name).read_text(encoding="utf-8", errors="replace").splitlines():
            if not line.strip():
                continue
            word, _, clip = line.strip().rpartition("/")
            if listed.setdefault((word, os.path.splitext(clip)[0]), partition) != partition:
                raise KwsError(
                    f"{line.strip()} is in both lists of {data_dir}; remove it from one of them"
                )
    return listed


def _check_speakers(clips: Iterable[Recording], data_dir: Path) -> None:
    """Raises if a speaker is in two partitions: then accuracy would be that of known voices."""
    first: dict[str, Recording] = {}
    for clip in clips:
        other = first.setdefault(clip.speaker, clip)
        if other.partition != clip.partition:
            raise KwsError(
                f"the lists in {data_dir} put the speaker '{clip.speaker}' into two partitions "
                f"({other.word}/{other.path.name}: {other.partition}, "
                f"{clip.word}/{clip.path.name}: {clip.partition}); correct the lists"
            )
