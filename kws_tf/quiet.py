"""Catching what C++ libraries print."""

import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.RLock()  # the process has one stderr, whatever its threads


@contextmanager
def captured_stderr() -> Iterator[list[str]]:
    """Collects what is written to the process's stderr; the list is filled at the end."""
    text: list[str] = []
    with _lock:
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
