"""The results of experiments as Markdown tables and a plot."""

import csv
import io
from functools import partial
from pathlib import Path
from statistics import mean, stdev

from plan import RESULT, ROOT, experiments

from kws_tf.errors import KwsError
from kws_tf.files import write_bytes, write_json
from kws_tf.listening.rates import Rate
from kws_tf.run_folder import read_json

_FORMS = {
    "keras-float": "float",
    "keras-quantized": "fake-quant",
    "tflite": "TFLite int8",
    "tflm": "TFLM int8",
}


def load(root: Path, kept: Path) -> dict[str, dict]:
    """Returns the results that are kept, by experiment, in the order and the words of the plans.

    Args:
        root: Run folders; the results of those that are finished are first copied to ``kept``.
        kept: A JSON file an experiment.

    Raises:
        KwsError: If there are none, or one is damaged or of other settings than planned.
    """
    found = {}
    for name, experiment in experiments().items():
        path = kept / f"{name}.json"
        if new := experiment.result(root / name / RESULT):
            write_json(path, new)
        if result := experiment.result(path):
            words = {key: getattr(experiment, key) for key in ("plan", "title", "column")}
            found[name] = result | words
    if not found:
        raise KwsError(f"{kept} has no results; run experiments/run.py first")
    return found


def _rows(results: dict, *plans: str) -> dict[str, list[dict]]:
    """Returns the results of plans by their row, in the order of the plans."""
    rows: dict[str, list[dict]] = {}
    for plan in plans:
        for result in results.values():
            if result["plan"] == plan and result["title"]:
                rows.setdefault(result["title"], []).append(result)
    return rows


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _shares(trials: list[dict], form: str) -> list[float]:
    return [100 * t["correct"][form] / t["n"] for t in trials if form in t["correct"]]


def _spread(shares: list[float]) -> str:
    spread = f" ± {stdev(shares):.2f}" if len(shares) > 1 else ""
    return f"{mean(shares):.2f}{spread}" if shares else "–"


def main_table(results: dict) -> str:
    """Returns the main table: a configuration a row, means and spread over its seeds."""
    rows = []
    for title, trials in _rows(results, "main", "adam").items():
        form = "tflite" if "tflite" in trials[0]["correct"] else "keras-quantized"
        sizes = [f"{trials[0][k]:,}" if k in trials[0] else "–" for k in ("bytes", "arena_bytes")]
        means = [_spread(_shares(trials, form)) for form in _FORMS]
        counts = " / ".join(f"{trial['correct'][form]:,}" for trial in trials)
        validation = mean(100 * trial["validation"]["quantized"] for trial in trials)
        rows.append([title, *means, counts, f"{validation:.2f}", *sizes])
    header = [f"{form}, %" for form in _FORMS.values()]
    header += ["right of 4,890, by seed", "validation, %", "file, B", "arena, B"]
    return _table(["configuration", *header], rows)


def comparison_table(results: dict) -> str:
    """Returns our means beside the original's and other projects' figures."""
    rows = []
    for title, trials in _rows(results, "main", "adam").items():
        if shares := _shares(trials, "tflite"):
            reach = f"{min(shares):.2f} to {max(shares):.2f}, n = {len(shares)}"
            size = f"{trials[0]['bytes'] / 1000:.0f} kB"
            rows.append(
                [f"**kws_tf, {title}**", f"**{mean(shares):.2f}** ({reach})", size, "above"]
            )
    with (ROOT / "experiments" / "others.csv").open(newline="", encoding="utf-8") as file:
        rows += csv.reader(file)
    return _table(["model", "int8 accuracy, %", "file", "source"], rows)


def pact_sentences(results: dict) -> str:
    """Says, for each size, whether trained and fixed clips differ in pairs of the same seed."""
    from scipy.stats import ttest_rel

    rows, sentences = _rows(results, "main"), []
    for units in ("118 units", "344 units"):
        pairs = [_shares(rows[f"{units}, {clips}"], "tflite") for clips in ("PACT", "fixed clips")]
        low, high = ttest_rel(*pairs).confidence_interval(0.95)
        sentences.append(
            f"At {units} PACT minus fixed clips is {mean(pairs[0]) - mean(pairs[1]):+.2f} points "
            f"in {len(pairs[0])} pairs (95 % interval {low:+.2f} to {high:+.2f}): "
            f"{'noise' if low <= 0 <= high else 'a difference'}."
        )
    return " ".join(sentences)


def _by_method(results: dict, plan: str) -> tuple[dict[str, dict[str, dict]], list[str]]:
    """Returns the results of a plan by row and column, and the columns."""
    rows = _rows(results, plan).items()
    found = {title: {trial["column"]: trial for trial in trials} for title, trials in rows}
    return found, list(dict.fromkeys(column for cells in found.values() for column in cells))


def method_table(plan: str, head: str, results: dict) -> str:
    """Returns what TFLite gets right, a column a method."""
    found, columns = _by_method(results, plan)
    rows = []
    for title, cells in found.items():
        trials = [cells.get(column) for column in columns]
        counts = [
            f"{t['correct']['tflite']:,} ({_shares([t], 'tflite')[0]:.2f} %)" if t else "–"
            for t in trials
        ]
        rows.append([title, *counts])
    return _table([head, *columns], rows)


def listening_table(results: dict) -> str:
    """Returns what models did that experiments/listening.py has left listening, a row each."""
    rows = []
    for path in sorted((ROOT / "experiments" / "listening").glob("*.json")):
        kept = read_json(path)
        trigger = kept["trigger"]
        rates = [
            str(Rate(kept[k]["alarms"], kept[k]["hours"]))
            for k in ("books", "noise", "noise_apart")
        ]
        shares = [
            f"{100 * kept[k]['found'] / kept[k]['words']:.1f} %"
            for k in ("quiet", "in_speech", "in_speech_10_db")
        ]
        threshold = f"{trigger['threshold']:.2f}, mean of {trigger['smoothing_decisions']}"
        delay = f"{kept['quiet']['delay_seconds']['median']:.2f} s"
        right = results.get(path.stem, {}).get("correct", {}).get("tflite")
        right = f"{right:,} ({100 * right / results[path.stem]['n']:.2f} %)" if right else "–"
        rows.append([f"`{path.stem}`", threshold, rates[0], *shares, *rates[1:], delay, right])
    header = ["false alarms an hour, books", "found in quiet", "in speech, 10 to 20 dB"]
    header += ["at 10 dB", "false alarms an hour, noise", "the part that training has not heard"]
    header += ["median delay", "examples right of 4,890"]
    return _table(["model", "threshold", *header], rows)


def save_bits_plot(results: dict, path: Path) -> None:
    """Draws accuracy against width for each method, weights and activations side by side."""
    from matplotlib.figure import Figure

    found, columns = _by_method(results, "bits")
    found["activations, 8 bits"] = found["weights, 8 bits"]  # the same models
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    panels = figure.subplots(1, 2)  # each with its own axis: the effects differ tenfold
    for axes, what in zip(panels, ("weights", "activations"), strict=True):
        rows = {int(title.split()[1]): cells for title, cells in found.items() if what in title}
        for number, column in enumerate(columns):
            bits = [width for width in sorted(rows) if column in rows[width]]
            shares = _shares([rows[width][column] for width in bits], "tflite")
            axes.plot(bits, shares, f"C{number}" + "s^oD"[number] + "-", label=column)
        axes.set(xlabel=f"bits of the {what}", xticks=sorted(rows))
        axes.invert_xaxis()
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("TFLite accuracy, %")
    panels[0].legend(frameon=False, loc="lower left")
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=130)
    write_bytes(path, content.getvalue())


PARTS = {
    "results.md": {
        "main": main_table,
        "pact": pact_sentences,
        "comparison": comparison_table,
        "bits": partial(method_table, "bits", "right of 4,890"),
    },
    "listening.md": {"listening": listening_table},
    "own-words.md": {"mixing": partial(method_table, "own_words", "recordings of each word")},
}
"""What each document has between its marks."""


def fill(text: str, parts: dict[str, str]) -> str:
    """Replaces what stands between ``<!-- begin NAME -->`` and ``<!-- end NAME -->``.

    Raises:
        KwsError: If a part has no such marks.
    """
    for name, part in parts.items():
        before, begin, rest = text.partition(f"<!-- begin {name} -->\n")
        _, end, after = rest.partition(f"<!-- end {name} -->")
        if not end:
            raise KwsError(f"the document has no marks for '{name}'; restore them")
        text = f"{before}{begin}{part}\n{end}{after}"
    return text
