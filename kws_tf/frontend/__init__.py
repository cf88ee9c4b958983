"""From samples to features: one description, one TensorFlow implementation."""
