"""Write a folder for firmware: the model and the front end as C, an application for TFLM.

The folder compiles as it is: cmake -B build && cmake --build build. Its README.md says what is
in it and how it gets onto a board.
"""

from pathlib import Path

from kws_tf.cli import command


def main() -> None:
    parser = command.parser(__doc__)
    parser.add_argument("model", type=Path, help="the .tflite file, its manifest beside it")
    parser.add_argument("-o", "--out", **command.DIR, required=True, help="the folder")
    parser.add_argument(
        "--examples",
        **command.FILE,
        nargs="+",
        help="recordings for the golden vectors (default: generated signals)",
    )
    options = parser.parse_args()

    from kws_tf.deployment.export import export

    result = export(options.model, options.out, options.examples or ())
    print(f"{'part':28}{'flash':>10}{'RAM':>10}")
    for part, flash, ram in result.memory:
        print(f"{part:28}{flash:10}{ram:10}")
    used, size = result.model.arena_used, result.model.arena_bytes
    print(f"bytes, without code; the arena used {used} of {size}")
    print(f"written to {result.folder}; see README.md there")
