"""``kws-tf COMMAND``: one entry for all commands."""

import importlib
import sys
from importlib import resources

from kws_tf.cli import command

_NOT_COMMANDS = ("__init__", "command", "main")


def commands() -> dict[str, str]:
    """Returns the commands by name, each with its module."""
    files = (path.name for path in resources.files("kws_tf.cli").iterdir())
    modules = sorted(name.removesuffix(".py") for name in files if name.endswith(".py"))
    return {name.replace("_", "-"): name for name in modules if name not in _NOT_COMMANDS}


def main() -> None:
    """Runs the command that the first argument names."""
    every = commands()
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name in ("", "-h", "--help"):
        print("usage: kws-tf COMMAND [options]; kws-tf COMMAND --help tells more\n\ncommands:")
        for one, module in every.items():
            summary = importlib.import_module(f"kws_tf.cli.{module}").__doc__.splitlines()[0]
            print(f"  {one:<18} {summary}")
        sys.exit(0 if name else 2)
    if name not in every:
        print(f"error: there is no command '{name}'; kws-tf --help lists them", file=sys.stderr)
        sys.exit(command.EXIT_BAD_INPUT)
    sys.argv = [f"kws-tf {name}", *sys.argv[2:]]
    command.run(importlib.import_module(f"kws_tf.cli.{every[name]}").main)
