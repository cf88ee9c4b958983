"""The keyword spotter: an LSTM over the clip, a dense layer on its last hidden state."""

import numpy as np
import tensorflow as tf
import tf_keras as keras

from kws_tf.quantization.dense import QuantizedDense
from kws_tf.quantization.lstm import QuantizedLSTM
from kws_tf.quantization.profiles import GATES, PROFILES
from kws_tf.quantization.quantizers import CellQuantizer, PactQuantizer

LSTM, CLASSIFIER = "lstm", "classifier"
_CLIP_SEARCH_VALUES = 200_000


def build_float(
    frames: int,
    features: int,
    units: int,
    classes: int,
    product_dtype: str = "float32",
) -> keras.Model:
    """Builds the float spotter: features [batch, frames, features] to logits [batch, classes].

    Args:
        frames: Frames in a clip.
        features: Features in a frame.
        units: Size of the hidden state.
        classes: Number of classes.
        product_dtype: Of the products in training, see ``QuantizedLSTM``.
    """
    inputs = keras.Input((frames, features), name="features")
    hidden = QuantizedLSTM(units, None, product_dtype=product_dtype, name=LSTM)(inputs)
    logits = keras.layers.Dense(classes, name=CLASSIFIER)(hidden)
    return keras.Model(inputs, logits, name="float_spotter")


def build_quantized(
    frames: int,
    features: int,
    units: int,
    classes: int,
    profile: str = "tflite",
    trainable_clips: bool = True,
    weight_bits: int = 8,
    clip_l2: float = 0.0,
    runtime: str = "ideal",
    overflow_penalty: float = 0.0,
    dtype: str = "float32",
    product_dtype: str = "float32",
    **bits,
) -> keras.Model:
    """Builds the quantized spotter; its weights are those of ``build_float``, and the clips.

    Args:
        frames: Frames in a clip.
        features: Features in a frame.
        units: Size of the hidden state.
        classes: Number of classes.
        profile: ``tflite`` or ``paper``, see ``profiles``.
        trainable_clips: Whether the clips are trained (PACT) or fixed.
        weight_bits: Width of the weights.
        clip_l2: Weight of the L2 penalty on the activations' clips.
        runtime: Whose sigmoid and tanh, see ``runtimes``; the ``paper`` profile has the ideal ones.
        overflow_penalty: Weight of the loss on hidden products outside of Q3.12, see
            ``QuantizedLSTM``; for the ``tflite`` profile.
        dtype: ``float32``, or ``float64``, which rounds as the runtimes' 31-bit multipliers do
            in nearly all cases where float32 does not.
        product_dtype: Of the gradient's products, see ``QuantizedLSTM``.
        **bits: Widths of other signals and the gradient of weight clips, passed on to the profile.
    """
    quantizers = PROFILES[profile](trainable_clips, weight_bits, l2=clip_l2, **bits)
    inputs = keras.Input((frames, features), name="features", dtype=dtype)
    runtime = runtime if profile == "tflite" else "ideal"
    lstm = QuantizedLSTM(
        units,
        quantizers,
        runtime=runtime,
        overflow_penalty=overflow_penalty if profile == "tflite" else 0.0,
        product_dtype=product_dtype,
        dtype=dtype,
        name=LSTM,
    )
    hidden = lstm(inputs)
    kernel = PactQuantizer(
        weight_bits,
        trainable=trainable_clips,
        narrow_range=True,
        learned_step=bits.get("learned_step", False),
    )
    output = PactQuantizer(clip=16.0, trainable=trainable_clips, l2=clip_l2)
    # The LSTM's output is quantized already; the original has a clip of its own before the layer.
    before = PactQuantizer(clip=4.0, trainable=trainable_clips) if profile == "paper" else None
    classifier = QuantizedDense(classes, kernel, output, before, dtype=dtype, name=CLASSIFIER)
    logits = classifier(hidden)
    return keras.Model(inputs, logits, name="quantized_spotter")


def clips(model: keras.Model) -> dict[str, tf.Variable]:
    """Returns all clip variables of a quantized spotter by ``<layer>/<signal>``.

    A model that is not quantized has none.
    """
    if not isinstance(model.layers[-1], QuantizedDense):
        return {}
    return {
        f"{layer.name}/{signal}": variable
        for layer in (model.get_layer(LSTM).cell, model.get_layer(CLASSIFIER))
        for signal, variable in layer.clips().items()
    }


def carry_weights(source: keras.Model, target: keras.Model, classifier: bool = True) -> None:
    """Copies weights, but no clips, from one spotter to another; each is float or quantized.

    Args:
        source: Has the weights.
        target: Gets them; of the same sizes.
        classifier: Whether to copy the classifier's as well as the LSTM's.
    """
    cells = [model.get_layer(LSTM).cell for model in (source, target)]
    parts = [(name, *cells) for name in ("kernel", "recurrent_kernel", "bias")]
    if classifier:
        layers = [model.get_layer(CLASSIFIER) for model in (source, target)]
        parts += [(name, *layers) for name in ("kernel", "bias")]
    for name, given, taking in parts:
        getattr(taking, name).assign(getattr(given, name))


def set_initial_clips(model: keras.Model, features: np.ndarray, percentile: float = 99.99) -> None:
    """Sets the clips from the weights and from what the float model computes on real clips.

    At 8 bits weights get their largest magnitude, input and hidden state a percentile of theirs.
    At fewer bits, where range and resolution are both scarce, they get the clip of the least
    squared error. Cell and logits get the percentile. In the ``paper`` profile only the input's
    clip is set, to the percentile: the original's 128 is for features that are not normalised.

    Args:
        model: A quantized spotter with the weights of a float one.
        features: float32 [clips, frames, features]; training clips, not test clips.
        percentile: Of the magnitudes.
    """
    cell, classifier = model.get_layer(LSTM).cell, model.get_layer(CLASSIFIER)

    def reach(values):
        return float(np.percentile(np.abs(values), percentile))

    if not isinstance(cell.quantizers.get("cell"), CellQuantizer):
        cell.clip("input").assign(reach(features))
        classifier.clips()["kernel"].assign(np.abs(classifier.kernel).max())
        return

    for name, matrix in (("kernel", cell.kernel), ("recurrent", cell.recurrent_kernel)):
        for gate, part in zip(GATES, np.split(matrix.numpy(), 4, axis=1), strict=True):
            signal = f"{name}_{gate}"
            clip = _clip_of(part, cell.quantizers[signal], np.abs(part).max())
            cell.clip(signal).assign(clip)
    kernel = classifier.kernel.numpy()
    clip = _clip_of(kernel, classifier.quantizers["kernel"], np.abs(kernel).max())
    classifier.clips()["kernel"].assign(clip)

    lstm = keras.layers.LSTM(cell.units, return_sequences=True, return_state=True)
    lstm(features[:1])
    lstm.set_weights([cell.kernel, cell.recurrent_kernel, cell.bias])
    found = {"hidden": [], "cell": [], "logits": []}
    for start in range(0, len(features), 256):
        sequence, last, state = lstm(features[start : start + 256])
        logits = last @ classifier.kernel + classifier.bias
        for signal, values in zip(found, (sequence, state, logits), strict=True):
            found[signal].append(np.ravel(values))
    hidden, state, logits = map(np.concatenate, found.values())
    cell.clip("input").assign(_clip_of(features, cell.quantizers["input"], reach(features)))
    hidden_clip = _clip_of(hidden, cell.quantizers["hidden"], reach(hidden))
    cell.clip("hidden").assign(min(1.0, hidden_clip))
    cell.clip("cell").assign(np.clip(reach(state), CellQuantizer.SMALLEST, CellQuantizer.LARGEST))
    classifier.clips()["output"].assign(reach(logits))


def _clip_of(values: np.ndarray, quantizer: PactQuantizer, at_8_bits: float) -> float:
    """Returns the initial clip of a signal: at fewer than 8 bits that of the least squared error.

    Args:
        values: Of any shape.
        quantizer: Its width and range; its own clip does not matter.
        at_8_bits: The clip at 8 bits.
    """
    if quantizer.bits >= 8:
        return float(at_8_bits)
    values = np.ravel(values).astype(np.float32)
    if len(values) > _CLIP_SEARCH_VALUES:
        values = np.random.default_rng(0).choice(values, _CLIP_SEARCH_VALUES, replace=False)

    def error(clip):
        quantized = quantizer(values, training=False, weights={"clip": clip})
        return float(np.mean(np.square(quantized - values)))

    candidates = np.linspace(0.02, 1.0, 99, dtype=np.float32) * np.abs(values).max()
    return float(min(candidates, key=error))
