"""Augmentation of a batch, stateless: the same seed gives the same batch.

Shift, gain, noise, mixing and silent edges act on samples where the data are audio, and on mel
power where they are records, as power adds like uncorrelated signals do. Vocal-tract warping and
masks act on the log-mel spectrogram in both cases; a change of speed needs records.
tensorflow-io's masks are not used: they draw one mask for the whole batch from a generator with
hidden state, so that a run could not be resumed to the same result.
"""

import math

import tensorflow as tf

from kws_tf.data.records import from_uint8
from kws_tf.frontend.config import LogMel
from kws_tf.frontend.features import log_power, mel_power
from kws_tf.settings import Augmentation

_split, _uniform = tf.random.experimental.stateless_split, tf.random.stateless_uniform
_NATS_PER_DB = math.log(10.0) / 10.0
_FULL_SCALE = 32768.0
"""Of 16-bit samples."""
_WORD_UNDER_PEAK = 25.0
"""Steps of 0.1 nats."""
_OVER_SPEECH_DB = (5.0, 25.0)


def volumes(silence: tf.Tensor, seed: tf.Tensor, settings: Augmentation) -> tf.Tensor:
    """Draws the noise amplitude of each example, float32 [batch].

    A silent example is noise at an amplitude of 0 to 1, any other gets noise with probability
    ``noise_share`` at up to ``noise_volume``, as in TensorFlow's audio example (input_data.py,
    https://github.com/tensorflow/tensorflow/tree/v2.16.2/tensorflow/examples/speech_commands)
    and Hello Edge (https://arxiv.org/abs/1711.07128).
    """
    seeds = _split(seed, 2)
    level = _uniform(tf.shape(silence), seeds[0])
    noisy = _uniform(tf.shape(silence), seeds[1]) < settings.noise_share
    return tf.where(silence, level, tf.where(noisy, level * settings.noise_volume, 0.0))


def gains_db(batch: tf.Tensor, seed: tf.Tensor, settings: Augmentation) -> tf.Tensor:
    """Draws the gain of each example, dB, float32 [batch]."""
    limit = settings.gain_db
    return _uniform([batch], seed, -limit, limit)


def roll(noise: tf.Tensor, seed: tf.Tensor, settings: Augmentation, step_ms: float) -> tf.Tensor:
    """Rolls slices of noise [batch, length, ...] in time, because a model learns few by heart."""
    limit = round(settings.noise_roll_ms / step_ms)
    if not limit:
        return noise
    by = _uniform([tf.shape(noise)[0]], seed, -limit, limit + 1, tf.int32)
    length = noise.shape[1]
    place = tf.math.floormod(tf.range(length) - by[:, None], length)
    return tf.gather(noise, place, batch_dims=1)


def shifted(
    values: tf.Tensor, seed: tf.Tensor, settings: Augmentation, step_ms: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Shifts examples [batch, length, ...] in time.

    Returns:
        The shifted values, and bool [batch, length]: what comes from inside the example.
    """
    limit, length = round(settings.shift_ms / step_ms), values.shape[1]
    by = _uniform([tf.shape(values)[0]], seed, -limit, limit + 1, tf.int32)
    place = tf.range(length) - by[:, None]
    inside = (place >= 0) & (place < length)
    return tf.gather(values, tf.clip_by_value(place, 0, length - 1), batch_dims=1), inside


def other_volumes(batch: tf.Tensor, seed: tf.Tensor, settings: Augmentation) -> tf.Tensor:
    """Draws the amplitude at which each example gets its neighbour in the batch, float32 [batch].

    With a teacher the soft target is that of the mixture (Beyer et al., arXiv 2106.05237, section
    3); without one the example keeps its label.
    """
    seeds = _split(seed, 2)
    level = _uniform([batch], seeds[0], 0.0, settings.mix_volume)
    return tf.where(_uniform([batch], seeds[1]) < settings.mix_share, level, 0.0)


def edge_silence(
    batch: tf.Tensor, seed: tf.Tensor, settings: Augmentation, length: int, step_ms: float
) -> tf.Tensor:
    """Draws what digital silence leaves of each example, bool [batch, length].

    Recordings shorter than the window are padded with zeros, which no room and no noise reaches; a
    model not trained on such edges takes them for a sound.
    """
    seeds = _split(seed, 3)
    silent = _uniform([batch], seeds[0], 0.0, settings.edge_ms / step_ms)
    chosen = _uniform([batch], seeds[1]) < settings.edge_share
    silent = tf.where(chosen, silent, 0.0)[:, None]
    from_start = tf.range(length, dtype=tf.float32)[None]
    at_end = _uniform([batch, 1], seeds[2]) < 0.5
    return tf.where(at_end, from_start[:, ::-1], from_start) >= silent


def resample(
    values: tf.Tensor,
    shift: tf.Tensor,
    speed: tf.Tensor,
    frames: int,
    step: int,
    margin: int = 0,
) -> tf.Tensor:
    """Shifts, stretches and subsamples spectrograms [batch, source frames, bands] in time.

    Frame t of the result is source frame margin + step * t, shifted (positive is later) and scaled
    (above 1 is faster) about the example's centre, linearly interpolated. What comes from outside
    is 0.
    """
    source_frames = values.shape[1]
    centre = (source_frames - 1) / 2
    wanted = tf.range(frames, dtype=tf.float32) * step + margin
    position = (wanted - shift[:, None] - centre) * speed[:, None] + centre
    before = tf.floor(position)
    after_weight = position - before

    def part(frame, weight):
        inside = (frame >= 0) & (frame < source_frames)
        row = tf.cast(tf.clip_by_value(frame, 0, source_frames - 1), tf.int32)
        found = tf.cast(tf.gather(values, row, batch_dims=1), tf.float32)
        return found * tf.where(inside, weight, 0.0)[:, :, None]

    return part(before, 1.0 - after_weight) + part(before + 1.0, after_weight)


def warp_matrix(warp: tf.Tensor, bands: int) -> tf.Tensor:
    """Returns matrices [batch, source band, band] that scale the mel axis, as vocal tracts do.

    Jaitly and Hinton, "Vocal Tract Length Perturbation (VTLP) improves speech recognition", 2013,
    https://www.cs.toronto.edu/~hinton/absps/perturb.pdf; here the factor is the same for all bands,
    and one above 1 moves formants down.
    """
    axis = tf.range(bands, dtype=tf.float32)
    position = tf.minimum(axis * warp[:, None], bands - 1.0)
    return tf.maximum(0.0, 1.0 - tf.abs(axis[None, :, None] - position[:, None, :]))


def augment_spectrograms(
    spectrograms: tf.Tensor,
    noise_power: tf.Tensor,
    silence: tf.Tensor,
    seed: tf.Tensor,
    settings: Augmentation,
    stored: LogMel,
    step: int,
    margin: int = 0,
) -> tf.Tensor:
    """Shifts, stretches, warps, amplifies and mixes stored spectrograms; returns nats.

    They are uint8 [batch, source frames, bands], of which every ``step``-th frame is taken, from
    the ``margin``-th on. Noise is mel power [batch, frames, bands]. Examples of ``silence`` keep
    nothing but noise.
    """
    seeds = _split(seed, 7)
    batch, frames = tf.shape(spectrograms)[0], noise_power.shape[1]
    limit = settings.shift_ms / stored.hop_ms
    shift = tf.round(_uniform([batch], seeds[0], -limit, limit))
    speed = _uniform([batch], seeds[1], 1 - settings.speed, 1 + settings.speed)
    # A spectrogram's 0 is the floor, that is silence, so that the edges need no masks.
    moved = warp(resample(spectrograms, shift, speed, frames, step, margin), seeds[4], settings)
    gain = gains_db(batch, seeds[2], settings) * _NATS_PER_DB
    speech = tf.where(silence, 0.0, tf.exp(gain))[:, None, None] * mel_power(
        from_uint8(moved, stored), stored
    )
    mixed_in = other_volumes(batch, seeds[5], settings)[:, None, None]
    speech += tf.where(silence[:, None, None], 0.0, tf.square(mixed_in) * tf.roll(speech, 1, 0))
    volume = volumes(silence, seeds[3], settings)[:, None, None]
    noise_power = roll(noise_power, _split(seeds[3], 3)[2], settings, stored.hop_ms * step)
    power = speech + tf.square(volume) * noise_power
    if settings.edge_share:
        hop_ms = stored.hop_ms * step
        kept = edge_silence(batch, seeds[6], settings, frames, hop_ms)
        power = tf.where(kept[:, :, None], power, 0.0)
    return log_power(power, stored)


def augment_samples(
    samples: tf.Tensor,
    noise: tf.Tensor,
    silence: tf.Tensor,
    seed: tf.Tensor,
    settings: Augmentation,
    sample_rate: int,
) -> tf.Tensor:
    """Shifts, amplifies and mixes samples, int16 [batch, samples]; returns float32 in [-1, 1].

    They are moved in blocks of a millisecond, which is cheaper than one by one. What is drawn for
    each example becomes one factor, because each operation is a pass over all samples. Examples of
    ``silence`` keep nothing but noise.
    """
    seeds = _split(seed, 5)
    batch, length = tf.shape(samples)[0], samples.shape[1]
    block = math.gcd(length, sample_rate // 1000)
    in_blocks, step_ms = [batch, length // block, block], 1000 * block / sample_rate
    speech, inside = shifted(tf.reshape(samples, in_blocks), seeds[0], settings, step_ms)
    gain = tf.pow(10.0, gains_db(batch, seeds[1], settings) / 20.0) / _FULL_SCALE
    gain = tf.where(silence, 0.0, gain)[:, None] * tf.cast(inside, tf.float32)
    speech = gain[:, :, None] * tf.cast(speech, tf.float32)
    if settings.mix_share:
        mixed_in = tf.where(silence, 0.0, other_volumes(batch, seeds[3], settings))
        speech += mixed_in[:, None, None] * tf.roll(speech, 1, 0)
    noise = roll(tf.reshape(noise, in_blocks), _split(seeds[2], 3)[2], settings, step_ms)
    volume = volumes(silence, seeds[2], settings) / _FULL_SCALE
    mixed = speech + volume[:, None, None] * tf.cast(noise, tf.float32)
    mixed = tf.clip_by_value(mixed, -1.0, 1.0)
    if settings.edge_share:
        kept = edge_silence(batch, seeds[4], settings, length // block, step_ms)
        mixed *= tf.cast(kept, tf.float32)[:, :, None]
    return tf.reshape(mixed, [batch, length])


def in_speech(
    log_values: tf.Tensor,
    speech: tf.Tensor,
    seed: tf.Tensor,
    settings: Augmentation,
    log_mel: LogMel,
) -> tf.Tensor:
    """Puts some examples into running speech, which is 5 to 25 dB fainter than they are.

    Both are float32 [batch, frames, bands] in nats; levels are means over the example.
    """
    batch = tf.shape(log_values)[0]
    seeds = _split(seed, 2)
    chosen = _uniform([batch], seeds[0]) < settings.context_share
    ratio = tf.exp(-_NATS_PER_DB * _uniform([batch], seeds[1], *_OVER_SPEECH_DB))
    power, below = mel_power(log_values, log_mel), mel_power(speech, log_mel)
    levels = [tf.reduce_mean(values, [1, 2]) for values in (power, below)]
    gain = tf.where(chosen, ratio * tf.math.divide_no_nan(*levels), 0.0)
    return log_power(power + gain[:, None, None] * below, log_mel)


def cut_in_half(spectrograms: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Shifts words, uint8 [batch, frames, bands], so far that 20 to 40 % of each is left.

    The first part enters at the window's end, or the last one leaves at its beginning. A word is
    where the mean over the bands is within 2.5 nats of its largest.
    """
    batch, frames = tf.shape(spectrograms)[0], spectrograms.shape[1]
    level = tf.reduce_mean(tf.cast(spectrograms, tf.float32), 2)
    speaks = level > tf.reduce_max(level, 1, keepdims=True) - _WORD_UNDER_PEAK
    first = tf.argmax(speaks, 1, tf.int32)
    last = frames - 1 - tf.argmax(speaks[:, ::-1], 1, tf.int32)
    seeds = _split(seed, 2)
    kept = _uniform([batch], seeds[0], 0.2, 0.4) * tf.cast(last - first + 1, tf.float32)
    kept = tf.cast(tf.math.ceil(kept), tf.int32)
    enters = _uniform([batch], seeds[1]) < 0.5
    by = tf.where(enters, frames - first - kept, kept - last - 1)
    place = tf.range(frames) - by[:, None]
    inside = (place >= 0) & (place < frames)
    moved = tf.gather(spectrograms, tf.clip_by_value(place, 0, frames - 1), batch_dims=1)
    return tf.where(inside[:, :, None], moved, tf.zeros_like(moved))


def warp(over_floor: tf.Tensor, seed: tf.Tensor, settings: Augmentation) -> tf.Tensor:
    """Warps the mel axis of values [batch, frames, bands] over the floor, in any unit."""
    if not settings.warp:
        return over_floor
    batch, bands = tf.shape(over_floor)[0], over_floor.shape[2]
    factor = _uniform([batch], seed, 1 - settings.warp, 1 + settings.warp)
    return tf.matmul(over_floor, warp_matrix(factor, bands))


def mask(
    log_values: tf.Tensor, seed: tf.Tensor, settings: Augmentation, hop_ms: float
) -> tf.Tensor:
    """Masks stretches of time and bands with the example's mean (SpecAugment, arXiv 1904.08779).

    Values are float32 [batch, frames, bands] in nats, ``hop_ms`` from frame to frame.
    """
    shape = tf.shape(log_values)
    mean = tf.reduce_mean(log_values, [1, 2], keepdims=True)
    time_masks = [(1, settings.time_mask_ms / hop_ms)] * settings.time_masks
    masks = time_masks + [(2, settings.band_mask)] * settings.band_masks
    for number, (axis, widest) in enumerate(masks):
        seeds = _split(tf.add(seed, [number, 0]), 2)
        size = shape[axis]
        width = _uniform([shape[0], 1], seeds[0], 0.0, widest)
        span = tf.cast(size, tf.float32) - width
        start = _uniform([shape[0], 1], seeds[1]) * span
        position = tf.range(tf.cast(size, tf.float32))
        hidden = (position >= tf.floor(start)) & (position < tf.floor(start + width))
        hidden = hidden[:, :, None] if axis == 1 else hidden[:, None, :]
        log_values = tf.where(hidden, mean, log_values)
    return log_values
