"""Golden vectors: examples with what Python computes of them, for firmware to check itself."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kws_tf.chip.source import c_array, c_string
from kws_tf.data.sources import read_samples
from kws_tf.frontend.config import FrontEnd
from kws_tf.frontend.features import features
from kws_tf.tflite import tflm
from kws_tf.tflite.manifest import Manifest


class Golden(NamedTuple):
    """One example."""

    name: str
    samples: np.ndarray
    """int16 [samples]."""
    features: np.ndarray
    """float32 [frames, features], normalised."""
    input: np.ndarray
    """int8 [frames, features], the same quantized."""
    output: np.ndarray
    """int8 [classes], by TFLM's reference kernels on ``input``."""
    label: int
    """Index of the largest output."""


def make_golden(model: bytes, manifest: Manifest, paths: Sequence[Path] = ()) -> list[Golden]:
    """Computes golden vectors of recordings, or of generated signals where none are given.

    Args:
        model: The .tflite file's content.
        manifest: Of the model.
        paths: WAV or FLAC files.

    Raises:
        KwsError: If a recording cannot be decoded or the model does not run.
    """
    if paths:
        names = [f"{path.parent.name}/{path.name}" for path in map(Path, paths)]
        samples = read_samples(paths, manifest.front_end)
    else:
        generated = signals(manifest.front_end)
        names, samples = list(generated), np.stack(list(generated.values()))
    values = features(samples.astype(np.float32) / np.float32(32768), manifest.front_end).numpy()
    inputs = manifest.quantize(values)
    outputs = tflm.run(model, inputs).outputs[0]
    columns = (names, samples, values, inputs, outputs, outputs.argmax(axis=1))
    return [Golden(*row) for row in zip(*columns, strict=True)]


def signals(front_end: FrontEnd) -> dict[str, np.ndarray]:
    """Returns signals that reach every part of a front end, int16 [samples] each."""
    time = np.arange(front_end.samples) / front_end.log_mel.sample_rate
    length = front_end.example_ms / 1000
    sweep = np.sin(2 * np.pi * (60 + 0.5 * front_end.log_mel.high_hz * time / length) * time)
    syllables = 0.01 + np.sin(3 * np.pi * time / length) ** 4
    return {
        "silence": np.zeros(front_end.samples, np.int16),
        "full-scale square wave": np.where(time * 440 % 1 < 0.5, 32767, -32768).astype(np.int16),
        "sweep": np.round(8000 * syllables * sweep).astype(np.int16),
    }


def golden_source(golden: Sequence[Golden]) -> str:
    """Returns ``kws_golden_data.c``."""
    parts = ['#include "kws_golden.h"\n']
    rows = []
    for number, example in enumerate(golden):
        for kind, name in (
            ("int16_t", "samples"),
            ("float", "features"),
            ("int8_t", "input"),
            ("int8_t", "output"),
        ):
            parts.append(c_array(kind, f"{name}_{number}", getattr(example, name), "static "))
        arrays = ", ".join(f"{n}_{number}" for n in ("samples", "features", "input", "output"))
        rows.append(f"    {{{c_string(example.name)}, {arrays}, {example.label}}},")
    table = ["const kws_golden_t kws_golden[KWS_GOLDEN_EXAMPLES] = {", *rows, "};", ""]
    return "\n".join([*parts, *table])
