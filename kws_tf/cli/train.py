"""Train a keyword spotter: float pretraining, then quantized fine-tuning with trained clips.

Writes a run folder: settings, labels, front end, history, best weights, TensorBoard logs. The
same command resumes an interrupted run. Where speech is synthesised, because there is no
--data-dir or it has too few recordings of a word, the model is converted and measured as well.
"""

import sys
from pathlib import Path

from kws_tf import presets
from kws_tf.checks import check_there
from kws_tf.cli import command
from kws_tf.labels import KEYWORDS
from kws_tf.settings import (
    ADVANCED,
    COMMON,
    Augmentation,
    DataSettings,
    OtherRecordings,
    TrainSettings,
    add_options,
    given,
)

CLASSES = (TrainSettings, DataSettings, Augmentation)


def parser():
    """Returns the parser of this command."""
    made = command.parser(__doc__)
    groups = {title: made.add_argument_group(title) for title in (COMMON, ADVANCED)}
    common = groups[COMMON]
    common.add_argument(
        "--data-dir",
        **command.DIR,
        help="log-mel records, or audio in the Speech Commands layout (one folder a word); "
        "without it speech is synthesised",
    )
    for name, text in (
        ("negatives", "recordings of any length without keywords, such as running speech or music"),
        ("noise", "recordings of any length without speech, learned as silence"),
        ("harden", "recordings that a model took for a keyword, from kws-tf soak --save-alarms"),
    ):
        common.add_argument(f"--{name}", nargs="+", default=[], metavar="DIR", help=text)
    common.add_argument(
        "--download",
        action="store_true",
        help="fetch Speech Commands v0.02 and its test set (2.5 GB) into --data-dir, or data/",
    )
    common.add_argument("--run-dir", **command.DIR, default=Path("runs/run"), help="the run folder")
    common.add_argument(
        "--preset",
        choices=tuple(presets.PRESETS),
        help="other defaults for some options (default: what fits words and data, printed first)",
    )
    add_options(groups, CLASSES, presets.PRESETS)
    return made


def main() -> None:
    options = parser().parse_args()
    values = {settings_class: given(settings_class, options) for settings_class in CLASSES}
    # Bad values before all work.
    train, data, _ = (settings_class(**some) for settings_class, some in values.items())
    check_there((*options.negatives, *options.noise, *options.harden))
    if data.words != KEYWORDS and "window_ms" not in values[DataSettings]:
        from kws_tf.synthesis.words import fitting_window

        values[DataSettings]["window_ms"] = float(fitting_window(data.words))
        data = DataSettings(**values[DataSettings])

    from kws_tf.data.locate import training_data
    from kws_tf.run_folder import RunFolder

    RunFolder(options.run_dir).check_writable()
    source = training_data(options.data_dir, options.download, data)
    preset = options.preset or presets.fitting(data, source.synthetic)
    chosen = presets.defaults(preset, data, train.hidden)
    print(f"preset {preset}: {_text(chosen)}", flush=True)
    train, data, augmentation = (
        settings_class(**(presets.of_class(settings_class, chosen) | some))
        for settings_class, some in values.items()
    )

    from kws_tf.training import loop

    # Keras takes every Linux process for a terminal and draws its bar into log files.
    verbose = 1 if sys.stdout.isatty() else 2
    negatives = (*options.negatives, *map(str, source.negatives))
    others = OtherRecordings(negatives, tuple(options.noise), tuple(options.harden))
    run = loop.train(options.run_dir, source.folder, train, data, augmentation, verbose, others)
    print_summary(run)
    if source.synthetic and train.quantized_epochs and train.profile == "tflite":
        from kws_tf.evaluation.summary import convert_and_measure

        print(f"\n{convert_and_measure(run).text()}")
        if source.negatives:
            from kws_tf.evaluation.listening import calibrate_and_listen

            print(f"\n{calibrate_and_listen(run, source.negatives[0].parent).text()}")


def _text(values: dict) -> str:
    shown = {k: ",".join(v) if isinstance(v, tuple) else v for k, v in values.items()}
    return ", ".join(f"{name} {value}" for name, value in shown.items()) or "the defaults"


def print_summary(run) -> None:
    """Prints the best epoch of each phase, which is the one that was kept."""
    from kws_tf.run_folder import quality

    history = run.history()
    print(f"\n{'phase':<10} {'epochs':>6} {'best epoch':>10} {'validation':>10} {'minutes':>8}")
    for phase in ("float", "quantized"):
        rows = [row for row in history if row["phase"] == phase]
        if rows:
            best = max(rows, key=quality)
            minutes = sum(row["seconds"] for row in rows) / 60
            print(
                f"{phase:<10} {len(rows):>6} {best['epoch'] + 1:>10} "
                f"{100 * best['val_accuracy']:>8.2f} % {minutes:>8.1f}"
            )
    print(f"run folder: {run.path}")
