"""Writing files so that a reader, or a crash, never meets a part of one."""

import errno
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kws_tf.errors import KwsError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Makes a file appear at once: the old one stays until the new one is whole.

    Args:
        path: The file.

    Yields:
        Where to write meanwhile: beside it, with the same ending.

    Raises:
        KwsError: If it cannot be written; names the file.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp(), "words.txt")
        >>> with replacing(file) as unfinished:
        ...     _ = unfinished.write_text("yes, no", encoding="utf-8")
        ...     print(file.exists(), unfinished.suffix)
        False .txt
        >>> file.read_text(encoding="utf-8")
        'yes, no'
    """
    path = Path(path)
    if path.exists() and not path.is_file():  # a device or a pipe, which stays what it is
        with _named_errors(path):
            yield path
        return
    target = Path(os.path.realpath(path))  # a link stays a link
    unfinished = target.with_name(f".{target.stem}.part{target.suffix}")
    try:
        with _named_errors(path):
            yield unfinished
            os.replace(unfinished, target)
    finally:
        with suppress(OSError):
            unfinished.unlink()


@contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            sentence = f"the disk is full while writing {path}; free some space and run again"
        else:
            reason = error.strerror or error
            sentence = f"cannot write {path} ({reason}); check that path and its permissions"
        raise KwsError(sentence) from error


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file at once.

    Raises:
        KwsError: If it cannot be written; names the file.
    """
    with replacing(path) as unfinished:
        unfinished.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Writes text at once, as UTF-8; raises as ``write_bytes``."""
    write_bytes(path, text.encode())


def write_json(path: Path, values) -> None:
    """Writes JSON at once, indented, with a final newline; raises as ``write_bytes``."""
    write_text(path, json.dumps(values, indent=1) + "\n")


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
