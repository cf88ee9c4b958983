"""Named sets of defaults for ``scripts/train.py``; an option given beside them wins.

A preset gives new defaults to fields of the settings classes. Imports no TensorFlow.
"""

from dataclasses import fields
from pathlib import Path

from kws_tf.data.labels import KEYWORDS
from kws_tf.frontend.config import FrontEnd, front_end
from kws_tf.settings import DataSettings, TrainSettings

_CHECKPOINTS = Path(__file__).resolve().parent.parent / "tflite_models" / "checkpoints"
TEACHERS = tuple(str(_CHECKPOINTS / name) for name in ("teacher-0", "teacher-1", "teacher-2"))
"""Run folders of the committed teachers, for the ten words of the benchmark."""
OTHER_WORDS = str(_CHECKPOINTS / "other-words")
"""Run folder of an LSTM that has heard people say 25 words, none of them one of the ten."""

_FEW_CLIPS = {
    "batch_size": 64,
    "float_epochs": 40,
    "quantized_epochs": 10,
    "start_from": OTHER_WORDS,
}

_EDGES = {"edge_share": 0.25}

# Background noise as loud as it was recorded, from any place of it.
_LEVEL = {"level_noise": True, "noise_roll_ms": 500.0}

# Clips mixed with others, and more unknown speech: teachers say what they are.
_PATIENT = (
    _EDGES
    | _LEVEL
    | {
        "batch_size": 64,
        "float_epochs": 40,
        "optimizer": "muon",
        "unknown_share": 0.3,
        "mix_share": 0.5,
        "teacher": TEACHERS,
        "teacher_share": 1.0,
        "sharp_teachers": True,
        "teacher_epochs": 12,
        "quantized_epochs": 3,
        "quantized_learning_rate": 1e-4,
    }
)

PRESETS: dict[str, dict] = {
    # The ten words of the benchmark: the recipe of the results, with the committed teachers.
    "full": _PATIENT,
    "full-344": _PATIENT | {"hidden": 344},
    # A run of it, trained on: --start-from RUN, and --hidden 344 where it has them.
    "second": _PATIENT | {"float_epochs": 12, "learning_rate": 1.5e-3},
    # Other words, of which there are recordings enough.
    "untaught": _EDGES | {"batch_size": 64, "float_epochs": 40, "quantized_epochs": 10},
    # What "full" learns from.
    "teacher": _EDGES | {"network": "teacher", "float_epochs": 40, "quantized_epochs": 0},
    # For some thousand clips: smaller batches, so that an epoch has steps enough.
    "quick": _FEW_CLIPS,
    # For a few words of one's own among all that is said: as much unknown speech as keywords.
    "own-words": _FEW_CLIPS | {"unknown_share": 1.5, "silence_share": 0.3},
}


def settings(settings_class, preset: str, **changes):
    """Returns the settings of a class that a preset gives, with changes.

    Args:
        settings_class: ``TrainSettings``, ``DataSettings`` or ``Augmentation``.
        preset: One of ``PRESETS``.
        **changes: Fields and their values.
    """
    names = {entry.name for entry in fields(settings_class)}
    chosen = {name: value for name, value in PRESETS[preset].items() if name in names}
    return settings_class(**(chosen | changes))


def fitting(data: DataSettings, synthetic: bool, network: str = "lstm") -> str:
    """Returns the name of the preset for a task.

    Args:
        data: The words and the front end.
        synthetic: Whether speech is synthesised because there are no or few recordings.
        network: ``lstm`` or ``teacher``.
    """
    if network == "teacher":
        return "teacher"
    if synthetic:
        return "quick" if data.words == KEYWORDS else "own-words"
    return "full" if _teachers_know(data) else "untaught"


def defaults(preset: str, data: DataSettings, hidden: int) -> dict:
    """Returns what a preset gives, without committed runs that do not fit the task.

    Args:
        preset: One of ``PRESETS``.
        data: The task.
        hidden: Hidden units.
    """
    chosen = dict(PRESETS[preset])
    starts = data.front_end == FrontEnd().name and hidden == TrainSettings().hidden
    for name, fits in (("start_from", starts), ("teacher", _teachers_know(data))):
        if not fits:
            chosen.pop(name, None)
    return chosen


def as_options(values: dict) -> str:
    """Returns settings as they would be given on the command line."""
    return " ".join(_as_option(name.replace("_", "-"), value) for name, value in values.items())


def _as_option(name: str, value) -> str:
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no-{name}"
    return f"--{name} {','.join(value) if isinstance(value, tuple) else value}"


def _teachers_know(data: DataSettings) -> bool:
    """Tells whether the words, the window and its frames are those that the teachers learned."""
    chosen, heard = front_end(data.front_end, data.window_ms), FrontEnd()
    frames = (chosen.log_mel, chosen.clip_ms) == (heard.log_mel, heard.clip_ms)
    return frames and data.words == KEYWORDS
