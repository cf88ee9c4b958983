"""What all tests share."""

import kws_tf  # noqa: F401  First: it chooses Keras 2 and quiets TensorFlow before its import.
