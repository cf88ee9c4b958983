"""Imports run one way: a room knows those before it in the data flow, and no others."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "kws_tf"
ROOMS = (
    *("errors", "checks", "quiet", "progress", "files", "labels"),
    *("frontend", "settings", "presets"),
    *("quantization", "models", "run_folder"),
    *("audio", "synthesis", "data"),
    *("tflite", "reference", "chip", "listening", "training", "conversion"),
    *("evaluation", "deployment", "report", "cli"),
)
FILES = sorted(
    path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or path.stem[:2] != "__"
)


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    """The rooms that a file imports from, at its head or within a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("kws_tf.")}
    return found


def test_every_room_has_its_place():
    assert {room_of(path) for path in FILES} - {"pretrained"} == set(ROOMS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_down(path):
    room = room_of(path)
    below = set(ROOMS[: ROOMS.index(room) + 1]) if room in ROOMS else set()
    assert imported_rooms(path) <= below


def test_quantization_needs_no_other_room():
    of_quantization = [path for path in FILES if room_of(path) == "quantization"]
    rooms = set().union(*map(imported_rooms, of_quantization))
    assert rooms <= {"quantization", "errors", "quiet"}
