"""What a model must fulfil before it may ship; each guard has its own error.

Both runtimes take a model that breaks these rules without an error and compute garbage, or refuse
it on the device, so it is stopped here. The reasons stand in docs/exactness.md.
"""

import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

from kws_tf.errors import KwsError
from kws_tf.tflite import graph as g

CELL_POWERS = range(-15, -11)
#: Share of weights at a clip above which the clip is taken for collapsed.
SATURATED_SHARE = 0.5

_UNUSED_LSTM_INPUTS = {
    "input-forget coupling (CIFG)": (1, 5, 12),
    "peephole weights": (9, 10, 11),
    "projection": (16, 17),
    "layer normalisation": (20, 21, 22, 23),
}


def check(model: bytes, where: str = "the model") -> None:
    """Checks a converted model.

    Raises:
        KwsError: If a rule is broken: the fused op is absent, an LSTM option is one that TFLite
            Micro has not, a float tensor is left, the cell's scale is out of bounds, the hidden
            state's scales differ, or weights have collapsed onto their clip.
    """
    graph = g.Graph(model, where)
    check_lstm_options(graph, where)
    check_integer(graph, where)
    check_cell_scale(graph, where)
    check_hidden_scales(graph, where)
    check_saturation(graph, where)


def check_lstm_options(graph: g.Graph, where: str) -> None:
    """Refuses LSTM options that TFLite Micro has not."""
    lstm = graph.lstm
    if len(lstm.inputs) != 24:
        raise KwsError(
            f"the LSTM of {where} has {len(lstm.inputs)} inputs, TFLite Micro takes 24; "
            "convert with the pinned TensorFlow"
        )
    for option, positions in _UNUSED_LSTM_INPUTS.items():
        present = [lstm.inputs[position] >= 0 for position in positions]
        if any(present) != (option.startswith("input-forget")):
            raise KwsError(
                f"the LSTM of {where} uses {option}, which TFLite Micro has not; "
                "use a plain tf_keras.layers.LSTM"
            )
    if lstm.builtinOptions.fusedActivationFunction != schema.ActivationFunctionType.TANH:
        raise KwsError(
            f"the LSTM of {where} has another activation than tanh, which TFLite Micro has not; "
            "use a plain tf_keras.layers.LSTM"
        )
    if not all(graph.tensor(lstm.inputs[i]).isVariable for i in (g.HIDDEN_STATE, g.CELL_STATE)):
        raise KwsError(
            f"the LSTM of {where} has states that are no variable tensors, which TFLite Micro "
            "wants; convert with the pinned TensorFlow"
        )


def check_integer(graph: g.Graph, where: str) -> None:
    """Refuses float tensors; unused empty ones do not count."""
    used = {i for op in graph.main.operators for i in (*op.inputs, *op.outputs) if i >= 0}
    for tensor in map(graph.tensor, sorted(used)):
        if tensor.type in (schema.TensorType.FLOAT32, schema.TensorType.FLOAT16):
            raise KwsError(
                f"the tensor '{tensor.name.decode()}' of {where} is float; a model for the chip "
                "is integer throughout: convert with int8 input and output and full-int8 ops"
            )


def check_cell_scale(graph: g.Graph, where: str) -> None:
    """Refuses a cell scale outside of 2^-15 to 2^-12."""
    scale = float(graph.scale(graph.lstm.inputs[g.CELL_STATE]))
    if scale not in [2.0**power for power in CELL_POWERS]:
        raise KwsError(
            f"the cell state of {where} has the scale {scale:g} (2^{np.log2(scale):g}), outside of "
            "2^-15 to 2^-12, where the runtimes compute garbage without an error; an untrained "
            "model has so small a cell: train it, or set the cell's clip between 0.5 and 8"
        )


def check_hidden_scales(graph: g.Graph, where: str) -> None:
    """Refuses differing scales or zero points of the hidden state."""
    places = {
        "state": graph.lstm.inputs[g.HIDDEN_STATE],
        "intermediate 4": graph.lstm.intermediates[g.EFFECTIVE_HIDDEN],
        "output": graph.lstm.outputs[0],
        "last step": graph.slice.outputs[0],
    }
    formats = {name: (graph.scale(i), graph.zero_point(i)) for name, i in places.items()}
    if len(set(formats.values())) != 1:
        found = ", ".join(f"{name} {scale:g}" for name, (scale, _) in formats.items())
        raise KwsError(
            f"the hidden state of {where} has unequal scales ({found}), so that TFLite and TFLite "
            "Micro compute different things; convert the run anew"
        )


def check_saturation(graph: g.Graph, where: str) -> None:
    """Refuses weights of which most sit at their clip: the clip has collapsed."""
    matrices = {
        f"{name} weights {gate}": graph.lstm.inputs[first + i]
        for name, first in (("input", g.KERNEL), ("recurrent", g.RECURRENT))
        for i, gate in enumerate("ifco")
    } | {"classifier weights": graph.dense.inputs[1]}
    for name, index in matrices.items():
        magnitudes = np.abs(graph.values(index).astype(np.int16))
        largest = magnitudes.max()
        if largest == 0:
            raise KwsError(
                f"the {name} of {where} are all zero: their clip is too large for them; "
                "fine-tune with a smaller clip or more bits"
            )
        # With 2 bits -1, 0 and 1 are all there is: being at the clip means nothing.
        share = np.mean(magnitudes == largest)
        if largest > 1 and share > SATURATED_SHARE:
            raise KwsError(
                f"{100 * share:.0f} % of the {name} of {where} are at their clip: it has "
                "collapsed; fine-tune with a lower --quantized-learning-rate or fixed clips"
            )
