"""Writing files so that a reader, or a crash, never meets a part of one."""

import hashlib
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


def folder_digest(folder: Path) -> str:
    """Returns a hash of the names and sizes of all files within, wherever the folder is."""
    digest = hashlib.sha256()
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(place, name)
            size = path.stat().st_size if path.exists() else 0
            digest.update(os.fsencode(path.relative_to(folder)) + f"\0{size}\0".encode())
    return digest.hexdigest()
