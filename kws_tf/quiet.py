"""Catching what C++ libraries print."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def captured_stderr() -> Iterator[list[str]]:
    """Collects what is written to the process's stderr; the list is filled at the end."""
    text: list[str] = []
    if sys.stderr:
        sys.stderr.flush()
    try:
        before = os.dup(2)
    except OSError:  # closed
        before = os.open(os.devnull, os.O_WRONLY)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield text
        finally:
            os.dup2(before, 2)
            os.close(before)
            file.seek(0)
            text.append(file.read().decode(errors="replace"))
