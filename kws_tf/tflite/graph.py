"""A .tflite file as objects: find the fused LSTM and what follows it, read and write tensors."""

from pathlib import Path

import numpy as np
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

from kws_tf.errors import KwsError
from kws_tf.tflite import formats

_DTYPES = {
    schema.TensorType.INT8: np.int8,
    schema.TensorType.INT16: np.int16,
    schema.TensorType.INT32: np.int32,
    schema.TensorType.FLOAT32: np.float32,
}
_OPERATOR_NAMES = formats.names_of(schema.BuiltinOperator)
TENSOR_TYPE_NAMES = formats.names_of(schema.TensorType)

# Input positions of UNIDIRECTIONAL_SEQUENCE_LSTM (lstm_shared.h of TensorFlow Lite). Positions
# 9-11 are peepholes, 16-17 the projection, 20-23 layer normalisation; none of them is used.
INPUT, KERNEL, RECURRENT, BIAS, HIDDEN_STATE, CELL_STATE = 0, 1, 5, 12, 18, 19
#: Intermediate tensor whose scale TFLite takes for the hidden state.
EFFECTIVE_HIDDEN = 4


class Graph:
    """The graph of a converted model: LSTM, slice of the last step, dense, softmax.

    Args:
        model: The .tflite file's content.
        where: What to call it in errors.

    Raises:
        KwsError: If it is no .tflite file, is damaged, or has no fused LSTM.
    """

    def __init__(self, model: bytes, where: str = "the model"):
        self.object = formats.parse(model, where)
        self.main = self.object.subgraphs[0]
        self.names = [self._name(op) for op in self.main.operators]
        self.lstm = self._only("UNIDIRECTIONAL_SEQUENCE_LSTM", where)
        self.slice = self._only("STRIDED_SLICE", where)
        self.dense = self._only("FULLY_CONNECTED", where)

    def _name(self, operator) -> str:
        number = formats.operator_number(self.object, operator)
        return _OPERATOR_NAMES.get(number, f"operator {number}")

    def _only(self, name: str, where: str):
        found = [op for op, n in zip(self.main.operators, self.names, strict=True) if n == name]
        if len(found) != 1:
            raise KwsError(
                f"{where} has {len(found)} {name} operators instead of one (it has: "
                f"{', '.join(sorted(set(self.names)))}); convert a rolled tf_keras.layers.LSTM of "
                "static shape and batch 1 with a dense layer on its last step"
            )
        return found[0]

    def tensor(self, index: int):
        """Returns a tensor's object."""
        return self.main.tensors[index]

    def scale(self, index: int) -> np.float32:
        """Returns a tensor's scale."""
        return self.scales(index)[0]

    def scales(self, index: int) -> np.ndarray:
        """Returns a tensor's scales, float32 [1], or [channels] where each has its own."""
        return np.asarray(self.tensor(index).quantization.scale, np.float32)

    def zero_point(self, index: int) -> int:
        """Returns a tensor's zero point."""
        return int(self.tensor(index).quantization.zeroPoint[0])

    def values(self, index: int) -> np.ndarray:
        """Returns a constant tensor's values."""
        tensor = self.tensor(index)
        data = bytes(self.object.buffers[tensor.buffer].data)
        return np.frombuffer(data, _DTYPES[tensor.type]).reshape(tensor.shape)

    def set_scale(self, index: int, scale, zero_point: int = 0) -> None:
        """Sets a tensor's scale and zero point."""
        quantization = self.tensor(index).quantization
        quantization.scale = np.array([scale], np.float32)
        quantization.zeroPoint = np.array([zero_point], np.int64)
        quantization.min = quantization.max = None
        quantization.quantizedDimension = 0

    def set_values(self, index: int, values) -> None:
        """Replaces a constant tensor's values; shape and type stay."""
        tensor = self.tensor(index)
        dtype = _DTYPES[tensor.type]
        values = np.asarray(values)
        limits = np.iinfo(dtype)
        if values.shape != tuple(tensor.shape) or (
            values.size and not limits.min <= values.min() <= values.max() <= limits.max
        ):
            raise ValueError(
                f"{tensor.name} takes {tuple(tensor.shape)} values of {dtype.__name__}, "
                f"not {values.shape} from {values.min()} to {values.max()}"
            )
        data = np.ascontiguousarray(values.astype(dtype)).view(np.uint8).reshape(-1)
        self.object.buffers[tensor.buffer].data = data

    def to_bytes(self) -> bytes:
        """Returns the file's content, without what nothing refers to.

        The converter leaves such buffers behind, filled with whatever was in memory: with them
        the same model would give other bytes each time.
        """
        used = {tensor.buffer for graph in self.object.subgraphs for tensor in graph.tensors}
        used |= {entry.buffer for entry in self.object.metadata or []}
        for index, buffer in enumerate(self.object.buffers):
            if index not in used:
                buffer.data = None
        return bytes(flatbuffer_utils.convert_object_to_bytearray(self.object))


def read(path: Path) -> Graph:
    """Returns a .tflite file's graph; raises as ``formats.read`` and ``Graph``."""
    return Graph(formats.read(path), str(path))


def with_inner_outputs(model: bytes) -> bytes:
    """Returns the model with last hidden state and logits as further outputs, in this order.

    Both runtimes then show what is inside; the arithmetic is the same.
    """
    graph = Graph(model)
    graph.main.outputs = [*graph.main.outputs, graph.slice.outputs[0], graph.dense.outputs[0]]
    # A signature lists outputs by name; without it the interpreter takes the subgraph's.
    graph.object.signatureDefs = []
    return graph.to_bytes()
