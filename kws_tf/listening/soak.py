"""A model left listening: false alarms an hour without its words, words found in a stream."""

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np

from kws_tf.audio import reader, speech_commands
from kws_tf.listening import (
    background,
    curve,
    protocol,
    recordings,
    stream_file,
    streams,
    transcripts,
)
from kws_tf.listening.ears import Ears
from kws_tf.listening.heard import Listened, Smoothing, joined
from kws_tf.listening.recordings import Recordings
from kws_tf.listening.soak_result import Alarm, Negatives, Positives, Soak
from kws_tf.progress import progress
from kws_tf.tflite.model import Model
from kws_tf.tflite.trigger import Trigger, keyword_indices

SNR_DB = (10.0, 20.0)
"""Ratios over a background, unless others are asked for."""


@dataclass(frozen=True)
class Plan:
    """What to listen to, and how."""

    negatives: Sequence[Path] = ()  # folders or files without the words
    positives: Path | None = None  # a test set, one folder a word
    background: Sequence[Path] = ()  # folders or files that run under the words; quiet without
    snr_db: tuple[float, float] = SNR_DB  # of the words over the background, lowest and highest
    transcripts: Path | None = None  # of negatives and background
    limit: int = 0  # recordings of each word at most, drawn by the seed; 0 is all
    seed: int = 0  # of the stream of words
    runtime: str | None = None  # as for ``Ears``
    mix_down: bool = False  # mix stereo files down instead of refusing them
    save_stream: Path | None = None  # a WAV to write the stream of words to; see ``stream_file``


def measure(model: Model, plan: Plan, **changes) -> Soak:
    """Listens to negatives, to positives, or to both.

    Memory does not grow with their length: of a stream the decisions are kept at which a word's
    smoothed score reaches the curve's lowest threshold.

    Args:
        model: From ``kws_tf.tflite.model.load``.
        plan: At least one of both.
        **changes: Fields of ``Trigger`` in place of the manifest's, as ``Trigger.changed``.

    Raises:
        KwsError: What is given cannot be used, or a recording cannot be read.
    """
    trigger, labels = model.manifest.trigger.changed(**changes), model.manifest.labels
    listening = _Listening(model, trigger, plan)
    holding, texts = None, {}
    if plan.transcripts:
        texts = transcripts.read(plan.transcripts)
        holding = transcripts.keywords_in(texts, listening.keywords)
    negatives = positives = None
    counts: list[curve.Counts] = []
    if plan.negatives:
        found = recordings.find(plan.negatives, holding, texts)
        negatives, counted = listening.negatives(found)
        counts.append(counted)
    if plan.positives:
        below = recordings.find(plan.background, holding, texts) if plan.background else None
        positives, counted = listening.positives(below)
        counts.insert(0, counted)
    details = {
        "model": model.path.name,
        "sha256": model.sha256,
        "labels": list(labels),
        "trigger": dataclasses.asdict(trigger),
        "runtime": listening.ears.runtime,
    }
    return Soak(details, negatives, positives, curve.Curve.of(*counts))


class _Listening:
    """One model with one trigger."""

    def __init__(self, model: Model, trigger: Trigger, plan: Plan):
        self._manifest, self._trigger, self._plan = model.manifest, trigger, plan
        self._log_mel = model.manifest.front_end.log_mel
        self._labels = model.manifest.labels
        self.keywords = [self._labels[i] for i in keyword_indices(self._labels)]
        self.ears = Ears(model, plan.runtime, trigger.decision_ms)
        least = trigger.least_sums(self._labels).min() / trigger.full_sum
        self._lowest = min(curve.LOWEST, least)

    def negatives(self, found: Recordings) -> tuple[Negatives, curve.Counts]:
        """Listens to recordings without the words, each a stream of its own."""
        kept = list(self._listen(found))
        window = self._manifest.front_end.example_ms / 1000
        alarms = [
            Alarm(one.name, found.paths[one.name], min(time, one.seconds), label, score, window)
            for one in kept
            for label, time, score in one.detected(self._trigger, self._labels, self._log_mel)
        ]
        hours = sum(one.seconds for one in kept) / 3600
        return Negatives(found, hours, tuple(alarms), tuple(self.keywords)), self._count(kept)

    def _listen(self, found: Recordings) -> Iterator[Listened]:
        """Yields what is kept of each recording."""
        lengths, rate = dict.fromkeys(found.paths, 0), self._log_mel.sample_rate
        stated = map(recordings.stated_seconds, found.paths.values())  # and refused, if unreadable
        decisions = sum(self.ears.decisions(math.ceil(seconds * rate)) for seconds in stated)

        def opened() -> Iterator[tuple[str, Iterator[np.ndarray]]]:
            for name, path in found.paths.items():
                yield name, counted(name, reader.blocks(path, rate, self._plan.mix_down))

        def counted(name: str, blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
            for block in blocks:
                lengths[name] += len(block)
                yield block

        pieces = _told(self.ears.hear_all(opened()), decisions, self.ears)
        for name, parts in groupby(pieces, itemgetter(0)):
            yield self._listened(name, (outputs for _, outputs in parts), lambda n=name: lengths[n])

    def positives(self, below: Recordings | None) -> tuple[Positives, curve.Counts]:
        """Listens to the words of a test set in one stream."""
        plan, rate = self._plan, self._log_mel.sample_rate
        every = speech_commands.scan_test_set(plan.positives, self.keywords)
        files = _drawn(every, plan.limit, plan.seed)
        order = streams.plan(len(files), plan.seed, plan.snr_db if below else None)
        under = None
        if below:
            paths = list(below.paths.values())
            under = background.of_files(paths, rate, plan.seed, plan.mix_down)
        pieces = streams.sample_stream(
            lambda number: reader.load(files[number][0], rate, plan.mix_down),
            [self.keywords[label] for _, label in files],
            [f"{path.parent.name}/{path.name}" for path, _ in files],
            order,
            rate,
            under,
        )
        if plan.save_stream:
            pieces = stream_file.recorded(pieces, plan.save_stream, rate)
        words, samples = [], 0

        def blocks() -> Iterator[np.ndarray]:
            nonlocal samples
            for piece in progress(pieces, len(order) + 1, "listening to words"):
                words.extend(piece.words)
                samples += len(piece.values)
                yield piece.values

        kept = self._listened("words", self.ears.hear(blocks()), lambda: samples)
        kept = dataclasses.replace(kept, words=tuple(words))
        detected = kept.detected(self._trigger, self._labels, self._log_mel)
        result = Positives(
            protocol.judge(words, detected),
            len(every),
            kept.seconds / 3600,
            plan.seed,
            plan.snr_db if below else None,
            below,
            tuple(self.keywords),
        )
        return result, self._count([kept])

    def _listened(
        self, name: str, pieces: Iterator[np.ndarray], samples: Callable[[], float]
    ) -> Listened:
        smooth = Smoothing(self._labels, self._trigger, self._lowest)
        peaks = joined([smooth(outputs) for outputs in pieces])
        seconds = samples() / self._log_mel.sample_rate  # known when all pieces are
        return Listened(name, seconds, peaks, self.ears.first, self.ears.step)

    def _count(self, kept: list[Listened]) -> curve.Counts:
        return curve.count(kept, self._trigger, self._labels, self._log_mel)


def _drawn(files: list, limit: int, seed: int) -> list:
    """Draws up to ``limit`` recordings of each word, in their order; 0 is all."""
    if not limit:
        return files
    order = np.random.default_rng([seed, 3]).permutation(len(files))
    labels = np.array([label for _, label in files])[order]
    chosen = np.concatenate([order[labels == label][:limit] for label in np.unique(labels)])
    return [files[place] for place in np.sort(chosen)]


def _told(pieces: Iterator, decisions: int, ears: Ears) -> Iterator:
    """Yields pieces of outputs and shows how much was heard."""
    done = 0

    def noted() -> Iterator:
        nonlocal done
        for piece in pieces:
            done += len(piece[1])
            yield piece

    yield from progress(noted(), decisions, "listening", lambda: done, (3600 / ears.step, "h"))
