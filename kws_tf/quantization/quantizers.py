"""Quantizers: fake quantization whose scale is what the converted model ships.

Each is a ``tfmot.quantization.keras.quantizers.Quantizer``: it creates its variables on a layer
(``build``), quantizes (``__call__``) and serialises (``get_config``). All return real numbers on
the integer grid; ``scale`` tells the grid.
"""

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

_SMALLEST_CLIP = 1e-4


@tf.custom_gradient
def _snap(x, scale, low, high):
    """Rounds to multiples of ``scale`` between ``low`` and ``high`` of them; straight-through."""

    def gradient(upstream):
        return upstream, None, None, None

    scale, low, high = (tf.cast(value, x.dtype) for value in (scale, low, high))
    return tf.clip_by_value(tf.round(x / scale), low, high) * scale, gradient


@keras.utils.register_keras_serializable("kws_tf")
class ClipRange(keras.constraints.Constraint):
    """Keeps a clip within its bounds.

    Args:
        low: Smallest clip.
        high: Largest clip; ``None`` for no bound.
    """

    def __init__(self, low: float = _SMALLEST_CLIP, high: float | None = None):
        self.low, self.high = low, high

    def __call__(self, clip):
        """Returns the clip within its bounds."""
        return tf.clip_by_value(clip, self.low, self.high or clip.dtype.max)

    def get_config(self):
        """Returns the arguments."""
        return {"low": self.low, "high": self.high}


class _Quantizer(tfmot.quantization.keras.quantizers.Quantizer):
    """What all quantizers share: they are what their arguments are."""

    @classmethod
    def from_config(cls, config):
        """Restores a quantizer from ``get_config``."""
        return cls(**config)

    def __eq__(self, other):
        return type(self) is type(other) and self.get_config() == other.get_config()

    __hash__ = None


@keras.utils.register_keras_serializable("kws_tf")
class PactQuantizer(_Quantizer):
    """Symmetric PACT: a trainable clip that is the range of an integer grid.

    Value: ``y = sign(x) (|x| - ||x| - clip| + clip) / 2``, which limits x to +-clip, rounded to
    the nearest multiple of ``scale`` and limited to the integers' range, so that +clip itself
    becomes the largest positive integer. Gradient: of x, 1 where |x| <= clip, else 0; of the
    clip, sign(x) where |x| > clip, else 0; rounding passes straight through.

    Sources: Choi et al., PACT (arXiv 1805.06085), equations 1 to 3; the symmetric form is that of
    QuantizedLSTM (github.com/Intelligent-Microsystems-Lab/QuantizedLSTM).

    Args:
        bits: Width of the integers, 2 or more.
        clip: Initial clip.
        trainable: Whether ``fit`` trains the clip.
        narrow_range: Integers from -(2^(bits-1) - 1), as weights need, with the scale
            clip / (2^(bits-1) - 1). Otherwise from -2^(bits-1), scale clip / 2^(bits-1).
        l2: Weight of the L2 penalty on the clip (section 3 of the paper).
        learned_step: Adds to the clip's gradient what PACT leaves out: that the scale, and with it
            each value's rounding, moves with the clip (Esser et al., Learned Step Size
            Quantization, arXiv 1902.08153, equation 3). The values are the same.

    Raises:
        ValueError: If there are fewer than 2 bits, or the clip is not positive.
    """

    def __init__(
        self,
        bits: int = 8,
        clip: float = 1.0,
        trainable: bool = True,
        narrow_range: bool = False,
        l2: float = 0.0,
        learned_step: bool = False,
    ):
        if bits < 2:
            raise ValueError(f"a PACT quantizer needs at least 2 bits, not {bits}")
        if clip <= 0:
            raise ValueError(f"a clip must be positive, not {clip}")
        self.bits = bits
        self.clip = clip
        self.trainable = trainable
        self.narrow_range = narrow_range
        self.l2 = l2
        self.learned_step = learned_step

    @property
    def high(self) -> int:
        """Largest integer."""
        return 2 ** (self.bits - 1) - 1

    @property
    def low(self) -> int:
        """Smallest integer."""
        return -self.high if self.narrow_range else -self.high - 1

    def build(self, tensor_shape, name, layer):
        """Adds the clip, a scalar variable ``<name>_clip``, to ``layer``."""
        del tensor_shape  # one clip for the whole tensor
        return {
            "clip": layer.add_weight(
                name=f"{name}_clip",
                shape=(),
                initializer=keras.initializers.Constant(self.clip),
                trainable=self.trainable,
                constraint=self._constraint(),
                regularizer=keras.regularizers.L2(self.l2) if self.l2 else None,
            )
        }

    def _constraint(self):
        return ClipRange()

    def scale(self, weights) -> tf.Tensor:
        """Returns the real value of one integer step, a scalar.

        It is a float32 value, as in the model file, whatever the layer computes in.
        """
        clip = tf.convert_to_tensor(weights["clip"])
        return tf.cast(tf.cast(clip, tf.float32) / float(-self.low), clip.dtype)

    def __call__(self, inputs, training, weights, **kwargs):
        """Fake-quantizes a tensor of any shape."""
        del training, kwargs
        clip = tf.convert_to_tensor(weights["clip"])
        limited = tf.clip_by_value(inputs, -clip, clip)
        rounded = _snap(limited, self.scale(weights), float(self.low), float(self.high))
        if self.learned_step:
            # The factor is 0; its gradient is 1 / clip.
            rounded += (clip / tf.stop_gradient(clip) - 1.0) * tf.stop_gradient(rounded - limited)
        return rounded

    def get_config(self):
        """Returns the arguments."""
        return {
            "bits": self.bits,
            "clip": self.clip,
            "trainable": self.trainable,
            "narrow_range": self.narrow_range,
            "l2": self.l2,
            "learned_step": self.learned_step,
        }


@keras.utils.register_keras_serializable("kws_tf")
class CellQuantizer(PactQuantizer):
    """PACT for the LSTM's cell state: 16 bits, the scale a power of two.

    The op wants the cell's scale to be a power of two; the clip itself need not be one, for the
    op's ``cell_clip`` limits the state to any value. So the scale is that of the next power of
    two, 2^ceil(log2 clip) / 2^15, and the saturation is the trained clip, cut to that scale.
    The gradient is that of ``PactQuantizer``.

    The clip stays above 0.5 and at or below 8: outside of scales 2^-15 to 2^-12 both runtimes
    compute garbage without an error.

    Args:
        clip: Initial clip.
        trainable: Whether ``fit`` trains the clip.
        l2: Weight of the L2 penalty on the clip.
    """

    SMALLEST, LARGEST = 0.501, 8.0

    def __init__(self, clip: float = 8.0, trainable: bool = True, l2: float = 0.0):
        super().__init__(bits=16, clip=clip, trainable=trainable, l2=l2)

    def _constraint(self):
        return ClipRange(self.SMALLEST, self.LARGEST)

    def scale(self, weights) -> tf.Tensor:
        """Returns the cell's scale: 2^-15, 2^-14, 2^-13 or 2^-12."""
        clip = tf.stop_gradient(tf.convert_to_tensor(weights["clip"]))
        # Comparisons instead of a logarithm: exact at the powers of two themselves.
        doublings = sum(tf.cast(clip > bound, clip.dtype) for bound in (1.0, 2.0, 4.0))
        return tf.pow(tf.constant(2.0, clip.dtype), doublings - 15.0)

    def limit(self, weights) -> tf.Tensor:
        """Returns the largest magnitude of the state as an integer: what the op clips at."""
        clip = tf.stop_gradient(tf.convert_to_tensor(weights["clip"]))
        return tf.minimum(tf.floor(clip / self.scale(weights)), 32767.0)

    def round(self, inputs, weights) -> tf.Tensor:
        """Rounds a product to the cell's scale without limiting it, as the op does."""
        return _snap(inputs, self.scale(weights), -np.inf, np.inf)

    def __call__(self, inputs, training, weights, **kwargs):
        """Fake-quantizes a cell state."""
        del training, kwargs
        clip = tf.convert_to_tensor(weights["clip"])
        limit = self.limit(weights)
        return _snap(tf.clip_by_value(inputs, -clip, clip), self.scale(weights), -limit, limit)

    def get_config(self):
        """Returns the arguments."""
        return {"clip": self.clip, "trainable": self.trainable, "l2": self.l2}


@keras.utils.register_keras_serializable("kws_tf")
class FixedPointQuantizer(_Quantizer):
    """A fixed-point format without variables, such as Q3.12: 16 bits, 12 of them fractional.

    Saturates at the ends; the gradient passes straight through, also where it saturates: the
    sigmoid's and tanh's own derivatives have vanished there.

    Args:
        fraction_bits: Bits after the binary point.
        bits: Width of the integers.
    """

    def __init__(self, fraction_bits: int, bits: int = 16):
        self.fraction_bits = fraction_bits
        self.bits = bits

    def build(self, tensor_shape, name, layer):
        """Adds nothing."""
        return {}

    def scale(self, weights=None) -> tf.Tensor:
        """Returns the real value of one integer step, float32 scalar."""
        return tf.constant(2.0**-self.fraction_bits)

    def __call__(self, inputs, training=None, weights=None, **kwargs):
        """Fake-quantizes a tensor of any shape."""
        largest = 2.0 ** (self.bits - 1)
        return _snap(inputs, self.scale(), -largest, largest - 1)

    def get_config(self):
        """Returns the arguments."""
        return {"fraction_bits": self.fraction_bits, "bits": self.bits}
