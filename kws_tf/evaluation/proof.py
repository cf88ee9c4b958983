"""What the verifier found: accuracies, differences of each pair, tensors and bounds, as tables."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kws_tf.evaluation.bounds import Check
from kws_tf.evaluation.outcomes import Outcome, compare


@dataclass(frozen=True)
class Report:
    """All that the verifier found."""

    outcomes: Sequence[Outcome]  # in the order of the table
    labels: np.ndarray | None  # true class of each example, if known
    checks: Sequence[Check]  # the bounds
    tensors: Sequence[tuple[str, str, str, str]]  # name, type, shape, scale
    arena_bytes: dict[str, int]  # of TFLite Micro, by kind
    source: str  # where the examples come from
    split: str  # ``test`` or ``validation``; empty for other examples

    @property
    def holds(self) -> bool:
        """Whether every bound holds."""
        return all(check.holds for check in self.checks)

    @property
    def examples(self) -> int:
        """Number of examples."""
        return len(self.outcomes[0].decisions)

    def correct(self, outcome: Outcome) -> int | None:
        """Returns the number of right decisions; ``None`` without labels."""
        if self.labels is None:
            return None
        return int(np.sum(outcome.decisions == self.labels))

    def pairs(self) -> list[dict]:
        """Compares each pair of integer outcomes."""
        integer = [outcome for outcome in self.outcomes if outcome.logits is not None]
        return [compare(a, b) for a, b in itertools.combinations(integer, 2)]

    def to_json(self) -> dict:
        """Returns a JSON-ready dictionary."""
        return {
            "data": self.source,
            "split": self.split,
            "examples": self.examples,
            "correct": {outcome.name: self.correct(outcome) for outcome in self.outcomes},
            "pairs": self.pairs(),
            "checks": [{"text": c.text, "holds": bool(c.holds)} for c in self.checks],
            "tensors": [list(row) for row in self.tensors],
            "arena_bytes": self.arena_bytes,
        }

    def text(self) -> str:
        """Returns the tables to print."""
        split = f" ({self.split})" if self.split else ""
        lines = [f"{self.examples:,} examples of {self.source}{split}", ""]
        lines += [*self._accuracy_lines(), *self._pair_lines()]
        lines += ["", f"{'tensor':<44} {'type':<6} {'shape':<14} scale"]
        for name, kind, shape, scale in self.tensors:
            lines.append(f"{name:<44} {kind:<6} {shape:<14} {scale}")
        lines += ["", "TFLite Micro's arena on this machine, bytes:"]
        lines += [f"  {kind:<44} {size:>8,}" for kind, size in self.arena_bytes.items()]
        lines += [""] + [f"{'ok' if c.holds else 'BROKEN':<7} {c.text}" for c in self.checks]
        return "\n".join(lines)

    def _accuracy_lines(self) -> list[str]:
        if self.labels is None:
            return []
        lines = [f"{'computed by':<34} {'right':>6} {'accuracy':>10}"]
        for outcome in self.outcomes:
            right = self.correct(outcome)
            lines.append(f"{outcome.name:<34} {right:>6,} {100 * right / self.examples:>8.2f} %")
        return [*lines, ""]

    def _pair_lines(self) -> list[str]:
        columns = f"{'equal':>8} {'mean':>7} {'max LSB':>7}"
        lines = [
            f"{'':<62} {'hidden state':^24}   {'logits':^24}   decisions",
            f"{'pair':<62} {columns}   {columns}   {'equal':>9}",
        ]
        for pair in self.pairs():
            numbers = "   ".join(
                f"{100 * pair[what]['equal']:>6.2f} % {pair[what]['mean']:>7.4f} "
                f"{pair[what]['max']:>7}"
                for what in ("hidden", "logits")
            )
            name = f"{pair['first']} / {pair['second']}"
            lines.append(f"{name:<62} {numbers}   {100 * pair['decisions']:>7.2f} %")
        return lines
