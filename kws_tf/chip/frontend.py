"""The C front end from Python."""

import ctypes
import functools

import numpy as np

from kws_tf.chip import files, library
from kws_tf.errors import KwsError
from kws_tf.frontend.config import FrontEnd
from kws_tf.tflite.manifest import Manifest

_SIZE = """#include "kws_frontend.h"
extern const size_t kws_frontend_size;
const size_t kws_frontend_size = sizeof(kws_frontend_t);
"""


def c_features_int8(samples: np.ndarray, manifest: Manifest) -> np.ndarray:
    """Computes the model's input as the chip does, by the C front end that is exported.

    Args:
        samples: int16 [examples, samples]; shorter ones are padded with zeros, longer ones cut.
        manifest: Of the model.

    Returns:
        int8 [examples, frames, features].

    Raises:
        KwsError: If the samples are of another type or shape, there is no C compiler, or the
            front end is one that the C code cannot compute.
    """
    samples = np.asarray(samples)
    if samples.dtype != np.int16 or samples.ndim != 2:
        raise KwsError(
            f"the C front end takes int16 samples [examples, samples], not {samples.dtype} "
            f"{list(samples.shape)}"
        )
    front_end = CFrontEnd(manifest)
    shape = (len(samples), manifest.front_end.frames, manifest.front_end.features)
    features = np.empty(shape, np.int8)
    for example, rows in zip(samples, features, strict=True):
        front_end.example(example, rows)
    return features


class CFrontEnd:
    """One front end in C; incremental like the chip's.

    Args:
        manifest: Of the model.

    Raises:
        KwsError: If there is no C compiler, or the front end cannot be computed in C.
    """

    def __init__(self, manifest: Manifest):
        """Builds the library, or takes the one built before."""
        self._library = _build(manifest.front_end, manifest.input_scale, manifest.input_bits)
        self.features = manifest.front_end.features
        size = ctypes.c_size_t.in_dll(self._library, "kws_frontend_size").value
        self._state = ctypes.create_string_buffer(size)
        self.reset()

    def reset(self) -> None:
        """Empties the window."""
        self._library.kws_frontend_reset(self._state)

    def example(self, samples: np.ndarray, rows: np.ndarray) -> None:
        """Computes a whole example: int16 [samples] into int8 [frames, features], C-contiguous."""
        samples = np.ascontiguousarray(samples)
        self._library.kws_frontend_example(
            self._state, samples.ctypes.data, ctypes.c_size_t(len(samples)), rows.ctypes.data
        )

    def feed(self, samples: np.ndarray) -> np.ndarray:
        """Takes int16 samples as they arrive; returns the new rows, int8 [rows, features]."""
        samples = np.ascontiguousarray(samples)
        rows, start = [], 0
        while start < len(samples):
            start += self._library.kws_frontend_feed(
                self._state, samples[start:].ctypes.data, ctypes.c_size_t(len(samples) - start)
            )
            row = np.empty(self.features, np.int8)
            if self._library.kws_frontend_row(self._state, row.ctypes.data):
                rows.append(row)
        return np.array(rows, np.int8).reshape(-1, self.features)


@functools.lru_cache(maxsize=8)
def _build(front_end: FrontEnd, input_scale: float, input_bits: int) -> ctypes.CDLL:
    texts = files.front_end_files(front_end, input_scale, input_bits)
    loaded = library.build(texts | {"size.c": _SIZE})
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    loaded.kws_frontend_reset.argtypes = [pointer]
    loaded.kws_frontend_feed.argtypes = [pointer, pointer, size]
    loaded.kws_frontend_feed.restype = size
    loaded.kws_frontend_row.argtypes = [pointer, pointer]
    loaded.kws_frontend_row.restype = ctypes.c_bool
    loaded.kws_frontend_example.argtypes = [pointer, pointer, size, pointer]
    return loaded
