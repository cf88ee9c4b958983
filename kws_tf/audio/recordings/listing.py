"""The files of a folder of recordings, and where each goes in the output."""

import dataclasses
from collections import Counter, defaultdict
from itertools import chain, count
from pathlib import Path

from kws_tf.audio import folders
from kws_tf.audio.recordings import speakers
from kws_tf.audio.recordings.cutting import Finding
from kws_tf.audio.speech_commands import NOISE_FOLDER
from kws_tf.errors import KwsError
from kws_tf.labels import class_names, clean_word, word_key
from kws_tf.progress import note


@dataclasses.dataclass
class SourceFile:
    """A file of the source, its word or ``_background_noise_``, and what became of it.

    The paths are within the source and the output folder. There is no speaker where the path does
    not tell one, no output if it was left out, and no partition then and for noise.
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


def listing(source: Path) -> list[SourceFile]:
    """Lists the visible files in the folders of words and of noise, in linked folders as well."""
    if not source.is_dir():
        raise KwsError(f"the folder of recordings {source} does not exist; give an existing one")
    names = [name for name in folders.folders(source) if name[0] != "_"]
    words: dict[str, str] = {}
    for name in names:
        words.setdefault(word_key(name), clean_word(name.replace("_", " ")))
    if not words:
        raise KwsError(
            f"{source} has no folders of words; put the recordings of each word into a folder "
            "that is named as the word"
        )
    class_names(tuple(words.values()))
    files = []
    for name in names:
        word = words[word_key(name)]
        for path in folders.visible_files(source / name):
            speaker = speakers.told_by(path.relative_to(source / name), word)
            files.append(SourceFile(path.relative_to(source), word, speaker))
    if (source / NOISE_FOLDER).is_dir():
        for path in folders.visible_files(source / NOISE_FOLDER):
            files.append(SourceFile(path.relative_to(source), NOISE_FOLDER))
    outside = [path.name for path in folders.visible_files(source, is_deep=False)]
    outside += [name for name in folders.folders(source) if name not in (*names, NOISE_FOLDER)]
    if outside:
        note(f"{source} has {', '.join(outside)} beside the folders of words, left out")
    return sorted(files, key=lambda file: (file.is_noise, file.word, file.source))


def name_outputs(files: list[SourceFile]) -> None:
    """Gives what is imported its partition and its path in the output."""
    said: defaultdict[str, Counter] = defaultdict(Counter)
    for file in files:
        if not file.is_noise:
            said[file.identity][file.word] += 1
    kept = {file.identity for file in files if speakers.is_official(file.source)}
    partitions = speakers.assign(said, kept)
    taken = set()
    for file in files:
        if file.is_noise:
            stem = "-".join(file.source.relative_to(NOISE_FOLDER).with_suffix("").parts)
            names = chain([stem], (f"{stem}-{n}" for n in count(2)))
        else:
            file.partition = partitions[file.identity]
            speaker = file.identity
            if speaker not in kept:
                speaker = speakers.name_for(speaker, file.partition)
            names = (f"{speaker}_nohash_{n}" for n in count())
        paths = (f"{file.word}/{name}.wav" for name in names)
        file.output = next(path for path in paths if path not in taken)
        taken.add(file.output)
