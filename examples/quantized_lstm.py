"""A model of one's own, from quantization-aware training to a proven int8 file.

Build, fit, convert, verify, on toy data: which of three frequencies is a noisy tone of two
channels? Run it with `python examples/quantized_lstm.py [MODEL.tflite]`.
"""

import sys
from pathlib import Path

import kws_tf  # before TensorFlow: it chooses Keras 2

import numpy as np  # isort: skip
import tf_keras as keras  # isort: skip

FRAMES, FEATURES, CLASSES = 20, 2, 3


def toy_data(examples: int, seed: int):
    """Returns tones of a random phase in noise, float32, and their classes."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, examples)
    phase = rng.uniform(0, 2 * np.pi, (examples, 1))
    angle = phase + 0.4 * (1 + labels[:, None]) * np.arange(FRAMES)
    tones = np.stack([np.sin(angle), np.cos(angle)], axis=-1)
    return (tones + rng.normal(0, 0.3, tones.shape)).astype(np.float32), labels


def build() -> keras.Model:
    """An LSTM in the formats of TFLite's integer op, and an int8 dense layer on its last state."""
    return keras.Sequential(
        [
            keras.Input((FRAMES, FEATURES)),
            # runtime: simulate TFLite Micro's sigmoid and tanh in training as well.
            kws_tf.QuantizedLSTM(12, "tflite", runtime="tflm", overflow_penalty=10.0),
            # Quantizers by name; an object sets more: PactQuantizer(8, clip=16.0).
            kws_tf.QuantizedDense(CLASSES, "pact_weights", kws_tf.PactQuantizer(8, clip=16.0)),
        ]
    )


def main(path: Path | None = None, epochs: int = 8):
    """Trains, converts and verifies; returns the verifier's report."""
    model = build()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.02), loss, metrics=["accuracy"])
    model.fit(*toy_data(1024, seed=0), batch_size=64, epochs=epochs, verbose=2)
    content = kws_tf.convert_model(model)  # the trained clips become the file's scales
    if path:
        path.write_bytes(content)
    features, labels = toy_data(500, seed=1)
    # Keras in double, NumPy, TFLite's kernels and TFLite Micro, compared value by value.
    return kws_tf.verify_model(model, content, features, labels)


if __name__ == "__main__":
    report = main(Path(sys.argv[1]) if sys.argv[1:] else None)
    print(report.text())
    sys.exit(0 if report.holds else 1)
