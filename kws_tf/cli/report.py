"""Write a run as one HTML page that needs no network.

Settings and headline figures, learning curves, the clips over training, weights and activations
against their clips, confusion matrix, each class with examples, and the verifier's tables. After
kws-tf soak RUN also words found, and false alarms, to be heard. --timeline shows a stretch of a
recording as the model hears it: spectrogram, posteriors, thresholds, detections.
"""

from pathlib import Path

from kws_tf.checks import check_targets
from kws_tf.cli import command
from kws_tf.errors import KwsError

_SECONDS = {"type": float, "metavar": "S"}


def main() -> None:
    parser = command.parser(__doc__)
    parser.add_argument("run", type=Path, help="a run folder whose training is finished")
    parser.add_argument("-o", "--out", **command.FILE, help="the page (default: RUN/report.html)")
    data = parser.add_mutually_exclusive_group()
    data.add_argument(
        "--test-dir",
        **command.DIR,
        help="test set to show decisions on, one folder per class (default: the validation set is "
        "used)",
    )
    data.add_argument(
        "--data-dir", **command.DIR, help="data of the validation set (default: the run's own)"
    )
    parser.add_argument(
        "--examples", type=int, default=5000, metavar="N", help="largest number that is run"
    )
    audio = parser.add_argument_group("a stretch of audio")
    audio.add_argument(
        "--timeline", **command.FILE, help="a recording to show, as the model hears it"
    )
    audio.add_argument("--from", dest="start", **_SECONDS, help="where to begin, s (default: 0)")
    audio.add_argument(
        "--to", **_SECONDS, help="where to end, at most 600 s later (default: 30 s later)"
    )
    audio.add_argument(
        "--transcripts", **command.FILE, help="a line a recording: name, tab, what is said in it"
    )
    audio.add_argument(
        "--words",
        **command.FILE,
        help="what is said in it when, as kws-tf soak --save-stream writes it: start, end, word",
    )
    audio.add_argument("--mix-down", **command.MIX_DOWN)
    options = parser.parse_args()
    check_targets(options.out)
    tables = options.transcripts, options.words
    details = (options.start, options.to, *tables, options.mix_down or None)
    if not options.timeline and any(detail is not None for detail in details):
        raise KwsError(
            "--from, --to, --transcripts, --words and --mix-down are of a stretch of audio; give "
            "--timeline as well"
        )

    from kws_tf.files import write_bytes
    from kws_tf.report import page
    from kws_tf.report.timeline import Stretch
    from kws_tf.run_folder import open_run

    run = open_run(options.run)
    out = options.out or run.path / "report.html"
    stretch = None
    if options.timeline:
        details = (options.start or 0.0, options.to, *tables, options.mix_down)
        stretch = Stretch(options.timeline, *details)
    text = page.build(run, options.test_dir, options.data_dir, options.examples, stretch)
    content = text.encode()
    write_bytes(out, content)
    print(f"written: {out} ({len(content) / 1e6:.1f} MB)")
