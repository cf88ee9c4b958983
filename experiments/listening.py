"""Leave models listening, each to the same recordings, and keep what they did.

Words of the test set are laid into quiet, into the books at 10 to 20 dB, and at 10 dB; books and
noise tell the false alarms. Utterances with a keyword, or what sounds the same, are left out. The
trigger is that of the manifest, which kws-tf calibrate has chosen on other recordings.
"""

from pathlib import Path

import plan

from kws_tf.audio.speech_commands import NOISE_FOLDER
from kws_tf.cli import command
from kws_tf.data.spectrograms import files_in, partition_of
from kws_tf.files import write_json
from kws_tf.listening import soak
from kws_tf.run_folder import open_run
from kws_tf.tflite import model as models

OVER_SPEECH_DB = {"in_speech": (10.0, 20.0), "in_speech_10_db": (10.0, 10.0)}


def measure(path: Path, test_dir: Path, books: Path, transcripts: Path, noise: list[Path]) -> dict:
    """Measures a model, a .tflite beside its manifest; returns what is kept, JSON-ready."""
    model = models.load(path)
    quiet = soak.measure(model, soak.Plan([books], test_dir, transcripts=transcripts))
    # Training has heard the others.
    sounds = [path for path in files_in(noise) if path.parent.name != NOISE_FOLDER]
    apart = [path for path in sounds if partition_of(path) == "validation"]
    kept = {
        "sha256": model.sha256,
        "trigger": quiet.details["trigger"],
        "runtime": quiet.details["runtime"],
        "books": _alarms(quiet.negatives),
        "noise": _alarms(soak.measure(model, soak.Plan(noise)).negatives),
        "noise_apart": _alarms(soak.measure(model, soak.Plan(apart)).negatives),
        "quiet": _found(quiet.positives),
    }
    for name, snr_db in OVER_SPEECH_DB.items():
        among = soak.Plan([], test_dir, [books], snr_db, transcripts)
        kept[name] = _found(soak.measure(model, among).positives)
    return kept | {"curve": quiet.curve.to_json()}


def _alarms(negatives) -> dict:
    return {
        "alarms": len(negatives.alarms),
        "hours": negatives.hours,
        "heard": negatives.recordings.text,
    }


def _found(positives) -> dict:
    return {
        "found": len(positives.judged.found),
        "words": positives.words,
        "alarms": len(positives.judged.alarms),
        "hours": positives.hours,
        "delay_seconds": positives.delay(),
        "seed": positives.seed,
    }


def main() -> None:
    parser = command.parser(__doc__)
    parser.add_argument(
        "models", nargs="+", type=Path, help="run folders or .tflite files; their names are kept"
    )
    parser.add_argument("--test-dir", **command.DIR, required=True, help="the canonical test set")
    parser.add_argument("--books", **command.DIR, required=True, help="people who read books")
    parser.add_argument("--transcripts", **command.FILE, required=True, help="what they read")
    parser.add_argument(
        "--noise", nargs="+", type=Path, required=True, metavar="DIR", help="what is no speech"
    )
    parser.add_argument(
        "--results", type=Path, default=plan.ROOT / "experiments" / "listening", help="folder"
    )
    options = parser.parse_args()
    for path in options.models:
        file = open_run(path).model_file if path.is_dir() else path
        places = options.test_dir, options.books, options.transcripts, options.noise
        kept = measure(file, *places)
        options.results.mkdir(parents=True, exist_ok=True)
        write_json(options.results / f"{path.stem if path.is_file() else path.name}.json", kept)
        books, quiet = kept["books"], kept["quiet"]
        print(
            f"{path}: {books['alarms']} false alarms in {books['hours']:.2f} h of books, "
            f"{quiet['found']:,} of {quiet['words']:,} words found in quiet"
        )


if __name__ == "__main__":
    command.run(main)
