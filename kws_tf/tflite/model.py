"""A model file and its manifest, read and checked against each other: every way in opens it here.

Evaluation, spotting, robustness, export, publication and report take what ``load`` returns.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kws_tf.errors import KwsError
from kws_tf.tflite import formats
from kws_tf.tflite import manifest as manifests
from kws_tf.tflite.formats import TensorFormat
from kws_tf.tflite.manifest import Manifest


@dataclass(frozen=True)
class Model:
    """A .tflite and the manifest that describes it."""

    path: Path
    content: bytes
    manifest: Manifest
    outputs: tuple[TensorFormat, ...]  # the first gives the scores, one for each label

    @property
    def sha256(self) -> str:
        """The SHA-256 of the file."""
        return self.manifest.sha256

    def posteriors(self, scores: np.ndarray) -> np.ndarray:
        """Returns the posteriors behind int8 scores [..., classes], float32 of that shape."""
        output = self.outputs[0]
        real = (scores.astype(np.float32) - output.zero_point) * np.float32(output.scale)
        if self._gives_posteriors:
            return real
        exponentials = np.exp(real - real.max(axis=-1, keepdims=True))
        return exponentials / exponentials.sum(axis=-1, keepdims=True)

    def trigger_outputs(self, scores: np.ndarray) -> np.ndarray:
        """Returns what the trigger takes: int8 256 * posterior - 128 behind int8 scores.

        A model that ends in a softmax gives it; of logits the posteriors are rounded.
        """
        if self._gives_posteriors:
            return scores
        steps = np.rint(256 * self.posteriors(scores)) - 128
        return np.minimum(steps, 127).astype(np.int8)

    @property
    def _gives_posteriors(self) -> bool:
        output = self.outputs[0]
        return (output.scale, output.zero_point) == (1 / 256, -128)  # an int8 SOFTMAX has no other


def load(path: Path) -> Model:
    """Reads a model with the manifest beside it.

    Raises:
        KwsError: If model or manifest is missing or damaged, they are not of each other, or the
            model's input and output are not what the manifest says.
    """
    path = Path(path)
    content = formats.read(path)
    manifest = manifests.load(path)
    if (hashlib.sha256(content).hexdigest(), len(content)) != (manifest.sha256, manifest.bytes):
        raise KwsError(
            f"{path} is not the model that {manifests.manifest_path(path).name} describes (its "
            "SHA-256 or size differs); convert the run anew"
        )
    return Model(path, content, manifest, check(content, manifest, str(path)))


def check(content: bytes, manifest: Manifest, where: str) -> tuple[TensorFormat, ...]:
    """Returns the outputs' formats; refuses a model that is not what its manifest says."""
    found, outputs = formats.ends(content, where)
    front_end, classes = manifest.front_end, len(manifest.labels)
    shape = (1, front_end.frames, front_end.features)
    wanted = TensorFormat("INT8", shape, float(np.float32(manifest.input_scale)), 0)
    if found != wanted:
        raise KwsError(
            f"the input of {where} is {found}, its manifest says {wanted}; convert the run anew"
        )
    scores = outputs[0]
    if (scores.type, scores.shape) != ("INT8", (1, classes)) or not scores.scale > 0:
        raise KwsError(
            f"the output of {where} is {scores}, but the {classes} labels of its manifest need "
            f"int8 {[1, classes]}; use the files as conversion wrote them"
        )
    return outputs
