"""Sigmoid and tanh of the runtimes, for simulation in the layer.

``ideal`` is the exact function, rounded by the signal's quantizer. ``tflm`` and ``tflite`` look
the runtimes' own 16-bit functions up in their tables (``activation_tables``); the gradient is that
of the exact function, taken at the looked-up value.
"""

import functools

import numpy as np
import tensorflow as tf

from kws_tf.quantization import activation_tables

#: Type in which a runtime multiplies scales; others use the layer's own.
FACTOR_DTYPE = {"tflite": tf.float32, "tflm": tf.float64}

RUNTIMES = ("ideal", "tflm", "tflite")
_Q12 = 2.0**12
_Q15 = 2.0**15
_TABLE = 2**16


@functools.cache
def tables(runtime: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns a runtime's functions, float32 integers in Q0.15; input x is at index x + 32768.

    First the gates' of Q3.12, sigmoid then tanh, [2 * 65536]; then tanh of a cell of scale 2^-15,
    2^-14, 2^-13, 2^-12, [4 * 65536].
    """
    sigmoid = getattr(activation_tables, f"{runtime}_sigmoid_table")()
    tanh = getattr(activation_tables, f"{runtime}_tanh_table")
    gates = np.concatenate([sigmoid, tanh(3)])
    cell = np.concatenate([tanh(integer_bits) for integer_bits in range(4)])
    return gates.astype(np.float32), cell.astype(np.float32)


def _look_up(table, integers, offset=0):
    """Looks integers in float32 up; ``offset`` picks a table out of several."""
    return tf.gather(table, tf.cast(integers, tf.int32) + (offset + 32768))


def _cell_table_offset(cell_scale):
    """Returns the offset of the cell's tanh in ``tables``, int32 scalar."""
    power = tf.math.log(tf.cast(cell_scale, tf.float32)) / np.log(2.0)
    return tf.cast(tf.round(power) + 15.0, tf.int32) * _TABLE


def sigmoid(runtime: str, x):
    """Computes the sigmoid of a gate, real values on the Q3.12 grid unless ``ideal``."""
    if runtime == "ideal":
        return tf.sigmoid(x)

    @tf.custom_gradient
    def forward(x):
        y = _look_up(tables(runtime)[0].astype(x.dtype.name), tf.round(x * _Q12)) / _Q15
        return y, lambda upstream: upstream * y * (1.0 - y)

    return forward(x)


def tanh(runtime: str, x, cell_scale=None):
    """Computes the tanh of the candidate, or of a cell state of the given scale."""
    if runtime == "ideal":
        return tf.tanh(x)
    gates, cell = (table.astype(x.dtype.name) for table in tables(runtime))

    @tf.custom_gradient
    def forward(x):
        if cell_scale is None:
            y = _look_up(gates, tf.round(x * _Q12), _TABLE)
        else:
            y = _look_up(cell, tf.round(x / cell_scale), _cell_table_offset(cell_scale))
        y = y / _Q15
        return y, lambda upstream: upstream * (1.0 - y * y)

    return forward(x)


def fused_activations(runtime: str, units: int, cell_scale, dtype: str):
    """Returns both functions on integers held in ``dtype``: Q3.12 or the cell's format to Q0.15.

    The first takes all gates, [batch, 4 units], the third quarter through tanh; the second is the
    cell's tanh, [batch, units].
    """
    candidate = np.repeat(np.array([0, 0, 1, 0], np.int32), units)
    if runtime == "ideal":
        # tanh(x) = 2 sigmoid(2 x) - 1, so that one sigmoid serves all gates.
        gain = ((1 + candidate) / _Q12).astype(dtype)
        factor = ((1 + candidate) * _Q15).astype(dtype)
        offset = (candidate * _Q15).astype(dtype)

        def gates(z):
            return tf.minimum(tf.round(tf.sigmoid(z * gain) * factor - offset), _Q15 - 1)

        def cell_tanh(state):
            return tf.minimum(tf.round(tf.tanh(state * cell_scale) * _Q15), _Q15 - 1)

        return gates, cell_tanh

    gate_table, cell_table = (tf.constant(table, dtype) for table in tables(runtime))
    gate_offset = candidate * _TABLE
    cell_offset = _cell_table_offset(cell_scale)
    return (
        lambda z: _look_up(gate_table, z, gate_offset),
        lambda state: _look_up(cell_table, state, cell_offset),
    )
