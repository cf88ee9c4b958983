"""Copy what others need of finished runs, to learn from them or to fine-tune them, to a folder.

Runs of experiments/run.py take their results along.
"""

from pathlib import Path

from plan import RESULT

from kws_tf.cli import command
from kws_tf.errors import KwsError
from kws_tf.files import write_bytes, write_json
from kws_tf.models.building import save_weights
from kws_tf.run_folder import RunFolder, by_name, open_run, read_json
from kws_tf.settings import as_json


def publish_run(run: RunFolder, folder: Path) -> Path:
    """Copies what a run needs to be loaded, learned from and fine-tuned elsewhere.

    That is settings, labels, front end, history, best weights and, of an experiment, its result;
    places on this machine become names.

    Args:
        run: A finished run.
        folder: Where to; the copy has the run's name.

    Returns:
        The copy, a run folder.

    Raises:
        KwsError: If the run is not finished.
    """
    target = RunFolder(Path(folder) / run.path.resolve().name)
    settings = run.train_settings()
    epochs = {"float": settings.float_epochs, "quantized": settings.quantized_epochs}
    done = [row["phase"] for row in run.history()]
    if any(done.count(phase) < number for phase, number in epochs.items()):
        raise KwsError(
            f"{run.path} is not finished; let kws-tf train finish (the same command resumes)"
        )
    phases = [phase for phase, number in epochs.items() if number]
    target.path.mkdir(parents=True, exist_ok=True)
    copied = [run.path / "labels.txt", run.front_end_file, run.history_file]
    result = run.path / RESULT
    for path in copied + ([result] if result.exists() else []):
        write_bytes(target.path / path.name, path.read_bytes())
    for phase in phases:  # without the optimizer's state, which is twice as large
        save_weights(run.load_model(phase), target.weights_file(phase))
    write_json(target.settings_file, portable_settings(run))
    return target.path


def portable_settings(run: RunFolder) -> dict:
    """Returns a run's settings with names of runs and data instead of where they lie."""
    others = as_json(run.other_recordings())
    return read_json(run.settings_file) | {
        "train": as_json(by_name(run.train_settings())),
        "data_dir": run.data_dir().name,
        "other_recordings": {
            kind: [Path(place).name for place in places] for kind, places in others.items()
        },
    }


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
    for path in options.runs:
        print(publish_run(open_run(path), options.out))


if __name__ == "__main__":
    command.run(main)
