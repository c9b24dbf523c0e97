"""The IDX files that MNIST comes in, plain or gzipped; nothing in them is trusted."""

from __future__ import annotations

import gzip
import math
import os
import stat
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from derivations import DataError

UNSIGNED_BYTE = 8  # the only type of data that is read
LARGEST = 2**31  # bytes of data in one file
#: field -> the file's name, with either mark before the number of dimensions
NAMES = {
    "train_images": "train-images{}idx3-ubyte",
    "train_labels": "train-labels{}idx1-ubyte",
    "test_images": "t10k-images{}idx3-ubyte",
    "test_labels": "t10k-labels{}idx1-ubyte",
}
CLASSES = 10


@dataclass(frozen=True, eq=False)
class Digits:
    """Images of digits (n, side, side) and their labels (n,), uint8, for training and for testing."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray

    def __post_init__(self) -> None:
        for part in ("train", "test"):
            images, labels = getattr(self, f"{part}_images"), getattr(self, f"{part}_labels")
            for name, array in ((f"{part}_images", images), (f"{part}_labels", labels)):
                if array.dtype != np.uint8:
                    raise DataError(f"{name} must hold unsigned bytes, got dtype {array.dtype}")
            if images.ndim != 3 or images.shape[1] != images.shape[2] or not images.size:
                raise DataError(f"{part}_images must have shape (n, side, side), got {images.shape}")
            if labels.shape != images.shape[:1]:
                raise DataError(f"{part}_labels must have shape {images.shape[:1]}, an image each, got {labels.shape}")
            if int(labels.max()) >= CLASSES:
                raise DataError(f"{part}_labels must be 0 to {CLASSES - 1}, got {int(labels.max())}")
            images.setflags(write=False)
            labels.setflags(write=False)
        if self.train_images.shape[1:] != self.test_images.shape[1:]:
            raise DataError(
                f"test_images must have the size of train_images, {self.side} x {self.side}, got "
                f"{self.test_images.shape[1]} x {self.test_images.shape[2]}"
            )

    @property
    def side(self) -> int:
        return int(self.train_images.shape[1])


def read_images(folder: str | os.PathLike[str]) -> Digits:
    """The four files of MNIST in a folder, under their usual names, plain or with `.gz`."""
    place = Path(folder)
    if not place.is_dir():
        raise DataError(f"images: no folder {str(place)!r}")
    return Digits(**{field: read_idx(_found(place, name)) for field, name in NAMES.items()})


def _found(folder: Path, name: str) -> Path:
    for path in (folder / f"{name.format(mark)}{end}" for mark in "-." for end in ("", ".gz")):
        if path.exists():
            return path
    raise DataError(f"images: {str(folder)!r} holds no {name.format('-')} (nor with a dot, nor with .gz)")


def read_idx(path: str | os.PathLike[str]) -> np.ndarray:
    """An IDX file of unsigned bytes as an array of its own shape; a DataError names what is wrong.

    No more is read, or decompressed, than the header declares, and one byte more to see an excess.
    """
    name = str(path)
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would wait for a writer
            raise DataError(f"{name!r} is no plain file")
        with open(path, "rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            if not packed:
                return _array(file, name, os.fstat(file.fileno()).st_size)
            with gzip.GzipFile(fileobj=file) as unpacked:
                return _array(unpacked, name, None)
    except DataError:
        raise
    except (OSError, EOFError, zlib.error) as error:  # gzip tells of damage by any of the three
        raise DataError(f"{name!r} not read: {error}") from None


def _array(file: gzip.GzipFile | BinaryIO, name: str, size: int | None) -> np.ndarray:
    """size : bytes of the whole file, where that is known before reading it"""
    head = _exactly(file.read, 4, name, "the header")
    if head[:2] != b"\x00\x00":
        raise DataError(f"{name!r} is no IDX file: it starts with {head.hex()}")
    if head[2] != UNSIGNED_BYTE:
        raise DataError(f"{name!r}: type of data must be 0x08, unsigned bytes, got {head[2]:#04x}")
    dimensions = head[3]
    if dimensions not in {1, 3}:
        raise DataError(f"{name!r}: must have 1 dimension (labels) or 3 (images), got {dimensions}")
    sizes = np.frombuffer(_exactly(file.read, 4 * dimensions, name, "the header"), dtype=">u4")
    shape = tuple(int(n) for n in sizes)
    count = math.prod(shape)
    if not 0 < count <= LARGEST:
        raise DataError(f"{name!r}: shape {shape} is empty or too large")
    declared = 4 + 4 * dimensions + count
    if size is not None and size != declared:
        raise DataError(f"{name!r}: shape {shape} makes {declared} bytes, the file has {size}")
    content = _exactly(file.read, count, name, f"shape {shape}")
    if file.read(1):
        raise DataError(f"{name!r}: more data than its shape {shape}")
    return np.frombuffer(content, dtype=np.uint8).reshape(shape)


def _exactly(read: Callable[[int], bytes], count: int, name: str, what: str) -> bytes:
    """So many bytes, in pieces: what a file only claims to hold takes no memory."""
    pieces, left = [], count
    while left:
        piece = read(min(left, 1 << 20))
        if not piece:
            raise DataError(f"{name!r} ends after {count - left} of {count} bytes of {what}")
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)
