"""Evaluate a converted model, or the Keras model of a run, on labelled examples.

Prints accuracy as n of N, precision and recall of each class and the confusion matrix. Of a run
it writes evaluation-RUNTIME.json and .png and an entry of accuracy.json into the run folder; of a
model that is in no run it writes only the files that --out and --json name.
"""

from pathlib import Path

from kws_tf.checks import check_targets
from kws_tf.cli import command
from kws_tf.errors import KwsError


def main() -> None:
    options = _parser().parse_args()
    check_targets(options.json)

    from kws_tf.evaluation import evaluate, results

    subject = evaluate.open_subject(options.model, options.runtime, options.phase)
    evaluation = evaluate.evaluate(
        subject,
        _examples(subject, options),
        options.runtime,
        options.kernels,
        options.phase,
        options.frontend,
    )
    print(evaluation.text())
    written = results.save(evaluation, subject, options.out, options.json)
    if written:
        print("written:", ", ".join(map(str, written)))


def _parser():
    parser = command.parser(__doc__)
    parser.add_argument("model", type=Path, help="a .tflite beside its manifest, or a run folder")
    data = parser.add_mutually_exclusive_group()
    data.add_argument(
        "--test-dir",
        **command.DIR,
        help="a test set of audio, one folder per class (default: the one beside a run's data)",
    )
    data.add_argument(
        "--data-dir",
        **command.DIR,
        help="log-mel records, or audio in the Speech Commands layout, to take --partition of",
    )
    parser.add_argument(
        "--partition",
        choices=("validation", "training"),
        help="partition of --data-dir, or else of a run's own data (default: validation)",
    )
    parser.add_argument(
        "--runtime",
        choices=("tflite", "tflm", "c", "keras"),
        default="tflite",
        help="TFLite; TFLite Micro, or the chip's C code without it (both compared with TFLite); "
        "or a run's Keras model",
    )
    parser.add_argument(
        "--kernels", choices=("default", "reference"), default="default", help="TFLite's kernels"
    )
    parser.add_argument(
        "--frontend",
        choices=("tensorflow", "c"),
        default="tensorflow",
        help="whose features: TensorFlow's, or those of the C code for the chip (test sets only)",
    )
    parser.add_argument(
        "--phase",
        choices=("quantized", "float"),
        default="quantized",
        help="which model of the run, with --runtime keras",
    )
    parser.add_argument("--mix-down", **command.MIX_DOWN)
    parser.add_argument(
        "-o",
        "--out",
        **command.DIR,
        help="folder for JSON and PNG (default: the run folder; none for a model in no run)",
    )
    parser.add_argument("--json", **command.FILE, help="a further file for the JSON")
    return parser


def _examples(subject, options):
    """Loads the examples that the options name."""
    import dataclasses

    from kws_tf.data.locate import test_set_beside
    from kws_tf.evaluation import labelled
    from kws_tf.settings import DataSettings

    if options.partition and options.test_dir:
        raise KwsError("a test set has no --partition; give --data-dir in place of --test-dir")
    run = subject.run
    settings = run.data_settings() if run else DataSettings(words=subject.labels[2:])
    if options.mix_down:
        settings = dataclasses.replace(settings, mix_down=True)
    test_dir, data_dir = options.test_dir, options.data_dir
    if options.partition and not data_dir and run:
        data_dir = run.data_dir()
    if not test_dir and not data_dir:
        test_dir = test_set_beside(run.data_dir()) if run else None
        if not test_dir:
            raise KwsError(
                f"there is no test set beside the data of {subject.file}; give --test-dir one, or "
                "--data-dir the training data to take the validation partition of"
            )
    partition = options.partition or "validation"
    task = (subject.labels, subject.front_end, settings)
    return labelled.load(*task, test_dir, data_dir, partition)
