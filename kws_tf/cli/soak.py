"""Leave a model listening: false alarms an hour in other audio, words found in a stream.

It decides as the device does, in the chip's arithmetic where there is a C compiler. Words of a
test set are laid into a stream, with gaps of 0.5 to 2.5 s, in quiet or over a background. As in
MLPerf Tiny, a detection from a word's beginning to one second after its end is right, once a word;
any other is a false alarm. A run folder gets the result as soak.json, for kws-tf report.
"""

import math
from pathlib import Path

from kws_tf.checks import check_targets
from kws_tf.cli import command
from kws_tf.errors import KwsError

TRIGGER = ("decision_ms", "smoothing_decisions", "threshold", "refractory_ms")


def main() -> None:
    options = _parser().parse_args()
    _check(options)

    from kws_tf.files import write_json
    from kws_tf.listening import alarms, curve_plot, soak
    from kws_tf.run_folder import RunFolder, open_run
    from kws_tf.tflite import model as models

    if options.save_alarms:
        alarms.check_folder(options.save_alarms)
    is_run = options.model.is_dir()
    model = models.load(open_run(options.model).model_file if is_run else options.model)
    plan = soak.Plan(
        options.negatives,
        options.positives,
        options.background,
        tuple(options.snr_db or soak.SNR_DB),
        options.transcripts,
        options.limit,
        options.seed,
        options.runtime,
        options.mix_down,
        options.save_stream,
    )
    changes = {name: getattr(options, name) for name in TRIGGER}
    changes = {name: value for name, value in changes.items() if value is not None}
    result = soak.measure(model, plan, **changes)
    print(result.text())
    if options.json:
        write_json(options.json, result.to_json())
    if is_run:
        result.save(RunFolder(options.model).soak_file, options.negatives, options.mix_down)
    if options.plot:
        curve_plot.save(result.curve, options.plot, model.path.stem)
    if options.save_alarms:
        rate = model.manifest.front_end.log_mel.sample_rate
        found = result.negatives.alarms
        files = alarms.save(found, options.save_alarms, rate, options.mix_down)
        print(f"{len(files):,} alarms written to {options.save_alarms}")


def _parser():
    parser = command.parser(__doc__)
    parser.add_argument("model", type=Path, help="a .tflite beside its manifest, or a run folder")
    several = {"type": Path, "nargs": "+", "default": [], "metavar": "FOLDER"}
    parser.add_argument(
        "--negatives", **several, help="folders of recordings, of any length, without the words"
    )
    parser.add_argument("--positives", **command.DIR, help="a test set, one folder a class")
    parser.add_argument(
        "--background", **several, help="speech or noise under the positives; without it is quiet"
    )
    parser.add_argument(
        "--snr-db",
        type=float,
        nargs=2,
        metavar=("LOW", "HIGH"),
        help="active level of words over that of the background, drawn for each (default: 10 20)",
    )
    parser.add_argument(
        "--transcripts",
        **command.FILE,
        help="a line a recording: name, tab, text; those with a keyword, or what sounds the same, "
        "are left out of negatives and background",
    )
    for name, text in (
        ("limit", "recordings of each word, for a quick look; 0: all"),
        ("seed", "seed of the stream of words"),
    ):
        parser.add_argument(f"--{name}", type=int, default=0, metavar="N", help=text)
    for name, kind, text in (
        ("decision-ms", float, "time between decisions, ms"),
        ("smoothing-decisions", int, "posteriors are averaged over so many decisions"),
        ("threshold", float, "least averaged posterior, of every word"),
        ("refractory-ms", float, "time after a detection without another, ms"),
    ):
        parser.add_argument(f"--{name}", type=kind, help=f"{text} (default: the manifest's)")
    parser.add_argument(
        "--runtime",
        choices=("c", "tflite"),
        help="what listens (default: c where there is a compiler)",
    )
    parser.add_argument("--mix-down", **command.MIX_DOWN)
    parser.add_argument("--save-alarms", **command.DIR, help="a new folder for the false alarms")
    parser.add_argument(
        "--save-stream",
        **command.FILE,
        help="write the stream of words, .wav, and beside it, .txt, when each is said: for "
        "kws-tf report --timeline",
    )
    parser.add_argument("--json", **command.FILE, help="write all figures as JSON")
    parser.add_argument("--plot", **command.FILE, help="draw the curve, .png or .svg")
    return parser


def _check(options) -> None:
    """Refuses what would fail after the measurement, or mean nothing."""
    if not options.negatives and not options.positives:
        raise KwsError("there is nothing to listen to; give --negatives, --positives or both")
    if min(options.limit, options.seed) < 0:
        raise KwsError("--limit and --seed are counted from 0; give 0 or more")
    if options.background and not options.positives:
        raise KwsError("--background has no words to run under; give --positives as well")
    if options.snr_db and not options.background:
        raise KwsError("--snr-db needs a background to stand over; give --background as well")
    if options.snr_db and not all(map(math.isfinite, options.snr_db)):
        raise KwsError("--snr-db takes two finite numbers; leave out --background for quiet")
    if options.save_alarms and not options.negatives:
        raise KwsError("--save-alarms cuts alarms out of negatives; give --negatives as well")
    if options.transcripts and not options.negatives and not options.background:
        raise KwsError("--transcripts are of negatives or a background; give some as well")
    if options.plot and not options.positives:
        raise KwsError("the plot shows words missed; give --positives as well")
    if options.plot and options.plot.suffix.lower() not in (".png", ".svg"):
        raise KwsError(f"the plot {options.plot} is neither .png nor .svg; name it so")
    if options.save_stream and not options.positives:
        raise KwsError("--save-stream writes the stream of words; give --positives as well")
    if options.save_stream and options.save_stream.suffix.lower() != ".wav":
        raise KwsError(f"the stream {options.save_stream} is a WAV; let its name end in .wav")
    check_targets(options.json, options.plot, options.save_stream)
