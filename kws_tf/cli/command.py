"""What all commands share: help with defaults, errors in one sentence, exit codes."""

import argparse
import errno
import io
import os
import select
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from kws_tf.errors import KwsError

DIR, FILE = {"type": Path, "metavar": "DIR"}, {"type": Path, "metavar": "FILE"}
"""What options for a folder, or a file, have in common."""
MIX_DOWN = {"action": "store_true", "help": "mix stereo files down instead of refusing them"}
WINDOW_MS = {"type": float, "default": 1000.0, "metavar": "X"}
"""What the options ``--mix-down`` and ``--window-ms`` have in common."""

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130

PROGRAM = "kws-tf"
"""First word of ``sys.argv`` where a command is run by its name."""
_PYTHON = "python"
"""The same where it is run by a Python file."""


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Shows each option's default, if it has one, and keeps the description's line breaks."""

    def _get_help_string(self, action):
        no_default = action.default is None or action.default is False
        return action.help if no_default else super()._get_help_string(action)


class _Parser(argparse.ArgumentParser):
    """Takes what follows the words of ``sys.argv`` that name the program."""

    def parse_known_args(self, args=None, namespace=None):
        following = sys.argv[len(_program()) :] if args is None else args
        return super().parse_known_args(following, namespace)


def parser(description: str) -> argparse.ArgumentParser:
    """Returns an argument parser in the project's style."""
    words = _program()
    prog = " ".join(words) if words[0] == PROGRAM else os.path.basename(words[-1])
    return _Parser(prog=prog, description=description, formatter_class=HelpFormatter)


def run(main: Callable[[], int | None]) -> None:
    """Runs a command's ``main`` and exits with the code that it returns; ``None`` is 0.

    A ``KwsError`` becomes one line on stderr and exit code 2, a full disk or a path that cannot
    be used likewise; Ctrl-C becomes exit code 130. Anything else is a bug and keeps its traceback.
    Printing fails neither on characters that the output's encoding lacks nor on closed streams.
    """
    _prepare_streams()
    # TensorFlow from 2.19 on; the interpreter stays as long as TensorFlow has it.
    warnings.filterwarnings("ignore", r"\s*Warning: tf.lite.Interpreter is deprecated")
    if sys.argv[0] != PROGRAM:
        # What results record as their command is then one that can be typed again.
        sys.argv = [_PYTHON, *sys.argv]
    code = _exit_code(main)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # was reported above; Python would report it again at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(code)


def _program() -> list[str]:
    """Returns the words of ``sys.argv`` that name the program."""
    return sys.argv[: 2 if sys.argv[0] in (PROGRAM, _PYTHON) else 1]


def _exit_code(main: Callable[[], int | None]) -> int:
    try:
        try:
            code = main() or 0
        except SystemExit as end:  # argparse has printed help or an error
            code = end.code
        sys.stdout.flush()
        return code
    except KwsError as error:
        return _refuse(str(error))
    except KeyboardInterrupt:
        with suppress(OSError):
            print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        if not any(map(_has_no_reader, (sys.stdout, sys.stderr))):
            raise
        return 0  # head and less leave early
    except OSError as error:
        sentence = _sentence(error)
        if not sentence:
            raise
        return _refuse(sentence)


def _has_no_reader(stream: io.TextIOBase) -> bool:
    poll = select.poll()
    poll.register(stream.fileno(), 0)
    return bool(poll.poll(0))  # errors alone are reported


def _refuse(sentence: str) -> int:
    with suppress(OSError):
        print(f"error: {sentence}", file=sys.stderr)
    return EXIT_BAD_INPUT


def _sentence(error: OSError) -> str:
    """Returns what the user can do about an error of the system; nothing if it is a bug."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = error.filename or "the output"
        return f"the disk is full while writing {where}; free some space and run again"
    if error.filename:
        return (
            f"cannot use {error.filename} ({error.strerror}); check that path and its permissions"
        )
    return ""


def _prepare_streams() -> None:
    """Makes stdout and stderr streams that any text can be printed to."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # Closed. Left so, the next file to be opened would get the number, and the output.
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
