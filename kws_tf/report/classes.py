"""Accuracy for each class, with some of its examples as spectrograms."""

import numpy as np

from kws_tf.report import pictures
from kws_tf.report.decisions import Decisions

# Features are normalised: mean 0, deviation 1.
_DARKEST, _BRIGHTEST = -2.5, 2.5
_MISTAKES = 2


def classes(decisions: Decisions) -> list[dict]:
    """Describes each class.

    Returns:
        ``name``, ``n``, ``correct``, ``recall`` and ``precision`` (``None`` if undefined),
        ``mistaken_for`` (pairs of class and count, most frequent first) and ``examples``: the
        most and the least certain right decision and the most certain wrong ones.
    """
    labels, counted = decisions.metrics.labels, decisions.metrics.to_json()["per_class"]
    result = []
    for index, label in enumerate(labels):
        row = decisions.metrics.confusion[index]
        wrong = [(labels[i], int(row[i])) for i in np.argsort(-row, kind="stable")]
        result.append(
            {
                "name": label,
                **counted[label],
                "mistaken_for": [(name, n) for name, n in wrong if n and name != label],
                "examples": [_shown(decisions, position) for position in _chosen(decisions, index)],
            }
        )
    return result


def _chosen(decisions: Decisions, index: int) -> list[int]:
    certainty, decided = decisions.posteriors.max(axis=1), decisions.decided
    order = np.argsort(-certainty, kind="stable")
    order = order[decisions.examples.labels[order] == index]
    right, wrong = order[decided[order] == index], order[decided[order] != index]
    ends = [right[0], right[-1]] if len(right) > 1 else list(right)
    return [int(position) for position in [*ends, *wrong[:_MISTAKES]]]


def _shown(decisions: Decisions, position: int) -> dict:
    examples, decided = decisions.examples, int(decisions.decided[position])
    return {
        "name": examples.names[position],
        "decided": decisions.metrics.labels[decided],
        "right": decided == examples.labels[position],
        "posterior": float(decisions.posteriors[position, decided]),
        "image": pictures.data_uri(examples.features[position], _DARKEST, _BRIGHTEST),
    }
