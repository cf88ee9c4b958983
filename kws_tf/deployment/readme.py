"""The README of an exported folder; its texts are ``firmware/README*.template.md``."""

import dataclasses
from collections.abc import Sequence
from importlib import resources
from typing import NamedTuple

from kws_tf.deployment.tflm_model import ARENA_MARGIN, TflmModel
from kws_tf.tflite.manifest import Manifest
from kws_tf.tflite.trigger import Trigger

_KERNELS = {"kws": "`kws_lstm.c` and they", "cmsis-nn": "CMSIS-NN's", "reference": "they"}
_NOTES = {
    "kws": "The LSTM is `kws_lstm.c`, through `kws_lstm_op.cc`. Its weights are in\n"
    "`kws_lstm_data.c`, in its order; `kws_model.c` is the model without them, for it alone.",
    "cmsis-nn": "Build TFLM with CMSIS-NN (`OPTIMIZED_KERNEL_DIR=cmsis_nn`).",
    "reference": "Build TFLM with its reference kernels.",
}
_TOLERANCE = (
    " With CMSIS-NN the outputs may\n   differ from Python's by a few steps: "
    "`-DKWS_OUTPUT_TOLERANCE=8`."
)


class Memory(NamedTuple):
    """Bytes of one part of the firmware."""

    part: str
    flash: int
    ram: int


def readme(
    manifest: Manifest, model: TflmModel | None, memory: Sequence[Memory], examples: Sequence[str]
) -> str:
    """Returns the README.

    Args:
        manifest: Of the model.
        model: Its ops and arena; ``None`` for a bare firmware.
        memory: Bytes by part.
        examples: Names of the golden examples.
    """
    rows = [f"| {part} | {flash or ''} | {ram or ''} |" for part, flash, ram in memory]
    flash, ram = sum(row.flash for row in memory), sum(row.ram for row in memory)
    front_end, classes = manifest.front_end, len(manifest.labels)
    golden_bytes = 2 * front_end.samples + 5 * front_end.frames * front_end.features + classes
    values = {
        "labels": ", ".join(f"`{label}`" for label in manifest.labels),
        "front_end": front_end.name,
        "hidden": manifest.hidden_units,
        "sha256": manifest.sha256,
        "rows": "\n".join([*rows, f"| **sum** | **{flash}** | **{ram}** |"]),
        "trigger": _trigger_rows(manifest.trigger),
        "examples": "\n".join(f"- {name}" for name in examples),
        "golden_bytes": len(examples) * golden_bytes,
    }
    name = "README.template.md" if model else "README.bare.template.md"
    template = resources.files("kws_tf.deployment") / "firmware" / name
    return template.read_text(encoding="utf-8").format(
        **values | (_of_tflm(model) if model else {})
    )


def _trigger_rows(trigger: Trigger) -> str:
    values = dataclasses.asdict(trigger)
    thresholds = values.pop("thresholds")
    rows = [f"| `{name}` | {value:g} |" for name, value in values.items()]
    rows += [f"| threshold of `{word}` | {value:g} |" for word, value in thresholds.items()]
    return "\n".join(rows)


def _of_tflm(model: TflmModel) -> dict:
    own = model.kernels == "kws"
    return {
        "kernel_sources": "`kws_lstm.c`, `kws_lstm_data.c`, `kws_lstm_op.cc`, " if own else "",
        "kernels": _KERNELS[model.kernels],
        "kernel_note": _NOTES[model.kernels],
        "tolerance": _TOLERANCE if model.kernels == "cmsis-nn" else "",
        "used": model.arena_used,
        "needed": model.arena_needed,
        "arena": model.arena_bytes,
        "margin": round(100 * ARENA_MARGIN),
        "ops": "\n".join(f"- `{method}`" for method in model.methods),
    }
