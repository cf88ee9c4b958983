"""Checks before work is done: types, names and ranges of what was read, folders to write to."""

import dataclasses
import math
from collections.abc import Iterable
from pathlib import Path

from kws_tf.errors import KwsError


def require(condition: bool, what: str) -> None:
    """Raises a ValueError that says what is wrong, unless a condition holds."""
    if not condition:
        raise ValueError(what)


def known_fields(kind: type, values, retired: tuple[str, ...] = ()) -> dict:
    """Returns what was read of a dataclass; a ValueError if it is no table of that class's fields.

    Retired fields are further ones, of earlier versions.
    """
    require(isinstance(values, dict), f"{shown(values)} is no table of fields")
    unknown = set(values) - {entry.name for entry in dataclasses.fields(kind)} - set(retired)
    require(not unknown, f"its field {shown(min(unknown, default=''))} is unknown")
    return values


def number(name: str, value, kind: type, low: float, high: float):
    """Returns a number in the type of its field, ``int`` or ``float``.

    Raises:
        ValueError: If it is no number, not a whole one for ``int``, or out of range.
    """
    fits = isinstance(value, int | float) and not isinstance(value, bool)
    # Compared before it is converted: an int of any size fits no float.
    fits = fits and low <= value <= high and math.isfinite(value) and kind(value) == value
    whole = "whole " if kind is int else ""
    require(fits, f"{name} is {shown(value)}, not a {whole}number from {low:g} to {high:g}")
    return kind(value)


def is_text(value) -> bool:
    """Tells whether a value is text of one line that can be printed, and not empty."""
    return isinstance(value, str) and value.isprintable() and bool(value)


def shown(value) -> str:
    """Returns a value for an error: in one line, and of a long one the beginning."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def check_there(places: Iterable[Path | str]) -> None:
    """Refuses recordings, folders or files, that do not exist."""
    for place in map(Path, places):
        if not place.exists():
            raise KwsError(f"{place} does not exist; give folders of recordings")


def check_targets(*files: Path | None) -> None:
    """Refuses files to write whose folder does not exist, before work is done for them."""
    for file in filter(None, files):
        if not Path(file).parent.is_dir():
            raise KwsError(
                f"the folder {Path(file).parent} for {Path(file).name} does not exist; make it, or "
                "give another"
            )
