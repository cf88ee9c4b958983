"""What all tests share."""

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
