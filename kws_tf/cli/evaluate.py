"""Evaluate a converted model, or the Keras model of a run, on labelled clips.

Prints accuracy as n of N, precision and recall of each class and the confusion matrix; writes
evaluation-<runtime>.json and .png into the run folder, and RUN/accuracy.json; beside a model that
is in no run, NAME.evaluation-<runtime>.json and .png.
"""

from pathlib import Path

from kws_tf.cli import command


def main() -> None:
    parser = command.parser(__doc__)
    parser.add_argument("model", type=Path, help="a .tflite beside its manifest, or a run folder")
    data = parser.add_mutually_exclusive_group()
    data.add_argument(
        "--test-dir",
        type=Path,
        help="a test set of audio, one folder a class; if absent, the one beside a run's data",
    )
    data.add_argument("--records", type=Path, help="log-mel records to take --partition of")
    parser.add_argument(
        "--partition",
        choices=("validation", "training"),
        default="validation",
        help="partition of the records",
    )
    parser.add_argument(
        "--runtime",
        choices=("tflite", "tflm", "keras"),
        default="tflite",
        help="TFLite, TFLite Micro (compared with TFLite), or a run's Keras model",
    )
    parser.add_argument(
        "--kernels", choices=("default", "reference"), default="default", help="TFLite's kernels"
    )
    parser.add_argument(
        "--frontend",
        choices=("tensorflow", "c"),
        default="tensorflow",
        help="whose features: TensorFlow's, or those of the C code for the chip (--test-dir)",
    )
    parser.add_argument(
        "--phase",
        choices=("quantized", "float"),
        default="quantized",
        help="which model of the run, with --runtime keras",
    )
    parser.add_argument(
        "--mix-down", action="store_true", help="mix stereo files down instead of refusing them"
    )
    parser.add_argument(
        "--output", type=Path, help="folder for JSON and PNG instead of the model's"
    )
    parser.add_argument("--json", type=Path, help="a further file to write the JSON to")
    options = parser.parse_args()

    import dataclasses

    from kws_tf.evaluation import evaluate, labelled
    from kws_tf.settings import DataSettings

    subject = evaluate.open_subject(options.model, options.runtime, options.phase)
    if not options.records:
        test_dir = options.test_dir or evaluate.test_set_of(subject)
        clips = labelled.from_test_folder(
            test_dir, subject.labels, subject.front_end, options.mix_down
        )
    else:
        settings = subject.run.data_settings() if subject.run else None
        settings = settings or DataSettings(words=subject.labels[2:])
        if options.mix_down:
            settings = dataclasses.replace(settings, mix_down=True)
        clips = labelled.from_records(
            options.records, options.partition, subject.labels, subject.front_end, settings
        )
    evaluation = evaluate.evaluate(
        subject, clips, options.runtime, options.kernels, options.phase, options.frontend
    )
    print(evaluation.text())
    folder = options.output or subject.file.parent
    files = evaluate.save(evaluation, subject, folder, options.json)
    print("written:", ", ".join(map(str, files)))
