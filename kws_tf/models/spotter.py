"""The keyword spotter: an LSTM over the frames, a dense layer on its last hidden state."""

import numpy as np
import tensorflow as tf
import tf_keras as keras

from kws_tf.errors import KwsError
from kws_tf.quantization.dense import QuantizedDense
from kws_tf.quantization.layer import QuantizedLayer
from kws_tf.quantization.lstm import QuantizedLSTM
from kws_tf.quantization.profiles import GATES, PROFILES
from kws_tf.quantization.quantizers import CellQuantizer, PactQuantizer

LSTM, CLASSIFIER = "lstm", "classifier"
_BATCH = 256
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
        frames: Frames in an example.
        features: Features in a frame.
        units: Size of the hidden state.
        classes: Number of classes.
        product_dtype: See ``QuantizedLSTM``.
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

    Sizes are as in ``build_float``, ``profile`` is one of ``profiles``, to which ``bits`` (widths
    of other signals and the gradient of weight clips) are passed on, ``clip_l2`` the L2 penalty's
    weight on the activations' clips; all else is ``QuantizedLSTM``'s, ``runtime`` and
    ``overflow_penalty`` for the ``tflite`` profile only. ``float64`` rounds as the runtimes' 31-bit
    multipliers do in nearly all cases where ``float32`` does not.
    """
    deploys = profile == "tflite"
    inputs = keras.Input((frames, features), name="features", dtype=dtype)
    lstm = QuantizedLSTM(
        units,
        PROFILES[profile](trainable_clips, weight_bits, l2=clip_l2, **bits),
        runtime=runtime if deploys else "ideal",
        overflow_penalty=overflow_penalty if deploys else 0.0,
        product_dtype=product_dtype,
        dtype=dtype,
        name=LSTM,
    )
    kernel = PactQuantizer(
        weight_bits,
        trainable=trainable_clips,
        narrow_range=True,
        learned_step=bits.get("learned_step", False),
    )
    output = PactQuantizer(clip=16.0, trainable=trainable_clips, l2=clip_l2)
    # The LSTM's output is quantized already; the original has a clip of its own before the layer.
    before = None if deploys else PactQuantizer(clip=4.0, trainable=trainable_clips)
    classifier = QuantizedDense(classes, kernel, output, before, dtype=dtype, name=CLASSIFIER)
    return keras.Model(inputs, classifier(lstm(inputs)), name="quantized_spotter")


def lstm_of(model: keras.Model) -> QuantizedLSTM:
    """Returns a model's one ``QuantizedLSTM``, be it quantized or float; a KwsError else."""
    return _only(model, (QuantizedLSTM,))


def classifier_of(model: keras.Model) -> QuantizedDense | keras.layers.Dense:
    """Returns a model's one dense layer, be it quantized or float; a KwsError else."""
    return _only(model, (QuantizedDense, keras.layers.Dense))


def _only(model: keras.Model, kinds):
    found = [layer for layer in model.layers if isinstance(layer, kinds)]
    if len(found) != 1:
        names = " or ".join(kind.__name__ for kind in kinds)
        raise KwsError(
            f"the model '{model.name}' has {len(found)} layers of type {names} instead of one; "
            "build it of one QuantizedLSTM and one QuantizedDense"
        )
    return found[0]


def clips(model: keras.Model) -> dict[str, tf.Variable]:
    """Returns a model's clip variables by ``cell/<signal>`` and ``classifier/<signal>``, if any."""
    found = {}
    for layer in model.layers:
        is_lstm = isinstance(layer, QuantizedLSTM)
        name, part = ("cell", layer.cell) if is_lstm else ("classifier", layer)
        if isinstance(part, QuantizedLayer):
            found |= {f"{name}/{signal}": clip for signal, clip in part.clips().items()}
    return found


def copy_weights(source: keras.Model, target: keras.Model, classifier: bool = True) -> None:
    """Copies weights, but no clips, from one spotter to another; each is float or quantized.

    Args:
        source: Has the weights.
        target: Gets them; of the same sizes.
        classifier: Whether to copy the classifier's as well as the LSTM's.
    """
    pairs = [(lstm_of(source).cell, lstm_of(target).cell, ("kernel", "recurrent_kernel", "bias"))]
    if classifier:
        pairs += [(classifier_of(source), classifier_of(target), ("kernel", "bias"))]
    for layer, copy, names in pairs:
        for name in names:
            getattr(copy, name).assign(getattr(layer, name))


def set_initial_clips(model: keras.Model, features: np.ndarray, percentile: float = 99.99) -> None:
    """Sets the clips from the weights and from what the float model computes on real examples.

    At 8 bits weights get their largest magnitude, input and hidden state a percentile of theirs.
    At fewer bits, where range and resolution are both scarce, they get the clip of the least
    squared error. Cell and logits get the percentile. In the ``paper`` profile only the input's
    clip is set, to the percentile: the original's 128 is for features that are not normalised.

    Args:
        model: A quantized spotter with the weights of a float one.
        features: float32 [examples, frames, features]; of training examples, not test examples.
        percentile: Of the magnitudes.
    """
    cell, classifier = lstm_of(model).cell, classifier_of(model)
    if not isinstance(cell.quantizers.get("cell"), CellQuantizer):
        cell.clip("input").assign(_reach(features, percentile))
        classifier.clips()["kernel"].assign(np.abs(classifier.kernel).max())
        return
    _set_weight_clips(cell, classifier)
    hidden, state, logits = _float_signals(cell, classifier, features)
    for signal, values, largest in (("input", features, np.inf), ("hidden", hidden, 1.0)):
        clip = _clip_of(values, cell.quantizers[signal], _reach(values, percentile))
        cell.clip(signal).assign(min(largest, clip))
    limits = CellQuantizer.SMALLEST, CellQuantizer.LARGEST
    cell.clip("cell").assign(np.clip(_reach(state, percentile), *limits))
    classifier.clips()["output"].assign(_reach(logits, percentile))


def _reach(values: np.ndarray, percentile: float) -> float:
    return float(np.percentile(np.abs(values), percentile))


def _set_weight_clips(cell, classifier) -> None:
    for name, matrix in (("kernel", cell.kernel), ("recurrent", cell.recurrent_kernel)):
        for gate, part in zip(GATES, np.split(matrix.numpy(), 4, axis=1), strict=True):
            signal = f"{name}_{gate}"
            clip = _clip_of(part, cell.quantizers[signal], np.abs(part).max())
            cell.clip(signal).assign(clip)
    kernel = classifier.kernel.numpy()
    clip = _clip_of(kernel, classifier.quantizers["kernel"], np.abs(kernel).max())
    classifier.clips()["kernel"].assign(clip)


def _float_signals(cell, classifier, features: np.ndarray) -> list[np.ndarray]:
    """Returns the float model's hidden states, last cell states and logits, flat."""
    lstm = keras.layers.LSTM(cell.units, return_sequences=True, return_state=True)
    lstm(features[:1])
    lstm.set_weights([cell.kernel, cell.recurrent_kernel, cell.bias])
    signals = ([], [], [])
    for start in range(0, len(features), _BATCH):
        sequence, last, state = lstm(features[start : start + _BATCH])
        logits = last @ classifier.kernel + classifier.bias
        for values, part in zip(signals, (sequence, state, logits), strict=True):
            values.append(np.ravel(part))
    return [np.concatenate(values) for values in signals]


def _clip_of(values: np.ndarray, quantizer: PactQuantizer, at_8_bits: float) -> float:
    """Returns a signal's initial clip: at fewer than 8 bits that of the least squared error."""
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
