"""Every kind of audio file, whole, odd and damaged."""

import io
import os
import struct
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from kws_tf.audio import reader, resampling
from kws_tf.errors import KwsError

PCM_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")


def wav_bytes(pcm, rate=16000):
    """An ordinary 16-bit WAV file of ``pcm`` [samples] or [samples, channels]."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1 if pcm.ndim == 1 else pcm.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(pcm.tobytes())
    return buffer.getvalue()


def riff(*chunks):
    """A WAV file of (name, payload) chunks, those of odd length padded as the format asks."""
    body = b"".join(n + struct.pack("<I", len(p)) + p + b"\0" * (len(p) % 2) for n, p in chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body


def encoded(samples, format, subtype, rate=16000, **options):
    buffer = io.BytesIO()
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    with soundfile.SoundFile(
        buffer, "w", rate, channels, subtype, format=format, **options
    ) as file:
        file.write(samples)
    return buffer.getvalue()


def flac_bytes(pcm, rate=16000):
    return encoded(pcm, "FLAC", "PCM_16", rate)


@pytest.fixture
def write(tmp_path):
    def write(data, name="recording.wav"):
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    return write


def noise(samples=1600, channels=None, seed=0):
    shape = samples if channels is None else (samples, channels)
    return np.random.default_rng(seed).integers(-3000, 3000, shape, dtype=np.int16)


def refused(path, words):
    with pytest.raises(KwsError, match=words) as error:
        reader.load(path)
    message = str(error.value)
    assert message.startswith(f"{path} ")
    assert "\n" not in message


PCM = noise(8000)
FORMAT = struct.pack("<HHIIHH", 1, 1, 16000, 32000, 2, 16)
ABSURD_RATE = struct.pack("<HHIIHH", 1, 1, 3_556_785_792, 32000, 2, 16)
MANY_TAGS = b"INFO" + (b"ICMT" + struct.pack("<I", 200) + b"a" * 200) * 9
EXTREMES = np.array([-32768, 32767, -1, 0, 1], np.int16)


# --- Samples.


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(-32768, 32767), min_size=1, max_size=300), st.booleans())
def test_any_16_bit_samples_survive(tmp_path_factory, values, as_flac):
    pcm = np.array(values, np.int16)
    path = tmp_path_factory.mktemp("any") / "backward_0c540988_nohash_0.wav.flac"
    path.write_bytes(flac_bytes(pcm) if as_flac else wav_bytes(pcm))
    samples = reader.load(path)
    assert samples.dtype == np.float32
    np.testing.assert_array_equal(samples * 32768, pcm)


@pytest.mark.parametrize(
    ("format", "subtype", "tolerance"),
    [
        ("WAV", "PCM_U8", 2**-7),
        ("WAV", "PCM_24", 0),
        ("WAV", "PCM_32", 0),
        ("WAV", "FLOAT", 0),
        ("WAV", "DOUBLE", 0),
        ("WAV", "ULAW", 2**-6),
        ("WAVEX", "PCM_16", 0),
        ("FLAC", "PCM_24", 0),
        ("AIFF", "PCM_16", 0),
        ("AIFF", "FLOAT", 0),
        ("OGG", "VORBIS", 0.02),
        ("OGG", "OPUS", 0.02),
        ("MP3", "MPEG_LAYER_III", 0.02),
    ],
)
def test_formats(write, format, subtype, tolerance):
    time = np.arange(16000) / 16000
    samples = np.round(8000 * np.sin(2 * np.pi * 440 * time)) / 32768
    got = reader.load(write(encoded(samples, format, subtype), "without an ending"))
    assert len(got) == len(samples)
    assert np.sqrt(np.mean((got - samples) ** 2)) <= tolerance


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


@pytest.mark.parametrize("encode", [wav_bytes, flac_bytes])
def test_stereo_is_refused_or_mixed_down(write, encode):
    pcm = noise(channels=2)
    path = write(encode(pcm))
    refused(path, "has 2 channels .* --mix-down")
    np.testing.assert_array_equal(reader.load(path, mix_down=True), pcm.mean(axis=1) / 32768)


# --- Lengths that an encoder did not know: it wrote to a pipe.


def with_flac_total(flac, total):
    """FLAC bytes whose header states ``total`` samples (RFC 9639, section 8.2)."""
    fields = int.from_bytes(flac[18:26], "big") >> 36 << 36 | total
    return flac[:18] + fields.to_bytes(8, "big") + flac[26:]


@pytest.mark.parametrize(
    "data",
    [
        with_flac_total(flac_bytes(PCM), 0),
        *(
            b"RIFF\xff\xff\xff\xffWAVE"
            + riff((b"fmt ", FORMAT))[12:]
            + (b"data" + struct.pack("<I", length) + PCM.tobytes())
            for length in (0xFFFF_FFFF, 0x8000_0000, 0x7FFF_F000)
        ),
    ],
    ids=["FLAC", "ffmpeg", "arecord", "sox"],
)
def test_unknown_length_is_read_to_the_end(write, data):
    np.testing.assert_array_equal(reader.load(write(data)) * 32768, PCM)


def test_id3_tag_before_flac_is_skipped(write):
    tag = b"ID3\4\0\0\0\0\0\x0a" + bytes(10)
    np.testing.assert_array_equal(reader.load(write(tag + flac_bytes(PCM))) * 32768, PCM)


# --- Files that are refused.


def flipped(data, place=None):
    place = len(data) // 2 if place is None else place
    return data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :]


LONG = noise(48000) / 32768
OGG = encoded(LONG, "OGG", "VORBIS")
MP3 = encoded(LONG, "MP3", "MPEG_LAYER_III")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is an empty file"),
        (b"not audio at all" * 9, "cannot be decoded"),
        (b"RIFF", "cannot be decoded"),
        (wav_bytes(PCM)[:-100], "is truncated: its header promises 16,000 bytes .* 15,900 are"),
        (wav_bytes(PCM)[:40], "cannot be decoded"),
        (wav_bytes(PCM[:0]), "has no samples"),
        (wav_bytes(PCM).replace(b"data\x80\x3e", b"data\0\0"), "no samples but 16,000 bytes fol"),
        (
            riff((b"fmt ", FORMAT), *[(b"LIST", MANY_TAGS)] * 9, (b"data", bytes(50)))[:-2],
            "truncat",
        ),
        (riff((b"fmt ", FORMAT)), "cannot be decoded"),
        (riff((b"fmt ", b"short"), (b"data", b"12")), "cannot be decoded"),
        (wav_bytes(PCM, 3000), "has a sample rate of 3,000 Hz; convert it to one from 4,000 to"),
        (wav_bytes(PCM, 192_001), "has a sample rate of 192,001 Hz"),
        (riff((b"fmt ", ABSURD_RATE), (b"data", PCM.tobytes())), "cannot be decoded"),
        (encoded(LONG, "AIFF", "PCM_16")[:-100], "is truncated"),
        (encoded(LONG, "RF64", "PCM_16"), "is of the kind RF64; convert it to WAV or FLAC"),
        (with_flac_total(flac_bytes(PCM), 8001), "it promises 8,001 samples and 8,000 can be"),
        (flipped(flac_bytes(PCM)), "cannot be decoded"),
        (flac_bytes(PCM)[:-500], "cannot be decoded"),
        (with_flac_total(flac_bytes(PCM)[:-500], 0), "cannot be decoded"),
        (flac_bytes(PCM) + flac_bytes(PCM), "cannot be decoded"),
        (b"fLaC\0\0\0\x22cut", "cannot be decoded"),
        (OGG[:-500], "is no whole OGG file"),
        (flipped(OGG), "is truncated or damaged"),
        (OGG + encoded(LONG, "OGG", "VORBIS"), "is no whole OGG file"),
        (MP3[:-500], "is truncated or damaged: it promises 48,000"),
        (MP3 + MP3, "only a part|of which a part can be read"),
        (encoded(np.full(99, np.nan), "WAV", "FLOAT"), "has samples that are not numbers"),
        (encoded(np.full(99, 3e7), "WAV", "FLOAT"), "not numbers, or far too large"),
        (encoded(np.full(99, 3e4), "WAV", "FLOAT"), "has samples of 30,000 .* import it"),
    ],
)
def test_bad_file_is_named(write, capfd, data, words):
    refused(write(data), words)
    assert not capfd.readouterr().err  # the MP3 decoder would print


def test_mp3_of_variable_bit_rate_without_its_length(write):
    # The decoder guesses from the first frame, which is one of silence, or of noise.
    quiet_first = np.concatenate([np.zeros(80000), np.tile(LONG, 3)])
    for samples in (quiet_first, quiet_first[::-1]):
        data = encoded(samples, "MP3", "MPEG_LAYER_III", bitrate_mode="VARIABLE")
        data = data[data.index(data[:2], 4) :]  # the first frame is that of the length
        path = write(data)
        try:
            got = reader.load(path)
        except KwsError as error:
            assert "variable bit rate" in str(error)
        else:
            assert len(got) > len(samples)  # with the encoder's padding


def test_what_is_no_file(tmp_path):
    refused(tmp_path / "none.wav", "cannot be read .No such file")
    refused(tmp_path, "is no file")
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "is no file")


WHOLE = {"WAV": wav_bytes(noise(100)), "FLAC": flac_bytes(noise(100)), "OGG": OGG, "MP3": MP3}


@settings(max_examples=150, deadline=None)
@given(data=st.data(), kind=st.sampled_from(sorted(WHOLE)))
def test_damaged_file_never_crashes(tmp_path_factory, data, kind):
    content = bytearray(WHOLE[kind])
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("fuzz") / "recording"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        samples = reader.load(path, mix_down=True)
    except KwsError:
        return
    assert len(samples) and np.isfinite(samples).all()


# --- Blocks.


def test_blocks_are_small_and_together_the_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(reader, "_BLOCK", 4096)
    monkeypatch.setattr(resampling, "_BLOCK", 4096)
    path, pcm = tmp_path / "long.wav", noise(100_000, channels=2)
    soundfile.write(path, pcm, 44100)
    whole = resampling.resample(pcm.mean(axis=1, dtype=np.float32) / 32768, 44100, 16000)
    blocks = list(reader.blocks(path, mix_down=True))
    assert max(map(len, blocks)) < 4096
    np.testing.assert_array_equal(np.concatenate(blocks), whole)


# --- Other rates, by tensorflow-io and by what stands in for it.


@pytest.fixture(params=["tensorflow-io", "scipy"])
def resampler(request, monkeypatch):
    if request.param == "scipy":
        monkeypatch.setattr(resampling, "_tensorflow_io_op", lambda: None)
    elif resampling._tensorflow_io_op() is None:
        pytest.skip("tensorflow-io does not load")


RATES = [4000, 8000, 11025, 22050, 44100, 48000, 192_000]


def tone(rate, seconds=0.5):
    time = np.arange(round(rate * seconds)) / rate
    return np.float32(np.sin(2 * np.pi * 700 * time) * np.hanning(len(time)) * 0.5)


@pytest.mark.parametrize("rate", RATES)
def test_resampling_keeps_time_length_and_level(write, resampler, rate):
    path = write(wav_bytes((tone(rate) * 32768).astype(np.int16), rate))
    samples = reader.load(path)
    assert len(samples) == -(-len(tone(rate)) * 16000 // rate)
    assert samples.dtype == np.float32
    # Half a sample late is an error of 0.069, a whole one 0.137.
    np.testing.assert_allclose(samples, tone(16000)[: len(samples)], atol=0.07)


def test_resampling_to_another_rate(write):
    assert len(reader.load(write(wav_bytes(noise(16000))), sample_rate=8000)) == 8000


@pytest.mark.parametrize("rate", [8000, 32000, 48000])
def test_both_resamplers_agree(rate, monkeypatch):
    if resampling._tensorflow_io_op() is None:
        pytest.skip("tensorflow-io does not load")
    ours = resampling.resample(tone(rate), rate, 16000)
    monkeypatch.setattr(resampling, "_tensorflow_io_op", lambda: None)
    np.testing.assert_allclose(resampling.resample(tone(rate), rate, 16000), ours, atol=1e-3)


@pytest.mark.parametrize("rate", [*RATES, 15999])
def test_resampling_in_blocks_is_that_of_the_whole(resampler, monkeypatch, rate):
    monkeypatch.setattr(resampling, "_BLOCK", 3000)
    rng = np.random.default_rng(0)
    samples = rng.normal(0, 0.1, 70_000).astype(np.float32)
    places = np.sort(rng.integers(0, len(samples), 20))
    blocks = list(resampling.resampled(np.split(samples, places), rate, 16000))
    assert len(blocks) > 1 or rate == 15999
    whole = resampling.resample(samples, rate, 16000)
    np.testing.assert_allclose(np.concatenate(blocks), whole, atol=1e-6)


@pytest.mark.skipif("KWS_TF_DATA" not in os.environ, reason="KWS_TF_DATA names no data folder")
def test_real_recordings():
    folder = Path(os.environ["KWS_TF_DATA"]) / "speech_commands_test_set_v0.02" / "_unknown_"
    for path in sorted(folder.glob("*.flac"))[:50]:
        samples = reader.load(path)
        assert len(samples) == 16000
        assert np.abs(samples).max() > 0.01
