"""Warnings of others dropped for a while, from any number of threads."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LOCK = threading.Lock()
_HELD: list[warnings.catch_warnings[None]] = []  # one for each thread inside; only the first has set anything


@contextmanager
def silenced() -> Iterator[None]:
    """Filters are set by the first thread that enters and put back by the last that leaves.

    With `catch_warnings` in each, one thread would put back what another has set, and the caller would stay deaf.
    """
    held = warnings.catch_warnings()
    with _LOCK:
        if not _HELD:
            held.__enter__()
            warnings.simplefilter("ignore")
        _HELD.append(_HELD[0] if _HELD else held)
    try:
        yield
    finally:
        with _LOCK:
            last = _HELD.pop()
            if not _HELD:
                last.__exit__(None, None, None)
