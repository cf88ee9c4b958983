"""Accuracy, confusion matrix, precision and recall. Pure NumPy."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Metrics:
    """Decisions counted: ``confusion``, int64 [classes, classes], rows are the truth."""

    labels: Sequence[str]
    confusion: np.ndarray

    @property
    def total(self) -> int:
        """Number of examples, N."""
        return int(self.confusion.sum())

    @property
    def correct(self) -> int:
        """Number of right decisions, n."""
        return int(np.trace(self.confusion))

    @property
    def accuracy(self) -> float:
        """Share of right decisions."""
        return self.correct / self.total

    @property
    def precision(self) -> np.ndarray:
        """Share of right ones among the decisions for a class; NaN where there are none."""
        return _ratio(np.diag(self.confusion), self.confusion.sum(axis=0))

    @property
    def recall(self) -> np.ndarray:
        """Share of a class's examples that are found; NaN where there are none."""
        return _ratio(np.diag(self.confusion), self.confusion.sum(axis=1))

    def rows(self) -> list[tuple[str, int, int, float, float]]:
        """Returns name, examples, right decisions, precision and recall of each class."""
        counts = self.confusion.sum(axis=1), np.diag(self.confusion)
        columns = [values.tolist() for values in (*counts, self.precision, self.recall)]
        return list(zip(self.labels, *columns, strict=True))

    def to_json(self) -> dict:
        """Returns a JSON-ready dictionary; an undefined share is ``None``."""
        return {
            "n": self.total,
            "correct": self.correct,
            "accuracy": self.accuracy,
            "per_class": {
                label: {
                    "n": n,
                    "correct": correct,
                    "precision": None if np.isnan(precision) else precision,
                    "recall": None if np.isnan(recall) else recall,
                }
                for label, n, correct, precision, recall in self.rows()
            },
            "labels": list(self.labels),
            "confusion": self.confusion.tolist(),
        }


def decisions(scores: np.ndarray) -> np.ndarray:
    """Returns the class of the largest score, the first of equal ones, int64 [examples]."""
    return np.argmax(scores, axis=1)


def measure(decided: np.ndarray, truth: np.ndarray, labels: Sequence[str]) -> Metrics:
    """Counts decisions; ``decided`` and ``truth`` are int [examples], indices into ``labels``."""
    confusion = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(confusion, (truth, decided), 1)
    return Metrics(tuple(labels), confusion)


def table(metrics: Metrics) -> str:
    """Returns accuracy, a row per class, and the confusion matrix as text."""
    width = max(len("class"), *map(len, metrics.labels))
    lines = [
        f"accuracy: {metrics.correct:,} of {metrics.total:,} ({100 * metrics.accuracy:.2f} %)",
        "",
        f"{'class':<{width}} {'examples':>8} {'precision':>10} {'recall':>8}",
    ]
    for label, n, _, precision, recall in metrics.rows():
        lines.append(f"{label:<{width}} {n:>8} {_percent(precision):>10} {_percent(recall):>8}")
    columns = [max(5, len(label) + 1) for label in metrics.labels]
    lines += ["", "confusion matrix (rows: truth, columns: decision)"]
    header = "".join(f"{n:>{w}}" for n, w in zip(metrics.labels, columns, strict=True))
    lines.append(f"{'':<{width}}{header}")
    for label, row in zip(metrics.labels, metrics.confusion, strict=True):
        cells = "".join(f"{n or '.':>{w}}" for n, w in zip(row.tolist(), columns, strict=True))
        lines.append(f"{label:<{width}}{cells}")
    return "\n".join(lines)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)


def _percent(share: float) -> str:
    return "-" if np.isnan(share) else f"{100 * share:.1f} %"
