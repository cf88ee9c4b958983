"""Recordings and synthesised speech in one folder, for words of which there are few recordings.

How much is synthesised: a word is filled up to ``ENOUGH`` clips. Where any word needs that, all
words and the unknown class get at least ``LEAST`` synthesised clips, because a model would learn
to tell synthesised from recorded speech where one class has only the one and another only the
other. ``--synthetic-per-word N`` synthesises N clips of every word instead.

How often: where a class has fewer recordings than synthesised clips for training, they are
repeated until they are as many; else ten recordings would be lost among hundreds of clips.

What is tested: recordings stay in the partition of their speaker. A class is validated and tested
on recordings where its partition has ``HELD_OUT`` of them; where there are fewer they are joined
by synthetic voices, which are in no other partition. So the figures are about people as soon as
there are recordings to say it, and a word without any still has a figure.
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
from kws_tf.synthesis.dataset import SPEECH_FOLDER, TEST_FOLDER, SynthesisSettings

ENOUGH = 300
LEAST = 100
HELD_OUT = 10


def synthetic_counts(recorded: dict[str, int], per_word: int) -> dict[str, int]:
    """Returns how many clips of each word to synthesise.

    Args:
        recorded: Recordings of each word.
        per_word: So many; -1 fills up.
    """
    if per_word >= 0:
        return dict.fromkeys(recorded, per_word)
    if all(number >= ENOUGH for number in recorded.values()):
        return dict.fromkeys(recorded, 0)
    return {word: max(ENOUGH - number, LEAST) for word, number in recorded.items()}


def mix(
    recordings: Path,
    recorded: list[Recording],
    counts: dict[str, int],
    settings: SynthesisSettings | None,
    root: Path,
) -> tuple[Path, list[Recording]]:
    """Makes a folder of recordings and synthesised speech, or finds it made.

    The recordings are linked, or copied where links are not possible; they are never changed.

    Args:
        recordings: Audio in the Speech Commands layout, with or without noise.
        recorded: Its clips, from ``speech_commands.scan``.
        counts: Clips of each keyword to synthesise, at most ``settings.per_word``.
        settings: The speech to synthesise; ``None`` for none.
        root: Where the folder, and that of the synthesised speech, are kept.

    Returns:
        The folder in the Speech Commands layout, with a test set beside it where speech was
        synthesised; and its clips, by the paths that they come from.

    Raises:
        KwsError: If the synthesis fails.
    """
    try:
        noise = speech_commands.noise_files(recordings)
    except KwsError:
        noise = []  # the synthesised one will do
    made, spoken, words = None, [], tuple(counts)
    if settings:
        made = dataset.make_dataset(root / f"synthetic-{settings.digest}", settings)
        spoken = _chosen(speech_commands.scan(made / SPEECH_FOLDER), counts, settings)
        spoken = _needed(spoken, recorded, words)
    clips = recorded + spoken
    times = _times(recorded, spoken, words)
    root.mkdir(parents=True, exist_ok=True)
    target = root / f"mixed-{_digest(clips, noise, times)}"
    if not target.exists():
        with tempfile.TemporaryDirectory(dir=root, prefix=f".{target.name}-unfinished-") as folder:
            part = Path(folder) / "mixed"
            _write(part, clips, noise, made, words, times)
            if not target.exists():  # another process may have been faster
                os.replace(part, target)
    return target / SPEECH_FOLDER, clips


def _chosen(
    clips: list[Recording], counts: dict[str, int], settings: SynthesisSettings
) -> list[Recording]:
    """Returns the wanted number of each keyword's clips, and all of the other words."""
    left = Counter()
    for word, number in counts.items():
        if number:
            shares = replace(settings, per_word=number).counts(word)
            left.update({(word, partition): share for partition, share in shares.items()})
    chosen = []
    for clip in clips:
        left[clip.word, clip.partition] -= 1
        if clip.word not in counts or left[clip.word, clip.partition] >= 0:
            chosen.append(clip)
    return chosen


def _group(clip: Recording, words: tuple[str, ...]) -> tuple[str, str]:
    """Returns a clip's class and partition."""
    return (clip.word if clip.word in words else UNKNOWN), clip.partition


def _needed(
    spoken: list[Recording], recorded: list[Recording], words: tuple[str, ...]
) -> list[Recording]:
    """Returns the synthesised clips for training, and for classes with few held-out recordings."""
    there = Counter(_group(clip, words) for clip in recorded)
    return [c for c in spoken if c.partition == TRAINING or there[_group(c, words)] < HELD_OUT]


def _times(
    recorded: list[Recording], spoken: list[Recording], words: tuple[str, ...]
) -> dict[tuple[str, str], int]:
    """Returns how often the training recordings of each class are there."""
    there = Counter(_group(clip, words) for clip in recorded)
    made = Counter(_group(clip, words) for clip in spoken)
    return {
        group: max(1, round(made[group] / number))
        for group, number in there.items()
        if group[1] == TRAINING
    }


def _digest(clips: list[Recording], noise: list[Path], times: dict) -> str:
    """Returns ten hex digits that change with any file and with the repetitions."""
    digest = hashlib.sha256(repr(sorted(times.items())).encode())
    for clip in clips:
        digest.update(f"{clip.word}/{clip.path.name} {clip.partition} ".encode())
    for path in (*(clip.path for clip in clips), *noise):
        state = path.stat()
        digest.update(f"{path.name} {state.st_size} {state.st_mtime_ns} ".encode())
    return digest.hexdigest()[:10]


def _write(
    folder: Path,
    clips: list[Recording],
    noise: list[Path],
    made: Path | None,
    words: tuple[str, ...],
    times: dict[tuple[str, str], int],
) -> None:
    """Writes the training folder, with lists of its partitions, and the test set if it has one."""
    speech, test = folder / SPEECH_FOLDER, folder / TEST_FOLDER
    for clip in clips:
        _link(clip.path, speech / clip.word / clip.path.name)
        synthetic = made is not None and made in clip.path.parents
        for copy in range(1, 1 if synthetic else times.get(_group(clip, words), 1)):
            name = f"{clip.path.stem}_again_{copy}{clip.path.suffix}"
            _link(clip.path, speech / clip.word / name)
    for partition in (VALIDATION, TESTING):
        lines = [f"{c.word}/{c.path.name}\n" for c in clips if c.partition == partition]
        (speech / f"{partition}_list.txt").write_text("".join(lines), encoding="utf-8")
    for path in noise:
        _link(path, speech / NOISE_FOLDER / path.name)
    if not made:
        return  # no silence to test with
    for path in speech_commands.noise_files(made / SPEECH_FOLDER):
        _link(path, speech / NOISE_FOLDER / f"synthetic_{path.name}")

    testing = [clip for clip in clips if clip.partition == TESTING]
    keywords = [clip for clip in testing if clip.word in words]
    if {clip.word for clip in keywords} != set(words):
        return  # a word that cannot be spoken, and of which no recording is held out
    for clip in keywords:
        _link(clip.path, test / clip.word / clip.path.name)
    others = [clip for clip in testing if clip.word not in words]
    # As many as of the most frequent keyword, from all words alike.
    most = max(Counter(clip.word for clip in keywords).values())
    for clip in others[:: max(1, len(others) // most)]:
        _link(clip.path, test / UNKNOWN / f"{clip.word}_{clip.path.name}")
    for path in sorted((made / TEST_FOLDER / SILENCE).iterdir()):
        _link(path, test / SILENCE / path.name)


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)
