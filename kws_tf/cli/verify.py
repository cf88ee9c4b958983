"""Prove that what was trained is what runs: Keras, TFLite and TFLite Micro on the same examples.

Prints accuracies, the differences between each pair in steps of the int8 grid (LSB), every
tensor's type and scale, and the bounds. Exit code 1 when a bound is broken.
"""

from pathlib import Path

from kws_tf.checks import check_targets
from kws_tf.cli import command


def main() -> int:
    parser = command.parser(__doc__)
    parser.add_argument("run", type=Path, help="a run folder with its model converted")
    parser.add_argument(
        "--test-dir",
        **command.DIR,
        help="test set, one folder per class (default: the validation set is used)",
    )
    parser.add_argument(
        "--data-dir",
        **command.DIR,
        help="training data, for the post-training-quantization baseline and the validation set "
        "(default: the run's own)",
    )
    parser.add_argument("--no-baseline", action="store_true", help="leave the baseline out")
    parser.add_argument(
        "--json", **command.FILE, help="where to write it (default: RUN/verify.json)"
    )
    options = parser.parse_args()
    check_targets(options.json)

    from kws_tf.evaluation import labelled, verify
    from kws_tf.files import write_json
    from kws_tf.run_folder import open_run
    from kws_tf.tflite import model

    run = open_run(options.run)
    model.load(run.model_file)  # refuses a missing model before the examples, which take a while
    data_dir = options.data_dir or run.data_dir()
    examples = labelled.of_run(run, options.test_dir, data_dir)
    calibration = None if options.no_baseline else verify.load_calibration(run, data_dir)
    report = verify.verify(run, examples, calibration)
    write_json(options.json or run.path / "verify.json", report.to_json())
    print(report.text())
    return 0 if report.holds else 1
