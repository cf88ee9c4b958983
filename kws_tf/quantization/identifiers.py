"""Quantizers by name, for layers and configurations: ``get("pact8")``."""

import re

import tensorflow_model_optimization as tfmot
import tf_keras as keras

from kws_tf.quantization.quantizers import CellQuantizer, FixedPointQuantizer, PactQuantizer

ALIASES = ("pact<bits>", "pact_weights<bits>", "pact_cell", "q<m>_<n>")
"""All names; ``get`` says what they stand for."""


def get(identifier):
    """Returns a quantizer.

    ======================  ===============================================================
    name                    quantizer
    ======================  ===============================================================
    ``pact``, ``pact8``     ``PactQuantizer(8)``; any other width likewise: ``pact4``
    ``pact_weights``        ``PactQuantizer(8, narrow_range=True)``; likewise
                            ``pact_weights4``
    ``pact_cell``           ``CellQuantizer()``
    ``q3_12``               ``FixedPointQuantizer(12, bits=16)``: sign, 3 integer and 12
                            fraction bits; any other such format likewise: ``q0_7``
    ======================  ===============================================================

    A clip begins at the quantizer's default; for another, give the object itself.

    Args:
        identifier: A name, a quantizer (returned as it is), a configuration from
            ``keras.saving.serialize_keras_object``, or ``None`` (returned as well).

    Raises:
        ValueError: If there is no such name, or the identifier is something else.

    Example:
        >>> get("pact_weights4") == PactQuantizer(4, narrow_range=True)
        True
        >>> get("q0_15").get_config()
        {'fraction_bits': 15, 'bits': 16}
    """
    if identifier is None or isinstance(identifier, tfmot.quantization.keras.quantizers.Quantizer):
        return identifier
    if isinstance(identifier, dict):
        return keras.saving.deserialize_keras_object(identifier)
    if identifier == "pact_cell":
        return CellQuantizer()
    text = identifier if isinstance(identifier, str) else ""
    if match := re.fullmatch(r"pact(_weights)?(\d*)", text):
        return PactQuantizer(int(match[2] or 8), narrow_range=bool(match[1]))
    if match := re.fullmatch(r"q(\d+)_(\d+)", text):
        integer_bits, fraction_bits = map(int, match.groups())
        return FixedPointQuantizer(fraction_bits, 1 + integer_bits + fraction_bits)
    raise ValueError(f"no such quantizer: {identifier!r}; there are {', '.join(ALIASES)}")
