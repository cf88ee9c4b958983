"""The classifier: a dense layer with quantized weights and logits."""

import tensorflow as tf
import tf_keras as keras

from kws_tf.quantization.layer import QuantizedLayer
from kws_tf.quantization.quantizers import PactQuantizer


@keras.utils.register_keras_serializable("kws_tf")
class QuantizedDense(QuantizedLayer):
    """``x @ kernel + bias`` as an int8 FULLY_CONNECTED computes it.

    Value: q_output(q_input(x) @ q_kernel(kernel) + bias), where each q is its quantizer. Gradient:
    that of the product, through each quantizer's own.

    Args:
        units: Number of outputs.
        kernel_quantizer: Quantizer of the weights, or its name (see ``identifiers``); ``None``
            leaves them float.
        output_quantizer: The same for the logits.
        input_quantizer: The same for an input that is not quantized already.
        **kwargs: As of ``keras.layers.Layer``.

    Raises:
        ValueError: If there is no quantizer of a name.

    References:
        FULLY_CONNECTED of TensorFlow Lite's 8-bit specification
        (https://www.tensorflow.org/lite/performance/quantization_spec).

    Example:
        >>> layer = QuantizedDense(12, "pact_weights", "pact8")
        >>> layer(tf.zeros([1, 118])).shape
        TensorShape([1, 12])
        >>> sorted(layer.clips())
        ['kernel', 'output']
    """

    def __init__(
        self,
        units: int,
        kernel_quantizer: PactQuantizer | str | None = None,
        output_quantizer: PactQuantizer | str | None = None,
        input_quantizer: PactQuantizer | str | None = None,
        **kwargs,
    ):
        quantizers = {
            "input": input_quantizer,
            "kernel": kernel_quantizer,
            "output": output_quantizer,
        }
        super().__init__(quantizers, **kwargs)
        self.units = units

    def build(self, input_shape):
        """Adds weights and clips."""
        self.kernel = self.add_weight("kernel", [input_shape[-1], self.units])
        self.bias = self.add_weight("bias", [self.units], initializer="zeros")
        self._build_quantizers()
        self.built = True

    def call(self, inputs):
        """Computes the logits, float32 [batch, units], of float32 [batch, n]."""
        product = tf.matmul(self.quantize("input", inputs), self.quantize("kernel", self.kernel))
        return self.quantize("output", product + self.bias)

    def get_config(self):
        """Returns the arguments."""
        quantizers = {f"{s}_quantizer": config for s, config in self._quantizers_config().items()}
        return super().get_config() | {"units": self.units} | quantizers
