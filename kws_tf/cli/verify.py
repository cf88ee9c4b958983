"""Prove that what was trained is what runs: Keras, TFLite and TFLite Micro on the same clips.

Prints accuracies, the differences between each pair in steps of the int8 grid (LSB), every
tensor's type and scale, and the bounds. Exit code 1 when a bound is broken.
"""

from pathlib import Path

from kws_tf.cli import command


def main() -> int:
    parser = command.parser(__doc__)
    parser.add_argument("run", type=Path, help="a run folder with its model converted")
    parser.add_argument(
        "--test-dir", type=Path, help="test set, one folder a class; without it the validation set"
    )
    parser.add_argument(
        "--data-dir",
        type=Path,
        help="training data, for the post-training-quantization baseline and the validation set; "
        "the run's own if absent",
    )
    parser.add_argument("--no-baseline", action="store_true", help="leave the baseline out")
    parser.add_argument("--json", type=Path, help="where to write it; RUN/verify.json if absent")
    options = parser.parse_args()

    from kws_tf.evaluation import labelled, verify
    from kws_tf.files import write_json
    from kws_tf.run_folder import open_run
    from kws_tf.tflite import manifest

    run = open_run(options.run)
    manifest.load(run.model_file)  # refuses a missing model before the clips, which take a while
    data_dir = options.data_dir or run.data_dir()
    if options.test_dir:
        mix_down = run.data_settings().mix_down
        clips = labelled.from_test_folder(options.test_dir, run.labels(), run.front_end(), mix_down)
    else:
        clips = labelled.from_records(
            data_dir, "validation", run.labels(), run.front_end(), run.data_settings()
        )
    calibration = None if options.no_baseline else verify.load_calibration(run, data_dir)
    report = verify.verify(run, clips, calibration)
    write_json(options.json or run.path / "verify.json", report.to_json())
    print(report.text())
    return 0 if report.holds else 1
