"""Quantizers, the quantized LSTM and the keyword spotter built of them."""
