"""What the quantized layers share: a quantizer for each signal."""

import tensorflow as tf
import tf_keras as keras

from kws_tf.quantization import identifiers


class QuantizedLayer(keras.layers.Layer):
    """A layer that fake-quantizes signals; one whose quantizer is ``None`` stays as it is.

    Args:
        quantizers: Quantizer of each signal, or its name (see ``identifiers``).
        **kwargs: As of ``keras.layers.Layer``.
    """

    def __init__(self, quantizers: dict, **kwargs):
        super().__init__(**kwargs)
        quantizers = {signal: identifiers.get(q) for signal, q in quantizers.items()}
        self.quantizers = {signal: q for signal, q in quantizers.items() if q is not None}
        self._clips: dict[str, dict] = {}

    def _quantizers_config(self) -> dict:
        return {s: keras.saving.serialize_keras_object(q) for s, q in self.quantizers.items()}

    def _build_quantizers(self) -> None:
        for signal, quantizer in self.quantizers.items():
            self._clips[signal] = quantizer.build(None, signal, self)

    def quantize(self, signal: str, value):
        """Fake-quantizes a signal, if it has a quantizer."""
        if signal not in self.quantizers:
            return value
        return self.quantizers[signal](value, training=None, weights=self._clips[signal])

    def scale(self, signal: str):
        """Returns a signal's scale, float32 scalar, or ``None`` if it is not quantized."""
        if signal not in self.quantizers:
            return None
        return tf.stop_gradient(self.quantizers[signal].scale(self._clips[signal]))

    def clip(self, signal: str) -> tf.Variable | None:
        """Returns a signal's clip variable, or ``None`` if it has none."""
        return self._clips.get(signal, {}).get("clip")

    def clips(self) -> dict[str, tf.Variable]:
        """Returns the clip variables by signal."""
        return {signal: w["clip"] for signal, w in self._clips.items() if "clip" in w}
