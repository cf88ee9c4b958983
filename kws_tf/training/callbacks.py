"""Keras callbacks: what a run leaves at the end of each epoch, and shows while it trains."""

import time
from pathlib import Path

import tensorflow as tf
import tf_keras as keras

from kws_tf.errors import KwsError
from kws_tf.files import write_json
from kws_tf.models import spotter
from kws_tf.models.building import save_weights
from kws_tf.run_folder import FOUND, RunFolder, quality
from kws_tf.training.validation import ValidationStreams


class EpochRecord(keras.callbacks.Callback):
    """Keeps best weights, a checkpoint and the history at the end of each epoch.

    ``history.json`` is written last, so that it never has an epoch whose weights are missing; an
    epoch that was interrupted is trained again, on the same batches.
    """

    def __init__(self, run: RunFolder, phase: str, history: list[dict], examples: int):
        super().__init__()
        self._run, self._phase, self._history = run, phase, history
        self._examples = examples

    def set_model(self, model):
        """Takes the model that is trained."""
        super().set_model(model)
        self._checkpoint = tf.train.Checkpoint(model=model, optimizer=model.optimizer)

    def _path(self, epoch: int) -> Path:
        return self._run.path / "checkpoint" / f"{self._phase}-{epoch}"

    def restore(self, model: keras.Model, epoch: int) -> None:
        """Restores model and optimizer as they were after an epoch; a KwsError if it cannot."""
        self.set_model(model)
        try:
            self._checkpoint.read(str(self._path(epoch))).assert_existing_objects_matched()
        except (tf.errors.OpError, AssertionError, ValueError) as error:
            raise KwsError(
                f"the checkpoint in {self._run.path} does not fit the run ({type(error).__name__});"
                " train into a new --run-dir"
            ) from error

    def on_epoch_begin(self, epoch, logs=None):
        """Starts the clock."""
        self._start = time.monotonic()

    def on_epoch_end(self, epoch, logs):
        """Writes all that a run resumes from; a KwsError if it cannot be written."""
        seconds = round(time.monotonic() - self._start, 2)
        row = {"phase": self._phase, "epoch": epoch, "seconds": seconds, "examples": self._examples}
        row |= {key: float(value) for key, value in (logs | clip_values(self.model)).items()}
        try:
            self._keep(row)
        except (OSError, tf.errors.OpError) as error:
            raise KwsError(
                f"cannot write epoch {epoch + 1} to {self._run.path} ({str(error)[:200]}); is the "
                "disk full? the epochs before are kept: make room and repeat the command"
            ) from error

    def _keep(self, row: dict) -> None:
        earlier = [quality(r) for r in self._history if r["phase"] == self._phase]
        if not earlier or quality(row) > max(earlier):
            save_weights(self.model, self._run.weights_file(self._phase))
        self._checkpoint.write(str(self._path(row["epoch"])))
        write_json(self._run.history_file, [*self._history, row])
        self._history.append(row)
        for old in self._path(0).parent.glob(f"{self._phase}-{row['epoch'] - 1}.*"):
            old.unlink()


class Listening(keras.callbacks.Callback):
    """Adds to an epoch's figures how many words the model finds in validation streams."""

    def __init__(self, streams: ValidationStreams):
        super().__init__()
        self._streams = streams

    def on_epoch_end(self, epoch, logs):
        """Listens."""
        logs[FOUND] = self._streams.found(self.model)


def clip_values(model: keras.Model) -> dict[str, float]:
    """Returns a model's clips, by their names in history and TensorBoard."""
    return {f"clip/{name}": float(clip) for name, clip in spotter.clips(model).items()}


class TensorBoard(keras.callbacks.TensorBoard):
    """TensorBoard with the clips, which would only clutter the console's line."""

    def on_epoch_end(self, epoch, logs=None):
        """Writes the curves."""
        super().on_epoch_end(epoch, (logs or {}) | clip_values(self.model))


def epoch_line(phase: str, epochs: int) -> keras.callbacks.Callback:
    """Returns a callback that prints a line per epoch, for log files."""

    def line(epoch, logs):
        found = f", words found {100 * logs[FOUND]:.2f} %" if FOUND in logs else ""
        print(
            f"{phase} epoch {epoch + 1} of {epochs}: loss {logs['loss']:.4f}, "
            f"accuracy {100 * logs['accuracy']:.2f} %, "
            f"validation {100 * logs['val_accuracy']:.2f} %{found}",
            flush=True,
        )

    return keras.callbacks.LambdaCallback(on_epoch_end=line)
