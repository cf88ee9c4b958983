"""What all command lines share: help with defaults, errors in one sentence, exit codes."""

import argparse
import errno
import os
import sys
from collections.abc import Callable

from kws_tf.errors import KwsError

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Shows each option's default, if it has one, and keeps the description's line breaks."""

    def _get_help_string(self, action):
        no_default = action.default is None or action.default is False
        return action.help if no_default else super()._get_help_string(action)


def parser(description: str) -> argparse.ArgumentParser:
    """Returns an argument parser in the project's style.

    Args:
        description: What the script does, usually its module docstring.
    """
    return argparse.ArgumentParser(description=description, formatter_class=HelpFormatter)


def run(main: Callable[[], int | None]) -> None:
    """Runs a script's ``main`` and exits with its code.

    A ``KwsError`` becomes one line on stderr and exit code 2, a full disk or a path that cannot
    be used likewise; Ctrl-C becomes exit code 130. Anything else is a bug and keeps its traceback.

    Args:
        main: Returns an exit code; ``None`` is 0.
    """
    try:
        code = main() or 0
    except KwsError as error:
        print(f"error: {error}", file=sys.stderr)
        code = EXIT_BAD_INPUT
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output (head, less) has left; leave quietly as well.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except OSError as error:
        where = f" {error.filename}" if error.filename else " a file"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            text = f"the disk is full while writing{where}; free some space and run again"
        elif error.filename:
            text = f"cannot use{where} ({error.strerror}); check that path and its permissions"
        else:
            raise
        print(f"error: {text}", file=sys.stderr)
        code = EXIT_BAD_INPUT
    sys.exit(code)
