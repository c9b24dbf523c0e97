"""Reading a user's data: CSV and npz, numbers only, nothing is ever evaluated."""

from __future__ import annotations

import csv
import math
import os
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from derivations.correlations import Correlations
from derivations.errors import DataError

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
LARGEST_ARCHIVE = 2**30  # bytes that an .npz may unpack to
Columns = Mapping[str, Sequence[str]]


def read_table(
    path: str | os.PathLike[str], target: str = "y", modalities: Columns | None = None, standardize: bool = False
) -> Correlations:
    """Correlations of a CSV file or a .npz.

    Parameters
    ----------
    path : a CSV with a header line; a .npz with `sigma`, `sigma_yx` and `sizes` (optionally `sigma_yy` and
        `modalities`, the names); or a .npz with one array (P,) or (P, d) a modality and the target
    target : column (CSV) or array (npz) of the target
    modalities : modality -> its columns, or its arrays in a .npz; without it every other array of a .npz is one
    standardize : z-score every column and the target

    Raises
    ------
    DataError
        One line that names the file and the line, column or array at fault.

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
        file = Path(path)
        present, regular = file.exists(), file.is_file()
    except (OSError, TypeError, ValueError):
        raise DataError(f"path must name a file, got {str(path)[:80]!r}") from None
    if not regular:
        raise DataError(f"{str(path)!r} is not a regular file" if present else f"no file at {str(path)!r}")
    if modalities is not None and not isinstance(modalities, Mapping):
        raise DataError(f"modalities must map each modality to its columns, got {modalities!r}")
    if file.suffix.lower() == ".npz":
        return _from_npz(file, target, modalities, standardize)
    if not modalities:
        raise DataError("modalities must map each modality to its columns, as in {'A': ['a1', 'a2']}")
    return _from_csv(file, target, modalities, standardize)


def _from_csv(file: Path, target: str, modalities: Columns, standardize: bool) -> Correlations:
    wanted = [column for columns in modalities.values() for column in columns] + [target]
    twice = sorted({column for column in wanted if wanted.count(column) > 1})
    if twice:
        raise DataError(f"column {twice[0]!r} is used twice")
    try:
        with open(file, encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            header = [name.strip() for name in next(reader, [])]
            if not header:
                raise DataError(f"{file.name} is empty")
            unclear = [column for column in wanted if header.count(column) > 1]
            if unclear:
                raise DataError(f"{file.name} has more than one column {unclear[0]!r}")
            missing = [column for column in wanted if column not in header]
            if missing:
                hint = "; columns must be separated by commas" if len(header) == 1 and ";" in header[0] else ""
                raise DataError(
                    f"{file.name} has no column {missing[0]!r}; it has {', '.join(map(repr, header))}{hint}"
                )
            places = [header.index(column) for column in wanted]
            rows = []
            for row in reader:
                if not row:
                    continue
                if len(row) != len(header):
                    raise DataError(
                        f"{file.name} line {reader.line_num} has {len(row)} cells, the header has {len(header)}"
                    )
                rows.append([_parsed(row[i], file, reader.line_num, header[i]) for i in places])
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file.name} is no CSV in UTF-8: {error}") from None
    except OSError as error:
        raise DataError(f"{file.name} cannot be read: {error}") from None
    if not rows:
        raise DataError(f"{file.name} has no rows")
    table = np.array(rows)
    blocks, start = {}, 0
    for name, columns in modalities.items():
        blocks[name] = table[:, start : start + len(columns)]
        start += len(columns)
    names = {name: tuple(members) for name, members in modalities.items()}
    return Correlations.from_samples(blocks, table[:, -1], standardize, names)


def _parsed(cell: str, file: Path, line: int, column: str) -> float:
    text = cell.strip()
    if not NUMBER.fullmatch(text) or math.isinf(float(text)):
        hint = "; a categorical column has to be coded as numbers first" if re.search(r"[^\W\d_]{2,}", text) else ""
        raise DataError(f"{file.name} line {line}, column {column!r}: {cell[:40]!r} is not a finite number{hint}")
    return float(text)


def _load_arrays(file: Path) -> dict[str, np.ndarray]:
    """Members of an .npz, after a look at how large they claim to be. NumPy leaks many kinds of errors here."""
    try:
        with zipfile.ZipFile(file) as archive:
            names = [Path(member.filename).stem for member in archive.infolist()]
            size = sum(member.file_size for member in archive.infolist())
        if size > LARGEST_ARCHIVE:
            raise DataError(
                f"{file.name} would unpack to {size / 2**20:.0f} MiB, more than {LARGEST_ARCHIVE / 2**20:.0f}"
            )
        if len(set(names)) < len(names):
            raise DataError(f"{file.name} has a member twice: {', '.join(sorted(names))}")
        with open(file, "rb") as stream, np.load(stream, allow_pickle=False) as opened:
            arrays = {name: opened[name] for name in opened.files}
    except DataError:
        raise
    except Exception as error:
        reason = "it holds pickled objects" if "pickle" in str(error) else f"{type(error).__name__}: {error}"
        raise DataError(f"{file.name} is no readable .npz: {reason}") from None
    foreign = [name for name, value in arrays.items() if not isinstance(value, np.ndarray)]
    if foreign:
        raise DataError(f"{file.name} has a member that is no array: {foreign[0]!r}")
    return arrays


def _from_npz(file: Path, target: str, modalities: Columns | None, standardize: bool) -> Correlations:
    arrays = _load_arrays(file)
    if "sigma" in arrays and "sigma_yx" in arrays:
        if modalities or standardize:
            raise DataError(f"{file.name} holds sigma and sigma_yx: modalities and standardize need samples")
        sizes = np.ravel(arrays.get("sizes", ()))
        names = [str(name) for name in np.ravel(arrays.get("modalities", [chr(65 + i) for i in range(len(sizes))]))]
        if len(names) != len(sizes) or sizes.dtype.kind not in "iu" or not len(sizes):
            raise DataError(f"{file.name}: sizes must hold one integer a modality, got {sizes!r}")
        if len(set(names)) < len(names):
            raise DataError(f"{file.name} names a modality twice: {', '.join(names)}")
        return Correlations(
            arrays["sigma"], arrays["sigma_yx"], dict(zip(names, sizes.tolist(), strict=True)), arrays.get("sigma_yy")
        )
    if target not in arrays:
        raise DataError(f"{file.name} has no array {target!r}; it has {', '.join(map(repr, arrays))}")
    picked = modalities or {name: [name] for name in arrays if name != target}
    if not picked:
        raise DataError(f"{file.name} has no array besides the target {target!r}")
    used = [member for members in picked.values() for member in members] + [target]
    twice = sorted({member for member in used if used.count(member) > 1})
    if twice:
        raise DataError(f"array {twice[0]!r} is used twice")
    blocks = {}
    for name, members in picked.items():
        missing = [member for member in members if member not in arrays]
        if missing:
            raise DataError(f"{file.name} has no array {missing[0]!r}; it has {', '.join(map(repr, arrays))}")
        columns = [a[:, None] if a.ndim == 1 else a for a in (arrays[member] for member in members)]
        lengths = {member: a.shape for member, a in zip(members, columns, strict=True)}
        if len({a.shape[:1] for a in columns}) > 1 or any(a.ndim != 2 for a in columns):
            raise DataError(f"{file.name}: arrays of modality {name!r} do not fit together: {lengths}")
        blocks[name] = np.hstack(columns)
    return Correlations.from_samples(blocks, arrays[target], standardize)
