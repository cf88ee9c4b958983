import io
import os
import struct
import wave
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_io as tfio
from hypothesis import given, settings
from hypothesis import strategies as st

from kws_tf.audio import reader
from kws_tf.errors import KwsError

PCM_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")


def wav_bytes(pcm, rate=16000, width=2):
    """An ordinary WAV file of ``pcm`` [samples] or [samples, channels]."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1 if pcm.ndim == 1 else pcm.shape[1])
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(pcm.tobytes())
    return buffer.getvalue()


def riff(*chunks):
    """A WAV file of (name, payload) chunks, those of odd length padded as the format asks."""
    body = b"".join(n + struct.pack("<I", len(p)) + p + b"\0" * (len(p) % 2) for n, p in chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body


def flac_bytes(pcm, rate=16000):
    pcm = pcm.reshape(len(pcm), -1)
    return tfio.audio.encode_flac(tf.constant(pcm), rate=rate).numpy()


@pytest.fixture
def write(tmp_path):
    def write(data, name="clip.wav"):
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    return write


def noise(samples=1600, channels=None, seed=0):
    shape = samples if channels is None else (samples, channels)
    return np.random.default_rng(seed).integers(-3000, 3000, shape, dtype=np.int16)


FORMAT = struct.pack("<HHIIHH", 1, 1, 16000, 32000, 2, 16)
EXTREMES = np.array([-32768, 32767, -1, 0, 1], np.int16)


@pytest.mark.parametrize("encode", [wav_bytes, flac_bytes])
def test_header_and_samples_are_exact(write, encode):
    pcm = np.tile(EXTREMES, 40)
    path = write(encode(pcm), "backward_0c540988_nohash_0.wav.flac")
    info = reader.inspect(path)
    assert (info.sample_rate, info.channels, info.samples) == (16000, 1, 200)
    assert info.codec == encode.__name__.removesuffix("_bytes")
    samples = reader.load(path)
    assert samples.dtype == np.float32
    np.testing.assert_array_equal(samples, pcm / 32768)


def test_wav_scale_is_that_of_tensorflow(write):
    data = wav_bytes(EXTREMES)
    reference, _ = tf.audio.decode_wav(data)
    np.testing.assert_array_equal(reader.load(write(data)), reference[:, 0])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(-32768, 32767), min_size=1, max_size=300), st.booleans())
def test_any_samples_survive(tmp_path_factory, values, as_flac):
    pcm = np.array(values, np.int16)
    path = tmp_path_factory.mktemp("any") / "clip"
    path.write_bytes(flac_bytes(pcm) if as_flac else wav_bytes(pcm))
    np.testing.assert_array_equal(reader.load(path) * 32768, pcm)


@pytest.mark.parametrize(
    "data",
    [
        riff((b"LIST", b"odd"), (b"fmt ", FORMAT), (b"LIST", b"o"), (b"data", EXTREMES.tobytes())),
        riff((b"fmt ", FORMAT + b"\0\0"), (b"data", EXTREMES.tobytes()), (b"LIST", b"after")),
        riff(
            (
                b"fmt ",
                struct.pack("<HHIIHH", 0xFFFE, 1, 16000, 32000, 2, 16)
                + struct.pack("<HHIH", 22, 16, 4, 1)
                + PCM_GUID_TAIL,
            ),
            (b"data", EXTREMES.tobytes()),
        ),
        riff((b"fmt ", FORMAT), (b"data", EXTREMES.tobytes())) + b"\0\0\0",
    ],
    ids=["odd chunks first", "long fmt, chunk after", "extensible", "bytes after the end"],
)
def test_wav_as_recorders_write_it(write, data):
    np.testing.assert_array_equal(reader.load(write(data)) * 32768, EXTREMES)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"ID3 not audio at all", "neither WAV nor FLAC"),
        (b"RIFF", "neither WAV nor FLAC"),
        (wav_bytes(noise())[:-100], "truncated WAV"),
        (wav_bytes(noise())[:40], "truncated WAV"),
        (wav_bytes(noise())[:30], "cut header"),
        (wav_bytes(noise(0)), "no samples"),
        (riff((b"fmt ", FORMAT)), "truncated WAV"),
        (riff((b"fmt ", b"short"), (b"data", b"12")), "cut header"),
        (wav_bytes(np.zeros(100, np.int32), width=3), "24 bits"),
        (riff((b"fmt ", struct.pack("<HHIIHH", 3, 1, 16000, 64000, 4, 32))), "encoding 3"),
        (riff((b"fmt ", struct.pack("<HHIIHH", 1, 0, 16000, 0, 0, 16))), "0 channels"),
        (riff((b"fmt ", struct.pack("<HHIIHH", 1, 1, 0, 0, 2, 16))), "0 Hz"),
        (b"fLaC\0\0\0\x22cut", "cut or damaged header"),
        (b"fLaC\x84" + bytes(40), "cut or damaged header"),
    ],
)
def test_bad_file_is_named(write, data, words):
    path = write(data)
    with pytest.raises(KwsError, match=words) as error:
        reader.inspect(path)
    assert str(path) in str(error.value)


def test_flac_header_limits(write):
    data = bytearray(flac_bytes(noise()))
    # RFC 9639, section 8.2: bits a sample and the length stand in bytes 12 to 17 of STREAMINFO.
    of_24_bits = data.copy()
    of_24_bits[8 + 13] = (of_24_bits[8 + 13] & 0x0F) | 0x70
    of_24_bits[8 + 12] |= 1
    with pytest.raises(KwsError, match="FLAC of 24 bits"):
        reader.inspect(write(of_24_bits))
    without_length = data.copy()
    without_length[8 + 13] &= 0xF0
    without_length[8 + 14 : 8 + 18] = bytes(4)
    with pytest.raises(KwsError, match="no samples"):
        reader.inspect(write(without_length))
    without_rate = data.copy()
    without_rate[8 + 10 : 8 + 12] = bytes(2)
    without_rate[8 + 12] &= 0x0F
    with pytest.raises(KwsError, match="without a sample rate"):
        reader.inspect(write(without_rate))


def test_missing_file_and_folder(tmp_path):
    for path in (tmp_path / "none.wav", tmp_path):
        with pytest.raises(KwsError, match="cannot read the audio file") as error:
            reader.inspect(path)
        assert str(path) in str(error.value)


@settings(max_examples=200, deadline=None)
@given(data=st.data(), as_flac=st.booleans())
def test_damaged_header_never_crashes(tmp_path_factory, data, as_flac):
    intact = bytearray(FLAC_FILE if as_flac else WAV_FILE)
    for _ in range(data.draw(st.integers(0, 4))):
        intact[data.draw(st.integers(4, 60))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("fuzz", numbered=True) / "clip"
    path.write_bytes(intact[: data.draw(st.integers(0, len(intact)))])
    try:
        info = reader.inspect(path)
    except KwsError:
        return
    assert info.samples > 0
    assert info.channels > 0
    assert info.sample_rate > 0


WAV_FILE, FLAC_FILE = wav_bytes(noise(100)), flac_bytes(noise(100))


@pytest.mark.parametrize("encode", [wav_bytes, flac_bytes])
def test_stereo_is_refused_or_mixed_down(write, encode):
    pcm = noise(channels=2)
    path = write(encode(pcm))
    with pytest.raises(KwsError, match="--mix-down"):
        reader.load(path)
    assert reader.check(path, mix_down=True).channels == 2
    np.testing.assert_array_equal(reader.load(path, mix_down=True), pcm.mean(axis=1) / 32768)


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000])
def test_resampling_keeps_time_length_and_level(write, rate):
    def tone(rate):
        time = np.arange(rate // 2) / rate
        return np.sin(2 * np.pi * 700 * time) * np.hanning(len(time)) * 0.5

    path = write(wav_bytes((tone(rate) * 32768).astype(np.int16), rate))
    samples = reader.load(path)
    assert len(samples) == -(-(rate // 2) * 16000 // rate)
    # Half a sample late is an error of 0.069, a whole one 0.137.
    np.testing.assert_allclose(samples, tone(16000)[: len(samples)], atol=0.07)


def test_resampling_to_another_rate(write):
    assert len(reader.load(write(wav_bytes(noise(16000))), sample_rate=8000)) == 8000


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 50), st.integers(1, 50))
def test_fit_length_pads_or_cuts_at_the_end(have, length):
    samples = np.arange(1, have + 1, dtype=np.float32)
    expected = np.concatenate([samples, np.zeros(length, np.float32)])[:length]
    np.testing.assert_array_equal(reader.fit_length(tf.constant(samples), length), expected)


def test_dataset_mixes_codecs_rates_and_lengths_in_order(write):
    clips = [
        write(wav_bytes(noise(500, seed=1)), "a.wav"),
        write(flac_bytes(noise(2000, seed=2)), "b.wav"),
        write(wav_bytes(noise(800, channels=2, seed=3), rate=8000), "c.wav"),
        write(flac_bytes(noise(1000, seed=4)), "d\udce9.flac"),  # a name that is not UTF-8
    ]
    dataset = reader.clip_dataset(clips, length=1000, mix_down=True)
    assert dataset.element_spec == tf.TensorSpec([1000], tf.float32)
    result = list(dataset.as_numpy_iterator())
    assert len(result) == len(clips)
    for path, samples in zip(clips, result, strict=True):
        alone = reader.load(path, mix_down=True)[:1000]
        np.testing.assert_array_equal(samples[: len(alone)], alone)
        assert not samples[len(alone) :].any()


def test_empty_dataset():
    assert list(reader.clip_dataset([])) == []


def test_damaged_flac_is_named(write):
    good = write(flac_bytes(noise(20000, seed=1)), "good.flac")
    cut = write(flac_bytes(noise(20000, seed=2))[:12000], "cut.flac")
    assert reader.inspect(cut).samples == 20000  # the header alone looks well
    with pytest.raises(KwsError, match=r"cut\.flac is damaged"):
        reader.load(cut)
    paths = [good, cut, good]
    with pytest.raises(KwsError, match=r"cut\.flac is damaged"), reader.named_errors(paths):
        list(reader.clip_dataset(paths))


def test_file_that_vanishes_is_named(write):
    path = write(wav_bytes(noise()))
    dataset = reader.clip_dataset([path])
    path.unlink()
    with pytest.raises(KwsError, match="cannot read the audio file"), reader.named_errors([path]):
        list(dataset)


def test_errors_that_no_file_explains_pass(write):
    path = write(wav_bytes(noise()))
    with pytest.raises(tf.errors.InvalidArgumentError), reader.named_errors([path]):
        tf.debugging.assert_equal(1, 2)


def test_dataset_checks_headers_at_once(write):
    paths = [write(WAV_FILE, "good.wav"), write(WAV_FILE[:-9], "bad.wav")]
    with pytest.raises(KwsError, match=r"bad\.wav is a truncated"):
        reader.clip_dataset(paths)


@pytest.mark.skipif("KWS_TF_DATA" not in os.environ, reason="KWS_TF_DATA names no data folder")
def test_real_clips():
    folder = Path(os.environ["KWS_TF_DATA"]) / "speech_commands_test_set_v0.02" / "_unknown_"
    paths = sorted(folder.glob("*.flac"))[:50]
    clips = np.stack(list(reader.clip_dataset(paths).as_numpy_iterator()))
    assert clips.shape == (50, 16000)
    assert (np.abs(clips).max(axis=1) > 0.01).all()
