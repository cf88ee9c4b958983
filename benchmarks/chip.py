"""The bare firmware on emulated Cortex-Ms: the same outputs as Python's, and what they cost.

Exports a model without TFLM, runs it under QEMU on examples of a test set, and compares every
output with Python's; exit code 1 if one differs. Costs are those of the golden example that takes
most. QEMU counts instructions, not cycles; docs/deploy.md says how to measure those on a board.
"""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import _measure

from kws_tf.cli import command
from kws_tf.errors import KwsError
from kws_tf.files import write_json

CPUS = ("cortex-m0plus", "cortex-m4", "cortex-m7", "cortex-m55")
TOOLS = ("arm-none-eabi-gcc", "arm-none-eabi-size", "cmake", "qemu-system-arm")


def main() -> None:
    parser = command.parser(__doc__)
    parser.add_argument("model", type=Path, help="the .tflite file, its manifest beside it")
    parser.add_argument(
        "--test-dir", type=Path, required=True, help="a test set of audio, one folder per class"
    )
    parser.add_argument(
        "--examples",
        type=_measure.positive,
        default=120,
        metavar="N",
        help="examples, evenly spread over the test set",
    )
    parser.add_argument("--cpus", nargs="+", choices=CPUS, default=CPUS, help="which to emulate")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures as JSON")
    options = parser.parse_args()
    _measure.check(options)
    for tool in TOOLS:
        if not shutil.which(tool):
            raise KwsError(f"{tool} is missing; install it and run again")
    rows = measure(options.model, options.test_dir, options.examples, options.cpus)
    if options.json:
        write_json(options.json, rows)
    if unequal := [row["cpu"] for row in rows if row["equal"] < row["examples"]]:
        raise SystemExit(f"outputs differ from Python's on {', '.join(unequal)}")


def measure(model_path: Path, test_dir: Path, examples: int, cpus) -> list[dict]:
    """Runs every processor, prints a row of each, and returns the rows."""
    from kws_tf.deployment.export import export
    from kws_tf.tflite import model as models

    model = models.load(model_path)
    samples, expected = examples_of(model, test_dir, examples)
    macs = multiply_accumulates(model.manifest)
    print(f"{model_path.name}: {macs:,} multiply-accumulates an inference, {len(samples)} examples")
    print(
        "processor       equal      instructions  per MAC  front end a hop  M/s"
        "    flash  beside weights    RAM  stack"
    )
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        export(model_path, folder, bare=True)
        samples.tofile(folder / "examples.s16")
        for cpu in cpus:
            row = run(folder, cpu, expected, macs, model.manifest.front_end)
            rows.append(row)
            print(
                f"{cpu:<13}{row['equal']:>5} of {len(samples):<5}{row['model']:>12,}"
                f"{row['model'] / macs:>9.3f}{row['hop']:>17,}{row['per_second'] / 1e6:>5.1f}"
                f"{row['flash']:>9,}{row['flash'] - len(model.content):>16,}{row['ram']:>7,}"
                f"{row['stack']:>7,}",
                flush=True,
            )
    return rows


def examples_of(model, test_dir: Path, count: int):
    """Returns int16 [examples, samples], evenly spread, and the outputs Python expects."""
    import numpy as np

    from kws_tf.audio import speech_commands
    from kws_tf.chip.spotter import ChipSpotter
    from kws_tf.data.sources import read_samples

    files = speech_commands.scan_test_set(test_dir, model.manifest.labels)
    chosen = np.unique(np.linspace(0, len(files) - 1, count).astype(int))
    samples = read_samples([files[n][0] for n in chosen], model.manifest.front_end)
    return samples, ChipSpotter(model).outputs(samples)


def multiply_accumulates(manifest) -> int:
    """Returns those of one window: the LSTM's and the classifier's."""
    front_end, units = manifest.front_end, manifest.hidden_units
    steps = front_end.frames * 4 * units * (front_end.features + units)
    return steps + units * len(manifest.labels)


def run(folder: Path, cpu: str, expected, macs: int, front_end) -> dict:
    """Builds and emulates one processor; returns its row."""
    import numpy as np

    printed = output_of("sh", "run_qemu.sh", cpu, folder=folder)
    outputs = [line.split()[1:] for line in printed.splitlines() if line.startswith("output ")]
    equal = int(np.sum(np.all(np.array(outputs, int) == expected, axis=1)))

    def number(text: str) -> int:
        return max(int(value) for value in re.findall(text + r" (\d+)", printed))

    row = {
        "cpu": cpu,
        "examples": len(expected),
        "equal": equal,
        "model": number("instructions of the model:"),
        "hop": number("instructions of the front end:") // front_end.frames,
        "ram": number("keyword spotter:"),
        "stack": number("bytes of stack:"),
        "flash": flash(folder, cpu),
    }
    hops = 1000 / front_end.log_mel.hop_ms
    row["per_second"] = round(hops * row["hop"] + 5 * row["model"])  # a decision every 200 ms
    return row


def flash(folder: Path, cpu: str) -> int:
    """Returns the bytes of code, tables and weights, for size, without those of the C library."""
    toolchain = f"-DCMAKE_TOOLCHAIN_FILE={folder / 'arm-none-eabi.cmake'}"
    options = [toolchain, f"-DKWS_CPU={cpu}", "-DCMAKE_BUILD_TYPE=MinSizeRel"]
    output_of("cmake", "-S", ".", "-B", f"size-{cpu}", *options, folder=folder)
    output_of("cmake", "--build", f"size-{cpu}", folder=folder)
    total = 0
    for library in ("frontend", "lstm", "trigger", "bare"):
        path = f"size-{cpu}/libkws_{library}.a"
        last = output_of("arm-none-eabi-size", "-t", path, folder=folder).splitlines()[-1]
        total += sum(int(number) for number in last.split()[:2])
    return total


def output_of(*words: str, folder: Path) -> str:
    """Runs a tool in a folder and returns what it printed.

    Raises:
        KwsError: If it fails.
    """
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise KwsError(f"{' '.join(words)} failed: {(done.stderr or done.stdout)[-300:]}")
    return done.stdout


if __name__ == "__main__":
    command.run(main)
