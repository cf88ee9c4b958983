"""What the benchmarks of training share: the settings and the compiled step."""

import argparse
import time
from collections.abc import Callable, Iterator

import _measure

from kws_tf import presets
from kws_tf.settings import TrainSettings

# Those that train an LSTM.
PRESETS = tuple(name for name in presets.PRESETS if name != "teacher")


def add_settings(
    parser: argparse.ArgumentParser, units: list[int], preset: str, batch_size: int = 256
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
        "--batch-size",
        type=_measure.positive,
        default=batch_size,
        metavar="N",
        help="examples in a batch",
    )
    parser.add_argument(
        "--preset", choices=PRESETS, default=preset, help="settings of kws-tf train to measure"
    )


def settings_of(options: argparse.Namespace) -> list[TrainSettings]:
    """Returns the settings of training, one of each size."""
    return [
        presets.settings(TrainSettings, options.preset, hidden=units, batch_size=options.batch_size)
        for units in options.units
    ]


def compiled_step(model, settings: TrainSettings, phase: str) -> Callable[[Iterator], object]:
    """Compiles the whole training step, as ``kws_tf.training.loop`` does.

    Args:
        model: A spotter, not compiled.
        settings: Those of the training.
        phase: ``float``, or another's name, which has Adam.

    Returns:
        A function of an iterator of (features, targets) that trains on one batch.
    """
    from kws_tf.training import step
    from kws_tf.training.optimizer import optimizer

    step.compile_model(model, optimizer(settings, phase, 1e-3))
    return model.make_train_function()


def timed_steps(step: Callable[[Iterator], object], batches: Iterator, steps: int) -> float:
    """Trains on some batches and returns the seconds it took."""
    start = time.perf_counter()
    for _ in range(steps):
        step(batches)
    return time.perf_counter() - start
