"""The int8 LSTM classifier in NumPy, equal to TFLite or to TFLite Micro on every value.

Graph: int8 input [1, T, F] -> UNIDIRECTIONAL_SEQUENCE_LSTM -> STRIDED_SLICE (last step)
-> FULLY_CONNECTED -> SOFTMAX, all int8, as the TFLite converter makes it from a ``tf_keras`` LSTM,
a Dense layer and a Softmax. The LSTM is in ``steps``, the dense layer in ``products``.
"""

import dataclasses
import math
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

from kws_tf.errors import KwsError
from kws_tf.reference.products import Rounding, fold_zero_point, fully_connected, tflite_rounding
from kws_tf.reference.softmax import softmax_int8
from kws_tf.reference.steps import STEPS
from kws_tf.tflite import graph as g

Runtime = Literal["tflite", "tflm"]

_EXAMPLES_A_BLOCK = 128  # a block's arrays stay in the processor's cache


class IntegerOutputs(NamedTuple):
    """What ``IntegerModel.run`` returns, for N examples, T steps, H units, C classes."""

    hidden: np.ndarray  # int8 [N, T, H], the op's output after each step
    cell: np.ndarray  # int16 [N, H], the cell state after the last step
    logits: np.ndarray  # int8 [N, C]
    posteriors: np.ndarray  # int8 [N, C], scale 1/256, zero point -128


@dataclasses.dataclass(frozen=True)
class Quantization:
    """Real value = (integer - zero_point) * scale."""

    scale: np.float32
    zero_point: int = 0


@dataclasses.dataclass(frozen=True)
class IntegerModel:
    """Integers and scales of one model file; gates are stacked in the order i, f, c (g), o."""

    input: Quantization
    input_weights: np.ndarray  # int8 [4, H, F]
    input_weight_scales: np.ndarray  # float32 [4]
    recurrent_weights: np.ndarray  # int8 [4, H, H]
    recurrent_weight_scales: np.ndarray  # float32 [4]
    biases: np.ndarray  # int32 [4, H], scale: the input's times that of the gate's input weights
    hidden_state: Quantization  # of the state tensor, with which TFLM computes the new state
    effective_hidden: Quantization  # of intermediate 4, with which TFLite does; may differ
    cell_power: int  # the cell state's scale is 2**cell_power, -15 ... -9
    cell_clip: float  # largest magnitude of the real cell value; 0 for none
    dense_input: Quantization
    dense_weights: np.ndarray  # int8 [C, H]
    dense_weight_scales: np.ndarray  # float32 [1], or [C] with one scale a class
    dense_biases: np.ndarray  # int32 [C]
    logits: Quantization
    beta: float  # the softmax's factor on the logits

    @classmethod
    def from_tflite(cls, model: str | Path | bytes) -> "IntegerModel":
        """Reads a full-int8 model, a path or bytes; a KwsError if it is another graph."""
        if isinstance(model, bytes | bytearray):
            return _read(g.Graph(bytes(model)), "the model")
        return _read(g.read(Path(model)), str(model))

    def run(
        self,
        inputs: np.ndarray,
        runtime: Runtime = "tflite",
        dense_rounding: Rounding | None = None,
    ) -> IntegerOutputs:
        """Computes every example from a zeroed state.

        Args:
            inputs: int8 ``[N, T, F]``, already quantized.
            runtime: "tflite" for TFLite's reference kernels, "tflm" for TFLite Micro's.
            dense_rounding: How FULLY_CONNECTED rounds: "twice" or "once"; ``None`` is what the
                runtime does, see ``products.tflite_rounding``.

        Returns:
            ``IntegerOutputs``. The posteriors are those of the reference softmax, which TFLite's
            default kernels replace by a float32 one.

        Raises:
            KwsError: Inputs of another type or shape, or an unknown runtime or rounding.
        """
        if runtime not in STEPS:
            raise KwsError(f"there is no runtime {runtime!r}; choose tflite or tflm")
        if dense_rounding not in (None, "twice", "once"):
            raise KwsError(f"there is no rounding {dense_rounding!r}; choose twice or once")
        features = self.input_weights.shape[2]
        if inputs.dtype != np.int8 or inputs.ndim != 3 or inputs.shape[2] != features:
            raise KwsError(
                f"the reference takes int8 inputs [examples, steps, {features}], not "
                f"{inputs.dtype} {list(inputs.shape)}; quantize them as the model's input"
            )
        blocks = range(0, max(len(inputs), 1), _EXAMPLES_A_BLOCK)
        step = STEPS[runtime](self)
        outputs = [self._run_lstm(inputs[i : i + _EXAMPLES_A_BLOCK], step) for i in blocks]
        hidden, cell = (np.concatenate(parts) for parts in zip(*outputs, strict=True))
        installed = "twice" if runtime == "tflm" else tflite_rounding()
        logits = self._dense(hidden[:, -1], dense_rounding or installed)
        posteriors = softmax_int8(logits, self.logits.scale, self.beta)
        return IntegerOutputs(hidden, cell, logits, posteriors)

    def _run_lstm(self, inputs, step):
        examples, steps, _ = inputs.shape
        units = self.biases.shape[1]
        hidden = np.full((examples, units), self.hidden_state.zero_point, np.int8)
        cell = np.zeros((examples, units), np.int64)
        sequence = np.empty((examples, steps, units), np.int8)
        for t in range(steps):
            hidden, cell = step(inputs[:, t], hidden, cell)
            sequence[:, t] = hidden
        return sequence, cell.astype(np.int16)

    def _dense(self, hidden: np.ndarray, rounding: Rounding) -> np.ndarray:
        biases = fold_zero_point(self.dense_biases, self.dense_weights, self.dense_input.zero_point)
        factors = np.float64(self.dense_input.scale) * self.dense_weight_scales.astype(np.float64)
        factors /= np.float64(self.logits.scale)
        return fully_connected(
            hidden, self.dense_weights, biases, factors, self.logits.zero_point, rounding
        )


_OPERATORS = ["UNIDIRECTIONAL_SEQUENCE_LSTM", "STRIDED_SLICE", "FULLY_CONNECTED", "SOFTMAX"]
_ABSENT = [9, 10, 11, 16, 17, 20, 21, 22, 23]  # peephole, projection, layer norm


def _check(graph: g.Graph, where: str) -> None:
    """Refuses what this reference does not compute."""
    lstm, dense, activation = graph.lstm, graph.dense, schema.ActivationFunctionType
    if graph.names != _OPERATORS or len(graph.object.subgraphs) != 1:
        raise KwsError(
            f"{where} is not the graph fused LSTM, slice, dense, softmax; convert a tf_keras LSTM "
            "classifier to full int8"
        )
    if (
        [position for position, index in enumerate(lstm.inputs) if index < 0] != _ABSENT
        or lstm.builtinOptions.timeMajor
        or lstm.builtinOptions.fusedActivationFunction != activation.TANH
        or dense.builtinOptions.fusedActivationFunction != activation.NONE
        or graph.tensor(lstm.inputs[g.INPUT]).type != schema.TensorType.INT8
        or graph.tensor(lstm.inputs[g.KERNEL]).type != schema.TensorType.INT8
        or graph.tensor(lstm.inputs[g.CELL_STATE]).type != schema.TensorType.INT16
    ):
        raise KwsError(
            f"{where} has an LSTM that is not the plain int8 one with a 16-bit cell; convert a "
            "tf_keras LSTM without peephole, projection, layer norm, input-forget coupling and "
            "time-major input"
        )
    matrices = (*_gates(lstm, g.KERNEL), *_gates(lstm, g.RECURRENT))
    if any(len(graph.scales(index)) != 1 for index in matrices):
        raise KwsError(
            f"{where} has LSTM weights with several scales and the op takes one for each gate; "
            "convert a tf_keras LSTM again"
        )
    steps = graph.tensor(lstm.inputs[g.INPUT]).shape[1]
    if graph.values(graph.slice.inputs[1])[1] not in (-1, steps - 1):
        raise KwsError(f"{where} does not classify the last step; convert a tf_keras LSTM again")
    scale = float(graph.scale(lstm.inputs[g.CELL_STATE]))
    if scale not in [2.0**power for power in range(-15, -8)]:
        raise KwsError(
            f"{where} has a cell state of scale {scale:g}, not a power of two in 2^-15 ... 2^-9, "
            "with which TFLite computes garbage; convert again with larger values"
        )


def _gates(lstm, first: int):
    return lstm.inputs[first : first + 4]


def _read(graph: g.Graph, where: str) -> IntegerModel:
    _check(graph, where)
    lstm, dense, softmax = graph.lstm, graph.dense, graph.main.operators[-1]

    def quantization(index):
        return Quantization(graph.scale(index), graph.zero_point(index))

    def stack(first):
        return np.stack([graph.values(i) for i in _gates(lstm, first)])

    def gate_scales(first):
        return np.concatenate([graph.scales(i) for i in _gates(lstm, first)])

    bias = dense.inputs[2] if len(dense.inputs) > 2 and dense.inputs[2] >= 0 else None
    weights = graph.values(dense.inputs[1])
    return IntegerModel(
        input=quantization(lstm.inputs[g.INPUT]),
        input_weights=stack(g.KERNEL),
        input_weight_scales=gate_scales(g.KERNEL),
        recurrent_weights=stack(g.RECURRENT),
        recurrent_weight_scales=gate_scales(g.RECURRENT),
        biases=stack(g.BIAS),
        hidden_state=quantization(lstm.inputs[g.HIDDEN_STATE]),
        effective_hidden=quantization(lstm.intermediates[g.EFFECTIVE_HIDDEN]),
        cell_power=round(math.log2(graph.scale(lstm.inputs[g.CELL_STATE]))),
        cell_clip=float(lstm.builtinOptions.cellClip),
        dense_input=quantization(dense.inputs[0]),
        dense_weights=weights,
        dense_weight_scales=graph.scales(dense.inputs[1]),
        dense_biases=np.zeros(len(weights), np.int32) if bias is None else graph.values(bias),
        logits=quantization(dense.outputs[0]),
        beta=float(softmax.builtinOptions.beta),
    )
