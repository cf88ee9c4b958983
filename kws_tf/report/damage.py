"""Damaged files of a run as one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kws_tf.errors import KwsError


@contextmanager
def damage_named(path: Path, advice: str) -> Iterator[None]:
    """Turns whatever a damaged JSON file leads to into a ``KwsError`` with advice what to do."""
    try:
        yield
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise KwsError(f"{path} is damaged ({reason}); {advice}") from error
