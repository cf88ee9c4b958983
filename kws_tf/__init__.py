"""kws_tf: LSTM keyword spotting from TensorFlow to int8 on a microcontroller.

The sub-packages follow the data: ``audio`` -> ``data`` -> ``models`` -> ``training`` ->
``conversion`` -> ``evaluation`` -> ``deployment``. Importing this package does not import
TensorFlow, so that command lines answer ``--help`` at once; the public names below are imported
when they are first used.

``QuantizedLSTM``, ``QuantizedLSTMCell``, ``QuantizedDense``
    layers that train in the arithmetic of TFLite's integer LSTM
``PactQuantizer``, ``CellQuantizer``, ``FixedPointQuantizer``, ``PactQuantizeConfig``
    what they quantize with; ``get_quantizer`` makes one of a name such as "pact8"
``convert_model``
    a Keras model of these layers to an int8 .tflite of the same numbers
``verify_model``
    the proof: Keras, NumPy, TFLite and TFLite Micro compared value by value
``IntegerModel``
    the .tflite in NumPy, equal to either runtime on every value
``KwsError``
    a problem the user can mend, in one sentence

``examples/quantized_lstm.py`` shows them on a model of one's own.
"""

import importlib
import logging
import os

# tfmot, and the only LSTM that converts to the fused TFLite op, need Keras 2 (tf_keras).
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
# TensorFlow's start-up notes about absent GPUs and oneDNN are noise for a user on a CPU.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

logging.getLogger("tensorflow").setLevel(logging.ERROR)

__version__ = "0.2.0"

_QUANTIZATION = (
    *("CellQuantizer", "FixedPointQuantizer", "PactQuantizeConfig", "PactQuantizer"),
    *("QuantizedDense", "QuantizedLSTM", "QuantizedLSTMCell"),
)
_MODULES = dict.fromkeys((*_QUANTIZATION, "get_quantizer"), "quantization") | {
    "IntegerModel": "reference",
    "KwsError": "errors",
    "convert_model": "conversion.convert",
    "verify_model": "evaluation.verify",
}
_OTHER_NAMES = {"get_quantizer": "get"}
__all__ = sorted(_MODULES)


def __getattr__(name: str):
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_MODULES[name]}")
    return getattr(module, _OTHER_NAMES.get(name, name))


def __dir__():
    return sorted([*globals(), *_MODULES])
