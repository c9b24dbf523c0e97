"""Tables whose columns have types of their own: Parquet files and pandas DataFrames, both optional."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from derivations import DataError
from dynamics.data.columns import Picked, check_type, floats, rows_at_a_time
from dynamics.messages import shown


def is_frame(source: object) -> bool:
    """Whether an object is a pandas DataFrame, told without importing pandas."""
    return all(hasattr(source, name) for name in ("columns", "dtypes", "iloc"))


def frame_blocks(frame: Any, picked: Picked, source: str) -> Iterator[np.ndarray]:
    """Blocks (rows, K) of the picked columns of a DataFrame; a missing value is a DataError."""
    places = picked.places([str(name) for name in frame.columns], source)
    for name, place in zip(picked.names, places, strict=True):
        dtype = frame.dtypes.iloc[place]
        check_type("O" if str(dtype) == "category" else getattr(dtype, "kind", "O"), dtype, name, picked, source)
    step = rows_at_a_time(len(places))
    for start in range(0, len(frame), step):
        rows = frame.iloc[start : start + step, places]
        yield floats(rows.to_numpy(dtype=float, na_value=np.nan), picked.names, source, start)


def parquet_blocks(file: Path, picked: Picked, source: str) -> Iterator[np.ndarray]:
    """Blocks (rows, K) of the picked columns of a Parquet file; a null is a DataError."""
    try:
        parquet = import_module("pyarrow.parquet")
    except ImportError:
        raise DataError(f"reading {source} needs pyarrow: pip install pyarrow") from None
    row = 0
    try:
        with open(file, "rb") as stream:
            # bounds on the footer, and no read-ahead of whole row groups
            opened = parquet.ParquetFile(
                stream,
                pre_buffer=False,
                buffer_size=2**20,
                page_checksum_verification=True,
                thrift_string_size_limit=2**24,
                thrift_container_size_limit=2**20,
            )
            schema = opened.schema_arrow
            places = picked.places(schema.names, source)
            for name, place in zip(picked.names, places, strict=True):
                check_type(_kind(schema.types[place]), schema.types[place], name, picked, source)
            step = rows_at_a_time(len(places))
            for batch in opened.iter_batches(batch_size=step, columns=list(picked.names), use_threads=False):
                found = [batch.column(batch.schema.get_field_index(name)) for name in picked.names]
                _check_nulls(found, picked, source, row)
                columns = [column.to_numpy(zero_copy_only=False).astype(float) for column in found]
                yield floats(np.stack(columns, axis=1), picked.names, source, row)
                row += batch.num_rows
            if row != opened.metadata.num_rows:
                raise DataError(f"{source} has {row} rows, its footer declares {opened.metadata.num_rows}")
    except DataError:
        raise
    except Exception as error:  # damaged files raise many kinds
        raise DataError(f"{source} is no readable Parquet file: {type(error).__name__}: {error}") from None


def _kind(kind: Any) -> str:
    """NumPy's letter of an Arrow type: 'O' of text and categories, 'V' of what is no number either."""
    types = import_module("pyarrow").types
    if types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind):
        return "f"
    text = (types.is_dictionary, types.is_string, types.is_large_string, types.is_string_view, types.is_binary)
    return "O" if any(test(kind) for test in text) else "V"


def _check_nulls(columns: list[Any], picked: Picked, source: str, row: int) -> None:
    for name, column in zip(picked.names, columns, strict=True):
        if column.null_count:
            first = row + int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
            raise DataError(f"{source}: column {shown(name)} has a null in row {first}, the first being 0")
