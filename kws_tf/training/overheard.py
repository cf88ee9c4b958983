"""Keywords that somebody says by chance in recordings that are to hold none: teachers find them.

Who reads a book says "on" and "no" now and then. Nothing is learned from such places: neither that
it is a keyword, as the teachers may err, nor that it is none.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import tensorflow as tf
from numpy.lib.stride_tricks import sliding_window_view

from kws_tf.data.records import from_uint8
from kws_tf.data.sources import Examples
from kws_tf.data.spectrograms import Spectrograms
from kws_tf.frontend.features import features_from_log_mel
from kws_tf.labels import FIRST_KEYWORD_INDEX
from kws_tf.progress import progress
from kws_tf.run_folder import RunFolder
from kws_tf.training import distillation

SURE = 0.9
"""Teachers' mean posterior from which a keyword is believed."""
_HOPS = 10
_BATCH = 512


def examples_without_keywords(examples: Examples, teachers: Sequence[RunFolder]) -> Examples:
    """Returns examples whose negatives are marked as below, if there are any, and teachers."""
    if not teachers or "negatives" not in examples.others:
        return examples
    marked = without_keywords(examples.others["negatives"], teachers)
    return replace(examples, others=examples.others | {"negatives": marked})


def without_keywords(recordings: Spectrograms, teachers: Sequence[RunFolder]) -> Spectrograms:
    """Returns recordings with the windows marked in which teachers are sure of a keyword.

    They take some 40 seconds of two cores an hour of audio, so that what they find is kept.

    Args:
        recordings: At the records' hop.
        teachers: Runs with float weights, all of the same front end.
    """
    digest = hashlib.sha256(recordings.digest.encode())
    for teacher in teachers:
        digest.update(teacher.weights_file("float").read_bytes())
    file = distillation.FOLDER / f"spoken-{digest.hexdigest()[:16]}.npy"
    if not file.exists():
        distillation.save(file, _spoken(recordings, teachers))
    return replace(recordings, spoken=distillation.load(file).astype(np.int64))


def _spoken(recordings: Spectrograms, teachers: Sequence[RunFolder]) -> np.ndarray:
    """Returns the first frame and the end of each window, int64 [n, 2]."""
    front_end = teachers[0].front_end()
    step = front_end.log_mel.frame_step_in(recordings.log_mel)
    last = len(recordings.frames) // step - front_end.frames
    starts = np.arange(0, last + 1, _HOPS)
    models = [teacher.load_model("float") for teacher in teachers]

    @tf.function(reduce_retracing=True)
    def posterior(windows):
        found = [tf.nn.softmax(model(windows, training=False)) for model in models]
        return tf.reduce_max(tf.add_n(found)[:, FIRST_KEYWORD_INDEX:], 1) / len(found)

    batches = [starts[i : i + _BATCH] for i in range(0, len(starts), _BATCH)]
    sure = []
    for batch in progress(batches, len(batches), "keywords in the negatives"):
        end = batch[-1] + front_end.frames
        rows = recordings.frames[batch[0] * step : end * step : step]
        rows = features_from_log_mel(from_uint8(rows, recordings.log_mel), front_end).numpy()
        windows = sliding_window_view(rows, front_end.frames, axis=0)[::_HOPS].transpose(0, 2, 1)
        sure.append(posterior(tf.constant(windows)).numpy() > SURE)
    first = step * starts[np.concatenate(sure)] if sure else np.empty(0, np.int64)
    return np.stack([first, first + step * front_end.frames], 1)
