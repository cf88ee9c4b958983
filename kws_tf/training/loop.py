"""Training: float warm-up, then quantized fine-tuning, resumable at every epoch."""

import shutil
import time
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras as keras

from kws_tf.data import pipeline, sources
from kws_tf.data.examples import Examples
from kws_tf.errors import KwsError
from kws_tf.files import write_json
from kws_tf.frontend.config import front_end as named_front_end
from kws_tf.models import spotter
from kws_tf.models.building import build_model, load_weights, save_weights
from kws_tf.quantization import fused
from kws_tf.run_folder import RunFolder, by_name, open_run
from kws_tf.settings import Augmentation, DataSettings, TrainSettings, as_json
from kws_tf.training import distillation
from kws_tf.training.muon import Muon
from kws_tf.training.seed import set_seed

_CALIBRATION_BATCHES = 8


class _EpochRecord(keras.callbacks.Callback):
    """Keeps best weights, a checkpoint and the history: what a run resumes from.

    ``history.json`` is written last, so that it never claims an epoch whose weights are missing;
    an epoch that was cut is trained again, on the same batches.
    """

    def __init__(self, run: RunFolder, phase: str, history: list[dict], examples_an_epoch: int):
        super().__init__()
        self._run, self._phase, self._history = run, phase, history
        self._examples = examples_an_epoch

    def set_model(self, model):
        super().set_model(model)
        self._checkpoint = tf.train.Checkpoint(model=model, optimizer=model.optimizer)

    def _path(self, epoch: int) -> Path:
        return self._run.path / "checkpoint" / f"{self._phase}-{epoch}"

    def restore(self, model, epoch: int) -> None:
        """Restores model and optimizer as they were after an epoch of this phase."""
        self.set_model(model)
        model.optimizer.build(model.trainable_variables)
        try:
            self._checkpoint.read(str(self._path(epoch))).assert_existing_objects_matched()
        except (tf.errors.OpError, AssertionError, ValueError) as error:
            raise KwsError(
                f"the checkpoint in {self._run.path} does not fit the run ({type(error).__name__});"
                " train into a new --run-dir"
            ) from error

    def on_epoch_begin(self, epoch, logs=None):
        self._start = time.monotonic()

    def on_epoch_end(self, epoch, logs):
        seconds = round(time.monotonic() - self._start, 2)
        row = {"phase": self._phase, "epoch": epoch, "seconds": seconds, "examples": self._examples}
        row |= {key: float(value) for key, value in (logs | _clips(self.model)).items()}
        try:
            self._keep(row)
        except (OSError, tf.errors.OpError) as error:
            raise KwsError(
                f"cannot write epoch {epoch + 1} to {self._run.path} ({str(error)[:200]}); is the "
                "disk full? the epochs before are kept: make room and repeat the command"
            ) from error

    def _keep(self, row: dict) -> None:
        earlier = [r["val_accuracy"] for r in self._history if r["phase"] == self._phase]
        if row["val_accuracy"] > max(earlier, default=-1.0):
            save_weights(self.model, self._run.weights_file(self._phase))
        self._checkpoint.write(str(self._path(row["epoch"])))
        self._history.append(row)
        write_json(self._run.history_file, self._history)
        for old in self._path(0).parent.glob(f"{self._phase}-{row['epoch'] - 1}.*"):
            old.unlink()


class _TensorBoard(keras.callbacks.TensorBoard):
    """TensorBoard with the clips, which would only clutter the console's line."""

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs | _clips(self.model))


def _clips(model) -> dict[str, float]:
    """Returns the clips of a quantized spotter by name."""
    return {f"clip/{name}": float(clip) for name, clip in spotter.clips(model).items()}


def smoothed_targets(classes: int, smoothing: float):
    """Returns a function (features, labels, soft targets or nothing) -> (features, targets).

    Where there are soft targets they are the targets (Hinton et al., Distilling the Knowledge in a
    Neural Network, arXiv 1503.02531, at temperature 1); else labels, smoothed.

    Args:
        classes: Number of classes.
        smoothing: Label smoothing.
    """

    def targets(features, labels, soft_targets=None):
        if soft_targets is not None:
            return features, tf.cast(soft_targets, tf.float32)
        return features, tf.one_hot(labels, classes) * (1 - smoothing) + smoothing / classes

    return targets


def learning_rates(greatest: float, epochs: int, steps: int):
    """Returns the schedule of a phase: up over its first epoch, down to 1 % at its end.

    Args:
        greatest: The rate after the first epoch.
        epochs: Epochs of the phase.
        steps: Batches in an epoch.
    """
    return keras.optimizers.schedules.CosineDecay(
        0.0,
        max(1, epochs - 1) * steps,  # Keras counts from the end of the rise
        alpha=0.01,
        warmup_target=greatest,
        warmup_steps=steps,
    )


def train(
    run_dir: Path,
    data_dir: Path,
    settings: TrainSettings,
    data: DataSettings,
    augmentation: Augmentation,
    verbose: int = 1,
) -> RunFolder:
    """Trains a spotter into a run folder, or resumes the run that is there.

    Args:
        run_dir: The run folder; created when absent.
        data_dir: Log-mel records or audio, see ``sources.load``.
        settings: Model and training.
        data: The task.
        augmentation: What is done to training clips.
        verbose: As in Keras.

    Returns:
        The run folder.

    Raises:
        KwsError: If the data are not usable, the folder holds a run with other settings, or
            another process trains into it.
    """
    run, source = RunFolder(Path(run_dir)), Path(data_dir).resolve()
    phases = {"float": settings.float_epochs, "quantized": settings.quantized_epochs}
    if settings.network == "teacher" and settings.quantized_epochs:
        raise KwsError("a teacher stays in float; give --quantized-epochs 0")
    if settings.network == "teacher" and settings.optimizer != "adam":
        raise KwsError("Muon is for the gates of an LSTM; give a teacher --optimizer adam")
    if not any(phases.values()):
        raise KwsError("there is nothing to train: give --float-epochs or --quantized-epochs")
    with run.exclusive():
        _train(run, source, phases, settings, data, augmentation, verbose)
    return run


def _train(
    run: RunFolder,
    source: Path,
    phases: dict[str, int],
    settings: TrainSettings,
    data: DataSettings,
    augmentation: Augmentation,
    verbose: int,
) -> None:
    history = []
    if run.history_file.exists():  # before the first epoch's end there is nothing to lose
        if not run.holds(settings, data, augmentation, source):
            raise KwsError(
                f"{run.path} holds a run with other settings; to resume it, repeat its command "
                "(environment.json has it; settings.json has what presets gave it), or give "
                "another --run-dir"
            )
        history = run.history()
    done = [row["phase"] for row in history]
    unfinished = [phase for phase, epochs in phases.items() if done.count(phase) < epochs]
    if unfinished:
        front_end = named_front_end(data.front_end, data.window_ms)
        if settings.start_from and not history:
            front_end = _checked_start(open_run(settings.start_from), settings, front_end)
        training = sources.load(source, "training", front_end, data)
        validation = sources.load(source, "validation", front_end, data)
        if not history:
            if not front_end.mean:
                front_end = pipeline.fit_normalisation(training, front_end)
            run.start(settings, data, augmentation, source, front_end)
            if settings.pretraining_run:
                history = _take_over_warm_up(run, open_run(settings.pretraining_run))
                unfinished.remove("float")
    for phase in unfinished:
        _fit_phase(run, phase, phases[phase], training, validation, history, verbose)
    shutil.rmtree(run.path / "checkpoint", ignore_errors=True)


def optimizer(settings: TrainSettings, phase: str, learning_rate, **kwargs):
    """Makes the optimizer of a phase; fine-tuning always has Adam.

    Args:
        settings: Which, and its options.
        phase: ``float`` or ``quantized``.
        learning_rate: Number or schedule.
        **kwargs: Further arguments of ``tf_keras.optimizers.Adam``.
    """
    kwargs |= {"learning_rate": learning_rate, "global_clipnorm": 1.0}
    if phase == "float" and settings.optimizer == "muon":
        return Muon(product_dtype=settings.product_dtype, **kwargs)
    return keras.optimizers.Adam(**kwargs)


def _fit_phase(
    run: RunFolder,
    phase: str,
    epochs: int,
    training: Examples,
    validation: Examples,
    history: list[dict],
    verbose: int,
) -> None:
    settings, data, augmentation = run.train_settings(), run.data_settings(), run.augmentation()
    front_end, classes = run.front_end(), len(run.labels())
    teachers = _teachers(settings, front_end, run)
    first_epoch = sum(row["phase"] == phase for row in history)
    # Each phase has its own weights, order and augmentation, whether or not it was resumed; with
    # teachers, both phases have the batches of which the teachers have been asked.
    seed = 2 * settings.seed + (phase == "quantized")
    set_seed(seed)
    if teachers:
        seed = 2 * settings.seed
    fused.start_compiler()
    model = build_model(settings, front_end, classes, phase)
    first_rate = settings.learning_rate
    begins_here = phase == "float" or not settings.float_epochs
    if settings.start_from and begins_here and not first_epoch:
        _start_from(open_run(settings.start_from), run, model, phase)
    if phase == "quantized":
        _begin_quantized(run, model, training, front_end, augmentation)
        if settings.float_epochs or settings.start_from:
            first_rate = settings.quantized_learning_rate
    cycle = min(epochs, settings.soft_target_epochs) if teachers else epochs

    def batches_from(epoch, front_end=front_end):
        return pipeline.training_batches(
            training, front_end, data, augmentation, settings.batch_size, seed, epoch, cycle
        )

    batches = batches_from(first_epoch)
    dataset = batches.dataset if cycle == epochs else pipeline.repeated_epochs(batches, cycle)
    if teachers:
        heard = teachers[0].front_end()  # of the same frames, perhaps in other features
        first, _ = next(batches_from(0, heard).dataset.take(1).as_numpy_iterator())
        key = {
            "seed": seed,
            "batch_size": settings.batch_size,
            "data": _chosen(data) | {"front_end": heard.name},
            "augmentation": _chosen(augmentation),
            "examples": int(np.sum(training.values[:, ::7], dtype=np.int64)),
            "noise": int(np.sum(training.noise[:, ::7], dtype=np.int64)),
            # Other code makes other batches of the same settings.
            "heard": [round(float(measure(first)), 3) for measure in (np.mean, np.std)],
        }
        said = distillation.posteriors(
            teachers, lambda e: batches_from(e, heard), cycle, key, settings.unsmoothed_teachers
        )
        said = tf.data.Dataset.from_tensor_slices(np.roll(said, -first_epoch * batches.steps, 0))
        dataset = tf.data.Dataset.zip((dataset, said.repeat())).map(
            lambda batch, posteriors: (*batch, posteriors)
        )
    model.compile(
        optimizer(
            settings,
            phase,
            learning_rates(first_rate, epochs, batches.steps),
        ),
        keras.losses.CategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    # Keras needs no AutoGraph, which would take some ten seconds to go through its code.
    plain = tf.autograph.experimental.do_not_convert
    model.train_step, model.test_step = plain(model.train_step), plain(model.test_step)
    record = _EpochRecord(run, phase, history, batches.examples)
    if first_epoch:
        record.restore(model, first_epoch - 1)
    targets = smoothed_targets(classes, settings.label_smoothing)
    features, labels = pipeline.fixed_set(validation, front_end, data)
    model.fit(
        dataset.map(targets, num_parallel_calls=tf.data.AUTOTUNE),
        steps_per_epoch=batches.steps,
        initial_epoch=first_epoch,
        epochs=epochs,
        validation_data=(features, np.eye(classes, dtype=np.float32)[labels]),
        validation_batch_size=512,
        callbacks=[record, _TensorBoard(run.path / "tensorboard" / phase)],
        verbose=verbose,
    )


_PRETRAINING_SETTINGS = (
    "network",
    "hidden",
    "float_epochs",
    "batch_size",
    "optimizer",
    "learning_rate",
    "label_smoothing",
    "start_from",
    "teacher",
    "unsmoothed_teachers",
    "soft_target_epochs",
    "product_dtype",
    "seed",
)
"""Settings that the warm-up depends on."""


def _chosen(settings) -> dict:
    """Returns settings that are not the default: new ones of later versions do not count."""
    usual = as_json(type(settings)())
    return {name: value for name, value in as_json(settings).items() if value != usual[name]}


def _take_over_warm_up(run: RunFolder, other: RunFolder) -> list[dict]:
    """Copies float weights and their history from a run that has the same warm-up.

    Raises:
        KwsError: If it has another one, or has not finished it.
    """
    mine, theirs = run.train_settings(), other.train_settings()
    mine, theirs = by_name(mine), by_name(theirs)  # a published run does not say where others lay
    names = _PRETRAINING_SETTINGS
    differ = [name for name in names if getattr(mine, name) != getattr(theirs, name)]
    for part in ("data_settings", "augmentation", "front_end"):
        if getattr(run, part)() != getattr(other, part)():
            differ.append(part.replace("_", " "))
    history = [row for row in other.history() if row["phase"] == "float"]
    if differ or len(history) < mine.float_epochs or not mine.float_epochs:
        run.settings_file.unlink()
        what = f"has another {', '.join(differ)}" if differ else "has not finished its warm-up"
        raise KwsError(
            f"the warm-up of {other.path} cannot be taken over: it {what}; repeat its settings, "
            "or train without --warm-up-run"
        )
    shutil.copyfile(other.weights_file("float"), run.weights_file("float"))
    write_json(run.history_file, history)
    return history


def _checked_start(other: RunFolder, settings: TrainSettings, front_end):
    """Returns the front end with the normalisation of a run to start from; its LSTM counts on it.

    Raises:
        KwsError: If the other run is no LSTM of the same size, or takes other features.
    """
    theirs, heard = other.train_settings(), other.front_end()
    if {theirs.network, settings.network} != {"lstm"} or theirs.hidden != settings.hidden:
        raise KwsError(
            f"{other.path} cannot be started from: it is a {theirs.network} of {theirs.hidden} "
            f"units, this run a {settings.network} of {settings.hidden}; give the same --hidden, "
            'or --start-from ""'
        )
    if (heard.log_mel, heard.coefficients) != (front_end.log_mel, front_end.coefficients):
        raise KwsError(
            f"{other.path} cannot be started from: it takes the features {heard.name}, this run "
            f'{front_end.name}; give the same --front-end, or --start-from ""'
        )
    return front_end.normalised(heard.mean, heard.std)


def _start_from(other: RunFolder, run: RunFolder, model, phase: str) -> None:
    """Gives a model another run's LSTM, and its classifier where the classes are the same.

    Fine-tuning without a warm-up goes on from the weights that the other's fine-tuning left.
    """
    theirs = phase if other.weights_file(phase).exists() else "float"
    same_classes = other.labels() == run.labels()
    spotter.copy_weights(other.load_model(theirs), model, classifier=same_classes)


def _begin_quantized(run, model, training, front_end, augmentation) -> None:
    """Takes over the float model's weights and sets the clips from training clips."""
    settings, data = run.train_settings(), run.data_settings()
    if settings.float_epochs:
        float_model = build_model(settings, front_end, len(run.labels()), "float")
        load_weights(float_model, run.weights_file("float"))
        spotter.copy_weights(float_model, model)
    batches = pipeline.training_batches(
        training, front_end, data, augmentation, settings.batch_size, seed=settings.seed
    )
    calibration = batches.dataset.take(min(_CALIBRATION_BATCHES, batches.steps))
    features = np.concatenate([x for x, _ in calibration.as_numpy_iterator()])
    spotter.set_initial_clips(model, features)


def _teachers(settings: TrainSettings, front_end, run: RunFolder) -> list[RunFolder]:
    """Opens the teachers.

    They may take other features than the student (the log-mel spectrogram where it takes MFCCs),
    of the same frames.

    Raises:
        KwsError: If one has other labels or frames, or takes other features than the first.
    """
    teachers = [open_run(path) for path in settings.teacher]
    for teacher in teachers:
        heard = teacher.front_end()
        if (
            teacher.labels() != run.labels()
            or (heard.log_mel, heard.example_ms) != (front_end.log_mel, front_end.example_ms)
            or heard != teachers[0].front_end()
        ):
            raise KwsError(
                f"the teacher {teacher.path} has other labels or another front end; "
                "train it on the same data with the same --words, --window-ms and frames"
            )
    return teachers
