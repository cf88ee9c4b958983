"""A .tflite file's content as objects: the one place that opens it."""

from kws_tf.errors import KwsError


def check_mark(model: bytes, where: str) -> None:
    """Raises a KwsError unless the content bears the mark of a .tflite file.

    Args:
        model: The file's content.
        where: What to call it in errors.
    """
    if model[4:8] != b"TFL3":
        raise KwsError(
            f"{where} is not a .tflite file (the mark TFL3 is missing); give one that "
            "scripts/convert.py wrote"
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

    check_mark(model, where)
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
