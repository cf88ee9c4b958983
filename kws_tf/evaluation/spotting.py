"""A model over a long recording, as on the device: sliding window, smoothing, trigger."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from kws_tf.audio import reader
from kws_tf.listening.ears import Ears
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
    grows by the decisions alone.

    Args:
        model_path: A .tflite, its manifest beside it.
        recording: An audio file of any length.
        mix_down: Mix stereo down instead of refusing it.
        **changes: Fields of ``Trigger`` in place of the manifest's, as ``Trigger.changed``.
    """
    model = models.load(model_path)
    labels, front_end = model.manifest.labels, model.manifest.front_end
    trigger = model.manifest.trigger.changed(**changes)
    rate, samples = front_end.log_mel.sample_rate, 0

    def counted() -> Iterator[np.ndarray]:
        nonlocal samples
        for block in reader.blocks(recording, rate, mix_down):
            samples += len(block)
            yield block

    ears = Ears(model, "tflite", trigger.decision_ms)
    outputs = np.concatenate(list(ears.hear(counted())))
    length = samples / rate
    rows = tuple(
        (labels[label], min(ears.first + decision * ears.step, length), score)
        for decision, label, score in trigger.detections(outputs, labels, front_end.log_mel)
    )
    return Spotted(rows, length, front_end.example_ms, trigger)
