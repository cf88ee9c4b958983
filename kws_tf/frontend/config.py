"""The front end's description: the one place for its constants. Imports no TensorFlow."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field

from kws_tf.checks import is_text, known_fields, number, require, shown
from kws_tf.errors import KwsError

# Lowest and highest value of each number: enough for any speech, too little to fill the memory.
_RANGES = {
    "sample_rate": (1, 192_000),
    "window_ms": (0, 1000),
    "hop_ms": (0, 1000),
    "fft_length": (1, 2**16),
    "low_hz": (0, 96_000),
    "high_hz": (0, 96_000),
    "bands": (1, 1024),
    "offset": (1e-37, 1e37),
    "floor": (-1000, 1000),
    "ceiling": (-1000, 1000),
    "example_ms": (0, 60_000),
    "coefficients": (0, 1024),
}


@dataclass(frozen=True)
class LogMel:
    """How samples become a log-mel spectrogram.

    The defaults are the constants of the published log-mel records of Speech Commands, but for
    the hop: the records have a frame every 10 ms, the models take every second one.

    Raises:
        ValueError: If a constant is of another type or contradicts the others.
    """

    sample_rate: int = 16000  # Hz
    window_ms: float = 30.0  # length of the periodic Hann window
    hop_ms: float = 20.0  # time between frames; there is no padding at the ends
    fft_length: int = 512  # points; the window is padded with zeros to it
    low_hz: float = 0.0  # lower edge of the lowest band
    high_hz: float = 4000.0  # upper edge of the highest band
    bands: int = 40  # triangular, on the HTK-mel axis, with unit peak
    offset: float = 1e-7  # added to the power before the natural logarithm
    floor: float = -14.65  # smallest value, nats
    ceiling: float = 10.85  # largest value, nats; the two are the range of an 8-bit spectrogram

    def __post_init__(self):
        _check_numbers(self)
        require(self.hop_samples >= 1, "the hop is shorter than a sample")
        require(1 <= self.window_samples <= self.fft_length, "the window does not fit the FFT")
        require(
            self.low_hz < self.high_hz <= self.sample_rate / 2,
            "low_hz is not below high_hz, or high_hz is above half the sample rate",
        )
        require(self.floor < self.ceiling, "the floor is not below the ceiling")

    @property
    def window_samples(self) -> int:
        """Length of the window in samples."""
        return round(self.window_ms * self.sample_rate / 1000)

    @property
    def hop_samples(self) -> int:
        """Time between frames in samples."""
        return round(self.hop_ms * self.sample_rate / 1000)

    def frames(self, samples: int) -> int:
        """Returns the number of whole frames in ``samples`` samples."""
        return max(0, 1 + (samples - self.window_samples) // self.hop_samples)

    def with_hop(self, hop_ms: float) -> "LogMel":
        """Returns the same description with another hop."""
        return dataclasses.replace(self, hop_ms=hop_ms)

    def fingerprint(self) -> str:
        """Returns a short hash of all constants, which records store."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def frame_step_in(self, stored: "LogMel") -> int:
        """Returns which frames of a stored spectrogram are this front end's: every n-th.

        Raises:
            KwsError: If the stored one was made by another front end.
        """
        step = round(self.hop_ms / stored.hop_ms)
        is_multiple = step >= 1 and step * stored.hop_ms == self.hop_ms
        if is_multiple and stored.with_hop(self.hop_ms) == self:
            return step
        differs = [
            f"{f.name} {getattr(stored, f.name)} instead of {getattr(self, f.name)}"
            for f in dataclasses.fields(self)
            if f.name != "hop_ms" and getattr(stored, f.name) != getattr(self, f.name)
        ] or [f"hop_ms {stored.hop_ms}, of which {self.hop_ms} is no multiple"]
        raise KwsError(
            f"the records were made by another front end ({', '.join(differs)}); "
            "extract them anew with kws-tf extract-features"
        )


@dataclass(frozen=True)
class FrontEnd:
    """From samples to the model's input: spectrogram, DCT or none, normalisation.

    Saved as JSON with every run and model, so that a model can be used from its files alone.

    Raises:
        ValueError: If a field is of another type or contradicts the others.
    """

    name: str = "logmel40"  # or mfcc10, hello_edge, or one's own
    log_mel: LogMel = field(default_factory=LogMel)
    example_ms: float = 1000.0  # length of the audio a decision is made on
    coefficients: int = 0  # orthonormal DCT-II coefficients kept; 0 leaves the bands
    mean: tuple[float, ...] = ()  # of each feature over the training data; empty before training
    std: tuple[float, ...] = ()  # standard deviation of each feature; empty before training

    def __post_init__(self):
        require(is_text(self.name), f"name is {shown(self.name)}, not a text")
        require(isinstance(self.log_mel, LogMel), f"log_mel is {shown(self.log_mel)}")
        _check_numbers(self)
        require(self.frames >= 1, "an example is shorter than the window")
        require(self.coefficients <= self.log_mel.bands, "there are more coefficients than bands")
        fits = {len(self.mean), len(self.std)} in ({0}, {self.features})
        require(fits, f"there are not {self.features} means and deviations")
        # The bounds of float32, in which the features are computed.
        for entry, low in (("mean", -1e37), ("std", 1e-37)):
            values = getattr(self, entry)
            values = tuple(number(f"a value of {entry}", v, float, low, 1e37) for v in values)
            object.__setattr__(self, entry, values)

    @property
    def samples(self) -> int:
        """Samples in an example."""
        return round(self.example_ms * self.log_mel.sample_rate / 1000)

    @property
    def frames(self) -> int:
        """Frames in an example."""
        return self.log_mel.frames(self.samples)

    @property
    def features(self) -> int:
        """Features in a frame."""
        return self.coefficients or self.log_mel.bands

    def normalised(self, mean, std) -> "FrontEnd":
        """Returns the same front end with normalisation constants, rounded to float32."""
        import numpy as np

        mean, std = (tuple(map(float, np.asarray(v, np.float32))) for v in (mean, std))
        return dataclasses.replace(self, mean=mean, std=std)

    def to_json(self) -> dict:
        """Returns a JSON-ready dictionary."""
        return dataclasses.asdict(self)

    @classmethod
    def parse(cls, values) -> "FrontEnd":
        """Restores a front end from ``to_json``, also of version 0.1.

        Raises:
            ValueError: If fields are missing, unknown, of another type or out of their range, or
                contradict each other.
        """
        values = dict(known_fields(cls, values, ("clip_ms",)))
        if "clip_ms" in values and "example_ms" not in values:  # as version 0.1 wrote it
            values["example_ms"] = values.pop("clip_ms")
        missing = {"log_mel", "mean", "std"} - set(values)
        require(not missing, f"it has no {', '.join(sorted(missing))}")
        try:
            log_mel = LogMel(**known_fields(LogMel, values.pop("log_mel")))
            mean, std = tuple(values.pop("mean")), tuple(values.pop("std"))
            return cls(log_mel=log_mel, mean=mean, std=std, **values)
        except (TypeError, OverflowError) as error:
            raise ValueError(str(error)) from error

    @classmethod
    def from_json(cls, values, where: str = "this") -> "FrontEnd":
        """Restores a front end as ``parse`` does, but raises a KwsError that names ``where``."""
        try:
            return cls.parse(values)
        except ValueError as error:
            raise KwsError(
                f"{where} is not a front-end description ({error}); "
                "use the JSON that training or conversion wrote"
            ) from error


def _check_numbers(config) -> None:
    """Checks numbers; makes 10 the 10.0 of a float field, so that equal ones look the same."""
    for entry in dataclasses.fields(config):
        if entry.name in _RANGES:
            value = getattr(config, entry.name)
            value = number(entry.name, value, entry.type, *_RANGES[entry.name])
            object.__setattr__(config, entry.name, value)


FRONT_ENDS = {
    "logmel40": FrontEnd(),
    "mfcc10": FrontEnd(name="mfcc10", coefficients=10),
    # Zhang et al., Hello Edge (arXiv 1711.07128), section 4.1: 40 ms window, 20 ms hop, 10 MFCCs;
    # band edges of its code (TensorFlow's audio example): 20 to 4,000 Hz.
    "hello_edge": FrontEnd(
        name="hello_edge",
        log_mel=LogMel(window_ms=40.0, fft_length=1024, low_hz=20.0),
        coefficients=10,
    ),
}


def front_end(name: str, example_ms: float = 1000.0) -> FrontEnd:
    """Returns one of ``FRONT_ENDS`` by its name, for decisions on so much audio."""
    if name not in FRONT_ENDS:
        raise KwsError(f"unknown front end '{name}'; choose one of {', '.join(FRONT_ENDS)}")
    return dataclasses.replace(FRONT_ENDS[name], example_ms=example_ms)
