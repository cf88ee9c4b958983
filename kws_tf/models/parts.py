"""The two layers of a spotter, found by their types and not by their names."""

import tf_keras as keras

from kws_tf.errors import KwsError
from kws_tf.quantization.dense import QuantizedDense
from kws_tf.quantization.lstm import QuantizedLSTM


def lstm_of(model: keras.Model) -> QuantizedLSTM:
    """Returns a model's one ``QuantizedLSTM``, be it quantized or float.

    Raises:
        KwsError: If it has none or several.
    """
    return _only(model, QuantizedLSTM)


def classifier_of(model: keras.Model) -> QuantizedDense | keras.layers.Dense:
    """Returns a model's one dense layer, be it quantized or float.

    Raises:
        KwsError: If it has none or several.
    """
    return _only(model, (QuantizedDense, keras.layers.Dense))


def _only(model: keras.Model, kinds):
    found = [layer for layer in model.layers if isinstance(layer, kinds)]
    if len(found) != 1:
        kinds = kinds if isinstance(kinds, tuple) else (kinds,)
        names = " or ".join(kind.__name__ for kind in kinds)
        raise KwsError(
            f"the model '{model.name}' has {len(found)} layers of type {names} instead of one; "
            "build it of one QuantizedLSTM and one QuantizedDense"
        )
    return found[0]
