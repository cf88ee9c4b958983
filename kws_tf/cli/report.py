"""Write a run as one HTML page that needs no network.

Settings and headline figures, learning curves, the clips over training, weights and activations
against their clips, confusion matrix, each class with example clips, and the verifier's tables.
"""

from pathlib import Path

from kws_tf.cli import command
from kws_tf.errors import KwsError


def main() -> None:
    parser = command.parser(__doc__)
    parser.add_argument("run", type=Path, help="a run folder whose training is finished")
    parser.add_argument("--out", type=Path, help="the page; RUN/report.html if absent")
    data = parser.add_mutually_exclusive_group()
    data.add_argument(
        "--test-dir",
        type=Path,
        help="test set to show decisions on, one folder a class; without it the validation set",
    )
    data.add_argument(
        "--data-dir", type=Path, help="data of the validation set; the run's own if absent"
    )
    parser.add_argument(
        "--clips", type=int, default=5000, help="greatest number of clips that are run"
    )
    options = parser.parse_args()

    from kws_tf.files import write_bytes
    from kws_tf.report import page
    from kws_tf.run_folder import open_run

    run = open_run(options.run)
    out = options.out or run.path / "report.html"
    if not out.parent.is_dir():  # now, not when all is computed
        raise KwsError(f"the folder {out.parent} does not exist; make it or give another --out")
    content = page.build(run, options.test_dir, options.data_dir, options.clips).encode()
    write_bytes(out, content)
    print(f"written: {out} ({len(content) / 1e6:.1f} MB)")
