"""A .tflite under TFLite Micro on the desktop, with the arena's bytes by kind."""

import re

import numpy as np
from tflite_micro import runtime

from kws_tf.errors import KwsError
from kws_tf.quiet import captured_stderr
from kws_tf.tflite import formats, runner
from kws_tf.tflite.runner import Outputs

# TFLM aborts the process when the arena is too small, so it gets plenty; what the model uses of
# it is recorded all the same.
_SMALLEST_ARENA = 1 << 20
_ARENA_LINE = re.compile(r"Arena allocation (\w+) (\d+) bytes|'(.+?)' used (\d+) bytes")


def run(model: bytes, inputs: np.ndarray, where: str = "the model") -> Outputs:
    """Runs a model over examples, each from a zeroed state; arguments as of ``interpreter.run``.

    Raises:
        KwsError: If the model is damaged, takes other inputs, or has an op TFLM has not.
    """
    runner.check_inputs(model, inputs, where)
    arena = arena_bytes(model, inputs[:1], where)
    outputs = range(len(formats.ends(model, where).outputs))

    def open_interpreter():
        interpreter = _interpreter(model)

        def step(example):
            interpreter.reset()
            interpreter.set_input(example, 0)
            seconds = runner.timed(interpreter.invoke)
            return [interpreter.get_output(index) for index in outputs], seconds

        return step

    return Outputs(*runner.run(open_interpreter, inputs, "running under TFLite Micro"), arena)


def _interpreter(model: bytes):
    size = max(_SMALLEST_ARENA, 10 * len(model))
    return runtime.Interpreter.from_bytes(model, arena_size=size)


def arena_bytes(model: bytes, example: np.ndarray, where: str = "the model") -> dict[str, int]:
    """Measures the arena: runs an example and reads the allocation records that TFLM prints.

    Args:
        model: The .tflite file's content.
        example: int8 [1, frames, features].
        where: What to call the model in errors.

    Returns:
        Bytes by kind: ``total``, of which ``head`` is for activations and ``tail`` is persistent,
        and what the tail is used for.

    Raises:
        KwsError: With TFLM's own words if it cannot run the model.
    """
    with captured_stderr() as text:
        try:
            interpreter = _interpreter(model)
            interpreter.set_input(example, 0)
            interpreter.invoke()
            interpreter.print_allocations()
            failure = None
        except (RuntimeError, ValueError) as error:
            failure = error
    if failure:
        reason = " ".join(". ".join([*"".join(text).splitlines(), str(failure)]).split())
        raise KwsError(
            f"TFLite Micro cannot run {where} ({reason[:300]}); convert a model that has only "
            "operators TFLite Micro knows"
        ) from failure
    return {
        area or kind: int(size or kind_size)
        for area, size, kind, kind_size in _ARENA_LINE.findall("".join(text))
    }
