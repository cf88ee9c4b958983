"""What the teachers say of the training batches: computed once, kept in their run folders."""

import hashlib
import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from kws_tf.data.pipeline import Batches
from kws_tf.errors import KwsError
from kws_tf.progress import progress
from kws_tf.run_folder import RunFolder
from kws_tf.settings import TrainSettings


def posteriors(
    teachers: list[RunFolder],
    batches_from: Callable[[int], Batches],
    epochs: int,
    key: dict,
    unsmoothed: bool = False,
) -> np.ndarray:
    """Returns the teachers' mean posteriors of the training batches.

    A student learns most from a teacher that sees the very clips it sees, augmented (Beyer et
    al., Knowledge distillation: A good teacher is patient and consistent, arXiv 2106.05237). The
    batches follow from a seed, so what the teachers say of them is computed once and serves all
    students with the same batches.

    Args:
        teachers: Run folders with float weights.
        batches_from: Epoch to the training batches that begin with it.
        epochs: Number of epochs wanted.
        key: All that the batches depend on; JSON-ready.
        unsmoothed: Whether to take off the label smoothing that each teacher was trained with: it
            hides what a teacher knows of the classes that are not the answer (Müller et al., When
            does label smoothing help?, arXiv 1906.02629, section 4). What a teacher has of it from
            its own teachers stays.

    Returns:
        float16 [epochs * batches, batch, classes].

    Raises:
        KwsError: If a teacher has no float weights, or a file of posteriors is damaged.
    """
    total = 0.0
    for teacher in teachers:
        files = _files(teacher, batches_from, epochs, key)
        said = np.concatenate([_load(path) for path in files])
        total += unsmoothed(said, smoothing_of(teacher.train_settings())) if unsmoothed else said
    return (total / len(teachers)).astype(np.float16)


def smoothing_of(settings: TrainSettings) -> float:
    """Returns the label smoothing of a run's targets, of which its labels are only a part."""
    return 0.0 if settings.teacher else settings.label_smoothing


def unsmoothed(posteriors: np.ndarray, smoothing: float) -> np.ndarray:
    """Returns posteriors without the share that label smoothing gives to every class alike.

    Args:
        posteriors: float32 [..., classes].
        smoothing: The label smoothing of their training, below 1.
    """
    rest = np.maximum(posteriors - smoothing / posteriors.shape[-1], 0.0)
    return rest / rest.sum(-1, keepdims=True)


def _files(teacher: RunFolder, batches_from, epochs: int, key: dict) -> list[Path]:
    """Returns a teacher's files, one an epoch, having made those that are missing."""
    model = teacher.load_model("float")
    digest = hashlib.sha256(teacher.weights_file("float").read_bytes())
    digest.update(json.dumps(key, sort_keys=True).encode())
    folder = teacher.path / "posteriors"
    files = [folder / f"{digest.hexdigest()[:16]}-{epoch}.npy" for epoch in range(epochs)]
    missing = [epoch for epoch, path in enumerate(files) if not path.exists()]
    ask = tf.function(lambda features: tf.nn.softmax(model(features, training=False)))
    # In any order, so that runs that begin together share the work.
    random.Random(os.getpid()).shuffle(missing)
    for epoch in progress(missing, len(missing), f"asking {teacher.path.name}, epochs"):
        if files[epoch].exists():
            continue
        batches = batches_from(epoch)
        said = [ask(features) for features, _ in batches.dataset.take(batches.steps)]
        _save(files[epoch], np.stack(said).astype(np.float16))
    return files


def _save(path: Path, values: np.ndarray) -> None:
    temporary = path.with_suffix(f".{os.getpid()}.npy")
    try:
        path.parent.mkdir(exist_ok=True)
        np.save(temporary, values)
        temporary.replace(path)
    except OSError as error:
        raise KwsError(
            f"cannot write {path} ({error.strerror}); make room, and repeat the command"
        ) from error


def _load(path: Path) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False).astype(np.float32)
    except (ValueError, OSError, EOFError) as error:
        raise KwsError(f"{path} is damaged ({error}); delete it, it is made again") from error
