"""A folder of people's own recordings to clips in the layout of Speech Commands.

The source has a folder a word, with recordings of that word in it or in folders of speakers within
it, and maybe ``_background_noise_``. It is never changed. The clips are a function of the source
and the options alone: importing again gives the same files.
"""

import dataclasses
import json
import os
import re
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain, count
from pathlib import Path

import numpy as np

from kws_tf import files
from kws_tf.audio.reader import SAMPLE_RATE
from kws_tf.audio.recordings import cutting, speakers
from kws_tf.audio.recordings.cutting import Finding, Problem
from kws_tf.audio.speech_commands import NOISE_FOLDER, PARTITIONS
from kws_tf.errors import KwsError
from kws_tf.labels import class_names, clean_word, word_key
from kws_tf.progress import progress
from kws_tf.settings import LONGEST_WINDOW_MS, SHORTEST_WINDOW_MS

REPORT_FILE = "import.json"
_UNFINISHED = ".unfinished-import"
_OUTPUT = re.compile(r"[^./\\][^/\\]*/[^/\\]+\.wav")
_NAMED = 10  # files of a problem in the printed table

_ADVICE = {
    Problem.UNREADABLE: "convert to WAV, FLAC, OGG or MP3, or remove",
    Problem.SILENT: "record again, closer to the microphone",
    Problem.TOO_SHORT: "record again, with a moment of quiet before and after the word",
    Problem.TOO_LONG: "give a larger --window-ms, or cut the recording",
    Problem.WORD_COUNT: "cut into one file a word, or --keep-doubtful",
    Problem.CLIPPED: "imported; record with less gain next time",
}


@dataclasses.dataclass
class Recording:
    """A file of the source and what became of it.

    Attributes:
        source: Path in the source folder.
        word: As its folder is named in the output, or ``_background_noise_``.
        speaker: Who speaks, or ``None`` where the path does not tell.
        findings: What is wrong.
        output: Path in the output folder; ``None`` if it was left out.
        partition: One of ``PARTITIONS``; ``None`` if it was left out, and for noise.
    """

    source: Path
    word: str
    speaker: str | None = None
    findings: tuple[Finding, ...] = ()
    output: str | None = None
    partition: str | None = None

    @property
    def is_noise(self) -> bool:
        """Whether it is a recording of noise rather than of a word."""
        return self.word == NOISE_FOLDER

    @property
    def identity(self) -> str:
        """The speaker, or what stands for one of whom nothing is known."""
        # No name of a speaker has a slash.
        return self.speaker or f"{self.word}/{self.source.with_suffix('')}"


def import_recordings(
    source: Path, target: Path, window_ms: float = 1000, keep_doubtful: bool = False
) -> list[Recording]:
    """Imports a folder of recordings.

    ``target`` gets ``<word>/<speaker>_nohash_<n>.wav`` (16 kHz, mono, 16 bits),
    ``_background_noise_`` if the source has it, and ``import.json``. What an earlier import of the
    same source wrote and this one does not is removed; nothing else there is touched.

    Args:
        source: A folder with one folder a word.
        target: The folder to write to.
        window_ms: Length of a clip, ms.
        keep_doubtful: Import what is too short, too long or of a wrong word count as well.

    Returns:
        Every file of the source, in the order of the words and paths.

    Raises:
        KwsError: The source is missing or has no word folders, the window is out of range, or the
            target holds something that must not be overwritten.
    """
    source, target = Path(source), Path(target)
    length = window_samples(window_ms)
    recordings = _listing(source)
    _check_places(source, target)
    written = _written_before(source, target)

    unfinished = target / _UNFINISHED
    shutil.rmtree(unfinished, ignore_errors=True)  # of an import that was interrupted
    unfinished.mkdir(parents=True)
    try:
        staged = []
        for number, item in progress(enumerate(recordings), len(recordings), "importing"):
            samples, item.findings = _process(source / item.source, item, length, keep_doubtful)
            if samples is not None:
                path = unfinished / f"{number}.wav"
                path.write_bytes(cutting.wav_bytes(samples))
                staged.append((path, item))
        _name([item for _, item in staged])
        _move(staged, source, target, written)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    options = {"window_ms": window_ms, "keep_doubtful": keep_doubtful}
    files.write_json(target / REPORT_FILE, _report(source, recordings, options))
    return recordings


def window_samples(window_ms: float) -> int:
    """Returns the length of a clip in samples.

    Raises:
        KwsError: If the window is out of range.
    """
    if not SHORTEST_WINDOW_MS <= window_ms <= LONGEST_WINDOW_MS:
        raise KwsError(
            f"a window of {window_ms:g} ms is out of range; "
            f"give {SHORTEST_WINDOW_MS} to {LONGEST_WINDOW_MS}"
        )
    return round(window_ms * SAMPLE_RATE / 1000)


def summary(recordings: list[Recording]) -> dict[str, dict[str, int]]:
    """Returns the numbers of each word: files, clips, speakers, clips by partition.

    ``unnamed`` are the clips of nobody known, each of which counts as a speaker.
    """
    words = defaultdict(list)
    for item in recordings:
        if not item.is_noise:
            words[item.word].append(item)
    table = {}
    for word, items in words.items():
        clips = [item for item in items if item.output]
        partitions = Counter(item.partition for item in clips)
        table[word] = {
            "files": len(items),
            "clips": len(clips),
            "speakers": len({item.identity for item in clips}),
            "unnamed": sum(item.speaker is None for item in clips),
            **{partition: partitions[partition] for partition in PARTITIONS},
        }
    return table


def tables(recordings: list[Recording]) -> str:
    """Returns what to print: the clips of each word, the problems with their files, and notes."""
    words = summary(recordings)
    columns = ("files", "clips", "speakers", "unnamed", *PARTITIONS)
    width = max(map(len, ("word", *words)))
    lines = [f"{'word':<{width}}" + "".join(f"{column:>11}" for column in columns)]
    for word, row in words.items():
        lines.append(f"{word:<{width}}" + "".join(f"{row[column]:>11,}" for column in columns))
    noise = [item for item in recordings if item.is_noise]
    imported = sum(item.output is not None for item in noise)
    lines += [f"noise: {imported:,} of {len(noise):,} recordings", ""]
    found = {p: [item for item in recordings if p in dict(item.findings)] for p in Problem}
    if any(found.values()):
        lines.append(f"{'problem':<16}{'files':>11}{'left out':>11}  what to do")
    for problem, items in found.items():
        if items:
            out = sum(item.output is None for item in items)
            row = f"{problem.value:<16}{len(items):>11,}{out:>11,}"
            lines.append(f"{row}  {_ADVICE[problem]}")
            for item in items[:_NAMED]:
                name = os.fsencode(item.source).decode(errors="replace")
                lines.append(f"  {name}: {dict(item.findings)[problem]}")
            if len(items) > _NAMED:
                lines.append(f"  and {len(items) - _NAMED:,} more, in {REPORT_FILE}")
    return "\n".join([*lines, *_notes(words, imported)])


def _notes(words: dict[str, dict[str, int]], noise: int) -> Iterator[str]:
    unnamed = sum(row["unnamed"] for row in words.values())
    if unnamed:
        yield (
            f"note: {unnamed:,} clips tell no speaker, and each counts as a speaker of its own; "
            "put them into WORD/SPEAKER/ so that no voice is in two partitions"
        )
    empty = defaultdict(list)
    for word, row in words.items():
        empty[tuple(partition for partition in PARTITIONS if not row[partition])].append(word)
    for partitions, lacking in empty.items():
        if partitions:
            yield (
                f"note: no clips for {' and '.join(partitions)} of {', '.join(lacking)}; nobody is "
                "in two partitions, and speakers named as in Speech Commands stay where it has "
                "them, so record more people"
            )
    if not noise:
        yield (
            f"note: there is no {NOISE_FOLDER}, which training needs; record a minute or two of "
            "the places of use into that folder beside the words and import again, or copy that "
            "of Speech Commands or of scripts/make_dataset.py to the output"
        )


def _listing(source: Path) -> list[Recording]:
    """Lists the visible files in the folders of words and of noise."""
    if not source.is_dir():
        raise KwsError(f"the folder of recordings {source} does not exist; give an existing one")
    folders = sorted(f for f in source.iterdir() if f.is_dir() and f.name[0] not in "._")
    words: dict[str, str] = {}
    for folder in folders:
        words.setdefault(word_key(folder.name), clean_word(folder.name.replace("_", " ")))
    if not words:
        raise KwsError(
            f"{source} has no folders of words; put the recordings of each word into a folder "
            "that is named as the word"
        )
    class_names(tuple(words.values()))
    recordings = []
    for folder in (*folders, source / NOISE_FOLDER):
        word = words.get(word_key(folder.name), NOISE_FOLDER)
        for path in sorted(folder.rglob("*")):
            within = path.relative_to(folder)
            # A broken link is listed, to be reported; a pipe is not, it would never end.
            is_file = path.is_file() or (path.is_symlink() and not path.exists())
            if is_file and not any(part.startswith(".") for part in within.parts):
                speaker = None if word == NOISE_FOLDER else speakers.told_by(within, word)
                recordings.append(Recording(path.relative_to(source), word, speaker))
    return sorted(recordings, key=lambda item: (item.is_noise, item.word, item.source))


def _check_places(source: Path, target: Path) -> None:
    here, there = source.resolve(), target.resolve()
    if here == there or here in there.parents or there in here.parents:
        raise KwsError(
            f"the output {target} and the recordings {source} are within one another; give an "
            "output folder elsewhere"
        )
    if target.exists() and not target.is_dir():
        raise KwsError(f"the output {target} is a file; give a folder")
    lists = sorted(target.glob("*_list.txt"))
    if lists:
        raise KwsError(
            f"{lists[0]} says which clips are held out, so that new ones would all be for "
            "training; give another output folder"
        )


def _written_before(source: Path, target: Path) -> set[str]:
    """Returns the paths in the target that an earlier import of the same source wrote."""
    path = target / REPORT_FILE
    if not path.exists():
        return set()
    try:
        report = json.loads(path.read_text())
        before, outputs = report["source"], {item["output"] for item in report["files"]} - {None}
        # Files will be removed by these names, so they must be what an import writes.
        if not all(_OUTPUT.fullmatch(output) for output in outputs):
            raise ValueError("a path of another kind")
    except (ValueError, TypeError, KeyError) as error:
        raise KwsError(f"{path} is damaged ({error}); give another output folder") from error
    if before != str(source.resolve()):
        raise KwsError(
            f"{target} holds the import of {before}; give another output folder, or copy all "
            "recordings into one folder and import that"
        )
    return outputs


def _process(
    path: Path, item: Recording, length: int, keep_doubtful: bool
) -> tuple[np.ndarray | None, tuple[Finding, ...]]:
    """Returns the samples to write, or ``None``, and what is wrong with a file."""
    try:
        if item.is_noise:
            samples, clipped = cutting.read(path, cutting.MOST_NOISE_SECONDS)
            findings: tuple[Finding, ...] = ()
            if len(samples) < length:
                detail = f"shorter than the window of {length / SAMPLE_RATE:g} s"
                findings = (Finding(Problem.TOO_SHORT, detail),)
            samples = samples / max(1.0, np.abs(samples).max())
        else:
            samples, clipped = cutting.read(path)
            samples, findings = cutting.cut_example(samples, item.word, length)
    except cutting.Rejection as rejection:
        return None, (rejection.finding,)
    if not keep_doubtful and any(f.problem in cutting.DOUBTFUL for f in findings):
        samples = None
    if clipped:
        findings += (Finding(Problem.CLIPPED, "over 1 ms at full scale"),)
    return samples, findings


def _name(items: list[Recording]) -> None:
    """Gives what is imported its partition and its path in the output."""
    clips: defaultdict[str, Counter] = defaultdict(Counter)
    for item in items:
        if not item.is_noise:
            clips[item.identity][item.word] += 1
    kept = {item.identity for item in items if speakers.is_official(item.source)}
    partitions = speakers.assign(clips, kept)
    taken = set()
    for item in items:
        if item.is_noise:
            stem = "-".join(item.source.relative_to(NOISE_FOLDER).with_suffix("").parts)
            names = chain([stem], (f"{stem}-{n}" for n in count(2)))
        else:
            item.partition = partitions[item.identity]
            speaker = item.identity
            if speaker not in kept:
                speaker = speakers.name_for(speaker, item.partition)
            names = (f"{speaker}_nohash_{n}" for n in count())
        paths = (f"{item.word}/{name}.wav" for name in names)
        item.output = next(path for path in paths if path not in taken)
        taken.add(item.output)


def _move(
    staged: list[tuple[Path, Recording]], source: Path, target: Path, written: set[str]
) -> None:
    """Puts the finished clips in their places and removes those of an earlier import."""
    outputs = {item.output for _, item in staged}
    for output in sorted(outputs - written):
        if (target / output).exists():
            raise KwsError(
                f"{target / output} is there already and no import wrote it; give another "
                "output folder"
            )
    # First all names, so that after an interruption the next import knows its own files.
    everything = [{"output": output} for output in sorted(outputs | written)]
    files.write_json(target / REPORT_FILE, {"source": str(source.resolve()), "files": everything})
    for path, item in staged:
        (target / item.output).parent.mkdir(exist_ok=True)
        os.replace(path, target / item.output)
    for output in sorted(written - outputs):
        (target / output).unlink(missing_ok=True)
        with suppress(OSError):  # not empty
            (target / output).parent.rmdir()


def _report(source: Path, recordings: list[Recording], options: dict) -> dict:
    return {
        "source": str(source.resolve()),
        **options,
        "words": summary(recordings),
        "files": [
            {
                "source": item.source.as_posix(),
                "word": item.word,
                "speaker": item.speaker,
                "problems": {finding.problem.value: finding.detail for finding in item.findings},
                "output": item.output,
                "partition": item.partition,
            }
            for item in recordings
        ],
    }
