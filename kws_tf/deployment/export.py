"""Writes a folder for firmware from a converted model; the same model gives the same bytes."""

import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from kws_tf.chip import files as chip_files
from kws_tf.chip import frontend_tables, lstm_tables
from kws_tf.chip.source import defines, header
from kws_tf.deployment import c_files
from kws_tf.deployment.golden import golden_source, make_golden
from kws_tf.deployment.readme import Memory, readme
from kws_tf.deployment.tflm_model import KERNELS, TflmModel, inspect
from kws_tf.errors import KwsError
from kws_tf.files import write_bytes
from kws_tf.reference import IntegerModel
from kws_tf.tflite import model as models
from kws_tf.tflite.manifest import Manifest
from kws_tf.tflite.trigger import Trigger

_COMMON = (
    *("kws_golden.h", "kws_golden.c", "main_frontend.c", "kws_board.h", "board_stdin.c"),
    *("mps2.h", "mps2.c", "mps2.ld", "mps3.ld", "sections.ld"),
    *("arm-none-eabi.cmake", "CMakeLists.txt", "run_qemu.sh"),
)
_BARE = ("main_bare.c", "main_listen.c")
_TFLM = (
    *("kws_model.h", "keyword_spotter.h", "keyword_spotter.cc"),
    *("main_examples.cc", "main_microphone.cc"),
)
_KERNEL_OP = ("kws_lstm_op.h", "kws_lstm_op.cc")
_OF_SOME = {*_BARE, *_TFLM, *_KERNEL_OP, "kws_ops.h", "kws_model.c", *chip_files.OF_SOME}


class Export(NamedTuple):
    """What has been written.

    Attributes:
        folder: Where.
        manifest: Of the model, with the trigger.
        model: Ops and arena; ``None`` for a bare firmware.
        memory: Bytes by part, without code.
    """

    folder: Path
    manifest: Manifest
    model: TflmModel | None
    memory: tuple[Memory, ...]


def export(
    model_path: Path,
    folder: Path,
    examples: Sequence[Path] = (),
    trigger: Trigger | None = None,
    kernels: str = KERNELS[0],
    bare: bool = False,
) -> Export:
    """Writes everything a firmware needs.

    Args:
        model_path: The .tflite file, its manifest beside it.
        folder: Folder to write into; made where it is missing. Of an older export, files that
            this one does not have are removed.
        examples: Recordings for the golden vectors; generated signals where there are none.
        trigger: Settings of the trigger; by default the manifest's.
        kernels: Whose LSTM runs under TFLM, one of ``KERNELS``.
        bare: Write a firmware in C, without TFLM.

    Raises:
        KwsError: If the model, its manifest or a recording cannot be used, there are no such
            kernels, the trigger has a threshold for a word that the model has not, or the folder
            cannot be written.
    """
    opened, folder = models.load(model_path), Path(folder)
    if len(opened.outputs) != 1:
        raise KwsError(
            f"{opened.path} has {len(opened.outputs)} outputs and the firmware takes one; convert "
            "the run anew"
        )
    manifest = opened.manifest.with_trigger(trigger or opened.manifest.trigger)
    tables = frontend_tables.make_tables(manifest.front_end, manifest.input_scale)
    config = chip_files.config_lines(manifest, tables)
    texts = chip_files.common_files(manifest, tables) | _sources(_COMMON)
    if bare:
        model = None
        texts |= chip_files.spotter_files(opened.content, manifest) | _sources(_BARE)
        config += defines(UNITS=manifest.hidden_units)
    else:
        model = inspect(opened, kernels)
        texts |= _tflm_files(opened.content, model)
        config += c_files.application_lines(model)
    golden = make_golden(opened.content, manifest, examples)
    config += defines(GOLDEN_EXAMPLES=len(golden))
    memory = _memory(opened.content, manifest, tables, model)
    texts |= {
        "kws_config.h": header("KWS_CONFIG_H_", config),
        "kws_golden_data.c": golden_source(golden),
        "manifest.json": json.dumps(manifest.to_json(), indent=1) + "\n",
        "README.md": readme(manifest, model, memory, [example.name for example in golden]),
    }
    _write(folder, texts)
    return Export(folder, manifest, model, memory)


def _tflm_files(content: bytes, model: TflmModel) -> dict[str, str]:
    """Returns the application with TFLM, and the project's kernel where it is wanted."""
    texts = _sources(_TFLM) | {"kws_ops.h": c_files.ops_header(model.methods, model.kernels)}
    if model.kernels == "kws":
        texts |= chip_files.kernel_files(content) | _sources(_KERNEL_OP)
        content = c_files.without_lstm_weights(content)
    return texts | {"kws_model.c": c_files.model_source(content)}


def _sources(names: Sequence[str]) -> dict[str, str]:
    firmware = resources.files("kws_tf.deployment") / "firmware"
    return {name: (firmware / name).read_text(encoding="utf-8") for name in names}


def _write(folder: Path, texts: Mapping[str, str]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in _OF_SOME - texts.keys():  # of another firmware that was here before
            (folder / name).unlink(missing_ok=True)
        for name, text in texts.items():
            write_bytes(folder / name, text.encode())
    except OSError as error:
        raise KwsError(
            f"cannot write {error.filename or folder} ({error.strerror}); give -o another folder"
        ) from error


def _memory(
    content: bytes, manifest: Manifest, tables: frontend_tables.Tables, model: TflmModel | None
) -> tuple[Memory, ...]:
    front_end, classes = manifest.front_end, len(manifest.labels)
    smoothing = classes * (manifest.trigger.smoothing_decisions + 3)  # history, sums, output
    own = model is None or model.kernels == "kws"
    kernel = lstm_tables.make_tables(IntegerModel.from_tflite(content)) if own else None
    parts = []
    if model:
        file = len(c_files.without_lstm_weights(content)) if own else len(content)
        parts += [Memory("model file", file, 0), Memory("tensor arena", 0, model.arena_bytes)]
    if kernel:
        state = 0 if model else kernel.state_bytes
        parts.append(Memory("LSTM: weights, state", kernel.bytes, state))
    return (
        *parts,
        Memory("front end: tables, state", tables.bytes, frontend_tables.ram_bytes(front_end)),
        Memory("window of features", 0, front_end.frames * front_end.features),
        Memory("smoothing", 0, smoothing + (4 * classes if model else 0)),  # with TFLM, floats too
    )
