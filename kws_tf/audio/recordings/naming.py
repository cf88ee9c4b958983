"""Where an imported recording goes: its partition, and its name in the output."""

from collections import Counter, defaultdict
from itertools import chain, count

from kws_tf.audio.recordings import speakers
from kws_tf.audio.recordings.listing import SourceFile
from kws_tf.audio.speech_commands import NOISE_FOLDER


def name(files: list[SourceFile]) -> None:
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
