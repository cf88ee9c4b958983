"""From folders to tuning streams: recordings without the words, and the words in two streams.

Every second word of a label is said in quiet, the others over a background. The words come from a
test set (one folder a class), from the validation partition of a data folder in the Speech Commands
layout, or from that of log-mel records, whose streams are mixed in mel power.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kws_tf.audio import folders, reader, speech_commands
from kws_tf.errors import KwsError
from kws_tf.labels import SILENCE, UNKNOWN
from kws_tf.listening import background, recordings, streams, transcripts
from kws_tf.listening.ears import Ears
from kws_tf.listening.heard import Heard
from kws_tf.listening.recordings import Recordings
from kws_tf.listening.streams import Piece
from kws_tf.listening.tuning import Tuning
from kws_tf.progress import progress
from kws_tf.tflite.model import Model
from kws_tf.tflite.trigger import keyword_indices


@dataclass(frozen=True)
class Places:
    """What the streams are made of."""

    negatives: Sequence[Path]  # folders or files without the words
    positives: Path
    background: Sequence[Path] = ()  # under half of the words; by default the negatives
    snr_db: tuple[float, float] = (10.0, 20.0)  # of those words, lowest and highest
    transcripts: Path | None = None  # of negatives and background, as for soak
    seed: int = 0
    mix_down: bool = False  # mix stereo files down instead of refusing them


class _Examples(NamedTuple):
    """Keyword examples in one of both forms."""

    labels: list[str]
    names: list[str]
    kind: str  # where they are from, to print
    render: Callable  # from numbers of examples, a plan and a background to pieces
    is_mel: bool = False


def listen(model: Model, places: Places, intervals: Sequence[float]) -> tuple[dict, str]:
    """Lets a model hear the streams at each decision interval, ms.

    Returns:
        A ``Tuning`` by interval, and a line that says of what.

    Raises:
        KwsError: What is given cannot be used, or a recording cannot be read.
    """
    labels = model.manifest.labels
    keywords = [labels[index] for index in keyword_indices(labels)]
    holding, texts = None, {}
    if places.transcripts:
        texts = transcripts.read(places.transcripts)
        holding = transcripts.keywords_in(texts, keywords)
    negatives = recordings.find(places.negatives, holding, texts)
    below = negatives
    if places.background:
        below = recordings.find(places.background, holding, texts)
    examples = _examples(model, places, keywords)
    tuning = {}
    for interval in sorted(set(intervals)):
        ears = Ears(model, decision_ms=interval)
        of_words = [
            _words(model, ears, places, examples, half, under)
            for half, under in enumerate((None, below))
        ]
        heard = list(_negatives(model, ears, negatives, places.mix_down))
        tuning[interval] = Tuning(of_words, heard)
    low, high = places.snr_db
    quiet, loud = (len(stream.words) for stream in of_words)
    text = (
        f"tuning streams: {quiet:,} words in quiet, {loud:,} over a background at {low:g} to "
        f"{high:g} dB ({below.text}), {examples.kind}; negatives: {negatives.text}"
    )
    return tuning, text


def _negatives(model: Model, ears: Ears, found: Recordings, mix_down: bool) -> Iterator[Heard]:
    """Yields what is heard in each recording."""
    rate, lengths = model.manifest.front_end.log_mel.sample_rate, dict.fromkeys(found.paths, 0)
    stated = map(recordings.stated_seconds, found.paths.values())  # and refused, if unreadable
    total = sum(ears.decisions(math.ceil(seconds * rate)) for seconds in stated)
    done = 0

    def counted(name: str, path: Path) -> Iterator[np.ndarray]:
        for block in reader.blocks(path, rate, mix_down):
            lengths[name] += len(block)
            yield block

    def noted() -> Iterator[tuple[str, np.ndarray]]:
        nonlocal done
        for name, outputs in ears.hear_all((n, counted(n, p)) for n, p in found.paths.items()):
            done += len(outputs)
            yield name, outputs

    told = progress(noted(), total, "listening", lambda: done, (3600 / ears.step, "h"))
    for name, parts in groupby(told, itemgetter(0)):
        outputs = np.concatenate([outputs for _, outputs in parts])
        yield Heard(name, lengths[name] / rate, outputs, ears.first, ears.step)


def _words(
    model: Model,
    ears: Ears,
    places: Places,
    examples: _Examples,
    half: int,
    below: Recordings | None,
) -> Heard:
    """Returns what is heard of every second example of each label."""
    chosen = _every_second(examples.labels, half, places.seed)
    if not len(chosen):
        raise KwsError(
            f"{places.positives} has one recording of each keyword, and two streams need two; add "
            "more"
        )
    seed = 2 * places.seed + half
    plan = streams.plan(len(chosen), seed, places.snr_db if below else None)
    pieces = examples.render(chosen, plan, below, seed)
    words, length = [], 0

    def values() -> Iterator[np.ndarray]:
        nonlocal length
        title = f"listening to words {'over a background' if below else 'in quiet'}"
        for piece in progress(pieces, len(plan) + 1, title):
            words.extend(piece.words)
            length += len(piece.values)
            yield piece.values

    front_end = model.manifest.front_end
    hop, rate = front_end.log_mel.hop_samples, front_end.log_mel.sample_rate
    if not examples.is_mel:
        outputs = np.concatenate(list(ears.hear(values())))
        return Heard("words", length / rate, outputs, ears.first, ears.step, tuple(words))
    rows = np.concatenate([_rows(model, one) for one in values()])
    outputs = ears.decide(rows)
    span = front_end.log_mel.window_samples + (front_end.frames - 1) * hop
    return Heard("words", length * hop / rate, outputs, span / rate, ears.step, tuple(words))


def _rows(model: Model, log_values: np.ndarray) -> np.ndarray:
    """Returns a model's input, int8 [hops, features], of float32 [hops, bands], nats."""
    from kws_tf.frontend.features import features_from_log_mel

    values = features_from_log_mel(log_values, model.manifest.front_end).numpy()
    return model.manifest.quantize(values)


def _every_second(labels: Sequence[str], half: int, seed: int) -> np.ndarray:
    """Returns one half, 0 or 1, of the examples of each label, drawn, in order."""
    order = np.random.default_rng([seed, 4]).permutation(len(labels))
    drawn = np.array(labels)[order]
    chosen = [order[drawn == label][half::2] for label in sorted(set(labels))]
    return np.sort(np.concatenate(chosen))


def _examples(model: Model, places: Places, keywords: list[str]) -> _Examples:
    """Chooses by what the folder is."""
    from kws_tf.data import records

    folder = places.positives
    there = folders.folders(folder)
    if records.is_record_folder(folder):
        return _of_records(model, places, keywords)
    kind, found = "a test set", []
    if is_data_folder(folder, there):
        kind = "the validation partition"
        every = speech_commands.scan(folder, keywords)
        found = [(one.path, one.word) for one in every if one.partition == "validation"]
        if missing := sorted(set(keywords) - {word for _, word in found}):
            raise KwsError(
                f"the validation partition of {folder} has no recording of '{missing[0]}'; give "
                "--positives a folder that has"
            )
    else:
        every = speech_commands.scan_test_set(folder, keywords)
        found = [(path, keywords[label]) for path, label in every]
    labels = [word for _, word in found]
    names = [f"{path.parent.name}/{path.name}" for path, _ in found]
    rate = model.manifest.front_end.log_mel.sample_rate

    def render(chosen, plan, below: Recordings | None, seed: int) -> Iterator[Piece]:
        under = None
        if below:
            under = background.of_files(list(below.paths.values()), rate, seed, places.mix_down)
        return streams.sample_stream(
            lambda number: reader.load(found[chosen[number]][0], rate, places.mix_down),
            [labels[number] for number in chosen],
            [names[number] for number in chosen],
            plan,
            rate,
            under,
        )

    return _Examples(labels, names, kind, render)


def is_data_folder(folder: Path, there: Sequence[str]) -> bool:
    """Tells a data folder from a test set, which has classes for silence or unknown words.

    A data folder has ``_background_noise_`` in it or beside it, or the official lists. Any other
    folder is taken for a test set.
    """
    if {SILENCE, UNKNOWN} & set(there):
        return False
    lists = any((folder / f"{part}_list.txt").is_file() for part in ("validation", "testing"))
    noise = speech_commands.NOISE_FOLDER
    return lists or noise in there or (folder.resolve().parent / noise).is_dir()


def _of_records(model: Model, places: Places, keywords: list[str]) -> _Examples:
    from kws_tf.data import records
    from kws_tf.data.sources import keyword_indices as spoken_keywords

    stored = records.read(places.positives, "validation")
    log_mel = model.manifest.front_end.log_mel
    keyword = spoken_keywords(stored.words, keywords, f"validation records in {places.positives}")
    positions = np.flatnonzero(keyword >= 0)
    labels = [keywords[number] for number in keyword[positions]]
    names = stored.names[positions].tolist()

    def render(chosen, plan, below: Recordings | None, seed: int) -> Iterator[Piece]:
        under = None
        if below:
            longest = (
                streams.GAP_SECONDS[1]
                + stored.log_mel.hop_ms / 1000 * (stored.spectrograms.shape[1])
            )
            powers = _mel_powers(below, stored.log_mel, longest * (1 + len(plan)), seed, places)
            under = background.of_mel_power(powers, seed)
        return streams.mel_stream(
            stored.spectrograms[positions[chosen]],
            [labels[number] for number in chosen],
            [names[number] for number in chosen],
            plan,
            stored.log_mel,
            log_mel.hop_ms,
            under,
        )

    return _Examples(labels, names, "validation records", render, is_mel=True)


def _mel_powers(
    found: Recordings, log_mel, seconds: float, seed: int, places: Places
) -> list[np.ndarray]:
    """Returns the mel power of recordings, drawn until they fill so many seconds."""
    from kws_tf.frontend.features import log_mel as spectrogram
    from kws_tf.frontend.features import mel_power

    paths, powers = list(found.paths.values()), []
    for number in np.random.default_rng([seed, 5]).permutation(len(paths)):
        parts = []
        for block in reader.blocks(paths[number], log_mel.sample_rate, places.mix_down):
            if len(block) >= log_mel.window_samples:
                parts.append(mel_power(spectrogram(block, log_mel), log_mel).numpy())
            seconds -= len(block) / log_mel.sample_rate
            if seconds <= 0:
                break
        powers += [np.concatenate(parts)] if parts else []
        if seconds <= 0:
            break
    return powers
