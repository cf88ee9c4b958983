"""Files appear whole or not at all, and errors name them."""

import ast
import errno
import json
import os
from pathlib import Path

import pytest

from kws_tf import files


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_replaces_the_old_file_at_once(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(b"old")
    with files.replacing(path) as unfinished:
        assert unfinished.parent == tmp_path
        assert unfinished.suffix == ".tflite"
        unfinished.write_bytes(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["model.tflite"]


def test_an_error_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), files.replacing(path) as unfinished:
        unfinished.write_text("ne")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_json_is_ascii(tmp_path):
    files.write_json(tmp_path / "json", {"word": "café"})
    assert (tmp_path / "json").read_bytes() == b'{\n "word": "caf\\u00e9"\n}\n'
    assert json.loads((tmp_path / "json").read_bytes()) == {"word": "café"}


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "link").symlink_to("file")
    files.write_bytes(tmp_path / "link", b"text")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "text"


def test_a_pipe_is_written_to(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    files.write_bytes(pipe, b"text")
    assert os.read(reader, 9) == b"text"
    os.close(reader)
    assert names(tmp_path) == ["pipe"]


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("absent/file", "No such file or directory"),
        ("file/file", "Not a directory"),
        ("folder", "Is a directory"),
    ],
)
def test_errors_name_the_file(tmp_path, place, reason):
    (tmp_path / "file").write_text("old")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match=reason) as error:
        files.write_bytes(tmp_path / place, b"text")
    assert error.value.filename == str(tmp_path / place)
    assert names(tmp_path) == ["file", "folder"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_names_the_file(tmp_path, number):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(OSError) as error, files.replacing(path) as unfinished:
        unfinished.write_text("ne")
        raise OSError(number, os.strerror(number))
    assert error.value.filename == str(path)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_an_error_of_another_file_keeps_its_name(tmp_path):
    with pytest.raises(FileNotFoundError) as error, files.replacing(tmp_path / "file"):
        (tmp_path / "absent").read_bytes()
    assert error.value.filename == str(tmp_path / "absent")


def test_no_text_in_an_encoding_of_chance():
    root = Path(__file__).parents[1]
    folders = ("kws_tf", "experiments", "benchmarks", "examples")
    for path in (path for folder in folders for path in (root / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = node.func.attr if isinstance(getattr(node, "func", None), ast.Attribute) else ""
            if name in ("read_text", "write_text"):
                assert "encoding" in {word.arg for word in node.keywords}, (path, node.lineno)
