"""How a model listens while it trains: words found at few false alarms, on validation streams.

The streams are the same at the end of every epoch: validation examples in a quiet stream and in
one of running speech, and the validation part of negatives and noise. The model decides on them
in its own floating point, with the default trigger.
"""

from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf
import tf_keras as keras
from numpy.lib.stride_tricks import sliding_window_view

from kws_tf.data import records, sources
from kws_tf.data.sources import Examples
from kws_tf.data.spectrograms import Spectrograms
from kws_tf.errors import KwsError
from kws_tf.frontend.config import FrontEnd
from kws_tf.frontend.features import features_from_log_mel, mel_power
from kws_tf.labels import class_names
from kws_tf.listening import background, streams
from kws_tf.listening.curve import Curve, count
from kws_tf.listening.ears import Ears
from kws_tf.listening.heard import Heard, Word
from kws_tf.listening.tuning import Tuning
from kws_tf.run_folder import RunFolder
from kws_tf.tflite.model import Model
from kws_tf.tflite.trigger import Trigger
from kws_tf.training import distillation, overheard

RATES = (0.5, 2.0, 8.0)
"""False alarms an hour at which the words found are averaged: one alone is told badly by few
hours."""
WORDS = 400
"""Examples in each of the two streams while a model trains."""
SNR_DB = (10.0, 20.0)
HOURS, _HOURS_TO_CALIBRATE = 1.0, 10.0
"""Most of each kind of negatives that is listened to, while a model trains and after it."""
_FRAMES_AN_HOUR, _PIECE = 360_000, 3_000
"""Frames of 10 ms: in an hour, and in what is brought to one level."""
_BATCH = 1024

Stream = tuple[np.ndarray, tuple[Word, ...]]
"""A model's input, float32 [hops, features], and the words in it."""


class ValidationStreams:
    """Streams made of the validation partition, and what a model makes of them.

    Args:
        examples: The validation partition, with its negatives.
        front_end: With normalisation constants.
        words: Examples in each of the two streams, or all there are.

    Raises:
        KwsError: If there are fewer than two keywords, or the negatives are silent.
    """

    def __init__(
        self, examples: Examples, front_end: FrontEnd, words: int = WORDS, hours: float = HOURS
    ):
        self._front_end, self._labels = front_end, class_names(examples.words)
        self._stored = front_end.log_mel.with_hop(records.HOP_MS)
        step = front_end.log_mel.frame_step_in(self._stored)
        recordings = examples.others["negatives"]
        most = round(hours * _FRAMES_AN_HOUR)
        negatives = np.asarray(recordings.frames[:most])
        self._negatives = []
        for one in (recordings, examples.others.get("noise")):
            if one is not None and len(one.frames) > step * front_end.frames:
                frames = one.frames[:most:step]
                rows = self._features(records.from_uint8(frames, self._stored))
                self._negatives.append((rows, tuple(self._spoken(one))))
        pieces = [negatives[i : i + _PIECE] for i in range(0, len(negatives), _PIECE)]
        power = [mel_power(records.from_uint8(p, self._stored), self._stored) for p in pieces]
        speech = background.of_mel_power([p.numpy() for p in power if np.any(p)], seed=0)
        order = np.random.default_rng(0).permutation(examples.keyword_positions)
        if len(order) < 2:
            raise KwsError(
                "there is one validation example of the keywords, and two streams need two; give "
                "more recordings, or train without negatives"
            )
        halves = order[::2][:words], order[1::2][:words]
        quiet = self._words(examples, halves[0], 0)
        self._positives = [quiet, self._words(examples, halves[1], 1, SNR_DB, speech)]

    def _spoken(self, recordings: Spectrograms) -> Iterator[Word]:
        """Yields what is no false alarm in the negatives, whichever keyword it is taken for."""
        for start, end in recordings.spoken * (self._stored.hop_ms / 1000):
            yield from (Word(label, start, end, "") for label in self._labels)

    def _words(self, examples, positions, seed: int, snr_db=None, below=None) -> Stream:
        labels = [examples.words[i] for i in examples.keyword[positions]]
        names = [f"validation {position}" for position in positions]
        pieces = list(
            streams.mel_stream(
                examples.spectrograms(positions, self._front_end),
                labels,
                names,
                streams.plan(len(positions), seed, snr_db),
                self._stored,
                self._front_end.log_mel.hop_ms,
                below,
            )
        )
        rows = np.concatenate([piece.values for piece in pieces])
        return self._features(rows), tuple(word for piece in pieces for word in piece.words)

    def _features(self, log_values) -> np.ndarray:
        return features_from_log_mel(log_values, self._front_end).numpy()

    def heard(self, decide: Callable, trigger: Trigger) -> tuple[list[Heard], list[Heard]]:
        """Returns what a model makes of the streams of words, and of the negatives.

        Args:
            decide: From rows of the model's input, float32 [hops, features], to its outputs at
                every decision, int8 [decisions, classes].
            trigger: Gives the time between decisions.
        """
        positives = [self._heard(decide, part, trigger) for part in self._positives]
        return positives, [self._heard(decide, part, trigger) for part in self._negatives]

    def found(self, model: keras.Model) -> float:
        """Returns the share of the words that a model finds, the mean over ``RATES``."""
        trigger = Trigger()
        heard = self.heard(_decider(model, self._front_end, trigger), trigger)
        log_mel = self._front_end.log_mel
        curve = Curve.of(*(count(part, trigger, self._labels, log_mel) for part in heard))
        places = [curve.at_most(rate) for rate in RATES]
        return float(np.mean([0 if p is None else curve.found[p] for p in places]) / curve.words)

    def tuning(self, model: Model, decision_ms: float) -> Tuning:
        """Returns what an int8 model makes of the streams, to choose its trigger on."""
        ears = Ears(model, decision_ms=decision_ms)
        trigger = model.manifest.trigger.changed(decision_ms=decision_ms)
        return Tuning(*self.heard(lambda r: ears.decide(model.manifest.quantize(r)), trigger))

    @property
    def text(self) -> str:
        """Says what the streams are."""
        words = [len(words) for _, words in self._positives]
        hours = (
            sum(len(rows) for rows, _ in self._negatives)
            * self._front_end.log_mel.hop_ms
            / 3_600_000
        )
        low, high = SNR_DB
        text = (
            f"tuning streams: {words[0]:,} validation examples in quiet, {words[1]:,} in running "
            f"speech at {low:g} to {high:g} dB; {hours:.2f} h of validation negatives"
        )
        excused = sum(len(words) for _, words in self._negatives) // len(self._labels)
        if excused:
            text += f", in which the teachers hear a keyword in {excused:,} windows"
        return text

    def _heard(self, decide: Callable, stream: Stream, trigger: Trigger) -> Heard:
        rows, words = stream
        log_mel, frames = self._front_end.log_mel, self._front_end.frames
        step = trigger.decision_hops(log_mel) * log_mel.hop_ms / 1000
        first = ((frames - 1) * log_mel.hop_ms + log_mel.window_ms) / 1000
        return Heard("", len(rows) * log_mel.hop_ms / 1000, decide(rows), first, step, words)


def of_run(run: RunFolder) -> ValidationStreams:
    """Returns the streams of a run's own validation data, with all words, and negatives.

    Raises:
        KwsError: If it was trained without negatives, or its data are no longer there.
    """
    others, front_end = run.other_recordings(), run.front_end()
    if not others.negatives:
        raise KwsError(f"{run.path} was trained without negatives; give --negatives some")
    examples = sources.load(run.data_dir(), "validation", front_end, run.data_settings(), others)
    teachers = distillation.open_teachers(run.train_settings(), run)
    examples = overheard.examples_without_keywords(examples, teachers)
    return ValidationStreams(examples, front_end, len(examples.keyword), _HOURS_TO_CALIBRATE)


def _decider(model: keras.Model, front_end: FrontEnd, trigger: Trigger) -> Callable:
    """Returns a function of rows, as ``heard`` wants it, of a Keras model."""
    compute = tf.function(lambda windows: tf.nn.softmax(model(windows, training=False)))
    hops = trigger.decision_hops(front_end.log_mel)

    def decide(rows: np.ndarray) -> np.ndarray:
        windows = sliding_window_view(rows, front_end.frames, axis=0)[::hops].transpose(0, 2, 1)
        return np.concatenate(list(_outputs(compute, windows)))

    return decide


def _outputs(compute: Callable, windows: np.ndarray) -> Iterator[np.ndarray]:
    """Yields a model's posteriors as the int8 model would give them."""
    for start in range(0, len(windows), _BATCH):
        part = windows[start : start + _BATCH]
        padded = np.zeros((_BATCH, *part.shape[1:]), np.float32)  # one shape, compiled once
        padded[: len(part)] = part
        posteriors = compute(tf.constant(padded)).numpy()[: len(part)]
        yield np.clip(np.rint(256 * posteriors) - 128, -128, 127).astype(np.int8)
