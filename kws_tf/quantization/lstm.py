"""The quantized LSTM: a cell that specifies the arithmetic, a layer that runs it over time."""

import tensorflow as tf
import tf_keras as keras

from kws_tf.quantization import activations, fused
from kws_tf.quantization.layer import QuantizedLayer
from kws_tf.quantization.profiles import GATES, PROFILES, SIGNALS
from kws_tf.quantization.quantizers import CellQuantizer, FixedPointQuantizer
from kws_tf.quantization.requantization import exact_matmul

# Nothing here needs AutoGraph, which would take seconds to go through the code.
_plain = tf.autograph.experimental.do_not_convert
_DEPLOYED = PROFILES["tflite"]()
# Q3.12 ends at 8; the margin keeps examples that training has not seen inside as well.
_LARGEST_PRODUCT = 7.5


@keras.utils.register_keras_serializable("kws_tf")
class QuantizedLSTMCell(QuantizedLayer):
    """One step of an LSTM with a quantizer for each signal.

    Weights have the names, shapes and order of ``tf_keras.layers.LSTM``: ``kernel`` [input, 4
    units], ``recurrent_kernel`` [units, 4 units], ``bias`` [4 units], gates i, f, c, o. With no
    quantizers it computes the same.

    Args:
        units: Size of the hidden state.
        quantizers: Quantizer of each signal (see ``profiles``), or its name (see
            ``identifiers``); a signal that is absent or ``None`` is not quantized.
        runtime: Whose sigmoid and tanh: ``ideal``, ``tflm`` or ``tflite`` (see ``activations``);
            the latter two are for the ``tflite`` profile.
        unit_forget_bias: Whether the forget gate's bias starts at 1.
        **kwargs: As of ``keras.layers.Layer``.

    Raises:
        ValueError: If a quantizer is given for an unknown signal, or has an unknown name, or the
            runtime is unknown or does not go with the quantizers.

    References:
        Hochreiter and Schmidhuber, Long Short-Term Memory, with the forget gate of Gers et al.;
        the arithmetic is specified in docs/exactness.md.

    Example:
        >>> rnn = keras.layers.RNN(QuantizedLSTMCell(4, {"input": "pact8", "hidden": "pact8"}))
        >>> rnn(tf.zeros([1, 9, 10])).shape
        TensorShape([1, 4])
    """

    def __init__(
        self,
        units: int,
        quantizers: dict | None = None,
        runtime: str = "ideal",
        unit_forget_bias: bool = True,
        **kwargs,
    ):
        super().__init__(quantizers or {}, **kwargs)
        self.units = units
        unknown = set(self.quantizers) - set(SIGNALS)
        if unknown:
            raise ValueError(f"no such signal: {sorted(unknown)}; there are {SIGNALS}")
        if runtime not in activations.RUNTIMES:
            raise ValueError(f"no such runtime: {runtime}; there are {activations.RUNTIMES}")
        if runtime != "ideal" and not deploys(self.quantizers):
            raise ValueError(
                f"the functions of {runtime} take the formats of the 'tflite' profile; "
                "use runtime='ideal' with other quantizers"
            )
        self.runtime = runtime
        self.unit_forget_bias = unit_forget_bias
        self.state_size = [units, units]
        self.output_size = units

    def build(self, input_shape):
        """Adds weights and the quantizers' clips."""
        units = self.units
        self.kernel = self.add_weight("kernel", [input_shape[-1], 4 * units])
        self.recurrent_kernel = self.add_weight(
            "recurrent_kernel", [units, 4 * units], initializer="orthogonal"
        )
        self.bias = self.add_weight("bias", [4 * units], initializer=self._initial_bias)
        self._build_quantizers()
        self.built = True

    def _initial_bias(self, shape, dtype=None, **kwargs):
        bias = tf.zeros(shape, dtype)
        if not self.unit_forget_bias:
            return bias
        units = self.units
        return tf.concat([bias[:units], tf.ones([units], bias.dtype), bias[2 * units :]], 0)

    def _quantized_matrix(self, name: str, matrix):
        parts = tf.split(matrix, 4, axis=1)
        signals = [f"{name}_{gate}" for gate in GATES]
        quantized = [self.quantize(s, part) for s, part in zip(signals, parts, strict=True)]
        scales = [self.scale(signal) for signal in signals]
        known = all(scale is not None for scale in scales)
        return tf.concat(quantized, 1), tf.repeat(tf.stack(scales), self.units) if known else None

    def input_product(self, inputs):
        """Returns the quantized input x kernel + bias, float32 [batch, 4 units].

        The batch may hold any number of steps.
        """
        kernel, kernel_scale = self.kernel_weights()
        product = exact_matmul(
            self.quantize("input", inputs),
            kernel,
            self.scale("input"),
            kernel_scale,
            self.quantize("bias", self.bias),
            self.scale("input_product"),
            activations.FACTOR_DTYPE.get(self.runtime),
        )
        return self.quantize("input_product", product)

    def kernel_weights(self):
        """Returns the quantized kernel and its scale, float32 [4 units] or ``None``."""
        return self._quantized_matrix("kernel", self.kernel)

    def recurrent_weights(self):
        """Returns the quantized recurrent kernel and its scale, float32 [4 units] or ``None``."""
        return self._quantized_matrix("recurrent", self.recurrent_kernel)

    def step(self, input_product, states, recurrent_weights):
        """Returns the new hidden and cell state, float32 [batch, units] each.

        What does not depend on the old ``states`` is given: the results of the methods
        ``input_product`` and ``recurrent_weights``.
        """
        hidden, cell = states
        recurrent, recurrent_scale = recurrent_weights
        q = self.quantize
        hidden_product = exact_matmul(
            hidden,
            recurrent,
            self.scale("hidden"),
            recurrent_scale,
            result_scale=self.scale("hidden_product"),
            factor_dtype=activations.FACTOR_DTYPE.get(self.runtime),
        )
        if self.runtime != "tflite":  # TFLite adds this product as it is, TFLM saturates it first
            hidden_product = q("hidden_product", hidden_product)
        gates = q("gate", input_product + hidden_product)
        i, f, c, o = tf.split(gates, 4, axis=1)
        i = q("sigmoid_i", activations.sigmoid(self.runtime, i))
        f = q("sigmoid_f", activations.sigmoid(self.runtime, f))
        c = q("tanh_c", activations.tanh(self.runtime, c))
        o = q("sigmoid_o", activations.sigmoid(self.runtime, o))
        kept, written = q("kept", f * cell), q("written", i * c)
        if isinstance(self.quantizers.get("cell"), CellQuantizer):
            # The op rounds each product to the cell's format before it adds them.
            kept, written = (
                self.quantizers["cell"].round(v, self._clips["cell"]) for v in (kept, written)
            )
        cell = q("cell", kept + written)
        tanh_cell = q("tanh_cell", activations.tanh(self.runtime, cell, self.scale("cell")))
        hidden = q("hidden", o * tanh_cell)
        return hidden, cell

    def call(self, inputs, states, training=None):
        """Computes a step, for use in ``tf_keras.layers.RNN``."""
        hidden, cell = self.step(self.input_product(inputs), states, self.recurrent_weights())
        return hidden, [hidden, cell]

    def get_config(self):
        """Returns the arguments."""
        return super().get_config() | {
            "units": self.units,
            "quantizers": self._quantizers_config(),
            "runtime": self.runtime,
            "unit_forget_bias": self.unit_forget_bias,
        }


@keras.utils.register_keras_serializable("kws_tf")
class QuantizedLSTM(keras.layers.Layer):
    """An LSTM in the arithmetic of a profile, for training and for simulation.

    Args:
        units: Size of the hidden state.
        quantizers: A profile's name (``tflite`` or ``paper``), or a quantizer, or its name, for
            each signal (see ``profiles`` and ``identifiers``); ``None`` is a plain LSTM.
        return_sequences: Whether to return every step's hidden state or the last one's.
        runtime: As of ``QuantizedLSTMCell``.
        unit_forget_bias: Likewise.
        overflow_penalty: Weight of a loss on products of the hidden state that leave Q3.12: the
            mean squared excess over 7.5, over a quarter of the batch. TFLite and TFLM treat them
            differently, which is most of the difference between the two; a model that has none
            decides alike on both.
        fast: Whether to use the fused step with its hand-written gradient where there is one (all
            formats of the ``tflite`` profile, or none); the result is the same.
        product_dtype: ``float32``, or ``bfloat16`` for the gradient's matrix products (and, in
            training without quantizers, the forward ones): faster on CPUs that have it. What
            the layer computes for inference stays the same.
        **kwargs: As of ``keras.layers.Layer``.

    Raises:
        ValueError: If there is no such profile, signal, quantizer or runtime.

    References:
        As of ``QuantizedLSTMCell``.

    Example:
        >>> layer = QuantizedLSTM(118, "tflite")
        >>> layer(tf.zeros([1, 49, 40])).shape
        TensorShape([1, 118])
        >>> layer = QuantizedLSTM(4, {"input": "pact8", "hidden": "pact6", "kernel_i": None})
        >>> sorted(layer.cell.quantizers)
        ['hidden', 'input']
    """

    def __init__(
        self,
        units: int,
        quantizers: str | dict | None = "tflite",
        return_sequences: bool = False,
        runtime: str = "ideal",
        unit_forget_bias: bool = True,
        overflow_penalty: float = 0.0,
        fast: bool = True,
        product_dtype: str = "float32",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if isinstance(quantizers, str):
            if quantizers not in PROFILES:
                raise ValueError(f"no such profile: {quantizers}; there are {sorted(PROFILES)}")
            quantizers = PROFILES[quantizers]()
        self.cell = QuantizedLSTMCell(
            units, quantizers, runtime, unit_forget_bias, name="cell", dtype=self.dtype
        )
        self.return_sequences = return_sequences
        self.overflow_penalty = overflow_penalty
        self.fast = fast
        self.product_dtype = product_dtype

    def build(self, input_shape):
        """Builds the cell; refuses an input of which the number of steps is not fixed."""
        if input_shape[1] is None:
            raise ValueError(
                "QuantizedLSTM needs a fixed number of steps, as the deployed op does; "
                "give it to keras.Input, as in keras.Input((49, 40))"
            )
        with tf.name_scope(self.cell.name):
            self.cell.build(input_shape)
        self.built = True

    @property
    def deploys(self) -> bool:
        """Whether every signal has the kind of quantizer that the fused TFLite op implies."""
        return deploys(self.cell.quantizers)

    def call(self, inputs, mask=None, training=None):
        """Computes float32 [batch, units] of [batch, steps, input], or all steps' hidden states.

        Raises:
            ValueError: If a mask is given: the fused op has none, so it would not be deployed.
        """
        if mask is not None:
            raise ValueError(
                "QuantizedLSTM takes no mask: the deployed op computes every step; "
                "cut or pad the examples in the data pipeline"
            )
        training = bool(tf.get_static_value(training) if tf.is_tensor(training) else training)
        outputs = self._outputs(inputs, training)
        if self.overflow_penalty:
            self.add_loss(self.overflow_penalty * self._overflow(outputs))
        if self.return_sequences:
            return tf.transpose(outputs, [1, 0, 2])
        # Not outputs[-1], whose gradient is slow to fill with zeros.
        return tf.slice(outputs, [outputs.shape[0] - 1, 0, 0], [1, -1, -1])[0]

    @_plain
    def _outputs(self, inputs, training):
        """Returns the hidden states, float32 [steps, batch, units]."""
        cell = self.cell
        steps, features = inputs.shape[1], inputs.shape[2]
        batch = tf.shape(inputs)[0]
        # Time first, so that a step's slice is contiguous; all steps' products are one product.
        by_step = tf.transpose(inputs, [1, 0, 2])
        if self.fast and self.deploys:
            return fused.lstm(by_step, cell, self.product_dtype)
        products = cell.input_product(tf.reshape(by_step, [-1, features]))
        products = tf.reshape(products, [steps, batch, 4 * cell.units])
        if self.fast and not cell.quantizers:
            product_dtype = self.product_dtype if training else self.dtype
            return fused.plain_lstm(products, cell.recurrent_kernel, product_dtype)
        recurrent_weights = cell.recurrent_weights()
        zeros = tf.zeros([batch, cell.units], inputs.dtype)

        def step(product, states):
            hidden, new_cell = cell.step(product, states, recurrent_weights)
            return hidden, [hidden, new_cell]

        _, outputs, _ = keras.backend.rnn(
            step, products, [zeros, zeros], time_major=True, return_all_outputs=True
        )
        return outputs

    @_plain
    def _overflow(self, outputs):
        """Returns the mean square of what hidden products exceed 7.5 by, over a quarter of them."""
        # Of shuffled examples a quarter is a sample as good, at a quarter of the cost.
        steps, batch, units = tf.unstack(tf.shape(outputs))
        sample = tf.slice(outputs, [0, 0, 0], [steps - 1, (batch + 3) // 4, units])
        recurrent, _ = self.cell.recurrent_weights()
        products = tf.matmul(tf.reshape(sample, [-1, self.cell.units]), recurrent)
        inside = tf.clip_by_value(products, -_LARGEST_PRODUCT, _LARGEST_PRODUCT)
        # Within the limits the excess is 0, and so is the gradient of its square: no mask needed.
        excess = products - tf.stop_gradient(inside)
        number = tf.cast(tf.size(excess), excess.dtype)
        return tf.math.divide_no_nan(2.0 * tf.nn.l2_loss(excess), number)

    def get_config(self):
        """Returns the arguments."""
        cell = self.cell.get_config()
        names = ("units", "quantizers", "runtime", "unit_forget_bias")
        return super().get_config() | {
            **{name: cell[name] for name in names},
            "return_sequences": self.return_sequences,
            "overflow_penalty": self.overflow_penalty,
            "fast": self.fast,
            "product_dtype": self.product_dtype,
        }


def deploys(quantizers: dict) -> bool:
    """Returns whether these are the kinds of quantizers that the fused TFLite op implies."""
    return _kinds(quantizers) == _kinds(_DEPLOYED)


def _kinds(quantizers: dict) -> dict:
    """Returns what matters to the op of each quantizer: its type, or its whole fixed format."""
    return {
        signal: q.get_config() if isinstance(q, FixedPointQuantizer) else (type(q), q.narrow_range)
        for signal, q in quantizers.items()
    }
