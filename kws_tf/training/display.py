"""What is shown of a run while it trains: TensorBoard's curves, a line per epoch."""

import tf_keras as keras

from kws_tf.training.checkpoint import clip_values


class TensorBoard(keras.callbacks.TensorBoard):
    """TensorBoard with the clips, which would only clutter the console's line."""

    def on_epoch_end(self, epoch, logs=None):
        """Writes the curves."""
        super().on_epoch_end(epoch, (logs or {}) | clip_values(self.model))


class EpochLine(keras.callbacks.Callback):
    """Prints a line per epoch, for log files.

    Args:
        phase: ``float`` or ``quantized``.
    """

    def __init__(self, phase: str):
        super().__init__()
        self._phase = phase

    def on_epoch_end(self, epoch, logs):
        """Prints loss and accuracies."""
        print(
            f"{self._phase} epoch {epoch + 1} of {self.params['epochs']}: loss {logs['loss']:.4f}, "
            f"accuracy {100 * logs['accuracy']:.2f} %, "
            f"validation {100 * logs['val_accuracy']:.2f} %",
            flush=True,
        )
