"""The C and C++ texts that are made from a model: its constants, its bytes, its ops."""

from collections.abc import Sequence

import numpy as np

from kws_tf.deployment.tflm_model import TflmModel
from kws_tf.frontend.c_source import c_array, c_float, c_string, defines, header
from kws_tf.labels import SILENCE, UNKNOWN
from kws_tf.tflite.manifest import Manifest


def application_lines(manifest: Manifest, model: TflmModel) -> list[str]:
    """Returns the application's part of ``kws_config.h``."""
    log_mel, trigger = manifest.front_end.log_mel, manifest.trigger
    return defines(
        CLASSES=len(manifest.labels),
        OUTPUT_IS_LOGITS=int(not model.ends_in_softmax),
        ARENA_BYTES=model.arena_bytes,
        DECISION_HOPS=trigger.decision_hops(log_mel),
        SMOOTHING_DECISIONS=trigger.smoothing_decisions,
        TRIGGER_THRESHOLD=c_float(trigger.threshold),
        REFRACTORY_HOPS=trigger.refractory_hops(log_mel),
    )


def model_source(content: bytes, labels: Sequence[str]) -> str:
    """Returns ``kws_model.c``.

    Args:
        content: The .tflite file's.
        labels: The class names in the order of the outputs.
    """
    lines = "\n".join(f"    {c_string(label)}," for label in labels)
    keyword = np.array([label not in (SILENCE, UNKNOWN) for label in labels], np.uint8)
    model = np.frombuffer(content, np.uint8)
    return "\n".join(
        [
            '#include "kws_model.h"\n',
            c_array("unsigned char", "kws_model", model, "__attribute__((aligned(16))) "),
            f"const unsigned kws_model_bytes = {len(content)};\n",
            f"const char *const kws_labels[KWS_CLASSES] = {{\n{lines}\n}};\n",
            c_array("uint8_t", "kws_is_keyword", keyword),
        ]
    )


def ops_header(methods: Sequence[str]) -> str:
    """Returns ``kws_ops.h``.

    Args:
        methods: Of ``MicroMutableOpResolver``, one for each kind of op.
    """
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
