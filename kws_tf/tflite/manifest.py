"""The JSON beside a model that says what it needs: labels, front end, input and output scale.

Training, evaluation and the device side read it; with the .tflite it is all there is to ship.
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

from kws_tf.errors import KwsError
from kws_tf.files import write_json
from kws_tf.frontend.config import FrontEnd
from kws_tf.tflite.flatbuffer import check_mark

FORMAT = 1


@dataclass(frozen=True)
class Manifest:
    """Description of a converted model.

    Attributes:
        labels: Class names in the order of the outputs.
        front_end: From samples to features.
        input_scale: Real value (of a normalised feature) of one step of the int8 input, whose
            zero point is 0.
        input_bits: Width of the input; with 8 it spans -128 to 127.
        hidden_units: Size of the LSTM.
        weight_bits: Width of the weights inside their int8 containers.
        sha256: Of the .tflite file.
        bytes: Size of the .tflite file.
        clips: The clips behind the scales, by ``<layer>/<signal>``.
        details: Anything else worth keeping, such as accuracies.
    """

    labels: tuple[str, ...]
    front_end: FrontEnd
    input_scale: float
    input_bits: int
    hidden_units: int
    weight_bits: int
    sha256: str
    bytes: int
    clips: dict[str, float] = field(default_factory=dict)
    details: dict = field(default_factory=dict)

    def save(self, model_path: Path) -> Path:
        """Writes the manifest beside a model and returns its path."""
        path = manifest_path(model_path)
        write_json(path, {"format": FORMAT} | dataclasses.asdict(self))
        return path


def manifest_path(model_path: Path) -> Path:
    """Returns where the manifest of a model is."""
    return Path(model_path).with_suffix(".json")


def load(model_path: Path) -> Manifest:
    """Reads the manifest of a model and checks that the model is the one it describes.

    Raises:
        KwsError: If model or manifest is missing, damaged, or not of each other.
    """
    path = manifest_path(model_path)
    try:
        model = Path(model_path).read_bytes()
    except OSError as error:
        raise KwsError(
            f"cannot read the model {model_path} ({error.strerror}); give a .tflite file "
            "that scripts/convert.py wrote"
        ) from error
    check_mark(model, str(model_path))
    try:
        values = json.loads(path.read_text())
        if values.pop("format") != FORMAT:
            raise ValueError(f"its format is not {FORMAT}")
        values["labels"] = tuple(values["labels"])
        values["front_end"] = FrontEnd.from_json(values["front_end"])
        manifest = Manifest(**values)
    except FileNotFoundError as error:
        raise KwsError(
            f"the manifest {path} is missing; keep it beside the model that "
            "scripts/convert.py wrote with it"
        ) from error
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise KwsError(f"the manifest {path} is damaged ({error}); convert the run anew") from error
    if hashlib.sha256(model).hexdigest() != manifest.sha256:
        raise KwsError(
            f"{model_path} is not the model that {path.name} describes (its SHA-256 differs); "
            "convert the run anew"
        )
    return manifest
