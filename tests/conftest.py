"""What all tests share."""

import os

from hypothesis import settings

import kws_tf  # noqa: F401  First: it chooses Keras 2 and quiets TensorFlow before its import.

# A green run stays green: in CI property tests take the same examples each time. No deadlines: the
# first example of a test pays for tracing and compiling.
settings.register_profile("kws", derandomize=bool(os.environ.get("CI")), deadline=None)
settings.load_profile("kws")
