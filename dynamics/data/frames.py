"""Tables whose columns have types of their own: pandas DataFrames, Parquet files, Excel workbooks."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator, Sequence
from functools import partial
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from derivations import DataError
from derivations.rows import is_gap, label_of
from dynamics.data.columns import NO_DATES, numbers_or_text, rows_at_a_time
from dynamics.data.source import Cells, Source
from dynamics.data.texts import GAPS, Layout, pandas_for
from dynamics.messages import listed, one_line, shown

MOST_ROWS = 2**20  # of a sheet, as Excel has it
LARGEST_WORKBOOK = 2**28  # bytes that a workbook may unpack to


def is_frame(source: object) -> bool:
    """Whether an object is a pandas DataFrame, told without importing pandas."""
    return all(hasattr(source, name) for name in ("columns", "dtypes", "iloc"))


def frame_source(frame: Any, source: str = "DataFrame") -> Source:
    """A DataFrame; its index is no column."""
    names = tuple(" ".join(str(name).split()) for name in frame.columns)
    kinds = zip(names, frame.dtypes, strict=True)
    categories = frozenset(name for name, kind in kinds if str(kind) == "category")
    return Source(source, names, partial(_frame_blocks, frame, source), categories=categories)


def _frame_blocks(frame: Any, source: str, places: Sequence[int]) -> Iterator[Cells]:
    step = rows_at_a_time(len(places) or 1)
    for start in range(0, len(frame), step):
        rows = frame.iloc[start : start + step]
        yield [series_cells(rows.iloc[:, i], str(frame.columns[i]), source) for i in places]


def series_cells(series: Any, name: str, source: str) -> np.ndarray:
    """One column as numbers or text; categories are text, whatever they are made of."""
    kind = getattr(series.dtype, "kind", "O")
    if str(series.dtype) == "category":
        values = [None if is_gap(value) else label_of(value) for value in series.tolist()]
        return np.array([*values, None], dtype=object)[:-1]
    if kind in "iu" and not series.hasnans:
        return numbers_or_text(series.to_numpy(), name, source)
    if kind in "biuf":
        return np.asarray(series.to_numpy(dtype=float, na_value=np.nan))
    if kind in "Mm":
        raise DataError(f"{source}: column {shown(name)} holds dates or times: {NO_DATES}")
    return numbers_or_text(series.to_numpy(dtype=object), name, source)


def workbook_source(file: Path, source: str, layout: Layout) -> Source:
    """One sheet of an Excel workbook: a header, then rows; a formula counts as the value that was saved with it."""
    try:
        openpyxl = import_module("openpyxl")
    except ImportError:
        raise DataError(f"reading {source} needs openpyxl: pip install 'fusion-dynamics[data]'") from None
    try:
        with open(file, "rb") as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks on styles
            _check_archive(stream, source)
            book = openpyxl.load_workbook(stream, read_only=True, data_only=True)
            sheet, notes = _sheet(book, layout.sheet, source)
            lines, header, rows = _filled_rows(sheet, source)
    except DataError:
        raise
    except Exception as error:  # zipfile, openpyxl and its parsers leak many kinds
        raise DataError(
            f"{source} is no readable workbook: {type(error).__name__}: {one_line(str(error), 100)}"
        ) from None

    def blocks(places: Sequence[int]) -> Iterator[Cells]:
        step = rows_at_a_time(len(places) or 1)
        for start in range(0, len(rows), step):
            some = rows[start : start + step]
            yield [
                numbers_or_text(np.array([*(row[i] for row in some), None], dtype=object)[:-1], header[i], source)
                for i in places
            ]

    name = f"{source} (sheet {sheet.title!r}; --sheet for others)" if notes else source
    return Source(name, header, blocks, lambda row: f"row {lines[row]} of the sheet", notes, layout.decimal)


def _check_archive(stream: Any, source: str) -> None:
    with zipfile.ZipFile(stream) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > LARGEST_WORKBOOK:
        limit = LARGEST_WORKBOOK / 2**20
        raise DataError(f"{source} would unpack to {size / 2**20:.0f} MiB, more than {limit:.0f}: save it as .csv")


def _sheet(book: Any, asked: str | int, source: str) -> tuple[Any, tuple[str, ...]]:
    names = [sheet.title for sheet in book.worksheets]
    if asked not in (range(len(names)) if isinstance(asked, int) else names):
        raise DataError(f"{source} has no sheet {shown(asked)}; it has {listed(names)}")
    place = asked if isinstance(asked, int) else names.index(asked)
    notes = (f"sheet {names[0]!r} of {len(names)}",) if len(names) > 1 and asked == 0 else ()
    return book.worksheets[place], notes


def _filled_rows(sheet: Any, source: str) -> tuple[list[int], tuple[str, ...], list[tuple[Any, ...]]]:
    """Numbers of the rows that are not empty, the header, and the rows below it, each as long as that."""
    sheet.reset_dimensions()  # what a sheet says of its size need not be so
    every = enumerate(sheet.iter_rows(values_only=True), 1)
    found = ((i, row) for i, row in islice(every, MOST_ROWS) if any(map(_is_filled, row)))
    _, first = next(found, (0, ()))
    header = tuple(" ".join(str(name).split()) if _is_filled(name) else "" for name in first)
    lines, rows = [], []
    for line, row in found:
        if any(map(_is_filled, row[len(header) :])):
            raise DataError(f"{source} row {line} of the sheet has {len(row)} cells, the header has {len(header)}")
        lines.append(line)
        rows.append(tuple(None if value in GAPS else value for value in (*row, *[None] * len(header))[: len(header)]))
    if next(every, None) is not None:
        raise DataError(f"{source} has a row beyond {MOST_ROWS}")
    if not rows:
        raise DataError(f"{source} has no rows")
    return lines, header, rows


def _is_filled(value: Any) -> bool:
    return value is not None and value != ""


def parquet_source(file: Path, source: str) -> Source:
    """A Parquet file, read by pyarrow with bounds on its footer."""
    pandas_for(source)
    try:
        with open(file, "rb") as stream:
            schema = _opened(stream, source).schema_arrow
            names = tuple(schema.names)
            kinds = zip(names, schema.types, strict=True)
            categories = frozenset(name for name, kind in kinds if str(kind).startswith("dictionary"))
    except DataError:
        raise
    except Exception as error:  # damaged files raise many kinds
        raise _damaged(error, source) from None
    return Source(source, names, partial(_parquet_blocks, file, source, names), categories=categories)


def _opened(stream: Any, source: str) -> Any:
    try:
        parquet = import_module("pyarrow.parquet")
    except ImportError:
        raise DataError(f"reading {source} needs pyarrow: pip install pyarrow") from None
    return parquet.ParquetFile(
        stream,
        pre_buffer=False,  # no read-ahead of whole row groups
        buffer_size=2**20,
        page_checksum_verification=True,
        thrift_string_size_limit=2**24,
        thrift_container_size_limit=2**20,
    )


def _parquet_blocks(file: Path, source: str, names: tuple[str, ...], places: Sequence[int]) -> Iterator[Cells]:
    row = 0
    wanted = list(dict.fromkeys(names[i] for i in places))
    try:
        with open(file, "rb") as stream:
            opened = _opened(stream, source)
            step = rows_at_a_time(len(places) or 1)
            for batch in opened.iter_batches(batch_size=step, columns=wanted, use_threads=False):
                columns = {name: batch.column(batch.schema.get_field_index(name)) for name in wanted}
                yield [series_cells(columns[names[i]].to_pandas(), names[i], source) for i in places]
                row += batch.num_rows
            if row != opened.metadata.num_rows:
                raise DataError(f"{source} has {row} rows, its footer declares {opened.metadata.num_rows}")
    except DataError:
        raise
    except Exception as error:  # as above
        raise _damaged(error, source) from None


def _damaged(error: Exception, source: str) -> DataError:
    return DataError(f"{source} is no readable Parquet file: {type(error).__name__}: {error}")
