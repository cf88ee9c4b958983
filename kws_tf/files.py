"""Writing files so that a reader, or a crash, never meets a part of one."""

import json
import os
from pathlib import Path


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file at once: the old one stays until the new one is whole."""
    path = Path(path)
    temporary = path.with_name(f"{path.name}.part")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, values) -> None:
    """Writes JSON at once, indented, with a final newline."""
    write_bytes(path, (json.dumps(values, indent=1) + "\n").encode())
