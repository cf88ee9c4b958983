"""From audio in the Speech Commands layout to a folder of log-mel records."""

import errno
import os
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import tensorflow as tf

from kws_tf.audio import speech_commands
from kws_tf.data import records, sources
from kws_tf.errors import KwsError
from kws_tf.frontend.config import FrontEnd, LogMel
from kws_tf.frontend.features import log_mel
from kws_tf.progress import progress

_BATCH = 512


def extract(
    data_dir: Path,
    target: Path,
    front_end: FrontEnd,
    shards: int = 8,
    words: Sequence[str] | None = None,
    mix_down: bool = False,
) -> dict[str, Counter]:
    """Writes the training, validation and noise records of a data folder; returns their words.

    The target, absent or empty before, appears when all of it is written. Recordings pass through
    memory a batch at a time. The front end's log-mel constants, at the records' hop, make the
    spectrograms. Only ``words``, keywords and others, are extracted, or every word there.
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
    everything = speech_commands.scan(data_dir, words)
    # Before the words, so that a missing noise folder is noticed at once.
    noise = sources.noise_slices(data_dir, front_end, mix_down)
    write = partial(_write, part, front_end.log_mel.with_hop(records.HOP_MS))
    counts = {}
    for partition in (speech_commands.TRAINING, speech_commands.VALIDATION):
        chosen = [one for one in everything if one.partition == partition]
        if not chosen:
            raise KwsError(
                f"{data_dir} has no recordings of the {partition} partition; add some of more "
                "speakers"
            )
        names = [(one.word, one.path.name) for one in chosen]
        read = partial(_read, [one.path for one in chosen], front_end, mix_down)
        write(partition, min(shards, len(chosen)), names, read)
        counts[partition] = Counter(one.word for one in chosen)
        shards = 1
    names = [(speech_commands.NOISE_FOLDER, f"noise_{i}.wav") for i in range(len(noise))]
    write("background", 1, names, noise.__getitem__)
    counts["background"] = Counter({speech_commands.NOISE_FOLDER: len(noise)})
    return counts


def _read(paths: Sequence[Path], front_end: FrontEnd, mix_down: bool, batch: slice) -> np.ndarray:
    samples = sources.read_samples(paths[batch], front_end, mix_down)
    sources.check_sound(samples, paths[batch])
    return samples


def _write(
    part: Path,
    config: LogMel,
    partition: str,
    shards: int,
    names: Sequence[tuple[str, str]],
    read: Callable[[slice], np.ndarray],
) -> None:
    """Writes the records of a partition; ``read`` returns int16 [examples, samples] of some."""

    def spectrograms():
        batches = [slice(start, start + _BATCH) for start in range(0, len(names), _BATCH)]
        for batch in progress(batches, len(batches), f"extracting {partition}"):
            samples = tf.cast(read(batch), tf.float32) / 32768.0
            values = records.to_uint8(log_mel(samples, config), config).numpy()
            yield values, *zip(*names[batch], strict=True)

    records.write(part, partition, config, spectrograms(), shards)
