"""Train a keyword spotter: float warm-up, then quantized fine-tuning with trained clips.

Writes a run folder: settings, labels, front end, history, best weights, TensorBoard logs. The
same command resumes an interrupted run.
"""

from pathlib import Path

import _bootstrap  # noqa: F401

from kws_tf import cli
from kws_tf.settings import (
    Augmentation,
    DataSettings,
    TrainSettings,
    add_options,
    from_options,
)


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--data-dir",
        type=Path,
        help="log-mel records, or audio in the Speech Commands layout (one folder a word); "
        "speech is synthesised when absent",
    )
    parser.add_argument(
        "--download",
        action="store_true",
        help="fetch Speech Commands v0.02 and its test set (2.5 GB) into --data-dir, or data/",
    )
    parser.add_argument("--run-dir", type=Path, default=Path("runs/run"), help="the run folder")
    parser.add_argument("--quiet", action="store_true", help="one line an epoch")
    for settings_class in (TrainSettings, DataSettings, Augmentation):
        add_options(parser, settings_class)
    options = parser.parse_args()
    settings = [from_options(c, options) for c in (TrainSettings, DataSettings, Augmentation)]

    from kws_tf.data.locate import training_data
    from kws_tf.training import fit, report

    data_dir = training_data(options.data_dir, options.download, settings[1])
    run = fit.train(options.run_dir, data_dir, *settings, verbose=2 if options.quiet else 1)
    report.print_summary(run)


if __name__ == "__main__":
    cli.run(main)
