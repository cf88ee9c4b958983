"""From a trained model to an int8 .tflite; from a run to that and its manifest."""

import functools
import hashlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras as keras

from kws_tf.conversion import guards
from kws_tf.conversion.parameters import integer_parameters, write_parameters
from kws_tf.errors import KwsError
from kws_tf.files import write_bytes
from kws_tf.models.spotter import CLASSIFIER, LSTM, classifier_of, clips, lstm_of
from kws_tf.quantization.dense import QuantizedDense
from kws_tf.quantization.quantizers import CellQuantizer, PactQuantizer
from kws_tf.quiet import captured_stderr
from kws_tf.run_folder import RunFolder
from kws_tf.tflite import manifest as manifest_file
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
    """Converts a Keras model of batch 1 to a full-int8 .tflite by post-training quantization.

    The ranges are taken from ``calibration``, float32 [examples, frames, features].
    """
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([example[None]] for example in calibration)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    with captured_stderr():  # it reports every pass; what goes wrong is an exception
        return converter.convert()


@functools.lru_cache(maxsize=4)
def fused_graph(frames: int, features: int, units: int, classes: int) -> bytes:
    """Returns a full-int8 .tflite with the fused op, of arbitrary weights and scales."""
    model = fused_model(frames, features, units, classes)
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    return to_int8(model, rng.normal(size=(4, frames, features)).astype(np.float32))


def convert_model(model: keras.Model) -> bytes:
    """Converts a quantized model to int8: the clips become the scales.

    Args:
        model: Any Sequential or functional Keras model of an input of static shape, one
            ``QuantizedLSTM`` with the ``tflite`` profile that returns its last state, and one
            ``QuantizedDense`` with quantizers of kernel and output.

    Returns:
        The .tflite file's content: input int8 [1, frames, features], output int8 [1, classes],
        the softmax of the dense layer's logits.

    Raises:
        KwsError: If the model is made of anything else, a signal has a quantizer that the op has
            not, or a guard is broken.

    Example:
        >>> from kws_tf import QuantizedDense, QuantizedLSTM
        >>> model = keras.Sequential([
        ...     keras.Input((20, 2)),
        ...     QuantizedLSTM(12, "tflite"),
        ...     QuantizedDense(3, "pact_weights", "pact8"),
        ... ])
        >>> convert_model(model)[4:8]
        b'TFL3'
    """
    check_model(model)
    _, frames, features = model.input_shape
    graph = fused_graph(frames, features, lstm_of(model).cell.units, classifier_of(model).units)
    content = write_parameters(graph, integer_parameters(model))
    guards.check(content)
    return content


def check_model(model: keras.Model) -> None:
    """Refuses, with the reason, what ``convert_model`` cannot convert."""
    lstm, classifier = lstm_of(model), classifier_of(model)
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    others = [layer for layer in layers if layer not in (lstm, classifier)]
    if others:
        names = ", ".join(f"{layer.name} ({type(layer).__name__})" for layer in others)
        raise KwsError(
            f"the model '{model.name}' cannot be converted: besides the QuantizedLSTM and the "
            f"QuantizedDense it has {names}; build it of those two (the softmax is "
            "added in conversion)"
        )
    in_order = model.built and layers == [lstm, classifier] and not lstm.return_sequences
    if not in_order or len(model.inputs) != 1 or len(model.outputs) != 1:
        raise KwsError(
            f"the model '{model.name}' cannot be converted: it must have one input, the "
            "QuantizedLSTM on it and the QuantizedDense on the LSTM's last state; build it in this "
            "order from a keras.Input, without return_sequences"
        )
    if not lstm.deploys:
        raise KwsError(
            "this model's LSTM cannot be converted: the fused op computes gates and cell in 16-bit "
            "formats of its own, not in the 8-bit ones of the 'paper' profile; train with "
            "--profile tflite"
        )
    _check_quantizers(lstm, classifier)


def _check_quantizers(lstm, classifier) -> None:
    """Refuses a classifier that is not int8, and signals of more than 8 bits."""
    quantizers = classifier.quantizers if isinstance(classifier, QuantizedDense) else {}
    kinds = {
        signal: (type(quantizer), getattr(quantizer, "narrow_range", None))
        for signal, quantizer in quantizers.items()
    }
    if kinds != {"kernel": (PactQuantizer, True), "output": (PactQuantizer, False)}:
        raise KwsError(
            f"the layer '{classifier.name}' cannot be converted: the int8 op has PACT quantizers "
            'of kernel and output; use QuantizedDense(units, "pact_weights", "pact8")'
        )
    for layer in (lstm.cell, classifier):
        for signal, quantizer in layer.quantizers.items():
            wide = isinstance(quantizer, PactQuantizer) and quantizer.bits > 8
            if wide and not isinstance(quantizer, CellQuantizer):
                raise KwsError(
                    f"the signal '{signal}' of {layer.name} has {quantizer.bits} bits and the int8 "
                    "op at most 8; train with 8 bits or fewer"
                )


def convert_run(run: RunFolder, output: Path | None = None) -> Manifest:
    """Writes a finished run's best quantized model and its manifest; returns the manifest.

    The model becomes ``output``, ``RUN/model.tflite`` when it is ``None``. A trigger that was
    calibrated for the very same model stays.
    """
    settings = run.train_settings()
    model = run.load_model("quantized")
    content = convert_model(model)
    path = Path(output or run.model_file)
    sha256 = hashlib.sha256(content).hexdigest()
    details = {}
    with suppress(KwsError):
        before = manifest_file.load(path)
        details = before.details if before.sha256 == sha256 else {}
    write_bytes(path, content)
    manifest = Manifest(
        labels=run.labels(),
        front_end=run.front_end(),
        input_scale=float(integer_parameters(model).input_scale),
        input_bits=settings.input_bits,
        hidden_units=settings.hidden,
        weight_bits=settings.weight_bits,
        sha256=sha256,
        bytes=len(content),
        clips={name: float(clip) for name, clip in clips(model).items()},
        details=details,
    )
    manifest.save(path)
    return manifest
