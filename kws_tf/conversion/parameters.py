"""The integers and scales of a model, and writing them into the flatbuffer.

The converter takes every range from calibration and has no path for trained ones into the fused
LSTM. So it is used for the graph alone; integer weights, biases and scales are then written by
this module, computed by the very quantizers that training used: the clips become the scales.
"""

from dataclasses import dataclass

import numpy as np
import tf_keras as keras

from kws_tf.models.spotter import classifier_of, lstm_of
from kws_tf.quantization.profiles import GATES
from kws_tf.tflite import graph as g


@dataclass(frozen=True)
class IntegerParameters:
    """All integers and scales of a model, as the op wants them; zero points are 0."""

    input_scale: np.float32
    kernel: np.ndarray  # int8 [4, units, features], gates i, f, c, o
    kernel_scales: np.ndarray  # float32 [4]
    recurrent: np.ndarray  # int8 [4, units, units]
    recurrent_scales: np.ndarray  # float32 [4]
    biases: np.ndarray  # int32 [4, units], of scale ``bias_scales``
    bias_scales: np.ndarray  # float32 [4], input scale x kernel scale
    hidden_scale: np.float32
    cell_scale: np.float32  # a power of two
    cell_clip: np.float32  # the trained clip
    dense: np.ndarray  # int8 [classes, units]
    dense_scale: np.float32
    dense_biases: np.ndarray  # int32 [classes], of scale hidden scale x dense scale
    logits_scale: np.float32

    def scales(self, graph: g.Graph) -> list[tuple[int, np.float32]]:
        """Returns the tensors of a model file, each with the scale that it must have."""
        lstm, dense, gates = graph.lstm, graph.dense, _gates(graph)
        # TFLM takes the hidden state's scale from the state, TFLite from the intermediate tensor,
        # the classifier from the slice's output: one scale in four places.
        hidden = (
            lstm.inputs[g.HIDDEN_STATE],
            lstm.intermediates[g.EFFECTIVE_HIDDEN],
            lstm.outputs[0],
            graph.slice.outputs[0],
        )
        return [
            (lstm.inputs[g.INPUT], self.input_scale),
            *zip(
                gates, [*self.kernel_scales, *self.recurrent_scales, *self.bias_scales], strict=True
            ),
            *((index, self.hidden_scale) for index in hidden),
            (lstm.inputs[g.CELL_STATE], self.cell_scale),
            (dense.inputs[1], self.dense_scale),
            (dense.inputs[2], self.hidden_scale * self.dense_scale),
            (dense.outputs[0], self.logits_scale),
        ]

    def integers(self, graph: g.Graph) -> list[tuple[int, np.ndarray]]:
        """Returns the weights and biases of a model file, each with the integers it must have."""
        return [
            *zip(_gates(graph), [*self.kernel, *self.recurrent, *self.biases], strict=True),
            (graph.dense.inputs[1], self.dense),
            (graph.dense.inputs[2], self.dense_biases),
        ]


def _gates(graph: g.Graph) -> list[int]:
    """Returns the tensors of the gates: four kernels, four recurrent kernels, four biases."""
    first = (g.KERNEL, g.RECURRENT, g.BIAS)
    return [graph.lstm.inputs[position + gate] for position in first for gate in range(4)]


def integer_parameters(model: keras.Model) -> IntegerParameters:
    """Computes the integers and scales of a model that ``convert.check_model`` passes."""
    cell, classifier = lstm_of(model).cell, classifier_of(model)

    def scale(signal):
        return np.float32(cell.scale(signal).numpy())

    def matrices(name, matrix):
        parts = np.split(matrix.numpy(), 4, axis=1)
        signals = [f"{name}_{gate}" for gate in GATES]
        scales = np.array([scale(signal) for signal in signals])
        quantized = [cell.quantize(s, p).numpy().T for s, p in zip(signals, parts, strict=True)]
        return _integers(np.stack(quantized), scales[:, None, None], np.int8), scales

    kernel, kernel_scales = matrices("kernel", cell.kernel)
    recurrent, recurrent_scales = matrices("recurrent", cell.recurrent_kernel)
    bias_scales = scale("input") * kernel_scales
    biases = cell.bias.numpy().reshape(4, -1)
    dense_scale = np.float32(classifier.scale("kernel").numpy())
    dense = classifier.quantize("kernel", classifier.kernel).numpy().T
    dense_biases = classifier.bias.numpy()
    return IntegerParameters(
        input_scale=scale("input"),
        kernel=kernel,
        kernel_scales=kernel_scales,
        recurrent=recurrent,
        recurrent_scales=recurrent_scales,
        biases=_integers(biases, bias_scales[:, None], np.int32),
        bias_scales=bias_scales,
        hidden_scale=scale("hidden"),
        cell_scale=scale("cell"),
        cell_clip=np.float32(cell.clip("cell").numpy()),
        dense=_integers(dense, dense_scale, np.int8),
        dense_scale=dense_scale,
        dense_biases=_integers(dense_biases, scale("hidden") * dense_scale, np.int32),
        logits_scale=np.float32(classifier.scale("output").numpy()),
    )


def _integers(values: np.ndarray, scale, dtype) -> np.ndarray:
    return np.rint(values / scale).astype(dtype)


def write_parameters(model: bytes, parameters: IntegerParameters) -> bytes:
    """Returns a full-int8 .tflite of the same shapes with these integers and scales."""
    graph = g.Graph(model)
    for index, scale in parameters.scales(graph):
        graph.set_scale(index, scale)
    for index, integers in parameters.integers(graph):
        graph.set_values(index, integers)
    graph.lstm.builtinOptions.cellClip = float(parameters.cell_clip)
    return graph.to_bytes()
