"""Labelled features for an evaluation, from a test folder or from log-mel records."""

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
from kws_tf.settings import DataSettings
from kws_tf.tflite.manifest import Manifest

_BATCH = 128


@dataclass(frozen=True)
class LabelledFeatures:
    """Clips as a model takes them, with what they are.

    Attributes:
        features: float32 [clips, frames, features], normalised.
        labels: int64 [clips], index into the class names.
        names: Name of each clip.
        source: The folder they come from.
        split: ``test``, ``validation`` or ``training``.
        samples: int16 [clips, samples] that the features come from; ``None`` for records.
    """

    features: np.ndarray
    labels: np.ndarray
    names: Sequence[str]
    source: str
    split: str
    samples: np.ndarray | None = None


def from_test_folder(
    folder: Path, labels: Sequence[str], front_end: FrontEnd, mix_down: bool = False
) -> LabelledFeatures:
    """Decodes a test set in the canonical layout, one folder a class.

    Args:
        folder: Such as ``speech_commands_test_set_v0.02``.
        labels: The model's classes in order.
        front_end: With normalisation constants.
        mix_down: Mix stereo down instead of refusing it.

    Raises:
        KwsError: If the folder or a class is missing, or a file is damaged or stereo.
    """
    _check_normalised(front_end)
    clips = speech_commands.scan_test_set(folder, labels)
    paths = [path for path, _ in clips]
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
        np.array([label for _, label in clips], np.int64),
        [str(path.relative_to(folder)) for path in paths],
        str(folder),
        "test",
        samples,
    )


def from_records(
    folder: Path, partition: str, labels: Sequence[str], front_end: FrontEnd, settings: DataSettings
) -> LabelledFeatures:
    """Makes the fixed set that training validates on, or the same of another partition.

    Args:
        folder: Log-mel records, or audio in the Speech Commands layout.
        partition: ``validation`` or ``training``.
        labels: The model's classes in order.
        front_end: With normalisation constants.
        settings: The same words, and the shares of unknown and silent clips.

    Raises:
        KwsError: If the folder is missing, damaged, of another front end or without a word.
    """
    _check_normalised(front_end)
    if class_names(settings.words) != tuple(labels):
        raise KwsError(
            f"the model's classes ({', '.join(labels)}) are not silence, unknown and keywords in "
            "this order, which records need; give --test-dir a test set instead"
        )
    examples = sources.load(folder, partition, front_end, settings)
    values, truth = pipeline.fixed_set(examples, front_end, settings)
    names = [f"{partition} {number}" for number in range(len(truth))]
    return LabelledFeatures(values, truth, names, str(folder), partition)


def _check_normalised(front_end: FrontEnd) -> None:
    if not front_end.mean:
        raise KwsError(
            f"the front end '{front_end.name}' of this model lacks its normalisation constants; "
            "use the files that training and conversion wrote"
        )


def quantize(values: np.ndarray, manifest: Manifest) -> np.ndarray:
    """Turns features into the model's int8 input, bit for bit as ``PactQuantizer`` does.

    ``round(x / scale)`` in float32, halves to even, limited to the input's width.

    Args:
        values: float32 [clips, frames, features].
        manifest: Gives scale and width of the input.

    Returns:
        int8, of the same shape.
    """
    largest = 2 ** (manifest.input_bits - 1)
    steps = np.rint(values / np.float32(manifest.input_scale))
    return np.clip(steps, -largest, largest - 1).astype(np.int8)
