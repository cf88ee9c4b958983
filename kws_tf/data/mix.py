"""Recordings and synthesised speech in one folder, for words of which there are few recordings.

Recordings stay in the partition of their speaker, and synthetic voices are in one partition each.
"""

import hashlib
import os
import shutil
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

from kws_tf.audio import speech_commands
from kws_tf.audio.speech_commands import NOISE_FOLDER, TESTING, TRAINING, VALIDATION, Recording
from kws_tf.errors import KwsError
from kws_tf.labels import SILENCE, UNKNOWN
from kws_tf.synthesis import dataset
from kws_tf.synthesis.dataset import SPEECH_FOLDER, TEST_FOLDER
from kws_tf.synthesis.running_speech import RUNNING_SPEECH_FOLDER
from kws_tf.synthesis.settings import SynthesisSettings

ENOUGH = 300
"""Examples up to which a word is filled."""
LEAST = 100
"""Examples synthesised of every word where any needs some: else a model would learn to tell
synthesised from recorded speech, where one class has only the one and another only the other."""
HELD_OUT = 10
"""Recordings with which a class is validated or tested alone; synthetic voices join fewer."""


def synthetic_counts(recorded: dict[str, int], per_word: int) -> dict[str, int]:
    """Returns how many examples of each word to synthesise: ``per_word``, or with -1 what lacks.

    Example:
        >>> synthetic_counts({"dim": 20, "on": 280}, -1)
        {'dim': 280, 'on': 100}
    """
    if per_word >= 0:
        return dict.fromkeys(recorded, per_word)
    if all(number >= ENOUGH for number in recorded.values()):
        return dict.fromkeys(recorded, 0)
    return {word: max(ENOUGH - number, LEAST) for word, number in recorded.items()}


def mix(
    folder: Path,
    recorded: list[Recording],
    counts: dict[str, int],
    settings: SynthesisSettings | None,
    root: Path,
) -> tuple[Path, list[Recording], tuple[Path, ...]]:
    """Makes a folder of recordings and synthesised speech, or finds it made.

    The recordings are linked, or copied where links are not possible; they are never changed. For
    training they are repeated until a class has as many as are synthesised of it: else ten would
    be lost among hundreds. ``counts`` are the examples of each keyword to synthesise, at most
    ``settings.per_word``; without settings there are none.

    Returns:
        The mixed folder, with a test set beside it where speech was synthesised; the synthesised
        files that it has, by the paths that they come from; and the folders of synthesised
        negatives, running speech of the training voices.
    """
    noise = _noise_files(folder)
    made, synthesised, words = None, [], tuple(counts)
    there = Counter(_group(file, words) for file in recorded)
    if settings:
        made = dataset.make_dataset(root / f"synthetic-{settings.digest}", settings)
        synthesised = [
            file
            for file in _chosen(speech_commands.scan(made / SPEECH_FOLDER), counts, settings)
            if file.partition == TRAINING or there[_group(file, words)] < HELD_OUT
        ]
        _check_names(folder, recorded, synthesised)
    added = Counter(_group(file, words) for file in synthesised)
    repetitions = {
        group: max(1, round(added[group] / number))
        for group, number in there.items()
        if group[1] == TRAINING
    }
    files = recorded + synthesised
    root.mkdir(parents=True, exist_ok=True)
    target = root / f"mixed-{_digest(files, noise, repetitions)}"
    if not target.exists():
        with tempfile.TemporaryDirectory(dir=root, prefix=f".{target.name}-unfinished-") as part:
            mixed = Path(part) / "mixed"
            _link_speech(mixed / SPEECH_FOLDER, recorded, synthesised, words, repetitions)
            for path in noise:
                _link(path, mixed / SPEECH_FOLDER / NOISE_FOLDER / path.name)
            if made:  # without it there is no silence to test with
                for path in speech_commands.noise_files(made / SPEECH_FOLDER):
                    name = f"synthetic_{path.name}"
                    _link(path, mixed / SPEECH_FOLDER / NOISE_FOLDER / name)
                _link_test_set(mixed / TEST_FOLDER, files, words, made / TEST_FOLDER / SILENCE)
            if not target.exists():  # another process may have been faster
                os.replace(mixed, target)
    negatives = (made / RUNNING_SPEECH_FOLDER / TRAINING,) if made else ()
    return target / SPEECH_FOLDER, synthesised, negatives


def _noise_files(folder: Path) -> list[Path]:
    """Returns the recordings of noise; none where there is no folder of them."""
    try:
        return speech_commands.noise_files(folder)
    except KwsError:
        if any((place / NOISE_FOLDER).is_dir() for place in (folder, folder.resolve().parent)):
            raise
        return []  # the synthesised noise will do


def _check_names(folder: Path, recorded: list[Recording], synthesised: list[Recording]) -> None:
    """Refuses recordings that are synthesised themselves: the voices would be the same."""
    names = {(file.word, file.path.stem) for file in synthesised}
    for file in recorded:
        if (file.word, file.path.stem) in names:
            raise KwsError(
                f"{file.path} has the name of an example that would be synthesised; if {folder} "
                "holds synthesised speech, give --synthetic-per-word 0, else rename it"
            )


def _chosen(
    synthesised: list[Recording], counts: dict[str, int], settings: SynthesisSettings
) -> list[Recording]:
    """Returns the wanted number of each keyword's examples, and all of the other words."""
    left = Counter()
    for word, number in counts.items():
        if number:
            shares = replace(settings, per_word=number).counts(word)
            left.update({(word, partition): share for partition, share in shares.items()})
    chosen = []
    for file in synthesised:
        left[file.word, file.partition] -= 1
        if file.word not in counts or left[file.word, file.partition] >= 0:
            chosen.append(file)
    return chosen


def _group(file: Recording, words: tuple[str, ...]) -> tuple[str, str]:
    """Returns a file's class and partition."""
    return (file.word if file.word in words else UNKNOWN), file.partition


def _digest(files: list[Recording], noise: list[Path], repetitions: dict) -> str:
    """Returns ten hex digits that change with any file and with the repetitions."""
    digest = hashlib.sha256(repr(sorted(repetitions.items())).encode())
    for file in files:
        digest.update(os.fsencode(f"{file.word}/{file.path.name} {file.partition} "))
    for path in (*(file.path for file in files), *noise):
        state = path.stat()
        digest.update(os.fsencode(f"{path.name} {state.st_size} {state.st_mtime_ns} "))
    return digest.hexdigest()[:10]


def _link_speech(
    folder: Path,
    recorded: list[Recording],
    synthesised: list[Recording],
    words: tuple[str, ...],
    repetitions: dict[tuple[str, str], int],
) -> None:
    """Links the files into folders of words, recordings repeatedly; lists the partitions."""
    files = recorded + synthesised
    for file in files:
        _link(file.path, folder / file.word / file.path.name)
    for file in recorded:
        for copy in range(1, repetitions.get(_group(file, words), 1)):
            name = f"{file.path.stem}_again_{copy}{file.path.suffix}"
            _link(file.path, folder / file.word / name)
    for partition in (VALIDATION, TESTING):
        lines = [f"{f.word}/{f.path.name}\n" for f in files if f.partition == partition]
        (folder / f"{partition}_list.txt").write_bytes(os.fsencode("".join(lines)))


def _link_test_set(
    folder: Path, files: list[Recording], words: tuple[str, ...], silence: Path
) -> None:
    """Links the testing files into the canonical test set's layout, if every keyword has some."""
    testing = [file for file in files if file.partition == TESTING]
    keywords = [file for file in testing if file.word in words]
    if {file.word for file in keywords} != set(words):
        return  # a word that cannot be spoken, and of which no recording is held out
    for file in keywords:
        _link(file.path, folder / file.word / file.path.name)
    others = [file for file in testing if file.word not in words]
    # As many as of the most frequent keyword, from all words alike.
    most = max(Counter(file.word for file in keywords).values())
    for file in others[:: max(1, len(others) // most)]:
        _link(file.path, folder / UNKNOWN / f"{file.word}_{file.path.name}")
    for path in sorted(silence.iterdir()):
        _link(path, folder / SILENCE / path.name)


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except FileExistsError:
        raise  # copying would write into the recording that the other link is of
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)
