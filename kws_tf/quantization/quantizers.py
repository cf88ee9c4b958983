"""Quantizers: fake quantization whose scale is the converted model's.

Each is a ``tfmot.quantization.keras.quantizers.Quantizer``: it creates its variables on a layer
(``build``), quantizes (``__call__``) and serialises (``get_config``). All return real numbers on
the integer grid; ``scale`` is the step of that grid. ``identifiers`` gives them names.
"""

import dataclasses
from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras


@tf.custom_gradient
def _snap(x, scale, low, high):
    """Rounds to multiples of ``scale`` between ``low`` and ``high`` of them; straight-through."""

    def gradient(upstream):
        return upstream, None, None, None

    scale, low, high = (tf.cast(value, x.dtype) for value in (scale, low, high))
    return tf.clip_by_value(tf.round(x / scale), low, high) * scale, gradient


@keras.utils.register_keras_serializable("kws_tf")
@dataclass
class ClipRange(keras.constraints.Constraint):
    """Keeps a clip within its bounds: ``min(max(clip, low), high)`` after each update.

    Example:
        >>> float(ClipRange(0.5, 8.0)(tf.constant(9.0)))
        8.0
    """

    low: float = 1e-4
    high: float | None = None

    def __call__(self, clip):
        """Returns the clip within its bounds."""
        return tf.clip_by_value(clip, self.low, self.high or clip.dtype.max)

    def get_config(self):
        """Returns the arguments."""
        return dataclasses.asdict(self)


class _Quantizer(tfmot.quantization.keras.quantizers.Quantizer):
    """What all quantizers share: they are dataclasses of their arguments."""

    def get_config(self):
        """Returns the arguments."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.init}

    @classmethod
    def from_config(cls, config):
        """Restores a quantizer from ``get_config``."""
        return cls(**config)


@keras.utils.register_keras_serializable("kws_tf")
@dataclass
class PactQuantizer(_Quantizer):
    """Symmetric PACT: a trainable clip that is the range of an integer grid.

    With n = 2^(bits-1), or n = 2^(bits-1) - 1 for a narrow range, and scale = clip / n:

    ====================  =====================================================================
    value                 scale * min(max(round(c / scale), -n), 2^(bits-1) - 1), where
                          c = sign(x) (|x| - ||x| - clip| + clip) / 2 is x limited to +-clip
    gradient of x         1 where |x| <= clip, else 0
    gradient of the clip  sign(x) where |x| > clip, else 0
    ====================  =====================================================================

    So +clip itself becomes the largest positive integer, and the rounding passes the gradient
    straight through. Halves are rounded to even.

    Args:
        bits: Width of the integers, 2 or more.
        clip: Initial clip.
        trainable: Whether ``fit`` trains the clip.
        narrow_range: Whether the integers begin at -(2^(bits-1) - 1), as weights need it.
        l2: Weight of the L2 penalty on the clip (section 3 of the paper).
        learned_step: Whether the clip's gradient also has what PACT leaves out: the scale, and
            with it each value's rounding, moves with the clip. It adds (value - c) / clip; the
            values are the same.

    Raises:
        ValueError: If there are fewer than 2 bits, or the clip is not positive.

    References:
        Choi et al., PACT: Parameterized Clipping Activation for Quantized Neural Networks,
        equations 1 to 3 (https://arxiv.org/abs/1805.06085). The symmetric form is that of
        https://github.com/Intelligent-Microsystems-Lab/QuantizedLSTM. The learned step: Esser et
        al., Learned Step Size Quantization, equation 3 (https://arxiv.org/abs/1902.08153).

    Example:
        >>> layer, quantizer = keras.layers.Layer(), PactQuantizer(bits=3, clip=1.0)
        >>> weights = quantizer.build(None, "signal", layer)
        >>> quantizer(tf.constant([-9.0, -0.3, 0.3, 9.0]), True, weights).numpy()
        array([-1.  , -0.25,  0.25,  0.75], dtype=float32)
        >>> float(quantizer.scale(weights))
        0.25
    """

    bits: int = 8
    clip: float = 1.0
    trainable: bool = True
    narrow_range: bool = False
    l2: float = 0.0
    learned_step: bool = False

    _constraint = ClipRange()

    def __post_init__(self):
        if self.bits < 2:
            raise ValueError(f"a PACT quantizer needs at least 2 bits, not {self.bits}")
        if self.clip <= 0:
            raise ValueError(f"a clip must be positive, not {self.clip}")

    @property
    def high(self) -> int:
        """Largest integer."""
        return 2 ** (self.bits - 1) - 1

    @property
    def low(self) -> int:
        """Smallest integer."""
        return -self.high if self.narrow_range else -self.high - 1

    def build(self, tensor_shape, name, layer):
        """Adds a scalar variable ``<name>_clip`` to a layer, whatever the tensor's shape.

        Returns:
            ``{"clip": variable}``, the weights that the other methods take.
        """
        return {
            "clip": layer.add_weight(
                name=f"{name}_clip",
                shape=(),
                initializer=keras.initializers.Constant(self.clip),
                trainable=self.trainable,
                constraint=self._constraint,
                regularizer=keras.regularizers.L2(self.l2) if self.l2 else None,
            )
        }

    def scale(self, weights) -> tf.Tensor:
        """Returns the value of an integer step, float32 as in the model file, in any type."""
        clip = tf.convert_to_tensor(weights["clip"])
        return tf.cast(tf.cast(clip, tf.float32) / float(-self.low), clip.dtype)

    def __call__(self, inputs, training, weights, **kwargs):
        """Fake-quantizes float32 or float64 of any shape, alike in training and inference."""
        clip = tf.convert_to_tensor(weights["clip"])
        limited = tf.clip_by_value(inputs, -clip, clip)
        rounded = _snap(limited, self.scale(weights), float(self.low), float(self.high))
        if self.learned_step:
            # The factor is 0; its gradient is 1 / clip.
            rounded += (clip / tf.stop_gradient(clip) - 1.0) * tf.stop_gradient(rounded - limited)
        return rounded


@keras.utils.register_keras_serializable("kws_tf")
@dataclass
class CellQuantizer(PactQuantizer):
    """PACT for the LSTM's cell state: 16 bits, the scale a power of two.

    The fused op wants the cell's scale to be a power of two; the clip itself need not be one, for
    the op's ``cell_clip`` limits the state to any value. With scale = 2^ceil(log2 clip) / 2^15:

    value = scale * min(max(round(c / scale), -limit), limit), where c is x limited to +-clip and
    limit = min(floor(clip / scale), 32767). The gradients are those of ``PactQuantizer``.

    The clip stays above 0.5 and at or below 8: outside of scales 2^-15 to 2^-12 TFLite and TFLite
    Micro compute garbage without an error.

    Args and errors are those of ``PactQuantizer``.

    References:
        The op's rules: TensorFlow Lite,
        ``kernels/unidirectional_sequence_lstm.cc``, PopulateQuantizedLstmParams8x8_16
        (https://github.com/tensorflow/tensorflow).

    Example:
        >>> layer, quantizer = keras.layers.Layer(), CellQuantizer(clip=3.0)
        >>> weights = quantizer.build(None, "cell", layer)
        >>> float(quantizer.scale(weights)) == 2.0**-13
        True
        >>> quantizer(tf.constant([-9.0, 0.5]), True, weights).numpy()
        array([-3. ,  0.5], dtype=float32)
    """

    clip: float = 8.0
    bits: int = field(default=16, init=False)
    narrow_range: bool = field(default=False, init=False)
    learned_step: bool = field(default=False, init=False)

    SMALLEST, LARGEST = 0.501, 8.0
    _constraint = ClipRange(SMALLEST, LARGEST)

    def scale(self, weights) -> tf.Tensor:
        """Returns the cell's scale: 2^-15, 2^-14, 2^-13 or 2^-12."""
        clip = tf.stop_gradient(tf.convert_to_tensor(weights["clip"]))
        # Comparisons instead of a logarithm: exact at the powers of two themselves.
        doublings = sum(tf.cast(clip > bound, clip.dtype) for bound in (1.0, 2.0, 4.0))
        return tf.pow(tf.constant(2.0, clip.dtype), doublings - 15.0)

    def limit(self, weights) -> tf.Tensor:
        """Returns the largest magnitude of the state as an integer: the op's limit."""
        clip = tf.stop_gradient(tf.convert_to_tensor(weights["clip"]))
        return tf.minimum(tf.floor(clip / self.scale(weights)), 32767.0)

    def round(self, inputs, weights) -> tf.Tensor:
        """Rounds a product to the cell's scale without limiting it, as the op does."""
        return _snap(inputs, self.scale(weights), -np.inf, np.inf)

    def __call__(self, inputs, training, weights, **kwargs):
        """Fake-quantizes a cell state; arguments and result as of ``PactQuantizer``."""
        clip = tf.convert_to_tensor(weights["clip"])
        limit = self.limit(weights)
        return _snap(tf.clip_by_value(inputs, -clip, clip), self.scale(weights), -limit, limit)


@keras.utils.register_keras_serializable("kws_tf")
@dataclass
class FixedPointQuantizer(_Quantizer):
    """A fixed-point format without variables, such as Q3.12: 16 bits, 12 of them fractional.

    With scale = 2^-fraction_bits and n = 2^(bits-1): value = scale * min(max(round(x / scale),
    -n), n - 1), gradient of x = 1. It passes straight through also where the value saturates: what
    follows the formats of the LSTM, sigmoid and tanh, has no derivative left there.

    Args:
        fraction_bits: Bits after the binary point.
        bits: Width of the integers.

    References:
        Bengio et al., Estimating or Propagating Gradients Through Stochastic Neurons, the
        straight-through estimator (https://arxiv.org/abs/1308.3432).

    Example:
        >>> quantizer = FixedPointQuantizer(fraction_bits=2, bits=4)
        >>> quantizer(tf.constant([-9.0, 0.3, 9.0])).numpy()
        array([-2.  ,  0.25,  1.75], dtype=float32)
    """

    fraction_bits: int
    bits: int = 16

    def build(self, tensor_shape, name, layer):
        """Adds nothing to a layer and returns no weights."""
        return {}

    def scale(self, weights=None) -> tf.Tensor:
        """Returns the real value of one integer step, float32 scalar."""
        return tf.constant(2.0**-self.fraction_bits)

    def __call__(self, inputs, training=None, weights=None, **kwargs):
        """Fake-quantizes; arguments and result as of ``PactQuantizer``."""
        largest = 2.0 ** (self.bits - 1)
        return _snap(inputs, self.scale(), -largest, largest - 1)
