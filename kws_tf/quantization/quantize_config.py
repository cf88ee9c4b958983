"""PACT for other layers: a ``QuantizeConfig`` for ``tfmot.quantization.keras``."""

import tensorflow_model_optimization as tfmot
import tf_keras as keras

from kws_tf.quantization.quantizers import PactQuantizer


@keras.utils.register_keras_serializable("kws_tf")
class PactQuantizeConfig(tfmot.quantization.keras.QuantizeConfig):
    """Quantizes the kernel and the output of a layer such as ``Dense`` with PACT.

    Values and gradients are those of ``PactQuantizer``, for the kernel with a narrow range. The
    output is quantized after the layer's activation.

    Args:
        weight_bits: Width of the kernel.
        output_bits: Width of the output.
        weight_clip: Initial clip of the kernel.
        output_clip: Initial clip of the output.

    References:
        Choi et al., PACT (https://arxiv.org/abs/1805.06085); TensorFlow Model Optimization,
        quantization aware training
        (https://www.tensorflow.org/model_optimization/guide/quantization/training).

    Example:
        >>> tools = tfmot.quantization.keras
        >>> dense = tools.quantize_annotate_layer(keras.layers.Dense(3), PactQuantizeConfig())
        >>> model = keras.Sequential([keras.Input((6,)), dense])
        >>> with tools.quantize_scope({"PactQuantizeConfig": PactQuantizeConfig}):
        ...     model = tools.quantize_apply(model)
        >>> sum("clip" in variable.name for variable in model.trainable_variables)
        2
    """

    def __init__(
        self,
        weight_bits: int = 8,
        output_bits: int = 8,
        weight_clip: float = 1.0,
        output_clip: float = 4.0,
    ):
        self._weights = PactQuantizer(weight_bits, weight_clip, narrow_range=True)
        self._output = PactQuantizer(output_bits, output_clip)

    def get_weights_and_quantizers(self, layer):
        """Returns the kernel with its quantizer."""
        return [(layer.kernel, self._weights)]

    def get_activations_and_quantizers(self, layer):
        """Returns nothing: the output is quantized after the activation."""
        return []

    def set_quantize_weights(self, layer, quantize_weights):
        """Puts the quantized kernel into the layer."""
        (layer.kernel,) = quantize_weights

    def set_quantize_activations(self, layer, quantize_activations):
        """Does nothing: see ``get_activations_and_quantizers``."""

    def get_output_quantizers(self, layer):
        """Returns the output's quantizer."""
        return [self._output]

    def get_config(self):
        """Returns the arguments."""
        return {
            "weight_bits": self._weights.bits,
            "output_bits": self._output.bits,
            "weight_clip": self._weights.clip,
            "output_clip": self._output.clip,
        }
