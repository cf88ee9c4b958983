"""Measure how long kws-tf and each script take to answer --help, against python -c pass.

Of one that misses the bar the slowest imports are shown (python -X importtime).
"""

import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

import _measure

from kws_tf.cli import command

BAR_MS = 1000
_IMPORT_LINE = re.compile(r"import time:\s*\d+ \|\s*(\d+) \| +(\S+)")


def main() -> None:
    parser = command.parser(__doc__)
    parser.add_argument(
        "scripts",
        type=Path,
        nargs="*",
        metavar="SCRIPT",
        help="files to measure instead of kws-tf and all in scripts/ and benchmarks/",
    )
    _measure.add_options(parser, repeats=9)
    options = parser.parse_args()
    _measure.check(options)
    folders = (_measure.ROOT / name for name in ("scripts", "benchmarks"))
    scripts = options.scripts or [p for f in folders for p in sorted(f.glob("[!_]*.py"))]

    nothing = "python -c pass"
    commands = {nothing: ["-c", "pass"]}
    if not options.scripts:
        commands["kws-tf"] = ["-m", "kws_tf", "--help"]
    commands |= {f"{path.parent.name}/{path.name}": [str(path), "--help"] for path in scripts}
    times = _measure.interleave(
        {name: lambda c=command: seconds(c) for name, command in commands.items()}, options.repeats
    )
    rows, slow = [], {}
    for name, taken in times.items():
        milliseconds = [1000 * t for t in taken]
        is_script = name != nothing
        holds = statistics.median(milliseconds) < BAR_MS
        rows.append(
            _measure.Row(
                name,
                milliseconds,
                "ms",
                _measure.median_ratio(taken, times[nothing]) if is_script else None,
                f"under {BAR_MS}" if is_script else "",
                holds if is_script else None,
            )
        )
        if is_script and not holds:
            slow[name] = slowest_imports(commands[name])
    _measure.report(rows, "x nothing", options, nothing, slowest_imports=slow)
    for name, imports in slow.items():
        print(f"\n{name}, imports with what they import in turn, ms:")
        for module, milliseconds in imports.items():
            print(f"  {milliseconds:7.0f}  {module}")


def run(arguments: list[str]) -> str:
    """Runs Python and returns what it wrote to stderr."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stderr


def seconds(arguments: list[str]) -> float:
    """Returns the seconds that Python takes with these arguments."""
    start = time.perf_counter()
    run(arguments)
    return time.perf_counter() - start


def slowest_imports(arguments: list[str], count: int = 8) -> dict[str, float]:
    """Returns the imports that take longest, milliseconds by module."""
    found = {
        module: int(microseconds) / 1000
        for microseconds, module in _IMPORT_LINE.findall(run(["-X", "importtime", *arguments]))
    }
    return dict(sorted(found.items(), key=lambda entry: -entry[1])[:count])


if __name__ == "__main__":
    command.run(main)
