"""What is told on stderr meanwhile: progress, for what takes more than a moment, and notes."""

import functools
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def progress(
    items: Iterable[T],
    total: int,
    title: str,
    position: Callable[[], int] | None = None,
    unit: tuple[float, str] = (1e6, "MB"),
) -> Iterator[T]:
    """Yields the items; shows the share done once a second, if it takes over two.

    Where stderr is no terminal there is a new line every ten seconds. With ``position``, such as a
    file's ``tell``, bytes are counted instead of items, also in ``total``; or something else with
    another ``unit``, of so many.
    """
    first = position() if position else 0
    start = shown = time.monotonic()
    is_terminal = sys.stderr.isatty()
    for number, item in enumerate(items, 1):
        yield item
        done = position() if position else number
        now = time.monotonic()
        if now - start > 2 and (now - shown > (1 if is_terminal else 10) or done == total):
            shown = now
            left = (now - start) / max(done - first, 1) * (total - done)
            amounts = f"{done:,} of {total:,}"
            if position:
                size, name = unit
                amounts = f"{done / size:,.1f} of {total / size:,.1f} {name}"
            line = f"{title}: {amounts}, {left:.0f} s left"
            end = "\n" if done == total or not is_terminal else ""
            start_of_line = "\r" if is_terminal else ""
            print(f"{start_of_line}{line:<60}", end=end, file=sys.stderr, flush=True)


@functools.cache
def note(text: str) -> None:
    """Tells something that is no error, once a process."""
    print(f"note: {text}", file=sys.stderr, flush=True)
