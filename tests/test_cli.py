"""What all commands share: the list, usage, what is recorded, exit codes, and hostile streams."""

import os
import pkgutil
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from running import run_main

from kws_tf import __version__, cli
from kws_tf.cli import command, main
from kws_tf.errors import KwsError

COMMANDS = sorted(
    module.name.replace("_", "-")
    for module in pkgutil.iter_modules(cli.__path__)
    if module.name not in ("command", "main")
)
SCRIPTS = Path(__file__).parents[1] / "scripts"


@pytest.fixture
def kws_tf(monkeypatch, capsys):
    """Runs ``kws-tf`` in this process and returns exit code, output and errors."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["/some/where/bin/kws-tf", *arguments])
        with pytest.raises(SystemExit) as end:
            main.main()
        return end.value.code, *capsys.readouterr()

    return call


# --- kws-tf.


def test_a_script_for_each_command():
    assert [path.stem.replace("_", "-") for path in sorted(SCRIPTS.glob("*.py"))] == COMMANDS


def test_help_lists_every_command_with_a_line(kws_tf):
    code, text, _ = kws_tf("--help")
    assert code == 0
    lines = [line.split(maxsplit=1) for line in text.partition("commands:\n")[2].splitlines()]
    assert [name for name, _ in lines] == COMMANDS
    assert all(summary.endswith(".") for _, summary in lines)


def test_version(kws_tf):
    assert kws_tf("--version") == (0, f"kws-tf {__version__}\n", "")


def test_no_command_shows_the_list_and_fails(kws_tf):
    code, text, _ = kws_tf()
    assert code == 2
    assert text.startswith("usage: kws-tf COMMAND")


def test_unknown_command(kws_tf):
    code, _, errors = kws_tf("trian", "--run-dir", "x")
    assert code == 2
    assert errors == (
        "error: there is no command 'trian' (did you mean 'train'?); kws-tf --help lists them all\n"
    )
    code, _, errors = kws_tf("--hidden")
    assert code == 2
    assert errors.startswith("error: there is no command '--hidden'; ")


def test_answers_at_once():
    code = (
        "import sys; from kws_tf.cli import main; sys.argv = ['kws-tf', '--help']\n"
        "try: main.main()\n"
        "except SystemExit as end: code = end.code\n"
        "assert code == 0 and not {'numpy', 'tensorflow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("name", COMMANDS)
def test_usage_names_the_program_as_it_was_called(kws_tf, capsys, name):
    code, text, _ = kws_tf(name, "--help")
    assert code == 0
    assert text.startswith(f"usage: kws-tf {name} [-h]")
    script = name.replace("-", "_") + ".py"
    assert run_main(SCRIPTS / script, "--help") == 0
    assert capsys.readouterr().out.startswith(f"usage: {script} [-h]")


# --- What results record as the command that made them.


@pytest.fixture
def records(monkeypatch, capsys):
    """Replaces ``train`` by what prints the recorded command and its parsed options."""

    def record():
        parser = command.parser("")
        parser.add_argument("--run-dir")
        print(shlex.join(sys.argv), vars(parser.parse_args()))

    monkeypatch.setattr("kws_tf.cli.train.main", record)


def test_recorded_command_can_be_repeated(records, kws_tf, capsys):
    _, text, _ = kws_tf("train", "--run-dir", "a b")
    assert text == "kws-tf train --run-dir 'a b' {'run_dir': 'a b'}\n"
    script = SCRIPTS / "train.py"
    run_main(script, "--run-dir", "c")
    assert capsys.readouterr().out == f"python {script} --run-dir c {{'run_dir': 'c'}}\n"


# --- Exit codes.


def outcome(monkeypatch, call):
    monkeypatch.setattr(sys, "argv", ["some.py"])
    with pytest.raises(SystemExit) as end:
        command.run(call)
    return end.value.code


def failing(error):
    def call():
        raise error

    return call


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (KwsError("no such word; say another"), 2, "no such word; say another"),
        (
            OSError(28, "No space left on device"),
            2,
            "the disk is full while writing the output; free some space and run again",
        ),
        (
            OSError(122, "Disk quota exceeded", "out.wav"),
            2,
            "the disk is full while writing out.wav; free some space and run again",
        ),
        (
            PermissionError(13, "Permission denied", "/x"),
            2,
            "cannot use /x (Permission denied); check that path and its permissions",
        ),
        (KeyboardInterrupt(), 130, None),
    ],
    ids=str,
)
def test_expected_errors_are_one_line(monkeypatch, capsys, error, code, sentence):
    assert outcome(monkeypatch, failing(error)) == code
    assert capsys.readouterr().err == (f"error: {sentence}\n" if sentence else "interrupted\n")


@pytest.mark.parametrize("error", [ValueError("a bug"), OSError(5, "Input/output error")], ids=str)
def test_a_bug_keeps_its_traceback(monkeypatch, error):
    monkeypatch.setattr(sys, "argv", ["some.py"])
    with pytest.raises(type(error), match=str(error.args[-1])):
        command.run(failing(error))


@pytest.mark.parametrize(("returned", "code"), [(None, 0), (0, 0), (1, 1)])
def test_exit_code_is_what_main_returns(monkeypatch, returned, code):
    assert outcome(monkeypatch, lambda: returned) == code


# --- Streams that cannot be printed to. Each needs a process of its own.

PRINTING = """
import os, sys
from kws_tf.cli import command
from kws_tf.quiet import captured_stderr

def main():
    with open({file!r}, "w") as file:
        print("caf\\u00e9")
        print("a note", file=sys.stderr)
        with captured_stderr() as caught:
            os.write(2, b"from C++")
        os.write(2, b"also from C++\\n")
        file.write(" and ".join(caught))

command.run(main)
"""


@pytest.fixture(params=["", "1"], ids=["buffered", "unbuffered"])
def printing(request, tmp_path):
    """Runs a command that prints to both streams; returns the process and the file it wrote."""

    def run(redirection="", encoding="utf-8", **more):
        environment = {"PYTHONUNBUFFERED": request.param, "PYTHONIOENCODING": encoding}
        file, script = tmp_path / "file", tmp_path / "script.py"
        script.write_text(PRINTING.format(file=str(file)))
        shell = ["sh", "-c", f'exec "$@" {redirection}', "sh"]
        process = subprocess.run(
            [*shell, sys.executable, str(script)],
            env=os.environ | environment,
            **({"capture_output": True} | more),
        )
        return process, file.read_text()

    return run


def test_characters_that_the_encoding_lacks(printing):
    process, _ = printing(encoding="ascii")
    assert process.returncode == 0
    assert process.stdout == b"caf\\xe9\n"
    assert process.stderr == b"a note\nalso from C++\n"


@pytest.mark.parametrize("redirection", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams(printing, redirection):
    process, written = printing(redirection)
    assert process.returncode == 0
    assert process.stdout == ("" if redirection[0] in "<>" else "café\n").encode()
    assert process.stderr == (b"" if "2" in redirection else b"a note\nalso from C++\n")
    assert written == "from C++"  # and not what went to the closed streams


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_output_on_a_full_disk(printing):
    process, _ = printing("> /dev/full")
    assert process.returncode == 2
    assert process.stderr.decode().splitlines()[-1] == (
        "error: the disk is full while writing the output; free some space and run again"
    )
    assert b"Traceback" not in process.stderr


def test_a_reader_that_has_left(printing):
    reader, writer = os.pipe()
    os.close(reader)
    process, _ = printing(capture_output=False, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert process.returncode == 0
    assert b"rror" not in process.stderr


def test_another_broken_pipe_is_a_bug(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["some.py"])
    with pytest.raises(BrokenPipeError):
        command.run(failing(BrokenPipeError(32, "Broken pipe")))
