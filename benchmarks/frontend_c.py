"""The C front end and the firmware of a model: agreement with Python, accuracy, cost.

Agreement and accuracy over a test set, values as the chip computes them; then instructions and
bytes, as far as the tools are there: callgrind for this machine, QEMU and arm-none-eabi-gcc for
Cortex-M. Instructions are not cycles; docs/deploy.md says how to measure those on a board.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import _measure

from kws_tf.cli import command

CPUS = {
    "cortex-m0plus": [],
    "cortex-m4": ["-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"],
    "cortex-m7": ["-mfloat-abi=hard", "-mfpu=fpv5-d16"],
}
CODE = ("kws_frontend.c", "kws_fft.c")
TFLM_STAND_IN = Path(__file__).resolve().parent.parent / "tests" / "tflm_stub"
INFERENCES = """
import sys
import numpy as np
from tflite_micro import runtime
interpreter = runtime.Interpreter.from_file(sys.argv[1])
example = np.zeros(interpreter.get_input_details(0)["shape"], np.int8)
for _ in range(int(sys.argv[2])):
    interpreter.reset()
    interpreter.set_input(example, 0)
    interpreter.invoke()
"""


def main() -> None:
    parser = command.parser(__doc__)
    parser.add_argument("model", type=Path, help="the .tflite file, its manifest beside it")
    parser.add_argument("--test-dir", type=Path, help="a test set of audio, one folder per class")
    parser.add_argument(
        "--agreement-examples",
        type=_measure.positive,
        default=1000,
        metavar="N",
        help="examples, evenly spread, for the agreement",
    )
    options = parser.parse_args()

    from kws_tf.deployment.export import export

    if options.test_dir:
        compare(options.model, options.test_dir, options.agreement_examples)
    with tempfile.TemporaryDirectory() as name:
        result = export(options.model, Path(name), kernels="reference")
        cost(options.model, result)


def compare(model_path: Path, test_dir: Path, agreement_examples: int) -> None:
    """Prints how front end, decisions and accuracy compare with Python's."""
    import numpy as np

    from kws_tf.audio import speech_commands
    from kws_tf.chip.frontend import c_features_int8
    from kws_tf.data.sources import read_samples
    from kws_tf.frontend.features import features
    from kws_tf.tflite import model as models
    from kws_tf.tflite import tflm

    opened = models.load(model_path)
    manifest, model = opened.manifest, opened.content
    files = speech_commands.scan_test_set(test_dir, manifest.labels)
    samples = read_samples([path for path, _ in files], manifest.front_end)
    labels = np.array([label for _, label in files])
    parts = np.array_split(samples, -(-len(samples) // 256))
    python = np.concatenate(
        [
            manifest.quantize(features(p / np.float32(32768), manifest.front_end).numpy())
            for p in parts
        ]
    )
    c = c_features_int8(samples, manifest)
    decided = {
        name: tflm.run(model, x).outputs[0].argmax(1) for name, x in (("py", python), ("c", c))
    }

    some = np.unique(np.linspace(0, len(files) - 1, agreement_examples).astype(int))
    for title, chosen in ((f"{len(some)} examples", some), ("all examples", np.arange(len(files)))):
        difference = np.abs(c[chosen].astype(int) - python[chosen])
        equal = np.sum(decided["py"][chosen] == decided["c"][chosen])
        print(
            f"{title}: int8 inputs equal {np.sum(difference == 0)} of {difference.size} "
            f"({100 * np.mean(difference == 0):.4f} %), largest difference {difference.max()}; "
            f"decisions equal {equal} of {len(chosen)}"
        )
    for name, title in (("py", "TensorFlow front end"), ("c", "C front end")):
        right = np.sum(decided[name] == labels)
        print(f"{title} + TFLM: {right} of {len(labels)} ({100 * right / len(labels):.2f} %)")


def cost(model_path: Path, result) -> None:
    """Prints instructions and bytes."""
    folder, front_end = result.folder, result.manifest.front_end
    units, classes = result.manifest.hidden_units, len(result.manifest.labels)
    macs = front_end.frames * 4 * units * (front_end.features + units) + units * classes
    print(f"multiply-accumulates per inference: {macs}")
    if shutil.which("valgrind") and shutil.which("cmake"):
        build = folder / "build"
        run("cmake", "-S", folder, "-B", build)
        run("cmake", "--build", build)
        inside = collected("--toggle-collect=kws_frontend_row", build / "kws_golden_frontend")
        rows = 3 * front_end.frames  # of the three golden signals
        print(f"callgrind, instructions per hop (this machine): {inside // rows}")
        few, more = (
            collected(sys.executable, "-c", INFERENCES, model_path, str(n)) for n in (1, 5)
        )
        print(
            "callgrind, instructions per inference (TFLM reference kernels, this machine): "
            f"{(more - few) // 4}"
        )
    if not shutil.which("arm-none-eabi-gcc"):
        print("arm-none-eabi-gcc is not installed: no figures for Cortex-M")
        return
    for cpu, flags in CPUS.items():
        code, stack = code_and_stack(folder, ["-mthumb", f"-mcpu={cpu}", *flags])
        tables = next(m for m in result.memory if m.part.startswith("front end"))
        line = f"{cpu}: front end {code} bytes of code (-Os), {tables.flash} of tables, "
        line += f"{tables.ram} of RAM, {stack} of stack in its largest function"
        if shutil.which("qemu-system-arm") and shutil.which("cmake"):
            printed = run("sh", folder / "run_qemu.sh", cpu)
            hop = re.search(r"instructions per hop: (\d+)", printed)[1]
            line += f"; QEMU, instructions per hop (-O3): {hop}"
        print(line)
    flags = ["-std=c++17", "-fno-exceptions", "-fno-rtti", "-mthumb", "-mcpu=cortex-m4"]
    flags += [*CPUS["cortex-m4"], f"-I{folder}", f"-I{TFLM_STAND_IN}"]
    size = code_bytes("arm-none-eabi-g++", folder / "keyword_spotter.cc", flags)
    print(f"cortex-m4: application {size} bytes of code (-Os, TFLM itself not counted)")
    flash, ram = sum(m.flash for m in result.memory), sum(m.ram for m in result.memory)
    arena = result.model.arena_bytes
    print(f"firmware without code: {flash} bytes of flash, {ram} of RAM (arena {arena})")


def code_bytes(compiler: str, source: Path, flags: list[str]) -> int:
    """Compiles for size and returns the bytes of code; leaves ``size.su``, the stack's use."""
    compiled = source.parent / "size.o"
    run(compiler, "-Os", "-fstack-usage", *flags, "-c", source, "-o", compiled)
    return int(run("arm-none-eabi-size", compiled).splitlines()[1].split()[0])


def code_and_stack(folder: Path, target: list[str]) -> tuple[int, int]:
    """Returns the front end's code in bytes and the stack of the function that takes most."""
    code = stack = 0
    for source in CODE:
        code += code_bytes("arm-none-eabi-gcc", folder / source, ["-std=c99", *target])
        usage = (folder / "size.su").read_text(encoding="utf-8").splitlines()
        stack = max([stack, *(int(line.split("\t")[1]) for line in usage)])
    return code, stack


def collected(*command) -> int:
    """Returns the instructions that callgrind counts."""
    tool = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    environment = {"PYTHONHASHSEED": "0", "PATH": "/usr/bin:/bin"}
    result = subprocess.run(
        [*tool, *map(str, command)], capture_output=True, text=True, check=True, env=environment
    )
    return int(re.search(r"Collected : (\d+)", result.stderr)[1])


def run(*command) -> str:
    """Runs a tool and returns what it printed."""
    return subprocess.run([*map(str, command)], capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    command.run(main)
