"""Measure a converted model's accuracy against signal-to-noise ratio and against time shift.

Each noise recording is added to each example of a word; the ratio is the active speech level
(ITU-T P.56) over the noise's mean power. Examples of silence have no ratio and count under shifts
alone. Noise alone, without a word, should be taken for silence.
"""

import math
from pathlib import Path

from kws_tf.checks import check_targets
from kws_tf.cli import command
from kws_tf.errors import KwsError

SNRS_DB = (20.0, 10.0, 5.0, 0.0)
SHIFTS_MS = (-200.0, -150.0, -100.0, -50.0, 0.0, 50.0, 100.0, 150.0, 200.0)


def main() -> None:
    options = _parser().parse_args()
    options.snrs = list(SNRS_DB) if options.snrs is None else options.snrs
    options.shifts = list(SHIFTS_MS) if options.shifts is None else options.shifts
    _check(options)

    from kws_tf.evaluation import evaluate, robustness, robustness_plot
    from kws_tf.files import write_json

    subject = evaluate.open_subject(options.model, "tflite", "quantized")
    plan = robustness.Plan(
        options.snrs, options.shifts, options.alone, options.limit, options.seed, options.mix_down
    )
    result = robustness.measure(subject.model, options.test_dir, options.noise_dir, plan)
    print(result.text())
    if options.json:
        write_json(options.json, result.to_json())
    if options.plot:
        robustness_plot.save(result, options.plot, subject.file.stem)


def _parser():
    parser = command.parser(__doc__)
    parser.add_argument("model", type=Path, help="a .tflite beside its manifest, or a run folder")
    parser.add_argument(
        "--test-dir", **command.DIR, required=True, help="a test set of audio, one folder per class"
    )
    parser.add_argument(
        "--noise-dir",
        **command.DIR,
        required=True,
        help="noise recordings, or a folder with _background_noise_ in it or beside it",
    )
    for name, unit, default, text in (
        ("--snrs", "DB", SNRS_DB, "signal-to-noise ratios, dB"),
        ("--shifts", "MS", SHIFTS_MS, "time shifts, ms; positive is later"),
    ):
        text += f" (default: {' '.join(f'{value:g}' for value in default)})"
        parser.add_argument(name, type=float, nargs="*", metavar=unit, help=text)
    for name, default, text in (
        ("--alone", 500, "stretches of each noise recording without a word; 0: none"),
        ("--limit", 0, "examples per class, for a quick look; 0: all"),
        ("--seed", 0, "seed of that choice and of the noise"),
    ):
        parser.add_argument(name, type=int, default=default, metavar="N", help=text)
    parser.add_argument("--mix-down", **command.MIX_DOWN)
    parser.add_argument("--json", **command.FILE, help="write all figures as JSON")
    parser.add_argument("--plot", **command.FILE, help="draw them, .png or .svg")
    return parser


def _check(options) -> None:
    """Refuses what would fail after the measurement."""
    if min(options.limit, options.seed, options.alone) < 0:
        raise KwsError("--limit, --seed and --alone are counted from 0; give 0 or more")
    if not all(map(math.isfinite, options.snrs + options.shifts)):
        raise KwsError("--snrs and --shifts take finite numbers; leave --snrs empty for none")
    if not options.snrs and not options.shifts and not options.alone:
        raise KwsError("there is nothing to measure; give --snrs, --shifts or --alone")
    if options.plot and not options.snrs and not options.shifts:
        raise KwsError("the plot has no part for noise alone; give --snrs or --shifts as well")
    if options.plot and options.plot.suffix.lower() not in (".png", ".svg"):
        raise KwsError(f"the plot {options.plot} is neither .png nor .svg; name it so")
    check_targets(options.json, options.plot)
