"""Copy a run's model to tflite_models/, with manifest, accuracies and a sample of test inputs."""

from pathlib import Path

from kws_tf.cli import command


def main() -> None:
    parser = command.parser(__doc__)
    parser.add_argument("run", type=Path, help="a run folder, converted and evaluated")
    parser.add_argument("name", help="name of the files, without ending")
    parser.add_argument(
        "--test-dir", type=Path, required=True, metavar="DIR", help="test set the sample is from"
    )
    parser.add_argument(
        "-o", "--out", type=Path, default=Path("tflite_models"), metavar="DIR", help="folder"
    )
    options = parser.parse_args()

    from kws_tf.deployment.publish import publish
    from kws_tf.evaluation import labelled
    from kws_tf.run_folder import open_run

    run = open_run(options.run)
    examples = labelled.of_run(run, options.test_dir)
    print(publish(run, options.out, options.name, examples))
