"""Words spoken by a synthesiser, in the layout of Speech Commands. Imports no TensorFlow."""
