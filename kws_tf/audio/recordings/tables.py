"""What an import tells of itself: numbers of each word, problems with what to do, notes."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from kws_tf.audio.recordings.cutting import Problem
from kws_tf.audio.recordings.listing import SourceFile
from kws_tf.audio.speech_commands import NOISE_FOLDER, PARTITIONS

REPORT_FILE = "import.json"
_NAMED = 10  # files of a problem in the printed table

_ADVICE = {
    Problem.UNREADABLE: "convert to WAV, FLAC, OGG or MP3, or remove",
    Problem.SILENT: "record again, closer to the microphone",
    Problem.TOO_SHORT: "record again, with a moment of quiet before and after the word",
    Problem.TOO_LONG: "give a larger --window-ms, or cut the recording",
    Problem.WORD_COUNT: "cut into one file a word, or --keep-doubtful",
    Problem.OVERLOADED: "imported; record with less gain next time",
}


def summary(files: list[SourceFile]) -> dict[str, dict[str, int]]:
    """Returns the numbers of each word: files, examples, speakers, examples by partition.

    ``unnamed`` are the examples of nobody known, each of which counts as a speaker.
    """
    words = defaultdict(list)
    for file in files:
        if not file.is_noise:
            words[file.word].append(file)
    table = {}
    for word, of_word in words.items():
        imported = [file for file in of_word if file.output]
        partitions = Counter(file.partition for file in imported)
        table[word] = {
            "files": len(of_word),
            "examples": len(imported),
            "speakers": len({file.identity for file in imported}),
            "unnamed": sum(file.speaker is None for file in imported),
            **{partition: partitions[partition] for partition in PARTITIONS},
        }
    return table


def tables(files: list[SourceFile]) -> str:
    """Returns what to print: the numbers of each word, problems with their files, and notes."""
    words = summary(files)
    columns = ("files", "examples", "speakers", "unnamed", *PARTITIONS)
    width = max(map(len, ("word", *words)))
    lines = [f"{'word':<{width}}" + "".join(f"{column:>11}" for column in columns)]
    for word, row in words.items():
        lines.append(f"{word:<{width}}" + "".join(f"{row[column]:>11,}" for column in columns))
    noise = [file for file in files if file.is_noise]
    imported = sum(file.output is not None for file in noise)
    lines += [f"noise: {imported:,} of {len(noise):,} recordings", ""]
    return "\n".join([*lines, *_problems(files), *_notes(words, imported)])


def report(source: Path, files: list[SourceFile], options: dict) -> dict:
    """Returns what ``import.json`` holds, of every file."""
    return {
        "source": str(source.resolve()),
        **options,
        "words": summary(files),
        "files": [
            {
                "source": file.source.as_posix(),
                "word": file.word,
                "speaker": file.speaker,
                "problems": {finding.problem.value: finding.detail for finding in file.findings},
                "output": file.output,
                "partition": file.partition,
            }
            for file in files
        ],
    }


def _problems(files: list[SourceFile]) -> Iterator[str]:
    found = {p: [file for file in files if p in dict(file.findings)] for p in Problem}
    if any(found.values()):
        yield f"{'problem':<16}{'files':>11}{'left out':>11}  what to do"
    for problem, having in found.items():
        if having:
            out = sum(file.output is None for file in having)
            yield f"{problem.value:<16}{len(having):>11,}{out:>11,}  {_ADVICE[problem]}"
            for file in having[:_NAMED]:
                name = os.fsencode(file.source).decode(errors="replace")
                yield f"  {name}: {dict(file.findings)[problem]}"
            if len(having) > _NAMED:
                yield f"  and {len(having) - _NAMED:,} more, in {REPORT_FILE}"


def _notes(words: dict[str, dict[str, int]], noise: int) -> Iterator[str]:
    unnamed = sum(row["unnamed"] for row in words.values())
    if unnamed:
        yield (
            f"note: {unnamed:,} examples tell no speaker, and each counts as a speaker of its own; "
            "put them into WORD/SPEAKER/ so that no voice is in two partitions"
        )
    empty = defaultdict(list)
    for word, row in words.items():
        empty[tuple(partition for partition in PARTITIONS if not row[partition])].append(word)
    for partitions, lacking in empty.items():
        if partitions:
            yield (
                f"note: no examples for {' and '.join(partitions)} of {', '.join(lacking)}; nobody "
                "is in two partitions, and speakers named as in Speech Commands stay where it has "
                "them, so record more people"
            )
    if not noise:
        yield (
            f"note: there is no {NOISE_FOLDER}, which training needs; record a minute or two of "
            "the places of use into that folder beside the words and import again, or copy that "
            "of Speech Commands or of scripts/make_dataset.py to the output"
        )
