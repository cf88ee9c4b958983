"""A speech data set made on the spot: words spoken by espeak-ng in Speech Commands' layout.

Examples are rendered in fixed batches, each in a fresh process, because espeak-ng keeps state from
one utterance to the next: the bytes depend on the settings alone, not on the number of processes.
This room never imports TensorFlow, which keeps those processes light.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from functools import partial
from pathlib import Path

from kws_tf.audio.speech_commands import NOISE_FOLDER, PARTITIONS, TESTING, TRAINING, scan
from kws_tf.errors import KwsError
from kws_tf.labels import SILENCE, UNKNOWN
from kws_tf.progress import progress
from kws_tf.synthesis import fresh_process
from kws_tf.synthesis.engine import Espeak
from kws_tf.synthesis.rendering import background_noises, render
from kws_tf.synthesis.running_speech import (
    RUNNING_SPEECH_FOLDER,
    Talk,
    plan_talks,
    write_talks,
    write_transcripts,
)
from kws_tf.synthesis.sentences import lexicon_without
from kws_tf.synthesis.settings import SynthesisSettings
from kws_tf.synthesis.signals import gain, generator, wav_bytes
from kws_tf.synthesis.voices import Utterance, cast, plan
from kws_tf.synthesis.words import check_length

SPEECH_FOLDER = "speech_commands"
TEST_FOLDER = "test_set"
DESCRIPTION_FILE = "dataset.json"
_BATCH, _TALKS_BATCH = 256, 12
"""Utterances and recordings of running speech of a process. Other numbers give other bytes."""
_BACKGROUND_DBFS, _FAINTEST_DBFS = -25.0, -70

Batch = tuple[list, partial]
"""Items, and the call that writes them all, for a fresh process."""


def make_dataset(
    target_dir: str | os.PathLike,
    settings: SynthesisSettings | None = None,
    jobs: int | None = None,
) -> Path:
    """Makes the data set, or finds it made with the same settings, and returns its folder.

    It gets ``speech_commands/`` (a folder a word and ``_background_noise_``, as Speech Commands
    v0.02), ``test_set/`` (as the canonical test set, by voices and with noise that are nowhere
    else but in the testing partition), ``running_speech/`` (speech without the keywords, for each
    partition by its voices, see ``kws_tf.synthesis.running_speech``) and ``dataset.json`` (the
    settings). It appears under its name only when complete. The number of processes, ``jobs``,
    does not change the result.

    Raises:
        KwsError: The folder holds something else or cannot be written, espeak-ng is missing or
            fails, or a word does not fit into the window.
    """
    settings = settings or SynthesisSettings()
    target = Path(target_dir).expanduser().absolute()
    if jobs is not None and jobs < 1:
        raise KwsError(f"{jobs} processes; give at least 1")
    if _is_made(target, settings):
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            dir=target.parent, prefix=f".{target.name}-unfinished-", ignore_cleanup_errors=True
        ) as folder:
            made = Path(folder) / "dataset"
            _build(made, settings, jobs or os.cpu_count() or 1)
            # Another process may have finished the same data set meanwhile.
            if not _is_made(target, settings):
                if target.is_dir():
                    target.rmdir()  # empty, as _is_made says
                os.replace(made, target)
    except OSError as error:
        raise KwsError(
            f"cannot write {target} ({error.strerror}); "
            "choose a folder that can be written, on a disk with free space"
        ) from error
    return target


def count_examples(dataset_dir: str | os.PathLike) -> dict[str, dict[str, int]]:
    """Returns the numbers of examples of a made data set: words in order, then partitions."""
    table: dict[str, dict[str, int]] = {}
    for example in scan(Path(dataset_dir) / SPEECH_FOLDER):
        table.setdefault(example.word, dict.fromkeys(PARTITIONS, 0))[example.partition] += 1
    return table


def _is_made(target: Path, settings: SynthesisSettings) -> bool:
    """Tells a finished data set from a free place; anything else is an error."""
    try:
        if not target.exists() or not any(target.iterdir()):
            return False
        description = json.loads((target / DESCRIPTION_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise KwsError(
            f"{target} is not a folder of a synthesised data set; choose a new or empty folder"
        ) from error
    if description != settings.description():
        raise KwsError(
            f"{target} holds a data set made with other settings; "
            "choose another folder or delete it"
        )
    return True


def _build(folder: Path, settings: SynthesisSettings, jobs: int) -> None:
    check_length(settings.words, settings.seconds)
    utterances, talks = plan(settings), plan_talks(settings)
    speech, test, talking = (
        folder / n for n in (SPEECH_FOLDER, TEST_FOLDER, RUNNING_SPEECH_FOLDER)
    )
    for word in settings.words + settings.other_words:
        (speech / word).mkdir(parents=True)
    for partition in PARTITIONS:
        (talking / partition).mkdir(parents=True)
    words = lexicon_without(settings.words)
    batches: list[Batch] = [
        # The longest first, so that all processes end at about the same time.
        *(
            (some, partial(write_talks, settings, words, some, talking))
            for some in _batches(talks, _TALKS_BATCH)
        ),
        *(
            (some, partial(_write_examples, settings, some, speech))
            for some in _batches(utterances, _BATCH)
        ),
        ([], partial(_write_noise, settings, speech, test)),
    ]
    texts = {}
    # Closing ends the processes before an error or Ctrl-C removes the folder that they write to.
    with closing(_made_in_processes(batches, jobs)) as made:
        for item, text in progress(made, len(utterances) + len(talks), "synthesising speech"):
            if isinstance(item, Talk):
                texts[item] = text
    write_transcripts(talking, texts)
    _fill_test_set(settings, utterances, speech, test)
    text = json.dumps(settings.description(), indent=2) + "\n"
    (folder / DESCRIPTION_FILE).write_text(text, encoding="utf-8")


def _batches(items: list, size: int) -> list[list]:
    return [items[i : i + size] for i in range(0, len(items), size)]


def _made_in_processes(
    batches: list[Batch], jobs: int
) -> Generator[tuple[Utterance | Talk, str | None], None, None]:
    """Yields each item once its batch is written, with what the batch's call returned for it."""
    threads = ThreadPoolExecutor(jobs)
    try:
        futures = {threads.submit(_in_process, call): items for items, call in batches}
        for future in as_completed(futures):
            items = futures[future]
            yield from zip(items, future.result() or [None] * len(items), strict=True)
    finally:
        threads.shutdown(cancel_futures=True)


def _in_process(call: partial) -> list[str] | None:
    return fresh_process.call(call.func, *call.args)


def _write_examples(settings: SynthesisSettings, utterances: list[Utterance], folder: Path) -> None:
    espeak = Espeak()
    for utterance in utterances:
        samples = render(espeak, settings, utterance)
        (folder / utterance.path).write_bytes(wav_bytes(samples, settings.sample_rate))


def _write_noise(settings: SynthesisSettings, speech: Path, test: Path) -> None:
    """Writes ``_background_noise_`` and, from noise of its own, the test set's ``_silence_``."""
    espeak = Espeak()
    speakers = cast(settings)
    background, silence = speech / NOISE_FOLDER, test / SILENCE
    background.mkdir(parents=True)
    silence.mkdir(parents=True)
    for name, samples in background_noises(espeak, settings, speakers[TRAINING]).items():
        content = wav_bytes(samples * gain(_BACKGROUND_DBFS), settings.sample_rate)
        (background / f"{name}.wav").write_bytes(content)

    recordings = list(background_noises(espeak, settings, speakers[TESTING]).values())
    rng = generator(settings.seed, "silence")
    length = settings.samples(settings.seconds)
    for index in range(settings.counts(settings.words[0])[TESTING]):
        recording = recordings[index % len(recordings)]
        start = rng.integers(len(recording) - length + 1)
        level = gain(rng.uniform(_FAINTEST_DBFS, _BACKGROUND_DBFS))
        samples = recording[start : start + length] * level
        (silence / f"{index}.wav").write_bytes(wav_bytes(samples, settings.sample_rate))


def _fill_test_set(
    settings: SynthesisSettings, utterances: list[Utterance], speech: Path, test: Path
) -> None:
    """Copies the testing examples into the canonical test set's layout."""
    for word in settings.words:
        (test / word).mkdir(parents=True)
    unknown = []
    for utterance in utterances:
        if utterance.speaker.partition != TESTING:
            continue
        if utterance.word in settings.words:
            shutil.copyfile(speech / utterance.path, test / utterance.path)
        else:
            unknown.append(utterance)
    if unknown:
        (test / UNKNOWN).mkdir()
    chosen = generator(settings.seed, "unknown").permutation(len(unknown))
    for index in chosen[: settings.counts(settings.words[0])[TESTING]]:
        utterance = unknown[index]
        name = f"{utterance.word}_{Path(utterance.path).name}.wav"
        shutil.copyfile(speech / utterance.path, test / UNKNOWN / name)
