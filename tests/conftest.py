"""What all tests share."""

import dataclasses
import os

import pytest
from hypothesis import settings

import kws_tf  # noqa: F401  First: it chooses Keras 2 and quiets TensorFlow before its import.

# A green run stays green: in CI property tests take the same examples each time. No deadlines: the
# first example of a test pays for tracing and compiling.
settings.register_profile("kws", derandomize=bool(os.environ.get("CI")), deadline=None)
settings.load_profile("kws")


@pytest.fixture
def without_autograph(monkeypatch):
    """Lets ``fit`` trace in a second: Keras needs no AutoGraph, which goes through its code."""
    import tensorflow as tf
    import tf_keras as keras

    for step in ("train_step", "test_step", "predict_step"):
        plain = tf.autograph.experimental.do_not_convert(getattr(keras.Model, step))
        monkeypatch.setattr(keras.Model, step, plain)


@dataclasses.dataclass(frozen=True)
class Finished:
    """An uninterrupted run, not to be changed, and its weights by (phase, epoch)."""

    run: object
    weights: dict


@pytest.fixture(scope="session")
def tones(tmp_path_factory):
    """The data set of ``tiny_run``; not to be changed."""
    from tiny_run import make_audio

    return make_audio(tmp_path_factory.mktemp("data") / "tones")


@pytest.fixture(scope="session")
def weights_at_epoch_ends():
    """Every epoch's weights by (phase, epoch), of all runs, the last one's over the others'."""
    from kws_tf.training.callbacks import EpochRecord

    weights, end = {}, EpochRecord.on_epoch_end

    def spy(record, epoch, logs):
        weights[record._phase, epoch] = record.model.get_weights()
        end(record, epoch, logs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EpochRecord, "on_epoch_end", spy)
        yield weights


@pytest.fixture(scope="session")
def finished(tones, weights_at_epoch_ends, tmp_path_factory):
    """The run of ``tiny_run``, trained."""
    from tiny_run import AUGMENTATION, DATA, TRAIN

    from kws_tf.training import loop

    folder = tmp_path_factory.mktemp("runs") / "run"
    run = loop.train(folder, tones, TRAIN, DATA, AUGMENTATION, verbose=0)
    return Finished(run, dict(weights_at_epoch_ends))


@pytest.fixture(scope="session")
def untrained(tmp_path_factory):
    """A run of random weights; not to be changed."""
    from tiny_run import untrained_run

    return untrained_run(tmp_path_factory.mktemp("runs") / "untrained")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Headless Chromium, with one page."""
    import chromium

    if not chromium.PROGRAM:
        pytest.skip("there is no Chromium or Chrome on the PATH")
    browser = chromium.Chromium(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()
