"""The model file and its manifest, and the two runtimes that run it."""
