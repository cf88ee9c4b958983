"""The results of experiments as Markdown tables and plots."""

import io
import re
import statistics
from pathlib import Path

from experiments.plan import (
    ACTIVATION_BITS,
    METHODS,
    MIXTURES,
    RECORDINGS_PER_WORD,
    WEIGHT_BITS,
    experiments,
    mixing_row,
)
from experiments.runner import RESULT, is_as_planned, is_done, settings_of
from kws_tf.errors import KwsError
from kws_tf.files import write_bytes, write_json
from kws_tf.run_folder import read_json

FORMS = {
    "float": "float",
    "fake_quant": "fake-quant",
    "tflite": "TFLite int8",
    "tflm": "TFLM int8",
}
# Student's t, 97.5 %, for n paired differences.
_T = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}

_NOT_YET = "(not run yet)"
ORIGINAL = (
    ("QuantizedLSTM, 118 units, PACT", (88.35, 89.77, 89.18)),
    ("QuantizedLSTM, 118 units, fixed clips", (89.30, 89.47, 90.28)),
    ("QuantizedLSTM, 344 units, PACT", (91.30, 91.03, 91.95)),
    ("QuantizedLSTM, 344 units, fixed clips", (91.77, 91.10, 91.46)),
)
_ORIGINAL_SOURCE = "https://github.com/Intelligent-Microsystems-Lab/QuantizedLSTM"
_ZOO = "https://github.com/ARM-software/ML-zoo/tree/master/models/keyword_spotting"
PEERS = (
    ("Arm ML-zoo CNN S / M / L", "90.18 / 90.47 / 92.27", "75 / 186 / 485 kB", _ZOO),
    ("Arm ML-zoo DS-CNN S / M / L", "93.11 / 93.93 / 94.52", "48 / 186 / 504 kB", _ZOO),
    ("Arm ML-zoo MicroNet S / M / L", "95.3 / 95.8 / 96.5", "115 / 182 / 659 kB", _ZOO),
    (
        "MLPerf Tiny reference DS-CNN",
        "91.86 (90 required)",
        "54 kB",
        "https://github.com/mlcommons/tiny",
    ),
    (
        "Silicon Labs MLTK CNN and LSTM (another task: digits)",
        "90.12 (float 93.84)",
        "379 kB",
        "https://siliconlabs.github.io/mltk",
    ),
    (
        "Hello Edge Basic-LSTM S / L (v0.01, validation, float)",
        "92.0 / 93.4",
        "never deployed",
        "https://arxiv.org/abs/1711.07128",
    ),
    (
        "kws_streaming LSTM, int8 weights, float activations",
        "97.3",
        "723 kB",
        "https://github.com/google-research/google-research/tree/master/kws_streaming",
    ),
)


def collect(root: Path, kept: Path) -> int:
    """Copies the results of finished experiments to where they are kept, a JSON file each.

    Each gets the settings of its run.

    Args:
        root: Folder of the run folders; it need not exist.
        kept: Where to.

    Returns:
        How many there are.

    Raises:
        KwsError: If a result is damaged, or that of other settings than the plan's.
    """
    root, kept = Path(root), Path(kept)
    kept.mkdir(parents=True, exist_ok=True)
    found = [name for name, experiment in experiments().items() if is_done(experiment, root)]
    for name in found:
        result = read_json(root / name / RESULT)
        settings = root / name / "settings.json"
        if settings.exists():
            result["settings"] = settings_of(read_json(settings))
        write_json(kept / f"{name}.json", result)
    return len(found)


def load(kept: Path) -> dict[str, dict]:
    """Returns the results that are kept, by experiment, in the order and the words of the plan.

    Raises:
        KwsError: If there are none, or one is damaged or says that it is of other settings.
    """
    found = {}
    for name, experiment in experiments().items():
        path = Path(kept) / f"{name}.json"
        if not path.exists():
            continue
        result = read_json(path)
        if "settings" in result and not is_as_planned(experiment, result["settings"]):
            raise KwsError(
                f"{path} is the result of other settings than the plan now has; remove it, and "
                f"run scripts/run_experiments.py --only {name}"
            )
        found[name] = result | {"group": experiment.group, "row": experiment.row}
    if not found:
        raise KwsError(f"{kept} has no results; run scripts/run_experiments.py first")
    return found


def _of_group(results: dict, *groups: str) -> dict[str, list[dict]]:
    """Returns the results of groups by row, in the order of the groups, then of the plan."""
    rows: dict[str, list[dict]] = {}
    for group in groups:
        for name, result in results.items():
            if result["group"] == group:
                rows.setdefault(result["row"], []).append(result | {"name": name})
    return rows


def _share(correct: int, n: int) -> str:
    return f"{correct:,} ({100 * correct / n:.2f} %)"


def main_table(results: dict) -> str:
    """Returns the main table: a line a trial, and the mean of each configuration."""
    rows = _of_group(results, "main", "earlier", "mfcc", "paper")
    if not rows:
        return _NOT_YET
    lines = [
        "| configuration | trial | " + " | ".join(FORMS.values()) + " | validation | file, bytes "
        "| arena, bytes | weights | minutes |",
        "|---" * (len(FORMS) + 7) + "|",
    ]
    for row, trials in rows.items():
        for trial in trials:
            cells = [
                _share(trial["correct"][form], trial["n"]) if form in trial["correct"] else "–"
                for form in FORMS
            ]
            sizes = [f"{trial[key]:,}" if key in trial else "–" for key in ("bytes", "arena_bytes")]
            lines.append(
                f"| {row} | `{trial['name']}` | {' | '.join(cells)} "
                f"| {100 * trial['validation']['quantized']:.2f} % | {' | '.join(sizes)} "
                f"| {trial['parameters']:,} | {trial['minutes']:.0f} |"
            )
        lines.append(f"| **{row}** | **mean of {len(trials)}** | {_means(trials)} | | | | | |")
    return "\n".join(lines)


def _means(trials: list[dict]) -> str:
    cells = []
    for form in FORMS:
        shares = [100 * t["correct"][form] / t["n"] for t in trials if form in t["correct"]]
        if not shares:
            cells.append("–")
            continue
        spread = f" ± {statistics.stdev(shares):.2f}" if len(shares) > 1 else ""
        cells.append(f"**{statistics.mean(shares):.2f} %**{spread}")
    return " | ".join(cells)


def comparison_table(results: dict) -> str:
    """Returns our means beside the original's and the peers' figures."""
    lines = ["| model | int8 accuracy, % | file | source |", "|---|---|---|---|"]
    for row, trials in _of_group(results, "main", "earlier", "mfcc").items():
        shares = [100 * t["correct"]["tflite"] / t["n"] for t in trials]
        low, high = min(shares), max(shares)
        lines.append(
            f"| **kws_tf, {row}** | **{statistics.mean(shares):.2f}** ({low:.2f} to {high:.2f}, "
            f"n = {len(shares)}) | {trials[0]['bytes'] / 1000:.0f} kB | this page |"
        )
    for name, trials in ORIGINAL:
        mean = statistics.mean(trials)
        lines.append(
            f"| {name} | {mean:.2f} ({min(trials)} to {max(trials)}, n = 3), "
            f"simulated | never deployed | {_ORIGINAL_SOURCE} |"
        )
    lines += [f"| {name} | {share} | {size} | {source} |" for name, share, size, source in PEERS]
    return "\n".join(lines)


def pact_sentences(results: dict) -> str:
    """Says, for each size, whether trained and fixed clips differ at these trials."""
    sentences = []
    rows = _of_group(results, "main", "earlier")
    for what in ("118 units", "344 units", "118 units, Adam", "344 units, Adam"):
        pairs = {}
        units, *recipe = what.split(", ")
        for clips in ("PACT", "fixed"):
            for trial in rows.get(", ".join([units, clips, *recipe]), ()):
                share = 100 * trial["correct"]["tflite"] / trial["n"]
                pairs.setdefault(trial["seed"], {})[clips] = share
        differences = [p["PACT"] - p["fixed"] for p in pairs.values() if len(p) == 2]
        if len(differences) < 2:
            continue
        mean = statistics.mean(differences)
        reach = _T[len(differences)] * statistics.stdev(differences) / len(differences) ** 0.5
        verdict = "a difference" if abs(mean) > reach else "noise"
        sentences.append(
            f"At {what.replace(', ', ' with ')} trained clips minus fixed ones is {mean:+.2f} "
            f"points in {len(differences)} pairs of the same warm-up (95 % interval "
            f"{mean - reach:+.2f} to {mean + reach:+.2f}): {verdict}."
        )
    return " ".join(sentences) or _NOT_YET


def recipe_table(results: dict) -> str:
    """Returns what was tried for the recipe, warm-up and fine-tuning, best first."""
    titles = {"recipe-warm-up": "warm-up of 8 epochs", "recipe-fine-tuning": "3 of fine-tuning"}
    made = []
    for group, title in titles.items():
        rows = _of_group(results, group)
        best_first = sorted(rows, key=lambda row: -rows[row][0]["real"]["correct"])
        if rows:
            made.append(_judged_table({row: rows[row] for row in best_first}, title))
    return "\n\n".join(made) or _NOT_YET


def bits_table(results: dict) -> str:
    """Returns accuracy at lower widths, a row a width, a column a method."""
    found = _of_group(results, "bits")
    if not found:
        return _NOT_YET
    lines = ["| TFLite int8 | " + " | ".join(METHODS.values()) + " |"]
    lines.append("|---" * (1 + len(METHODS)) + "|")
    for what, widths in (("weights", WEIGHT_BITS), ("activations", ACTIVATION_BITS)):
        for bits in widths:
            cells = [_bits_share(found, what, bits, method) for method in METHODS]
            if any(cells):
                texts = [_share(*c) if c else "" for c in cells]
                lines.append(f"| {what}, {bits} bits | " + " | ".join(texts) + " |")
    return "\n".join([*lines, "", "![TFLite accuracy against bits](bits.png)"])


def _bits_share(found: dict, what: str, bits: int, method: str):
    what = "weights" if bits == 8 else what  # at 8 bits both are the same model
    trials = found.get(f"{what}, {bits} bits, {METHODS[method]}")
    return (trials[0]["correct"]["tflite"], trials[0]["n"]) if trials else None


def save_bits_plot(results: dict, path: Path) -> None:
    """Draws accuracy against width for each method, weights and activations side by side.

    Where there are no such results, nothing is written.
    """
    from matplotlib.figure import Figure

    found = _of_group(results, "bits")
    if not found:
        return
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    panels = figure.subplots(1, 2)  # each with its own axis: the effects differ tenfold
    colours = {"ptq": "#999999", "fixed": "#E69F00", "pact": "#0072B2", "lsq": "#D55E00"}
    markers = {"ptq": "s", "fixed": "^", "pact": "o", "lsq": "D"}
    for axes, (what, widths) in zip(
        panels, (("weights", WEIGHT_BITS), ("activations", ACTIVATION_BITS)), strict=True
    ):
        for method, title in METHODS.items():
            points = []
            for bits in widths:
                share = _bits_share(found, what, bits, method)
                if share:
                    points.append((bits, 100 * share[0] / share[1]))
            if points:
                axes.plot(
                    *zip(*points, strict=True),
                    marker=markers[method],
                    color=colours[method],
                    label=title,
                )
        axes.set_xlabel(
            "bits of the weights" if what == "weights" else "bits of input and hidden state"
        )
        axes.set_xticks(widths)
        axes.invert_xaxis()
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("TFLite accuracy, %")
    panels[0].legend(frameon=False, loc="lower left")
    _save(figure, path)


def _save(figure, path: Path) -> None:
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=130)
    write_bytes(path, picture.getvalue())


def transfer_table(results: dict) -> str:
    """Returns what models of synthesised speech make of real speech, in the order of the plan."""
    return _judged_table(_of_group(results, "transfer"), "change")


def share_table(results: dict) -> str:
    """Returns what the share of unknown speech gives on real validation clips."""
    return _judged_table(_of_group(results, "mixing-share"), "50 recordings and 300 clips a word")


def _judged_table(rows: dict[str, list[dict]], title: str) -> str:
    if not rows:
        return _NOT_YET
    n = next(iter(rows.values()))[0]["real"]["n"]
    lines = [
        f"| {title} | right of {n:,} real validation clips | minutes | trial |",
        "|---" * 4 + "|",
    ]
    for row, trials in rows.items():
        for trial in trials:
            lines.append(
                f"| {row} | {_share(trial['real']['correct'], n)} "
                f"| {trial['minutes']:.1f} | `{trial['name']}` |"
            )
        if len(trials) > 1:
            shares = [100 * trial["real"]["correct"] / n for trial in trials]
            lines.append(
                f"| **{row}, mean of {len(shares)}** | **{statistics.mean(shares):.2f} %** "
                f"± {statistics.stdev(shares):.2f} | | |"
            )
    return "\n".join(lines)


def _mixtures(results: dict) -> dict[str, dict[int, tuple[int, int]]]:
    """Returns n of N by kind of mixture and recordings a word."""
    rows = _of_group(results, "mixing")
    return {
        kind: {
            number: (trial["correct"]["tflite"], trial["n"])
            for number in RECORDINGS_PER_WORD
            for trial in rows.get(mixing_row(number, kind), ())
        }
        for kind in MIXTURES
    }


def mixing_table(results: dict) -> str:
    """Returns accuracy by recordings a word, alone and with synthesised speech."""
    mixtures = _mixtures(results)
    if not any(mixtures.values()):
        return _NOT_YET
    lines = [
        f"| recordings a word | {' | '.join(MIXTURES.values())} |",
        "|---" * (1 + len(MIXTURES)) + "|",
    ]
    for number in RECORDINGS_PER_WORD:
        cells = [
            f"{found[number][0]:,} of {found[number][1]:,} "
            f"({100 * found[number][0] / found[number][1]:.2f} %)"
            if number in found
            else "–"
            for found in mixtures.values()
        ]
        lines.append(f"| {number} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", "![accuracy against recordings a word](mixing.png)"])


def save_mixing_plot(results: dict, path: Path) -> None:
    """Draws accuracy against recordings a word, for each kind of mixture.

    Where there are no such results, nothing is written.
    """
    from matplotlib.figure import Figure

    mixtures = _mixtures(results)
    if not any(mixtures.values()):
        return
    figure = Figure(figsize=(6.5, 4), layout="constrained")
    axes = figure.subplots()
    styles = {"alone": ("s", "#999999"), "mixed": ("o", "#0072B2"), "started": ("^", "#D55E00")}
    for kind, found in mixtures.items():
        marker, colour = styles[kind]
        points = [(number, 100 * right / n) for number, (right, n) in found.items()]
        if points:
            label = MIXTURES[kind]
            axes.plot(*zip(*points, strict=True), marker=marker, color=colour, label=label)
    axes.set_xscale("symlog", linthresh=10)
    axes.set_xticks(RECORDINGS_PER_WORD, map(str, RECORDINGS_PER_WORD))
    axes.set_xlabel("recordings a word")
    axes.set_ylabel("TFLite accuracy, %")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper left", fontsize="small")
    _save(figure, path)


# What each document has: the parts between its marks, and its plots.
PARTS = {
    "results": {
        "main": main_table,
        "comparison": comparison_table,
        "pact": pact_sentences,
        "recipe": recipe_table,
        "bits": bits_table,
    },
    "own-words": {
        "transfer": transfer_table,
        "mixing-share": share_table,
        "mixing": mixing_table,
    },
}
PLOTS = {"results": ("bits.png", save_bits_plot), "own-words": ("mixing.png", save_mixing_plot)}


def fill(text: str, parts: dict[str, str]) -> str:
    """Replaces what stands between ``<!-- begin NAME -->`` and ``<!-- end NAME -->``.

    Raises:
        KwsError: If a part has no such marks.
    """
    for name, part in parts.items():
        pattern = rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)"
        if not re.search(pattern, text, re.DOTALL):
            raise KwsError(f"the document has no marks for '{name}'; restore them")
        text = re.sub(
            pattern, lambda m, part=part: f"{m[1]}{part}\n{m[2]}", text, count=1, flags=re.DOTALL
        )
    return text
