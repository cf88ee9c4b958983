import contextlib
import errno
import gzip
import hashlib
import http.server
import io
import itertools
import sys
import tarfile
import threading

import pytest

from kws_tf.audio import download
from kws_tf.errors import KwsError
from kws_tf.progress import progress


class Server(http.server.ThreadingHTTPServer):
    """Serves ``body`` at every path, with the faults that a test sets."""

    daemon_threads = True
    body = b""
    cuts = ()  # bytes sent by each of the first answers before the connection closes
    ranges = True
    status = 200

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = []  # the Range header of each request

    def archive(self, body, **wrong):
        self.body = body
        true = {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
        url = f"http://127.0.0.1:{self.server_port}/data/words.tar.gz"
        return download.Archive("words.tar.gz", url, **{**true, **wrong})


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        wanted = self.headers.get("Range")
        server.asked.append(wanted)
        if server.status != 200:
            self.send_error(server.status)
            return
        start = int(wanted[len("bytes=") : -1]) if wanted and server.ranges else 0
        if start >= len(server.body):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            end = len(server.body) - 1
            self.send_header("Content-Range", f"bytes {start}-{end}/{len(server.body)}")
        self.send_header("Content-Length", str(len(server.body) - start))
        self.end_headers()
        body = server.body[start:]
        if len(server.asked) <= len(server.cuts):
            body = body[: server.cuts[len(server.asked) - 1]]
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(download, "_RETRY_WAIT_S", 0.0)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def tar_gz(*members):
    """An archive of (name or TarInfo, content) members."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for member, content in members:
            if isinstance(member, str):
                member = tarfile.TarInfo(member)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def link(name, target, kind=tarfile.SYMTYPE):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


# Incompressible, so that the archive is large enough to be cut.
WORD = b"".join(hashlib.sha256(bytes([i])).digest() for i in range(256))
GOOD = tar_gz(("./up/aa_nohash_0.wav", WORD), ("./_background_noise_/rain.wav", b"noise"))


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def assert_unpacked(folder):
    assert (folder / "up" / "aa_nohash_0.wav").read_bytes() == WORD
    assert (folder / "_background_noise_" / "rain.wav").read_bytes() == b"noise"


def test_official_archives():
    for archive in (download.SPEECH_COMMANDS, download.SPEECH_COMMANDS_TEST_SET):
        assert archive.url == f"http://download.tensorflow.org/data/{archive.name}"
        assert len(bytes.fromhex(archive.sha256)) == 32
    assert download.SPEECH_COMMANDS.bytes == 2428923189
    assert download.SPEECH_COMMANDS_TEST_SET.bytes == 112563277


def test_whole_download(server, tmp_path):
    target = tmp_path / "new" / "data"
    folder = download.fetch(server.archive(GOOD), target)
    assert folder == target / "words"
    assert_unpacked(folder)
    assert names(target) == ["words", "words.tar.gz"]


def test_done_already(server, tmp_path, capsys):
    archive = server.archive(GOOD)
    download.fetch(archive, tmp_path)
    assert_unpacked(download.fetch(archive, tmp_path))
    assert server.asked == [None]
    assert capsys.readouterr().err == ""  # what takes a moment has no progress line


@pytest.mark.parametrize(
    ("is_terminal", "shown"),
    [
        (True, ["\rx: 4.0 of 9.0 MB, 8 s left", "\rx: 5.0 of 9.0 MB, 6 s left"]),
        (False, ["x: 9.0 of 9.0 MB, 0 s left"]),  # a line each ten seconds
    ],
)
def test_progress_in_bytes(monkeypatch, capsys, is_terminal, shown):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    clock = itertools.count(step=1.5)  # seconds an item
    monkeypatch.setattr("kws_tf.progress.time.monotonic", lambda: next(clock))
    file = io.BytesIO()
    file.seek(2_000_000)  # there already
    for item in progress(range(7), 9_000_000, "x", file.tell):
        assert file.seek(1_000_000, io.SEEK_CUR) == (item + 3) * 1_000_000
    text = capsys.readouterr().err
    assert ("\r" in text) == is_terminal
    assert text.endswith("\n")
    position = -1
    for line in shown:
        position = text.index(line, position + 1)


def test_archive_that_is_there_is_unpacked(server, tmp_path):
    (tmp_path / "words.tar.gz").write_bytes(GOOD)
    assert_unpacked(download.fetch(server.archive(GOOD), tmp_path))
    assert server.asked == []


def test_cut_connection_is_resumed(server, tmp_path):
    server.cuts = (1000, 500)
    assert_unpacked(download.fetch(server.archive(GOOD), tmp_path))
    assert server.asked == [None, "bytes=1000-", "bytes=1500-"]


def test_later_run_resumes(server, tmp_path):
    server.cuts = (1000, *[0] * (download._ATTEMPTS - 1))
    archive = server.archive(GOOD)
    with pytest.raises(KwsError, match=r"stopped at 0\.0 of 0\.0 MB.*run again"):
        download.fetch(archive, tmp_path)
    assert (tmp_path / "words.tar.gz.part").read_bytes() == GOOD[:1000]
    assert_unpacked(download.fetch(archive, tmp_path))
    assert server.asked[-1] == "bytes=1000-"


def test_interrupt_leaves_the_part_and_resumes(server, tmp_path, monkeypatch):
    archive = server.archive(GOOD)
    monkeypatch.setattr(download, "_CHUNK", 700)

    def interrupted(chunks, *_):
        for number, chunk in enumerate(chunks):
            if number == 2:
                raise KeyboardInterrupt
            yield chunk

    with monkeypatch.context() as patch:
        patch.setattr(download, "progress", interrupted)
        with pytest.raises(KeyboardInterrupt):
            download.fetch(archive, tmp_path)
    assert names(tmp_path) == ["words.tar.gz.part"]
    assert_unpacked(download.fetch(archive, tmp_path))
    assert server.asked == [None, "bytes=1400-"]


def test_server_without_range_starts_anew(server, tmp_path):
    server.ranges = False
    server.cuts = (1000,)
    assert_unpacked(download.fetch(server.archive(GOOD), tmp_path))
    assert server.asked == [None, "bytes=1000-"]


def test_whole_part_is_not_fetched_again(server, tmp_path):
    (tmp_path / "words.tar.gz.part").write_bytes(GOOD)
    assert_unpacked(download.fetch(server.archive(GOOD), tmp_path))
    assert server.asked == []


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"sha256": "0" * 64}, "wrong SHA-256"),
        ({"bytes": len(GOOD) - 1}, "wrong size"),
    ],
)
def test_wrong_content_is_removed(server, tmp_path, wrong, words):
    with pytest.raises(KwsError, match=words):
        download.fetch(server.archive(GOOD, **wrong), tmp_path)
    assert names(tmp_path) == []


def test_file_of_the_server_is_too_short(server, tmp_path):
    with pytest.raises(KwsError, match="the server answers 416"):
        download.fetch(server.archive(GOOD, bytes=len(GOOD) + 1), tmp_path)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "body",
    [
        b"<html>a hotel's login page</html>",
        GOOD[: len(GOOD) // 2],
        gzip.compress(gzip.decompress(GOOD)[:5000])[:-8] + bytes(8),
        GOOD[:100] + b"\xff" * 100 + GOOD[200:],
        b"",
    ],
    ids=["no archive", "truncated", "wrong CRC", "damaged", "empty"],
)
def test_broken_archive(server, tmp_path, body):
    # The hash is right here: only unpacking can find the fault.
    (tmp_path / "words.tar.gz").write_bytes(body)
    with pytest.raises(KwsError, match=r"not a whole \.tar\.gz archive"):
        download.fetch(server.archive(body), tmp_path)
    assert names(tmp_path) == ["words.tar.gz"]


@pytest.mark.parametrize(
    "members",
    [
        [("../evil", b"x")],
        [("up/../../evil", b"x")],
        [("/tmp/kws_tf_evil", b"x")],
        [(link("out", ".."), b""), ("out/evil", b"x")],
        [(link("out", "/etc/passwd"), b"")],
        [(link("out", "../../evil", tarfile.LNKTYPE), b"")],
        [(link("device", "", tarfile.CHRTYPE), b"")],
    ],
)
def test_malicious_member(server, tmp_path, members):
    target = tmp_path / "inner" / "data"
    body = tar_gz(("up/aa_nohash_0.wav", WORD), *members)
    with pytest.raises(KwsError, match="do not use this archive"):
        download.fetch(server.archive(body), target)
    assert names(target) == ["words.tar.gz"]
    assert names(tmp_path) == ["inner"]
    assert names(tmp_path / "inner") == ["data"]


@pytest.mark.parametrize("status", [404, 503])
def test_server_error(server, tmp_path, status):
    server.status = status
    with pytest.raises(KwsError, match=f"the server answers {status}"):
        download.fetch(server.archive(GOOD), tmp_path)
    assert not (tmp_path / "words").exists()


def test_no_server(server, tmp_path):
    archive = server.archive(GOOD)
    server.server_close()
    with pytest.raises(KwsError, match=r"stopped at 0\.0 of"):
        download.fetch(archive, tmp_path)


def test_disk_full_passes_to_the_command_line(server, tmp_path):
    (tmp_path / "words.tar.gz.part").symlink_to("/dev/full")
    with pytest.raises(OSError) as error:
        download.fetch(server.archive(GOOD), tmp_path)
    assert error.value.errno == errno.ENOSPC
    assert error.value.filename == str(tmp_path)


def test_target_is_a_file(server, tmp_path):
    (tmp_path / "file").touch()
    for target in (tmp_path / "file", tmp_path / "file" / "within"):
        with pytest.raises(KwsError, match="cannot write"):
            download.fetch(server.archive(GOOD), target)
