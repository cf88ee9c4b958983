"""Exact products of int8 matrices, and FULLY_CONNECTED, which adds a requantization.

Sources: TensorFlow Lite ``kernels/internal/reference/integer_ops/fully_connected.h``; TFLite
Micro ``micro/kernels/fully_connected.cc``.
"""

import re
from typing import Literal

import numpy as np

from kws_tf.quantization import fixed_point as fx

Rounding = Literal["twice", "once"]

#: First TensorFlow of which the reference kernel rounds once (2.19.1 rounds twice).
ROUNDS_ONCE_FROM = (2, 20)


def matmul(x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Exact int8 product ``x @ weights.T`` in int64, through a float GEMM (NumPy's fast path).

    Every partial sum is an integer of at most depth * 2**14: float32 holds it up to 2**24.
    """
    dtype = np.float32 if weights.shape[-1] <= 1024 else np.float64
    return (x.astype(dtype) @ weights.T.astype(dtype)).astype(np.int64)


def fold_zero_point(biases, weights, zero_point: int) -> np.ndarray:
    """``sum w (x - zero_point) = sum w x - zero_point * sum w``: the constant part of a product."""
    return biases - zero_point * weights.sum(axis=-1, dtype=np.int64)


def tflite_rounding() -> Rounding:
    """Returns how FULLY_CONNECTED of the installed TensorFlow's reference kernels rounds.

    Up to TensorFlow 2.19 as every other kernel and TFLite Micro: ``twice``. From 2.20 on ``once``;
    a logit in some thousand is another. Measured on TensorFlow 2.16.2, 2.19.1, 2.20.0 and 2.21.0.
    """
    import tensorflow as tf

    version = tuple(int(part) for part in re.findall(r"\d+", tf.__version__)[:2])
    return "once" if version >= ROUNDS_ONCE_FROM else "twice"


def fully_connected(x, weights, biases, factors, zero_point: int, rounding: Rounding) -> np.ndarray:
    """Int32 accumulator, requantized, plus zero point, saturated to int8 ``[N, C]``.

    Args:
        x: int8 ``[N, H]``.
        weights: int8 ``[C, H]``.
        biases: int ``[C]``, the zero point of ``x`` folded in.
        factors: float64 ``[1]`` or ``[C]``: scale of ``x`` times the weights' over the output's.
        zero_point: Of the output.
        rounding: ``twice``: ``multiply_by_quantized_multiplier``. ``once``: the product with the
            factor in float64, rounded to nearest, halves away from zero.

    Example:
        >>> x, weights = np.array([[5]], np.int8), np.array([[25]], np.int8)
        >>> for rounding in ("twice", "once"):  # of 125 / 250.5 = 0.499
        ...     print(fully_connected(x, weights, np.zeros(1), np.ones(1) / 250.5, 0, rounding))
        [[1]]
        [[0]]
    """
    accumulator = matmul(x, weights) + biases
    if rounding == "once":
        real = accumulator * factors
        whole = np.trunc(real)
        scaled = (whole + np.sign(real) * (np.abs(real - whole) >= 0.5)).astype(np.int64)
    else:
        multiplier = fx.quantize_multiplier(factors)
        scaled = fx.multiply_by_quantized_multiplier(accumulator, multiplier)
    return fx.saturate(scaled + zero_point, 8).astype(np.int8)
