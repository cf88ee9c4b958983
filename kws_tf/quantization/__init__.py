"""Quantizers and the layers built of them; usable without the rest of the package.

Public names are imported when they are first used, so that this costs no TensorFlow.

``quantizers``        PACT, the cell's power of two, fixed-point formats: value and gradient
``identifiers``       the same by name: ``get("pact8")``
``profiles``          which quantizer each signal of the LSTM has
``lstm``, ``dense``   the layers; ``fused`` is the LSTM's fast form
``requantization``    integer products to another scale, as the runtimes round them
``activations``       sigmoid and tanh of the runtimes in a layer, from ``activation_tables``
``fixed_point``       the runtimes' integer primitives in NumPy
``quantize_config``   PACT for other layers through tfmot
"""

import importlib

_MODULES = {
    **dict.fromkeys(("CellQuantizer", "FixedPointQuantizer", "PactQuantizer"), "quantizers"),
    **dict.fromkeys(("ALIASES", "get"), "identifiers"),
    **dict.fromkeys(("PROFILES", "SIGNALS"), "profiles"),
    **dict.fromkeys(("QuantizedLSTM", "QuantizedLSTMCell"), "lstm"),
    "QuantizedDense": "dense",
    "PactQuantizeConfig": "quantize_config",
}
__all__ = sorted(_MODULES)


def __getattr__(name: str):
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__():
    return sorted([*globals(), *_MODULES])
