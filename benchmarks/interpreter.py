"""Measure the microseconds of an example in TFLite, TFLite Micro and the chip's C, one thread.

The baseline is a plain tf_keras LSTM of the same size, converted to float without further ado.
TFLite Micro runs its reference kernels, and the C what this machine's compiler makes of it: no
figures for a microcontroller.
"""

import time
from collections.abc import Callable
from pathlib import Path

import _measure

from kws_tf.cli import command


def main() -> None:
    models = sorted((_measure.ROOT / "tflite_models").glob("*.tflite"))
    parser = command.parser(__doc__)
    parser.add_argument(
        "models",
        type=Path,
        nargs="*",
        metavar="MODEL",
        help="int8 .tflite files beside their manifests, instead of all in tflite_models/",
    )
    parser.add_argument(
        "--examples", type=_measure.positive, default=20, metavar="N", help="examples timed at once"
    )
    _measure.add_options(parser, repeats=15)
    options = parser.parse_args()
    _measure.check(options)

    rows = [row for path in options.models or models for row in measure(path, options)]
    _measure.report(rows, "x float", options, "the float model of the same size")


def measure(path: Path, options) -> list[_measure.Row]:
    """Times a model in both interpreters beside the float model of its size."""
    import numpy as np

    from kws_tf.chip.spotter import ChipSpotter
    from kws_tf.tflite import model as models

    opened = models.load(path)
    manifest, content = opened.manifest, opened.content
    shape, classes = manifest.front_end, len(manifest.labels)
    size = [options.examples, shape.frames, shape.features]
    examples = np.random.default_rng(0).integers(-128, 128, size).astype(np.int8)
    float_content = plain_float(shape.frames, shape.features, manifest.hidden_units, classes)

    runs = {
        "float, TFLite": (on_tflite(float_content), examples.astype(np.float32) / 40),
        "int8, TFLite": (on_tflite(content), examples),
        "int8, TFLite Micro": (on_tflm(content), examples),
        "int8, the chip's C": (ChipSpotter(opened).outputs_of_features, examples),
    }

    def seconds(run, inputs) -> float:
        start = time.perf_counter()
        for example in inputs:
            run(example[None])
        return time.perf_counter() - start

    times = _measure.interleave(
        {name: lambda r=run: seconds(*r) for name, run in runs.items()}, options.repeats
    )
    base = times["float, TFLite"]
    return [
        _measure.Row(
            f"{path.stem}, {name}",
            [1e6 * t / options.examples for t in taken],
            "us/example",
            None if taken is base else _measure.median_ratio(taken, base),
        )
        for name, taken in times.items()
    ]


def on_tflite(model: bytes) -> Callable:
    """Returns a function that runs an example in the TFLite interpreter, from a zeroed state."""
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(model_content=model, num_threads=1)
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]["index"]

    def run(example):
        interpreter.reset_all_variables()
        interpreter.set_tensor(source, example)
        interpreter.invoke()

    return run


def on_tflm(model: bytes) -> Callable:
    """Returns the same under TFLite Micro."""
    from tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(model, arena_size=10 * len(model) + 2**20)

    def run(example):
        interpreter.reset()
        interpreter.set_input(example, 0)
        interpreter.invoke()

    return run


def plain_float(frames: int, features: int, units: int, classes: int) -> bytes:
    """Converts a plain LSTM with random weights to a float .tflite."""
    import tensorflow as tf

    from kws_tf.conversion.convert import fused_model
    from kws_tf.quiet import captured_stderr

    converter = tf.lite.TFLiteConverter.from_keras_model(
        fused_model(frames, features, units, classes)
    )
    with captured_stderr():
        return converter.convert()


if __name__ == "__main__":
    command.run(main)
