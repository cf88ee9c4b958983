"""Keras models of a run's settings, and their weights as files."""

import os
from pathlib import Path

from kws_tf.errors import KwsError
from kws_tf.frontend.config import FrontEnd
from kws_tf.models import spotter, teacher
from kws_tf.settings import TrainSettings

CLIP_L2 = 1e-4
"""Weight of the L2 penalty on the activations' clips."""
OVERFLOW_PENALTY = 10.0
"""Weight of the loss on hidden products outside of Q3.12."""


def build_model(
    settings: TrainSettings, front_end: FrontEnd, classes: int, phase: str, dtype: str = "float32"
):
    """Builds the ``float`` or the ``quantized`` spotter of these settings."""
    if settings.network == "teacher":
        return teacher.build_teacher(front_end.frames, front_end.features, classes)
    shape = (front_end.frames, front_end.features, settings.hidden, classes)
    if phase == "float":
        return spotter.build_float(*shape, settings.product_dtype)
    names = ("input_bits", "hidden_bits", "learned_step") if settings.profile == "tflite" else ()
    bits = {name: getattr(settings, name) for name in names}
    return spotter.build_quantized(
        *shape,
        settings.profile,
        settings.pact,
        settings.weight_bits,
        CLIP_L2,
        settings.runtime,
        OVERFLOW_PENALTY,
        dtype,
        settings.product_dtype,
        **bits,
    )


def save_weights(model, path: Path) -> None:
    """Saves a model's weights as HDF5 at once: the old file stays until the new one is whole."""
    temporary = path.with_name(f"part.{path.name}")  # Keras goes by the end of the name
    try:
        # On a full disk HDF5 takes the whole process down, so try with plain zeros first.
        temporary.write_bytes(bytes(8 * model.count_params() + 2**18))
        model.save_weights(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def load_weights(model, path: Path):
    """Loads HDF5 weights into a model.

    Raises:
        KwsError: If the file is damaged or of a model of another shape.
    """
    try:
        model.load_weights(path)
    except (ValueError, OSError, KeyError) as error:
        reason = str(error).splitlines()[0][:200]
        raise KwsError(
            f"the weights {path} do not fit the model that settings.json describes ({reason}); "
            "use the folder as training wrote it"
        ) from error
    return model
