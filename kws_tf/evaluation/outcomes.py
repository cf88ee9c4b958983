"""What a simulation or a runtime makes of the examples, and how two of them compare."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Outcome:
    """What one simulation or runtime, named so, computed; a float model has no integers."""

    name: str
    decisions: np.ndarray  # int64 [examples]
    hidden: np.ndarray | None = None  # last hidden state, integers [examples, units]
    logits: np.ndarray | None = None  # integers [examples, classes]


def compare(a: Outcome, b: Outcome) -> dict:
    """Compares two integer outcomes: shares of equal values, mean and largest difference."""
    row: dict = {"first": a.name, "second": b.name}
    for what in ("hidden", "logits"):
        x, y = (getattr(outcome, what).astype(np.int32) for outcome in (a, b))
        difference = np.abs(x - y)
        row[what] = {
            "equal": float(np.mean(difference == 0)),
            "mean": float(difference.mean()),
            "max": int(difference.max()),
        }
    row["decisions"] = float(np.mean(a.decisions == b.decisions))
    return row
