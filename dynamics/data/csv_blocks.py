"""A CSV file as blocks of floats, in bounded memory. Numbers only: nothing is ever evaluated or guessed."""

from __future__ import annotations

import codecs
import csv
import io
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from derivations import DataError
from dynamics.data.columns import BLOCK, Picked, advice
from dynamics.messages import shown

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
LONGEST_LINE = 2**20  # characters
LONGEST_CELL = 2**17  # where the csv module gives up
MISSING = {"", "na", "n/a", "nan", "none", "null", "inf", "infinity"}


@dataclass(frozen=True)
class Header:
    """Names of all columns of a file, and where the picked ones stand."""

    source: str
    names: list[str]
    places: list[int]
    picked: Picked


def csv_blocks(file: Path, picked: Picked, source: str) -> Iterator[np.ndarray]:
    """Blocks (rows, K) of the picked columns of a CSV with a header line, in UTF-8.

    Raises
    ------
    DataError
        Naming line and column of the first cell that is no finite number, or the line that is no CSV.
    """
    try:
        with open(file, "rb") as stream:
            header, line, data = _header(stream, picked, source)
            ended, empty = False, True
            while not ended:
                fresh = stream.read(BLOCK)
                ended, data = not fresh, data + fresh
                end = len(data) if ended else _end_of_lines(data)
                whole, data = data[:end], data[end:]
                if not whole:
                    _check_length(len(data), line + 1, source)
                    continue
                block, lines, unread = _parsed(whole, header, line, ended)
                line, data = line + lines, unread + data
                _check_length(len(unread), line + 1, source)
                if len(block):
                    empty = False
                    yield block
    except OSError as error:
        raise DataError(f"{source} cannot be read: {error}") from None
    if empty:
        raise DataError(f"{source} has no rows")


def _header(stream: BinaryIO, picked: Picked, source: str) -> tuple[Header, int, bytes]:
    """The header, the number of lines it takes, and the bytes read beyond it."""
    start = stream.read(LONGEST_LINE).removeprefix(codecs.BOM_UTF8)
    end = _end_of_lines(start)
    if not end and stream.read(1):
        _check_length(LONGEST_LINE + 1, 1, source)
    lines = _lines(start[:end] if end else start, 0, source)
    reader = csv.reader(lines, strict=True)
    try:
        names = [name.strip() for name in next(reader, [])]
    except csv.Error as error:
        raise DataError(f"{source} line {reader.line_num} is no CSV: {error}") from None
    if not names:
        raise DataError(f"{source} is empty")
    other = len(names) == 1 and re.search(r"[;\t|]", names[0])
    places = picked.places(names, source, hint="; columns must be separated by commas" if other else "")
    rest = "".join(lines[reader.line_num :]).encode() + (start[end:] if end else b"")
    return Header(source, names, places, picked), reader.line_num, rest


def _end_of_lines(data: bytes) -> int:
    """Where the last complete line ends; a carriage return alone ends lines where no line feed does."""
    return data.rfind(b"\n") + 1 or data.rfind(b"\r", 0, -1) + 1


def _check_length(length: int, line: int, source: str) -> None:
    if length > LONGEST_LINE:
        raise DataError(f"{source} line {line} is longer than {LONGEST_LINE} characters")


def _parsed(whole: bytes, header: Header, line: int, last: bool) -> tuple[np.ndarray, int, bytes]:
    """Rows of complete lines, the number of lines read, and the bytes of a record that goes on beyond them."""
    block = _plain(whole, header)
    return _strict(whole, header, line, last) if block is None else (block, whole.count(b"\n"), b"")


def _plain(whole: bytes, header: Header) -> np.ndarray | None:
    """Rows by NumPy's parser, or None wherever it might read a cell otherwise than `_strict`, or has to complain."""
    if b'"' in whole or b"\0" in whole:
        return None
    try:
        text = whole.decode()
    except UnicodeDecodeError:
        return None
    text = text.replace("\r\n", "\n")
    lines = [line for line in text.split("\n") if line]
    if "\r" in text or not lines or max(map(len, lines)) > LONGEST_CELL:
        return None
    commas = len(header.names) - 1
    if any(line.count(",") != commas for line in lines):
        return None
    try:
        block = np.loadtxt(lines, delimiter=",", comments=None, encoding=None, usecols=header.places, ndmin=2)
    except ValueError:
        return None
    return block if len(block) == len(lines) and np.isfinite(block).all() else None


def _strict(whole: bytes, header: Header, line: int, last: bool) -> tuple[np.ndarray, int, bytes]:
    """As `_parsed`, cell by cell, with the line and the column of what is wrong."""
    lines = _lines(whole, line, header.source)
    reader = csv.reader(lines, strict=True)
    rows, used = [], 0
    try:
        for row in reader:
            used, number = reader.line_num, line + reader.line_num
            if row and len(row) != len(header.names):
                raise DataError(
                    f"{header.source} line {number} has {len(row)} cells, the header has {len(header.names)}"
                )
            if row:
                where = f"{header.source} line {number}"
                rows.append([_number(row[i], where, header.names[i], header.picked) for i in header.places])
    except csv.Error as error:
        if last or reader.line_num < len(lines):  # else a quoted cell goes on in the next block
            raise DataError(f"{header.source} line {line + reader.line_num} is no CSV: {error}") from None
    unread = "".join(lines[used:]).encode()
    return np.array(rows, dtype=float).reshape(len(rows), len(header.places)), used, unread


def _lines(data: bytes, line: int, source: str) -> list[str]:
    """Decoded lines with their ends."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        number = line + 1 + data.count(b"\n", 0, error.start)
        raise DataError(f"{source} is no CSV in UTF-8: byte {data[error.start]:#x} in line {number}") from None
    if "\0" in text:
        raise DataError(f"{source} line {line + 1 + text.count(chr(10), 0, text.index(chr(0)))} holds a NUL byte")
    lines = io.StringIO(text, newline="").readlines()
    for i, each in enumerate(lines):
        _check_length(len(each), line + i + 1, source)
    return lines


def _number(cell: str, where: str, column: str, picked: Picked) -> float:
    text = cell.strip()
    value = float(text) if NUMBER.fullmatch(text) else math.inf
    if math.isinf(value):
        words = text.lower() not in MISSING and re.search(r"[^\W\d_]{2,}", text)
        hint = f"; {advice(column, picked)}" if words else ""
        raise DataError(f"{where}, column {shown(column, 30)}: {shown(cell, 30)} is not a finite number{hint}")
    return value
