"""Write a folder for firmware: front end, model and trigger, with TFLM or in C alone.

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
    whose = parser.add_mutually_exclusive_group()
    whose.add_argument(
        "--bare", action="store_true", help="in C alone, without TensorFlow Lite Micro (TFLM)"
    )
    whose.add_argument(
        "--kernels",
        choices=("kws", "cmsis-nn", "reference"),
        default="kws",
        help="whose LSTM runs under TFLM: this project's, CMSIS-NN's or TFLM's",
    )
    options = parser.parse_args()

    from kws_tf.deployment.export import export

    examples = options.examples or ()
    result = export(
        options.model, options.out, examples, kernels=options.kernels, bare=options.bare
    )
    print(f"{'part':28}{'flash':>10}{'RAM':>10}")
    for part, flash, ram in result.memory:
        print(f"{part:28}{flash:10}{ram:10}")
    print("bytes, without code")
    print(f"written to {result.folder}; see README.md there")
