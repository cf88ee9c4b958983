"""Every setting of a training run, with its default and unit. Imports no TensorFlow.

The command line of ``scripts/train.py`` is made from the fields' metadata, so that an option, its
default, its unit and its line of help are decided here and nowhere else.
"""

import argparse
import dataclasses
from dataclasses import dataclass, field, fields

from kws_tf.data.labels import KEYWORDS, class_names, clean_word
from kws_tf.errors import KwsError
from kws_tf.frontend.config import FRONT_ENDS

PROFILES = ("tflite", "paper")
RUNTIMES = ("ideal", "tflm", "tflite")
PRODUCT_DTYPES = ("float32", "bfloat16")
NETWORKS = ("lstm", "teacher")
OPTIMIZERS = ("adam", "muon")

_METAVARS = {int: "N", float: "X", str: "NAME"}


def _option(default, text: str, low: float | None = None, high: float | None = None, **more):
    """A field with its line of help and its range."""
    return field(default=default, metadata={"help": text, "low": low, "high": high, **more})


def _check(settings) -> None:
    """Raises a KwsError for a value out of its range."""
    for entry in fields(settings):
        value, low, high = getattr(settings, entry.name), *map(entry.metadata.get, ("low", "high"))
        choices = entry.metadata.get("choices")
        if choices and value not in choices:
            raise KwsError(
                f"there is no --{entry.name.replace('_', '-')} '{value}'; "
                f"choose one of {', '.join(choices)}"
            )
        # Turned round, so that a NaN, which compares false with everything, is refused as well.
        if (low is not None and not value >= low) or (high is not None and not value <= high):
            raise KwsError(
                f"--{entry.name.replace('_', '-')} {value} is out of range; "
                f"choose a value from {low} to {high if high is not None else 'any size'}"
            )


@dataclass(frozen=True)
class Augmentation:
    """What is done to a training clip; 0 turns a part off."""

    shift_ms: float = _option(100.0, "greatest time shift either way, ms", 0, 500)
    noise_share: float = _option(0.8, "share of clips that get background noise", 0, 1)
    noise_volume: float = _option(0.1, "greatest amplitude of that noise, 1 is full scale", 0, 1)
    noise_roll_ms: float = _option(
        0.0, "greatest time by which a slice of noise is rolled round, its end to its start, ms", 0
    )
    gain_db: float = _option(6.0, "greatest gain either way, dB", 0, 40)
    speed: float = _option(0.1, "greatest relative change of speed either way (records)", 0, 0.5)
    warp: float = _option(0.08, "greatest relative warp of the mel axis either way", 0, 0.5)
    filter_db: float = _option(
        0.0, "greatest gain or loss of a random smooth filter over the bands, dB", 0, 40
    )
    mix_share: float = _option(0.0, "share of clips that get another clip mixed in", 0, 1)
    mix_volume: float = _option(0.5, "greatest amplitude of that clip, relative to its own", 0, 1)
    edge_share: float = _option(
        0.0, "share of clips that begin or end in digital silence, as short clips do", 0, 1
    )
    edge_ms: float = _option(300.0, "greatest length of that silence, ms", 0, 1000)
    time_masks: int = _option(1, "number of time masks", 0, 10)
    time_mask_ms: float = _option(120.0, "greatest length of a time mask, ms", 0, 1000)
    band_masks: int = _option(1, "number of masks over mel bands", 0, 10)
    band_mask: int = _option(6, "greatest width of a band mask, bands", 0, 80)

    __post_init__ = _check

    @classmethod
    def off(cls) -> "Augmentation":
        """Returns the settings that leave every clip as it is."""
        return cls(**{entry.name: 0 for entry in fields(cls)})


@dataclass(frozen=True)
class DataSettings:
    """Which clips make the task."""

    words: tuple[str, ...] = _option(KEYWORDS, "keywords, separated by commas")
    window_ms: float = _option(
        1000.0, "length of the audio a decision is made on, ms; a word must fit", 500, 2000
    )
    synthetic_per_word: int = _option(
        -1, "clips of each word to synthesise; -1 fills words up to 300 clips, 0 turns it off", -1
    )
    recordings_per_word: int = _option(
        -1, "training recordings of each word to use, of other words as well; -1 uses all", -1
    )
    front_end: str = _option("logmel40", "front end", choices=tuple(FRONT_ENDS))
    unknown_share: float = _option(0.1, "unknown clips an epoch, relative to keyword clips", 0, 10)
    silence_share: float = _option(0.1, "silent clips an epoch, relative to keyword clips", 0, 10)
    level_noise: bool = _option(False, "raise records' slices of noise that are stored faint")
    mix_down: bool = _option(False, "mix stereo files down instead of refusing them")

    def __post_init__(self):
        """Checks every value; spells the words in one way."""
        _check(self)
        object.__setattr__(self, "words", tuple(map(clean_word, self.words)))
        class_names(self.words)


@dataclass(frozen=True)
class TrainSettings:
    """The model and how it is trained: float warm-up, then quantized fine-tuning."""

    network: str = _option(
        "lstm", "the spotter, or a float network for --teacher to name", choices=NETWORKS
    )
    hidden: int = _option(118, "hidden units of the LSTM", 1, 4096)
    profile: str = _option(
        "tflite", "formats: tflite deploys, paper is the original's", choices=PROFILES
    )
    pact: bool = _option(True, "train the clips (PACT) instead of keeping their initial values")
    weight_bits: int = _option(8, "width of the weights, bits", 2, 8)
    learned_step: bool = _option(
        False, "add LSQ's part to the gradient of weight clips; for few bits (tflite profile)"
    )
    input_bits: int = _option(8, "width of the input (tflite profile), bits", 2, 8)
    hidden_bits: int = _option(8, "width of the hidden state (tflite profile), bits", 2, 8)
    clip_percentile: float = _option(
        99.99,
        "percentile of input, cell, hidden state and logits that their clips begin at",
        50,
        100,
    )
    clip_l2: float = _option(1e-4, "weight of the L2 penalty on activation clips", 0)
    runtime: str = _option(
        "tflm", "whose sigmoid and tanh fine-tuning simulates (tflite profile)", choices=RUNTIMES
    )
    overflow_penalty: float = _option(
        10.0, "weight of the loss on hidden products outside of Q3.12 (tflite profile)", 0
    )
    float_epochs: int = _option(60, "epochs of float warm-up; 0 is quantized from the start", 0)
    quantized_epochs: int = _option(20, "epochs of quantized fine-tuning", 0)
    batch_size: int = _option(256, "clips in a batch", 1)
    optimizer: str = _option(
        "adam",
        "optimizer of the warm-up; muon moves the LSTM's matrices at 7 times the learning rate, "
        "and leaves all else to Adam",
        choices=OPTIMIZERS,
    )
    learning_rate: float = _option(3e-3, "greatest learning rate of the warm-up", 0)
    matrix_decay: float = _option(
        0.05, "Muon's decay of the matrices, relative to their rate; with none they may diverge", 0
    )
    quantized_learning_rate: float = _option(5e-4, "greatest learning rate of fine-tuning", 0)
    label_smoothing: float = _option(0.1, "label smoothing", 0, 0.9)
    dropout: float = _option(0.0, "share of the last hidden state dropped in the warm-up", 0, 0.9)
    averaging: float = _option(
        0.0, "decay of the moving average that replaces the weights at each epoch's end", 0, 0.9999
    )
    warm_up_run: str = _option("", "run folder whose finished warm-up to take over")
    start_from: str = _option(
        "",
        "run folder whose LSTM to begin with, such as one of other words; with --float-epochs 0 "
        "fine-tuning goes on from its quantized weights, perhaps in fewer bits",
    )
    teacher: tuple[str, ...] = _option(
        (), "run folders, separated by commas, whose float models' mean posterior to learn as well"
    )
    teacher_share: float = _option(0.7, "share of the teachers' posterior in the targets", 0, 1)
    sharp_teachers: bool = _option(
        False, "take off a teacher's posterior the label smoothing that it was trained with"
    )
    teacher_epochs: int = _option(
        20,
        "epochs of augmented clips that the teachers see; then these come again, kept in memory",
        1,
    )
    product_dtype: str = _option(
        "float32",
        "type of the gradient's matrix products; bfloat16 is faster on CPUs that have it",
        choices=PRODUCT_DTYPES,
    )
    seed: int = _option(0, "seed of weights, order, augmentation", 0, 2**30)

    __post_init__ = _check


def as_json(settings) -> dict:
    """Returns a settings object as a JSON-ready dictionary."""
    return dataclasses.asdict(settings)


def add_options(parser, settings_class) -> None:
    """Adds an option for each field of a settings class to an argument parser."""
    group = parser.add_argument_group(settings_class.__doc__.splitlines()[0].rstrip("."))
    for entry in fields(settings_class):
        name = "--" + entry.name.replace("_", "-")
        help_text = entry.metadata["help"]
        if isinstance(entry.default, bool):
            action = argparse.BooleanOptionalAction
            group.add_argument(name, action=action, default=entry.default, help=help_text)
        elif isinstance(entry.default, tuple):
            default = ",".join(entry.default)
            group.add_argument(name, default=default, metavar="LIST", help=help_text)
        else:
            kind = type(entry.default)
            choices = entry.metadata.get("choices")
            metavar = None if choices else _METAVARS[kind]
            group.add_argument(
                name,
                type=kind,
                choices=choices,
                default=entry.default,
                metavar=metavar,
                help=help_text,
            )


def from_options(settings_class, options):
    """Makes a settings object from parsed options.

    Raises:
        KwsError: If a value is out of its range.
    """
    values = {}
    for entry in fields(settings_class):
        value = getattr(options, entry.name)
        if isinstance(value, str) and isinstance(entry.default, tuple):
            value = tuple(word.strip() for word in value.split(",")) if value else ()
        values[entry.name] = value
    return settings_class(**values)


def from_json(settings_class, values: dict):
    """Restores a settings object from ``as_json``.

    Raises:
        KwsError: If there are unknown fields.
    """
    try:
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return settings_class(**values)
    except TypeError as error:
        raise KwsError(
            f"these settings are of another version of kws_tf ({error}); train a new run"
        ) from error
