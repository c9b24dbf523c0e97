"""Where a training stands after an epoch, in one file that is there whole or not at all. NumPy arrays: no pickle."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from derivations import StoreError
from dynamics.files import packed, plain_file, write_whole

KEY = "of the setting"


def write_checkpoint(path: Path, key: str, arrays: Mapping[str, np.ndarray]) -> None:
    write_whole(path, packed({**arrays, KEY: np.frombuffer(key.encode(), dtype=np.uint8)}, []), "checkpoint")


def read_checkpoint(path: Path, key: str) -> dict[str, np.ndarray] | None:
    """The arrays; None where there is no file. A StoreError for a damaged file, or one of another setting.

    A sound file is, byte for byte, what its arrays are packed to.
    """
    if not os.path.lexists(path):
        return None
    try:
        content = plain_file(path, "checkpoint").read_bytes()
    except OSError as error:
        raise StoreError(f"checkpoint {str(path)!r} not read: {error}") from None
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files if name not in {"checksum", "warnings"}}
        sound = packed(arrays, []) == content
        found = bytes(arrays.pop(KEY)).decode()
    except Exception:  # NumPy leaks BadZipFile, zlib.error, KeyError, TokenError on damaged files
        sound, found, arrays = False, "", {}
    if not sound:
        raise StoreError(f"checkpoint {str(path)!r} is damaged: remove it to train that run anew")
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
