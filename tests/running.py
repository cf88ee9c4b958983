"""Running a script or a benchmark in the tests' own process."""

import runpy
import sys
from pathlib import Path

import pytest


def run_main(path: Path, *arguments) -> int | None:
    """Runs a Python file as a command and returns its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [path.name, *map(str, arguments)])
        patch.syspath_prepend(str(path.parent))
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(path), run_name="__main__")
    return end.value.code
