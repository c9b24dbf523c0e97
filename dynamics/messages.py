"""Messages: one line, cut where it is long."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

LONGEST_MESSAGE = 220  # characters


def cut(text: str, limit: int) -> str:
    """At most `limit` characters of a text."""
    return text if len(text) <= limit else text[: limit - 3] + "..."


def aside(text: str, end: str = "\n") -> None:
    """On standard error, at once. A log that takes no more, as on a full disk, ends no work: nothing is said then."""
    try:
        print(text, end=end, file=sys.stderr, flush=True)
    except OSError:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


def one_line(text: str, limit: int = LONGEST_MESSAGE) -> str:
    r"""Text of bounded length whose control characters are escaped.

    Examples
    --------
    >>> print(one_line("two\nlines"))
    two\nlines
    """
    return cut("".join(c if c.isprintable() else repr(c)[1:-1] for c in text), limit)


def shown(value: object, limit: int = 40) -> str:
    """The repr of a name or cell from outside, of bounded length."""
    told = repr(str(value)[: limit + 1])
    return told if len(told) <= limit + 2 else f"{told[: limit - 2]}...{told[0]}"


def listed(names: Iterable[object], limit: int = 80) -> str:
    """Names as far as they fit into a message, and how many there are.

    Examples
    --------
    >>> print(listed(["a", "b"]), "|", listed(range(1000), limit=20))
    'a', 'b' | '0', '1', '2', '3', ... (1000 in all)
    """
    every, text = list(names), ""
    for i, name in enumerate(every):
        following = f"{text}, {shown(name)}" if i else shown(name)
        if i and len(following) > limit:
            return f"{text}, ... ({len(every)} in all)"
        text = following
    return text
