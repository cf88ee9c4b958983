"""Everything that computes a model's decisions for the proof, from float Keras to TFLite Micro."""

from dataclasses import dataclass

import numpy as np
import tf_keras as keras

from kws_tf.conversion.convert import fused_model, to_int8
from kws_tf.conversion.parameters import IntegerParameters
from kws_tf.evaluation.outcomes import Outcome
from kws_tf.models.computing import compute
from kws_tf.models.spotter import classifier_of, lstm_of
from kws_tf.reference.integer_model import IntegerModel
from kws_tf.tflite import graph as g
from kws_tf.tflite import interpreter, tflm

_BLOCK = 512


@dataclass(frozen=True)
class Outcomes:
    """The outcomes that the bounds are about, by runtime, or by TFLite's kernels."""

    fake_quant: Outcome
    in_double: dict[str, Outcome]
    exact: dict[str, Outcome]
    tflite: dict[str, Outcome]
    tflm: Outcome

    def all(self) -> list[Outcome]:
        """Returns them in the order of the table."""
        parts = (self.in_double, self.exact, self.tflite)
        return [self.fake_quant, *(o for part in parts for o in part.values()), self.tflm]


def run_all(
    model: keras.Model,
    content: bytes,
    parameters: IntegerParameters,
    features: np.ndarray,
    inputs: np.ndarray,
) -> Outcomes:
    """Runs a model in Keras, in the NumPy reference and in both runtimes.

    ``features`` are float32 [examples, frames, features], ``inputs`` the same quantized, int8.
    """
    exact_model = IntegerModel.from_tflite(content)
    probe = g.with_inner_outputs(content)
    return Outcomes(
        _keras_outcome("fake-quant Keras", model, features),
        {name: _in_double(model, parameters, name, inputs) for name in ("tflite", "tflm")},
        {name: _exact(exact_model, name, inputs) for name in ("tflite", "tflm")},
        {
            kernels: _ran(f"TFLite, {kernels} kernels", interpreter.run(probe, inputs, kernels))
            for kernels in ("reference", "default")
        },
        _ran("TFLite Micro", tflm.run(probe, inputs)),
    )


def float_outcome(model: keras.Model, features: np.ndarray) -> Outcome:
    """Returns what a float model decides."""
    (logits,) = compute(model, features)
    return Outcome("float Keras", logits.argmax(1))


def post_training(
    model: keras.Model, features: np.ndarray, calibration: np.ndarray
) -> list[Outcome]:
    """Quantizes a float spotter as the converter does alone, and runs it in both runtimes.

    The ranges are those of ``calibration``, features of training examples.
    """
    units, classes = lstm_of(model).cell.units, classifier_of(model).units
    fused = fused_model(*model.input_shape[1:], units, classes)
    fused.set_weights(model.get_weights())
    content = to_int8(fused, calibration)
    graph = g.Graph(content)
    index = graph.main.inputs[0]
    zero_point = int(graph.tensor(index).quantization.zeroPoint[0])
    inputs = np.clip(np.rint(features / graph.scale(index)) + zero_point, -128, 127)
    inputs = inputs.astype(np.int8)
    name = "post-training quantization"
    return [
        Outcome(f"{name}, TFLite", interpreter.run(content, inputs).outputs[0].argmax(1)),
        Outcome(f"{name}, TFLM", tflm.run(content, inputs).outputs[0].argmax(1)),
    ]


def _in_double(model: keras.Model, parameters: IntegerParameters, runtime: str, inputs) -> Outcome:
    """The layers with a runtime's functions, in double precision, on the integers that ship.

    float32 cannot hold the product of a 24-bit sum and a scale; now and then it rounds to the
    other neighbour, and every step of recurrence after it differs as well.
    """
    double = keras.Input(model.input_shape[1:], dtype="float64")
    lstm = _copied(lstm_of(model), runtime=runtime, overflow_penalty=0.0)
    classifier = _copied(classifier_of(model))
    twin = keras.Model(double, classifier(lstm(double)))
    lstm.set_weights(lstm_of(model).get_weights())
    classifier.set_weights(classifier_of(model).get_weights())
    # A double quotient may round to another integer than the float32 one that quantized.
    cell = lstm.cell
    for variable, values, scales in (
        (cell.kernel, parameters.kernel, parameters.kernel_scales),
        (cell.recurrent_kernel, parameters.recurrent, parameters.recurrent_scales),
        (cell.bias, parameters.biases[..., None], parameters.bias_scales),
    ):
        real = values * scales.astype(np.float64)[:, None, None]
        variable.assign(np.concatenate(real).T.reshape(variable.shape))
    features = inputs * np.float64(parameters.input_scale)
    return _keras_outcome(f"layer in double, {runtime} functions", twin, features)


def _copied(layer: keras.layers.Layer, **changes) -> keras.layers.Layer:
    return type(layer).from_config(layer.get_config() | {"dtype": "float64"} | changes)


def _keras_outcome(name: str, model: keras.Model, features: np.ndarray) -> Outcome:
    lstm, classifier = lstm_of(model), classifier_of(model)
    both = keras.Model(model.input, [lstm.output, classifier.output])
    hidden, logits = compute(both, features)
    hidden = np.rint(hidden / lstm.cell.scale("hidden").numpy())
    logits = np.rint(logits / classifier.scale("output").numpy())
    return Outcome(name, logits.argmax(1), hidden, logits)


def _exact(model: IntegerModel, runtime: str, inputs: np.ndarray) -> Outcome:
    parts = (inputs[start : start + _BLOCK] for start in range(0, len(inputs), _BLOCK))
    blocks = [model.run(part, runtime) for part in parts]
    hidden = np.concatenate([block.hidden[:, -1] for block in blocks])
    logits = np.concatenate([block.logits for block in blocks])
    decisions = np.concatenate([block.posteriors for block in blocks]).argmax(1)
    name = {"tflite": "TFLite", "tflm": "TFLM"}[runtime]
    return Outcome(f"bit-exact NumPy, {name} setting", decisions, hidden, logits)


def _ran(name: str, result) -> Outcome:
    posteriors, hidden, logits = result.outputs
    return Outcome(name, posteriors.argmax(1), hidden, logits)
