"""Copy what others need of finished runs, to learn from them or to fine-tune them, to a folder.

Runs of experiments/run.py take their results along.
"""

from pathlib import Path

from kws_tf.cli import command


def main() -> None:
    parser = command.parser(__doc__)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run folders")
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        default=Path("tflite_models/checkpoints"),
        metavar="DIR",
        help="folder",
    )
    options = parser.parse_args()

    from kws_tf.deployment.publish import publish_run
    from kws_tf.run_folder import open_run

    for path in options.runs:
        print(publish_run(open_run(path), options.out))
