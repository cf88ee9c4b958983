"""A stretch of a recording over time, as ``timeline.js`` draws it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kws_tf.audio import reader
from kws_tf.audio.folders import stem
from kws_tf.errors import KwsError
from kws_tf.frontend.config import LogMel
from kws_tf.listening import stream_file, transcripts
from kws_tf.listening.ears import Ears
from kws_tf.listening.recordings import stated_seconds
from kws_tf.listening.stream_file import Said
from kws_tf.progress import progress
from kws_tf.report import pictures, sound
from kws_tf.tflite.model import Model
from kws_tf.tflite.trigger import keyword_indices

SECONDS, LONGEST_SECONDS = 30.0, 600.0
"""Of a stretch whose end is not asked for, and of the longest one."""
_COLUMNS = 4096  # of a picture; browsers limit them
_DARKEST, _BRIGHTEST = 5, 99.8  # per cent of the values below


@dataclass(frozen=True)
class Stretch:
    """What to show of a recording.

    Raises:
        KwsError: It is no stretch, or the transcripts do not have the recording.
    """

    path: Path
    start: float = 0.0  # seconds
    end: float | None = None  # none: half a minute later, or the recording's end if that is sooner
    transcripts: Path | None = None  # a line a recording: name, tab, text
    words: Path | None = None  # what is said when, as ``stream_file`` reads it
    mix_down: bool = False  # mix stereo down instead of refusing it

    def __post_init__(self):
        """Checks what can be known before the recording is read."""
        end = self.start + SECONDS if self.end is None else self.end
        if not 0 <= self.start < math.inf:
            raise KwsError(f"--from {self.start:g} is no time in a recording; give seconds from 0")
        if not end > self.start:
            raise KwsError(f"--to {end:g} is not after --from {self.start:g}; give a later time")
        if end - self.start > LONGEST_SECONDS:
            raise KwsError(
                f"from {self.start:g} to {end:g} s are more than the {LONGEST_SECONDS:g} s that a "
                "timeline shows; give less"
            )
        stated_seconds(self.path)  # refuses what cannot be read
        self.text()
        self.said()

    def text(self) -> str:
        """Returns what is said in the recording; nothing without transcripts."""
        if not self.transcripts:
            return ""
        name = stem(self.path.name)
        texts = transcripts.read(self.transcripts)
        if name not in texts:
            raise KwsError(f"{self.transcripts} has no text for {name}; add it, or leave them out")
        return texts[name]

    def said(self) -> list[Said]:
        """Returns what is said when; nothing without a table of words."""
        return stream_file.read_table(self.words) if self.words else []


def build(model: Model, stretch: Stretch) -> dict:
    """Listens to a recording from its beginning, so that decisions are those of ``kws-tf soak``.

    Returns:
        What ``timeline.js`` takes, JSON-ready.

    Raises:
        KwsError: The recording cannot be read, or ends before the stretch does.
    """
    manifest = model.manifest
    log_mel, trigger = manifest.front_end.log_mel, manifest.trigger
    ears, reading = Ears(model), _Reading(stretch, log_mel.sample_rate)
    outputs = np.concatenate(list(ears.hear(reading.blocks())))
    samples = reading.samples()
    seconds = len(samples) / log_mel.sample_rate

    # From the decision that holds as the stretch begins to the last one in it.
    times = ears.first + ears.step * np.arange(len(outputs)) - stretch.start
    shown = np.flatnonzero((times > -ears.step) & (times <= seconds))
    keywords = keyword_indices(manifest.labels)
    before = trigger.smoothing_decisions - 1
    scores = np.pad(trigger.sums(outputs), ((before, 0), (0, 0))) / trigger.full_sum
    posteriors = (outputs.astype(int) + 128) / 256
    rows = np.ix_(shown, keywords)
    least = trigger.least_sums(manifest.labels) / trigger.full_sum
    return {
        "seconds": seconds,
        "start": stretch.start,
        "hop": ears.step,
        "first": float(times[shown[0]]),
        "labels": [manifest.labels[index] for index in keywords],
        "posteriors": posteriors[rows].T.round(4).tolist(),
        "scores": scores[rows].T.round(4).tolist(),
        "thresholds": least[keywords].tolist(),
        "detections": [
            {"time": time, "label": manifest.labels[label], "score": round(score, 4)}
            for decision, label, score in trigger.detections(outputs, manifest.labels, log_mel)
            if 0 <= (time := reading.limited(float(times[decision]), seconds)) <= seconds
        ],
        "said": [
            {"start": one.start - stretch.start, "end": one.end - stretch.start, "text": one.text}
            for one in stretch.said()
            if one.start - stretch.start < seconds and one.end > stretch.start
        ],
        "spectrogram": _pictures(samples, log_mel),
        "audio": sound.data_uri(samples, log_mel.sample_rate),
    }


class _Reading:
    """Reads a recording up to the end of a stretch and keeps that."""

    def __init__(self, stretch: Stretch, rate: int):
        self._stretch, self._rate = stretch, rate
        end = stretch.start + SECONDS if stretch.end is None else stretch.end
        self._first, self._last = round(stretch.start * rate), round(end * rate)
        self._parts, self._place, self._is_end = [], 0, True

    def blocks(self) -> Iterator[np.ndarray]:
        """Yields it from its beginning, float32 [n]."""
        path, rate = self._stretch.path, self._rate
        stated = round(stated_seconds(path) * rate) or self._last
        blocks = reader.blocks(path, rate, self._stretch.mix_down)
        total, unit = min(stated, self._last), (60 * rate, "minutes")
        for block in progress(blocks, total, "listening", lambda: self._place, unit):
            left = self._last - self._place
            self._is_end = len(block) <= left
            block = block[:left]
            self._parts.append(block[max(0, self._first - self._place) :])
            self._place += len(block)
            yield block
            if not self._is_end:
                break

    def samples(self) -> np.ndarray:
        """Returns the stretch, float32 [n], when all was read."""
        stretch, length = self._stretch, self._place / self._rate
        if self._place <= self._first:
            raise KwsError(
                f"--from {stretch.start:g} is beyond the end of {stretch.path}, at {length:.2f} s; "
                "give an earlier time"
            )
        if stretch.end is not None and stretch.end > length + 0.01:
            raise KwsError(
                f"--to {stretch.end:g} is beyond the end of {stretch.path}, at {length:.2f} s; "
                "give an earlier time"
            )
        return np.concatenate(self._parts)

    def limited(self, time: float, seconds: float) -> float:
        """Returns when to show a detection: of the silence after a recording, at its end."""
        return min(time, seconds) if self._is_end else time


def _pictures(samples: np.ndarray, config: LogMel) -> list[dict]:
    """Returns the log-mel spectrogram, each picture with its place, seconds."""
    from kws_tf.frontend.features import log_mel

    window, hop = config.window_samples, config.hop_samples
    samples = np.pad(samples, (0, max(0, window - len(samples))))
    parts = []
    for first in range(0, config.frames(len(samples)), _COLUMNS):
        until = (first + _COLUMNS - 1) * hop + window
        parts.append(log_mel(samples[first * hop : until], config).numpy())
    darkest, brightest = np.percentile(np.concatenate(parts), [_DARKEST, _BRIGHTEST])
    pictures_of = []
    for number, part in enumerate(parts):
        start = (number * _COLUMNS * hop + (window - hop) / 2) / config.sample_rate
        end = start + len(part) * hop / config.sample_rate
        image = pictures.data_uri(part, darkest, max(brightest, darkest + 1))
        pictures_of.append({"start": start, "end": end, "image": image})
    return pictures_of
