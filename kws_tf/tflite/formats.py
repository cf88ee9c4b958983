"""What a model file takes and gives: type, shape and scale of its input and output."""

from typing import NamedTuple

from kws_tf.tflite import flatbuffer


class TensorFormat(NamedTuple):
    """The format of an input or output.

    Attributes:
        type: Such as ``INT8``.
        shape: Such as (1, 49, 40).
        scale: Real value of one integer step, 0 where there is none.
        zero_point: Integer of the real value 0.
    """

    type: str
    shape: tuple[int, ...]
    scale: float
    zero_point: int

    def __str__(self) -> str:
        """Returns the format in words."""
        return (
            f"{self.type.lower()} {list(self.shape)} of scale {self.scale:g} and zero point "
            f"{self.zero_point}"
        )


class Ends(NamedTuple):
    """The formats of a model file.

    Attributes:
        input: Of its first input.
        outputs: Of all its outputs.
    """

    input: TensorFormat
    outputs: tuple[TensorFormat, ...]


def ends(model: bytes, where: str) -> Ends:
    """Reads the formats of input and outputs, and all of the file with them.

    Args:
        model: The .tflite file's content.
        where: What to call it in errors.

    Raises:
        KwsError: If it is no .tflite file or a damaged one.
    """
    main = flatbuffer.parse(model, where).subgraphs[0]
    return Ends(
        _format(main.tensors[main.inputs[0]]),
        tuple(_format(main.tensors[index]) for index in main.outputs),
    )


def _format(tensor) -> TensorFormat:
    from tensorflow.lite.python import schema_py_generated as schema

    names = {n: name for name, n in vars(schema.TensorType).items() if not name.startswith("_")}
    shape = tuple(int(size) for size in tensor.shape)
    format_ = tensor.quantization
    is_quantized = format_ is not None and format_.scale is not None and len(format_.scale)
    scale, zero = (format_.scale[0], format_.zeroPoint[0]) if is_quantized else (0.0, 0)
    return TensorFormat(names.get(tensor.type, "unknown"), shape, float(scale), int(zero))
