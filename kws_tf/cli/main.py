"""``kws-tf COMMAND``: one entry for all commands."""

import ast
import difflib
import importlib
import pkgutil
import sys
from importlib import resources

import kws_tf
from kws_tf import cli
from kws_tf.cli import command
from kws_tf.errors import KwsError

_NOT_COMMANDS = ("command", "main")


def commands() -> dict[str, str]:
    """Returns the commands by name, each with its module."""
    modules = (module.name for module in pkgutil.iter_modules(cli.__path__))
    return {name.replace("_", "-"): name for name in modules if name not in _NOT_COMMANDS}


def main() -> None:
    """Runs the command that the first argument names."""
    sys.argv = [command.PROGRAM, *sys.argv[1:]]
    every = commands()
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name in every:
        command.run(importlib.import_module(f"kws_tf.cli.{every[name]}").main)
    command.run(lambda: _without_command(name, every))


def _without_command(name: str, every: dict[str, str]) -> int:
    if name == "--version":
        print(f"{command.PROGRAM} {kws_tf.__version__}")
        return 0
    if name in ("", "-h", "--help"):
        print(_overview(every))
        return 0 if name else command.EXIT_BAD_INPUT
    near = difflib.get_close_matches(name, every, 1)
    hint = f" (did you mean '{near[0]}'?)" if near else ""
    raise KwsError(f"there is no command '{name}'{hint}; {command.PROGRAM} --help lists them all")


def _overview(every: dict[str, str]) -> str:
    """Returns usage and a line a command, read from the modules without importing them."""
    lines = [
        f"usage: {command.PROGRAM} COMMAND [options]",
        f"\n{command.PROGRAM} COMMAND --help shows a command's options; --version the version.",
        "\ncommands:",
    ]
    width = max(map(len, every))
    for name, module in every.items():
        source = resources.files(cli).joinpath(f"{module}.py").read_text(encoding="utf-8")
        summary = ast.get_docstring(ast.parse(source)).splitlines()[0]
        lines.append(f"  {name:<{width}}  {summary}")
    return "\n".join(lines)
