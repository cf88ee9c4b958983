"""Writes a folder for firmware from a converted model; the same model gives the same bytes."""

import dataclasses
import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from kws_tf.deployment import c_files
from kws_tf.deployment.golden import Golden, golden_source, make_golden
from kws_tf.deployment.readme import Memory, readme
from kws_tf.deployment.tflm_model import TflmModel, inspect
from kws_tf.errors import KwsError
from kws_tf.files import write_bytes
from kws_tf.frontend import c_tables
from kws_tf.frontend.c_source import defines, header
from kws_tf.tflite import model as models
from kws_tf.tflite.manifest import Manifest
from kws_tf.tflite.trigger import Trigger

FIRMWARE_SOURCES = (
    "kws_fft_cmsis.c",
    "kws_golden.h",
    "kws_golden.c",
    "kws_model.h",
    "keyword_spotter.h",
    "keyword_spotter.cc",
    "kws_board.h",
    "main_frontend.c",
    "main_examples.cc",
    "main_microphone.cc",
    "board_stdin.c",
    "mps2.h",
    "mps2.c",
    "mps2.ld",
    "arm-none-eabi.cmake",
    "CMakeLists.txt",
    "run_qemu.sh",
)


class Export(NamedTuple):
    """What has been written.

    Attributes:
        folder: Where.
        manifest: Of the model, with the trigger.
        model: Ops and arena.
        memory: Bytes by part, without code.
    """

    folder: Path
    manifest: Manifest
    model: TflmModel
    memory: tuple[Memory, ...]


def export(
    model_path: Path,
    folder: Path,
    examples: Sequence[Path] = (),
    trigger: Trigger | None = None,
) -> Export:
    """Writes everything a firmware needs.

    Args:
        model_path: The .tflite file, its manifest beside it.
        folder: Folder to write into; made where it is missing.
        examples: Recordings for the golden vectors; generated signals where there are none.
        trigger: Settings of the trigger; by default the manifest's.

    Raises:
        KwsError: If the model, its manifest or a recording cannot be used, or the folder cannot
            be written.
    """
    opened, folder = models.load(model_path), Path(folder)
    manifest = opened.manifest
    trigger = trigger or manifest.trigger
    details = manifest.details | {"trigger": dataclasses.asdict(trigger)}
    manifest = dataclasses.replace(manifest, details=details)
    tables = c_tables.make_tables(manifest.front_end, manifest.input_scale)
    model = inspect(opened)
    golden = make_golden(opened.content, manifest, examples)
    memory = _memory(manifest, tables, model)
    files = _files(opened.content, manifest, tables, model, golden)
    files["README.md"] = readme(manifest, model, memory, [example.name for example in golden])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            write_bytes(folder / name, text.encode())
    except OSError as error:
        raise KwsError(
            f"cannot write {error.filename or folder} ({error.strerror}); give -o another folder"
        ) from error
    return Export(folder, manifest, model, memory)


def _files(
    content: bytes,
    manifest: Manifest,
    tables: c_tables.Tables,
    model: TflmModel,
    golden: Sequence[Golden],
) -> dict[str, str]:
    """Returns the texts by name, those that are the same for every model as well."""
    config = [
        *c_tables.config_lines(
            manifest.front_end, manifest.input_scale, manifest.input_bits, tables
        ),
        *c_files.application_lines(manifest, model),
        *defines(GOLDEN_EXAMPLES=len(golden)),
    ]
    firmware = resources.files("kws_tf.deployment") / "firmware"
    files = {name: c_tables.source(name) for name in c_tables.FRONT_END_SOURCES}
    files |= {name: (firmware / name).read_text(encoding="utf-8") for name in FIRMWARE_SOURCES}
    return files | {
        "kws_config.h": header("KWS_CONFIG_H_", config),
        "kws_tables.c": c_tables.table_source(tables),
        "kws_model.c": c_files.model_source(content, manifest.labels),
        "kws_ops.h": c_files.ops_header(model.methods),
        "kws_golden_data.c": golden_source(golden),
        "manifest.json": json.dumps(manifest.to_json(), indent=1) + "\n",
    }


def _memory(manifest: Manifest, tables: c_tables.Tables, model: TflmModel) -> tuple[Memory, ...]:
    front_end, classes = manifest.front_end, len(manifest.labels)
    decisions = manifest.trigger.smoothing_decisions
    return (
        Memory("model", manifest.bytes, 0),
        Memory("tensor arena", 0, model.arena_bytes),
        Memory("front end: tables, state", tables.bytes, c_tables.ram_bytes(front_end)),
        Memory("window of features", 0, front_end.frames * front_end.features),
        Memory("smoothing", 0, 4 * classes * (decisions + 2) + classes),
    )
