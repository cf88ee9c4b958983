"""The bare spotter from Python: WAV to decision by exactly the chip's code."""

import ctypes
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from kws_tf.chip import files, library
from kws_tf.errors import KwsError
from kws_tf.tflite.model import Model

_BLOCK = 64


class ChipSpotter:
    """A model's front end, LSTM, classifier and trigger in C.

    Args:
        model: From ``kws_tf.tflite.model.load``.

    Raises:
        KwsError: If there is no C compiler, or the model is one that the C code cannot compute.
    """

    def __init__(self, model: Model):
        """Builds the library, or takes the one built before."""
        self._library = _build(model)
        self._front_end, self._classes = model.manifest.front_end, len(model.manifest.labels)
        self._state = self._new_state()
        self._call("kws_spotter_init", self._state)

    def outputs(self, samples: np.ndarray) -> np.ndarray:
        """Decides on examples of samples.

        Args:
            samples: int16 [examples, samples of the window].

        Returns:
            int8 [examples, classes]: 256 * posterior - 128.
        """
        return self._outputs("kws_run_examples", samples, (self._front_end.samples,), np.int16)

    def outputs_of_features(self, features: np.ndarray) -> np.ndarray:
        """Decides on the model's input, int8 [examples, frames, features], as ``outputs``."""
        shape = (self._front_end.frames, self._front_end.features)
        return self._outputs("kws_run_features", features, shape, np.int8)

    def rows(self, samples: np.ndarray) -> np.ndarray:
        """Computes the features of samples, int16 [n], in one call and one thread.

        Returns:
            int8 [rows, features] of every window of the front end that lies within them.
        """
        samples = _stream(samples)
        size = ctypes.c_size_t.in_dll(self._library, "kws_frontend_size").value
        shape = self._front_end.log_mel.frames(len(samples)), self._front_end.features
        rows = np.empty(shape, np.int8)
        run = self._library.kws_run_frontend
        run.restype = ctypes.c_size_t
        run(
            ctypes.create_string_buffer(size),
            samples.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_size_t(len(samples)),
            rows.ctypes.data_as(ctypes.c_void_p),
        )
        return rows

    def outputs_of_rows(self, rows: np.ndarray, hops: int) -> np.ndarray:
        """Decides on a stream's features, in one call and one thread.

        Args:
            rows: int8 [rows, features], one a hop.
            hops: Between decisions; the first is on the first window.

        Returns:
            int8 [decisions, classes]: 256 * posterior - 128.
        """
        rows = np.ascontiguousarray(rows)
        if rows.dtype != np.int8 or rows.shape[1:] != (self._front_end.features,):
            raise KwsError(
                f"the chip's code takes int8 [rows, {self._front_end.features}], not {rows.dtype} "
                f"{list(rows.shape)}"
            )
        count = max(0, 1 + (len(rows) - self._front_end.frames) // hops)
        outputs = np.empty((count, self._classes), np.int8)
        size = self._library.kws_windows_memory
        size.restype = ctypes.c_size_t
        self._call(
            "kws_run_windows",
            rows.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_size_t(count),
            ctypes.c_size_t(hops),
            ctypes.create_string_buffer(size(ctypes.c_size_t(len(rows)))),
            outputs.ctypes.data_as(ctypes.c_void_p),
        )
        return outputs

    def listen(self, samples: np.ndarray) -> tuple[int, float] | None:
        """Takes samples of a stream, int16 [n] of any length.

        Returns:
            Label and score of the last keyword that was triggered within them, or ``None``.
        """
        samples = _stream(samples)
        label, score = ctypes.c_int(), ctypes.c_float()
        size = ctypes.c_size_t(len(samples))
        self._call(
            "kws_listen",
            self._state,
            samples.ctypes.data_as(ctypes.c_void_p),
            size,
            ctypes.byref(label),
            ctypes.byref(score),
        )
        return None if label.value < 0 else (label.value, score.value)

    def reset(self) -> None:
        """Forgets the stream."""
        self._call("kws_spotter_reset", self._state)

    def _new_state(self):
        size = ctypes.c_size_t.in_dll(self._library, "kws_spotter_size").value
        return ctypes.create_string_buffer(size)

    def _call(self, function: str, *arguments) -> None:
        status = getattr(self._library, function)(*arguments)
        if status:
            text = self._library.kws_status_text
            text.restype = ctypes.c_char_p
            raise KwsError(f"the chip's code failed in {function}: {text(status).decode()}")

    def _outputs(self, function: str, values: np.ndarray, shape, dtype) -> np.ndarray:
        values = np.ascontiguousarray(values)
        if values.dtype != dtype or values.shape[1:] != shape:
            raise KwsError(
                f"the chip's code takes {np.dtype(dtype)} [examples, "
                f"{', '.join(map(str, shape))}], not {values.dtype} {list(values.shape)}"
            )
        outputs = np.empty((len(values), self._classes), np.int8)

        def run(start: int) -> None:
            part, into = values[start : start + _BLOCK], outputs[start : start + _BLOCK]
            self._call(
                function,
                self._new_state(),
                part.ctypes.data_as(ctypes.c_void_p),
                ctypes.c_size_t(len(part)),
                into.ctypes.data_as(ctypes.c_void_p),
            )

        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:  # ctypes releases the global lock
            list(pool.map(run, range(0, len(values), _BLOCK)))
        return outputs


def _stream(samples: np.ndarray) -> np.ndarray:
    """Returns samples in one stretch of memory, or refuses what is no stream of 16 bits."""
    samples = np.ascontiguousarray(samples)
    if samples.dtype != np.int16 or samples.ndim != 1:
        raise KwsError(
            f"the chip's code takes int16 samples [n], not {samples.dtype} "
            f"{list(samples.shape)}; round them to 16 bits first"
        )
    return samples


_built: dict[tuple, ctypes.CDLL] = {}


def _build(model: Model) -> ctypes.CDLL:
    """Builds a model's library once."""
    key = (model.sha256, model.manifest.labels, model.manifest.trigger)
    if key not in _built:
        texts = files.spotter_files(model.content, model.manifest)
        del texts["kws_fft_cmsis.c"]  # the other FFT serves
        texts |= {name: files.source(name) for name in ("kws_python.c", "kws_windows.c")}
        texts["kws_lstm.inc"] = texts.pop("kws_lstm.c")  # a part of kws_windows.c
        _built[key] = library.build(texts)
    return _built[key]
