"""Bit-exact NumPy reference of the integer LSTM classifier, for TFLite and TFLite Micro.

It serves to verify a model and to port the op to another chip: each docstring states the rounding,
the saturation and the Q format (Qm.n: m integer and n fraction bits beside the sign). The integer
primitives and the 16-bit sigmoid and tanh are ``kws_tf.quantization``'s ``fixed_point`` and
``activation_tables``.
"""

from kws_tf.reference.integer_model import IntegerModel, IntegerOutputs

__all__ = ["IntegerModel", "IntegerOutputs"]
