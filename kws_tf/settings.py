"""Every setting of a training run, with its default and unit. Imports no TensorFlow.

The command line of ``scripts/train.py`` is made from the fields' metadata, so that an option, its
default, its unit and its line of help are decided here and nowhere else.
"""

import dataclasses
from dataclasses import dataclass, field, fields

from kws_tf.data.labels import KEYWORDS
from kws_tf.errors import KwsError


def _option(default, text: str, low: float | None = None, high: float | None = None, **more):
    """A field with its line of help and its range."""
    return field(default=default, metadata={"help": text, "low": low, "high": high, **more})


def _check(settings) -> None:
    """Raises a KwsError for a value out of its range."""
    for entry in fields(settings):
        value, low, high = getattr(settings, entry.name), *map(entry.metadata.get, ("low", "high"))
        if (low is not None and value < low) or (high is not None and value > high):
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
    gain_db: float = _option(6.0, "greatest gain either way, dB", 0, 40)
    speed: float = _option(0.1, "greatest relative change of speed either way (records)", 0, 0.5)
    warp: float = _option(0.08, "greatest relative warp of the mel axis either way", 0, 0.5)
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
    front_end: str = _option("logmel40", "front end: logmel40, mfcc10 or hello_edge")
    unknown_share: float = _option(0.1, "unknown clips an epoch, relative to keyword clips", 0, 10)
    silence_share: float = _option(0.1, "silent clips an epoch, relative to keyword clips", 0, 10)
    mix_down: bool = _option(False, "mix stereo files down instead of refusing them")

    __post_init__ = _check


def as_json(settings) -> dict:
    """Returns a settings object as a JSON-ready dictionary."""
    return dataclasses.asdict(settings)
