import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from kws_tf.audio import reader
from kws_tf.data import records
from kws_tf.errors import KwsError
from kws_tf.frontend.config import FRONT_ENDS, FrontEnd, LogMel, front_end
from kws_tf.frontend.features import features, log_mel, log_power, mel_power

DATA = os.environ.get("KWS_TF_DATA")


def reference_log_mel(samples, config):
    """The published records' recipe in float64 NumPy, written from its description."""
    window, hop = (int(ms * config.sample_rate / 1000) for ms in (config.window_ms, config.hop_ms))
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    starts = range(0, len(samples) - window + 1, hop)
    frames = np.stack([samples[start : start + window] * hann for start in starts])
    power = np.abs(np.fft.rfft(frames, config.fft_length)) ** 2

    def mel(hz):
        return 2595 * np.log10(1 + np.asarray(hz) / 700)

    edges = np.linspace(mel(config.low_hz), mel(config.high_hz), config.bands + 2)
    bins = mel(np.arange(power.shape[1]) * config.sample_rate / config.fft_length)[:, None]
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    triangles = np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre))
    values = np.log(power @ np.maximum(triangles, 0) + config.offset)
    return np.clip(values, config.floor, config.ceiling)


def reference_dct(values, coefficients):
    bands = values.shape[-1]
    k, n = np.arange(coefficients), np.arange(bands)[:, None]
    basis = np.cos(np.pi * (2 * n + 1) * k / (2 * bands)) * np.sqrt(2 / bands)
    basis[:, 0] /= np.sqrt(2)
    return values @ basis


def noise(seed=0, samples=16000):
    """Noise under a slow envelope, with silence in it."""
    rng = np.random.default_rng(seed)
    envelope = np.maximum(0, np.sin(np.arange(samples) / samples * 9)) * 0.3
    return (rng.normal(size=samples) * envelope).clip(-1, 1).astype(np.float32)


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_log_mel_is_the_reference(name):
    config = front_end(name).log_mel
    got, wanted = log_mel(noise(), config).numpy(), reference_log_mel(noise(), config)
    assert got.shape == wanted.shape == (49, 40)
    np.testing.assert_allclose(got, wanted, atol=2e-3)


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_features_are_the_reference(name):
    base = front_end(name)
    rng = np.random.default_rng(1)
    mean, std = rng.normal(size=base.features), rng.uniform(0.5, 3, base.features)
    described = base.normalised(mean, std)
    wanted = reference_log_mel(noise(), base.log_mel)
    if base.coefficients:
        wanted = reference_dct(wanted, base.coefficients)
    wanted = (wanted - mean) / std
    np.testing.assert_allclose(features(noise(), described), wanted, atol=0.02)
    assert abs(features(noise(), described) - wanted).numpy().mean() < 1e-3


def test_batches_and_silence():
    config = LogMel()
    batch = np.stack([noise(), np.zeros(16000, np.float32)])
    values = log_mel(batch, config).numpy()
    np.testing.assert_allclose(values[0], log_mel(batch[0], config), atol=1e-4)
    assert np.all(values[1] == np.float32(config.floor))


def test_a_tone_lands_in_its_band():
    config = LogMel()
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000).astype(np.float32)
    edges = np.linspace(0, 2595 * np.log10(1 + 4000 / 700), 42)[1:-1]
    nearest = np.argmin(abs(edges - 2595 * np.log10(1 + 1000 / 700)))
    assert set(np.argmax(log_mel(tone, config), axis=1)) == {nearest}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-14.5, 10.75, width=32), min_size=1, max_size=50))
def test_mel_power_inverts_log_power(values):
    config = LogMel()
    back = log_power(mel_power(tf.constant(values, tf.float32), config), config)
    np.testing.assert_allclose(back, np.float32(values), atol=1e-5)


def test_shapes():
    shapes = {name: (f.frames, f.features, f.samples) for name, f in FRONT_ENDS.items()}
    assert shapes == {
        "logmel40": (49, 40, 16000),
        "mfcc10": (49, 10, 16000),
        "hello_edge": (49, 10, 16000),
    }
    assert LogMel(hop_ms=10.0).frames(16000) == 98
    assert LogMel().frames(479) == 0
    assert dataclasses.replace(front_end("logmel40"), example_ms=2000.0).frames == 99


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_json_round_trip_is_exact(data):
    base = data.draw(st.sampled_from(list(FRONT_ENDS.values())))
    sized = {"min_size": base.features, "max_size": base.features}
    mean = data.draw(st.lists(st.floats(-(2.0**90), 2.0**90, width=32), **sized))
    std = data.draw(st.lists(st.floats(2.0**-90, 2.0**90, width=32), **sized))
    described = base.normalised(mean, std)
    back = FrontEnd.from_json(json.loads(json.dumps(described.to_json())))
    assert back == described
    np.testing.assert_array_equal(np.float32(back.mean), np.float32(mean))
    np.testing.assert_array_equal(np.float32(back.std), np.float32(std))


def test_fingerprint_tells_constants_apart():
    fingerprints = {LogMel(**change).fingerprint() for change in ({}, {"hop_ms": 10.0})}
    changes = {"window_ms": 25.0, "low_hz": 20.0, "bands": 39, "offset": 1e-6, "floor": -14.0}
    fingerprints |= {LogMel(**{name: value}).fingerprint() for name, value in changes.items()}
    assert len(fingerprints) == 2 + len(changes)
    assert LogMel(hop_ms=10).fingerprint() == LogMel(hop_ms=10.0).fingerprint()


DAMAGED = [
    None,
    [],
    "text",
    {},
    {"mean": [0.0] * 40},
    {"mean": [0.0] * 39, "std": [1.0] * 39},
    {"std": [1.0] * 40},
    {"mean": [0.0] * 40, "std": [0.0] * 40},
    {"mean": [float("nan")] * 40, "std": [1.0] * 40},
    {"mean": ["0"] * 40, "std": [1.0] * 40},
    {"mean": None},
    {"coefficients": 41},
    {"coefficients": 2.5},
    {"example_ms": 20.0},
    {"example_ms": float("inf")},
    {"unknown": 1},
    {"log_mel": 3},
    {"log_mel": {"hop_ms": 0.0}},
    {"log_mel": {"hop_ms": "10"}},
    {"log_mel": {"fft_length": 256}},
    {"log_mel": {"high_hz": 9000.0}},
    {"log_mel": {"bands": 0}},
    {"log_mel": {"offset": 0.0}},
    {"log_mel": {"floor": 11.0}},
    {"log_mel": {"gain": 1.0}},
]


@pytest.mark.parametrize("change", DAMAGED, ids=str)
def test_damaged_description(change):
    values = change
    if isinstance(change, dict):
        values = FrontEnd().to_json() | change if change else {}
    with pytest.raises(KwsError, match="not a front-end description"):
        FrontEnd.from_json(values)


def test_unknown_name():
    with pytest.raises(KwsError, match="'mfcc11'; choose one of logmel40"):
        front_end("mfcc11")


def test_features_need_normalisation():
    with pytest.raises(KwsError, match="no normalisation constants"):
        features(noise(), front_end("logmel40"))


def test_records_of_another_front_end_are_refused():
    wanted = front_end("logmel40").log_mel
    assert wanted.frame_step_in(wanted.with_hop(10.0)) == 2
    assert wanted.frame_step_in(wanted) == 1
    with pytest.raises(KwsError, match=r"window_ms 40\.0 instead of 30.0"):
        wanted.frame_step_in(LogMel(window_ms=40.0, fft_length=1024, hop_ms=10.0))
    for hop in (15.0, 40.0):
        with pytest.raises(KwsError, match=f"hop_ms {hop}"):
            wanted.frame_step_in(wanted.with_hop(hop))


@pytest.mark.skipif(not DATA, reason="KWS_TF_DATA names no data folder")
def test_parity_with_the_published_records():
    """Examples in both forms: the median error is 4.5 of 255, and 2.5 after the JPEG step."""
    published = records.read(Path(DATA) / "speech_commands_v0.02_logmel", "validation")
    audio = Path(DATA) / "speech_commands_subset"
    before, after = [], []
    for stored, word, name in zip(
        published.spectrograms, published.words, published.names, strict=True
    ):
        path = (audio / word / name).with_suffix(".flac")
        # Shorter recordings are padded in some other way in the published spectrograms.
        if len(before) == 200 or not path.exists() or len(reader.load(path)) < 16000:
            continue
        ours = records.to_uint8(log_mel(reader.load(path), published.log_mel), published.log_mel)
        coded = tf.io.encode_jpeg(ours[..., None], format="grayscale", quality=75)
        for errors, made in ((before, ours), (after, tf.io.decode_jpeg(coded)[..., 0])):
            errors.append(np.abs(made.numpy().astype(int) - stored).mean())
    assert len(before) > 50
    assert np.median(before) <= 4.5
    assert np.median(after) <= 2.5
