"""Keras models built of the quantized layers, and the teacher."""
