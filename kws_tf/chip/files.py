"""The C files of a model without TensorFlow Lite Micro: sources, constants, tables, weights."""

from collections.abc import Sequence
from importlib import resources

import numpy as np

from kws_tf.chip import frontend_tables, lstm_tables
from kws_tf.chip.source import c_array, c_string, defines, header
from kws_tf.frontend.config import FrontEnd, LogMel
from kws_tf.reference import IntegerModel
from kws_tf.tflite.manifest import Manifest
from kws_tf.tflite.trigger import Trigger, keyword_indices

_COMMON = (
    *frontend_tables.FRONT_END_SOURCES,
    *("kws_fft_cmsis.c", "kws_trigger.h", "kws_trigger.c", "kws_labels.h"),
)
_KERNEL = ("kws_lstm.h", "kws_lstm.c", "kws_classifier.h")
_SPOTTER = ("kws_classifier.c", "kws_spotter.h", "kws_spotter.c")
OF_SOME = (*_KERNEL, *_SPOTTER, "kws_lstm_data.h", "kws_lstm_data.c")
"""Names of the files that some firmwares have and others have not."""


def source(name: str) -> str:
    """Returns the text of one of the C sources."""
    return (resources.files("kws_tf.chip") / "c" / name).read_text(encoding="utf-8")


def front_end_files(front_end: FrontEnd, input_scale: float, input_bits: int) -> dict[str, str]:
    """Returns the C front end by itself, ``kws_config.h`` included.

    Raises:
        KwsError: If the front end is one that the C code cannot compute.
    """
    tables = frontend_tables.make_tables(front_end, input_scale)
    config = frontend_tables.config_lines(front_end, input_scale, input_bits, tables)
    return {name: source(name) for name in frontend_tables.FRONT_END_SOURCES} | {
        "kws_config.h": header("KWS_CONFIG_H_", config),
        "kws_tables.c": frontend_tables.table_source(tables),
    }


def common_files(manifest: Manifest, tables: frontend_tables.Tables) -> dict[str, str]:
    """Returns front end, trigger and labels, which every firmware has; without ``kws_config.h``."""
    return {name: source(name) for name in _COMMON} | {
        "kws_tables.c": frontend_tables.table_source(tables),
        "kws_labels.c": labels_source(manifest.labels),
    }


def kernel_files(content: bytes) -> dict[str, str]:
    """Returns the LSTM kernel with a model's weights.

    Args:
        content: The .tflite file's.

    Raises:
        KwsError: If the model is one that the kernel cannot compute.
    """
    tables = lstm_tables.make_tables(IntegerModel.from_tflite(content))
    return {name: source(name) for name in _KERNEL} | {
        "kws_lstm_data.h": lstm_tables.data_header(tables),
        "kws_lstm_data.c": lstm_tables.data_source(tables),
    }


def spotter_files(content: bytes, manifest: Manifest) -> dict[str, str]:
    """Returns all C files of the bare spotter by name, ``kws_config.h`` among them.

    Args:
        content: The .tflite file's.
        manifest: Of the model.

    Raises:
        KwsError: If the front end or the model is one that the C code cannot compute.
    """
    tables = frontend_tables.make_tables(manifest.front_end, manifest.input_scale)
    config = [*config_lines(manifest, tables), *defines(UNITS=manifest.hidden_units)]
    files = common_files(manifest, tables) | kernel_files(content)
    files |= {name: source(name) for name in _SPOTTER}
    return files | {"kws_config.h": header("KWS_CONFIG_H_", config)}


def config_lines(manifest: Manifest, tables: frontend_tables.Tables) -> list[str]:
    """Returns the lines of ``kws_config.h`` for front end and trigger."""
    front_end = manifest.front_end
    return [
        *frontend_tables.config_lines(front_end, manifest.input_scale, manifest.input_bits, tables),
        *trigger_lines(manifest.trigger, manifest.labels, front_end.log_mel),
    ]


def trigger_lines(trigger: Trigger, labels: Sequence[str], log_mel: LogMel) -> list[str]:
    """Returns the trigger's lines of ``kws_config.h``."""
    return defines(
        CLASSES=len(labels),
        DECISION_HOPS=trigger.decision_hops(log_mel),
        SMOOTHING_DECISIONS=trigger.smoothing_decisions,
        LEAST_SUMS=f"{{{', '.join(map(str, trigger.least_sums(labels)))}}}",
        REFRACTORY_HOPS=trigger.refractory_hops(log_mel),
    )


def labels_source(labels: Sequence[str]) -> str:
    """Returns ``kws_labels.c``.

    Args:
        labels: The class names in the order of the outputs.
    """
    lines = "\n".join(f"    {c_string(label)}," for label in labels)
    keyword = np.zeros(len(labels), np.uint8)
    keyword[keyword_indices(labels)] = 1
    return "\n".join(
        [
            '#include "kws_labels.h"\n',
            f"const char *const kws_labels[KWS_CLASSES] = {{\n{lines}\n}};\n",
            c_array("uint8_t", "kws_is_keyword", keyword),
        ]
    )
