"""Accuracy in the TFLite interpreter and under TFLite Micro."""
