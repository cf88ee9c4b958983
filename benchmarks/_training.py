"""What the benchmarks of training share: the settings and the compiled step."""

import argparse
import shlex
import time
from collections.abc import Callable, Iterator

import _measure

from kws_tf.cli import command
from kws_tf.settings import TrainSettings, add_options, from_options


def add_settings(
    parser: argparse.ArgumentParser, units: list[int], batch_size: int = 256, settings: str = ""
) -> None:
    """Adds the options that say what is trained."""
    parser.add_argument(
        "--units",
        type=_measure.positive,
        nargs="+",
        default=units,
        metavar="N",
        help="hidden units to measure",
    )
    parser.add_argument(
        "--batch-size", type=int, default=batch_size, metavar="N", help="clips in a batch"
    )
    parser.add_argument(
        "--settings",
        default=settings,
        metavar="OPTIONS",
        help="other options of scripts/train.py, in quotes and after an equals sign, "
        "such as --settings='--profile paper'",
    )


def settings_of(options: argparse.Namespace) -> list[TrainSettings]:
    """Returns the settings of training, one of each size."""
    parser = command.parser("")
    add_options(parser, TrainSettings)
    words = [*shlex.split(options.settings), "--batch-size", str(options.batch_size)]
    return [
        from_options(TrainSettings, parser.parse_args([*words, "--hidden", str(units)]))
        for units in options.units
    ]


def compiled_step(model, settings: TrainSettings, phase: str) -> Callable[[Iterator], object]:
    """Compiles the whole optimizer step, as ``kws_tf.training.fit`` does.

    Args:
        model: A spotter, not compiled.
        settings: Those of the training.
        phase: ``float``, or another's name, which has Adam.

    Returns:
        A function of an iterator of (features, target posteriors) that trains on one batch.
    """
    import tensorflow as tf
    import tf_keras as keras

    from kws_tf.quantization import fused
    from kws_tf.training.loop import optimizer

    fused.start_compiler()
    model.compile(
        optimizer(settings, phase, 1e-3),
        keras.losses.CategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.train_step = tf.autograph.experimental.do_not_convert(model.train_step)
    return model.make_train_function()


def timed_steps(step: Callable[[Iterator], object], batches: Iterator, steps: int) -> float:
    """Trains on some batches and returns the seconds it took."""
    start = time.perf_counter()
    for _ in range(steps):
        step(batches)
    return time.perf_counter() - start
