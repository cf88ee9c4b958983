"""A model over a long recording, as on the device: sliding window, smoothing, trigger."""

from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from kws_tf.audio import reader
from kws_tf.frontend.config import FrontEnd
from kws_tf.frontend.features import features
from kws_tf.tflite import interpreter
from kws_tf.tflite import model as models
from kws_tf.tflite.trigger import Trigger


@dataclass(frozen=True)
class Spotted:
    """What was detected in a recording.

    A row is a word, the time of its decision in seconds from the beginning, and its score. The word
    lies within the window that ends at that time.
    """

    rows: tuple[tuple[str, float, float], ...]
    seconds: float  # length of the recording
    window_ms: float  # length of the window
    trigger: Trigger  # what made detections of posteriors

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

    A window of silence is put before and after, so that a word at either end is found. Memory
    grows by the features alone, a megabyte in six minutes.

    Args:
        model_path: A .tflite, its manifest beside it.
        recording: An audio file of any length.
        mix_down: Mix stereo down instead of refusing it.
        **changes: Fields of ``Trigger`` in place of the manifest's, as ``Trigger.changed``.
    """
    model = models.load(model_path)
    manifest, front_end = model.manifest, model.manifest.front_end
    log_mel, lead = front_end.log_mel, front_end.samples
    trigger = manifest.trigger.changed(**changes)
    stream, rows, samples = FeatureStream(front_end), [], 0
    silence = np.zeros(lead, np.float32)
    blocks = reader.blocks(recording, log_mel.sample_rate, mix_down)
    for block in chain([silence], blocks, [silence]):
        samples += len(block)
        rows.append(manifest.quantize(stream(block)))
    windows = sliding_window_view(np.concatenate(rows), front_end.frames, axis=0)
    windows = windows[:: trigger.decision_hops(log_mel)].transpose(0, 2, 1)
    outputs = interpreter.run(model.content, windows, where=str(model_path)).outputs[0]
    length = (samples - 2 * lead) / log_mel.sample_rate
    found = []
    outputs = model.trigger_outputs(outputs)
    for decision, label, score in trigger.detections(outputs, manifest.labels, log_mel):
        hops = decision * trigger.decision_hops(log_mel) + front_end.frames - 1
        end = (hops * log_mel.hop_samples + log_mel.window_samples - lead) / log_mel.sample_rate
        found.append((manifest.labels[label], min(end, length), score))
    return Spotted(tuple(found), length, front_end.example_ms, trigger)


class FeatureStream:
    """Features of a signal that comes block by block, the same as of the whole."""

    def __init__(self, front_end: FrontEnd):
        self._front_end = front_end
        self._held = np.empty(0, np.float32)

    def __call__(self, block: np.ndarray) -> np.ndarray:
        """Returns the features, float32 [frames, features], of the frames that end in a block."""
        log_mel = self._front_end.log_mel
        self._held = np.concatenate([self._held, block])
        frames = log_mel.frames(len(self._held))
        if not frames:
            return np.empty((0, self._front_end.features), np.float32)
        values = features(self._held, self._front_end).numpy()
        self._held = self._held[frames * log_mel.hop_samples :]
        return values
