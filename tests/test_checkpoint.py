"""Interruptions: a run that was interrupted ends as one that was not."""

import resource
import shutil

import numpy as np
import pytest
import tf_keras as keras
from tiny_run import AUGMENTATION, DATA, TRAIN

from kws_tf.data import sources
from kws_tf.errors import KwsError
from kws_tf.models import spotter
from kws_tf.models.building import load_weights, save_weights
from kws_tf.run_folder import RunFolder
from kws_tf.training import callbacks, loop, step
from kws_tf.training.callbacks import EpochRecord


def train(folder, audio):
    return loop.train(folder, audio, TRAIN, DATA, AUGMENTATION, verbose=0)


@pytest.fixture
def copy(finished, tmp_path):
    """A copy of the finished run."""
    return RunFolder(shutil.copytree(finished.run.path, tmp_path / "copy"))


@pytest.fixture
def model():
    """A compiled model whose weights are all 0."""
    model = spotter.build_float(6, 5, 4, 3)
    step.compile_model(model, keras.optimizers.Adam())
    fill(model, 0.0)
    return model


def fill(model, value):
    model.set_weights([np.full_like(weights, value) for weights in model.get_weights()])


def rows(run):
    """The history without what the clock says."""
    return [{k: v for k, v in row.items() if k != "seconds"} for row in run.history()]


def contents(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def assert_same(weights, others):
    for one, other in zip(weights, others, strict=True):
        np.testing.assert_array_equal(one, other)


# --- A whole run.


def stopped_in_epoch(patch, phase, epoch):
    """Ctrl-C after the first batch of an epoch."""

    def stop(record, batch, logs=None):
        done = [row["phase"] for row in record._history].count(phase)
        if (record._phase, done) == (phase, epoch):
            raise KeyboardInterrupt

    patch.setattr(EpochRecord, "on_train_batch_end", stop)


def stopped_before_history(patch, phase, epoch):
    """Ctrl-C when an epoch's weights and checkpoint are written, its row is not."""
    write = callbacks.write_json

    def stop(path, history):
        if (history[-1]["phase"], history[-1]["epoch"]) == (phase, epoch):
            raise KeyboardInterrupt
        write(path, history)

    patch.setattr(callbacks, "write_json", stop)


def test_interrupted_run_ends_as_an_uninterrupted_one(
    finished, weights_at_epoch_ends, tones, tmp_path
):
    weights_at_epoch_ends.clear()
    run = RunFolder(tmp_path / "run")
    for interruption, phase, epoch, done in (
        (stopped_in_epoch, "float", 1, 1),
        (stopped_before_history, "quantized", 1, 3),
    ):
        with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
            interruption(patch, phase, epoch)
            train(run.path, tones)
        assert rows(run) == rows(finished.run)[:done]
    train(run.path, tones)
    assert rows(run) == rows(finished.run)
    assert weights_at_epoch_ends.keys() == finished.weights.keys()
    for epoch, weights in finished.weights.items():
        assert_same(weights_at_epoch_ends[epoch], weights)
    for phase in ("float", "quantized"):
        accuracies = [row["val_accuracy"] for row in rows(run) if row["phase"] == phase]
        for one in (run, finished.run):  # the weights that are kept are the best epoch's
            kept = one.load_model(phase).get_weights()
            assert_same(kept, finished.weights[phase, int(np.argmax(accuracies))])
    assert not (run.path / "checkpoint").exists()


def test_finished_run_is_left_as_it_is_and_needs_no_data(copy, tones, monkeypatch):
    before = contents(copy.path)
    monkeypatch.setattr(sources, "load", None)
    train(copy.path, tones)
    assert contents(copy.path) == before


# --- An epoch.


def end_epoch(record, epoch, accuracy):
    record.on_epoch_begin(epoch)
    record.on_epoch_end(epoch, {"val_accuracy": accuracy})


def test_only_a_better_epoch_replaces_the_weights(model, tmp_path):
    run = RunFolder(tmp_path)
    record = EpochRecord(run, "float", [], 0)
    record.set_model(model)
    stored = spotter.build_float(6, 5, 4, 3)
    for epoch, (accuracy, best) in enumerate([(0.5, 0), (0.4, 0), (0.7, 2), (0.7, 2), (0.6, 2)]):
        fill(model, epoch)
        end_epoch(record, epoch, accuracy)
        load_weights(stored, run.weights_file("float"))
        assert {float(v) for weights in stored.get_weights() for v in weights.flat} == {best}
    assert {path.stem for path in (tmp_path / "checkpoint").iterdir()} == {"float-4"}


def test_checkpoint_that_is_gone_or_of_another_model_is_refused(model, tmp_path):
    record = EpochRecord(RunFolder(tmp_path), "float", [], 0)
    record.set_model(model)
    end_epoch(record, 0, 0.5)
    fill(model, 1.0)
    record.restore(model, 0)
    assert_same(model.get_weights(), [np.zeros_like(weights) for weights in model.get_weights()])
    other = spotter.build_float(6, 5, 7, 3)
    step.compile_model(other, keras.optimizers.Adam())
    for chosen, epoch in ((model, 1), (other, 0)):
        with pytest.raises(KwsError, match=r"checkpoint.*does not fit.*new --run-dir"):
            record.restore(chosen, epoch)


# --- A full disk.


class FileSizeLimit:
    """Lets no file grow beyond a size, as a disk that is full does."""

    def __init__(self, size):
        self.size = size

    def __enter__(self):
        self.before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, self.before[1]))

    def __exit__(self, *error):
        resource.setrlimit(resource.RLIMIT_FSIZE, self.before)


def test_epoch_that_a_full_disk_refuses_is_not_in_the_history(model, tmp_path):
    run, history = RunFolder(tmp_path), []
    record = EpochRecord(run, "float", history, 0)
    record.set_model(model)
    end_epoch(record, 0, 0.5)
    with FileSizeLimit(100), pytest.raises(KwsError, match=r"disk full.*repeat the command"):
        end_epoch(record, 1, 0.4)
    assert run.history() == history
    assert [row["epoch"] for row in history] == [0]
    record.restore(model, 0)


def test_full_disk_keeps_the_earlier_weights(model, tmp_path):
    file = tmp_path / "float.weights.h5"
    save_weights(model, file)
    before = contents(tmp_path)
    fill(model, 1.0)
    for size in (0, 1000, 20_000):
        with FileSizeLimit(size), pytest.raises(OSError):
            save_weights(model, file)
    assert contents(tmp_path) == before
