"""The LSTM over time with a hand-written gradient: what training spends its time in.

Two kinds: the ``tflite`` profile's arithmetic, the same function as ``QuantizedLSTMCell.step``
over all steps, value and gradient, and a plain float LSTM, for pretraining. The quantized one works
on integers (as floats, exact below 2^24), so that a format costs one rounding. What a step does
element by element is compiled into one loop (XLA) in float32; float64, for proofs, stays op by op.
The gradient of the recurrent kernel is one product over all steps; its products, never the exact
forward ones, may be in bfloat16, which some CPUs multiply at twice the rate.
"""

import functools
from dataclasses import dataclass

import tensorflow as tf

from kws_tf.quantization import activations
from kws_tf.quantization import requantization as rq
from kws_tf.quiet import captured_stderr

_Q15 = 2.0**15
_Q12 = 2.0**12


@dataclass(frozen=True)
class _Formats:
    """What the gradient needs of the numbers that the forward steps keep; ``None`` is no clip."""

    unit: float = 1.0  # value of gates and tanh per unit kept
    cell_scale: tf.Tensor | float = 1.0  # value of the cell per unit kept
    cell_limit: tf.Tensor | None = None  # largest cell, in units kept
    cell_clip: tf.Tensor | None = None  # in units kept; up to one above the limit of 16 bits
    hidden_clip: tf.Tensor | None = None  # largest hidden state

    def cell(self, kept):
        """Returns the real value of a cell state."""
        if self.cell_limit is not None:
            kept = _limit(kept, -self.cell_limit, self.cell_limit)
        return kept * self.cell_scale


def plain_lstm(input_products: tf.Tensor, recurrent: tf.Tensor, product_dtype: str) -> tf.Tensor:
    """Runs a float LSTM, [steps, batch, 4 units] to hidden states [steps, batch, units].

    Args:
        input_products: Of the inputs and the kernel, with the bias.
        recurrent: The recurrent kernel, [units, 4 units], gates i, f, c, o.
        product_dtype: Type of the recurrent products, forward and back.
    """
    units = input_products.shape[2] // 4
    gain = tf.repeat(tf.constant([1.0, 1.0, 2.0, 1.0], input_products.dtype), units)

    @_compiled(input_products.dtype)
    def activate(product, input_product, state):
        # tanh(x) = 2 sigmoid(2 x) - 1, so that one function serves all gates.
        gates = tf.sigmoid((tf.cast(product, input_product.dtype) + input_product) * gain)
        gates = gates * gain - (gain - 1.0)
        i, f, c, o = tf.split(gates, 4, axis=1)
        state = f * state + i * c
        tanh_state = tf.tanh(state)
        hidden = o * tanh_state
        return gates, state, tanh_state, hidden, hidden

    @tf.custom_gradient
    def run(products, recurrent):
        factor = tf.cast(recurrent, product_dtype)

        def multiply(hidden):
            return tf.matmul(tf.cast(hidden, product_dtype), factor)

        hiddens, kept = _forward(products, multiply, activate)

        def gradient(upstream):
            return _backward(upstream, hiddens, kept, recurrent, _Formats(), product_dtype)[:2]

        return hiddens, gradient

    return run(input_products, recurrent)


def lstm(inputs: tf.Tensor, cell, gradient_dtype: str = "float32") -> tf.Tensor:
    """Runs the quantized LSTM, [steps, batch, input] to hidden states [steps, batch, units].

    Args:
        inputs: Not quantized yet.
        cell: A built ``QuantizedLSTMCell`` with the ``tflite`` profile's formats.
        gradient_dtype: Type of the gradient's products.
    """
    steps, batch, features = inputs.shape[0], tf.shape(inputs)[1], inputs.shape[2]
    input_scale, (kernel, kernel_scale) = cell.scale("input"), cell.kernel_weights()
    # The bias has no quantizer of its own in these formats: it is an int32.
    totals = rq.integer_totals(
        cell.quantize("input", tf.reshape(inputs, [-1, features])),
        kernel,
        input_scale,
        kernel_scale,
        cell.bias,
    )
    totals = tf.reshape(totals, [steps, batch, 4 * cell.units])
    recurrent, recurrent_scale = cell.recurrent_weights()
    # All that reads a variable stands here: within ``run`` TensorFlow wants it as an argument.
    product_scales = input_scale * kernel_scale, cell.scale("hidden") * recurrent_scale
    activate = _quantized_step(cell, product_scales, totals.dtype)
    cell_scale, cell_limit = cell.scale("cell"), _cell_limit(cell)

    @tf.custom_gradient
    def run(totals, recurrent, hidden_clip, cell_clip):
        integers = tf.round(recurrent / recurrent_scale)
        hiddens, kept = _forward(totals, lambda hidden: tf.matmul(hidden, integers), activate)
        formats = _Formats(1 / _Q15, cell_scale, cell_limit, cell_clip / cell_scale, hidden_clip)

        def gradient(upstream):
            return _backward(upstream, hiddens, kept, recurrent, formats, gradient_dtype)

        return hiddens, gradient

    return run(totals, recurrent, cell.clip("hidden"), cell.clip("cell"))


def _cell_limit(cell):
    return cell.quantizers["cell"].limit(cell._clips["cell"])


def _quantized_step(cell, product_scales, dtype):
    """Returns what a step does element by element, on integers held in floats of a type.

    The scales are those of the integer products of the input and of the hidden state.
    """
    hidden_scale, cell_scale = cell.scale("hidden"), cell.scale("cell")
    cell_limit = _cell_limit(cell)
    gates_of, tanh_of_cell = activations.fused_activations(
        cell.runtime, cell.units, cell_scale, dtype.name
    )
    # TFLite adds the product of the hidden state as it is, TFLM saturates it first.
    saturated = (lambda x: x) if cell.runtime == "tflite" else _int16

    def factor(value):
        wanted = activations.FACTOR_DTYPE.get(cell.runtime, dtype)
        return tf.cast(tf.cast(value, wanted), dtype)

    of_input, of_hidden = (rq.requantization(factor(scale * _Q12)) for scale in product_scales)
    away = rq.away_from_zero(dtype)
    # TFLM requantizes these products in two roundings, the first to a half; float32 cannot
    # hold them to the bit that this would matter for.
    twice = cell.runtime == "tflm" and dtype == tf.float64
    halved = (lambda x: 2.0 * tf.floor((x + 1.0) / 2.0)) if twice else (lambda x: x)
    kept_scale = away / _Q15
    written_scale = away * 2.0**-30 / cell_scale
    output_scale = away * factor(2.0**-30 / hidden_scale)
    low, high = (float(getattr(cell.quantizers["hidden"], end)) for end in ("low", "high"))

    @_compiled(dtype)
    def activate(total, input_total, state):
        product = saturated(rq.requantize(total, *of_hidden))
        gates = gates_of(_int16(product + _int16(rq.requantize(input_total, *of_input))))
        i, f, c, o = tf.split(gates, 4, axis=1)
        kept = halved(f * _limit(state, -cell_limit, cell_limit)) * kept_scale
        written = halved(i * c) * written_scale
        state = tf.round(kept) + tf.round(written)
        tanh_state = tanh_of_cell(_limit(state, -cell_limit, cell_limit))
        hidden = _limit(tf.round(o * tanh_state * output_scale), low, high)
        # The state before its limit: the gradient depends on whether it was cut.
        return gates, state, tanh_state, hidden, hidden * hidden_scale

    return activate


def _compiled(dtype):
    """Decorates what is to be compiled into one loop: in a graph, which keeps it; float32 only."""
    if tf.executing_eagerly() or dtype != tf.float32:
        return lambda function: function
    return tf.function(jit_compile=True)


@functools.cache
def start_compiler() -> None:
    """Starts XLA, which else would print to stderr later, whatever the log level."""
    with captured_stderr():
        tf.function(lambda: tf.zeros([]) + 1.0, jit_compile=True)()


def _forward(input_products, multiply, activate):
    """Runs over time; returns hidden states and, for the gradient, gates, tanhs and cell states.

    ``multiply`` makes of a hidden state its product with the recurrent kernel, ``activate`` of
    that, the input's and the cell state gates, new cell state, its tanh and the new hidden state,
    as the next step takes it and as a real number. Cell states begin before the first step.
    """
    dtype, steps = input_products.dtype, input_products.shape[0]
    units = input_products.shape[2] // 4
    zeros = tf.zeros([tf.shape(input_products)[1], units], dtype)

    def array(size, length=steps):
        return tf.TensorArray(dtype, length, element_shape=[None, size])

    arrays = (array(units), array(4 * units), array(units), array(units, steps + 1).write(0, zeros))

    def step(t, hidden, state, hiddens, gates, tanhs, states):
        product = multiply(hidden)
        gates_now, state, tanh_state, hidden, output = activate(product, input_products[t], state)
        return (
            t + 1,
            hidden,
            state,
            hiddens.write(t, output),
            gates.write(t, gates_now),
            tanhs.write(t, tanh_state),
            states.write(t + 1, state),
        )

    *_, hiddens, gates, tanhs, states = tf.while_loop(
        lambda t, *_: t < steps,
        step,
        (0, zeros, zeros, *arrays),
        maximum_iterations=steps,
        parallel_iterations=1,
    )
    return hiddens.stack(), [array.stack() for array in (gates, tanhs, states)]


def _backward(upstream, hiddens, kept, recurrent, formats: _Formats, product_dtype: str):
    """Goes back through time; straight-through at each rounding, PACT at each clip.

    Returns the gradients of the input products, the recurrent kernel, the hidden and cell clip.
    """
    gates, tanhs, states = kept
    steps, units = hiddens.shape[0], hiddens.shape[2]
    dtype = hiddens.dtype
    product_dtype = tf.as_dtype(product_dtype) if dtype == tf.float32 else dtype
    zeros = tf.zeros_like(hiddens[0])
    factor = tf.cast(recurrent, product_dtype)
    step_back = _gradient_step(formats, dtype, product_dtype)

    def step(t, d_hidden, d_state, d_gates, d_clips):
        d_z, d_state, d_clips_now = step_back(
            gates[t], states[t + 1], tanhs[t], states[t], upstream[t], d_hidden, d_state
        )
        d_z = tf.concat(d_z, 1)  # here, for XLA would find out for each number which part it is of
        d_hidden = tf.matmul(d_z, factor, transpose_b=True)
        return t - 1, d_hidden, d_state, d_gates.write(t, d_z), d_clips + d_clips_now

    d_gates = tf.TensorArray(product_dtype, steps, element_shape=[None, 4 * units])
    loop = (steps - 1, tf.cast(zeros, product_dtype), zeros, d_gates, tf.zeros([2], dtype))
    *_, d_gates, d_clips = tf.while_loop(
        lambda t, *_: t >= 0, step, loop, maximum_iterations=steps, parallel_iterations=1
    )
    d_gates = d_gates.stack()
    d_recurrent = tf.matmul(  # the first step's hidden state is 0
        tf.reshape(tf.cast(hiddens[:-1], product_dtype), [-1, units]),
        tf.reshape(d_gates[1:], [-1, 4 * units]),
        transpose_a=True,
    )
    return tf.cast(d_gates, dtype), tf.cast(d_recurrent, dtype), d_clips[0], d_clips[1]


def _gradient_step(formats: _Formats, dtype, product_dtype):
    """Returns what a step of the gradient does element by element."""

    def through_clip(value, clip, d_value):
        """Gradients of a value before its clip and of the clip."""
        if clip is None:
            return d_value, 0.0
        inside = tf.cast(tf.abs(value) <= clip, dtype)
        d_clip = tf.reduce_sum((1.0 - inside) * tf.sign(value) * d_value)
        return d_value * inside, d_clip

    @_compiled(dtype)
    def step_back(gates, state, tanh_state, previous, upstream, d_hidden, d_state):
        i, f, c, o = tf.split(gates * formats.unit, 4, axis=1)
        tanh_state = tanh_state * formats.unit
        d_hidden = tf.cast(d_hidden, dtype) + upstream
        d_hidden, d_hidden_clip = through_clip(o * tanh_state, formats.hidden_clip, d_hidden)
        d_state = d_state + d_hidden * o * (1.0 - tanh_state * tanh_state)
        d_state, d_cell_clip = through_clip(state, formats.cell_clip, d_state)
        d_z = [
            d_state * c * (i * (1.0 - i)),
            d_state * formats.cell(previous) * (f * (1.0 - f)),
            d_state * i * (1.0 - c * c),
            d_hidden * tanh_state * (o * (1.0 - o)),
        ]
        d_clips = tf.cast(tf.stack([d_hidden_clip, d_cell_clip]), dtype)
        return [tf.cast(part, product_dtype) for part in d_z], d_state * f, d_clips

    return step_back


def _int16(x):
    return _limit(x, -_Q15, _Q15 - 1)


def _limit(x, low, high):
    """``tf.clip_by_value`` in one op instead of two; it needs no gradient here."""
    low, high = tf.cast(low, x.dtype), tf.cast(high, x.dtype)
    return tf.raw_ops.ClipByValue(t=x, clip_value_min=low, clip_value_max=high)
