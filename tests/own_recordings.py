"""What people might record, and scripts run on it."""

from pathlib import Path

import numpy as np
from running import run_main

SCRIPTS = Path(__file__).parents[1] / "scripts"
PITCH = 500


def spoken(seconds=1.5, at=(0.6,), rate=16000, level=0.25, noise=0.001, length=0.3, seed=0):
    """Returns float samples [n]: a word at each time, a tone under a bell that ends after length.

    Args:
        seconds: Of all.
        at: The middle of each word, seconds.
        rate: Hz.
        level: Largest sample of a word.
        noise: RMS of the background.
        length: Of a word, seconds.
        seed: Of the background.
    """
    time = np.arange(round(seconds * rate)) / rate
    samples = noise * np.random.default_rng(seed).standard_normal(len(time))
    for middle in at:
        bell = np.cos(np.clip((time - middle) / length, -0.5, 0.5) * np.pi) ** 0.5
        samples += level * bell * np.sin(2 * np.pi * PITCH * time)
    return samples


def run_script(name, *arguments):
    """Runs a script in this process and returns its exit code."""
    return run_main(SCRIPTS / f"{name}.py", *arguments)
