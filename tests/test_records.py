import json

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from kws_tf.data import records
from kws_tf.errors import KwsError
from kws_tf.frontend.config import LogMel

OTHER = LogMel(window_ms=40.0, fft_length=1024, hop_ms=10.0)


def spectrograms(count=5, frames=98, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, frames, 40), dtype=np.uint8)


def write(
    folder, partition="training", log_mel=records.PUBLISHED, shards=1, values=None, word="up"
):
    values = spectrograms() if values is None else values
    names = [f"{seed:08x}_nohash_0.wav" for seed in range(len(values))]
    records.write(folder, partition, log_mel, [(values, [word] * len(values), names)], shards)
    return folder


def write_published(path, values, bands=40):
    """A record as the published ones are: JPEG, no mark of a front end."""
    with tf.io.TFRecordWriter(str(path)) as writer:
        for spectrogram in values:
            coded = tf.io.encode_jpeg(spectrogram[:, :bands, None], format="grayscale", quality=75)
            feature = {
                key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
                for key, value in {
                    "spectrogram": coded.numpy(),
                    "word": b"up",
                    "clip": b"0_nohash_0.wav",
                }.items()
            }
            example = tf.train.Example(features=tf.train.Features(feature=feature))
            writer.write(example.SerializeToString())


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 9), st.integers(1, 4), st.integers(1, 60), st.text(min_size=1, max_size=8))
def test_round_trip_is_lossless(tmp_path_factory, count, shards, frames, word):
    folder = tmp_path_factory.mktemp("records")
    values = spectrograms(count, frames)
    write(folder, shards=shards, values=values, word=word)
    back = records.read(folder, "training")
    # Records go to the shards in turn and are read shard by shard.
    order = [i for shard in range(shards) for i in range(shard, count, shards)]
    np.testing.assert_array_equal(back.spectrograms, values[order])
    assert list(back.words) == [word] * count
    assert list(back.names) == [f"{i:08x}_nohash_0.wav" for i in order]
    assert back.log_mel == records.PUBLISHED


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=50))
def test_a_spectrogram_is_off_by_half_a_step(values):
    config = LogMel()
    limited = np.clip(np.float32(values), config.floor, config.ceiling)
    back = records.from_uint8(records.to_uint8(np.float32(values), config), config)
    np.testing.assert_allclose(back, limited, atol=0.05 + 1e-5)


def test_values_are_the_published_code():
    codes = np.arange(256)
    values = records.from_uint8(codes.astype(np.uint8), records.PUBLISHED)
    np.testing.assert_allclose(values, (codes - 146.5) / 10, atol=1e-5)
    np.testing.assert_array_equal(records.to_uint8(values, records.PUBLISHED), codes)


def test_published_records_have_the_published_constants(tmp_path):
    smooth = np.tile(np.arange(98, dtype=np.uint8)[None, :, None], (3, 1, 40))
    write_published(tmp_path / "training-00000-of-00001.tfrecord", smooth)
    back = records.read(tmp_path, "training")
    assert back.log_mel == LogMel(hop_ms=10.0)
    assert abs(back.spectrograms.astype(int) - smooth).max() <= 3
    assert list(back.words) == ["up"] * 3


def test_description_is_kept(tmp_path):
    write(tmp_path, log_mel=OTHER)
    assert records.describe(tmp_path) == OTHER == records.read(tmp_path, "training").log_mel


def test_mixed_front_ends_are_refused(tmp_path):
    write(tmp_path, shards=2)
    write(tmp_path / "other", log_mel=OTHER, shards=2)
    name = "training-00001-of-00002.tfrecord"
    (tmp_path / "other" / name).replace(tmp_path / name)
    with pytest.raises(KwsError, match="mixes training records of different front ends"):
        records.read(tmp_path, "training")


def test_a_missing_shard_is_noticed(tmp_path):
    write(tmp_path, shards=3)
    (tmp_path / "training-00001-of-00003.tfrecord").unlink()
    with pytest.raises(KwsError, match="has 2 training files whose names promise 3"):
        records.read(tmp_path, "training")


def test_shards_of_two_extractions_are_noticed(tmp_path):
    write(tmp_path)
    write(tmp_path / "other", shards=2)
    for path in (tmp_path / "other").glob("*.tfrecord"):
        path.replace(tmp_path / path.name)
    with pytest.raises(KwsError, match="has 3 training files whose names promise 1 or 2"):
        records.read(tmp_path, "training")


def cut(content):
    return content[:-20]


def flip(content):
    return content[:200] + bytes([content[200] ^ 1]) + content[201:]


@pytest.mark.parametrize("harm", [cut, flip, lambda _: b"no records at all, but some text"])
def test_damaged_file(tmp_path, harm):
    path = write(tmp_path) / "training-00000-of-00001.tfrecord"
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(KwsError, match=r"training records in .* are damaged"):
        records.read(tmp_path, "training")


def test_damaged_image_and_wrong_size(tmp_path):
    path = tmp_path / "training-00000-of-00001.tfrecord"
    write_published(path, spectrograms(2), bands=39)
    with pytest.raises(KwsError, match="are damaged"):
        records.read(tmp_path, "training")
    example = tf.train.Example()
    for key in ("spectrogram", "word", "clip"):
        example.features.feature[key].bytes_list.value.append(b"no image")
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(example.SerializeToString())
    with pytest.raises(KwsError, match="are damaged"):
        records.read(tmp_path, "training")


def test_spectrograms_of_different_lengths(tmp_path):
    batches = [(spectrograms(2, frames), ["up"] * 2, ["name"] * 2) for frames in (98, 97)]
    records.write(tmp_path, "training", records.PUBLISHED, batches)
    with pytest.raises(KwsError, match="are damaged"):
        records.read(tmp_path, "training")


def test_empty_file_and_empty_folder(tmp_path):
    with pytest.raises(KwsError, match=r"has no training-\*.tfrecord files"):
        records.read(tmp_path, "training")
    (tmp_path / "training-00000-of-00001.tfrecord").touch()
    with pytest.raises(KwsError, match="are empty"):
        records.read(tmp_path, "training")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"log_mel": {"hop_ms": 0}}', '{"log_mel": {"colour": 1}}']
)
def test_damaged_description(tmp_path, text):
    write(tmp_path)
    (tmp_path / "front_end.json").write_text(text)
    with pytest.raises(KwsError, match=r"front_end\.json is damaged"):
        records.read(tmp_path, "training")


def test_description_is_json_of_the_constants(tmp_path):
    write(tmp_path)
    values = json.loads((tmp_path / "front_end.json").read_text())["log_mel"]
    assert LogMel(**values) == records.PUBLISHED
