"""Measure the share of an epoch that waits for its input, from records and from audio.

The time of training steps on the input pipeline's batches against that of steps on one of its
batches repeated: what the pipeline adds, the cores that it takes from the step included. The
batches are those of a preset of kws-tf train, without the teachers' soft targets. Without folders
the examples are random, of the same shapes; features and augmentation cost the same.

With soft targets some epochs are made, which then come again from memory; a row of the whole
pretraining counts the epochs of both kinds.
"""

from dataclasses import replace
from pathlib import Path

import _measure
import _training

from kws_tf import presets
from kws_tf.cli import command
from kws_tf.settings import Augmentation, DataSettings, TrainSettings

BAR = 0.2
PHASES = ("float", "quantized")
AGAIN = "made before"


def main() -> None:
    parser = command.parser(__doc__)
    _training.add_settings(parser, [118], "full", TrainSettings().batch_size)
    parser.add_argument("--data-dir", type=Path, help="log-mel records; random ones if absent")
    parser.add_argument(
        "--audio-dir", type=Path, help="audio, one folder a word; random samples if absent"
    )
    parser.add_argument(
        "--words", default=",".join(DataSettings().words), help="keywords, which the folders have"
    )
    parser.add_argument(
        "--examples", type=_measure.positive, default=4096, metavar="N", help="random examples"
    )
    parser.add_argument(
        "--phases", nargs="+", choices=PHASES, default=PHASES, help="what is trained"
    )
    parser.add_argument(
        "--steps", type=_measure.positive, default=40, metavar="N", help="steps timed at once"
    )
    parser.add_argument(
        "--settle",
        type=_measure.positive,
        default=16,
        metavar="N",
        help="steps before the clock starts; more than the batches that are kept ready (8)",
    )
    _measure.add_options(parser, repeats=5)
    options = parser.parse_args()
    _measure.check(options)
    every_size = _training.settings_of(options)

    words = tuple(options.words.split(","))
    data = presets.settings(DataSettings, options.preset, words=words)
    sources = {
        "records": load(options.data_dir, True, data, options.examples),
        "audio": load(options.audio_dir, False, data, options.examples),
    }
    rows = [
        row
        for settings in every_size
        for phase in options.phases
        for row in measure(settings, phase, data, sources, options)
    ]
    given = {"records": str(options.data_dir), "audio": str(options.audio_dir)}
    _measure.report(rows, "waiting", options, "the same steps on one batch repeated", data=given)


def load(folder: Path | None, is_records: bool, data: DataSettings, number: int):
    """Returns the training examples of a folder, or random ones."""
    import numpy as np

    from kws_tf.data import sources
    from kws_tf.data.sources import Examples
    from kws_tf.frontend.config import front_end

    shape = front_end(data.front_end)
    if folder:
        return sources.load(folder, "training", shape, data)
    rng = np.random.default_rng(0)
    keyword = rng.integers(-1, len(data.words), number)
    if is_records:
        stored = shape.log_mel.with_hop(10.0)
        size = [number, stored.frames(shape.samples), stored.bands]
        spectrograms = rng.integers(0, 256, size, np.uint8)
        return Examples(spectrograms, keyword, spectrograms[:100], data.words, stored)
    samples = rng.integers(-3000, 3000, [number, shape.samples], np.int16)
    return Examples(samples, keyword, samples[:100], data.words, None)


def measure(settings, phase, data, sources, options) -> list[_measure.Row]:
    """Times the steps of a phase with each source."""
    from kws_tf.frontend.config import front_end
    from kws_tf.labels import class_names
    from kws_tf.models.building import build_model

    shape, classes = front_end(data.front_end), len(class_names(data.words))
    shape = shape.normalised([0.0] * shape.features, [1.0] * shape.features)
    step = _training.compiled_step(build_model(settings, shape, classes, phase), settings, phase)

    def seconds(dataset) -> float:
        # A new iterator each time, as one left over would fill its buffer on the others' time.
        batches = iter(dataset)
        _training.timed_steps(step, batches, options.settle)
        return _training.timed_steps(step, batches, options.steps)

    datasets = batches_of(settings, data, shape, classes, sources, options)
    times = _measure.interleave(
        {name: lambda d=dataset: seconds(d) for name, dataset in datasets.items()}, options.repeats
    )
    fixed = times["one batch repeated"]
    made, epochs = settings.soft_target_epochs, settings.float_epochs
    if phase == "float" and settings.teacher:
        for name in sources:
            times[f"{name}, {made} of {epochs} epochs, the rest again"] = [
                (made * first + (epochs - made) * again) / epochs
                for first, again in zip(times[name], times[AGAIN], strict=True)
            ]
    return [
        row(f"{settings.hidden} units, {phase}, {name}", taken, fixed, options.steps)
        for name, taken in times.items()
    ]


def batches_of(settings, data, shape, classes: int, sources, options) -> dict:
    """Returns endless batches of features and targets, by where they come from."""
    import tensorflow as tf

    from kws_tf.data import pipeline
    from kws_tf.training.distillation import smoothed_targets

    augmentation = presets.settings(Augmentation, options.preset)
    batches = {
        name: pipeline.training_batches(
            examples, shape, data, augmentation, settings.batch_size, settings.seed
        )
        for name, examples in sources.items()
    }
    datasets = {name: one.dataset for name, one in batches.items()}
    # So few that the steps before the clock starts make them all.
    few = replace(batches["records"], steps=options.settle)
    datasets[AGAIN] = pipeline.repeated_epochs(few, 1)
    targets = smoothed_targets(classes, settings.label_smoothing)
    datasets = {
        name: dataset.map(targets, num_parallel_calls=tf.data.AUTOTUNE)
        for name, dataset in datasets.items()
    }
    batch = next(iter(datasets["records"]))
    return datasets | {"one batch repeated": tf.data.Dataset.from_tensors(batch).repeat()}


def row(name: str, taken, fixed, steps: int) -> _measure.Row:
    """Returns a line of the table; the one of the fixed batch is the baseline."""
    values = [1000 * seconds / steps for seconds in taken]
    if taken is fixed:
        return _measure.Row(name, values, "ms/step")
    share = 1 - _measure.median_ratio(fixed, taken)
    return _measure.Row(name, values, "ms/step", share, f"under {BAR}", share < BAR)


if __name__ == "__main__":
    command.run(main)
