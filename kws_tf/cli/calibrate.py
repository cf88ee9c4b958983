"""Choose a model's trigger: most words found at the false alarms an hour asked for.

Searches threshold (one a word where that helps), smoothing, refractory time and, with
--decision-ms, the time between decisions, on streams of words and recordings without them, in the
chip's arithmetic. Writes the trigger into the model's manifest; only the device's settings change,
not the model. Choose on other recordings than those that the model is measured on. A run that was
trained with negatives has such: without --negatives and --positives its validation data are used.
"""

import math
from pathlib import Path

from kws_tf.checks import check_targets
from kws_tf.cli import command
from kws_tf.errors import KwsError


def main() -> None:
    options = _parser().parse_args()
    _check(options)

    from kws_tf.files import write_json
    from kws_tf.listening.calibrate import calibrate
    from kws_tf.run_folder import open_run
    from kws_tf.tflite import model as models

    is_run = options.model.is_dir()
    model = models.load(open_run(options.model).model_file if is_run else options.model)
    manifest = model.manifest
    before, log_mel = manifest.trigger, manifest.front_end.log_mel
    # As the trigger would have them; it refuses what is out of range.
    wanted = [before.changed(decision_ms=ms).decision_ms for ms in options.decision_ms or []]
    listen = _listen_to_run if is_run and not options.negatives else _listen_to_folders
    tuning, text = listen(options, model, [before.decision_ms, *wanted])
    result = calibrate(
        tuning, before, manifest.labels, log_mel, options.alarms_per_hour, wanted or None
    )
    path = manifest.with_trigger(result.trigger).save(model.path)
    print(f"{text}\n{result.text()}\nwritten to {path}")
    if options.json:
        details = {"model": model.path.name, "sha256": model.sha256, "seed": options.seed}
        write_json(options.json, details | {"streams": text} | result.to_json())


def _listen_to_folders(options, model, intervals: list[float]) -> tuple[dict, str]:
    from kws_tf.listening import soak, tuning_streams

    places = tuning_streams.Places(
        options.negatives,
        options.positives,
        options.background,
        tuple(options.snr_db or soak.SNR_DB),
        options.transcripts,
        options.seed,
        options.mix_down,
    )
    return tuning_streams.listen(model, places, intervals)


def _listen_to_run(options, model, intervals: list[float]) -> tuple[dict, str]:
    from kws_tf.run_folder import open_run
    from kws_tf.training import validation

    streams = validation.of_run(open_run(options.model))
    return {ms: streams.tuning(model, ms) for ms in sorted(set(intervals))}, streams.text


def _parser():
    parser = command.parser(__doc__)
    parser.add_argument("model", type=Path, help="a .tflite beside its manifest, or a run folder")
    parser.add_argument(
        "--alarms-per-hour",
        type=float,
        default=0.5,
        metavar="X",
        help="false alarms an hour that are allowed in the negatives",
    )
    several = {"type": Path, "nargs": "+", "default": [], "metavar": "DIR"}
    parser.add_argument(
        "--negatives", **several, help="folders of recordings, of any length, without the words"
    )
    parser.add_argument(
        "--positives",
        **command.DIR,
        help="recordings of the words: one folder a class, or, of a data folder or log-mel "
        "records, the validation partition",
    )
    parser.add_argument(
        "--background",
        **several,
        help="speech or noise under half of the words (default: the negatives)",
    )
    parser.add_argument(
        "--snr-db",
        type=float,
        nargs=2,
        metavar=("LOW", "HIGH"),
        help="active level of these words over that of the background, drawn for each (default: "
        "10 20)",
    )
    parser.add_argument(
        "--transcripts",
        **command.FILE,
        help="a line a recording: name, tab, text; those with a keyword, or what sounds the same, "
        "are left out of negatives and background",
    )
    parser.add_argument(
        "--decision-ms",
        type=float,
        nargs="+",
        metavar="MS",
        help="times between decisions to choose from; a shorter one costs the device more "
        "(default: the manifest's)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the streams of words")
    parser.add_argument("--mix-down", **command.MIX_DOWN)
    parser.add_argument("--json", **command.FILE, help="write all figures as JSON")
    return parser


def _check(options) -> None:
    """Refuses what would fail after the search, or mean nothing."""
    if not options.negatives and (options.positives or not options.model.is_dir()):
        raise KwsError("false alarms are counted in other audio; give --negatives with some")
    if options.negatives and not options.positives:
        raise KwsError("there are no words to find; give --positives with recordings of them")
    if not 0 < options.alarms_per_hour < math.inf:
        raise KwsError(
            f"{options.alarms_per_hour:g} false alarms an hour cannot be had; give "
            "--alarms-per-hour more than 0, such as 0.5"
        )
    if options.seed < 0:
        raise KwsError("--seed is counted from 0; give 0 or more")
    given = ("background", "snr_db", "transcripts", "seed", "mix_down")
    given = [name for name in given if getattr(options, name)]
    if not options.negatives and given:
        raise KwsError(
            f"--{given[0].replace('_', '-')} is of streams that are made of --negatives and "
            "--positives; give those as well, or leave it out"
        )
    if options.snr_db and not all(map(math.isfinite, options.snr_db)):
        raise KwsError("--snr-db takes two finite numbers; give some, such as 10 20")
    check_targets(options.json)
