"""Convert a run to a full-int8 .tflite whose scales are the trained clips.

Writes RUN/model.tflite and its manifest RUN/model.json.
"""

from pathlib import Path

from kws_tf.checks import check_targets
from kws_tf.cli import command
from kws_tf.errors import KwsError


def main() -> None:
    parser = command.parser(__doc__)
    parser.add_argument("run", type=Path, help="a run folder whose training is finished")
    parser.add_argument("-o", "--out", **command.FILE, help="the model (default: RUN/model.tflite)")
    options = parser.parse_args()
    if options.out and options.out.suffix != ".tflite":
        raise KwsError(
            f"the model would be {options.out} and its manifest beside it end in .json; give an "
            "--out that ends in .tflite"
        )
    check_targets(options.out)

    from kws_tf.conversion.convert import convert_run
    from kws_tf.run_folder import open_run

    run = open_run(options.run)
    manifest = convert_run(run, options.out)
    print(f"{options.out or run.model_file}: {manifest.bytes:,} bytes, int8 in and out")
    print(f"{'clip':<24} {'value':>9}")
    for name, clip in manifest.clips.items():
        print(f"{name:<24} {clip:>9.4f}")
