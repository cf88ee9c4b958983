"""The int8 LSTM classifier in NumPy, equal to TFLite or to TFLite Micro on every value.

Graph: int8 input [1, T, F] -> UNIDIRECTIONAL_SEQUENCE_LSTM -> STRIDED_SLICE (last step)
-> FULLY_CONNECTED -> SOFTMAX, all int8, as the TFLite converter makes it from a ``tf_keras`` LSTM,
a Dense layer and a Softmax.

Sources: TensorFlow Lite ``kernels/unidirectional_sequence_lstm.cc`` (Prepare: effective scales and
biases), ``kernels/lstm_eval.cc`` (CalculateLstmGateInteger8x8_16, UpdateLstmCellInteger,
CalculateLstmOutputInteger8x8_16); TFLite Micro ``micro/kernels/lstm_eval_common.cc`` and
``lstm_eval.cc``.
"""

import dataclasses
import math
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from kws_tf.errors import KwsError
from kws_tf.quantization import activation_tables as act
from kws_tf.quantization import fixed_point as fx
from kws_tf.tflite import flatbuffer

Runtime = Literal["tflite", "tflm"]

# Rows of the stacked gates, in the order of the op's inputs 1-4, 5-8 and 12-15.
_GATES = ("input", "forget", "cell", "output")
_EXAMPLES_A_BLOCK = 128  # a block's arrays stay in the processor's cache


class IntegerOutputs(NamedTuple):
    """What ``IntegerModel.run`` returns, for N clips, T steps, H units, C classes."""

    hidden: np.ndarray
    """int8 ``[N, T, H]``, the op's output after each step."""
    cell: np.ndarray
    """int16 ``[N, H]``, the cell state after the last step."""
    logits: np.ndarray
    """int8 ``[N, C]``."""
    posteriors: np.ndarray
    """int8 ``[N, C]``, scale 1/256, zero point -128."""


@dataclasses.dataclass(frozen=True)
class Quantization:
    """Real value = (integer - zero_point) * scale."""

    scale: np.float32
    zero_point: int = 0


@dataclasses.dataclass(frozen=True)
class IntegerModel:
    """Integers and scales of one model file; gates are stacked in the order i, f, c (g), o."""

    input: Quantization
    input_weights: np.ndarray
    """int8 ``[4, H, F]``."""
    input_weight_scales: np.ndarray
    """float32 ``[4]``."""
    recurrent_weights: np.ndarray
    """int8 ``[4, H, H]``."""
    recurrent_weight_scales: np.ndarray
    """float32 ``[4]``."""
    biases: np.ndarray
    """int32 ``[4, H]``, scale: the input's times that of the gate's input weights."""
    hidden_state: Quantization
    """Of the state tensor (op input 18)."""
    effective_hidden: Quantization
    """Of intermediate 4; TFLite computes the new hidden state with it, TFLM with ``hidden_state``.
    A file in which they differ gives different results in the two runtimes."""
    cell_power: int
    """The cell state's scale is ``2**cell_power``, -15 ... -9."""
    cell_clip: float
    """Largest magnitude of the real cell value; 0 for none."""
    dense_input: Quantization
    dense_weights: np.ndarray
    """int8 ``[C, H]``."""
    dense_weight_scales: np.ndarray
    """float32 ``[1]``, or ``[C]`` with one scale a class."""
    dense_biases: np.ndarray
    """int32 ``[C]``."""
    logits: Quantization
    beta: float
    """The softmax's factor on the logits."""

    @classmethod
    def from_tflite(cls, model: str | Path | bytes) -> "IntegerModel":
        """Reads a full-int8 model.

        Args:
          model: Path of a .tflite file, or its bytes.

        Raises:
          KwsError: The file is not the graph this module describes.
        """
        return _read(model)

    def run(self, inputs: np.ndarray, runtime: Runtime = "tflite") -> IntegerOutputs:
        """Computes every clip from a zeroed state.

        Args:
          inputs: int8 ``[N, T, F]``, already quantized.
          runtime: "tflite" for TFLite's reference kernels, "tflm" for TFLite Micro's.

        Returns:
          ``IntegerOutputs``. The posteriors are those of the reference softmax, which TFLite's
          default kernels replace by a float32 one.

        Raises:
          KwsError: Inputs of another type or shape, or an unknown runtime.
        """
        if runtime not in ("tflite", "tflm"):
            raise KwsError(f"Unknown runtime {runtime!r}: choose tflite or tflm.")
        features = self.input_weights.shape[2]
        if inputs.dtype != np.int8 or inputs.ndim != 3 or inputs.shape[2] != features:
            raise KwsError(
                f"The reference takes int8 inputs [clips, steps, {features}], "
                f"not {inputs.dtype} {list(inputs.shape)}."
            )
        blocks = range(0, max(len(inputs), 1), _EXAMPLES_A_BLOCK)
        step = {"tflite": _TfliteStep, "tflm": _TflmStep}[runtime](self)
        outputs = [self._run_lstm(inputs[i : i + _EXAMPLES_A_BLOCK], step) for i in blocks]
        hidden, cell = (np.concatenate(parts) for parts in zip(*outputs, strict=True))
        logits = self._dense(hidden[:, -1])
        posteriors = act.softmax_int8(logits, self.logits.scale, self.beta)
        return IntegerOutputs(hidden, cell, logits, posteriors)

    def _run_lstm(self, inputs, step):
        clips, steps, _ = inputs.shape
        units = self.biases.shape[1]
        hidden = np.full((clips, units), self.hidden_state.zero_point, np.int8)
        cell = np.zeros((clips, units), np.int64)
        sequence = np.empty((clips, steps, units), np.int8)
        for t in range(steps):
            hidden, cell = step(inputs[:, t], hidden, cell)
            sequence[:, t] = hidden
        return sequence, cell.astype(np.int16)

    def _dense(self, hidden: np.ndarray) -> np.ndarray:
        """FULLY_CONNECTED: int32 accumulator, requantized, plus zero point, saturated to int8."""
        biases = _fold_zero_point(self.dense_biases, self.dense_weights, self.dense_input)
        accumulator = _matmul(hidden, self.dense_weights) + biases
        factors = (
            np.float64(self.dense_input.scale)
            * self.dense_weight_scales.astype(np.float64)
            / np.float64(self.logits.scale)
        )
        scaled = fx.multiply_by_quantized_multiplier(accumulator, fx.quantize_multiplier(factors))
        return fx.saturate(scaled + self.logits.zero_point, 8).astype(np.int8)


def _matmul(x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Exact int8 product ``x @ weights.T`` in int64, through a float GEMM (NumPy's fast path).

    Every partial sum is an integer of at most depth * 2**14: float32 holds it up to 2**24.
    """
    dtype = np.float32 if weights.shape[-1] <= 1024 else np.float64
    return (x.astype(dtype) @ weights.T.astype(dtype)).astype(np.int64)


def _fold_zero_point(biases, weights, quantization: Quantization) -> np.ndarray:
    """``sum w (x - zero_point) = sum w x - zero_point * sum w``: the constant part of a product."""
    return biases - quantization.zero_point * weights.sum(axis=-1, dtype=np.int64)


class _Step:
    """One time step, as far as the runtimes agree; the subclasses are where they do not.

    1. Each gate takes two products, ``W x + b`` and ``R h`` (int32, zero points removed), each
       requantized on its own to Q3.12 (scale 2**-12), and their saturated sum.
    2. i, f, o = sigmoid, g = tanh: Q3.12 -> Q0.15.
    3. cell = f * cell + i * g, int16: each product rounded on its own, the sum saturated, then
       clipped.
    4. hidden = o * tanh(cell): Q0.30, rounded to the hidden state's scale, saturated to int8.
    """

    sigmoid: np.ndarray
    gate_tanh: np.ndarray
    cell_tanh: np.ndarray

    def __init__(self, model: IntegerModel):
        units = model.biases.shape[1]
        self.input_weights = model.input_weights.reshape(4 * units, -1)
        self.recurrent_weights = model.recurrent_weights.reshape(4 * units, -1)
        biases = model.biases.reshape(-1)
        self.input_biases = _fold_zero_point(biases, self.input_weights, model.input)
        self.recurrent_biases = _fold_zero_point(0, self.recurrent_weights, model.hidden_state)

        def multiplier(weight_scales, quantization):
            factors = self.product_scale(weight_scales, quantization.scale) * 2.0**12
            return fx.quantize_multiplier(np.repeat(factors, units))

        self.input_multiplier = multiplier(model.input_weight_scales, model.input)
        self.recurrent_multiplier = multiplier(model.recurrent_weight_scales, model.hidden_state)
        self.cell_power = model.cell_power
        # Truncated towards zero; exact, since the scale is a power of two.
        limit = math.trunc(model.cell_clip * 2.0**-model.cell_power)
        self.cell_limit = min(limit, 32767) if model.cell_clip > 0 else None

    def __call__(self, x, hidden, cell):
        """Returns the next ``(hidden int8, cell int64 in int16's range)``, both ``[N, H]``."""
        preactivations = self.add_products(
            fx.multiply_by_quantized_multiplier(
                _matmul(x, self.input_weights) + self.input_biases, self.input_multiplier
            ),
            fx.multiply_by_quantized_multiplier(
                _matmul(hidden, self.recurrent_weights) + self.recurrent_biases,
                self.recurrent_multiplier,
            ),
        )
        i, f, g, o = np.split(preactivations, 4, axis=1)
        i, f, o = (act.lookup(self.sigmoid, gate) for gate in (i, f, o))
        g = act.lookup(self.gate_tanh, g)
        cell = fx.saturate(self.forget(f * cell) + self.admit(i.astype(np.int64) * g), 16)
        if self.cell_limit is not None:
            cell = np.clip(cell, -self.cell_limit, self.cell_limit)
        output = o.astype(np.int64) * act.lookup(self.cell_tanh, cell)
        return fx.saturate(self.emit(output), 8).astype(np.int8), cell


class _TfliteStep(_Step):
    """TFLite: fixed-point activations, factors in float32, cell products shifted."""

    def __init__(self, model: IntegerModel):
        super().__init__(model)
        self.sigmoid = act.tflite_sigmoid_table()
        self.gate_tanh = act.tflite_tanh_table(3)
        self.cell_tanh = act.tflite_tanh_table(15 + model.cell_power)
        q15 = np.float32(2.0**-15)
        self.emit_multiplier = fx.quantize_multiplier(
            q15 / np.float32(model.effective_hidden.scale) * q15
        )
        self.zero_point = model.effective_hidden.zero_point

    @staticmethod
    def product_scale(weight_scales, scale):
        """float32 product: 24 bits of the 31-bit multiplier."""
        return weight_scales * np.float32(scale)

    @staticmethod
    def add_products(from_input, from_hidden):
        """The second product is not saturated before the sum is."""
        return fx.saturate(fx.saturate(from_input, 16) + from_hidden, 16)

    def forget(self, product):
        """Q0.15 * cell -> cell: shift by 15, halves away from zero."""
        return fx.rounding_divide_by_pot(product, 15)

    def admit(self, product):
        """Q0.15 * Q0.15 -> cell: shift by 30 + cell_power, halves away from zero."""
        return fx.rounding_divide_by_pot(product, 30 + self.cell_power)

    def emit(self, product):
        """Q0.30 -> hidden, factor from intermediate 4."""
        return fx.multiply_by_quantized_multiplier(product, self.emit_multiplier) + self.zero_point


class _TflmStep(_Step):
    """TFLite Micro: table activations, factors in float64, cell products requantized."""

    def __init__(self, model: IntegerModel):
        super().__init__(model)
        self.sigmoid = act.tflm_sigmoid_table()
        self.gate_tanh = act.tflm_tanh_table(3)
        self.cell_tanh = act.tflm_tanh_table(15 + model.cell_power)
        self.forget_multiplier = fx.quantize_multiplier(2.0**-15)
        self.admit_multiplier = fx.quantize_multiplier(2.0 ** (-30 - model.cell_power))
        self.emit_multiplier = fx.quantize_multiplier(
            2.0**-30 / np.float64(model.hidden_state.scale)
        )
        self.zero_point = model.hidden_state.zero_point

    @staticmethod
    def product_scale(weight_scales, scale):
        """float64 product of the two float32 scales: exact."""
        return weight_scales.astype(np.float64) * np.float64(scale)

    @staticmethod
    def add_products(from_input, from_hidden):
        """Both products are saturated, then their sum."""
        return fx.saturate(fx.saturate(from_input, 16) + fx.saturate(from_hidden, 16), 16)

    def forget(self, product):
        """Q0.15 * cell -> cell, requantized (rounded twice) and saturated."""
        return fx.saturate(fx.multiply_by_quantized_multiplier(product, self.forget_multiplier), 16)

    def admit(self, product):
        """Q0.15 * Q0.15 -> cell, requantized (rounded twice) and saturated."""
        return fx.saturate(fx.multiply_by_quantized_multiplier(product, self.admit_multiplier), 16)

    def emit(self, product):
        """Q0.30 -> hidden, factor from the state tensor."""
        return fx.multiply_by_quantized_multiplier(product, self.emit_multiplier) + self.zero_point


def _read(model: str | Path | bytes) -> IntegerModel:
    from tensorflow.lite.python import schema_py_generated as schema

    where = "The model" if isinstance(model, bytes | bytearray) else f"{model}"
    try:
        data = model if isinstance(model, bytes | bytearray) else Path(model).read_bytes()
    except OSError as error:
        raise KwsError(f"Cannot read the model {model}: {error.strerror}.") from error
    graph = flatbuffer.parse(data, where)
    tensors = graph.subgraphs[0].tensors

    builtin = schema.BuiltinOperator
    expected = [
        builtin.UNIDIRECTIONAL_SEQUENCE_LSTM,
        builtin.STRIDED_SLICE,
        builtin.FULLY_CONNECTED,
        builtin.SOFTMAX,
    ]
    operators = graph.subgraphs[0].operators
    if (
        len(graph.subgraphs) != 1
        or [flatbuffer.operator_number(graph, operator) for operator in operators] != expected
    ):
        raise KwsError(
            f"{where} is not the graph fused LSTM, slice, dense, softmax: convert a tf_keras LSTM "
            "classifier to full int8."
        )
    lstm, last, dense, softmax = operators
    absent = [9, 10, 11, 16, 17, 20, 21, 22, 23]  # peephole, projection, layer norm
    options = lstm.builtinOptions
    if (
        [int(i) for i in np.flatnonzero(np.asarray(lstm.inputs) < 0)] != absent
        or options.timeMajor
        or options.fusedActivationFunction != schema.ActivationFunctionType.TANH
        or dense.builtinOptions.fusedActivationFunction != schema.ActivationFunctionType.NONE
        or tensors[lstm.inputs[0]].type != schema.TensorType.INT8
        or tensors[lstm.inputs[1]].type != schema.TensorType.INT8
        or tensors[lstm.inputs[19]].type != schema.TensorType.INT16
    ):
        raise KwsError(
            f"{where} has an LSTM that is not the plain int8 one with a 16-bit cell: no peephole, "
            "projection, layer norm, input-forget coupling or time-major input is known here."
        )

    def values(index, dtype):
        tensor = tensors[index]
        return np.frombuffer(bytes(graph.buffers[tensor.buffer].data), dtype).reshape(tensor.shape)

    def scales(index):
        return np.asarray(tensors[index].quantization.scale, np.float32)

    def quantization(index):
        parameters = tensors[index].quantization
        return Quantization(np.float32(parameters.scale[0]), int(parameters.zeroPoint[0]))

    def stack(first, dtype):
        return np.stack([values(i, dtype) for i in lstm.inputs[first : first + 4]])

    def gate_scales(first):
        return np.concatenate([scales(i) for i in lstm.inputs[first : first + 4]])

    if len(gate_scales(1)) != 4 or len(gate_scales(5)) != 4:
        raise KwsError(f"{where} has LSTM weights with several scales: the op takes one a gate.")
    if values(last.inputs[1], np.int32)[1] not in (-1, tensors[lstm.inputs[0]].shape[1] - 1):
        raise KwsError(f"{where} does not classify the last step: convert a tf_keras LSTM again.")
    cell_scale = float(scales(lstm.inputs[19])[0])
    cell_power = round(math.log2(cell_scale))
    if cell_scale != 2.0**cell_power or not -15 <= cell_power <= -9:
        raise KwsError(
            f"{where} has a cell state of scale {cell_scale:g}, not a power of two in "
            "2^-15 ... 2^-9: TFLite computes garbage with it; convert again with larger values."
        )
    bias = dense.inputs[2] if len(dense.inputs) > 2 and dense.inputs[2] >= 0 else None
    dense_weights = values(dense.inputs[1], np.int8)
    return IntegerModel(
        input=quantization(lstm.inputs[0]),
        input_weights=stack(1, np.int8),
        input_weight_scales=gate_scales(1),
        recurrent_weights=stack(5, np.int8),
        recurrent_weight_scales=gate_scales(5),
        biases=stack(12, np.int32),
        hidden_state=quantization(lstm.inputs[18]),
        effective_hidden=quantization(lstm.intermediates[4]),
        cell_power=cell_power,
        cell_clip=float(options.cellClip),
        dense_input=quantization(dense.inputs[0]),
        dense_weights=dense_weights,
        dense_weight_scales=scales(dense.inputs[1]),
        dense_biases=(
            np.zeros(len(dense_weights), np.int32) if bias is None else values(bias, np.int32)
        ),
        logits=quantization(dense.outputs[0]),
        beta=float(softmax.builtinOptions.beta),
    )
