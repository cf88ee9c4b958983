"""The two official Speech Commands archives: fetched, checked, unpacked.

Nothing is used before its size and SHA-256 are right, and the final folder appears only when it
is whole. An interrupted download goes on where it stopped.
"""

import gzip
import hashlib
import http.client
import os
import shutil
import ssl
import tarfile
import time
import urllib.error
import urllib.request
import zlib
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from kws_tf.errors import KwsError
from kws_tf.progress import progress

_CHUNK = 1 << 20
_TIMEOUT_S = 30.0
_ATTEMPTS = 5
_RETRY_WAIT_S = 2.0
_NETWORK_ERRORS = (
    urllib.error.URLError,
    http.client.HTTPException,
    ConnectionError,
    TimeoutError,
    ssl.SSLError,
)


class Archive(NamedTuple):
    """A .tar.gz file on the web, its size and its SHA-256 in hex digits."""

    name: str
    url: str
    bytes: int
    sha256: str


# Sizes and hashes as TensorFlow Datasets publishes them:
# https://github.com/tensorflow/datasets/blob/master/tensorflow_datasets/url_checksums/speech_commands.txt
SPEECH_COMMANDS = Archive(
    "speech_commands_v0.02.tar.gz",
    "http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz",
    2_428_923_189,
    "af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
)
"""Recordings of 35 words for training, validation and testing, and of noise."""
SPEECH_COMMANDS_TEST_SET = Archive(
    "speech_commands_test_set_v0.02.tar.gz",
    "http://download.tensorflow.org/data/speech_commands_test_set_v0.02.tar.gz",
    112_563_277,
    "cc2a00c1147c2254e9be3fa0f779d8c17421dc349b86366567a8edfa9acd51df",
)
"""The canonical 12-class test set."""


def fetch(archive: Archive, target_dir: str | os.PathLike) -> Path:
    """Downloads and unpacks an archive, or returns its folder at once where that is done.

    The folder is named as the archive without ``.tar.gz``, and beside it. An archive that is there
    already is used, once checked.

    Raises:
        KwsError: The folder cannot be written, the network fails, the server sends something else,
            or the archive is broken or would unpack outside its folder.
        OSError: The disk is full.
    """
    target_dir = Path(target_dir)
    folder = target_dir / archive.name.removesuffix(".tar.gz")
    if folder.is_dir():
        return folder
    path = target_dir / archive.name
    part = target_dir / f"{archive.name}.part"
    try:
        target_dir.mkdir(parents=True, exist_ok=True)
        if path.exists():
            _verify(archive, path)
        else:
            _download(archive, part)
            _verify(archive, part)
            os.replace(part, path)
        _unpack(path, folder)
    except (FileExistsError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
        raise KwsError(
            f"cannot write {error.filename or target_dir}: {error.strerror}; give another folder"
        ) from error
    except OSError as error:  # a full disk, which names no file
        error.filename = error.filename or str(target_dir)
        raise
    return folder


def _download(archive: Archive, part: Path) -> None:
    """Downloads into ``part``, after what is there, until it has the archive's size."""
    failure: Exception | str = "the server closed the connection"
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_RETRY_WAIT_S)
        try:
            if _size(part) < archive.bytes:
                _transfer(archive, part)
        except urllib.error.HTTPError as error:
            if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
                part.unlink(missing_ok=True)  # the server has a shorter file than this piece
            raise KwsError(
                f"cannot download {archive.url}: the server answers {error.code} {error.reason}; "
                "try later, or download it by hand into the same folder"
            ) from error
        except _NETWORK_ERRORS as error:
            failure = getattr(error, "reason", error)
        if _size(part) >= archive.bytes:
            return
    raise KwsError(
        f"the download of {archive.url} stopped at {_size(part) / 1e6:.1f} of "
        f"{archive.bytes / 1e6:.1f} MB ({failure}); run again to go on from there"
    )


def _transfer(archive: Archive, part: Path) -> None:
    """Appends to ``part`` what one connection gives; starts anew if the server cannot resume."""
    have = _size(part)
    request = urllib.request.Request(archive.url)
    if have:
        request.add_header("Range", f"bytes={have}-")
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:
        resumes = (response.headers.get("Content-Range") or "").startswith(f"bytes {have}-")
        with open(part, "ab" if resumes else "wb") as file:
            chunks = iter(partial(response.read, _CHUNK), b"")
            for data in progress(chunks, archive.bytes, f"downloading {archive.name}", file.tell):
                file.write(data)
                if file.tell() > archive.bytes:  # the server's file is too long
                    break


def _verify(archive: Archive, path: Path) -> None:
    """Removes ``path`` and raises unless it is the archive, by size and SHA-256."""
    digest, size = hashlib.sha256(), path.stat().st_size
    with open(path, "rb") as file:
        chunks = iter(partial(file.read, _CHUNK), b"")
        for data in progress(chunks, size, f"checking {archive.name}", file.tell):
            digest.update(data)
    if size == archive.bytes and digest.hexdigest() == archive.sha256:
        return
    path.unlink()
    what = "SHA-256" if size == archive.bytes else f"size ({size} bytes, not {archive.bytes})"
    raise KwsError(f"{path} has a wrong {what} and has been removed; run again to download it anew")


def _unpack(path: Path, folder: Path) -> None:
    """Unpacks into a folder beside ``folder`` and renames it when it is whole."""
    unfinished = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        unfinished.mkdir()
        with open(path, "rb") as file, tarfile.open(fileobj=file, mode="r:gz") as tar:
            title = f"unpacking {path.name}"
            for member in progress(tar, path.stat().st_size, title, file.tell):
                if not _is_safe(member):
                    raise KwsError(
                        f"{path} holds '{member.name}', which is a link or would be unpacked "
                        "outside its folder; do not use this archive"
                    )
                tar.extract(member, unfinished, set_attrs=False, filter="data")
        os.replace(unfinished, folder)
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise KwsError(
            f"{path} is not a whole .tar.gz archive ({error}); remove it and run again"
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _is_safe(member: tarfile.TarInfo) -> bool:
    """Tells whether a member is a file or folder within; links are refused, as none is official."""
    name = PurePosixPath(member.name)
    return not name.is_absolute() and ".." not in name.parts and (member.isfile() or member.isdir())


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
