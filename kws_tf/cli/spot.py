"""Run a model over a recording of any length and print the words it detects, with times.

It decides as the device does: on a sliding window, by averaged posteriors, with the trigger of
the model's manifest unless options say otherwise.
"""

from pathlib import Path

from kws_tf.cli import command


def main() -> None:
    parser = command.parser(__doc__)
    parser.add_argument(
        "model_path", type=Path, metavar="model", help="a .tflite file, its manifest beside it"
    )
    parser.add_argument("recording", type=Path, help="an audio file, such as WAV or FLAC")
    for name, kind, text in (
        ("decision-ms", float, "time between decisions, ms"),
        ("smoothing-decisions", int, "posteriors are averaged over so many decisions"),
        ("threshold", float, "least averaged posterior, of every word"),
        ("refractory-ms", float, "time after a detection without another, ms"),
    ):
        parser.add_argument(f"--{name}", type=kind, help=f"{text} (default: the manifest's)")
    parser.add_argument("--mix-down", **command.MIX_DOWN)
    parser.add_argument("--json", **command.FILE, help="a file to write the detections to")
    options = vars(parser.parse_args())

    from kws_tf.evaluation.spotting import spot
    from kws_tf.files import write_json

    target = options.pop("json")
    spotted = spot(**{name: value for name, value in options.items() if value is not None})
    if target:
        write_json(target, spotted.to_json())
    print(spotted.text())
