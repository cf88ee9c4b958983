"""A model over a long recording, as on the device: sliding window, smoothing, trigger."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from kws_tf.audio import reader
from kws_tf.frontend.features import features
from kws_tf.tflite import interpreter
from kws_tf.tflite import model as models
from kws_tf.tflite.manifest import Manifest
from kws_tf.tflite.trigger import Trigger


@dataclass(frozen=True)
class Spotted:
    """What was heard in a recording.

    Attributes:
        rows: Word, time of the decision from the recording's beginning in seconds, and score of
            each detection. The word lies within the window that ends at that time.
        seconds: Length of the recording.
        window_ms: Length of the window.
        trigger: What made detections of posteriors.
    """

    rows: tuple[tuple[str, float, float], ...]
    seconds: float
    window_ms: float
    trigger: Trigger

    def to_json(self) -> dict:
        """Returns a JSON-ready dictionary."""
        names = ("word", "seconds", "score")
        return asdict(self) | {"rows": [dict(zip(names, row, strict=True)) for row in self.rows]}

    def text(self) -> str:
        """Returns the table to print."""
        width = max([len("word"), *(len(word) for word, _, _ in self.rows)])
        lines = [f"{'word':<{width}} {'from':>8} {'to':>8} {'score':>7}"]
        for word, end, score in self.rows:
            start = max(0.0, end - self.window_ms / 1000)
            lines.append(f"{word:<{width}} {start:>6.2f} s {end:>6.2f} s {100 * score:>5.1f} %")
        lines.append(f"{len(self.rows)} detections in {self.seconds:.2f} s")
        return "\n".join(lines)


def spot(model_path: Path, recording: Path, mix_down: bool = False, **changes) -> Spotted:
    """Runs a model over a recording.

    A window of silence is put before and after, so that a word at either end is heard.

    Args:
        model_path: A .tflite, its manifest beside it.
        recording: WAV or FLAC file of any length.
        mix_down: Mix stereo down instead of refusing it.
        **changes: Fields of ``Trigger`` in place of the manifest's.

    Raises:
        KwsError: If model, manifest or recording cannot be used, or a change is out of range.
    """
    model = models.load(model_path)
    manifest = model.manifest
    trigger = replace(manifest.trigger, **changes)
    log_mel = manifest.front_end.log_mel
    samples = reader.load(recording, log_mel.sample_rate, mix_down)
    lead = manifest.front_end.samples
    windows = _windows(np.pad(samples, lead), manifest, trigger)
    outputs = interpreter.run(model.content, windows, where=str(model_path)).outputs[0]
    posteriors = model.posteriors(outputs)
    length = len(samples) / log_mel.sample_rate
    rows = []
    for decision, label, score in trigger.detections(posteriors, manifest.labels, log_mel):
        hops = decision * trigger.decision_hops(log_mel) + manifest.front_end.frames - 1
        end = (hops * log_mel.hop_samples + log_mel.window_samples - lead) / log_mel.sample_rate
        rows.append((manifest.labels[label], min(end, length), score))
    return Spotted(tuple(rows), length, manifest.front_end.example_ms, trigger)


def _windows(samples: np.ndarray, manifest: Manifest, trigger: Trigger) -> np.ndarray:
    """Returns the model's input at every decision, int8 [decisions, frames, features]."""
    rows = manifest.quantize(features(samples, manifest.front_end).numpy())
    windows = np.lib.stride_tricks.sliding_window_view(rows, manifest.front_end.frames, axis=0)
    return windows[:: trigger.decision_hops(manifest.front_end.log_mel)].transpose(0, 2, 1)
