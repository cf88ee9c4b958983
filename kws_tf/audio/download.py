"""The two official Speech Commands archives: fetched, checked, unpacked.

Nothing is used before its size and SHA-256 are right, and the final folder appears only when it
is whole. An interrupted download goes on where it stopped.
"""

import dataclasses
import gzip
import hashlib
import http.client
import os
import shutil
import ssl
import sys
import tarfile
import time
import urllib.error
import urllib.request
import zlib
from pathlib import Path, PurePosixPath

from kws_tf.errors import KwsError

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


@dataclasses.dataclass(frozen=True)
class Archive:
    """A .tar.gz file on the web and what it must be.

    Attributes:
        name: File name; it unpacks into a folder of this name without ``.tar.gz``.
        url: Where it is.
        bytes: Its size.
        sha256: Its SHA-256, 64 hex digits.
    """

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
"""Training, validation and testing clips of 35 words, and the noise recordings."""
SPEECH_COMMANDS_TEST_SET = Archive(
    "speech_commands_test_set_v0.02.tar.gz",
    "http://download.tensorflow.org/data/speech_commands_test_set_v0.02.tar.gz",
    112_563_277,
    "cc2a00c1147c2254e9be3fa0f779d8c17421dc349b86366567a8edfa9acd51df",
)
"""The canonical 12-class test set."""


def fetch(archive: Archive, target_dir: str | os.PathLike, progress: bool = True) -> Path:
    """Downloads and unpacks an archive, or returns at once where that is done.

    Args:
        archive: What to fetch.
        target_dir: Holds the archive and the unpacked folder afterwards; made if missing. An
            archive that is there already is used, once checked.
        progress: Whether to write a progress line to stderr.

    Returns:
        The unpacked folder.

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
            _verify(archive, path, progress)
        else:
            _download(archive, part, progress)
            _verify(archive, part, progress)
            os.replace(part, path)
        _unpack(path, folder, progress)
    except (FileExistsError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
        raise KwsError(
            f"cannot write {error.filename or target_dir}: {error.strerror}; give another folder"
        ) from error
    return folder


def _download(archive: Archive, part: Path, progress: bool) -> None:
    """Downloads into ``part``, after what is there, until it has the archive's size."""
    failure: Exception | str = "the server closed the connection"
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_RETRY_WAIT_S)
        try:
            if _size(part) < archive.bytes:
                _transfer(archive, part, progress)
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


def _transfer(archive: Archive, part: Path, progress: bool) -> None:
    """Appends to ``part`` what one connection gives; starts anew if the server cannot resume."""
    have = _size(part)
    request = urllib.request.Request(archive.url)
    if have:
        request.add_header("Range", f"bytes={have}-")
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:
        resumes = (response.headers.get("Content-Range") or "").startswith(f"bytes {have}-")
        if not resumes:
            have = 0
        with open(part, "ab" if resumes else "wb") as file:
            bar = _Progress(f"downloading {archive.name}", archive.bytes, have, progress)
            # One byte more than wanted shows that the server's file is too long.
            while have <= archive.bytes and (data := response.read(_CHUNK)):
                file.write(data)
                have += len(data)
                bar.update(have)
            bar.close()


def _verify(archive: Archive, path: Path, progress: bool) -> None:
    """Removes ``path`` and raises unless it is the archive, by size and SHA-256."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        bar = _Progress(f"checking {archive.name}", archive.bytes, 0, progress)
        while data := file.read(_CHUNK):
            digest.update(data)
            bar.update(file.tell())
        size = file.tell()
        bar.close()
    if size == archive.bytes and digest.hexdigest() == archive.sha256:
        return
    path.unlink()
    what = "SHA-256" if size == archive.bytes else f"size ({size} bytes, not {archive.bytes})"
    raise KwsError(f"{path} has a wrong {what} and has been removed; run again to download it anew")


def _unpack(path: Path, folder: Path, progress: bool) -> None:
    """Unpacks into a folder beside ``folder`` and renames it when it is whole."""
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir()
        with open(path, "rb") as file, tarfile.open(fileobj=file, mode="r:gz") as tar:
            bar = _Progress(f"unpacking {path.name}", path.stat().st_size, 0, progress)
            for member in tar:
                _check_member(member, path)
                tar.extract(member, partial, set_attrs=False, filter="data")
                bar.update(file.tell())
            bar.close()
        os.replace(partial, folder)
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise KwsError(
            f"{path} is not a whole .tar.gz archive ({error}); remove it and run again"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _check_member(member: tarfile.TarInfo, path: Path) -> None:
    """Raises unless a member is a plain file or folder within the archive's folder.

    Links are refused altogether: the official archives have none, and none can then lead out.
    """
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts or not (member.isfile() or member.isdir()):
        raise KwsError(
            f"{path} holds '{member.name}', which is a link or would be unpacked outside its "
            "folder; do not use this archive"
        )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


class _Progress:
    """A line on stderr: percent, MB and MB/s; rewritten on a terminal, else a line each 10 %."""

    def __init__(self, title: str, total: int, start: int, enabled: bool):
        self._title, self._total, self._start, self._enabled = title, total, start, enabled
        self._began = time.monotonic()
        self._terminal = sys.stderr.isatty()
        self._shown: float | None = None

    def update(self, done: int) -> None:
        step = time.monotonic() // 0.2 if self._terminal else 10 * done // self._total
        if self._enabled and step != self._shown:
            self._shown = step
            self._write(done)

    def _write(self, done: int) -> None:
        speed = (done - self._start) / max(time.monotonic() - self._began, 1e-3)
        print(
            f"{self._title}: {100 * done / self._total:3.0f} %, {done / 1e6:.1f} of "
            f"{self._total / 1e6:.1f} MB, {speed / 1e6:.1f} MB/s",
            file=sys.stderr,
            end="\r" if self._terminal else "\n",
            flush=True,
        )

    def close(self) -> None:
        if self._enabled and self._terminal:
            print(file=sys.stderr)
