"""Tables in text, by pandas: what pandas is handed is decoded, bounded and watched here, and nothing is evaluated."""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import lzma
import re
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from importlib import import_module
from io import BytesIO, TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from derivations import DataError
from derivations.rows import is_gap
from dynamics.data.columns import numbers_or_text, rows_at_a_time
from dynamics.data.source import Cells, Source
from dynamics.messages import one_line, shown

ROW_NAMES = "row names"
LONGEST_LINE = 2**20  # characters
LONGEST_CELL = 2**25  # characters after a quotation mark without another
GAPS = {
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "None", "n/a", "nan", "null",
}  # what pandas takes for nothing, except in some columns of long integers  # fmt: skip
WORDS = dict.fromkeys(GAPS) | {"TRUE": "True", "true": "True", "FALSE": "False", "false": "False"}
SEPARATORS = (",", ";", "\t", "|")
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16",
}  # fmt: skip
PACKED: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
NO_TEXT = {
    b"PK\x03\x04": "a ZIP archive or a workbook", b"\xd0\xcf\x11\xe0": "an old Excel workbook", b"PAR1": "Parquet",
    b"ARROW1": "Feather", b"\x89HDF": "HDF5", b"%PDF": "a PDF", b"\x93NUMPY": "an .npy",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"7z\xbc\xaf": "a 7z archive", b"MATLAB": "a MATLAB file", b"\x80\x04\x95": "a pickle", b"\x80\x05\x95": "a pickle",
}  # fmt: skip


def pandas_for(source: str) -> Any:
    """The library that reads tables."""
    try:
        return import_module("pandas")
    except ImportError:
        raise DataError(f"reading {source} needs pandas: pip install 'fusion-dynamics[data]'") from None


EXCELS = re.compile("sep=.?", re.IGNORECASE)  # a first line that Excel writes for itself


@dataclass(frozen=True)
class Layout:
    """How a text is laid out, where it does not say so itself.

    sep : one character; None for the one of comma, semicolon, tab, bar that the header has most of
    encoding : None for what a byte order mark says, else UTF-8
    comment : character from which on a line is left out
    sheet : name or number of a workbook's sheet
    """

    sep: str | None = None
    decimal: str = "."
    encoding: str | None = None
    comment: str | None = None
    sheet: str | int = 0

    def require(self, known: Collection[str], source: str) -> None:
        """Refuse what no file of these kinds has."""
        for f in fields(self):
            if f.name not in known and getattr(self, f.name) != f.default:
                value = shown(getattr(self, f.name))
                raise DataError(f"{f.name} = {value} goes with another kind of file than {shown(source)}")

    def __post_init__(self) -> None:
        for name, value in (("sep", self.sep), ("decimal", self.decimal), ("comment", self.comment)):
            if value is not None and (not isinstance(value, str) or len(value) != 1 or value in '"\n\r\0'):
                raise DataError(f"{name} must be one character, got {value!r}"[:120])
        if self.decimal not in ".," or self.decimal == self.sep:
            raise DataError(f"decimal must be . or , and not the separator, got {self.decimal!r}")
        if self.encoding is not None:
            try:
                TextIOWrapper(BytesIO(), self.encoding)
            except (LookupError, TypeError, ValueError):
                raise DataError(f"encoding {shown(self.encoding)} is not known") from None


class Watched:
    """Decoded text for pandas, which only reads it: one error at what would break or fill it."""

    def __init__(self, file: Path, layout: Layout, source: str) -> None:
        self.source, self.lines, self.since, self.quoted, self.unquoted = source, 0, 0, False, 0
        self.before = ""  # text that is read first
        self.sep, self.most = "", 0  # separators that a line may have, if any number is set
        with open(file, "rb") as stream:
            start = stream.read(8)
        self.file, self.opener = file, next((found for mark, found in PACKED.items() if start.startswith(mark)), open)
        self.stream: Any = self.opener(file, "rb")
        with self:
            start = self._unpacked(partial(self.stream.read, 8))
        self.stream = self.opener(file, "rb")
        marked = next((name for mark, name in MARKS.items() if start.startswith(mark)), None)
        what = next((told for mark, told in NO_TEXT.items() if start.startswith(mark)), None)
        if what is not None:
            self.stream.close()
            raise DataError(f"{source} is {what}, not a table in text: save it as .csv or .xlsx")
        self.encoding = layout.encoding or marked or "utf-8"
        self.stream = TextIOWrapper(self.stream, self.encoding, newline="")

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()

    def __iter__(self) -> Iterator[str]:
        while line := self.readline():
            yield line

    def read(self, size: int = -1) -> str:
        if self.before:
            before, self.before = self.before, ""
            return before
        return self._checked(self._unpacked(partial(self.stream.read, size)))

    def readline(self) -> str:
        return self._checked(self._unpacked(partial(self.stream.readline, LONGEST_LINE + 1)))

    def _unpacked(self, read: Any) -> Any:
        try:
            return read()
        except UnicodeDecodeError as error:
            raise DataError(
                f"{self.source} is not in {self.encoding}: byte {error.object[error.start]:#x} in line "
                f"{self._undecoded()}; give its encoding (latin-1, cp1252, utf-16, ...)"
            ) from None
        except OSError as error:
            raise DataError(f"{self.source} cannot be read: {error}") from None
        except Exception as error:  # damaged archives, and codecs, leak many kinds
            raise DataError(f"{self.source} cannot be unpacked: {type(error).__name__}: {error}") from None

    def _undecoded(self) -> int:
        """The line that has the first byte which is no text."""
        decoder, line = codecs.getincrementaldecoder(self.encoding)(), 1
        with self.opener(self.file, "rb") as stream:
            while block := self._unpacked(partial(stream.read, 2**16)):
                try:
                    line += decoder.decode(block).count("\n")
                except UnicodeDecodeError as error:
                    return int(line + error.object[: error.start].count(b"\n"))
        return line

    def _checked(self, text: str) -> str:
        if "\0" in text:
            line = self.lines + text.count("\n", 0, text.index("\0")) + 1
            raise DataError(f"{self.source} line {line} holds a NUL byte: is its encoding {self.encoding}?")
        ends = text.count("\n") or text.count("\r")
        longest = max(map(len, text.splitlines())) if ends else 0
        self.since = self.since + len(text) if not ends else len(text) - max(text.rfind("\n"), text.rfind("\r"))
        if max(longest, self.since) > LONGEST_LINE:
            raise DataError(f"{self.source} line {self.lines + 1} or later is longer than {LONGEST_LINE} characters")
        marks = text.count('"')
        if self.most and not marks and text.count(self.sep) > (ends + 1) * self.most:
            raise DataError(f"{self.source} line {self.lines + 1} or later has more than {self.most} cells")
        self.lines += ends
        self.quoted ^= bool(marks % 2)
        self.unquoted = self.unquoted + len(text) if not marks else len(text) - text.rfind('"')
        if self.quoted and self.unquoted > LONGEST_CELL:
            raise DataError(f"{self.source}: a quoted cell before line {self.lines} does not end")
        return text


@dataclass(frozen=True)
class _Head:
    """Lines before the data, the separator, the names of the columns."""

    lines: int
    sep: str
    names: tuple[str, ...]
    note: str = ""


def text_source(file: Path, source: str, layout: Layout, wanted: Sequence[str] = ()) -> Source:
    """A table of lines: a header, then rows. `wanted` are names that its header should have."""
    pandas_for(source)
    try:
        head = _head(file, source, layout, set(wanted))
    except csv.Error as error:
        raise DataError(f"{source}: header and first rows cannot be read: {error}") from None
    notes = [] if head.sep == "," or layout.sep else [f"columns are separated by {head.sep!r}, as in the header"]
    notes += [head.note] if head.note else []
    return Source(
        source,
        head.names,
        partial(_blocks, file, source, layout, head),
        partial(_line_of, file, source, layout, head),
        tuple(notes),
        layout.decimal,
    )


def _head(file: Path, source: str, layout: Layout, wanted: set[str]) -> _Head:
    """The header is the first line that is no comment, or one that begins with # and has the names asked for."""
    with Watched(file, layout, source) as text:
        before = 0
        while (line := text.readline().removeprefix("\ufeff")) and (
            not line.strip() or line.startswith(("#", layout.comment or "#")) or EXCELS.fullmatch(line.strip())
        ):
            if line.startswith("#"):
                found = _header([line.lstrip("# ")], text, layout)
                known = {*found.names, line.lstrip("# ").split(found.sep)[0].strip()}
                plain = _header([line], text, layout) if found.lines == 1 else found
                if wanted and wanted <= known | set(plain.names):
                    names = found.names if wanted <= set(found.names) else plain.names
                    return _with_row_names(
                        replace(found, names=names, lines=before + found.lines), text, layout, source
                    )
            before += 1
        if not line:
            raise DataError(f"{source} is empty")
        if line.lstrip().startswith(("{", "[")):
            raise DataError(f"{source} looks like JSON, which is not read: save it as a table, .csv for one")
        found = _header([line], text, layout)
        return _with_row_names(replace(found, lines=before + found.lines), text, layout, source)


def _header(lines: list[str], text: Watched, layout: Layout) -> _Head:
    """The names on a line, which may go on where a cell holds line breaks."""
    unquoted = "".join(lines[0].split('"')[::2])
    sep = layout.sep or max((mark for mark in SEPARATORS if mark != layout.decimal), key=unquoted.count)
    while lines[-1].count('"') % 2 == sum(line.count('"') for line in lines[:-1]) % 2 ^ 1:
        more = text.readline()
        if not more:
            raise csv.Error("a quoted cell in line 1 does not end")
        lines.append(more)
    names = next(csv.reader(lines, delimiter=sep), [])
    return _Head(len(lines), sep, tuple(" ".join(name.split()) for name in names))


def _with_row_names(head: _Head, text: Watched, layout: Layout, source: str) -> _Head:
    """R writes one name less than columns where its rows have names, which are never the same."""
    ends = []
    for row in _filled(csv.reader(islice(text, 1000), delimiter=head.sep), layout):
        if len(row) != len(head.names) + 1:
            return head
        ends.append((row[0], row[-1]))
    if not ends:  # told by those who read on
        return head
    if all(last == "" for _, last in ends):
        return replace(head, note=f"rows of {source} end with a separator more than its header")
    if len({first for first, _ in ends}) < len(ends):
        raise DataError(f"{source} has {len(head.names) + 1} cells a row, the header has {len(head.names)}")
    note = f"the header of {source} has one name less than its rows have cells: the first is taken for a row's name"
    return replace(head, names=(ROW_NAMES, *head.names), note=note)


def _blocks(file: Path, source: str, layout: Layout, head: _Head, places: Sequence[int]) -> Iterator[Cells]:
    pandas = pandas_for(source)
    unique = sorted(set(places))
    version = tuple(int(part) for part in pandas.__version__.split(".")[:2])
    spare = [len(head.names), len(head.names) + 1]  # cells that no name of the header belongs to
    exact = {} if version >= (3, 1) else {"float_precision": "round_trip"}  # the default since then
    with Watched(file, layout, source) as text, warnings.catch_warnings():
        warnings.simplefilter("error", pandas.errors.ParserWarning)  # cells of a row that is too long are lost
        for _ in range(head.lines):
            text.readline()
        text.before = head.sep.join(map(str, range(spare[1] + 1))) + "\n"  # tells pandas of cells that no row may have
        text.sep, text.most = head.sep, spare[1] + 1
        try:
            reader = pandas.read_csv(
                text, sep=head.sep, decimal=layout.decimal, usecols=[*unique, *spare], index_col=False,
                chunksize=rows_at_a_time(len(head.names)), engine="c", low_memory=False, comment=layout.comment,
                **exact,
            )  # fmt: skip
            row = 0
            for frame in reader:
                if frame[[str(i) for i in spare]].notna().to_numpy().any():
                    raise ValueError("a row is longer than the header")
                yield [_cells(frame[str(i)], head.names[i], source) for i in places]
                row += len(frame)
        except DataError:
            raise
        except Exception as error:  # pandas leaks many kinds
            raise _broken(error, file, source, layout, head) from None
    if not row:
        raise DataError(f"{source} has no rows")


def _cells(series: Any, name: str, source: str) -> np.ndarray:
    if series.dtype.kind in "iuf":
        return numbers_or_text(series.to_numpy(), name, source)
    if series.dtype.kind == "b":  # of this block: others may hold other words
        return np.where(series.to_numpy(), np.array("True", dtype=object), np.array("False", dtype=object))
    cells = ("" if is_gap(value) else str(value).strip() for value in series.tolist())
    return np.array([*(WORDS.get(cell, cell) for cell in cells), None], dtype=object)[:-1]


def _rows(text: Watched, layout: Layout, head: _Head) -> Iterator[tuple[int, list[str]]]:
    """Each row with the number of the line on which it ends, by the csv module: slow, for messages."""
    for _ in range(head.lines):
        text.readline()
    reader = csv.reader(text, delimiter=head.sep)
    for row in _filled(reader, layout):
        yield head.lines + reader.line_num, row


def _filled(rows: Iterable[list[str]], layout: Layout) -> Iterator[list[str]]:
    """Rows that are neither blank nor a comment."""
    for row in rows:
        remark = layout.comment and row and row[0].startswith(layout.comment)
        if not remark and (len(row) > 1 or any(cell.strip() for cell in row)):
            yield row


def _line_of(file: Path, source: str, layout: Layout, head: _Head, row: int) -> str:
    try:
        with Watched(file, layout, source) as text:
            for i, (line, _) in enumerate(_rows(text, layout, head)):
                if i == row:
                    return f"line {line}"
    except csv.Error:
        pass
    return f"row {row} (the first being 0)"


def _broken(error: Exception, file: Path, source: str, layout: Layout, head: _Head) -> DataError:
    """What is wrong with a text that pandas refuses."""
    line = head.lines
    try:
        with Watched(file, layout, source) as text:
            for line, row in _rows(text, layout, head):
                if any(row[len(head.names) :]):
                    return DataError(f"{source} line {line} has {len(row)} cells, the header has {len(head.names)}")
    except DataError as found:
        return found
    except csv.Error as found:
        if "EOF" not in str(error):
            return DataError(f"{source} after line {line}: {found}")
    if "EOF inside string" in str(error):
        return DataError(f"{source}: a quoted cell does not end in line {line}, the last one, nor before")
    return DataError(f"{source} is no table: {one_line(str(error), 120)}")
