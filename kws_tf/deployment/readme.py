"""The README of an exported folder; its text is ``firmware/README.template.md``."""

import dataclasses
from collections.abc import Sequence
from importlib import resources
from typing import NamedTuple

from kws_tf.deployment.tflm_model import ARENA_MARGIN, TflmModel
from kws_tf.tflite.manifest import Manifest


class Memory(NamedTuple):
    """Bytes of one part of the firmware."""

    part: str
    flash: int
    ram: int


def readme(
    manifest: Manifest, model: TflmModel, memory: Sequence[Memory], examples: Sequence[str]
) -> str:
    """Returns the README.

    Args:
        manifest: Of the model.
        model: Its ops and arena.
        memory: Bytes by part.
        examples: Names of the golden examples.
    """
    rows = [f"| {part} | {flash or ''} | {ram or ''} |" for part, flash, ram in memory]
    flash, ram = sum(row.flash for row in memory), sum(row.ram for row in memory)
    front_end, classes = manifest.front_end, len(manifest.labels)
    golden_bytes = 2 * front_end.samples + 5 * front_end.frames * front_end.features + classes
    template = resources.files("kws_tf.deployment") / "firmware" / "README.template.md"
    return template.read_text(encoding="utf-8").format(
        labels=", ".join(f"`{label}`" for label in manifest.labels),
        front_end=front_end.name,
        hidden=manifest.hidden_units,
        sha256=manifest.sha256,
        rows="\n".join([*rows, f"| **sum** | **{flash}** | **{ram}** |"]),
        used=model.arena_used,
        arena=model.arena_bytes,
        margin=round(100 * ARENA_MARGIN),
        ops="\n".join(f"- `{method}`" for method in model.methods),
        trigger="\n".join(
            f"| `{name}` | {value:g} |"
            for name, value in dataclasses.asdict(manifest.trigger).items()
        ),
        examples="\n".join(f"- {name}" for name in examples),
        golden_bytes=len(examples) * golden_bytes,
    )
