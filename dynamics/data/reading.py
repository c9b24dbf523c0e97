"""Reading a user's data: CSV, npz, npy, Parquet and DataFrames. Numbers only, nothing is ever evaluated."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from derivations import Correlations, DataError
from dynamics.data import arrays, frames
from dynamics.data.columns import MOST_COLUMNS, Picked, picked, targets_of
from dynamics.data.csv_blocks import csv_blocks
from dynamics.data.moments import correlations_of
from dynamics.messages import cut, one_line

Columns = Mapping[str, Sequence[str]]
READERS = {".npy": arrays.npy_blocks, ".parquet": frames.parquet_blocks, ".pq": frames.parquet_blocks}
STATISTICS = ("sigma", "sigma_yx", "sizes", "sigma_yy", "modalities", "columns")


def read_table(
    path: str | os.PathLike[str] | Any,
    target: str | Sequence[str] = "y",
    modalities: Columns | None = None,
    standardize: bool = False,
) -> Correlations:
    """Correlations of a file or a pandas DataFrame.

    Rows are read block by block. Samples are kept up to `dynamics.data.moments.KEPT` bytes of picked columns; of a
    larger table only its moments are, and `samples` of the result is None.

    Parameters
    ----------
    path : a pandas DataFrame, or the path of
        a CSV in UTF-8 with a header line (any other ending);
        a .parquet or .pq, with pyarrow;
        a .npy, (P, columns) with columns named "0", "1", ..., or (P,) with named fields;
        a .npz, with one array (P,) or (P, d) a modality and the target, or with `sigma`, `sigma_yx` and `sizes`
        (optionally `sigma_yy`, `modalities`, the names of the modalities, and `columns`, those of the D inputs)
    target : column (in a .npz: array) of the target, or a list of several
    modalities : modality -> its columns, or its arrays in a .npz; without it every other array of a .npz is one
    standardize : z-score every column and the target

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
        with np.errstate(all="ignore"):  # what overflows is found in the result
            return _checked(_read(path, target, modalities, standardize))
    except DataError as error:
        raise DataError(one_line(str(error))) from None
    except np.linalg.LinAlgError as error:
        raise DataError(f"no eigenvalues of sigma: {error}; rescale the units") from None
    except MemoryError:
        raise DataError("the picked columns do not fit into memory") from None


def _read(source: Any, target: str | Sequence[str], modalities: Columns | None, standardize: bool) -> Correlations:
    if frames.is_frame(source):
        chosen = _chosen(modalities, target)
        return correlations_of(frames.frame_blocks(source, chosen, "DataFrame"), chosen, "DataFrame", standardize)
    file = _regular_file(source)
    name = one_line(file.name, 40)
    ending = file.suffix.lower()
    if ending == ".npz":
        return _from_npz(file, name, target, modalities, standardize)
    chosen = _chosen(modalities, target)
    return correlations_of(READERS.get(ending, csv_blocks)(file, chosen, name), chosen, name, standardize)


def _regular_file(path: Any) -> Path:
    try:
        file = Path(path)
        present, regular = file.exists(), file.is_file()
    except (OSError, TypeError, ValueError):
        raise DataError(f"path must name a file or be a pandas DataFrame, got {str(path)[:80]!r}") from None
    if not regular:
        told = repr(str(path)[-80:])
        raise DataError(f"{told} is not a regular file" if present else f"no file at {told}")
    return file


def _chosen(modalities: Columns | None, target: str | Sequence[str]) -> Picked:
    if modalities is None:
        raise DataError("modalities must map each modality to its columns, as in {'A': ['a1', 'a2']}")
    return picked(modalities, target)


def _checked(data: Correlations) -> Correlations:
    """Refuse statistics whose weights are beyond floating point."""
    if not all(np.isfinite(values).all() for values in (data.sigma, data.sigma_yx, data.sigma_yy, data.optimum)):
        raise DataError("the optimal weights overflow: rescale the units")
    return data


def _from_npz(
    file: Path, name: str, target: str | Sequence[str], modalities: Columns | None, standardize: bool
) -> Correlations:
    present = arrays.archive_names(file, name)
    if "sigma" in present and "sigma_yx" in present:
        if modalities is not None or standardize:
            raise DataError(f"{name} holds sigma and sigma_yx: modalities and standardize need samples")
        found = arrays.load_arrays(file, [member for member in STATISTICS if member in present], name)
        return _from_statistics(found, name)
    targets = targets_of(target, "array")
    if modalities is None:
        modalities = {member: [member] for member in present if member not in targets}
        if not modalities:
            raise DataError(f"{name} has no array besides the target {target!r}")
    chosen = picked(modalities, targets, noun="array")
    chosen.places(present, name, noun="array")
    found = arrays.load_arrays(file, chosen.names, name)
    arrays.check_samples(found, chosen, name)
    columns = Picked(
        {m: _columns_of(members, found) for m, members in chosen.modalities.items()},
        _columns_of(chosen.targets, found),
    )
    return correlations_of(arrays.array_blocks(found, chosen.names, name), columns, name, standardize)


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
