"""The bounds of the proof: what must be equal, and how much accuracy may differ."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kws_tf.conversion.parameters import IntegerParameters
from kws_tf.evaluation.outcomes import Outcome, compare
from kws_tf.evaluation.simulations import Outcomes
from kws_tf.tflite import graph as g

#: Points of accuracy between fake-quant Keras and TFLite, and between TFLite and TFLM.
ACCURACY_BOUND = 0.1
#: Points that TFLite may lie under the float model.
FLOAT_BOUND = 0.2
#: Least share of equal hidden values and decisions, simulation against reference kernels.
HIDDEN_EQUAL, DECISIONS_EQUAL = 0.99, 0.999
#: Least share of equal decisions between the two runtimes.
RUNTIMES_EQUAL = 0.995


@dataclass(frozen=True)
class Check:
    """A bound and whether it holds."""

    text: str
    holds: bool


def file_checks(graph: g.Graph, wanted: IntegerParameters) -> list[Check]:
    """Compares the file's scales with the clips' to the last bit of float32, and all integers."""
    same_scales = all(graph.scale(index) == scale for index, scale in wanted.scales(graph))
    same_integers = all(np.array_equal(graph.values(i), v) for i, v in wanted.integers(graph))
    return [
        Check("every scale in the file is its clip's, to the last bit of float32", same_scales),
        Check("every integer weight and bias in the file is the layer's", same_integers),
        Check(
            "the cell is limited at its trained clip",
            np.float32(graph.lstm.builtinOptions.cellClip) == wanted.cell_clip,
        ),
    ]


def exactness_checks(outcomes: Outcomes) -> list[Check]:
    """Compares reference and simulation with the runtimes, and these with each other."""
    checks = []
    for name, runtime, ran in (
        ("TFLite's reference kernels", "tflite", outcomes.tflite["reference"]),
        ("TFLite Micro", "tflm", outcomes.tflm),
    ):
        pair = compare(outcomes.exact[runtime], ran)
        equal = min(pair["hidden"]["equal"], pair["logits"]["equal"], pair["decisions"])
        text = f"bit-exact NumPy equals {name} on all values ({100 * equal:.4g} %)"
        checks += [Check(text, equal == 1), *_simulation_checks(outcomes, runtime, name, ran)]
    equal = float(np.mean(outcomes.tflm.decisions == outcomes.tflite["default"].decisions))
    runtimes = "TFLite Micro decides as TFLite on"
    return [*checks, _at_least(runtimes, RUNTIMES_EQUAL, "of examples", equal)]


def _simulation_checks(outcomes: Outcomes, runtime: str, name: str, ran: Outcome) -> list[Check]:
    pair, layer = compare(outcomes.in_double[runtime], ran), f"layer against {name}:"
    off, share, decisions = pair["hidden"]["max"], pair["hidden"]["equal"], pair["decisions"]
    return [
        Check(f"{layer} hidden state at most 1 LSB off ({off})", off <= 1),
        _at_least(layer, HIDDEN_EQUAL, "of hidden values equal", share),
        _at_least(layer, DECISIONS_EQUAL, "of decisions equal", decisions),
    ]


def _at_least(subject: str, least: float, of_what: str, share: float) -> Check:
    text = f"{subject} at least {100 * least:g} % {of_what} ({100 * share:.2f} %)"
    return Check(text, share >= least)


def accuracy_checks(
    outcomes: Outcomes, float_outcomes: Sequence[Outcome], labels: np.ndarray
) -> list[Check]:
    """Compares accuracies along the way from float Keras, where there is one, to TFLite Micro."""

    def points(outcome):
        return 100 * float(np.mean(outcome.decisions == labels))

    tflite = points(outcomes.tflite["default"])
    checks = [
        _within("TFLite", tflite, "fake-quant Keras", points(outcomes.fake_quant)),
        _within("TFLite Micro", points(outcomes.tflm), "TFLite", tflite),
    ]
    if float_outcomes:
        loss = points(float_outcomes[0]) - tflite
        text = f"TFLite is not more than {FLOAT_BOUND} points under float ({-loss:+.2f})"
        checks.append(Check(text, loss <= FLOAT_BOUND))
    return checks


def _within(first: str, a: float, second: str, b: float) -> Check:
    text = f"{first} within {ACCURACY_BOUND} points of {second} ({a - b:+.2f})"
    # The last digits of a quotient are no difference in accuracy.
    return Check(text, abs(a - b) <= ACCURACY_BOUND + 1e-9)
