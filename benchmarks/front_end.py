"""Measure the TensorFlow front end against tf.signal used plainly.

Plainly is what its documentation shows: STFT, power, linear_to_mel_weight_matrix, logarithm, with
the same constants. Both are compiled graphs over a batch of one-second examples of noise.
"""

import time

import _measure

from kws_tf.cli import command


def main() -> None:
    parser = command.parser(__doc__)
    parser.add_argument(
        "--examples", type=_measure.positive, default=256, metavar="N", help="examples in a batch"
    )
    _measure.add_options(parser, repeats=31)
    options = parser.parse_args()
    _measure.check(options)

    import numpy as np
    import tensorflow as tf

    from kws_tf.frontend.config import front_end
    from kws_tf.frontend.features import log_mel

    shape = front_end("logmel40")
    config = shape.log_mel

    rng = np.random.default_rng(0)
    samples = tf.constant(rng.normal(0, 0.1, [options.examples, shape.samples]), tf.float32)
    functions = {
        "tf.signal, plainly": tf.function(lambda s: plain(s, config)),
        "kws_tf.frontend": tf.function(lambda s: log_mel(s, config)),
    }
    outputs = [function(samples) for function in functions.values()]
    difference = float(tf.reduce_max(tf.abs(outputs[0] - outputs[1])))

    def seconds(function) -> float:
        start = time.perf_counter()
        function(samples)
        return time.perf_counter() - start

    times = _measure.interleave(
        {name: lambda f=function: seconds(f) for name, function in functions.items()},
        options.repeats,
    )
    base = times["tf.signal, plainly"]
    rows = []
    for name, taken in times.items():
        ratio = None if taken is base else _measure.median_ratio(base, taken)
        rows.append(
            _measure.Row(
                name,
                [options.examples / t for t in taken],
                "examples/s",
                ratio,
                "" if ratio is None else "at least 1",
                None if ratio is None else ratio >= 1,
            )
        )
    print(f"largest difference between the two: {difference:.2g} nats\n")
    _measure.report(rows, "x plain", options, "tf.signal used plainly", difference=difference)


def plain(samples, config):
    """Returns log-mel spectrograms as the documentation of tf.signal makes them."""
    import tensorflow as tf

    spectrum = tf.signal.stft(samples, config.window_samples, config.hop_samples, config.fft_length)
    weights = tf.signal.linear_to_mel_weight_matrix(
        config.bands, spectrum.shape[-1], config.sample_rate, config.low_hz, config.high_hz
    )
    power = tf.square(tf.abs(spectrum))
    return tf.math.log(tf.tensordot(power, weights, 1) + config.offset)


if __name__ == "__main__":
    command.run(main)
