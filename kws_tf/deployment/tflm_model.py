"""What firmware must know of a model file: its ops for TFLM's resolver, and its arena."""

from typing import NamedTuple

import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

from kws_tf.errors import KwsError
from kws_tf.tflite import tflm
from kws_tf.tflite.graph import Graph
from kws_tf.tflite.manifest import Manifest

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

ARENA_MARGIN = 0.1
_ARENA_STEP = 256


class TflmModel(NamedTuple):
    """A model as the firmware sees it."""

    methods: tuple[str, ...]
    """Of ``MicroMutableOpResolver``, one for each kind of op."""
    ends_in_softmax: bool
    arena_used: int
    """Bytes that tflite-micro used of its arena, on a 64-bit machine."""
    arena_bytes: int
    """With ``ARENA_MARGIN``, rounded up."""


def inspect(model: bytes, manifest: Manifest) -> TflmModel:
    """Reads a model and measures its arena.

    Raises:
        KwsError: If the model is damaged, has no fused LSTM, is not int8 at both ends with the
            shapes and the scale of the manifest, has an op that TFLM has not, or does not run.
    """
    graph = Graph(model)
    unknown = sorted(set(graph.names) - set(RESOLVER_METHODS))
    if unknown:
        raise KwsError(
            f"the model has operators that the firmware does not know ({', '.join(unknown)}); "
            "convert an LSTM spotter with scripts/convert.py"
        )
    front_end = manifest.front_end
    ends = [graph.tensor(index) for index in (*graph.main.inputs, *graph.main.outputs)]
    shapes = [[1, front_end.frames, front_end.features], [1, len(manifest.labels)]]
    if (
        [list(tensor.shape) for tensor in ends] != shapes
        or any(tensor.type != schema.TensorType.INT8 for tensor in ends)
        or graph.scale(graph.main.inputs[0]) != np.float32(manifest.input_scale)
        or ends[0].quantization.zeroPoint[0] != 0
    ):
        raise KwsError(
            f"the model's input and output are not the int8 {shapes[0]} of scale "
            f"{manifest.input_scale:g} and int8 {shapes[1]} of its manifest; convert the run anew"
        )
    used = tflm.run(model, np.zeros(shapes[0], np.int8)).arena_bytes["total"]
    wanted = -(-round(used * (1 + ARENA_MARGIN)) // _ARENA_STEP) * _ARENA_STEP
    methods = tuple(RESOLVER_METHODS[name] for name in dict.fromkeys(graph.names))
    return TflmModel(methods, graph.names[-1] == "SOFTMAX", used, wanted)
