"""A model that listens: streams of any length in, all its decisions out, in constant memory.

A stream is cut into segments of some seconds, each with the samples that its decisions need, so
that segments, and streams, are independent of each other: all cores work, and the outputs are to
the bit those of the whole. A window of silence is put before and after each stream, so that a word
at either end is found.
"""

import os
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from kws_tf.chip.library import compiler
from kws_tf.chip.spotter import ChipSpotter
from kws_tf.errors import KwsError
from kws_tf.tflite.model import Model

RUNTIMES = {"c": "the chip's C code", "tflite": "TFLite, front end in TensorFlow"}
"""What can listen, and what to call it."""
_DECISIONS = {"c": 64, "tflite": 512}  # in a segment
_AHEAD = 2  # segments waiting, for each core


class Ears:
    """A model with a decision every so often.

    Args:
        model: From ``kws_tf.tflite.model.load``.
        runtime: One of ``RUNTIMES``; by default C where there is a compiler, else TFLite. C is
            exactly the chip's arithmetic.
        decision_ms: Time between decisions, ms, rounded to hops; by default the manifest's.

    Raises:
        KwsError: C is asked for and there is no compiler, or it cannot compute the model.
    """

    def __init__(self, model: Model, runtime: str | None = None, decision_ms: float | None = None):
        """Builds the C code, or takes what was built before."""
        self.runtime = runtime or ("c" if _has_compiler() else "tflite")
        if self.runtime not in RUNTIMES:
            raise KwsError(f"there is no runtime '{runtime}'; choose one of {', '.join(RUNTIMES)}")
        self._model, self._front_end = model, model.manifest.front_end
        self._log_mel, trigger = self._front_end.log_mel, model.manifest.trigger
        if decision_ms is not None:
            trigger = trigger.changed(decision_ms=decision_ms)
        self.hops = trigger.decision_hops(self._log_mel)
        # Between decisions, and of a decision, samples.
        self._step = self.hops * self._log_mel.hop_samples
        self._span = self._log_mel.window_samples
        self._span += (self._front_end.frames - 1) * self._log_mel.hop_samples
        self._chip = ChipSpotter(model) if self.runtime == "c" else None

    @property
    def step(self) -> float:
        """Seconds from decision to decision."""
        return self._step / self._log_mel.sample_rate

    @property
    def first(self) -> float:
        """End of the first decision's window, seconds from the stream's beginning."""
        return (self._span - self._front_end.samples) / self._log_mel.sample_rate

    def decisions(self, samples: int) -> int:
        """Returns the number of decisions on a stream of so many samples."""
        return 1 + (samples + 2 * self._front_end.samples - self._span) // self._step

    def hear(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Listens to a stream.

        Args:
            blocks: int16 [n], or float32 [n] of full scale 1, which is rounded to 16 bits.

        Yields:
            int8 [decisions, classes], 256 * posterior - 128: piece by piece, decision k at ``first
            + k * step`` seconds.
        """
        for _, outputs in self.hear_all([(None, blocks)]):
            yield outputs

    def hear_all(
        self, streams: Iterable[tuple[Hashable, Iterable[np.ndarray]]]
    ) -> Iterator[tuple[Hashable, np.ndarray]]:
        """Listens to streams, each with something to know it by, as ``hear``.

        Yields:
            That, and a piece of outputs; the pieces of a stream follow each other. Streams are
            read some segments ahead.
        """
        segments = ((key, part) for key, blocks in streams for part in self._segments(blocks))
        yield from self._map(self._outputs, segments)

    def decide(self, rows: np.ndarray) -> np.ndarray:
        """Decides on features made elsewhere, int8 [hops, features]; no silence is added.

        Returns:
            int8 [decisions, classes], the first of the first window.
        """
        frames, count = self._front_end.frames, _DECISIONS[self.runtime]
        decisions = max(0, 1 + (len(rows) - frames) // self.hops)
        parts = (
            (None, rows[first * self.hops : (first + count - 1) * self.hops + frames])
            for first in range(0, decisions, count)
        )
        decided = [outputs for _, outputs in self._map(self._decided, parts)]
        return np.concatenate([np.empty((0, len(self._model.manifest.labels)), np.int8), *decided])

    def _map(self, function: Callable, parts: Iterable[tuple]) -> Iterator[tuple]:
        """Computes keyed parts in their order: in C on all cores, some ahead."""
        if self._chip is None:  # its interpreters take the cores themselves
            yield from ((key, function(part)) for key, part in parts)
            return
        cores, waiting = os.cpu_count() or 1, deque()
        with ThreadPoolExecutor(cores) as pool:
            try:
                for key, part in parts:
                    waiting.append((key, pool.submit(function, part)))  # without the global lock
                    if len(waiting) > _AHEAD * cores:
                        yield _finished(*waiting.popleft())
                while waiting:
                    yield _finished(*waiting.popleft())
            finally:
                for _, future in waiting:
                    future.cancel()

    def _segments(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Cuts a stream with silence around it into segments, int16; the last may be shorter."""
        silence = np.zeros(self._front_end.samples, np.int16)
        move = _DECISIONS[self.runtime] * self._step
        length = move - self._step + self._span
        held, count, skip = [], 0, 0  # hops may be longer than windows
        for block in chain([silence], blocks, [silence]):
            held.append(_int16(block)[skip:])
            skip -= min(skip, len(block))
            count += len(held[-1])
            if count < length:
                continue
            samples, start = np.concatenate(held), 0
            while len(samples) - start >= length:
                yield samples[start : start + length]
                start += move
            skip = max(0, start - len(samples))
            held = [samples[start:]]
            count = len(held[0])
        if count >= self._span:
            yield np.concatenate(held)

    def _outputs(self, samples: np.ndarray) -> np.ndarray:
        if self._chip is not None:
            return self._decided(self._chip.rows(samples))
        from kws_tf.frontend.features import features

        values = features(samples / np.float32(32768), self._front_end).numpy()
        return self._decided(self._model.manifest.quantize(values))

    def _decided(self, rows: np.ndarray) -> np.ndarray:
        if self._chip is not None:
            return self._chip.outputs_of_rows(rows, self.hops)
        from kws_tf.tflite import interpreter

        windows = sliding_window_view(rows, self._front_end.frames, axis=0)
        windows = windows[:: self.hops].transpose(0, 2, 1)
        where = str(self._model.path)
        outputs = interpreter.run(self._model.content, windows, where=where).outputs[0]
        return self._model.trigger_outputs(outputs)


def _finished(key, future: Future) -> tuple:
    return key, future.result()


def _int16(block: np.ndarray) -> np.ndarray:
    if block.dtype == np.int16:
        return block
    return np.clip(np.rint(32768 * block), -32768, 32767).astype(np.int16)


def _has_compiler() -> bool:
    try:
        return bool(compiler())
    except KwsError:
        return False
