"""From examples in memory to batches of features: what an epoch holds, shuffled and augmented."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from kws_tf.data import augment, other_speech
from kws_tf.data.sources import Examples, epoch_counts
from kws_tf.errors import KwsError
from kws_tf.frontend.config import FrontEnd
from kws_tf.frontend.features import (
    features_from_log_mel,
    log_mel,
    unnormalised_features,
)
from kws_tf.labels import FIRST_KEYWORD_INDEX, SILENCE_INDEX, UNKNOWN_INDEX
from kws_tf.settings import Augmentation, DataSettings

_MANY = 1_000_000
"""More than the epochs of any run, and than the batches of any epoch."""
_SMALLEST_DEVIATION = 1e-3


@dataclass(frozen=True)
class Batches:
    """Training batches without end: float32 [batch, frames, features] and int64 [batch].

    ``steps`` batches of ``examples`` examples in all are an epoch.
    """

    dataset: tf.data.Dataset
    steps: int
    examples: int


def training_batches(
    examples: Examples,
    front_end: FrontEnd,
    data: DataSettings,
    augmentation: Augmentation,
    batch_size: int,
    seed: int,
    first_epoch: int = 0,
    cycle: int = _MANY,
) -> Batches:
    """Makes the training batches.

    Every epoch has all keyword examples and draws unknown and silent ones anew. All chance comes
    from (seed, epoch, batch), so that a run resumed at an epoch goes on as if never interrupted.

    Args:
        examples: The training partition.
        front_end: With normalisation constants.
        data: Shares of unknown and silent examples.
        augmentation: What is done to the examples.
        batch_size: Examples in a batch; an epoch's last, smaller batch is left out.
        seed: Any integer.
        first_epoch: Number of the epoch to begin with.
        cycle: Number of epochs after which the first comes again.

    Raises:
        KwsError: If there are fewer examples than a batch holds.
    """
    total = sum(epoch_counts(examples, data))
    if total < batch_size:
        raise KwsError(
            f"there are {total} training examples, fewer than a batch of {batch_size}; "
            "give more data or a smaller --batch-size"
        )
    steps = total // batch_size
    epoch = _shuffled_epoch(examples, data, batch_size, steps, seed, cycle)
    features = _augmented_features(examples, front_end, augmentation, seed)
    dataset = (
        tf.data.Dataset.range(first_epoch, _MANY)
        .flat_map(epoch)
        .map(features, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .prefetch(8)
    )
    return Batches(dataset, steps, steps * batch_size)


def repeated_epochs(batches: Batches, epochs: int) -> tf.data.Dataset:
    """Makes some epochs and keeps them, to be repeated without end.

    Features are kept in memory as float16: 2 bytes for each feature of every example, 2 GB for 12
    epochs of the benchmark's training examples.
    """

    def features_as(dtype):
        return lambda features, labels: (tf.cast(features, dtype), labels)

    made = batches.dataset.map(features_as(tf.float16)).take(epochs * batches.steps)
    return made.cache().repeat().map(features_as(tf.float32))


def fixed_set(
    examples: Examples, front_end: FrontEnd, data: DataSettings
) -> tuple[np.ndarray, np.ndarray]:
    """Makes the validation set, the same for every run: features and int64 labels."""
    position, noise_position, label, silence = _draw_epoch(
        examples, data, tf.constant([0, 0], tf.int64)
    )
    make_log_mel = _log_mel_maker(examples, front_end, Augmentation.off())
    batches = tf.data.Dataset.from_tensor_slices((position, noise_position, silence)).batch(256)
    dataset = batches.enumerate().map(
        lambda step, batch: features_from_log_mel(
            make_log_mel(*batch, tf.stack([tf.constant(0, tf.int64), step])), front_end
        ),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    return np.concatenate(list(dataset.as_numpy_iterator())), label.numpy()


def fit_normalisation(examples: Examples, front_end: FrontEnd) -> FrontEnd:
    """Returns the front end with the mean and deviation of the training examples' features."""
    make_log_mel = _log_mel_maker(examples, front_end, Augmentation.off())
    positions = np.arange(len(examples.values))
    total, total_squares, count = 0.0, 0.0, 0
    for start in range(0, len(positions), 512):
        chunk = tf.constant(positions[start : start + 512])
        zero = tf.zeros_like(chunk)
        values = unnormalised_features(
            make_log_mel(chunk, zero, tf.zeros(chunk.shape, tf.bool), [0, 0]), front_end
        )
        values = tf.reshape(values, [-1, front_end.features]).numpy().astype(np.float64)
        total, total_squares = total + values.sum(0), total_squares + np.square(values).sum(0)
        count += len(values)
    mean = total / count
    deviation = np.sqrt(np.maximum(total_squares / count - mean**2, 0.0))
    return front_end.normalised(mean, np.maximum(deviation, _SMALLEST_DEVIATION))


def _log_mel_maker(examples: Examples, front_end: FrontEnd, settings: Augmentation) -> Callable:
    """Returns a function (positions, noise positions, silence, seed) -> augmented log-mel."""
    config, stored = front_end.log_mel, examples.log_mel
    values = tf.constant(examples.values)
    if stored:
        step = config.frame_step_in(stored)
        noise = examples.noise_power(front_end)
    else:
        noise = tf.constant(examples.some_noise)

    def from_spectrograms(position, noise_position, silence, seed):
        inputs = tf.gather(values, position), tf.gather(noise, noise_position), silence
        return augment.augment_spectrograms(*inputs, seed, settings, stored, step)

    def from_samples(position, noise_position, silence, seed):
        seeds = tf.random.experimental.stateless_split(seed, 2)
        inputs = tf.gather(values, position), tf.gather(noise, noise_position), silence
        samples = augment.augment_samples(*inputs, seeds[0], settings, config.sample_rate)
        over_floor = log_mel(samples, config) - config.floor
        return augment.warp(over_floor, seeds[1], settings) + config.floor

    return from_spectrograms if stored else from_samples


def _draw_epoch(examples: Examples, settings: DataSettings, seed: tf.Tensor):
    """Draws an epoch: positions, noise positions, labels, silence flags, before shuffling."""
    keywords, unknown, silence = counts = epoch_counts(examples, settings)
    seeds = tf.random.experimental.stateless_split(seed, 2)
    unknown_positions = tf.random.experimental.stateless_shuffle(
        tf.constant(examples.unknown_positions), seeds[0]
    )[:unknown]
    keyword_positions = tf.constant(examples.keyword_positions)
    position = tf.concat([keyword_positions, unknown_positions, tf.zeros([silence], tf.int64)], 0)
    keyword = tf.gather(tf.constant(examples.keyword), keyword_positions) + FIRST_KEYWORD_INDEX
    others = np.repeat(np.int64([UNKNOWN_INDEX, SILENCE_INDEX]), [unknown, silence])
    label = tf.concat([keyword, others], 0)
    slices = max(1, len(examples.noise))
    noise = tf.random.stateless_uniform([sum(counts)], seeds[1], 0, slices, tf.int64)
    return position, noise, label, tf.range(sum(counts)) >= keywords + unknown


def _shuffled_epoch(
    examples: Examples, data: DataSettings, batch_size: int, steps: int, seed: int, cycle: int
) -> Callable:
    """Returns a function (epoch) -> dataset of (epoch, step, what ``_draw_epoch`` returns)."""

    def epoch(number):
        number %= cycle
        epoch_seed = tf.stack([tf.constant(seed, tf.int64), number])
        columns = _draw_epoch(examples, data, epoch_seed)
        order = tf.random.experimental.stateless_shuffle(
            tf.range(tf.shape(columns[0])[0]), tf.add(epoch_seed, [1, 0])
        )
        order = tf.reshape(order[: steps * batch_size], [steps, batch_size])
        shuffled = tuple(tf.gather(column, order) for column in columns)
        batches = tf.data.Dataset.from_tensor_slices(shuffled)
        return batches.enumerate().map(lambda step, batch: (number, step, *batch))

    return epoch


def _augmented_features(
    examples: Examples, front_end: FrontEnd, augmentation: Augmentation, seed: int
) -> Callable:
    """Returns a function of what ``_shuffled_epoch`` yields -> (features, labels)."""
    make_log_mel = _log_mel_maker(examples, front_end, augmentation)
    speech = examples.others.get("negatives") if augmentation.context_share else None
    augmenter = other_speech.Augmenter(examples, front_end, augmentation) if speech else None
    if speech:
        augmenter.check(speech, "negatives")

    def features(number, step, position, noise_position, label, silence):
        batch_seed = tf.stack([tf.constant(seed, tf.int64) + 1, number * _MANY + step])
        seeds = tf.random.experimental.stateless_split(batch_seed, 2)
        values = make_log_mel(position, noise_position, silence, seeds[0])
        if speech:
            more = tf.random.experimental.stateless_split(tf.add(batch_seed, [1, 0]), 2)
            around = augmenter.windows(speech, values.shape[0], more[0])
            values = augment.in_speech(values, around, more[1], augmentation, front_end.log_mel)
        values = augment.mask(values, seeds[1], augmentation, front_end.log_mel.hop_ms)
        return features_from_log_mel(values, front_end), label

    return features
