"""Training: float pretraining, then quantized fine-tuning, resumable at every epoch."""

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import tensorflow as tf

from kws_tf.data import other_speech, pipeline, sources
from kws_tf.data.sources import Examples
from kws_tf.errors import KwsError
from kws_tf.frontend.config import front_end as named_front_end
from kws_tf.models.building import build_model
from kws_tf.run_folder import RunFolder, open_run
from kws_tf.settings import Augmentation, DataSettings, OtherRecordings, TrainSettings
from kws_tf.training import distillation, overheard, pretraining, starting, step
from kws_tf.training.callbacks import EpochRecord, Listening, TensorBoard, epoch_line
from kws_tf.training.loss import PriorCrossentropy
from kws_tf.training.optimizer import learning_rates, optimizer
from kws_tf.training.seed import set_seed
from kws_tf.training.validation import ValidationStreams

PHASES = ("float", "quantized")
_NONE = OtherRecordings()


def train(
    run_dir: Path,
    data_dir: Path,
    settings: TrainSettings,
    data: DataSettings,
    augmentation: Augmentation,
    verbose: int = 1,
    others: OtherRecordings = _NONE,
) -> RunFolder:
    """Trains a spotter into a run folder, or resumes the run that is there.

    Args:
        run_dir: The run folder; created when absent.
        data_dir: Log-mel records or audio, see ``sources.load``.
        settings: Model and training.
        data: The task.
        augmentation: What is done to training examples.
        verbose: 0 prints nothing, 1 is Keras' progress bar, for terminals, 2 a line per epoch.
        others: Recordings of any length that hold no keyword.

    Raises:
        KwsError: If the data are not usable, the folder holds a run with other settings, or
            another process trains into it.
    """
    _check(settings)
    run, source = RunFolder(Path(run_dir)), Path(data_dir).resolve()
    others = others.resolved()
    with run.exclusive():
        history = _history_to_resume(run, settings, data, augmentation, source, others)
        if _unfinished(settings, history):
            front_end = named_front_end(data.front_end, data.window_ms)
            if settings.start_from and not history:
                front_end = starting.front_end_of_start(settings, front_end)
            partitions = {
                partition: sources.load(source, partition, front_end, data, others)
                for partition in ("training", "validation")
            }
            if not history:
                if not front_end.mean:
                    front_end = pipeline.fit_normalisation(partitions["training"], front_end)
                other = open_run(settings.pretraining_run) if settings.pretraining_run else None
                if other:
                    pretraining.check(other, settings, data, augmentation, front_end, others)
                run.start(settings, data, augmentation, source, front_end, others)
                history = pretraining.take_over(other, run) if other else []
            phases = _unfinished(settings, history)  # none, if pretraining taken over is all
            teachers = distillation.open_teachers(settings, run) if phases else []
            partitions = {
                name: overheard.examples_without_keywords(examples, teachers)
                for name, examples in partitions.items()
            }
            for phase in phases:
                _fit_phase(run, phase, partitions, history, verbose)
        shutil.rmtree(run.path / "checkpoint", ignore_errors=True)
    return run


def _check(settings: TrainSettings) -> None:
    if settings.network == "teacher" and settings.quantized_epochs:
        raise KwsError("a teacher stays in float; give --quantized-epochs 0")
    if settings.network == "teacher" and settings.optimizer != "adam":
        raise KwsError("Muon is for the gates of an LSTM; train a teacher with Adam")
    if not any(_epochs(settings, phase) for phase in PHASES):
        raise KwsError("there is nothing to train: give --float-epochs or --quantized-epochs")


def _epochs(settings: TrainSettings, phase: str) -> int:
    return settings.float_epochs if phase == "float" else settings.quantized_epochs


def _unfinished(settings: TrainSettings, history: list[dict]) -> list[str]:
    done = [row["phase"] for row in history]
    return [phase for phase in PHASES if done.count(phase) < _epochs(settings, phase)]


def _history_to_resume(run: RunFolder, *settings) -> list[dict]:
    """Returns the history of the run in this folder, nothing if it has not ended an epoch."""
    if not run.history_file.exists():  # before the first epoch's end there is nothing to lose
        return []
    if not run.holds(*settings):
        raise KwsError(
            f"{run.path} holds a run with other settings; to resume it, repeat its command "
            "(environment.json has it; settings.json has what presets gave it), or give "
            "another --run-dir"
        )
    return run.history()


def _fit_phase(
    run: RunFolder, phase: str, partitions: dict[str, Examples], history: list[dict], verbose: int
) -> None:
    settings, classes = run.train_settings(), len(run.labels())
    epochs, first_epoch = _epochs(settings, phase), sum(row["phase"] == phase for row in history)
    teachers = distillation.open_teachers(settings, run)
    # Each phase has its own weights, order and augmentation, whether or not it was resumed.
    set_seed(_seed(settings, phase))
    model = build_model(settings, run.front_end(), classes, phase)
    if not first_epoch:
        _set_first_weights(run, phase, model, partitions["training"])
    batches = _batches(run, phase, partitions["training"], teachers, first_epoch)
    rates = learning_rates(_peak_rate(settings, phase), epochs, batches.steps)
    surplus = other_speech.surplus(
        partitions["training"], run.data_settings(), settings.batch_size, classes
    )
    loss = PriorCrossentropy(surplus)
    step.compile_model(model, optimizer(settings, phase, rates), loss)
    targets = distillation.smoothed_targets(classes, settings.label_smoothing)
    dataset = batches.dataset.map(targets, num_parallel_calls=tf.data.AUTOTUNE)
    others = _others(run, phase, partitions["training"], first_epoch * batches.steps)
    if others:
        dataset = tf.data.Dataset.zip((dataset, others)).map(_joined)
    record = EpochRecord(run, phase, history, batches.examples)
    if first_epoch:
        record.restore(model, first_epoch - 1)
    features, labels = pipeline.fixed_set(
        partitions["validation"], run.front_end(), run.data_settings()
    )
    listening = []
    if "negatives" in partitions["validation"].others:
        streams = ValidationStreams(partitions["validation"], run.front_end())
        listening = [Listening(streams)]
    # The record last but one: it takes what others add to an epoch's figures.
    callbacks = [*listening, record, TensorBoard(run.path / "tensorboard" / phase)]
    model.fit(
        dataset,
        steps_per_epoch=batches.steps,
        initial_epoch=first_epoch,
        epochs=epochs,
        validation_data=(features, np.eye(classes, dtype=np.float32)[labels]),
        validation_batch_size=512,
        callbacks=callbacks + [epoch_line(phase, epochs)] * (verbose == 2),
        verbose=verbose if verbose == 1 else 0,
    )


def _seed(settings: TrainSettings, phase: str) -> int:
    return 2 * settings.seed + (phase == "quantized")


def _peak_rate(settings: TrainSettings, phase: str) -> float:
    """Returns the peak learning rate: fine-tuning's own, if there is something to fine-tune."""
    if phase == "quantized" and (settings.float_epochs or settings.start_from):
        return settings.quantized_learning_rate
    return settings.learning_rate


def _set_first_weights(run: RunFolder, phase: str, model, training: Examples) -> None:
    settings = run.train_settings()
    if settings.start_from and (phase == "float" or not settings.float_epochs):
        starting.start_from(open_run(settings.start_from), run, model, phase)
    if phase == "quantized":
        batches = pipeline.training_batches(
            training,
            run.front_end(),
            run.data_settings(),
            run.augmentation(),
            settings.batch_size,
            settings.seed,
        )
        starting.start_quantized(run, model, batches)


def _others(run: RunFolder, phase: str, training: Examples, first_step: int):
    """Returns what joins the batches, with the targets that it has beside theirs."""
    settings, classes = run.train_settings(), len(run.labels())
    tasks = run.data_settings(), run.augmentation(), settings.batch_size, _seed(settings, phase)
    others = other_speech.batches(training, run.front_end(), *tasks, first_step)
    # Of other speech teachers know nothing, and smoothing it would blur them alone.
    smoothing = distillation.smoothing_of(settings)
    targets = distillation.smoothed_targets(classes, smoothing)
    return others.map(targets, num_parallel_calls=tf.data.AUTOTUNE) if others else None


def _joined(batch, others):
    return tuple(tf.concat(parts, 0) for parts in zip(batch, others, strict=True))


def _batches(
    run: RunFolder, phase: str, training: Examples, teachers: list[RunFolder], first_epoch: int
) -> pipeline.Batches:
    """Returns the batches of a phase from an epoch on, with soft targets if there are teachers."""
    settings, data, augmentation = run.train_settings(), run.data_settings(), run.augmentation()
    epochs = _epochs(settings, phase)
    # With teachers both phases have the batches that there are soft targets of.
    seed = _seed(settings, "float" if teachers else phase)
    cycle = min(epochs, settings.soft_target_epochs) if teachers else epochs

    def batches_from(epoch, front_end, augmentation):
        return pipeline.training_batches(
            training, front_end, data, augmentation, settings.batch_size, seed, epoch, cycle
        )

    batches = batches_from(first_epoch, run.front_end(), augmentation)
    if not teachers:
        return batches
    if cycle < epochs:
        batches = replace(batches, dataset=pipeline.repeated_epochs(batches, cycle))
    front_end = teachers[0].front_end()  # of the same frames, perhaps in other features
    # They hear words as they have learned to: not so near the ends, nor in running speech.
    shift_ms = min(augmentation.shift_ms, *(t.augmentation().shift_ms for t in teachers))
    alone = replace(augmentation, context_share=0.0, shift_ms=shift_ms)
    of_teachers = partial(batches_from, front_end=front_end, augmentation=alone)
    key = distillation.batches_key(settings, seed, data, alone, training, front_end, of_teachers(0))
    soft_targets = distillation.soft_targets(
        teachers, of_teachers, cycle, key, settings.unsmoothed_teachers
    )
    return distillation.with_soft_targets(batches, soft_targets, first_epoch)
