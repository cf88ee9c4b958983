"""The C and C++ texts of the application with TFLM that are made from a model."""

from collections.abc import Sequence

import numpy as np

from kws_tf.chip.source import c_array, header
from kws_tf.deployment.tflm_model import KERNELS, TflmModel
from kws_tf.tflite.graph import BIAS, KERNEL, RECURRENT, Graph

_LSTM_METHOD = "AddUnidirectionalSequenceLSTM"


def application_lines(model: TflmModel) -> list[str]:
    """Returns the application's part of ``kws_config.h``."""
    return [
        f"#define KWS_OUTPUT_IS_LOGITS {int(not model.ends_in_softmax)}",
        "#ifndef KWS_ARENA_BYTES",
        f"#define KWS_ARENA_BYTES {model.arena_bytes}",
        "#endif",
    ]


def model_source(content: bytes) -> str:
    """Returns ``kws_model.c`` of a .tflite file's content."""
    model = np.frombuffer(content, np.uint8)
    return "\n".join(
        [
            '#include "kws_model.h"\n',
            c_array("unsigned char", "kws_model", model, "__attribute__((aligned(16))) "),
            f"const unsigned kws_model_bytes = {len(content)};\n",
        ]
    )


def without_lstm_weights(content: bytes) -> bytes:
    """Returns the model without the LSTM's weights and biases, which the C kernel has in its order.

    Their tensors stay, of one element each: so the file is for that kernel alone.
    """
    graph = Graph(content)
    for first, dimensions in ((KERNEL, 2), (RECURRENT, 2), (BIAS, 1)):
        for index in graph.lstm.inputs[first : first + 4]:
            tensor = graph.tensor(index)
            buffer = graph.object.buffers[tensor.buffer]
            size = len(buffer.data) // int(np.prod(tensor.shape))
            tensor.shape = np.ones(dimensions, np.int32)
            buffer.data = np.zeros(size, np.uint8)
    return graph.to_bytes()


def ops_header(methods: Sequence[str], kernels: str) -> str:
    """Returns ``kws_ops.h``.

    Args:
        methods: Of ``MicroMutableOpResolver``, one for each kind of op.
        kernels: One of ``KERNELS``.
    """
    own = kernels == KERNELS[0]
    calls = [f"{m}({'kws::RegisterLstm()' if own and m == _LSTM_METHOD else ''})" for m in methods]
    checks = " ||\n      ".join(f"resolver->{call} != kTfLiteOk" for call in calls)
    return header(
        "KWS_OPS_H_",
        [
            "// The ops of the model, and no others.",
            *(['#include "kws_lstm_op.h"'] if own else []),
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
