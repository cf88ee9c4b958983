"""Listening to a stream: times real time, with the chip's C code and with TFLite.

The stream is a noise that comes and goes, in memory; what a soak reads and decodes besides is the
least of it. The baseline decides on every window by itself, with the C code of the device.
"""

import time
from functools import partial
from pathlib import Path

import _measure
import numpy as np

from kws_tf.cli import command

_MODEL = _measure.ROOT / "tflite_models" / "kws-118-full.tflite"
_BAR = 300


def main() -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--model", **command.FILE, default=_MODEL, help="a .tflite")
    parser.add_argument(
        "--seconds", type=_measure.positive, default=300, metavar="S", help="length of the stream"
    )
    _measure.add_options(parser, repeats=3)
    options = parser.parse_args()
    _measure.check(options)

    from kws_tf.chip.spotter import ChipSpotter
    from kws_tf.listening.ears import Ears
    from kws_tf.tflite import model as models

    model = models.load(Path(options.model))
    rate = model.manifest.front_end.log_mel.sample_rate
    rng = np.random.default_rng(0)
    swell = np.sin(np.arange(options.seconds * rate) / rate) ** 2
    stream = (3000 * swell * rng.standard_normal(len(swell))).astype(np.int16)
    spotter = ChipSpotter(model)
    candidates = {
        "window by window, C, one core": partial(_device, spotter, stream),
        "soak, C": partial(_soak, Ears(model, "c"), stream, rate),
        "soak, TFLite": partial(_soak, Ears(model, "tflite"), stream, rate),
    }
    seconds = _measure.interleave(candidates, options.repeats)
    baseline, *others = candidates
    rows = [_row(name, seconds, baseline, options.seconds) for name in (baseline, *others)]
    _measure.report(rows, "faster", options, baseline)


def _row(name: str, seconds: dict, baseline: str, length: float) -> _measure.Row:
    speeds = tuple(length / one for one in seconds[name])
    row = _measure.Row(name, speeds, "x real time")
    if name == baseline:
        return row
    ratio = _measure.median_ratio(seconds[baseline], seconds[name])
    if name != "soak, C":
        return _measure.Row(name, speeds, "x real time", ratio)
    holds = row.median >= _BAR
    return _measure.Row(name, speeds, "x real time", ratio, f"at least {_BAR}", holds)


def _soak(ears, stream: np.ndarray, rate: int) -> float:
    start = time.perf_counter()
    for _ in ears.hear(stream[i : i + rate] for i in range(0, len(stream), rate)):
        pass
    return time.perf_counter() - start


def _device(spotter, stream: np.ndarray) -> float:
    spotter.reset()
    start = time.perf_counter()
    spotter.listen(stream)
    return time.perf_counter() - start


if __name__ == "__main__":
    command.run(main)
