"""Running a model clip by clip on all cores: what both runtimes share."""

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import SimpleQueue

import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

from kws_tf.errors import KwsError
from kws_tf.progress import progress
from kws_tf.tflite import flatbuffer

_BLOCK = 16  # clips a thread takes at a time


@dataclass(frozen=True)
class Outputs:
    """What a runtime computed.

    Attributes:
        outputs: An array [clips, ...] for each output of the model, of its dtype.
        microseconds: Median time of one inference on one thread.
        arena_bytes: TFLite Micro's memory by kind; empty for TFLite.
    """

    outputs: list[np.ndarray]
    microseconds: float
    arena_bytes: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class InputFormat:
    """The input of a model file.

    Attributes:
        shape: Such as (1, 49, 40).
        is_int8: Whether its type is int8.
        scale: Of one integer step, 0 where there is none.
        zero_point: Integer of the real value 0.
    """

    shape: tuple[int, ...]
    is_int8: bool
    scale: float
    zero_point: int


def input_format(model: bytes, where: str) -> InputFormat:
    """Reads the input's format, and all of the file with it.

    Args:
        model: The .tflite file's content.
        where: What to call it in errors.

    Raises:
        KwsError: If it is no .tflite file or a damaged one.
    """
    graph = flatbuffer.parse(model, where).subgraphs[0]
    tensor = graph.tensors[graph.inputs[0]]
    shape = tuple(int(size) for size in tensor.shape)
    format_ = tensor.quantization
    is_quantized = format_ is not None and format_.scale is not None and len(format_.scale)
    scale, zero = (format_.scale[0], format_.zeroPoint[0]) if is_quantized else (0.0, 0)
    return InputFormat(shape, tensor.type == schema.TensorType.INT8, float(scale), int(zero))


def check_inputs(model: bytes, inputs: np.ndarray, where: str) -> None:
    """Checks that the inputs are what the model takes.

    Raises:
        KwsError: If they are not, or as ``input_format``.
    """
    wanted = input_format(model, where)
    if not wanted.is_int8 or wanted.shape != (1, *inputs.shape[1:]) or inputs.dtype != np.int8:
        kind = "int8" if wanted.is_int8 else "not int8"
        raise KwsError(
            f"the input of {where} is {list(wanted.shape)} and {kind}, but the front end gives "
            f"{inputs.dtype} {[1, *inputs.shape[1:]]}; use model and manifest as "
            "scripts/convert.py wrote them together"
        )


def run(
    open_interpreter: Callable[[], Callable], inputs: np.ndarray, title: str
) -> tuple[list[np.ndarray], float]:
    """Runs every clip, on as many threads as there are cores, an interpreter each.

    Both runtimes release Python's global lock while they compute.

    Args:
        open_interpreter: Returns a function (clip [1, ...]) -> (outputs, seconds); it is called
            once for each thread, and every clip must start from a zeroed state.
        inputs: [clips, ...].
        title: Of the progress line.

    Returns:
        An array [clips, ...] for each output, and the median time, microseconds.
    """
    workers = min(os.cpu_count() or 1, -(-len(inputs) // _BLOCK))
    free: SimpleQueue = SimpleQueue()
    for _ in range(workers):
        free.put(open_interpreter())

    def run_block(start: int) -> list:
        step = free.get()
        try:
            return [step(clip[None]) for clip in inputs[start : start + _BLOCK]]
        finally:
            free.put(step)

    def results(pool) -> Iterator:
        for block in pool.map(run_block, range(0, len(inputs), _BLOCK)):
            yield from block

    with ThreadPoolExecutor(workers) as pool:
        rows = list(progress(results(pool), len(inputs), title))
    outputs = [np.concatenate(column) for column in zip(*(row for row, _ in rows), strict=True)]
    return outputs, float(np.median([seconds for _, seconds in rows]) * 1e6)


def timed(invoke: Callable[[], object]) -> float:
    """Calls and returns the seconds it took."""
    start = time.perf_counter()
    invoke()
    return time.perf_counter() - start
