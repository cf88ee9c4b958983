"""The ``tflite`` profile's LSTM with a hand-written gradient: what training spends its time in.

The same function as ``QuantizedLSTMCell.step`` over all steps, value and gradient (a test
compares them), at a fraction of the cost:

* it works on integers (as floats, exact below 2^24), so that a format costs one rounding
  instead of a division, a rounding and a multiplication;
* the gradient of a step needs the gates, the cell and its tanh; nothing else is kept;
* the gradient of the recurrent kernel is one product over all steps after the loop.
"""

import tensorflow as tf

from kws_tf.model import runtimes
from kws_tf.model.exact_matmul import away_from_zero, requantization

_Q15 = 2.0**15
_Q12 = 2.0**12


def lstm(input_products: tf.Tensor, cell) -> tf.Tensor:
    """Runs the LSTM from the products of the inputs.

    Args:
        input_products: float32 [steps, batch, 4 units], from ``cell.input_product``.
        cell: A built ``QuantizedLSTMCell`` with the ``tflite`` profile's formats.

    Returns:
        float32 [steps, batch, units], the fake-quantized hidden states.
    """
    recurrent, recurrent_scale = cell.recurrent_weights()
    hidden_scale = cell.scale("hidden")
    cell_scale = cell.scale("cell")
    cell_limit = cell.quantizers["cell"].limit(cell._clips["cell"])
    hidden_quantizer = cell.quantizers["hidden"]
    dtype = input_products.dtype
    gates_of, tanh_of_cell = runtimes.fused_activations(
        cell.runtime, cell.units, cell_scale, dtype.name
    )
    # TFLite adds the product of the hidden state as it is, TFLM saturates it first.
    hidden_product = (lambda x: x) if cell.runtime == "tflite" else _int16
    steps, units = input_products.shape[0], cell.units

    @tf.custom_gradient
    def run(products, recurrent, hidden_clip, cell_clip):
        batch = tf.shape(products)[1]
        zeros = tf.zeros([batch, units], dtype)
        integers = tf.round(recurrent / recurrent_scale)

        def factor(value):
            wanted = runtimes.FACTOR_DTYPE.get(cell.runtime, dtype)
            return tf.cast(tf.cast(value, wanted), dtype)

        first, second = requantization(factor(hidden_scale * recurrent_scale * _Q12))
        away = away_from_zero(dtype)
        # TFLM requantizes these products in two roundings, the first to a half; float32 cannot
        # hold them to the bit that this would matter for.
        twice = cell.runtime == "tflm" and dtype == tf.float64
        halved = (lambda x: 2.0 * tf.floor((x + 1.0) / 2.0)) if twice else (lambda x: x)
        kept_scale = away / _Q15
        written_scale = away * 2.0**-30 / cell_scale
        output_scale = away * factor(2.0**-30 / hidden_scale)
        low, high = float(hidden_quantizer.low), float(hidden_quantizer.high)

        def saved(size):
            return tf.TensorArray(dtype, steps, element_shape=[None, size])

        def step(t, hidden, state, gates, states, tanhs, hiddens):
            product = tf.round(tf.round(tf.matmul(hidden, integers) * first) * second)
            activated = gates_of(_int16(hidden_product(product) + products[t] * _Q12))
            i, f, c, o = tf.split(activated, 4, axis=1)
            state = tf.round(halved(f * state) * kept_scale) + tf.round(
                halved(i * c) * written_scale
            )
            state = _limit(state, -cell_limit, cell_limit)
            tanh_state = tanh_of_cell(state)
            hidden = _limit(tf.round(o * tanh_state * output_scale), low, high)
            return (
                t + 1,
                hidden,
                state,
                gates.write(t, activated),
                states.write(t, state),
                tanhs.write(t, tanh_state),
                hiddens.write(t, hidden),
            )

        loop = (0, zeros, zeros, saved(4 * units), saved(units), saved(units), saved(units))
        *_, gates, states, tanhs, hiddens = tf.while_loop(
            lambda t, *_: t < steps, step, loop, maximum_iterations=steps, parallel_iterations=1
        )
        hiddens = hiddens.stack() * hidden_scale

        def gradient(upstream):
            return _gradient(
                upstream,
                (gates.stack(), states.stack(), tanhs.stack(), hiddens),
                recurrent,
                hidden_clip,
                cell_scale,
                cell_limit,
            )

        return hiddens, gradient

    return run(input_products, recurrent, cell.clip("hidden"), cell.clip("cell"))


def _gradient(upstream, saved, recurrent, hidden_clip, cell_scale, cell_limit):
    """Goes back through time; straight-through at each rounding, PACT at each clip.

    Returns:
        Gradients of the input products, the recurrent kernel, the hidden and the cell clip.
    """
    gates, states, tanhs, hiddens = saved
    steps, units = states.shape[0], states.shape[2]
    batch = tf.shape(states)[1]
    dtype = states.dtype
    zeros = tf.zeros([batch, units], dtype)
    previous_states = tf.concat([zeros[None], states[:-1]], 0)

    def step(t, d_hidden, d_state, d_gates, d_hidden_clip, d_cell_clip):
        i, f, c, o = tf.split(gates[t] * (1 / _Q15), 4, axis=1)
        tanh_state = tanhs[t] * (1 / _Q15)
        d_hidden = d_hidden + upstream[t]
        output = o * tanh_state
        inside = tf.cast(tf.abs(output) <= hidden_clip, dtype)
        d_hidden_clip += tf.reduce_sum((1.0 - inside) * tf.sign(output) * d_hidden)
        d_hidden *= inside
        d_state = d_state + d_hidden * o * (1.0 - tanh_state * tanh_state)
        state = states[t]
        inside = tf.cast(tf.abs(state) < cell_limit, dtype)
        d_cell_clip += tf.reduce_sum((1.0 - inside) * tf.sign(state) * d_state)
        d_state *= inside
        d_z = tf.concat(
            [
                d_state * c * (i * (1.0 - i)),
                d_state * (previous_states[t] * cell_scale) * (f * (1.0 - f)),
                d_state * i * (1.0 - c * c),
                d_hidden * tanh_state * (o * (1.0 - o)),
            ],
            1,
        )
        d_hidden = tf.matmul(d_z, recurrent, transpose_b=True)
        return t - 1, d_hidden, d_state * f, d_gates.write(t, d_z), d_hidden_clip, d_cell_clip

    d_gates = tf.TensorArray(dtype, steps, element_shape=[None, 4 * units])
    loop = (steps - 1, zeros, zeros, d_gates, tf.zeros([], dtype), tf.zeros([], dtype))
    *_, d_gates, d_hidden_clip, d_cell_clip = tf.while_loop(
        lambda t, *_: t >= 0, step, loop, maximum_iterations=steps, parallel_iterations=1
    )
    d_gates = d_gates.stack()
    previous_hiddens = tf.concat([zeros[None], hiddens[:-1]], 0)
    d_recurrent = tf.matmul(
        tf.reshape(previous_hiddens, [-1, units]),
        tf.reshape(d_gates, [-1, 4 * units]),
        transpose_a=True,
    )
    return d_gates, d_recurrent, d_hidden_clip, d_cell_clip


def _int16(x):
    return _limit(x, -_Q15, _Q15 - 1)


def _limit(x, low, high):
    """``tf.clip_by_value`` in one op instead of two; it needs no gradient here."""
    low, high = tf.cast(low, x.dtype), tf.cast(high, x.dtype)
    return tf.raw_ops.ClipByValue(t=x, clip_value_min=low, clip_value_max=high)
