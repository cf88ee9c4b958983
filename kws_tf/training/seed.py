"""The seed of all chance in a training run."""

import random

import tf_keras as keras
from tf_keras.src import backend


class _Random(random.Random):
    """Draws what ``random.Random`` draws; limits may be floats of whole value.

    tf_keras 2.16 asks for ``randint(1, 1e9)``, which Python refuses from 3.12 on.
    """

    def randint(self, a, b):
        """Returns a random integer from ``a`` to ``b``."""
        return super().randint(int(a), int(b))


def set_seed(seed: int) -> None:
    """Seeds Python, NumPy and TensorFlow, as ``keras.utils.set_random_seed`` does.

    Args:
        seed: Any whole number of 0 or more.
    """
    keras.utils.set_random_seed(seed)
    backend._SEED_GENERATOR.generator = _Random(seed)
