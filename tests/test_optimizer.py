"""The optimizer of each phase and the learning rates."""

import dataclasses

import pytest
import tf_keras as keras
from tiny_run import TRAIN

from kws_tf.training.optimizer import Muon, learning_rates, optimizer


@pytest.mark.parametrize("epochs", [1, 2, 3, 40])
def test_the_rate_rises_for_an_epoch_and_falls_to_the_end(epochs):
    rates = [float(learning_rates(0.5, epochs, 10)(step)) for step in range(10 * epochs)]
    assert rates[0] == 0 and max(rates) <= 0.5
    assert rates[:10] == sorted(rates[:10]) and rates[10:] == sorted(rates[10:], reverse=True)
    if epochs > 1:
        assert rates[10] == 0.5
        # A step before the end, at which it would be 1 %.
        assert 0.005 <= rates[-1] < 0.5 * (0.01 + 1 / (epochs - 1) / 10)


def test_muon_is_for_pretraining():
    settings = dataclasses.replace(TRAIN, optimizer="muon", product_dtype="bfloat16")
    muon = optimizer(settings, "float", 0.1)
    assert isinstance(muon, Muon)
    assert (muon.matrix_decay, muon.product_dtype) == (0.05, "bfloat16")
    assert muon.global_clipnorm == 1.0
    assert type(optimizer(settings, "quantized", 0.1)) is keras.optimizers.Adam
    assert type(optimizer(TRAIN, "float", 0.1)) is keras.optimizers.Adam
