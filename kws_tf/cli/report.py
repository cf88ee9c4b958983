"""Write a run as one HTML page that needs no network.

Settings and headline figures, learning curves, the clips over training, weights and activations
against their clips, confusion matrix, each class with examples, and the verifier's tables.
"""

from pathlib import Path

from kws_tf.checks import check_targets
from kws_tf.cli import command


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
    options = parser.parse_args()
    check_targets(options.out)

    from kws_tf.files import write_bytes
    from kws_tf.report import page
    from kws_tf.run_folder import open_run

    run = open_run(options.run)
    out = options.out or run.path / "report.html"
    content = page.build(run, options.test_dir, options.data_dir, options.examples).encode()
    write_bytes(out, content)
    print(f"written: {out} ({len(content) / 1e6:.1f} MB)")
