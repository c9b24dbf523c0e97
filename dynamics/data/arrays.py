"""Arrays of .npy and .npz files. What a header declares is compared with what is there before memory is taken."""

from __future__ import annotations

import math
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import numpy as np

from derivations import DataError
from dynamics.data.columns import check_width, numbers_or_text, rows_at_a_time
from dynamics.data.source import Cells, Source
from dynamics.files import is_text
from dynamics.messages import listed, shown

LARGEST_ARCHIVE = 2**30  # bytes that an .npz may unpack to
DENSEST = 1032  # bytes that one byte of a deflated member can unpack to, at most
MOST_NAMES = 2**20
PICKLED = "it holds pickled objects"


def npy_source(file: Path, source: str) -> Source:
    """An .npy: its array is (P, columns), with columns named "0", "1", ..., or (P,) with named fields."""
    try:
        with warnings.catch_warnings(), np.errstate(over="raise"):
            warnings.simplefilter("ignore")  # remarks of NumPy on odd headers
            array = np.lib.format.open_memmap(file, mode="r")
    except Exception as error:  # NumPy leaks many kinds
        raise DataError(f"{source} is no readable .npy: {_reason(error)}") from None
    fields = array.dtype.fields
    if array.ndim != (1 if fields else 2):
        raise DataError(f"{source} must hold one array (P, columns), or (P,) with named fields, got {array.shape}")
    if len(array) < 2:
        raise DataError(f"{source}: at least two samples are needed, got {len(array)}")
    if not fields and array.shape[1] > MOST_NAMES:
        raise DataError(f"{source} has {array.shape[1]} columns, more than {MOST_NAMES}")
    present = list(fields) if fields else [str(i) for i in range(array.shape[1])]

    def blocks(places: Sequence[int]) -> Iterator[Cells]:
        step = rows_at_a_time(len(places) or 1)
        for start in range(0, len(array), step):
            rows = array[start : start + step]
            columns = [rows[present[i]] if fields else rows[:, i] for i in places]
            yield [
                numbers_or_text(np.asarray(column), present[i], source)
                for i, column in zip(places, columns, strict=True)
            ]

    return Source(source, tuple(present), blocks)


def archive_names(file: Path, source: str) -> list[str]:
    """Names of the arrays of an .npz, each member of which was found sound as far as its header goes."""
    try:
        with open(file, "rb") as stream, zipfile.ZipFile(stream) as archive:
            members = archive.infolist()
            size = sum(member.file_size for member in members)
            if size > LARGEST_ARCHIVE:
                raise DataError(
                    f"{source} would unpack to {size / 2**20:.0f} MiB, more than {LARGEST_ARCHIVE / 2**20:.0f}"
                )
            names = [member.filename.removesuffix(".npy") for member in members]
            if len(set(names)) < len(names):
                raise DataError(f"{source} has a member twice: {listed(sorted(names))}")
            for member, name in zip(members, names, strict=True):
                _check_member(archive, member, name, source)
            return names
    except DataError:
        raise
    except Exception as error:  # zipfile and NumPy leak many kinds
        raise DataError(f"{source} is no readable .npz: {_reason(error)}") from None


def load_arrays(file: Path, names: Sequence[str], source: str) -> dict[str, np.ndarray]:
    """The named arrays of an .npz that `archive_names` has found sound."""
    arrays = {}
    try:
        with open(file, "rb") as stream, zipfile.ZipFile(stream) as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks of NumPy on odd headers
            stored = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
            for name in names:
                with archive.open(stored[name]) as member:
                    arrays[name] = np.lib.format.read_array(member, allow_pickle=False)
                    if arrays[name].dtype.kind == "U" and not is_text(arrays[name]):
                        raise DataError(f"{source}: {shown(name)} has characters beyond Unicode")
                    if member.read(1):  # reading to the end has the checksum compared, too
                        raise DataError(f"{source}: {shown(name)} is longer than its header declares")
    except DataError:
        raise
    except Exception as error:  # as above, and zlib's own
        raise DataError(f"{source} is no readable .npz: {_reason(error)}") from None
    return arrays


def array_source(arrays: Mapping[str, np.ndarray], source: str) -> Source:
    """Arrays (P,) or (P, d) of one archive, side by side, as `array_columns` names them."""
    for name, array in arrays.items():
        if array.ndim not in (1, 2) or array.size == 0:
            raise DataError(f"{source}: {shown(name)} must have shape (P,) or (P, columns), got {array.shape}")
    columns = [
        (name, column) for name, array in arrays.items() for column in (array.T if array.ndim == 2 else array[None])
    ]
    check_width(len(columns))
    if len({len(array) for array in arrays.values()}) > 1:
        shapes = listed(f"{name} {array.shape}" for name, array in arrays.items())
        raise DataError(f"{source}: arrays differ in their number of samples: {shapes}")
    names = tuple(column for name, array in arrays.items() for column in array_columns(name, array))

    def blocks(places: Sequence[int]) -> Iterator[Cells]:
        step = rows_at_a_time(len(places) or 1)
        for start in range(0, len(columns[0][1]), step):
            yield [numbers_or_text(columns[i][1][start : start + step], names[i], source) for i in places]

    return Source(source, names, blocks)


def array_columns(name: str, array: np.ndarray) -> tuple[str, ...]:
    """Names of an array's columns: its own for a single one."""
    count = 1 if array.ndim == 1 else array.shape[1]
    return (name,) if count == 1 else tuple(f"{name}{i + 1}" for i in range(count))


def _check_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str, source: str) -> None:
    if member.flag_bits & 1:
        raise DataError(f"{source}: {shown(name)} is encrypted")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError(f"{source}: {shown(name)} is packed by method {member.compress_type}, only deflate is read")
    if member.file_size > DENSEST * (member.compress_size + 64):
        raise DataError(f"{source}: {shown(name)} declares more bytes than it can hold, {member.file_size}")
    with archive.open(member) as stream:
        _check_header(stream, member.file_size, name, source)


def _check_header(stream: IO[bytes], size: int, name: str, source: str) -> None:
    """Whether the array that a member's header declares is as large as the member."""
    start = stream.read(8)
    if start[:6] != np.lib.format.MAGIC_PREFIX or len(start) < 8:
        raise DataError(f"{source} has a member that is no array: {shown(name)}")
    read = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}.get(start[6])
    if read is None:
        raise DataError(f"{source}: {shown(name)} has an array format of version {start[6]}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shape, _, dtype = read(stream)
    if dtype.hasobject:
        raise DataError(f"{source} is no readable .npz: {PICKLED}")
    size -= stream.tell()
    declared = math.prod(shape) * dtype.itemsize
    if any(n < 0 for n in shape) or declared > size or math.prod(n or 1 for n in shape) > LARGEST_ARCHIVE:
        raise DataError(
            f"{source} is no readable .npz: {shown(name)} declares shape {shape} of {dtype}, but has {size} bytes"
        )


def _reason(error: Exception) -> str:
    return PICKLED if "Python objects" in str(error) else f"{type(error).__name__}: {error}"
