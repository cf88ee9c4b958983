"""What goes into each quantizer of a trained model, and the range it lets through."""

from dataclasses import dataclass

import numpy as np

from kws_tf.quantization.profiles import GATES

_TITLES = {
    "cell/kernel": "input weights",
    "cell/recurrent": "recurrent weights",
    "cell/bias": "biases",
    "cell/input": "input",
    "cell/input_product": "input × weights + bias",
    "cell/hidden_product": "hidden state × weights",
    "cell/gate": "gate sum",
    "cell/kept": "kept: f × cell state",
    "cell/written": "written: i × candidate",
    "cell/cell": "cell state",
    "cell/tanh_cell": "tanh of the cell state",
    "cell/hidden": "hidden state",
    "classifier/input": "classifier's input",
    "classifier/kernel": "classifier weights",
    "classifier/output": "logits",
}
_WEIGHTS = ("cell/kernel", "cell/recurrent", "cell/bias", "classifier/kernel")


@dataclass(frozen=True)
class Signal:
    """Values before a quantizer, and its range."""

    name: str  # ``<layer>/<signal>``, as clips are named
    values: np.ndarray  # float32, flat
    limit: float  # largest magnitude let through: the clip, or the end of a fixed format
    step: float  # real value of one integer step
    has_clip: bool  # whether ``limit`` is a clip

    @property
    def is_weight(self) -> bool:
        """Whether these are weights rather than activations."""
        return self.name.startswith(_WEIGHTS)

    @property
    def beyond(self) -> float:
        """Share of values that are limited."""
        return float(np.mean(np.abs(self.values) > self.limit))


def title(name: str) -> tuple[str, str]:
    """Returns what a signal is called, and its gate (i, f, c, o) or nothing."""
    stem, _, gate = name.rpartition("_")
    if gate not in GATES:
        stem, gate = name, ""
    return _TITLES.get(stem, stem.partition("/")[2].replace("_", " ") or stem), gate


def observe(model, features: np.ndarray) -> list[Signal]:
    """Runs examples through a quantized spotter and collects what its quantizers are given.

    Args:
        model: A quantized spotter; its layers go on observing, so load one for this.
        features: float32 [examples, frames, features].

    Returns:
        Weights and activations in the order of the computation; without sigmoid and tanh in
        fixed formats, which cannot leave them.
    """
    import tensorflow as tf

    from kws_tf.models.spotter import classifier_of, lstm_of

    cell, classifier = lstm_of(model).cell, classifier_of(model)
    layers = {"cell": cell, "classifier": classifier}
    seen: dict[tuple[str, str], list[np.ndarray]] = {}
    for name, layer in layers.items():
        layer.quantize = _observing(name, layer, seen)
    products = cell.input_product(features.reshape(-1, features.shape[-1]))
    recurrent = cell.recurrent_weights()
    states = [tf.zeros([len(features), cell.units])] * 2
    products = tf.reshape(products, [*features.shape[:2], -1])
    for frame in range(features.shape[1]):
        states = cell.step(products[:, frame], states, recurrent)
    classifier.call(states[0])

    signals = []
    for (part, name), values in seen.items():
        layer = layers[part]
        clip = layer.clip(name)
        step = float(layer.scale(name))
        limit = float(clip) if clip is not None else step * 2 ** (layer.quantizers[name].bits - 1)
        signal = Signal(f"{part}/{name}", np.concatenate(values), limit, step, clip is not None)
        if signal.has_clip or signal.is_weight or limit > 1:
            signals.append(signal)
    return signals


def _observing(part: str, layer, seen: dict):
    quantize = layer.quantize

    def observing(signal, value):
        if signal in layer.quantizers:
            seen.setdefault((part, signal), []).append(np.ravel(value))
        return quantize(signal, value)

    return observing
