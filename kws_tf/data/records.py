"""Log-mel records: spectrograms as 8-bit images in TFRecord files.

Every record is a ``tf.train.Example`` with byte strings: ``spectrogram`` (a grey image, one
row a frame, one column a mel band; JPEG or PNG), ``word``, ``clip`` (the official file name),
and, in records that this project wrote, ``front_end`` (fingerprint of the log-mel constants). A
folder holds ``training-*``, ``validation-*`` and ``background-*`` shards and ``front_end.json``.
"""

import dataclasses
import json
import re
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, cycle
from pathlib import Path

import numpy as np
import tensorflow as tf

from kws_tf.errors import KwsError
from kws_tf.files import write_json
from kws_tf.frontend.config import LogMel

PARTITIONS = ("training", "validation", "background")
DESCRIPTION = "front_end.json"
HOP_MS = 10.0
"""Time between the frames of a record, ms; a front end takes every n-th."""
PUBLISHED = LogMel(hop_ms=HOP_MS)
"""Front end of records without a description: the published log-mel records."""


@dataclass(frozen=True)
class Records:
    """A partition: uint8 [examples, frames, bands], words, official file names, front end."""

    spectrograms: np.ndarray
    words: np.ndarray
    names: np.ndarray
    log_mel: LogMel


def to_uint8(log_values, log_mel: LogMel) -> tf.Tensor:
    """Codes log-mel values (nats) as uint8, floor to 0 and ceiling to 255."""
    scale = 255.0 / (log_mel.ceiling - log_mel.floor)
    scaled = tf.round((log_values - log_mel.floor) * scale)
    return tf.cast(tf.clip_by_value(scaled, 0.0, 255.0), tf.uint8)


def from_uint8(spectrograms, log_mel: LogMel) -> tf.Tensor:
    """Decodes uint8 spectrograms to log-mel values, float32, nats."""
    scale = (log_mel.ceiling - log_mel.floor) / 255.0
    return tf.cast(spectrograms, tf.float32) * scale + log_mel.floor


def is_record_folder(folder: Path) -> bool:
    """Tells whether a folder holds records of any partition."""
    return any(_shards(folder, partition) for partition in PARTITIONS)


def _shards(folder: Path, partition: str) -> list[Path]:
    return sorted(Path(folder).glob(f"{partition}-*.tfrecord"))


def describe(folder: Path) -> LogMel:
    """Returns the front end of a record folder."""
    path = Path(folder) / DESCRIPTION
    if not path.exists():
        return PUBLISHED
    try:
        return LogMel(**json.loads(path.read_text(encoding="utf-8"))["log_mel"])
    except (ValueError, KeyError, TypeError, OSError, OverflowError) as error:
        raise KwsError(
            f"{path} is damaged ({error}); extract the records anew with "
            "scripts/extract_features.py"
        ) from error


def read(folder: Path, partition: str) -> Records:
    """Reads and decodes one partition: ``training``, ``validation`` or ``background``.

    Raises:
        KwsError: If the partition is missing, empty, damaged or of mixed front ends.
    """
    log_mel = describe(folder)
    paths = _shards(folder, partition)
    if not paths:
        raise KwsError(
            f"{folder} has no {partition}-*.tfrecord files; give a folder made by "
            "scripts/extract_features.py or one in the Speech Commands layout"
        )
    _check_complete(folder, partition, paths)
    schema = {k: tf.io.FixedLenFeature([], tf.string) for k in ("spectrogram", "word", "clip")}
    schema["front_end"] = tf.io.FixedLenFeature([], tf.string, default_value="")

    def decode(example):
        values = tf.io.parse_single_example(example, schema)
        image = tf.io.decode_image(values["spectrogram"], channels=1, expand_animations=False)
        image = tf.ensure_shape(image, [None, log_mel.bands, 1])[..., 0]
        return image, values["word"], values["clip"], values["front_end"]

    dataset = tf.data.TFRecordDataset([str(path) for path in paths]).map(
        decode, num_parallel_calls=tf.data.AUTOTUNE
    )
    try:
        batches = list(dataset.batch(1024).prefetch(2).as_numpy_iterator())
    except tf.errors.OpError as error:
        raise KwsError(
            f"the {partition} records in {folder} are damaged "
            f"({error.message.splitlines()[0][:120]}); fetch or extract them anew"
        ) from error
    if not batches:
        raise KwsError(f"the {partition} records in {folder} are empty; extract them anew")
    columns = [np.concatenate(column) for column in zip(*batches, strict=True)]
    spectrograms, words, names, marks = columns
    if set(marks) - {b"", log_mel.fingerprint().encode()}:
        raise KwsError(
            f"{folder} mixes {partition} records of different front ends; "
            "extract each front end into a folder of its own"
        )
    words, names = ([v.decode(errors="replace") for v in column] for column in (words, names))
    return Records(spectrograms, np.array(words), np.array(names), log_mel)


def _check_complete(folder: Path, partition: str, paths: list[Path]) -> None:
    """Raises unless the shards are those of one extraction, all of them."""
    totals = [int(m[1]) for p in paths if (m := re.search(r"-of-(\d+)\.tfrecord$", p.name))]
    if totals and (len(set(totals)) > 1 or totals[0] != len(paths)):
        raise KwsError(
            f"{folder} has {len(paths)} {partition} files whose names promise "
            f"{' or '.join(map(str, sorted(set(totals))))}; fetch or extract them anew"
        )


def write(
    folder: Path,
    partition: str,
    log_mel: LogMel,
    batches: Iterable[tuple[np.ndarray, Iterable[str], Iterable[str]]],
    shards: int = 1,
) -> None:
    """Writes one partition; records go to its files, ``shards`` of them, in turn.

    Batches are spectrograms, uint8 [examples, frames, bands], with their words and file names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / DESCRIPTION, {"log_mel": dataclasses.asdict(log_mel)})
    names = [f"{partition}-{i:05d}-of-{shards:05d}.tfrecord" for i in range(shards)]
    with ExitStack() as stack:
        files = [stack.enter_context(tf.io.TFRecordWriter(str(folder / name))) for name in names]
        examples = chain.from_iterable(zip(*batch, strict=True) for batch in batches)
        for example, file in zip(examples, cycle(files)):
            file.write(_serialised(*example, log_mel.fingerprint()))


def _serialised(spectrogram: np.ndarray, word: str, name: str, fingerprint: str) -> bytes:
    values = {
        # PNG: lossless, so that records and audio give the same features to a rounding.
        "spectrogram": tf.io.encode_png(spectrogram[..., None]).numpy(),
        "word": word.encode(),
        "clip": name.encode(),
        "front_end": fingerprint.encode(),
    }
    feature = {
        key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        for key, value in values.items()
    }
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()
