"""Running a model example by example on all cores: what both runtimes share."""

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import SimpleQueue

import numpy as np

from kws_tf.errors import KwsError
from kws_tf.progress import progress
from kws_tf.tflite import formats

_BLOCK = 16  # examples a thread takes at a time


@dataclass(frozen=True)
class Outputs:
    """What a runtime computed."""

    outputs: list[np.ndarray]  # [examples, ...] for each output of the model, in its order
    microseconds: float  # median time of one inference on one thread
    arena_bytes: dict[str, int] = field(default_factory=dict)  # TFLite Micro's memory by kind


def check_inputs(model: bytes, inputs: np.ndarray, where: str) -> None:
    """Refuses inputs that are not what the model takes; raises also as ``formats.ends``."""
    wanted, _ = formats.ends(model, where)
    shape = (1, *inputs.shape[1:])
    if (wanted.type, wanted.shape) != ("INT8", shape) or inputs.dtype != np.int8:
        raise KwsError(
            f"the input of {where} is {wanted.type.lower()} {list(wanted.shape)}, but the front "
            f"end gives {inputs.dtype} {list(shape)}; use model and manifest as "
            "kws-tf convert wrote them together"
        )


def run(
    open_interpreter: Callable[[], Callable], inputs: np.ndarray, title: str
) -> tuple[list[np.ndarray], float]:
    """Runs every example, on as many threads as there are cores, an interpreter each.

    Both runtimes release Python's global lock while they compute.

    Args:
        open_interpreter: Returns a function (example [1, ...]) -> (outputs, seconds); it is
            called once for each thread, and every example must start from a zeroed state.
        inputs: [examples, ...].
        title: Of the progress line.

    Returns:
        The first two fields of ``Outputs``.
    """
    workers = min(os.cpu_count() or 1, -(-len(inputs) // _BLOCK))
    free: SimpleQueue = SimpleQueue()
    for _ in range(workers):
        free.put(open_interpreter())

    def run_block(start: int) -> list:
        step = free.get()
        try:
            return [step(example[None]) for example in inputs[start : start + _BLOCK]]
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
