"""What a model is trained towards: smoothed labels, or soft targets.

Soft targets are the teachers' posteriors of the training batches, computed once and stored.
"""

import hashlib
import json
import os
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import tensorflow as tf

from kws_tf.data.pipeline import Batches
from kws_tf.data.sources import ROOT, Examples
from kws_tf.errors import KwsError
from kws_tf.frontend.config import FrontEnd
from kws_tf.progress import progress
from kws_tf.run_folder import RunFolder, open_run
from kws_tf.settings import Augmentation, DataSettings, TrainSettings, as_json

# In the working directory: a teacher that comes with the package may lie where none may write.
_OF_OTHERS = ("negative_share", "noise_windows", "alarm_share", "cut_share")
"""Settings of what joins the batches, which teachers do not hear."""
FOLDER = ROOT / "soft-targets"


def smoothed_targets(classes: int, smoothing: float) -> Callable:
    """Returns a function (features, labels, soft targets if any) -> (features, targets).

    Soft targets, where there are any, are the targets (Hinton et al., Distilling the Knowledge in
    a Neural Network, arXiv 1503.02531, at temperature 1); elsewhere the smoothed labels are.
    """

    def targets(features, labels, soft_targets=None):
        if soft_targets is not None:
            return features, tf.cast(soft_targets, tf.float32)
        return features, tf.one_hot(labels, classes) * (1 - smoothing) + smoothing / classes

    return targets


def open_teachers(settings: TrainSettings, run: RunFolder) -> list[RunFolder]:
    """Opens the teachers of a run; a KwsError if they do not fit it, or each other.

    They may take other features than the student (the log-mel spectrogram where it takes MFCCs),
    of the same frames.
    """
    teachers = [open_run(path) for path in settings.teacher]
    for teacher in teachers:
        taken, wanted = teacher.front_end(), run.front_end()
        same_frames = (taken.log_mel, taken.example_ms) == (wanted.log_mel, wanted.example_ms)
        same_features = taken == teachers[0].front_end()
        if teacher.labels() != run.labels() or not same_frames or not same_features:
            raise KwsError(
                f"the teacher {teacher.path} has other labels or another front end; "
                "train it on the same data with the same --words, --window-ms and frames"
            )
    return teachers


def with_soft_targets(batches: Batches, targets: np.ndarray, first_epoch: int) -> Batches:
    """Adds soft targets to training batches, as their third part.

    Args:
        batches: From ``first_epoch`` on.
        targets: float16 [epochs * batches, batch, classes], from the first epoch on; then they
            come again, as the batches do.
        first_epoch: Number of the epoch to begin with.
    """
    targets = np.roll(targets, -first_epoch * batches.steps, 0)
    repeated = tf.data.Dataset.from_tensor_slices(targets).repeat()
    dataset = tf.data.Dataset.zip((batches.dataset, repeated))
    return replace(batches, dataset=dataset.map(lambda batch, soft: (*batch, soft)))


def batches_key(
    settings: TrainSettings,
    seed: int,
    data: DataSettings,
    augmentation: Augmentation,
    training: Examples,
    front_end: FrontEnd,
    batches: Batches,
) -> dict:
    """Returns all that the batches of a teacher, from the first epoch on, depend on, JSON-ready."""
    first, _ = next(batches.dataset.take(1).as_numpy_iterator())
    return {
        "seed": seed,
        "batch_size": settings.batch_size,
        "data": {k: v for k, v in _changed(data).items() if k not in _OF_OTHERS}
        | {"front_end": front_end.name},
        "augmentation": _changed(augmentation),
        "examples": int(np.sum(training.values[:, ::7], dtype=np.int64)),
        "noise": int(np.sum(training.noise[:, ::7], dtype=np.int64)),
        # Other code makes other batches of the same settings.
        "first_batch": [round(float(measure(first)), 3) for measure in (np.mean, np.std)],
    }


def _changed(settings) -> dict:
    """Returns settings that are not the default: new ones of later versions do not count."""
    usual = as_json(type(settings)())
    return {name: value for name, value in as_json(settings).items() if value != usual[name]}


def soft_targets(
    teachers: list[RunFolder],
    batches_from: Callable[[int], Batches],
    epochs: int,
    key: dict,
    unsmoothed: bool = False,
) -> np.ndarray:
    """Returns the teachers' mean posteriors of the training batches.

    A student learns most from a teacher that sees the very examples it sees, augmented (Beyer et
    al., Knowledge distillation: A good teacher is patient and consistent, arXiv 2106.05237). The
    batches follow from a seed, so a teacher's posteriors of them are computed once and serve all
    students with the same batches.

    Args:
        teachers: Run folders with float weights.
        batches_from: Epoch to the training batches that begin with it.
        epochs: Number of epochs wanted.
        key: From ``batches_key``.
        unsmoothed: Whether to take off the label smoothing that each teacher was trained with: it
            hides how likely a teacher holds the classes that are not the answer (Müller et al.,
            When does label smoothing help?, arXiv 1906.02629, section 4). What a teacher has of
            it from its own teachers stays.

    Returns:
        float16 [epochs * batches, batch, classes].
    """
    total = 0.0
    for teacher in teachers:
        files = _files(teacher, batches_from, epochs, key)
        posteriors = np.concatenate([load(path) for path in files]).astype(np.float32)
        if unsmoothed:
            posteriors = without_smoothing(posteriors, smoothing_of(teacher.train_settings()))
        total += posteriors
    return (total / len(teachers)).astype(np.float16)


def smoothing_of(settings: TrainSettings) -> float:
    """Returns the smoothing of a run's targets: that of labels; soft targets have none."""
    return 0.0 if settings.teacher else settings.label_smoothing


def without_smoothing(posteriors: np.ndarray, smoothing: float) -> np.ndarray:
    """Returns posteriors [..., classes] without label smoothing's share of every class."""
    rest = np.maximum(posteriors - smoothing / posteriors.shape[-1], 0.0)
    return rest / rest.sum(-1, keepdims=True)


def _files(teacher: RunFolder, batches_from, epochs: int, key: dict) -> list[Path]:
    """Returns a teacher's files, one per epoch, having made those that are missing."""
    model = teacher.load_model("float")
    digest = hashlib.sha256(teacher.weights_file("float").read_bytes())
    digest.update(json.dumps(key, sort_keys=True).encode())
    files = [FOLDER / f"{digest.hexdigest()[:16]}-{epoch}.npy" for epoch in range(epochs)]
    missing = [epoch for epoch, path in enumerate(files) if not path.exists()]
    posteriors = tf.function(lambda features: tf.nn.softmax(model(features, training=False)))
    # In any order, so that runs that begin together share the work.
    random.Random(os.getpid()).shuffle(missing)
    title = f"soft targets of {teacher.path.name}, epochs"
    for epoch in progress(missing, len(missing), title):
        if files[epoch].exists():
            continue
        batches = batches_from(epoch)
        chosen = batches.dataset.take(batches.steps)
        made = [posteriors(features) for features, _ in chosen]
        save(files[epoch], np.stack(made).astype(np.float16))
    return files


def save(path: Path, values: np.ndarray) -> None:
    """Writes an array at once."""
    temporary = path.with_suffix(f".{os.getpid()}.npy")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(temporary, values)
        temporary.replace(path)
    except OSError as error:
        raise KwsError(
            f"cannot write {path} ({error.strerror}); make room, and repeat the command"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def load(path: Path) -> np.ndarray:
    """Reads an array; a KwsError if the file is damaged."""
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise KwsError(f"{path} is damaged ({error}); delete it, it is made again") from error
