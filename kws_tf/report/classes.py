"""Accuracy for each class, with examples of its clips as spectrograms."""

import base64
import io

import numpy as np

from kws_tf.report.decisions import Decisions

# Features are normalised: mean 0, deviation 1.
_DARKEST, _BRIGHTEST = -2.5, 2.5
_MISTAKES = 2


def classes(decisions: Decisions) -> list[dict]:
    """Describes each class.

    Returns:
        ``name``, ``clips``, ``correct``, ``recall`` and ``precision`` (``None`` if undefined),
        ``mistaken_for`` (pairs of class and count, most frequent first) and ``examples``: the
        most and the least certain right decision and the most certain wrong ones.
    """
    labels, counted = decisions.metrics.labels, decisions.metrics.to_json()
    result = []
    for index, label in enumerate(labels):
        numbers = counted["per_class"][label]
        row = decisions.metrics.confusion[index]
        wrong = [(labels[i], int(row[i])) for i in np.argsort(-row, kind="stable")]
        result.append(
            {
                "name": label,
                "clips": numbers["n"],
                "correct": numbers["correct"],
                "recall": numbers["recall"],
                "precision": numbers["precision"],
                "mistaken_for": [(name, n) for name, n in wrong if n and name != label],
                "examples": [_example(decisions, clip) for clip in _examples(decisions, index)],
            }
        )
    return result


def _examples(decisions: Decisions, index: int) -> list[int]:
    certainty, decided = decisions.posteriors.max(axis=1), decisions.decided
    order = np.argsort(-certainty, kind="stable")
    order = order[decisions.clips.labels[order] == index]
    right, wrong = order[decided[order] == index], order[decided[order] != index]
    ends = [right[0], right[-1]] if len(right) > 1 else list(right)
    return [int(clip) for clip in [*ends, *wrong[:_MISTAKES]]]


def _example(decisions: Decisions, clip: int) -> dict:
    decided = int(decisions.decided[clip])
    return {
        "clip": decisions.clips.names[clip],
        "decided": decisions.metrics.labels[decided],
        "right": decided == decisions.clips.labels[clip],
        "posterior": float(decisions.posteriors[clip, decided]),
        "picture": _picture(decisions.clips.features[clip]),
    }


def _picture(features: np.ndarray) -> str:
    """Returns features [frames, features] as a PNG's data URI: time rightwards, bands upwards."""
    from matplotlib.image import imsave

    png = io.BytesIO()
    imsave(
        png, features.T, vmin=_DARKEST, vmax=_BRIGHTEST, cmap="magma", origin="lower", format="png"
    )
    return "data:image/png;base64," + base64.b64encode(png.getvalue()).decode()
