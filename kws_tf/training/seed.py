"""The seed of all chance in a training run."""

import random

import tf_keras as keras
from tf_keras.src import backend


class _Random(random.Random):
    """Takes the limits of tf_keras 2.16, ``randint(1, 1e9)``, which Python refuses from 3.12 on."""

    def randint(self, a, b):
        return super().randint(int(a), int(b))


def set_seed(seed: int) -> None:
    """Seeds Python, NumPy and TensorFlow, as ``keras.utils.set_random_seed`` does."""
    keras.utils.set_random_seed(seed)
    backend._SEED_GENERATOR.generator = _Random(seed)
