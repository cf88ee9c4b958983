"""What is learned beside the examples: keywords cut in half, and windows of other recordings."""

import math

import numpy as np
import tensorflow as tf

from kws_tf.data import augment, records
from kws_tf.data.sources import Examples, epoch_counts
from kws_tf.data.spectrograms import Spectrograms
from kws_tf.errors import KwsError
from kws_tf.frontend.config import FrontEnd
from kws_tf.frontend.features import features_from_log_mel
from kws_tf.labels import FIRST_KEYWORD_INDEX, SILENCE_INDEX, UNKNOWN_INDEX
from kws_tf.settings import Augmentation, DataSettings

_split, _uniform = tf.random.experimental.stateless_split, tf.random.stateless_uniform
_TRIES = 8
"""Windows drawn until one is speech, and holds no keyword."""
_EVEN = 20.0
"""Steps of 0.1 nats, 9 dB."""
_MANY = 1_000_000_000
"""More than the batches of any run."""


class Augmenter:
    """Draws and augments spectrograms at the records' hop, as the examples are augmented.

    Args:
        examples: Whose noise is mixed in.
        front_end: Its frames are the model's.
        settings: What is done to them.
    """

    def __init__(self, examples: Examples, front_end: FrontEnd, settings: Augmentation):
        self._stored = front_end.log_mel.with_hop(records.HOP_MS)
        self._settings, self._step = settings, front_end.log_mel.frame_step_in(self._stored)
        self._frames = self._stored.frames(front_end.samples)
        self._noise = examples.noise_power(front_end)
        # As much more at each end as a change of speed and a shift may take.
        shift = settings.shift_ms / self._stored.hop_ms
        self._margin = math.ceil(settings.speed * (self._frames / 2 + shift) + shift) + 1
        self._length = self._frames + 2 * self._margin

    def windows(
        self, recordings: Spectrograms, number: int, seed: tf.Tensor, even: float = _EVEN
    ) -> tf.Tensor:
        """Draws windows of recordings; returns nats, float32 [number, frames, bands].

        Windows as ``even`` as those of a pause are left out, for they are silence.
        """
        seeds, length = _split(seed, 2), self._length
        last = len(recordings.frames) - length
        starts = _uniform([number, _TRIES], seeds[0], 0, last + 1, tf.int64)
        drawn = tf.numpy_function(lambda s: recordings.drawn(s, length, even), [starts], tf.uint8)
        drawn = tf.ensure_shape(drawn, [number, length, self._stored.bands])
        return self(drawn, seeds[1], self._margin)

    def check(self, recordings: Spectrograms, kind: str) -> None:
        """Refuses recordings shorter than a window; outside of traced code, which alters errors."""
        numbers = len(recordings.frames), self._length
        if numbers[0] < numbers[1]:
            held, least = (number * self._stored.hop_ms / 1000 for number in numbers)
            raise KwsError(
                f"there are {held:.1f} s of {kind} for training, and a window takes {least:.1f} s; "
                "give more"
            )

    def __call__(self, spectrograms: tf.Tensor, seed: tf.Tensor, margin: int = 0) -> tf.Tensor:
        """Augments uint8 [number, frames, bands], with a ``margin`` of frames at each end."""
        seeds, number = _split(seed, 2), spectrograms.shape[0]
        slices = tf.shape(self._noise)[0]
        noise = tf.gather(self._noise, _uniform([number], seeds[0], 0, slices, tf.int32))
        silence = tf.zeros([number], tf.bool)
        inputs = spectrograms, noise, silence, seeds[1], self._settings
        return augment.augment_spectrograms(*inputs, self._stored, self._step, margin)


def _labels(examples: Examples, data: DataSettings, batch_size: int) -> list[int]:
    """Returns the labels of what joins a batch: of cut words, then of each kind's windows."""
    labels = [UNKNOWN_INDEX] * round(data.cut_share * batch_size)
    for kind, number in _windows(examples, data, batch_size).items():
        labels += [SILENCE_INDEX if kind == "noise" else UNKNOWN_INDEX] * number
    return labels


def _windows(examples: Examples, data: DataSettings, batch_size: int) -> dict[str, int]:
    """Returns the number of windows of each kind."""
    shares = {
        "negatives": data.negative_share,
        "noise": data.noise_windows,
        "alarms": data.alarm_share,
    }
    return {kind: round(shares[kind] * batch_size) for kind in examples.others}


def surplus(examples: Examples, data: DataSettings, batch_size: int, classes: int) -> np.ndarray:
    """Returns by which factor each class is more frequent in a batch than among the examples."""
    keywords, unknown, silence = epoch_counts(examples, data)
    expected = np.full(classes, keywords / max(1, classes - FIRST_KEYWORD_INDEX))
    expected[[SILENCE_INDEX, UNKNOWN_INDEX]] = silence, unknown
    expected *= batch_size / (keywords + unknown + silence)
    joined = np.bincount(_labels(examples, data, batch_size), minlength=classes)
    # A class without examples of its own is to be expected as often as it is shown.
    return np.where(expected > 0, (expected + joined) / np.maximum(expected, 1e-9), 1.0)


def batches(
    examples: Examples,
    front_end: FrontEnd,
    data: DataSettings,
    augmentation: Augmentation,
    batch_size: int,
    seed: int,
    first_step: int = 0,
) -> tf.data.Dataset | None:
    """Makes what joins each training batch, drawn anew for every one; ``None`` if there is nothing.

    Args:
        examples: The training partition, with its other recordings.
        front_end: With normalisation constants.
        data: The shares.
        augmentation: As of the examples.
        batch_size: Examples in a batch, which the shares are of.
        seed: Any integer; all chance comes from it and the number of the batch.
        first_step: Number of the batch to begin with.

    Returns:
        Without end, float32 [number, frames, features] and int64 [number]: cut keywords and
        negatives are unknown, noise is silence.
    """
    windows = _windows(examples, data, batch_size)
    cut, labels = round(data.cut_share * batch_size), _labels(examples, data, batch_size)
    if not labels:
        return None
    draw = Augmenter(examples, front_end, augmentation)
    for kind in windows:
        draw.check(examples.others[kind], kind)
    keywords = (
        tf.constant(examples.spectrograms(examples.keyword_positions, front_end)) if cut else None
    )

    def made(step):
        seeds = _split(tf.stack([tf.constant(seed, tf.int64) + 2, step]), 3 + len(windows))
        parts = []
        if cut:
            chosen = _uniform([cut], seeds[0], 0, tf.shape(keywords)[0], tf.int32)
            words = augment.cut_in_half(tf.gather(keywords, chosen), seeds[1])
            parts.append(draw(words, seeds[1]))
        for place, (kind, number) in enumerate(windows.items()):
            even = 0.0 if kind == "noise" else _EVEN
            parts.append(draw.windows(examples.others[kind], number, seeds[3 + place], even))
        values = tf.concat(parts, 0)
        values = augment.mask(values, seeds[2], augmentation, front_end.log_mel.hop_ms)
        return features_from_log_mel(values, front_end), tf.constant(labels, tf.int64)

    steps = tf.data.Dataset.range(first_step, _MANY)
    return steps.map(made, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(8)
