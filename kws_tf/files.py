"""Writing files so that a reader, or a crash, never meets a part of one."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Makes a file appear at once: the old one stays until the new one is whole.

    Yields where to write meanwhile: beside it, with the same ending. An OSError has the file's
    name, also where the disk is full.
    """
    path = Path(path)
    is_special = path.exists() and not path.is_file()  # a device or a pipe stays what it is
    target = Path(os.path.realpath(path))  # and so does a link
    unfinished = path if is_special else target.with_name(f".{target.stem}.part{target.suffix}")
    try:
        yield unfinished
        if not is_special:
            os.replace(unfinished, target)
    except OSError as error:
        if error.filename in (None, str(unfinished)):  # a full disk names no file
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        if not is_special:
            with suppress(OSError):
                unfinished.unlink()


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file at once; raises as ``replacing``."""
    with replacing(path) as unfinished:
        unfinished.write_bytes(content)


def write_json(path: Path, values) -> None:
    """Writes JSON at once, indented, with a final newline; raises as ``replacing``."""
    write_bytes(path, (json.dumps(values, indent=1) + "\n").encode())


def folder_digest(folder: Path) -> str:
    """Returns a hash of the names and sizes of all files within, wherever the folder is.

    That of a file is of its size.
    """
    digest = hashlib.sha256()
    if Path(folder).is_file():
        digest.update(b"%d" % Path(folder).stat().st_size)
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(place, name)
            size = path.stat().st_size if path.exists() else 0
            digest.update(os.fsencode(path.relative_to(folder)) + f"\0{size}\0".encode())
    return digest.hexdigest()
