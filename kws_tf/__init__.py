"""kws_tf: LSTM keyword spotting from TensorFlow to int8 on a microcontroller.

The sub-packages follow the data: ``audio`` -> ``frontend`` -> ``data`` -> ``model`` ->
``training`` -> ``conversion`` -> ``evaluation``. Importing this package does not import
TensorFlow, so that command lines answer ``--help`` at once.
"""

import logging
import os

# tfmot, and the only LSTM that converts to the fused TFLite op, need Keras 2 (tf_keras).
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
# TensorFlow's start-up notes about absent GPUs and oneDNN are noise for a user on a CPU.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

logging.getLogger("tensorflow").setLevel(logging.ERROR)

__version__ = "0.1.0"
