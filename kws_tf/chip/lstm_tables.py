"""The C kernel's constants: weights in the order that its inner loop wants, factors, classifier."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from kws_tf.chip.source import c_array, defines, header
from kws_tf.errors import KwsError
from kws_tf.quantization import fixed_point as fx
from kws_tf.reference import IntegerModel

LARGEST = 512
"""Most units, and most inputs, of the kernel."""
_COLUMNS = 8
_BEYOND = 16
_SUM_BITS = 23  # two sums share an int32, one of them 256 times
_ELSEWHERE = "export the model for CMSIS-NN or the reference kernels"


class Factor(NamedTuple):
    """``kws_factor_t``: multiplier * 2^(left - 32 - right), rounded twice."""

    multiplier: int
    left: int
    half: int
    right: int


class KernelTables(NamedTuple):
    """What ``kws_lstm_data.c`` holds."""

    model: IntegerModel
    weights: np.ndarray
    """int16, flat, in the order that kws_lstm.h tells."""
    factors: list[tuple[Factor, Factor]]
    """Of each gate i, f, c, o: of the input's and of the hidden state's product."""
    hidden_factor: Factor
    cell_limit: int
    dense_biases: np.ndarray
    """int32 [classes], the hidden state's zero point folded in."""
    dense_factors: list[Factor]
    softmax: tuple[int, int, int]
    """Multiplier, shift to the left and smallest difference."""

    @property
    def bytes(self) -> int:
        """Size in flash, the classifier included."""
        classes, factor, pointers = len(self.dense_factors), 16, 40
        return (
            self.weights.nbytes
            + self.model.dense_weights.nbytes
            + classes * (4 + factor)
            + 9 * factor
            + pointers
        )

    @property
    def state_bytes(self) -> int:
        """Memory of the LSTM's state."""
        _, units, inputs = self.model.input_weights.shape
        vectors = [-(-length // 16) * 16 for length in (units, units, units, inputs)]
        return 2 * sum(vectors)


def make_tables(model: IntegerModel) -> KernelTables:
    """Computes the tables of a model.

    Args:
        model: Read from a .tflite file.

    Raises:
        KwsError: If it is too large for the kernel, or a sum might not fit.
    """
    _, units, inputs = model.input_weights.shape
    if max(units, inputs) > LARGEST:
        raise KwsError(
            f"the model has {units} units and {inputs} inputs and the C kernel takes {LARGEST}; "
            f"{_ELSEWHERE}"
        )
    limit = int(model.cell_clip * 2.0**-model.cell_power) if model.cell_clip > 0 else 32768
    dense = model.dense_weights
    biases = model.dense_biases - _zero_point_part(model.dense_input.zero_point, dense)
    return KernelTables(
        model=model,
        weights=_weights(model),
        factors=_gate_factors(model),
        hidden_factor=make_factor(2.0**-30 / np.float64(model.hidden_state.scale)),
        cell_limit=min(limit, 32767) if model.cell_clip > 0 else limit,
        dense_biases=biases.astype(np.int32),
        dense_factors=_dense_factors(model),
        softmax=_softmax(model),
    )


def make_factor(real: float) -> Factor:
    """Splits a real factor as TFLM does."""
    multiplier = fx.quantize_multiplier(real)
    left, right = max(int(multiplier.shift), 0), max(-int(multiplier.shift), 0)
    return Factor(int(multiplier.mantissa), left + 1, (1 << right) >> 1, right)


def _weights(model: IntegerModel) -> np.ndarray:
    from_input = _zero_point_part(model.input.zero_point, model.input_weights)
    from_hidden = _zero_point_part(model.hidden_state.zero_point, model.recurrent_weights)
    units = np.concatenate(
        [
            _packed(model.input_weights, model.biases.astype(np.int64) - from_input),
            _packed(model.recurrent_weights, -from_hidden),
        ],
        axis=1,
    )
    return np.concatenate([units.ravel(), np.zeros(_BEYOND, np.int16)])


def _zero_point_part(zero_point: int, weights: np.ndarray) -> np.ndarray:
    return zero_point * weights.sum(axis=-1, dtype=np.int64)


def _packed(weights: np.ndarray, biases: np.ndarray) -> np.ndarray:
    """Packs the rows of each unit: int8 [4, units, columns] and [4, units] to int16 [units, n]."""
    _, units, columns = weights.shape
    largest = np.abs(biases) + 128 * np.abs(weights.astype(np.int64)).sum(axis=-1)
    if weights.min() < -127 or largest.max() >= 1 << _SUM_BITS:
        raise KwsError(
            f"a sum of the LSTM's products may exceed the C kernel's 24 bits; {_ELSEWHERE}"
        )
    wide = weights.astype(np.int32)
    rows = np.zeros((units, 2, -(-columns // _COLUMNS) * _COLUMNS), np.int16)
    rows[:, 0, :columns] = 256 * wide[1] + wide[0]
    rows[:, 1, :columns] = 256 * wide[3] + wide[2]
    # Four columns of the rows i and f, four of the rows c and o.
    in_turn = rows.reshape(units, 2, -1, 4).transpose(0, 2, 1, 3).reshape(units, -1)
    i, f, c, o = biases
    starts = np.stack([256 * f + i, i, 256 * o + c, c], axis=1)
    halfwords = (starts & 0xFFFFFFFF).astype("<u4").view(np.int16)
    return np.concatenate([halfwords, in_turn], axis=1)


def _gate_factors(model: IntegerModel) -> list[tuple[Factor, Factor]]:
    def to_q3_12(weight_scale, scale) -> Factor:
        return make_factor(np.float64(weight_scale) * np.float64(scale) * 2.0**12)

    scales = zip(model.input_weight_scales, model.recurrent_weight_scales, strict=True)
    return [
        (to_q3_12(of_input, model.input.scale), to_q3_12(of_hidden, model.hidden_state.scale))
        for of_input, of_hidden in scales
    ]


def _dense_factors(model: IntegerModel) -> list[Factor]:
    scale = np.float64(model.dense_input.scale)
    scales = scale * model.dense_weight_scales.astype(np.float64) / np.float64(model.logits.scale)
    return [make_factor(real) for real in np.broadcast_to(scales, len(model.dense_weights))]


def _softmax(model: IntegerModel) -> tuple[int, int, int]:
    factor = min(model.beta * float(model.logits.scale) * 2.0**26, 2.0**31 - 1)
    multiplier = fx.quantize_multiplier(factor)
    left = int(multiplier.shift)
    return int(multiplier.mantissa), left, -((31 << 26) >> left)


def data_header(tables: KernelTables) -> str:
    """Returns ``kws_lstm_data.h``."""
    _, units, inputs = tables.model.input_weights.shape
    lines = [
        '#include "kws_classifier.h"',
        '#include "kws_lstm.h"',
        "",
        *defines(LSTM_UNITS=units, LSTM_INPUTS=inputs),
        "",
        "#ifdef __cplusplus",
        'extern "C" {',
        "#endif",
        "",
        "extern const kws_lstm_t kws_lstm;",
        "extern const kws_classifier_t kws_classifier;",
        "",
        "#ifdef __cplusplus",
        "}",
        "#endif",
    ]
    return header("KWS_LSTM_DATA_H_", lines)


def data_source(tables: KernelTables) -> str:
    """Returns ``kws_lstm_data.c``."""
    model = tables.model
    _, units, inputs = model.input_weights.shape
    classes = len(model.dense_weights)
    pairs = (f"{{{_c(of_input)}, {_c(of_hidden)}}}" for of_input, of_hidden in tables.factors)
    multiplier, left, smallest = tables.softmax
    return "\n".join(
        [
            '#include "kws_lstm_data.h"\n',
            c_array("int16_t", "weights", tables.weights, "static __attribute__((aligned(8))) "),
            "const kws_lstm_t kws_lstm = {",
            f"    {inputs}, {units}, weights,",
            f"    {{{_lines(pairs)}}},",
            f"    {_c(tables.hidden_factor)}, {model.hidden_state.zero_point}, "
            f"{model.cell_power}, {tables.cell_limit}}};\n",
            c_array("int8_t", "dense_weights", model.dense_weights, "static "),
            c_array("int32_t", "dense_biases", tables.dense_biases, "static "),
            f"static const kws_factor_t dense_factors[{classes}] = {{",
            f"    {_lines(map(_c, tables.dense_factors))}}};\n",
            "const kws_classifier_t kws_classifier = {",
            f"    {units}, {classes}, dense_weights, dense_biases, dense_factors, "
            f"{model.logits.zero_point},",
            f"    {multiplier}, {left}, ({smallest})}};\n",
        ]
    )


def _lines(texts: Iterable[str]) -> str:
    return ",\n     ".join(texts)


def _c(factor: Factor) -> str:
    return "{" + ", ".join(map(str, factor)) + "}"
