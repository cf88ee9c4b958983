"""A .tflite file's content as objects, and what it takes and gives."""

from pathlib import Path
from typing import NamedTuple

from kws_tf.errors import KwsError


class TensorFormat(NamedTuple):
    """The format of an input or output."""

    type: str  # such as INT8
    shape: tuple[int, ...]
    scale: float  # real value of one integer step, 0 where there is none
    zero_point: int  # integer of the real value 0

    def __str__(self) -> str:
        """Returns the format in words."""
        scale = f"of scale {self.scale:g} and zero point {self.zero_point}"
        return f"{self.type.lower()} {list(self.shape)} {scale}"


class Ends(NamedTuple):
    """The formats of a model's first input and of all its outputs."""

    input: TensorFormat
    outputs: tuple[TensorFormat, ...]


def read(path: Path) -> bytes:
    """Returns the content of a .tflite file.

    Raises:
        KwsError: If it cannot be read or is none.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise KwsError(
            f"cannot read the model {path} ({error.strerror}); give a .tflite file that "
            "kws-tf convert wrote"
        ) from error
    _check_mark(content, str(path))
    return content


def _check_mark(model: bytes, where: str) -> None:
    if model[4:8] != b"TFL3":
        raise KwsError(
            f"{where} is not a .tflite file (the mark TFL3 is missing); give one that "
            "kws-tf convert wrote"
        )


def parse(model: bytes, where: str):
    """Returns the file's ``ModelT`` object, having gone through all of it.

    TFLite's Python package does not verify a file and crashes on a damaged one, so it has to
    pass this first.

    Args:
        model: The file's content.
        where: What to call it in errors.

    Raises:
        KwsError: If it is no .tflite file, or a damaged one.
    """
    from tensorflow.lite.tools import flatbuffer_utils

    _check_mark(model, where)
    try:
        parsed = flatbuffer_utils.convert_bytearray_to_object(bytearray(model))
        main = parsed.subgraphs[0]
        for operator in main.operators:
            operator_number(parsed, operator)
        for index in (*main.inputs, *main.outputs):
            if main.tensors[index].shape is None:
                raise ValueError("an input or output without a shape")
    except Exception as error:  # the generated parser raises whatever broken offsets lead to
        raise KwsError(f"{where} is truncated or damaged; convert the run anew") from error
    return parsed


def operator_number(parsed, operator) -> int:
    """Returns an operator's number in ``schema.BuiltinOperator``."""
    code = parsed.operatorCodes[operator.opcodeIndex]
    return max(code.builtinCode, code.deprecatedBuiltinCode)


def names_of(kind: type) -> dict[int, str]:
    """Returns the names in one of the schema's enumerations by their numbers."""
    return {number: name for name, number in vars(kind).items() if not name.startswith("_")}


def ends(model: bytes, where: str) -> Ends:
    """Returns the formats of input and outputs; raises as ``parse``."""
    main = parse(model, where).subgraphs[0]
    return Ends(
        _format(main.tensors[main.inputs[0]]),
        tuple(_format(main.tensors[index]) for index in main.outputs),
    )


def _format(tensor) -> TensorFormat:
    from tensorflow.lite.python import schema_py_generated as schema

    shape = tuple(int(size) for size in tensor.shape)
    quantization = tensor.quantization
    is_quantized = quantization and quantization.scale is not None and len(quantization.scale)
    scale, zero = (quantization.scale[0], quantization.zeroPoint[0]) if is_quantized else (0.0, 0)
    kind = names_of(schema.TensorType).get(tensor.type, "unknown")
    return TensorFormat(kind, shape, float(scale), int(zero))
