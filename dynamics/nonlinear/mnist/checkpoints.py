"""Where a training stands after an epoch, in one file that is there whole or not at all. NumPy arrays: no pickle."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from derivations import StoreError
from dynamics.files import packed, unpacked, write_whole

KEY = "of the setting"


def write_checkpoint(path: Path, key: str, arrays: Mapping[str, np.ndarray]) -> None:
    write_whole(path, packed({**arrays, KEY: np.frombuffer(key.encode(), dtype=np.uint8)}, []), "checkpoint")


def read_checkpoint(path: Path, key: str) -> dict[str, np.ndarray] | None:
    """The arrays; None where there is no file. A StoreError for a damaged file, or one of another setting."""
    if not os.path.lexists(path):
        return None
    try:
        arrays, _ = unpacked(path, "checkpoint")
        found = bytes(arrays.pop(KEY)).decode()
    except (ValueError, KeyError):
        raise StoreError(f"checkpoint {str(path)!r} is damaged: remove it to train that run anew") from None
    if found != key:
        raise StoreError(f"checkpoint {str(path)!r} is of another setting: take another folder")
    return arrays


@contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Whether this process has the run to itself: two commands can share a folder. A killed one lets go.

    Without file locks (Windows) every process has it.
    """
    try:
        import fcntl
    except ImportError:
        yield True
        return
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise StoreError(f"not written to {str(path)!r}: {error}") from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True
    finally:
        os.close(handle)
