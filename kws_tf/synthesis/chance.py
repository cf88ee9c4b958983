"""Chance that depends on nothing but a key, so that the same settings give the same bytes."""

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


def generator(*key) -> np.random.Generator:
    """Returns a random generator for a key.

    Args:
        *key: What ``repr`` tells apart: numbers and strings.

    Example:
        >>> bool(generator(0, "yes").integers(100) == generator(0, "yes").integers(100))
        True
    """
    return np.random.default_rng(list(hashlib.sha256(repr(key).encode()).digest()))


def about(rng: np.random.Generator, middle: float, reach: float) -> float:
    """Draws a number from ``middle - reach`` to ``middle + reach``, all alike."""
    return float(rng.uniform(middle - reach, middle + reach))


def in_turn(items: Sequence[T], index: int) -> T:
    """Returns an item by its number, and begins again after the last one."""
    return items[index % len(items)]
