"""Files are written whole or not at all, over nothing but plain files, and read only if they are plain files."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from derivations import StoreError
from dynamics.messages import shown

LONGEST_PATH = 200  # characters of a path in a message
LONGEST_NAME = 230  # bytes of a file's name: the temporary one beside it is longer, and 255 are what a disk takes


def target_of(path: Any, what: str) -> Path:
    """Where `what` will be written, links followed; a StoreError if that is no plain file or has no folder."""
    try:
        target = Path(os.path.realpath(path))
        folder, there, plain = target.parent.is_dir(), os.path.lexists(target), target.is_file()
    except (TypeError, ValueError, OSError) as error:
        raise StoreError(f"{what} not written to {shown(path, LONGEST_PATH)}: {_reason(error)}") from None
    if not folder:
        raise StoreError(
            f"{what} not written to {shown(path, LONGEST_PATH)}: no folder {shown(target.parent, LONGEST_PATH)}"
        )
    if len(os.fsencode(target.name)) > LONGEST_NAME:
        raise StoreError(
            f"{what} not written to {shown(path, LONGEST_PATH)}: its name has more than {LONGEST_NAME} bytes"
        )
    if not os.access(target.parent, os.W_OK | os.X_OK):
        folder_of = shown(target.parent, LONGEST_PATH)
        raise StoreError(f"{what} not written to {shown(path, LONGEST_PATH)}: {folder_of} takes no new files")
    if there and not plain:
        raise StoreError(f"{what} not written to {shown(path, LONGEST_PATH)}: it is no plain file")
    return target


def write_whole(path: Any, content: bytes, what: str) -> None:
    """By a temporary file beside it, flushed to the disk and renamed."""
    target = target_of(path, what)
    temporary = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
        _flush(target.parent)
    except OSError as error:
        if temporary.parent.is_dir():
            _drop(temporary)
        raise StoreError(f"{what} not written to {shown(path, LONGEST_PATH)}: {_reason(error)}") from None
    except BaseException:
        _drop(temporary)
        raise


def plain_file(path: Any, what: str) -> Path:
    """A file to read; a StoreError unless it is a plain one: a pipe would wait for ever, a device never end."""
    try:
        if os.path.isfile(path):
            return Path(path)
        problem = "it is no plain file" if os.path.lexists(path) else "no such file"
    except (TypeError, ValueError, OSError) as error:
        problem = _reason(error)
    raise StoreError(f"{what} not read from {shown(path, LONGEST_PATH)}: {problem}")


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _flush(folder: Path) -> None:
    """The folder's entry, too, survives a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _drop(temporary: Path) -> None:
    try:
        temporary.unlink(missing_ok=True)
    except OSError:  # a name too long was never there
        return


def packed(arrays: Mapping[str, np.ndarray], warnings: list[str], place: str = "") -> bytes:
    """The archive of a batch; the same bytes for the same arrays. `place` says whose it is."""
    members = {**arrays, "warnings": np.frombuffer(json.dumps(warnings).encode(), dtype=np.uint8)}
    if place:
        members["place"] = np.frombuffer(place.encode(), dtype=np.uint8)
    members["checksum"] = np.frombuffer(_checksum(members), dtype=np.uint8)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in members.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getvalue())  # dated 1980, whenever it is made
    return buffer.getvalue()


def _checksum(members: Mapping[str, Any]) -> bytes:
    whole = hashlib.sha256()
    for name in sorted(members):
        array = np.ascontiguousarray(members[name])
        whole.update(f"{name} {array.dtype.str} {array.shape};".encode())
        whole.update(array.tobytes())
    return whole.digest()


@contextmanager
def arrays_of(source: str | os.PathLike[str] | BinaryIO) -> Iterator[Mapping[str, np.ndarray]]:
    """An .npz archive, without pickles and without NumPy's warnings of what an old or harmed one looks like."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with np.load(source, allow_pickle=False) as file:
            yield file


def is_text(array: np.ndarray) -> bool:
    """Whether NumPy's text has only characters that Python knows; others make strings that cannot even be shown."""
    if array.dtype.kind != "U" or not array.dtype.itemsize:
        return array.dtype.kind == "U"
    codes = np.atleast_1d(array).copy().view(np.dtype(np.uint32).newbyteorder(array.dtype.byteorder))
    return bool(np.all(codes <= sys.maxunicode))


def unpacked(path: Path, what: str, place: str = "") -> tuple[dict[str, np.ndarray], list[str]]:
    """Arrays and warnings of a file that `packed` made: a sound one is, byte for byte, what its arrays are packed to.

    Raises
    ------
    StoreError
        Where the file cannot be read.
    ValueError
        Where it is damaged, or of another place.
    """
    try:
        content = plain_file(path, what).read_bytes()
    except OSError as error:
        raise StoreError(f"{what} not read from {shown(path, LONGEST_PATH)}: {_reason(error)}") from None
    try:
        with arrays_of(io.BytesIO(content)) as file:
            members = dict(file)
        del members["checksum"]
        remarks = json.loads(members.pop("warnings").tobytes())
        members.pop("place", None)
        sound = packed(members, remarks, place) == content
    except MemoryError:
        raise
    except Exception:  # NumPy leaks BadZipFile, zlib.error, KeyError, TokenError on damaged files
        sound = False
    if not sound:
        raise ValueError("its bytes are not those of its arrays")
    return members, remarks
