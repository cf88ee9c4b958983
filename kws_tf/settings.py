"""Every setting of a training run, with its default and unit. Imports no TensorFlow.

The command line of ``kws-tf train`` is made from the fields' metadata, so that an option, its
default, its unit and its line of help are decided here and nowhere else. A field without a group
is no option: presets and experiments set it.
"""

import argparse
import dataclasses
import functools
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from kws_tf.errors import KwsError
from kws_tf.frontend.config import FRONT_ENDS
from kws_tf.labels import KEYWORDS, class_names, clean_word

PROFILES = ("tflite", "paper")
RUNTIMES = ("ideal", "tflm", "tflite")
PRODUCT_DTYPES = ("float32", "bfloat16")
NETWORKS = ("lstm", "teacher")
OPTIMIZERS = ("adam", "muon")
SHORTEST_WINDOW_MS, LONGEST_WINDOW_MS = 500, 2000
COMMON, ADVANCED = "common options", "advanced options"

_METAVARS = {int: "N", float: "X", str: "NAME"}
_KINDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
_RENAMED = {
    "warm_up_run": "pretraining_run",
    "sharp_teachers": "unsmoothed_teachers",
    "teacher_epochs": "soft_target_epochs",
}
"""Fields as runs of version 0.1 saved them."""
_RETIRED = {
    "clip_percentile": 99.99,
    "clip_l2": 1e-4,
    "overflow_penalty": 10.0,
    "matrix_decay": 0.05,
    "dropout": 0.0,
    "averaging": 0.0,
    "teacher_share": 1.0,
    "filter_db": 0.0,
}
"""Fields of version 0.1 that are settings no more, and what training now does."""


def _option(default, text: str, low=None, high=None, group=None, choices=()):
    """A field with its line of help, its range and its group of options."""
    metadata = {"help": text, "low": low, "high": high, "group": group, "choices": choices}
    return field(default=default, metadata=metadata)


_common = functools.partial(_option, group=COMMON)
_advanced = functools.partial(_option, group=ADVANCED)


def _check(settings) -> None:
    """Raises a KwsError for a value of another type or out of its range."""
    for entry in fields(settings):
        value, low, high = getattr(settings, entry.name), *map(entry.metadata.get, ("low", "high"))
        largest = sys.float_info.max if high is None else high
        name, choices = f"--{entry.name.replace('_', '-')}", entry.metadata["choices"]
        _check_type(name, value, entry.default)
        if choices and value not in choices:
            raise KwsError(f"there is no {name} '{value}'; choose one of {', '.join(choices)}")
        # Turned round, so that a NaN, which compares false with everything, is refused as well.
        if low is not None and not low <= value <= largest:
            raise KwsError(
                f"{name} {value} is out of range; "
                f"choose a value from {low} to {high if high is not None else 'any size'}"
            )


def _check_type(name: str, value, default) -> None:
    if isinstance(default, tuple):
        if not isinstance(value, tuple) or not all(isinstance(item, str) for item in value):
            raise KwsError(f"{name} is {value!r}; give it a list of texts")
        return
    kind = type(default)
    fits = isinstance(value, int | float if kind is float else kind)
    if not fits or isinstance(value, bool) != (kind is bool):
        raise KwsError(f"{name} is {value!r}; give it {_KINDS[kind]}")


@dataclass(frozen=True)
class Augmentation:
    """What is done to a training example; 0 turns a part off."""

    shift_ms: float = _advanced(100.0, "largest time shift either way, ms", 0, 500)
    noise_share: float = _advanced(0.8, "share of examples that get background noise", 0, 1)
    noise_volume: float = _advanced(0.1, "largest amplitude of that noise, 1 is full scale", 0, 1)
    noise_roll_ms: float = _option(
        0.0, "largest time by which a slice of noise is rolled round, its end to its start, ms", 0
    )
    gain_db: float = _advanced(6.0, "largest gain either way, dB", 0, 40)
    speed: float = _advanced(0.1, "largest relative change of speed either way (records)", 0, 0.5)
    warp: float = _advanced(0.08, "largest relative warp of the mel axis either way", 0, 0.5)
    mix_share: float = _option(0.0, "share of examples that get another one mixed in", 0, 1)
    mix_volume: float = _option(0.5, "largest amplitude of that one, relative to its own", 0, 1)
    edge_share: float = _option(
        0.0, "share of examples that begin or end in digital silence, as short ones do", 0, 1
    )
    context_share: float = _option(0.0, "share of examples that are put into running speech", 0, 1)
    edge_ms: float = _option(300.0, "largest length of that silence, ms", 0, 1000)
    time_masks: int = _option(1, "number of time masks", 0, 10)
    time_mask_ms: float = _option(120.0, "largest length of a time mask, ms", 0, 1000)
    band_masks: int = _option(1, "number of masks over mel bands", 0, 10)
    band_mask: int = _option(6, "largest width of a band mask, bands", 0, 80)

    __post_init__ = _check

    @classmethod
    def off(cls) -> "Augmentation":
        """Returns the settings that leave every example as it is."""
        return cls(**{entry.name: 0 for entry in fields(cls)})


@dataclass(frozen=True)
class DataSettings:
    """Which examples make the task."""

    words: tuple[str, ...] = _common(KEYWORDS, "keywords, separated by commas")
    window_ms: float = _advanced(
        1000.0,
        "length of the audio a decision is made on, ms; for words of one's own by default as long "
        "as the longest needs",
        SHORTEST_WINDOW_MS,
        LONGEST_WINDOW_MS,
    )
    synthetic_per_word: int = _common(
        -1, "recordings of each word to synthesise; -1 fills words up to 300, 0 turns it off", -1
    )
    recordings_per_word: int = _option(
        -1, "training recordings of each word to use, of other words as well; -1 uses all", -1
    )
    front_end: str = _advanced("logmel40", "front end", choices=tuple(FRONT_ENDS))
    unknown_share: float = _advanced(
        0.1, "unknown examples per epoch, relative to keyword examples", 0, 10
    )
    silence_share: float = _option(
        0.1, "silent examples per epoch, relative to keyword examples", 0, 10
    )
    negative_share: float = _advanced(
        0.75, "windows of --negatives in a batch, relative to its examples", 0, 10
    )
    noise_windows: float = _option(
        0.1, "windows of --noise in a batch, relative to its examples", 0, 10
    )
    alarm_share: float = _option(
        0.25, "windows of --harden in a batch, relative to its examples", 0, 10
    )
    cut_share: float = _option(
        0.0, "keywords cut in half, which are unknown, in a batch, relative to its examples", 0, 1
    )
    level_noise: bool = _option(False, "raise records' slices of noise that are stored faint")
    mix_down: bool = _advanced(False, "mix stereo files down instead of refusing them")

    def __post_init__(self):
        """Checks every value; spells the words in one way."""
        _check(self)
        object.__setattr__(self, "words", tuple(map(clean_word, self.words)))
        class_names(self.words)


@dataclass(frozen=True)
class OtherRecordings:
    """Folders or files of recordings of any length in which nobody says a keyword."""

    negatives: tuple[str, ...] = ()  # running speech, music: unknown
    noise: tuple[str, ...] = ()  # what is no speech: silence
    alarms: tuple[str, ...] = ()  # what a model took for a keyword: unknown, and drawn often

    def resolved(self) -> "OtherRecordings":
        """Returns the same places, from whichever folder they are looked for."""
        kinds = dataclasses.asdict(self).items()
        return OtherRecordings(**{k: tuple(str(Path(p).resolve()) for p in v) for k, v in kinds})


@dataclass(frozen=True)
class TrainSettings:
    """The model and how it is trained: float pretraining, then quantized fine-tuning."""

    network: str = _option(
        "lstm", "the spotter, or a float network to be a teacher", choices=NETWORKS
    )
    hidden: int = _common(118, "hidden units of the LSTM", 1, 4096)
    profile: str = _advanced(
        "tflite", "formats: tflite deploys, paper is the original's", choices=PROFILES
    )
    pact: bool = _advanced(True, "train the clips (PACT) instead of keeping their initial values")
    weight_bits: int = _advanced(8, "width of the weights, bits", 2, 8)
    learned_step: bool = _advanced(
        False, "add LSQ's part to the gradient of weight clips; for few bits (tflite profile)"
    )
    input_bits: int = _advanced(8, "width of the input (tflite profile), bits", 2, 8)
    hidden_bits: int = _advanced(8, "width of the hidden state (tflite profile), bits", 2, 8)
    runtime: str = _option(
        "tflm", "whose sigmoid and tanh fine-tuning simulates (tflite profile)", choices=RUNTIMES
    )
    float_epochs: int = _common(40, "epochs of float pretraining; 0 is quantized from the start", 0)
    quantized_epochs: int = _common(10, "epochs of quantized fine-tuning", 0)
    batch_size: int = _common(64, "examples in a batch", 1)
    optimizer: str = _option(
        "adam",
        "optimizer of pretraining; muon moves the LSTM's matrices at 7 times the learning rate, "
        "and leaves all else to Adam",
        choices=OPTIMIZERS,
    )
    learning_rate: float = _advanced(3e-3, "peak learning rate of pretraining", 0)
    quantized_learning_rate: float = _advanced(5e-4, "peak learning rate of fine-tuning", 0)
    label_smoothing: float = _option(0.1, "label smoothing", 0, 0.9)
    pretraining_run: str = _advanced(
        "", "run folder whose finished pretraining to take over instead of pretraining"
    )
    start_from: str = _common(
        "",
        "run folder whose LSTM to begin with, such as one of other words; with --float-epochs 0 "
        "fine-tuning goes on from its quantized weights, perhaps in fewer bits",
    )
    teacher: tuple[str, ...] = _common(
        (), "run folders, separated by commas, whose float models' mean posterior is learned"
    )
    unsmoothed_teachers: bool = _option(
        False, "take off a teacher's posterior the label smoothing that it was trained with"
    )
    soft_target_epochs: int = _advanced(
        12, "epochs of augmented examples that get the teachers' soft targets; then they repeat", 1
    )
    product_dtype: str = _advanced(
        "float32",
        "type of the gradient's matrix products; bfloat16 is faster on CPUs that have it",
        choices=PRODUCT_DTYPES,
    )
    seed: int = _common(0, "seed of weights, order, augmentation", 0, 2**30)

    __post_init__ = _check


def as_json(settings) -> dict:
    """Returns a settings object as a JSON-ready dictionary."""
    return dataclasses.asdict(settings)


def add_options(groups: Mapping, classes: Iterable[type], presets: Mapping) -> None:
    """Adds an option for each field of settings classes that has a group, to the group's parser.

    What is not given is absent afterwards. Help tells of what each preset changes.
    """
    for entry in (entry for settings_class in classes for entry in fields(settings_class)):
        title, choices = entry.metadata["group"], entry.metadata["choices"]
        if not title:
            continue
        more: dict = {"help": f"{entry.metadata['help']} ({_default_text(entry, presets)})"}
        if isinstance(entry.default, bool):
            more |= {"action": argparse.BooleanOptionalAction}
        elif isinstance(entry.default, tuple):
            more |= {"type": _split, "metavar": "LIST"}
        else:
            kind = type(entry.default)
            more |= {"type": kind, "choices": choices or None}
            more |= {} if choices else {"metavar": _METAVARS[kind]}
        name = "--" + entry.name.replace("_", "-")
        groups[title].add_argument(name, default=argparse.SUPPRESS, **more)


def _split(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",")) if text else ()


def _default_text(entry, presets: Mapping) -> str:
    changed = {name: values[entry.name] for name, values in presets.items() if entry.name in values}
    texts = [f"default: {_shown(entry.default)}"]
    texts += [f"preset {name}: {_shown(value)}" for name, value in changed.items()]
    return "; ".join(texts)


def _shown(value) -> str:
    if isinstance(value, tuple):
        value = ",".join(item.rpartition("/")[2] for item in value)
    elif isinstance(value, str):
        value = value.rpartition("/")[2]
    return f"{value}".replace("%", "%%") or "none"


def given(settings_class: type, options: argparse.Namespace) -> dict:
    """Returns the fields of a settings class that the command line gives."""
    names = {entry.name for entry in fields(settings_class)}
    return {name: value for name, value in vars(options).items() if name in names}


def from_json(settings_class: type, values: dict):
    """Restores a settings object from ``as_json``, also of version 0.1; a KwsError if damaged."""
    known = {entry.name for entry in fields(settings_class)}
    current = {}
    for name, value in values.items():
        name = _RENAMED.get(name, name)
        if name in known:
            current[name] = tuple(value) if isinstance(value, list) else value
        elif name not in _RETIRED:
            raise KwsError(
                f"these settings are of another version of kws_tf (they have '{name}'); "
                "train a new run"
            )
    return settings_class(**current)


def retired_changes(values: dict) -> dict:
    """Returns the saved settings that this version cannot train with any more."""
    differ = {k: v for k, v in values.items() if k in _RETIRED and v != _RETIRED[k]}
    if not values.get("teacher"):
        differ.pop("teacher_share", None)
    return differ
