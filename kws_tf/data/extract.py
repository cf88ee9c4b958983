"""From audio in the Speech Commands layout to a folder of log-mel records."""

import errno
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from kws_tf.audio import reader, speech_commands
from kws_tf.data import records, sources
from kws_tf.errors import KwsError
from kws_tf.frontend.config import FrontEnd, LogMel
from kws_tf.frontend.features import log_mel
from kws_tf.progress import progress

_BATCH = 64


def extract(
    data_dir: Path,
    target: Path,
    front_end: FrontEnd,
    shards: int = 8,
    words: Sequence[str] | None = None,
    mix_down: bool = False,
) -> dict[str, Counter]:
    """Writes the training, validation and noise records of a data folder.

    The target appears when all of it is written. Clips pass through memory a batch at a time.

    Args:
        data_dir: Audio in the Speech Commands layout.
        target: The record folder to make; absent or empty.
        front_end: Its log-mel constants, at the records' hop, make the spectrograms.
        shards: Number of files of training records.
        words: The words to extract, keywords and others; ``None`` is every word there.
        mix_down: Mix stereo down instead of refusing it.

    Returns:
        Clips of each word by partition.

    Raises:
        KwsError: If the data are not usable, or the target is taken or cannot be written.
        OSError: The disk is full.
    """
    if shards < 1:
        raise KwsError(f"--shards {shards} is out of range; choose at least 1")
    target = Path(target)
    part = target.with_name(f"{target.name}.part")
    try:
        if target.exists() and not (target.is_dir() and not os.listdir(target)):
            raise KwsError(f"{target} exists and is not an empty folder; give a new one")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        counts = _extract(Path(data_dir), part, front_end, shards, words, mix_down)
        if target.exists():
            target.rmdir()
        os.replace(part, target)
    except (FileExistsError, NotADirectoryError, PermissionError) as error:
        raise KwsError(
            f"cannot write {error.filename or target}: {error.strerror}; give another folder"
        ) from error
    except tf.errors.ResourceExhaustedError as error:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target)) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return counts


def _extract(data_dir, part, front_end, shards, words, mix_down) -> dict[str, Counter]:
    config, length = front_end.log_mel.with_hop(records.HOP_MS), front_end.samples
    clips = speech_commands.scan(data_dir, words)
    # Before the clips, so that a missing noise folder is noticed at once.
    noise = sources.noise_slices(data_dir, front_end, mix_down)
    counts = {}
    for partition in (speech_commands.TRAINING, speech_commands.VALIDATION):
        chosen = [clip for clip in clips if clip.partition == partition]
        paths = [clip.path for clip in chosen]
        if not chosen:
            raise KwsError(
                f"{data_dir} has no clips of the {partition} partition; add clips of more speakers"
            )
        samples = reader.clip_dataset(paths, config.sample_rate, length, mix_down)
        names = [(clip.word, clip.path.name) for clip in chosen]
        spectrograms = _pictures(samples, config, paths)
        with records.Writer(part, partition, config, min(shards, len(chosen))) as writer:
            _write(writer, progress(spectrograms, len(names), f"extracting {partition}"), names)
        counts[partition] = Counter(clip.word for clip in chosen)
        shards = 1
    samples = tf.data.Dataset.from_tensor_slices(noise).map(
        lambda values: tf.cast(values, tf.float32) / 32768.0
    )
    names = [(speech_commands.NOISE_FOLDER, f"noise_{i}.wav") for i in range(len(noise))]
    with records.Writer(part, "background", config) as writer:
        _write(writer, _pictures(samples, config), names)
    counts["background"] = Counter({speech_commands.NOISE_FOLDER: len(noise)})
    return counts


def _pictures(
    samples: tf.data.Dataset, config: LogMel, paths: Sequence[Path] = ()
) -> Iterator[np.ndarray]:
    """Yields uint8 [frames, bands] for each float32 [samples]; errors name one of ``paths``."""
    spectrograms = samples.batch(_BATCH).map(
        lambda batch: records.to_uint8(log_mel(batch, config), config),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    with reader.named_errors(paths):
        for batch in spectrograms.as_numpy_iterator():
            yield from batch


def _write(
    writer: records.Writer, spectrograms: Iterable, names: Iterable[tuple[str, str]]
) -> None:
    """Writes spectrograms under their words and clip names."""
    for picture, (word, name) in zip(spectrograms, names, strict=True):
        writer.write(picture[None], [word], [name])
