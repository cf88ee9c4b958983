"""Augmentation: what each part does to an example, how much at most, and from which seed."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from kws_tf.data import augment, records
from kws_tf.frontend.config import LogMel
from kws_tf.frontend.features import log_mel, mel_power
from kws_tf.settings import Augmentation

STORED = LogMel(hop_ms=10.0)
OFF = Augmentation.off()
SEED = tf.constant([3, 4], tf.int64)
RATE, FRAMES, STEP = 16000, 49, 2


def only(**values):
    return dataclasses.replace(OFF, **values)


def spectrograms(number=6, seed=0, low=60, high=200):
    rng = np.random.default_rng(seed)
    return rng.integers(low, high, (number, 98, 40), dtype=np.uint8)


def on_spectrograms(values, settings, noise=None, silence=None, seed=SEED):
    noise = tf.zeros([len(values), FRAMES, 40]) if noise is None else noise
    silence = tf.zeros([len(values)], tf.bool) if silence is None else silence
    found = augment.augment_spectrograms(values, noise, silence, seed, settings, STORED, STEP)
    return found.numpy()


def on_samples(values, settings, noise=None, silence=None, seed=SEED):
    noise = tf.zeros_like(values) if noise is None else noise
    silence = tf.zeros([len(values)], tf.bool) if silence is None else silence
    return augment.augment_samples(values, noise, silence, seed, settings, RATE).numpy()


def white(number=4, amplitude=0.1, seed=0):
    values = np.random.default_rng(seed).normal(size=(number, RATE)) * amplitude
    return (values.clip(-1, 1) * 32767).astype(np.int16)


def real(values):
    return values.astype(np.float32) / 32768


def plain(values):
    """Every second frame of the spectrograms, nats."""
    return records.from_uint8(values[:, ::STEP], STORED).numpy()


EVERYTHING = Augmentation(time_masks=2, band_masks=2, mix_share=0.5, edge_share=0.5)
PARTS = {
    "shift": ("shift_ms", 100.0),
    "gain": ("gain_db", 6.0),
    "speed": ("speed", 0.1),
    "warp": ("warp", 0.1),
}


def test_noise_is_rolled_round_by_no_more_than_allowed():
    noise = tf.cast(tf.tile(tf.range(FRAMES)[None, :, None], [300, 1, 40]), tf.float32)
    rolled = augment.roll(noise, SEED, only(noise_roll_ms=100.0), 20.0).numpy()
    by = rolled[:, 0, 0].astype(int)
    by = np.where(by > FRAMES // 2, FRAMES - by, -by)
    assert sorted(set(by.tolist())) == list(range(-5, 6))
    for example, frames in zip(rolled, by, strict=True):
        np.testing.assert_array_equal(example, np.roll(noise[0], frames, 0))
    assert augment.roll(noise, SEED, OFF, 20.0) is noise


def test_noise_is_rolled_in_spectrograms_and_samples():
    silence = tf.fill([6], True)
    rng = np.random.default_rng(0)
    on_frames = rng.uniform(1, 9, (6, FRAMES, 40)).astype(np.float32)
    still, rolled = (
        on_spectrograms(spectrograms(), only(noise_roll_ms=ms), on_frames, silence)
        for ms in (0, 500)
    )
    assert not np.allclose(still, rolled)
    np.testing.assert_allclose(np.sort(still, 1), np.sort(rolled, 1), rtol=1e-6)
    values, noise = white(6), white(6, seed=1)
    still, rolled = (on_samples(values, only(noise_roll_ms=ms), noise, silence) for ms in (0, 500))
    assert not np.allclose(still, rolled)
    np.testing.assert_allclose(np.sort(still, 1), np.sort(rolled, 1), rtol=1e-6)


def test_off_leaves_an_example_as_it_is():
    values = spectrograms(low=0, high=256)
    np.testing.assert_allclose(on_spectrograms(values, OFF), plain(values), atol=1e-5)
    np.testing.assert_array_equal(on_samples(white(), OFF), real(white()))
    np.testing.assert_array_equal(augment.mask(plain(values), SEED, OFF, 20.0), plain(values))


@pytest.mark.parametrize(("name", "value"), PARTS.values(), ids=PARTS)
def test_each_part_alone_changes_a_spectrogram(name, value):
    values = spectrograms()
    changed = on_spectrograms(values, only(**{name: value}))
    assert np.abs(changed - plain(values)).max() > 0.1


def test_noise_alone_changes_a_spectrogram():
    values, noise = spectrograms(), tf.fill([6, FRAMES, 40], 1e6)
    settings = only(noise_share=1.0, noise_volume=0.1)
    assert np.all(
        on_spectrograms(values, settings, noise).mean((1, 2)) > plain(values).mean((1, 2))
    )
    for harmless in (only(noise_share=1.0), only(noise_volume=0.1)):
        np.testing.assert_allclose(
            on_spectrograms(values, harmless, noise), plain(values), atol=1e-5
        )


def test_same_seed_same_batch():
    values, noise = spectrograms(), tf.fill([6, FRAMES, 40], 100.0)
    first, again, other = (
        augment.mask(
            on_spectrograms(values, EVERYTHING, noise, seed=s), s, EVERYTHING, 20.0
        ).numpy()
        for s in (SEED, SEED, SEED + 1)
    )
    np.testing.assert_array_equal(first, again)
    assert np.all(np.any(first != other, axis=(1, 2)))


def test_same_seed_same_samples():
    first, again, other = (
        on_samples(white(), EVERYTHING, white(seed=1), seed=s) for s in (SEED, SEED, SEED + 1)
    )
    np.testing.assert_array_equal(first, again)
    assert np.all(np.any(first != other, axis=1))


@settings(max_examples=40, deadline=None)
@given(st.integers(-98, 98), st.sampled_from([1, 2]))
def test_shift_moves_frames_and_fills_with_the_floor(shift, step):
    values = spectrograms(1)
    frames = 98 // step
    moved = augment.resample(values, tf.constant([float(shift)]), tf.ones([1]), frames, step)
    wanted = np.zeros((1, frames, 40), np.float32)
    for t in range(frames):
        if 0 <= t * step - shift < 98:
            wanted[0, t] = values[0, t * step - shift]
    np.testing.assert_array_equal(moved, wanted)


def test_shift_is_bounded_and_in_whole_source_frames():
    values = np.tile(np.arange(98, dtype=np.uint8)[None, :, None] + 100, (200, 1, 40))
    moved = on_spectrograms(values, only(shift_ms=50.0))
    middle = 24  # never from outside the example
    shift = np.round((plain(values)[:, middle, 0] - moved[:, middle, 0]) * 10)
    np.testing.assert_allclose(
        plain(values)[:, middle, 0] - moved[:, middle, 0], shift / 10, 0, 1e-4
    )
    assert set(shift) == set(range(-5, 6))


@pytest.mark.parametrize("samples", [RATE, RATE + 8, RATE + 1])
def test_shift_of_samples(samples):
    ramp = np.tile(np.arange(samples, dtype=np.int16)[None] + 1000, (64, 1))
    moved = on_samples(ramp, only(shift_ms=10.0))
    shifts = set()
    for example in moved:
        inside = np.flatnonzero(example)
        shift = inside[0] if inside[0] else inside[-1] + 1 - samples
        wanted = np.zeros(samples, np.float32)
        wanted[inside] = real(ramp)[0, inside - shift]
        np.testing.assert_array_equal(example, wanted)
        assert abs(shift) <= 160
        shifts.add(shift)
    assert min(shifts) < -50
    assert max(shifts) > 50


def test_speed_keeps_the_centre_and_scales_about_it():
    ramp = np.tile(np.arange(98, dtype=np.uint8)[None, :, None], (3, 1, 2))
    speed = tf.constant([0.9, 1.0, 1.1])
    moved = augment.resample(ramp, tf.zeros([3]), speed, 98, 1).numpy()
    inner = np.arange(10, 88)
    for row, factor in enumerate((0.9, 1.0, 1.1)):
        wanted = (inner - 48.5) * factor + 48.5
        np.testing.assert_allclose(moved[row, inner, 0], wanted, rtol=1e-5)


def test_warp_moves_bands():
    bands = tf.eye(40)[None]
    up, same, down = (
        np.argmax((bands @ augment.warp_matrix(tf.constant([w]), 40))[0], axis=1)
        for w in (0.9, 1.0, 1.1)
    )
    assert same[20] == 20
    assert up[20] > 20 > down[20]


def test_gain_is_exact_in_db():
    seeds = tf.random.experimental.stateless_split(SEED, 5)
    values = spectrograms(low=100, high=180)  # far from the floor, the offset and the ceiling
    gain = augment.gains_db(tf.constant(6), seeds[2], only(gain_db=6.0)).numpy()
    changed = on_spectrograms(values, only(gain_db=6.0)) - plain(values)
    assert np.all(abs(gain) <= 6)
    wanted = np.broadcast_to((gain * np.log(10) / 10)[:, None, None], changed.shape)
    np.testing.assert_allclose(changed, wanted, atol=1e-3)

    seeds = tf.random.experimental.stateless_split(SEED, 3)
    gain = augment.gains_db(tf.constant(4), seeds[1], only(gain_db=6.0)).numpy()
    samples = white(amplitude=0.01)
    changed = on_samples(samples, only(gain_db=6.0))
    np.testing.assert_allclose(changed, real(samples) * 10 ** (gain / 20)[:, None], rtol=1e-5)


def test_noise_on_records_is_noise_on_audio():
    """White noise: mixing samples and mixing mel power agree, as powers add on average."""
    config = LogMel()
    speech, noise = real(white(8, 0.02)), real(white(8, 0.3, seed=1))
    volume = 0.1
    mixed = log_mel(speech + volume * noise, config)
    power = mel_power(log_mel(speech, config), config) + volume**2 * mel_power(
        log_mel(noise, config), config
    )
    on_audio, on_records = np.exp(mixed).mean(1), power.numpy().mean(1)
    assert abs(np.log(on_audio / on_records).mean()) < 0.03

    # The same through the augmentation itself; noise alone, as silent examples are.
    silence = tf.ones([8], tf.bool)
    code = records.to_uint8(log_mel(noise, STORED), STORED)
    hum = mel_power(records.from_uint8(code[:, ::STEP][:, :FRAMES], STORED), STORED)
    seeds = tf.random.experimental.stateless_split(SEED, 5)
    volumes = augment.volumes(silence, seeds[3], OFF).numpy()
    from_records = on_spectrograms(spectrograms(8), OFF, hum, silence)
    from_audio = log_mel(volumes[:, None] * noise, config).numpy()
    assert abs(from_records - from_audio).mean() < 0.05


def test_another_example_is_mixed_in_by_power_and_by_samples():
    settings = only(mix_share=1.0, mix_volume=0.5)
    values = spectrograms()
    volume = augment.other_volumes(
        6, tf.random.experimental.stateless_split(SEED, 6)[5], settings
    ).numpy()
    assert volume.min() > 0
    assert volume.max() <= 0.5
    power = mel_power(plain(values), STORED).numpy()
    mixed = power + volume[:, None, None] ** 2 * np.roll(power, 1, 0)
    np.testing.assert_allclose(
        mel_power(on_spectrograms(values, settings), STORED), mixed, rtol=1e-3, atol=1e-6
    )
    samples = white()
    volume = augment.other_volumes(
        4, tf.random.experimental.stateless_split(SEED, 4)[3], settings
    ).numpy()
    wanted = real(samples) + volume[:, None] * real(np.roll(samples, 1, 0))
    np.testing.assert_allclose(on_samples(samples, settings), wanted.clip(-1, 1), atol=1e-6)


def test_edges_are_silent_on_one_side_and_no_longer_than_allowed():
    settings, noise = only(edge_share=1.0, edge_ms=300.0), tf.fill([200, FRAMES, 40], 10.0)
    noisy = dataclasses.replace(settings, noise_share=1.0, noise_volume=1.0)
    silent = on_spectrograms(spectrograms(200), noisy, noise) <= STORED.floor + 1e-5
    np.testing.assert_array_equal(silent.all(2), silent.any(2))
    frames = silent.all(2)
    assert not np.any(frames[:, 0] & frames[:, -1])
    assert 0.3 < np.mean(frames[:, -1]) < 0.6
    longest = frames.sum(1).max()
    assert 12 <= longest <= 300 / 20
    lengths = np.count_nonzero(on_samples(white(200), settings, white(200, seed=1)) == 0, axis=1)
    assert 0.25 * RATE < lengths.max() <= 0.3 * RATE + 1
    assert abs(lengths.mean() / RATE - 0.15) < 0.02


def test_as_many_examples_as_wanted_have_silent_edges():
    frames = (
        on_spectrograms(spectrograms(2000), only(edge_share=0.3, edge_ms=1000.0)) <= STORED.floor
    )
    assert np.mean(frames.any((1, 2))) == pytest.approx(0.3, abs=0.04)


def test_as_many_examples_as_wanted_get_another_one():
    drawn = augment.other_volumes(4000, SEED, only(mix_share=0.3, mix_volume=0.5)).numpy()
    assert np.mean(drawn > 0) == pytest.approx(0.3, abs=0.03)


def test_volumes():
    silence = tf.constant([True] * 500 + [False] * 1500)
    volume = augment.volumes(silence, SEED, only(noise_share=0.8, noise_volume=0.1)).numpy()
    assert 0.9 < volume[:500].max() <= 1
    assert 0.09 < volume[500:].max() <= 0.1
    assert abs(np.mean(volume[500:] > 0) - 0.8) < 0.05


def test_silence_keeps_nothing_of_the_speech():
    silence = tf.constant([True, False] * 3)
    noise = tf.fill([6, FRAMES, 40], 10.0)
    a, b = (on_spectrograms(spectrograms(seed=s), EVERYTHING, noise, silence) for s in (0, 1))
    np.testing.assert_array_equal(a[::2], b[::2])
    assert np.all(np.any(a[1::2] != b[1::2], axis=(1, 2)))
    hum = white(6, seed=2)
    a, b = (on_samples(white(6, seed=s), EVERYTHING, hum, silence) for s in (0, 1))
    np.testing.assert_array_equal(a[::2], b[::2])
    assert np.all(np.any(a[1::2] != b[1::2], axis=1))


@settings(max_examples=25, deadline=None)
@given(st.floats(0, 400), st.integers(0, 45), st.integers(0, 2**31))
def test_masks_are_bounded_and_hold_the_mean(time_mask_ms, band_mask, seed):
    values = np.random.default_rng(0).normal(size=(8, FRAMES, 40)).astype(np.float32)
    key = tf.constant([seed, 0], tf.int64)
    for axis, settings_, widest in (
        (1, only(time_masks=1, time_mask_ms=time_mask_ms), time_mask_ms / 20),
        (2, only(band_masks=1, band_mask=band_mask), band_mask),
    ):
        masked = augment.mask(values, key, settings_, 20.0).numpy()
        for before, after in zip(values, masked, strict=True):
            hidden = np.flatnonzero(np.any(before != after, axis=2 - axis))
            assert len(hidden) <= np.ceil(widest)
            if len(hidden):
                assert hidden[-1] - hidden[0] == len(hidden) - 1
                np.testing.assert_allclose(
                    np.take(after, hidden, axis=axis - 1), before.mean(), atol=1e-5
                )


AUGMENTATIONS = st.builds(
    Augmentation,
    shift_ms=st.floats(0, 500),
    noise_share=st.floats(0, 1),
    noise_volume=st.floats(0, 1),
    gain_db=st.floats(0, 40),
    speed=st.floats(0, 0.5),
    warp=st.floats(0, 0.5),
    time_masks=st.integers(0, 3),
    time_mask_ms=st.floats(0, 1000),
    band_masks=st.integers(0, 3),
    band_mask=st.integers(0, 80),
    mix_share=st.floats(0, 1),
    edge_share=st.floats(0, 1),
    edge_ms=st.floats(0, 1000),
)


@settings(max_examples=25, deadline=None)
@given(AUGMENTATIONS, st.integers(0, 2**60), st.sampled_from([0, 255, None]))
def test_always_finite_and_within_range(augmentation, seed, level):
    key = tf.constant([seed, 1], tf.int64)
    values = (
        spectrograms(4, low=0, high=256) if level is None else np.full((4, 98, 40), level, np.uint8)
    )
    silence = tf.constant([True, False, False, True])
    noise = mel_power(plain(values), STORED)
    mixed = on_spectrograms(values, augmentation, noise, silence, key)
    masked = np.array(augment.mask(mixed, key, augmentation, 20.0))
    for result in (mixed, masked):
        assert np.all((result >= STORED.floor - 1e-5) & (result <= STORED.ceiling + 1e-5))
    samples = np.full((4, 2000), 32767 if level else -32768, np.int16)
    loud = augment.augment_samples(samples, samples, silence, key, augmentation, RATE).numpy()
    assert np.all(abs(loud) <= 1)
