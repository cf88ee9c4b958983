"""Measure a converted model's accuracy against signal-to-noise ratio and against time shift.

Each noise recording is added to each clip of a word; the ratio is the active speech level (ITU-T
P.56) over the noise's mean power. Clips of silence have no ratio and count under shifts alone.
Noise alone, without a word, should be heard as silence.
"""

import math
from pathlib import Path

from kws_tf.cli import command
from kws_tf.errors import KwsError


def main() -> None:
    parser = command.parser(__doc__)
    parser.add_argument("model", type=Path, help="a .tflite beside its manifest, or a run folder")
    parser.add_argument(
        "--test-dir", type=Path, required=True, help="a test set of audio, one folder a class"
    )
    parser.add_argument(
        "--noise-dir",
        type=Path,
        required=True,
        help="noise recordings, or a folder with _background_noise_ in it or beside it",
    )
    parser.add_argument(
        "--snrs",
        type=float,
        nargs="*",
        metavar="DB",
        default=[20.0, 10.0, 5.0, 0.0],
        help="signal-to-noise ratios, dB",
    )
    parser.add_argument(
        "--shifts",
        type=float,
        nargs="*",
        metavar="MS",
        default=[-200.0, -150.0, -100.0, -50.0, 0.0, 50.0, 100.0, 150.0, 200.0],
        help="time shifts, ms; positive is later",
    )
    parser.add_argument(
        "--alone",
        type=int,
        default=500,
        metavar="N",
        help="stretches of each noise recording without a word; 0: none",
    )
    parser.add_argument(
        "--limit", type=int, default=0, metavar="N", help="clips a class, for a quick look; 0: all"
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="seed of that choice and of the noise"
    )
    parser.add_argument(
        "--mix-down", action="store_true", help="mix stereo files down instead of refusing them"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures as JSON")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw them, .png or .svg")
    options = parser.parse_args()
    check(options)

    from kws_tf.evaluation import evaluate, robustness
    from kws_tf.files import write_json

    subject = evaluate.open_subject(options.model, "tflite", "quantized")
    result = robustness.measure(
        subject,
        options.test_dir,
        options.noise_dir,
        options.snrs,
        options.shifts,
        options.limit,
        options.seed,
        options.mix_down,
        options.alone,
    )
    print(result.text())
    if options.json:
        write_json(options.json, result.to_json())
    if options.plot:
        robustness.save_plot(result, options.plot, subject.file.stem)


def check(options) -> None:
    """Refuses what would fail after the measurement."""
    if min(options.limit, options.seed, options.alone) < 0:
        raise KwsError("--limit, --seed and --alone are counted from 0; give 0 or more")
    if not all(map(math.isfinite, options.snrs + options.shifts)):
        raise KwsError("--snrs and --shifts take finite numbers; leave --snrs out for clean clips")
    if not options.snrs and not options.shifts and not options.alone:
        raise KwsError("there is nothing to measure; give --snrs, --shifts or --alone")
    if options.plot and not options.snrs and not options.shifts:
        raise KwsError("the plot has no part for noise alone; give --snrs or --shifts as well")
    if options.plot and options.plot.suffix.lower() not in (".png", ".svg"):
        raise KwsError(f"the picture {options.plot} is neither .png nor .svg; name it so")
    for path in filter(None, (options.json, options.plot)):
        if not path.parent.is_dir():
            raise KwsError(f"the folder {path.parent} for {path.name} does not exist; make it")
