"""Presets of ``kws-tf train``: small, named differences from the defaults of the settings.

An option given beside a preset wins. Imports no TensorFlow.
"""

from dataclasses import fields
from pathlib import Path

from kws_tf.frontend.config import FrontEnd, front_end
from kws_tf.labels import KEYWORDS
from kws_tf.settings import DataSettings, TrainSettings

PRETRAINED = Path(__file__).resolve().parent / "pretrained"
TEACHERS = tuple(str(PRETRAINED / name) for name in ("teacher-0", "teacher-1", "teacher-2"))
"""Run folders of the committed teachers, for the ten words of the benchmark."""
OTHER_WORDS = str(PRETRAINED / "other-words")
"""Run folder of an LSTM trained on people's recordings of 25 words, none of them one of the ten."""

# As windows of a stream are: silence at an end, a part of a word, a word in running speech.
_WINDOWS = {"edge_share": 0.25, "cut_share": 0.03, "context_share": 0.1}

PRESETS: dict[str, dict] = {
    # The ten words of the benchmark: the recipe of the results, distilled from the teachers.
    "full": _WINDOWS
    | {
        "optimizer": "muon",
        "teacher": TEACHERS,
        "unsmoothed_teachers": True,
        "quantized_epochs": 3,
        "quantized_learning_rate": 1e-4,
        "unknown_share": 0.3,
        "mix_share": 0.5,
        # Background noise as loud as it was recorded, from any place of it.
        "level_noise": True,
        "noise_roll_ms": 500.0,
    },
    # Other words, of which there are enough recordings.
    "untaught": _WINDOWS,
    # What "full" is distilled from.
    "teacher": {"edge_share": 0.25, "network": "teacher", "quantized_epochs": 0, "batch_size": 256},
    # The ten words from synthesised speech, in five minutes.
    "quick": _WINDOWS | {"start_from": OTHER_WORDS, "float_epochs": 26, "quantized_epochs": 6},
    # A few words of one's own, found among all other speech: more unknown speech than keywords.
    "own-words": _WINDOWS | {"start_from": OTHER_WORDS, "unknown_share": 1.5, "silence_share": 0.3},
}


def settings(settings_class, preset: str, **changes):
    """Returns the settings of a class that a preset gives, with changes of fields."""
    return settings_class(**(of_class(settings_class, PRESETS[preset]) | changes))


def of_class(settings_class, values: dict) -> dict:
    """Returns the values that are fields of a settings class."""
    names = {entry.name for entry in fields(settings_class)}
    return {name: value for name, value in values.items() if name in names}


def fitting(data: DataSettings, synthetic: bool) -> str:
    """Returns the name of the preset for a task, of recorded or of synthesised speech."""
    if synthetic:
        return "quick" if data.words == KEYWORDS else "own-words"
    return "full" if _suits_teachers(data) else "untaught"


def defaults(preset: str, data: DataSettings, hidden: int) -> dict:
    """Returns what a preset gives, without committed runs that do not fit task or hidden units."""
    chosen = dict(PRESETS[preset])
    starts = data.front_end == FrontEnd().name and hidden == TrainSettings().hidden
    for name, fits in (("start_from", starts), ("teacher", _suits_teachers(data))):
        if not fits:
            chosen.pop(name, None)
    return chosen


def _suits_teachers(data: DataSettings) -> bool:
    """Returns whether words, window and frames are those that the teachers were trained on."""
    chosen, theirs = front_end(data.front_end, data.window_ms), FrontEnd()
    frames = (chosen.log_mel, chosen.example_ms) == (theirs.log_mel, theirs.example_ms)
    return frames and data.words == KEYWORDS
