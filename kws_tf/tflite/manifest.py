"""The JSON beside a model that says what it needs: labels, front end, input scale, trigger.

Training, evaluation and the device side read it; with the .tflite it is all there is to ship.
Every field's type and range is checked here and nowhere else; whether the model is the one that
its manifest describes, in ``kws_tf.tflite.model``.
"""

import dataclasses
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kws_tf.checks import is_text, known_fields, number, require, shown
from kws_tf.errors import KwsError
from kws_tf.files import write_json
from kws_tf.frontend.config import FrontEnd
from kws_tf.labels import SILENCE, UNKNOWN
from kws_tf.tflite.trigger import Trigger

FORMAT = 2
"""Of new manifests; 1 is version 0.1's, whose front end says ``clip_ms`` for ``example_ms``."""
_FORMATS = (1, 2)

_NUMBERS: dict[str, tuple[type, float, float]] = {
    "input_scale": (float, 1e-30, 1e30),
    "input_bits": (int, 2, 8),
    "hidden_units": (int, 1, 2**16),
    "weight_bits": (int, 2, 8),
    "bytes": (int, 1, 2**31),
}
"""Type, lowest and highest value of each number."""


@dataclass(frozen=True)
class Manifest:
    """Description of a converted model.

    Raises:
        ValueError: If a field is of another type or out of its range.
    """

    labels: tuple[str, ...]  # in the order of the outputs, a keyword among them
    front_end: FrontEnd  # with normalisation constants
    input_scale: float  # of a normalised feature; the int8 input's zero point is 0
    input_bits: int  # width of the input; with 8 it spans -128 to 127
    hidden_units: int
    weight_bits: int  # width of the weights inside their int8 containers
    sha256: str  # of the .tflite file, 64 hexadecimal digits
    bytes: int  # size of the .tflite file
    clips: dict[str, float] = field(default_factory=dict)  # by <layer>/<signal>
    details: dict = field(default_factory=dict)  # anything else; "trigger" has Trigger's fields

    def __post_init__(self):
        """Checks every field."""
        _check_labels(self.labels)
        require(isinstance(self.front_end, FrontEnd), f"front_end is {shown(self.front_end)}")
        require(
            bool(self.front_end.mean), "its front end lacks the normalisation constants of training"
        )
        for name, limits in _NUMBERS.items():
            object.__setattr__(self, name, number(name, getattr(self, name), *limits))
        is_hash = isinstance(self.sha256, str) and re.fullmatch("[0-9a-f]{64}", self.sha256)
        require(bool(is_hash), f"sha256 is {shown(self.sha256)}, not 64 hexadecimal digits")
        require(isinstance(self.clips, dict), f"clips is {shown(self.clips)}, no table")
        clips = {
            k: number(f"the clip {shown(k)}", v, float, 0, 1e30) for k, v in self.clips.items()
        }
        object.__setattr__(self, "clips", clips)
        require(isinstance(self.details, dict), f"details is {shown(self.details)}, no table")
        self.trigger.check_words(self.labels)

    @property
    def trigger(self) -> Trigger:
        """How the device turns posteriors into detections, or the defaults."""
        return Trigger.parse(self.details.get("trigger", {}))

    def with_trigger(self, trigger: Trigger) -> "Manifest":
        """Returns the manifest with another trigger.

        Raises:
            KwsError: If a word that has a threshold is no keyword of the model.
        """
        trigger.least_sums(self.labels)  # refuses such a word
        details = self.details | {"trigger": dataclasses.asdict(trigger)}
        return dataclasses.replace(self, details=details)

    def quantize(self, features: np.ndarray) -> np.ndarray:
        """Turns normalised features, float32, into the model's input, int8 of the same shape.

        ``round(x / scale)`` in float32, halves to even, limited to the input's width: bit for bit
        as ``PactQuantizer`` does.
        """
        largest = 2 ** (self.input_bits - 1)
        steps = np.rint(features / np.float32(self.input_scale))
        return np.clip(steps, -largest, largest - 1).astype(np.int8)

    def to_json(self) -> dict:
        """Returns a JSON-ready dictionary."""
        return {"format": FORMAT} | dataclasses.asdict(self)

    @classmethod
    def parse(cls, values) -> "Manifest":
        """Restores a manifest from ``to_json``, also of version 0.1.

        Raises:
            ValueError: If a field is missing, unknown, of another type or out of its range.
        """
        values = dict(known_fields(cls, values, ("format",)))
        needed = {
            f.name for f in dataclasses.fields(cls) if f.default_factory is dataclasses.MISSING
        }
        missing = (needed | {"format"}) - set(values)
        require(not missing, f"it has no {', '.join(sorted(missing))}")
        version = values.pop("format")
        known = version in _FORMATS and not isinstance(version, bool)
        require(known, f"its format is {shown(version)}, and only {_FORMATS} are known")
        require(isinstance(values["labels"], list), f"labels is {shown(values['labels'])}, no list")
        values["labels"] = tuple(values["labels"])
        values["front_end"] = FrontEnd.parse(values["front_end"])
        return cls(**values)

    def save(self, model_path: Path) -> Path:
        """Writes the manifest beside a model and returns its path."""
        path = manifest_path(model_path)
        write_json(path, self.to_json())
        return path


def _check_labels(labels) -> None:
    require(isinstance(labels, tuple), f"labels is {shown(labels)}, no list")
    for label in labels:
        require(is_text(label), f"the label {shown(label)} is not a text that can be printed")
    require(len(set(labels)) == len(labels), "a label is there twice")
    require(bool(set(labels) - {SILENCE, UNKNOWN}), "none of its labels is a keyword")


def manifest_path(model_path: Path) -> Path:
    """Returns where the manifest of a model is."""
    return Path(model_path).with_suffix(".json")


def load(model_path: Path) -> Manifest:
    """Reads the manifest of a model; ``kws_tf.tflite.model.load`` reads both.

    Raises:
        KwsError: If it is missing or damaged.
    """
    path = manifest_path(model_path)
    try:
        return Manifest.parse(json.loads(path.read_bytes()))
    except FileNotFoundError as error:
        raise KwsError(
            f"the manifest {path} is missing; keep it beside the model that "
            "kws-tf convert wrote with it"
        ) from error
    except (ValueError, RecursionError, OSError) as error:
        reason = " ".join(str(error).split())
        raise KwsError(
            f"the manifest {path} is damaged ({reason}); convert the run anew"
        ) from error
