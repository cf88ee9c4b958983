"""Which quantizer each signal of the LSTM has: the two profiles.

Signals, in the order of the computation (gates i, f, c, o as in Keras; c is the candidate):

==================  ==============================================================
``input``           the layer's input
``kernel_<g>``      input weights of gate g
``recurrent_<g>``   recurrent weights of gate g
``bias``            all biases
``input_product``   input x kernel + bias
``hidden_product``  hidden state x recurrent kernel
``gate``            their sum, the gate accumulator
``sigmoid_<g>``     sigmoid of gates i, f and o
``tanh_c``          tanh of the candidate
``kept``            f x cell state
``written``         i x candidate
``cell``            the new cell state
``tanh_cell``       its tanh
``hidden``          the hidden state
==================  ==============================================================

Each may be absent. ``QuantizedLSTM`` takes a profile by its name in ``PROFILES``.
"""

from kws_tf.quantization.quantizers import CellQuantizer, FixedPointQuantizer, PactQuantizer

GATES = ("i", "f", "c", "o")
_MATRICES = tuple(f"{name}_{gate}" for name in ("kernel", "recurrent") for gate in GATES)
_SIGMOIDS = ("sigmoid_i", "sigmoid_f", "sigmoid_o")
SIGNALS = (
    *("input", *_MATRICES, "bias", "input_product", "hidden_product", "gate", *_SIGMOIDS),
    *("tanh_c", "kept", "written", "cell", "tanh_cell", "hidden"),
)


def tflite(
    trainable: bool = True,
    weight_bits: int = 8,
    input_bits: int = 8,
    hidden_bits: int = 8,
    l2: float = 0.0,
    learned_step: bool = False,
) -> dict:
    """Returns the formats of TFLite's integer LSTM: the profile that deploys.

    Clips are trained for the input, the eight weight matrices, the cell and the hidden state;
    everything else has the format that is fixed inside the op. Weights, input and hidden state
    have up to 8 bits.

    Args:
        trainable: Whether the clips are trained.
        weight_bits: Width of the weights.
        input_bits: Width of the input.
        hidden_bits: Width of the hidden state.
        l2: Weight of the L2 penalty on the activations' clips.
        learned_step: Gradient of the weights' clips, see ``PactQuantizer``.

    Example:
        >>> tflite(weight_bits=4)["kernel_i"].get_config()["bits"]
        4
    """
    weights = PactQuantizer(
        weight_bits, trainable=trainable, narrow_range=True, learned_step=learned_step
    )
    return {
        "input": PactQuantizer(input_bits, clip=4.0, trainable=trainable, l2=l2),
        **dict.fromkeys(_MATRICES, weights),
        **dict.fromkeys(("input_product", "hidden_product", "gate"), FixedPointQuantizer(12)),
        **dict.fromkeys((*_SIGMOIDS, "tanh_c", "tanh_cell"), FixedPointQuantizer(15)),
        "cell": CellQuantizer(trainable=trainable, l2=l2),
        "hidden": PactQuantizer(hidden_bits, clip=1.0, trainable=trainable, l2=l2),
    }


def paper(trainable: bool = True, weight_bits: int = 8, bits: int = 8, l2: float = 0.0) -> dict:
    """Returns the original scheme: eleven clips, every signal at ``bits`` bits.

    Weights and biases have the fixed range +-1. Initial clips are those of the QuantizedLSTM
    code (github.com/Intelligent-Microsystems-Lab/QuantizedLSTM); the input's is for features that
    are not normalised, ``spotter.set_initial_clips`` sets it to what normalised ones need.

    Args:
        trainable: Whether the clips are trained ("PACT" in its table).
        weight_bits: Width of weights and biases.
        bits: Width of all other signals.
        l2: Weight of the L2 penalty on the clips.

    Example:
        >>> "input_product" in paper()
        False
    """

    def pact(clip):
        return PactQuantizer(bits, clip=clip, trainable=trainable, l2=l2)

    weights = FixedPointQuantizer(fraction_bits=weight_bits - 1, bits=weight_bits)
    return {
        "input": pact(128.0),
        **dict.fromkeys((*_MATRICES, "bias"), weights),
        "gate": pact(16.0),
        # In this order weights are saved.
        **dict.fromkeys(("sigmoid_f", "sigmoid_i", "tanh_c", "sigmoid_o"), pact(1.0)),
        "kept": pact(4.0),
        "written": pact(1.0),
        "cell": pact(4.0),
        "tanh_cell": pact(1.0),
        "hidden": pact(4.0),
    }


PROFILES = {"tflite": tflite, "paper": paper}
