"""A progress line on stderr for what takes more than a moment."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def progress(items: Iterable[T], total: int, title: str) -> Iterator[T]:
    """Yields the items; shows the share done once a second, if it takes over two.

    Args:
        items: What to go through.
        total: How many there are.
        title: What is being done.
    """
    start = shown = time.monotonic()
    is_terminal = sys.stderr.isatty()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - start > 2 and (now - shown > (1 if is_terminal else 10) or done == total):
            shown = now
            left = (now - start) / done * (total - done)
            line = f"{title}: {done:,} of {total:,}, {left:.0f} s left"
            end = "\n" if done == total or not is_terminal else ""
            start_of_line = "\r" if is_terminal else ""
            print(f"{start_of_line}{line:<60}", end=end, file=sys.stderr, flush=True)
