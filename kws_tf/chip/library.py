"""C code of this room as a shared library: built with the system's compiler, loaded by ctypes."""

import ctypes
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from kws_tf.errors import KwsError

FLAGS = ("-std=c99", "-O3", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-pedantic")


def compiler() -> str:
    """Returns the system's C compiler.

    Raises:
        KwsError: If there is none.
    """
    for name in (os.environ.get("CC"), "cc", "gcc", "clang"):
        if name and shutil.which(name):
            return name
    raise KwsError("the chip's C code needs a C compiler here; install gcc or clang, or set CC")


def build(files: Mapping[str, str], flags: Sequence[str] = ()) -> ctypes.CDLL:
    """Compiles C files into a shared library and loads it; no file is left.

    Args:
        files: Texts by name.
        flags: Further options of the compiler.

    Raises:
        KwsError: If there is no compiler, or it refuses the code.
    """
    with tempfile.TemporaryDirectory(prefix="kws_c_") as name:
        folder = Path(name)
        for file, text in files.items():
            (folder / file).write_text(text, encoding="utf-8")
        library = folder / "library.so"
        sources = sorted(str(folder / file) for file in files if file.endswith(".c"))
        command = [compiler(), *FLAGS, *flags, "-shared", "-fPIC", *sources, "-lm", "-o"]
        result = subprocess.run([*command, str(library)], capture_output=True, text=True)
        if result.returncode:
            reason = (result.stderr.strip().splitlines() or ["no message"])[0]
            raise KwsError(
                f"{command[0]} cannot build the chip's C code ({reason}); try another CC"
            )
        return ctypes.CDLL(str(library))
