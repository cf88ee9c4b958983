"""Labelled examples for an evaluation: a test set of audio, or a partition of training data."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from kws_tf.audio import speech_commands
from kws_tf.data import pipeline, sources
from kws_tf.errors import KwsError
from kws_tf.frontend.config import FrontEnd
from kws_tf.frontend.features import features
from kws_tf.labels import class_names
from kws_tf.run_folder import RunFolder
from kws_tf.settings import DataSettings

_BATCH = 128


@dataclass(frozen=True)
class LabelledFeatures:
    """Examples as a model takes them, with what they are."""

    features: np.ndarray  # float32 [examples, frames, features], normalised
    labels: np.ndarray  # int64 [examples], index into the class names
    names: Sequence[str]  # of each example
    source: str  # the folder they come from
    split: str  # ``test``, ``validation`` or ``training``
    samples: np.ndarray | None = None  # int16 [examples, samples], of a test set


def load(
    labels: Sequence[str],
    front_end: FrontEnd,
    settings: DataSettings,
    test_dir: Path | None = None,
    data_dir: Path | None = None,
    partition: str = "validation",
) -> LabelledFeatures:
    """Loads a test set or, without one, a partition of training data.

    Args:
        labels: The model's classes in order.
        front_end: With normalisation constants.
        settings: Of the task: for a test set whether stereo is mixed down, for a partition the
            same words as well, and the shares of unknown and silent examples.
        test_dir: Audio in the layout of Speech Commands' test set, one folder per class.
        data_dir: Log-mel records, or audio in the Speech Commands layout.
        partition: Of ``data_dir``: ``validation``, the fixed set that training validates on, or
            the same of ``training``.
    """
    if not front_end.mean:
        raise KwsError(
            f"the front end '{front_end.name}' of this model lacks its normalisation constants; "
            "use the files that training and conversion wrote"
        )
    if test_dir:
        return _from_test_folder(test_dir, labels, front_end, settings.mix_down)
    return _from_partition(data_dir, partition, labels, front_end, settings)


def of_run(
    run: RunFolder, test_dir: Path | None = None, data_dir: Path | None = None
) -> LabelledFeatures:
    """Loads what a run is judged on: a test set, or else the validation partition.

    That is one of ``data_dir``, or of the run's own data.
    """
    task = (run.labels(), run.front_end(), run.data_settings())
    return load(*task, test_dir, data_dir or run.data_dir())


def _from_test_folder(folder, labels, front_end, mix_down) -> LabelledFeatures:
    files = speech_commands.scan_test_set(folder, labels)
    paths = [path for path, _ in files]
    samples = sources.read_samples(paths, front_end, mix_down, "decoding the test set")
    batches = (
        tf.data.Dataset.from_tensor_slices(samples)
        .batch(_BATCH)
        .map(
            lambda batch: features(tf.cast(batch, tf.float32) / 32768.0, front_end),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
    )
    return LabelledFeatures(
        np.concatenate(list(batches.as_numpy_iterator())),
        np.array([label for _, label in files], np.int64),
        [str(path.relative_to(folder)) for path in paths],
        str(folder),
        "test",
        samples,
    )


def _from_partition(folder, partition, labels, front_end, settings) -> LabelledFeatures:
    if class_names(settings.words) != tuple(labels):
        raise KwsError(
            f"the model's classes ({', '.join(labels)}) are not silence, unknown and keywords in "
            "this order, which training data need; give --test-dir a test set instead"
        )
    examples = sources.load(folder, partition, front_end, settings)
    values, truth = pipeline.fixed_set(examples, front_end, settings)
    names = [f"{partition} {number}" for number in range(len(truth))]
    return LabelledFeatures(values, truth, names, str(folder), partition)
