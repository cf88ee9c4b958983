"""Where the data are: a folder the user gives, the official archives, or synthesised speech."""

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from kws_tf.audio import download, speech_commands
from kws_tf.audio.speech_commands import TRAINING, Recording
from kws_tf.data import mix
from kws_tf.data.sources import ROOT
from kws_tf.errors import KwsError
from kws_tf.labels import KEYWORDS, check_spelling
from kws_tf.settings import DataSettings
from kws_tf.synthesis import dataset, vocabulary
from kws_tf.synthesis.running_speech import RUNNING_SPEECH_FOLDER
from kws_tf.synthesis.settings import SynthesisSettings
from kws_tf.synthesis.words import can_speak

_OFFICIAL_TEST = "speech_commands_test_set_v0.02"
_PER_UNKNOWN_WORD = 30  # there are some sixty of them for three words of one's own


class Source(NamedTuple):
    """A folder to train from, whether speech was synthesised for it, and folders of negatives.

    Negatives are recordings of any length in which no keyword is: the running speech of training
    voices where speech was synthesised, else none.
    """

    folder: Path
    synthetic: bool
    negatives: tuple[Path, ...] = ()


def training_data(data_dir: Path | None, fetch: bool, settings: DataSettings) -> Source:
    """Finds the folder to train from; downloads into it, or makes it, where that is wanted.

    Without a folder every word is synthesised. A folder of recordings is taken as it is if there
    are enough of every word; else synthesised speech is mixed in, see ``kws_tf.data.mix``.
    """
    if fetch:
        folder = data_dir or ROOT
        download.fetch(download.SPEECH_COMMANDS_TEST_SET, folder)
        data_dir = download.fetch(download.SPEECH_COMMANDS, folder)
    if data_dir:
        return _with_recordings(Path(data_dir), settings)
    per_word = settings.synthetic_per_word
    if not per_word:
        raise KwsError(
            "there are neither recordings nor synthesised speech; give --data-dir, or a "
            "--synthetic-per-word other than 0"
        )
    wanted = _to_synthesise(settings, settings.words, mix.ENOUGH if per_word < 0 else per_word)
    print(f"no --data-dir given: synthesised speech is used, in {ROOT}/", flush=True)
    made = dataset.make_dataset(ROOT / f"synthetic-{wanted.digest}", wanted)
    return Source(made / dataset.SPEECH_FOLDER, True, (made / RUNNING_SPEECH_FOLDER / TRAINING,))


def _to_synthesise(
    settings: DataSettings, words: tuple[str, ...], per_word: int
) -> SynthesisSettings:
    """Returns the benchmark's speech for its ten words, else that of a list of one's own."""
    sizes = {"per_word": per_word, "seconds": settings.window_ms / 1000}
    if settings.words == KEYWORDS:
        return SynthesisSettings(words, **sizes)
    # Checks the words before they are given to espeak-ng.
    checked = SynthesisSettings(words, (), **sizes)
    sizes |= {"per_unknown_word": _PER_UNKNOWN_WORD, "cut_words": True}
    return SynthesisSettings(words, vocabulary.unknown_words(checked.words), **sizes)


def _with_recordings(folder: Path, settings: DataSettings) -> Source:
    """Returns a folder as it is, or mixed with the synthesised speech that it needs."""
    words = settings.words
    per_word, limit = settings.synthetic_per_word, settings.recordings_per_word
    if not folder.is_dir() or any(folder.glob("*.tfrecord")):
        if per_word > 0 or limit >= 0:
            raise KwsError(
                f"{folder} is no folder of audio, which is what synthesised speech is mixed with "
                "and recordings are chosen from; give recordings, or neither --synthetic-per-word "
                "nor --recordings-per-word"
            )
        return Source(folder, False)
    if not per_word and limit < 0:
        return Source(folder, False)
    recorded = speech_commands.scan(folder)
    if limit >= 0:
        recorded = _limited(recorded, limit)
    numbers = Counter(file.word for file in recorded)
    check_spelling(words, numbers, str(folder))
    # A word that cannot be spoken has to do with its recordings.
    spoken = tuple(word for word in words if not numbers[word] or can_speak(word))
    counts = mix.synthetic_counts({word: numbers[word] for word in words}, per_word)
    counts = {word: counts[word] if word in spoken else 0 for word in words}
    speech = None
    if any(counts.values()):
        speech = _to_synthesise(settings, spoken, max(mix.ENOUGH, per_word))
        print(f"synthesised speech is mixed with the recordings, in {ROOT}/", flush=True)
    elif limit < 0:
        return Source(folder, False)
    mixed, synthesised, negatives = mix.mix(folder, recorded, counts, speech, ROOT)
    print(_table(recorded, synthesised, words))
    return Source(mixed, speech is not None, negatives)


def _limited(recorded: list[Recording], number: int) -> list[Recording]:
    """Returns ``number`` training recordings of each word, and all that are for other partitions.

    A larger number keeps all that a smaller one keeps.
    """
    kept, taken = [], Counter()
    # By hash: by name they would be of few speakers.
    for file in sorted(recorded, key=lambda f: hashlib.sha1(os.fsencode(f.path.name)).digest()):
        taken[file.word, file.partition] += 1
        if file.partition != TRAINING or taken[file.word, file.partition] <= number:
            kept.append(file)
    return sorted(kept, key=lambda file: (file.word, file.path.name))


def _table(recorded: list[Recording], synthesised: list[Recording], words: Sequence[str]) -> str:
    """Returns how many examples of each word and of all others were recorded and synthesised."""
    columns = [
        Counter(file.word if file.word in words else "other words" for file in files)
        for files in (recorded, synthesised)
    ]
    rows = (*words, "other words")
    width = max(map(len, rows))
    lines = [f"{'word':<{width}} {'recorded':>11} {'synthesised':>11}"]
    lines += [f"{w:<{width}}" + "".join(f" {column[w]:>11,}" for column in columns) for w in rows]
    return "\n".join(lines)


def test_set_beside(data_dir: Path) -> Path | None:
    """Returns the test set that lies beside a training folder, or ``None``."""
    for name in (dataset.TEST_FOLDER, _OFFICIAL_TEST):
        folder = Path(data_dir).parent / name
        if folder.is_dir():
            return folder
    return None
