"""From a trained run to an int8 .tflite and its manifest."""

import functools
import hashlib
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras as keras

from kws_tf.conversion import guards
from kws_tf.conversion.parameters import carry, integer_parameters
from kws_tf.errors import KwsError
from kws_tf.files import write_bytes
from kws_tf.models.spotter import CLASSIFIER, LSTM, clips
from kws_tf.quiet import captured_stderr
from kws_tf.run_folder import RunFolder
from kws_tf.tflite.manifest import Manifest


def fused_model(frames: int, features: int, units: int, classes: int) -> keras.Model:
    """Builds the model that converts to the fused op: a rolled tf_keras LSTM of batch 1."""
    inputs = keras.Input((frames, features), batch_size=1, name="features")
    hidden = keras.layers.LSTM(units, name=LSTM)(inputs)
    logits = keras.layers.Dense(classes, name=CLASSIFIER)(hidden)
    posteriors = keras.layers.Softmax(name="posteriors")(logits)
    # A name of its own: Keras would count, and the file's bytes would depend on what ran before.
    return keras.Model(inputs, posteriors, name="spotter")


def to_int8(model: keras.Model, calibration: np.ndarray) -> bytes:
    """Converts a Keras model to full int8 by post-training quantization.

    Args:
        model: A float model of batch 1.
        calibration: float32 [clips, frames, features], from which the ranges are taken.

    Returns:
        The .tflite file's content.
    """
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([clip[None]] for clip in calibration)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    with captured_stderr():  # it tells of every pass; what goes wrong is an exception
        return converter.convert()


@functools.lru_cache(maxsize=4)
def fused_graph(frames: int, features: int, units: int, classes: int) -> bytes:
    """Converts a spotter of this shape; every weight and scale in it is to be replaced.

    Args:
        frames: Frames in a clip.
        features: Features in a frame.
        units: Size of the hidden state.
        classes: Number of classes.

    Returns:
        A full-int8 .tflite with the fused op, of arbitrary weights.
    """
    model = fused_model(frames, features, units, classes)
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    return to_int8(model, rng.normal(size=(4, frames, features)).astype(np.float32))


def convert_model(model: keras.Model) -> bytes:
    """Converts a quantized spotter: the clips become the scales.

    Args:
        model: A spotter with the ``tflite`` profile.

    Returns:
        The .tflite file's content.

    Raises:
        KwsError: If a signal has a quantizer that the op has not, or a guard is broken.
    """
    lstm, classifier = model.get_layer(LSTM), model.get_layer(CLASSIFIER)
    if not lstm.deploys:
        raise KwsError(
            "this model's LSTM cannot be converted: the fused op computes gates and cell in 16-bit "
            "formats of its own, not in the 8-bit ones of the 'paper' profile; train with "
            "--profile tflite"
        )
    _, frames, features = model.input_shape
    graph = fused_graph(frames, features, lstm.cell.units, classifier.units)
    content = carry(graph, integer_parameters(model))
    guards.check(content)
    return content


def convert_run(run: RunFolder, output: Path | None = None) -> Manifest:
    """Converts a run's best quantized model and writes it with its manifest.

    Args:
        run: A finished run.
        output: Where to write the model; ``RUN/model.tflite`` when ``None``.

    Returns:
        The manifest.

    Raises:
        KwsError: If the run is unfinished or its model cannot be converted.
    """
    settings = run.train_settings()
    model = run.load_model("quantized")
    content = convert_model(model)
    path = Path(output or run.model_file)
    write_bytes(path, content)
    manifest = Manifest(
        labels=run.labels(),
        front_end=run.front_end(),
        input_scale=float(integer_parameters(model).input_scale),
        input_bits=settings.input_bits,
        hidden_units=settings.hidden,
        weight_bits=settings.weight_bits,
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
        clips={name: float(clip) for name, clip in clips(model).items()},
    )
    manifest.save(path)
    return manifest
