"""Bit-exact NumPy reference of the integer LSTM classifier, for TFLite and TFLite Micro.

``fixed_point`` holds the integer primitives, ``activations`` the 16-bit sigmoid and tanh of both
runtimes and the 8-bit softmax, ``integer_model`` the whole network read from a .tflite file. It
serves to verify a run and to port the op to another chip: every docstring says which rounding,
which saturation and which Q format (Qm.n: m integer and n fraction bits beside the sign).
"""

from kws_tf.reference.integer_model import IntegerModel, IntegerOutputs

__all__ = ["IntegerModel", "IntegerOutputs"]
