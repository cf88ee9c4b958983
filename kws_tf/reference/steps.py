"""A time step of the integer LSTM, in TFLite's and in TFLite Micro's arithmetic.

Sources: TensorFlow Lite ``kernels/unidirectional_sequence_lstm.cc`` (Prepare: effective scales and
biases), ``kernels/lstm_eval.cc`` (CalculateLstmGateInteger8x8_16, UpdateLstmCellInteger,
CalculateLstmOutputInteger8x8_16); TFLite Micro ``micro/kernels/lstm_eval_common.cc`` and
``lstm_eval.cc``.
"""

import math

import numpy as np

from kws_tf.quantization import activation_tables as act
from kws_tf.quantization import fixed_point as fx
from kws_tf.reference.products import fold_zero_point, matmul


class _Step:
    """One time step, as far as the runtimes agree; the subclasses are where they do not.

    1. Each gate takes two products, ``W x + b`` and ``R h`` (int32, zero points removed), each
       requantized on its own to Q3.12 (scale 2**-12), and their saturated sum.
    2. i, f, o = sigmoid, g = tanh: Q3.12 -> Q0.15.
    3. cell = f * cell + i * g, int16: each product rounded on its own, the sum saturated, then
       limited to the cell's clip.
    4. hidden = o * tanh(cell): Q0.30, rounded to the hidden state's scale, saturated to int8.
    """

    runtime: str

    def __init__(self, model):
        """Prepares an ``IntegerModel``: the op's constants."""
        self.sigmoid = getattr(act, f"{self.runtime}_sigmoid_table")()
        tanh = getattr(act, f"{self.runtime}_tanh_table")
        self.gate_tanh, self.cell_tanh = tanh(3), tanh(15 + model.cell_power)
        units = model.biases.shape[1]
        self.input_weights = model.input_weights.reshape(4 * units, -1)
        self.recurrent_weights = model.recurrent_weights.reshape(4 * units, -1)
        biases = model.biases.reshape(-1)
        self.input_biases = fold_zero_point(biases, self.input_weights, model.input.zero_point)
        self.recurrent_biases = fold_zero_point(
            0, self.recurrent_weights, model.hidden_state.zero_point
        )

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
                matmul(x, self.input_weights) + self.input_biases, self.input_multiplier
            ),
            fx.multiply_by_quantized_multiplier(
                matmul(hidden, self.recurrent_weights) + self.recurrent_biases,
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
        hidden = fx.multiply_by_quantized_multiplier(output, self.emit_multiplier)
        return fx.saturate(hidden + self.zero_point, 8).astype(np.int8), cell


class TfliteStep(_Step):
    """TFLite: fixed-point activations, factors in float32, cell products shifted.

    The new hidden state's scale and zero point are those of intermediate 4.
    """

    runtime = "tflite"

    def __init__(self, model):
        super().__init__(model)
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


class TflmStep(_Step):
    """TFLite Micro: table activations, factors in float64, cell products requantized.

    The new hidden state's scale and zero point are those of the state tensor.
    """

    runtime = "tflm"

    def __init__(self, model):
        super().__init__(model)
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


STEPS = {"tflite": TfliteStep, "tflm": TflmStep}
