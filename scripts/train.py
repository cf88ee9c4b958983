"""Train a keyword spotter: float warm-up, then quantized fine-tuning with trained clips.

Writes a run folder: settings, labels, front end, history, best weights, TensorBoard logs. The
same command resumes an interrupted run. Where speech was synthesised, because there is no
--data-dir or it has too few clips of a word, the model is converted and measured as well. For
words of one's own the window is by default as long as the longest one needs.
"""

from pathlib import Path

import _bootstrap  # noqa: F401

from kws_tf import cli, presets
from kws_tf.audio.synthesis import fitting_window
from kws_tf.data.labels import KEYWORDS
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
    parser.add_argument(
        "--preset",
        choices=tuple(presets.PRESETS),
        help="defaults of other options; None: by the data, and printed at the start",
    )
    classes = (TrainSettings, DataSettings, Augmentation)
    for settings_class in classes:
        add_options(parser, settings_class)
    options = parser.parse_args()
    _, data, _ = (from_options(c, options) for c in classes)  # bad values before all work
    if data.words != KEYWORDS:
        parser.set_defaults(window_ms=fitting_window(data.words))
        data = from_options(DataSettings, parser.parse_args())

    from kws_tf.data.locate import training_data

    source = training_data(options.data_dir, options.download, data)
    preset = options.preset or presets.fitting(data, source.synthetic, options.network)
    defaults = presets.defaults(preset, data, options.hidden)
    print(f"preset {preset}: {presets.as_options(defaults)}", flush=True)
    parser.set_defaults(**defaults)
    options = parser.parse_args()
    settings = [from_options(c, options) for c in classes]

    from kws_tf.training import fit, report

    run = fit.train(options.run_dir, source.folder, *settings, verbose=2 if options.quiet else 1)
    report.print_summary(run)
    if source.synthetic and settings[0].quantized_epochs and settings[0].profile == "tflite":
        from kws_tf.evaluation.summary import convert_and_measure

        print(f"\n{convert_and_measure(run).text()}")


if __name__ == "__main__":
    cli.run(main)
