"""What firmware needs of a model file: its ops for TFLM's resolver, and its arena."""

from typing import NamedTuple

import numpy as np

from kws_tf.errors import KwsError
from kws_tf.tflite import tflm
from kws_tf.tflite.graph import Graph
from kws_tf.tflite.model import Model

# Method of MicroMutableOpResolver for each builtin op (tensorflow/lite/micro/
# micro_mutable_op_resolver.h of tflite-micro): the ops a small int8 classifier may be made of.
RESOLVER_METHODS = {
    "ADD": "AddAdd",
    "AVERAGE_POOL_2D": "AddAveragePool2D",
    "CONCATENATION": "AddConcatenation",
    "CONV_2D": "AddConv2D",
    "DEPTHWISE_CONV_2D": "AddDepthwiseConv2D",
    "EXPAND_DIMS": "AddExpandDims",
    "FULLY_CONNECTED": "AddFullyConnected",
    "GATHER": "AddGather",
    "LOGISTIC": "AddLogistic",
    "MAXIMUM": "AddMaximum",
    "MAX_POOL_2D": "AddMaxPool2D",
    "MEAN": "AddMean",
    "MINIMUM": "AddMinimum",
    "MUL": "AddMul",
    "PACK": "AddPack",
    "PAD": "AddPad",
    "QUANTIZE": "AddQuantize",
    "RELU": "AddRelu",
    "RESHAPE": "AddReshape",
    "SLICE": "AddSlice",
    "SOFTMAX": "AddSoftmax",
    "SPLIT": "AddSplit",
    "SPLIT_V": "AddSplitV",
    "SQUEEZE": "AddSqueeze",
    "STRIDED_SLICE": "AddStridedSlice",
    "SUB": "AddSub",
    "TANH": "AddTanh",
    "TRANSPOSE": "AddTranspose",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "AddUnidirectionalSequenceLSTM",
    "UNPACK": "AddUnpack",
}

KERNELS = ("kws", "cmsis-nn", "reference")
"""Whose LSTM runs under TFLM: the project's own, CMSIS-NN's or TFLM's."""
ARENA_MARGIN = 0.05
_ARENA_STEP = 256


class TflmModel(NamedTuple):
    """A model as the firmware sees it."""

    methods: tuple[str, ...]
    """Of ``MicroMutableOpResolver``, one for each kind of op."""
    ends_in_softmax: bool
    kernels: str
    """One of ``KERNELS``."""
    arena_used: int
    """Bytes that tflite-micro used of its arena, reference kernels, on a 64-bit machine."""
    arena_needed: int
    """By ``kernels``, likewise."""
    arena_bytes: int
    """What the application reserves: ``arena_needed`` with ``ARENA_MARGIN``, rounded up."""


def inspect(model: Model, kernels: str = KERNELS[0]) -> TflmModel:
    """Reads a model's ops and measures its arena.

    Args:
        model: From ``kws_tf.tflite.model.load``.
        kernels: One of ``KERNELS``.

    Raises:
        KwsError: If there are no such kernels, or the model has no fused LSTM or an op that the
            firmware does not have, or does not run.
    """
    if kernels not in KERNELS:
        raise KwsError(f"there are no kernels {kernels!r}; choose {', '.join(KERNELS)}")
    graph = Graph(model.content, str(model.path))
    unknown = sorted(set(graph.names) - set(RESOLVER_METHODS))
    if unknown:
        raise KwsError(
            f"{model.path} has operators that the firmware does not have ({', '.join(unknown)}); "
            "convert an LSTM spotter with kws-tf convert"
        )
    front_end = model.manifest.front_end
    shape = (1, front_end.frames, front_end.features)
    ran = tflm.run(model.content, np.zeros(shape, np.int8), str(model.path))
    used = ran.arena_bytes["total"]
    needed = arena_needed(used, model.manifest.hidden_units, front_end.features, kernels)
    wanted = -(-round(needed * (1 + ARENA_MARGIN)) // _ARENA_STEP) * _ARENA_STEP
    methods = tuple(RESOLVER_METHODS[name] for name in dict.fromkeys(graph.names))
    return TflmModel(methods, graph.names[-1] == "SOFTMAX", kernels, used, needed, wanted)


def arena_needed(used: int, units: int, inputs: int, kernels: str) -> int:
    """Returns the arena that a kernel needs, bytes; a 32-bit chip needs about a tenth less.

    Args:
        used: By the reference kernels on a 64-bit machine.
        units: Of the LSTM.
        inputs: Features of a frame.
        kernels: One of ``KERNELS``.
    """
    if kernels == "cmsis-nn":  # keeps the sums of both products of four gates, int32
        return used + 8 * 4 * units
    if kernels == "kws":  # instead of four 16-bit gates: hidden state twice and input, 16 bits
        vectors = [-(-length // 16) * 16 for length in (units, units, inputs)]
        return used - 4 * 2 * units + 2 * sum(vectors)
    return used
