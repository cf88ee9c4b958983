"""Writes a folder for firmware from a converted model; the same model gives the same bytes."""

import dataclasses
import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kws_tf.deployment.golden import c_string, golden_source, make_golden
from kws_tf.deployment.tflm_model import ARENA_MARGIN, TflmModel, inspect
from kws_tf.errors import KwsError
from kws_tf.evaluation.trigger import Trigger
from kws_tf.files import write_bytes
from kws_tf.frontend import c_tables
from kws_tf.frontend.c_source import c_array, c_float, defines, header
from kws_tf.labels import SILENCE, UNKNOWN
from kws_tf.tflite import manifest as manifests
from kws_tf.tflite.manifest import Manifest

FIRMWARE_SOURCES = (
    "kws_fft_cmsis.c",
    "kws_golden.h",
    "kws_golden.c",
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


class Memory(NamedTuple):
    """Bytes of one part of the firmware."""

    part: str
    flash: int
    ram: int


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
    clips: Sequence[Path] = (),
    trigger: Trigger | None = None,
) -> Export:
    """Writes everything a firmware needs.

    Args:
        model_path: The .tflite file, its manifest beside it.
        folder: Folder to write into; made where it is missing.
        clips: Recordings for the golden vectors; generated signals where there are none.
        trigger: Settings of the trigger; by default the manifest's.

    Raises:
        KwsError: If the model, its manifest or a clip cannot be used, or the folder cannot be
            written.
    """
    model_path, folder = Path(model_path), Path(folder)
    manifest = manifests.load(model_path)
    trigger = trigger or Trigger.from_manifest(manifest)
    details = manifest.details | {"trigger": dataclasses.asdict(trigger)}
    manifest = dataclasses.replace(manifest, details=details)
    content = model_path.read_bytes()
    front_end_tables = c_tables.make_tables(manifest.front_end, manifest.input_scale)
    model = inspect(content, manifest)
    golden = make_golden(content, manifest, clips)
    memory = _memory(manifest, front_end_tables, model, trigger)

    config = c_tables.config_lines(
        manifest.front_end, manifest.input_scale, manifest.input_bits, front_end_tables
    )
    config += _application_lines(manifest, model, trigger)
    config += defines(GOLDEN_EXAMPLES=len(golden))
    description = {"format": manifests.FORMAT} | dataclasses.asdict(manifest)
    firmware = resources.files("kws_tf.deployment") / "firmware"
    files = {name: c_tables.source(name) for name in c_tables.FRONT_END_SOURCES}
    files |= {name: (firmware / name).read_text() for name in FIRMWARE_SOURCES}
    files |= {
        "kws_config.h": header("KWS_CONFIG_H_", config),
        "kws_tables.c": c_tables.table_source(front_end_tables),
        "kws_model.h": _MODEL_HEADER,
        "kws_model.c": _model_source(content, manifest),
        "kws_ops.h": _ops_header(model.methods),
        "kws_golden_data.c": golden_source(golden),
        "manifest.json": json.dumps(description, indent=1) + "\n",
        "README.md": _readme(manifest, model, trigger, memory, [clip.name for clip in golden]),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            write_bytes(folder / name, text.encode())
    except (FileExistsError, NotADirectoryError, PermissionError) as error:
        raise KwsError(
            f"cannot write into {folder} ({error.strerror}); give -o another folder"
        ) from error
    return Export(folder, manifest, model, memory)


def _application_lines(manifest: Manifest, model: TflmModel, trigger: Trigger) -> list[str]:
    log_mel = manifest.front_end.log_mel
    return defines(
        CLASSES=len(manifest.labels),
        OUTPUT_IS_LOGITS=int(not model.ends_in_softmax),
        ARENA_BYTES=model.arena_bytes,
        DECISION_HOPS=trigger.decision_hops(log_mel),
        SMOOTHING_DECISIONS=trigger.smoothing_decisions,
        TRIGGER_THRESHOLD=c_float(trigger.threshold),
        REFRACTORY_HOPS=trigger.refractory_hops(log_mel),
    )


_MODEL_HEADER = header(
    "KWS_MODEL_H_",
    [
        "#include <stdint.h>",
        "",
        '#include "kws_config.h"',
        "",
        "#ifdef __cplusplus",
        'extern "C" {',
        "#endif",
        "",
        "extern const unsigned char kws_model[]; /* the .tflite file, aligned to 16 bytes */",
        "extern const unsigned kws_model_bytes;",
        "extern const char *const kws_labels[KWS_CLASSES];",
        "extern const uint8_t kws_is_keyword[KWS_CLASSES]; /* 0 for silence and unknown words */",
        "",
        "#ifdef __cplusplus",
        "}",
        "#endif",
    ],
)


def _model_source(content: bytes, manifest: Manifest) -> str:
    labels = "\n".join(f"    {c_string(label)}," for label in manifest.labels)
    keyword = np.array([label not in (SILENCE, UNKNOWN) for label in manifest.labels], np.uint8)
    model = np.frombuffer(content, np.uint8)
    return "\n".join(
        [
            '#include "kws_model.h"\n',
            c_array("unsigned char", "kws_model", model, "__attribute__((aligned(16))) "),
            f"const unsigned kws_model_bytes = {len(content)};\n",
            f"const char *const kws_labels[KWS_CLASSES] = {{\n{labels}\n}};\n",
            c_array("uint8_t", "kws_is_keyword", keyword),
        ]
    )


def _ops_header(methods: Sequence[str]) -> str:
    checks = " ||\n      ".join(f"resolver->{method}() != kTfLiteOk" for method in methods)
    return header(
        "KWS_OPS_H_",
        [
            "// The ops of the model, and no others.",
            '#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"',
            "",
            f"using KwsOpResolver = tflite::MicroMutableOpResolver<{len(methods)}>;",
            "",
            "inline TfLiteStatus KwsAddOps(KwsOpResolver* resolver) {",
            f"  if ({checks}) {{",
            "    return kTfLiteError;",
            "  }",
            "  return kTfLiteOk;",
            "}",
        ],
    )


def _memory(
    manifest: Manifest, front_end_tables: c_tables.Tables, model: TflmModel, trigger: Trigger
) -> tuple[Memory, ...]:
    front_end, classes = manifest.front_end, len(manifest.labels)
    window = front_end.frames * front_end.features
    return (
        Memory("model", manifest.bytes, 0),
        Memory("tensor arena", 0, model.arena_bytes),
        Memory("front end: tables, state", front_end_tables.bytes, c_tables.ram_bytes(front_end)),
        Memory("window of features", 0, window),
        Memory("smoothing", 0, 4 * classes * (trigger.smoothing_decisions + 2) + classes),
    )


def _readme(
    manifest: Manifest,
    model: TflmModel,
    trigger: Trigger,
    memory: Sequence[Memory],
    clips: Sequence[str],
) -> str:
    rows = [f"| {part} | {flash or ''} | {ram or ''} |" for part, flash, ram in memory]
    flash, ram = sum(row.flash for row in memory), sum(row.ram for row in memory)
    return _README.format(
        labels=", ".join(f"`{label}`" for label in manifest.labels),
        front_end=manifest.front_end.name,
        hidden=manifest.hidden_units,
        sha256=manifest.sha256,
        rows="\n".join([*rows, f"| **sum** | **{flash}** | **{ram}** |"]),
        used=model.arena_used,
        arena=model.arena_bytes,
        margin=round(100 * ARENA_MARGIN),
        ops="\n".join(f"- `{method}`" for method in model.methods),
        trigger="\n".join(f"| `{k}` | {v:g} |" for k, v in dataclasses.asdict(trigger).items()),
        clips="\n".join(f"- {name}" for name in clips),
        golden_bytes=len(clips)
        * (
            2 * manifest.front_end.samples
            + 5 * manifest.front_end.frames * manifest.front_end.features
            + len(manifest.labels)
        ),
    )


_README = """# Keyword spotter for TensorFlow Lite Micro

LSTM of {hidden} units, front end `{front_end}`, classes in the order of the outputs:
{labels}.
Model: SHA-256 `{sha256}`.
Everything here was made by `scripts/export_micro.py` of kws_tf; export anew rather than edit.

## Try it
```
cmake -B build && cmake --build build && build/kws_golden_frontend   # front end, on this machine
sh run_qemu.sh cortex-m4                                             # the same on an emulated chip
cmake -B build -DTFLM_DIR=/path/to/tflite-micro && cmake --build build && build/kws_examples
```
The last one runs model and front end: label and score of each stored clip, and the golden check.

## On a board
1. Build TensorFlow Lite Micro for the chip (target `microlite` of its Makefile), or add a tree made
   by its `create_tflm_tree.py` to your project.
2. Add to the project: `kws_frontend.c`, `kws_tables.c`, `kws_fft.c` (or `kws_fft_cmsis.c` with
   CMSIS-DSP, or a `kws_rfft` of your own), `kws_model.c`, `keyword_spotter.cc`,
   `main_microphone.cc`. C99 and C++17; `-fno-exceptions -fno-rtti` are fine.
3. Define `TF_LITE_STATIC_MEMORY` for all files, as TFLM's library does.
4. Write the two functions of `kws_board.h`: samples from the microphone, what to do with a word.
5. Check the board once: add `kws_golden.c`, `kws_golden_data.c` and `main_examples.cc` in place of
   `main_microphone.cc` ({golden_bytes} bytes of flash more). With CMSIS-NN kernels the outputs may
   differ from Python's by a few steps: `-DKWS_OUTPUT_TOLERANCE=8`.

`docs/deploy.md` of kws_tf has the steps for particular boards, and troubleshooting.

## Memory
Bytes, without code; the linker's map has those of the code.

| part | flash | RAM |
|---|---|---|
{rows}

All of the RAM but the interpreter's own objects; `kws_examples` prints the whole size of the
`KeywordSpotter`. The arena: tflite-micro used {used} bytes on a 64-bit machine;
`KWS_ARENA_BYTES` is {arena}, that and {margin} % rounded up to 256 bytes. A 32-bit chip needs less,
CMSIS-NN kernels may need more scratch memory: `arena_used_bytes()` tells.

## Ops
{ops}

## Trigger
| setting | value |
|---|---|
{trigger}

A decision is made on the newest window, from a zeroed LSTM state each time. The averaged posterior
of a keyword (not of `_silence_` or `_unknown_`) above the threshold is a detection. The values are
in `kws_config.h`, their origin in `manifest.json` (`details.trigger`).

## Golden clips
{clips}
"""
