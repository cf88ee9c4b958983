"""Measure the share of an epoch that waits for its input, from records and from audio.

The time of training steps on the input pipeline's batches against that of steps on one of its
batches repeated: what the pipeline adds, the cores that it takes from the step included. The
batches are those of scripts/train.py's preset of the ten words, without what teachers say of them.
Without folders the clips are random, of the same shapes; features and augmentation cost the same.

The preset's teachers hear some epochs, which then come again from memory; a row of the whole
warm-up counts the epochs of both kinds.
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
PRESET = "full"
AGAIN = "heard again"


def main() -> None:
    parser = command.parser(__doc__)
    preset = presets.settings(TrainSettings, PRESET)
    given = f"--optimizer {preset.optimizer}"
    _training.add_settings(parser, [118], preset.batch_size, given)
    parser.add_argument("--data-dir", type=Path, help="log-mel records; random clips if absent")
    parser.add_argument(
        "--audio-dir", type=Path, help="audio, one folder a word; random clips if absent"
    )
    parser.add_argument(
        "--words", default=",".join(DataSettings().words), help="keywords, which the folders have"
    )
    parser.add_argument(
        "--clips", type=_measure.positive, default=4096, metavar="N", help="random clips"
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
    data = presets.settings(DataSettings, PRESET, words=words)
    sources = {
        "records": load(options.data_dir, True, data, options.clips),
        "audio": load(options.audio_dir, False, data, options.clips),
    }
    rows = [
        row
        for settings in every_size
        for phase in options.phases
        for row in measure(settings, phase, data, sources, options)
    ]
    given = {"records": str(options.data_dir), "audio": str(options.audio_dir)}
    _measure.report(rows, "waiting", options, "the same steps on one batch repeated", data=given)


def load(folder: Path | None, is_records: bool, data: DataSettings, clips: int):
    """Returns the training clips of a folder, or random ones."""
    import numpy as np

    from kws_tf.data import sources
    from kws_tf.data.examples import Examples
    from kws_tf.frontend.config import front_end

    shape = front_end(data.front_end)
    if folder:
        return sources.load(folder, "training", shape, data)
    rng = np.random.default_rng(0)
    keyword = rng.integers(-1, len(data.words), clips)
    if is_records:
        stored = shape.log_mel.with_hop(10.0)
        size = [clips, stored.frames(shape.samples), stored.bands]
        spectrograms = rng.integers(0, 256, size, np.uint8)
        return Examples(spectrograms, keyword, spectrograms[:100], data.words, stored)
    samples = rng.integers(-3000, 3000, [clips, shape.samples], np.int16)
    return Examples(samples, keyword, samples[:100], data.words, None)


def measure(settings, phase, data, sources, options) -> list[_measure.Row]:
    """Times the steps of a phase with each source."""
    import tensorflow as tf

    from kws_tf.data import pipeline
    from kws_tf.frontend.config import front_end
    from kws_tf.labels import class_names
    from kws_tf.models.building import build_model
    from kws_tf.training.loop import smoothed_targets

    shape, classes = front_end(data.front_end), len(class_names(data.words))
    shape = shape.normalised([0.0] * shape.features, [1.0] * shape.features)
    step = _training.compiled_step(build_model(settings, shape, classes, phase), settings, phase)
    targets = smoothed_targets(classes, settings.label_smoothing)
    augmentation = presets.settings(Augmentation, PRESET)
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
    datasets = {
        name: dataset.map(targets, num_parallel_calls=tf.data.AUTOTUNE)
        for name, dataset in datasets.items()
    }
    batch = next(iter(datasets["records"]))
    datasets["one batch repeated"] = tf.data.Dataset.from_tensors(batch).repeat()

    def seconds(dataset) -> float:
        # A new iterator each time, as one left over would fill its buffer on the others' time.
        batches = iter(dataset)
        _training.timed_steps(step, batches, options.settle)
        return _training.timed_steps(step, batches, options.steps)

    times = _measure.interleave(
        {name: lambda d=dataset: seconds(d) for name, dataset in datasets.items()}, options.repeats
    )
    fixed = times["one batch repeated"]
    preset = presets.settings(TrainSettings, PRESET)
    made, epochs = preset.soft_target_epochs, preset.float_epochs
    if phase == "float":
        for name in sources:
            times[f"{name}, {made} of {epochs} epochs, the rest again"] = [
                (made * first + (epochs - made) * again) / epochs
                for first, again in zip(times[name], times[AGAIN], strict=True)
            ]
    rows = []
    for name, taken in times.items():
        share = None if taken is fixed else 1 - _measure.median_ratio(fixed, taken)
        rows.append(
            _measure.Row(
                f"{settings.hidden} units, {phase}, {name}",
                [1000 * t / options.steps for t in taken],
                "ms/step",
                share,
                "" if share is None else f"under {BAR}",
                None if share is None else share < BAR,
            )
        )
    return rows


if __name__ == "__main__":
    command.run(main)
