"""Measure the quantized training step against that of the plain tf_keras LSTM.

A step is the whole of it: forward, loss, gradient, Adam, on a fixed batch in memory (49 frames of
40 features, 12 classes). The models are what kws-tf train trains by default.
"""

import _measure
import _training

from kws_tf.cli import command

BARS = {118: 0.5, 344: 0.6}
CLASSES = 12


def main() -> None:
    parser = command.parser(__doc__)
    _training.add_settings(parser, [118, 344], "untaught")
    parser.add_argument(
        "--steps", type=_measure.positive, default=5, metavar="N", help="steps timed at once"
    )
    _measure.add_options(parser, repeats=9)
    options = parser.parse_args()
    _measure.check(options)
    every_size = _training.settings_of(options)

    rows = [row for settings in every_size for row in measure(settings, options)]
    baseline = "the plain LSTM of the same size"
    _measure.report(rows, "x plain", options, baseline, preset=options.preset)


def measure(settings, options) -> list[_measure.Row]:
    """Times the models of one size."""
    import numpy as np
    import tensorflow as tf
    import tf_keras as keras

    from kws_tf.frontend.config import front_end
    from kws_tf.models.building import build_model

    shape, units = front_end("logmel40"), settings.hidden
    inputs = keras.Input((shape.frames, shape.features))
    hidden = keras.layers.LSTM(units)(inputs)
    models = {
        "plain": keras.Model(inputs, keras.layers.Dense(CLASSES)(hidden)),
        "quantized": build_model(settings, shape, CLASSES, "quantized"),
        "float": build_model(settings, shape, CLASSES, "float"),
    }
    rng = np.random.default_rng(0)
    size = settings.batch_size
    features = rng.normal(size=(size, shape.frames, shape.features)).astype(np.float32)
    targets = np.eye(CLASSES, dtype=np.float32)[rng.integers(0, CLASSES, size)]
    batches = iter(tf.data.Dataset.from_tensors((features, targets)).repeat())
    steps = {name: _training.compiled_step(model, settings, name) for name, model in models.items()}
    seconds = _measure.interleave(
        {
            name: lambda step=step: _training.timed_steps(step, batches, options.steps)
            for name, step in steps.items()
        },
        options.repeats,
    )
    titles = {
        "plain": "plain LSTM",
        "quantized": f"quantized, {settings.profile}",
        "float": "float pretraining",
    }
    rows = []
    for name, times in seconds.items():
        ratio = None if name == "plain" else _measure.median_ratio(seconds["plain"], times)
        bar = BARS.get(units) if name == "quantized" else None
        rows.append(
            _measure.Row(
                f"{units} units, {titles[name]}",
                [size * options.steps / t for t in times],
                "examples/s",
                ratio,
                f"at least {bar}" if bar else "",
                ratio >= bar if bar else None,
            )
        )
    return rows


if __name__ == "__main__":
    command.run(main)
