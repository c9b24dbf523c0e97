"""Reading a user's data: text, Excel, Parquet, npy, npz and DataFrames. Nothing is ever evaluated or guessed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from derivations import Correlations, DataError
from derivations.rows import Missing, checked_missing
from dynamics.data import arrays, frames
from dynamics.data.columns import MOST_COLUMNS, Picked, asked, resolved
from dynamics.data.joining import INDEX, joined
from dynamics.data.moments import correlations_of
from dynamics.data.shaping import shaped
from dynamics.data.source import Source, with_gaps
from dynamics.data.texts import Layout, text_source
from dynamics.messages import cut, listed, one_line

Columns = Mapping[str, str | Sequence[str]]
STATISTICS = ("sigma", "sigma_yx", "sizes", "sigma_yy", "modalities", "columns")
TABLES = (".npy", ".csv", ".tsv", ".txt", ".xlsx", ".xlsm", ".parquet", ".pq", ".gz", ".bz2", ".xz")


def read_table(
    path: str | os.PathLike[str] | Any,
    target: str | Sequence[str] = "y",
    modalities: Columns | None = None,
    standardize: bool = False,
    missing: str = "error",
    id: str | None = None,
    classes: bool = False,
    *,
    na: Sequence[str | float] = (),
    sep: str | None = None,
    decimal: str = ".",
    encoding: str | None = None,
    comment: str | None = None,
    sheet: str | int = 0,
) -> Correlations:
    """Correlations of a file or a pandas DataFrame.

    Rows are read block by block. Samples are kept up to `dynamics.data.moments.KEPT` bytes of picked columns; of a
    larger table only its moments are, and `samples` of the result is None. What was done to the table is in `notes`.

    Parameters
    ----------
    path : a pandas DataFrame, or the path of
        a text with a header line (any ending but those below; .gz, .bz2 and .xz are unpacked), by pandas;
        an .xlsx, with pandas and openpyxl;
        a .parquet or .pq, with pyarrow;
        a .npy, (P, columns) with columns named "0", "1", ..., or (P,) with named fields;
        a .npz, with one array (P,) or (P, d) a modality and the target, or with `sigma`, `sigma_yx` and `sizes`
        (optionally `sigma_yy`, `modalities`, the names of the modalities, and `columns`, those of the D inputs)
    target : column (in a .npz: array) of the target, or a list of several; text is taken as classes
    modalities : modality -> its columns, or its arrays in a .npz, where all others are one each without it. A column
        is a name, a pattern (`img_*`) or a range in the order of the table (`img_0:img_127`); a modality may also be
        the path of a table of its own, all of whose columns belong to it. An input of text becomes a column for each
        of its categories (one, where there are two)
    standardize : z-score every input, and targets that are no classes
    missing : "error", "drop" (rows with a gap) or "mean" (fill gaps of inputs, drop rows without a target)
    id : column that joins the rows of several files
    classes : the target's numbers are classes
    na : codes for a missing value beside the usual ones (an empty cell, NA, NaN, null)
    sep : separator; without it the one that the header has most of: comma, semicolon, tab or bar
    decimal : "." or ","
    encoding : without it what a byte order mark says, else UTF-8
    comment : character from which on a line is left out
    sheet : name or number of a workbook's sheet

    Raises
    ------
    DataError
        One line that names the file and the line, row, column or array at fault.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "data.csv"
    >>> _ = file.write_text("a,b,y\\n1,0,1\\n0,2,2\\n3,1,4\\n")
    >>> print(read_table(file, target="y", modalities={"A": ["a"], "B": ["b"]}))
    modality  inputs  |Sigma_yx|
    A         1       1.222
    B         1       0.3333
    """
    try:
        for name, flag in (("standardize", standardize), ("classes", classes)):
            if not isinstance(flag, bool | np.bool_):
                raise DataError(f"{name} must be True or False, got {flag!r}")
        policy = checked_missing(missing)
        layout = Layout(sep, decimal, encoding, comment, sheet)
        codes = _codes(na)
        with np.errstate(all="ignore"):  # what overflows is found in the result
            source, picked = _opened(path, target, modalities, id, layout)
            if isinstance(source, Correlations):
                other = policy is not Missing.ERROR or tuple(np.ravel(target)) != ("y",)
                if modalities is not None or standardize or classes or codes or other:
                    raise DataError(
                        "a file of sigma and sigma_yx: target, modalities, standardize, classes, missing and na "
                        "need samples"
                    )
                return source
            table = shaped(with_gaps(source, codes), picked, policy, bool(classes))
            return correlations_of(table, source.name, bool(standardize))
    except DataError as error:
        raise DataError(one_line(str(error))) from None
    except np.linalg.LinAlgError as error:
        raise DataError(f"no eigenvalues of sigma: {error}; rescale the units") from None
    except MemoryError:
        raise DataError("the picked columns do not fit into memory") from None


def _opened(
    path: Any, target: Any, modalities: Any, key: str | None, layout: Layout
) -> tuple[Source | Correlations, Picked]:
    """The table with the columns that are picked of it, as `shaped` wants them."""
    if not frames.is_frame(path):
        file = _regular_file(path)
        if file.suffix.lower() == ".npz":
            if key is not None:
                raise DataError("id joins tables by a column: an .npz has none, give one array a modality")
            layout.require((), file.name)
            return _from_npz(file, one_line(file.name, 40), target, modalities)
    if modalities is None:
        raise DataError("modalities must map each modality to its columns, as in {'A': ['a1', 'a2']}")
    wanted = asked(modalities, target)
    files = {m: names[0] for m, names in wanted.modalities.items() if len(names) == 1 and _is_table(names[0], path)}
    read = [*([] if frames.is_frame(path) else [file]), *map(Path, files.values())]
    layout.require({name for one in read for name in _layout_of(one)}, read[0].name if read else "a DataFrame")
    plain = Picked({m: names for m, names in wanted.modalities.items() if m not in files}, wanted.targets)
    if frames.is_frame(path):
        source = frames.frame_source(path)
    else:
        source = _table(file, layout, [*plain.names, *([key] if key else [])])
    but = [] if key is None else [key]
    picked = resolved(plain, source.columns, source.name, but=but)
    used = {*picked.names, *but, *INDEX}
    spare = [column for column in source.columns if column not in used]
    notes = [*source.notes, *_spare(spare, source.name)]
    if files:
        parts = {m: _table(_regular_file(name), layout, but) for m, name in files.items()}
        needed = [*but, *picked.names]
        base = Source(
            source.name, tuple(needed), lambda places: source.picked([needed[i] for i in places]), source.place
        )
        base = replace(base, decimal=source.decimal, categories=source.categories)
        source, own = joined(base, parts, key, picked.targets, source)
        picked = Picked({m: own.get(m) or picked.modalities[m] for m in wanted.modalities}, picked.targets)
        notes += source.notes
    elif key is not None:
        raise DataError("id joins rows of several files: give a modality a file of its own, or leave it out")
    if len(picked.modalities) == 1:
        notes.append(f"one modality, {next(iter(picked.modalities))}: there is no second one to wait for")
    return replace(source, notes=tuple(notes)), picked


def _codes(na: Any) -> list[str | float]:
    codes = [na] if isinstance(na, str) or np.ndim(na) == 0 else list(na)
    wrong = [code for code in codes if not isinstance(code, str | int | float | np.number)]
    if wrong:
        raise DataError(f"na must be a code or a list of codes for a missing value, got {wrong[0]!r}")
    return codes


def _spare(columns: Sequence[str], source: str) -> tuple[str, ...]:
    """Columns that the user may have forgotten."""
    if not columns:
        return ()
    some = "1 column of {} is" if len(columns) == 1 else f"{len(columns)} columns of {{}} are"
    return (f"{some.format(source)} not used: {listed([one_line(c, 30) for c in columns], 60)}",)


def _is_table(name: str, path: Any) -> bool:
    """Whether the one name of a modality is that of a file of its own."""
    ending = Path(name).suffix.lower()
    return ending in TABLES and Path(name).is_file()


def _layout_of(file: Path) -> tuple[str, ...]:
    """What of a layout a file of that ending has."""
    if file.suffix.lower() in (".xlsx", ".xlsm"):
        return "sheet", "decimal"
    binary = file.suffix.lower() in (".npy", ".npz", ".parquet", ".pq")
    return () if binary else ("sep", "decimal", "encoding", "comment")


def _table(file: Path, layout: Layout, wanted: Sequence[str]) -> Source:
    """A file as an open table, by its ending."""
    name, ending = one_line(file.name, 40), file.suffix.lower()
    if ending == ".npy":
        return arrays.npy_source(file, name)
    if ending in (".parquet", ".pq"):
        return frames.parquet_source(file, name)
    if ending in (".xlsx", ".xlsm"):
        return frames.workbook_source(file, name, layout)
    if ending == ".npz":
        raise DataError(f"{name}: a modality's own file is a .npy or a table, not an .npz")
    return text_source(file, name, layout, wanted)


def _regular_file(path: Any) -> Path:
    try:
        file = Path(path)
        present, regular = file.exists(), file.is_file()
    except PermissionError:
        raise DataError(f"{str(path)[:80]!r} cannot be read: Permission denied") from None
    except (OSError, TypeError, ValueError):
        raise DataError(f"path must name a file or be a pandas DataFrame, got {str(path)[:80]!r}") from None
    if not regular:
        told = repr(str(path)[-80:])
        raise DataError(f"{told} is not a regular file" if present else f"no file at {told}")
    if not os.access(file, os.R_OK):
        raise DataError(f"{str(path)[:80]!r} cannot be read: Permission denied")
    return file


def _from_npz(file: Path, name: str, target: Any, modalities: Any) -> tuple[Source | Correlations, Picked]:
    present = arrays.archive_names(file, name)
    if "sigma" in present and "sigma_yx" in present:
        found = arrays.load_arrays(file, [member for member in STATISTICS if member in present], name)
        return _from_statistics(found, name), Picked({}, ())
    if modalities is None:
        targets = asked({"A": ["A"]}, target, "array").targets
        modalities = {member: [member] for member in present if member not in targets}
        if not modalities:
            raise DataError(f"{name} has no array besides the target {target!r}")
    chosen = resolved(asked(modalities, target, "array"), present, name, noun="array")
    found = arrays.load_arrays(file, chosen.names, name)
    source = arrays.array_source(found, name)
    return source, Picked(
        {m: _columns_of(members, found) for m, members in chosen.modalities.items()},
        _columns_of(chosen.targets, found),
    )


def _columns_of(members: Sequence[str], found: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    return tuple(column for member in members for column in arrays.array_columns(member, found[member]))


def _from_statistics(found: Mapping[str, np.ndarray], source: str) -> Correlations:
    """Correlations of the arrays `sigma`, `sigma_yx` and `sizes`."""
    sizes = np.ravel(found.get("sizes", ()))
    if sizes.dtype.kind not in "iu" or not 0 < len(sizes) <= MOST_COLUMNS:
        raise DataError(f"{source}: sizes must hold one integer a modality, got {cut(repr(sizes), 60)}")
    names = [str(name) for name in np.ravel(found.get("modalities", [chr(65 + i) for i in range(len(sizes))]))]
    if len(names) != len(sizes):
        raise DataError(f"{source}: sizes must hold one integer a modality, {len(names)}, got {len(sizes)}")
    if len(set(names)) < len(names):
        raise DataError(f"{source} names a modality twice: {', '.join(names)}")
    each = dict(zip(names, sizes.tolist(), strict=True))
    columns = None
    if "columns" in found:
        labels = [str(label) for label in np.ravel(found["columns"])]
        ends = np.cumsum(sizes)
        columns = {m: tuple(labels[end - n : end]) for (m, n), end in zip(each.items(), ends, strict=True)}
        if len(labels) != ends[-1]:
            raise DataError(f"{source}: columns must name the {ends[-1]} inputs, got {len(labels)} names")
    return Correlations(found["sigma"], found["sigma_yx"], each, found.get("sigma_yy"), columns=columns)
