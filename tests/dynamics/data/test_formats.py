"""Files of every format: the same numbers from each, one-line errors from what is wrong, memory that stays bounded."""

import struct
import sys
import time
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dynamics import Correlations, DataError, read_table
from dynamics.data import arrays, frames, moments
from dynamics.data.columns import asked
from dynamics.data.shaping import Shaped
from dynamics.messages import LONGEST_MESSAGE
from tests.cases import SOAK
from tests.dynamics.data.test_reading import BLOCKS, message, table

NAMES = ["a1", "a2", "b", "y"]
PLACES = {"A": ["0", "1"], "B": ["2"]}


def written(folder: Path, values: np.ndarray) -> dict[str, tuple[Any, Any, Any]]:
    """The same columns in every format: source, target, modalities."""
    names = {name: values[:, i] for i, name in enumerate(NAMES)}
    np.savetxt(folder / "t.csv", values, "%.17g", ",", header=",".join(NAMES), comments="")
    np.save(folder / "t.npy", np.asfortranarray(values))
    fields = np.array([tuple(row) for row in values.tolist()], dtype=[(name, ">f8") for name in NAMES])
    np.save(folder / "fields.npy", fields)
    np.savez_compressed(folder / "t.npz", **names)
    pq.write_table(pa.table(names), folder / "t.parquet", row_group_size=7)
    pq.write_table(pa.table(names), folder / "plain.pq", compression="none", use_dictionary=False)
    pd.DataFrame(names).to_excel(folder / "t.xlsx", index=False)
    pd.DataFrame(names).to_csv(folder / "t.csv.gz", index=False)
    return {
        "xlsx": (folder / "t.xlsx", "y", BLOCKS),
        "gz": (folder / "t.csv.gz", "y", BLOCKS),
        "csv": (folder / "t.csv", "y", BLOCKS),
        "npy": (folder / "t.npy", "3", PLACES),
        "fields": (str(folder / "fields.npy"), "y", BLOCKS),
        "npz": (folder / "t.npz", "y", BLOCKS),
        "parquet": (folder / "t.parquet", "y", BLOCKS),
        "pq": (folder / "plain.pq", "y", BLOCKS),
        "frame": (pd.DataFrame(names), "y", BLOCKS),
    }


FORMATS = ["csv", "gz", "xlsx", "npy", "fields", "npz", "parquet", "pq", "frame"]


# -- the same from every format --------------------------------------------------------------------------


@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_the_statistics_of_its_samples(tmp_path, kind: str, standardize: bool) -> None:
    values = table()
    source, target, modalities = written(tmp_path, values)[kind]
    data = read_table(source, target, modalities, standardize)
    same = Correlations.from_samples({"A": values[:, :2], "B": values[:, 2]}, values[:, 3], standardize)
    for name in ("sigma", "sigma_yx", "sigma_yy"):
        np.testing.assert_array_equal(getattr(data, name), getattr(same, name))
    assert data.samples.count == len(values)
    assert data.notes == ()
    assert data.column_names("A") == tuple(modalities["A"])


@pytest.mark.parametrize("kind", FORMATS)
def test_a_table_beyond_the_budget_gives_the_same_without_samples(tmp_path, monkeypatch, kind: str) -> None:
    source, target, modalities = written(tmp_path, table())[kind]
    outputs = [target, modalities["B"][0]]
    kept = read_table(source, outputs, {"A": modalities["A"]}, True)
    monkeypatch.setattr(moments, "KEPT", 100)
    monkeypatch.setattr(moments, "STEP", 1)
    data = read_table(source, outputs, {"A": modalities["A"]}, True)
    assert data.samples is None
    assert data.outputs == 2
    for name in ("sigma", "sigma_yx", "sigma_yy"):
        np.testing.assert_allclose(getattr(data, name), getattr(kept, name), rtol=0, atol=1e-12)
    assert data.columns == kept.columns


UNITS = np.array([1e150, 1e-140, 1.0, 1.0])
SHIFTS = np.array([0.0, 0.0, 1e8, -3e5])


@pytest.mark.parametrize("rows_a_block", [1, 7, 100])
@pytest.mark.parametrize("sort", [False, True], ids=["mixed", "drifting"])
def test_moments_block_by_block_are_those_of_exact_arithmetic(monkeypatch, rows_a_block: int, sort: bool) -> None:
    """Units of 1e150 and 1e-140, a mean of 1e8 at spread 1, a drift: 1e-12 of sqrt(Sigma_ii Sigma_jj)."""
    values = table(100) / 10
    values = (np.sort(values, axis=0) if sort else values) * UNITS + SHIFTS
    exact = [[Fraction(x) for x in column] for column in values.T]
    centred = [[x - sum(column) / 100 for x in column] for column in exact]
    second = [[sum(x * y for x, y in zip(a, b, strict=True)) / 100 for b in centred] for a in centred]
    monkeypatch.setattr(moments, "KEPT", 0)
    monkeypatch.setattr(moments, "STEP", 1)
    blocks = (values[i : i + rows_a_block] for i in range(0, 100, rows_a_block))
    data = moments.correlations_of(
        Shaped(asked(BLOCKS, "y"), lambda: blocks, 0, np.ones(4, dtype=bool), tuple), "t", False
    )
    found = np.block([[data.sigma, data.sigma_yx[:, None]], [data.sigma_yx, data.sigma_yy]])
    for i in range(4):
        for j in range(4):
            size = float(second[i][i]) ** 0.5 * float(second[j][j]) ** 0.5
            assert abs(found[i, j] - float(second[i][j])) <= 1e-12 * size


@pytest.mark.parametrize("kept", [0, 2**20])
@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([[1, 2, 3, 4]], "at least two samples are needed, got 1"),
        ([[1, 2, 3, 4], [2, 3, 5, 4]], "target 'y' is constant (4): there is nothing to learn"),
        ([[1e15, 2, 3, 4], [1e15 + 2, 3, 5, 1]], "column 'a1' varies by 2 around 1e+15: too little for the digits"),
        ([[1, 2, 1e200, 1e200], [2, 3, 5, 4]], "column 'b' reaches 1e+200: its variance overflows, rescale the units"),
        ([[1e-160, 2, 3, 4], [0, 3, 5, 1]], "column 'a1' varies by less than 1e-150: its variance underflows"),
    ],
)
def test_unfit_columns_are_told_alike_with_and_without_samples(monkeypatch, tmp_path, kept: int, rows, says) -> None:
    monkeypatch.setattr(moments, "KEPT", kept)
    monkeypatch.setattr(moments, "STEP", 1)
    for kind, source in written(tmp_path, np.array(rows, dtype=float)).items():
        assert kind == "npy" or says in message(*source)  # whose columns have other names


def test_extreme_units_are_fine_once_z_scored(tmp_path, monkeypatch) -> None:
    values = table() * np.array([1e200, 1e-200, 1, 1])
    source, target, modalities = written(tmp_path, values)["csv"]
    kept = read_table(source, target, modalities, True)
    monkeypatch.setattr(moments, "KEPT", 0)
    np.testing.assert_allclose(read_table(source, target, modalities, True).sigma, kept.sigma, atol=1e-12)


# -- npz and npy -----------------------------------------------------------------------------------------


def header_of(shape: tuple[int, ...], descr: str = "<f8", version: int = 1) -> bytes:
    """128 bytes that declare an array."""
    length = 128 - (10 if version == 1 else 12)
    text = repr({"descr": descr, "fortran_order": False, "shape": shape}).ljust(length - 1) + "\n"
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", length) + text.encode()


def archive_of(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


GOOD_MEMBER = header_of((2,)) + struct.pack("<2d", 1, 2)


def patched(path: Path, old: bytes, new: bytes) -> Path:
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))
    return path


def encrypted(path: Path) -> Path:
    archive_of(path, {"a.npy": GOOD_MEMBER, "y.npy": GOOD_MEMBER})
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.find(signature) + offset] |= 1
    path.write_bytes(content)
    return path


def claiming(path: Path) -> Path:
    """A member of 80 bytes whose header and whose entry in the directory both declare 800 MB."""
    archive_of(path, {"a.npy": header_of((10**8,)), "y.npy": GOOD_MEMBER}, zipfile.ZIP_DEFLATED)
    size = 128 + 8 * 10**8
    return patched(path, struct.pack("<L", 128), struct.pack("<L", size))


def doubled(path: Path) -> Path:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")
        archive.writestr("a.npy", GOOD_MEMBER)
        archive.writestr("a", GOOD_MEMBER)
    return path


def cut_short(path: Path) -> Path:
    archive_of(path, {"a.npy": GOOD_MEMBER, "y.npy": GOOD_MEMBER})
    path.write_bytes(path.read_bytes()[:-30])
    return path


def saved(**arrays: Any) -> Callable[[Path], Path]:
    def save(path: Path) -> Path:
        np.savez(path, **arrays)
        return path

    return save


def members(method: int = zipfile.ZIP_STORED, **content: bytes) -> Callable[[Path], Path]:
    return lambda path: archive_of(path, {f"{name}.npy": each for name, each in content.items()}, method)


Y = np.array([1.0, 2, 4])


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (
            members(a=header_of((10**12,)), y=GOOD_MEMBER),
            "'a' declares shape (1000000000000,) of float64, but has 0 bytes",
        ),
        (members(a=header_of((2**62, 8)), y=GOOD_MEMBER), "'a' declares shape"),
        (members(a=header_of((0, 10**15)), y=GOOD_MEMBER), "'a' declares shape"),
        (members(a=header_of((-2, -3)), y=GOOD_MEMBER), "'a' declares shape"),
        (members(a=header_of((3,)) + bytes(16), y=GOOD_MEMBER), "'a' declares shape (3,) of float64, but has 16 bytes"),
        (members(a=header_of((1,)) + bytes(16), y=GOOD_MEMBER), "'a' is longer than its header declares"),
        (members(a=header_of((2,), version=3), y=GOOD_MEMBER), "'a' has an array format of version 3"),
        (members(a=b"no array", y=GOOD_MEMBER), "has a member that is no array: 'a'"),
        (members(a=b"", y=GOOD_MEMBER), "has a member that is no array: 'a'"),
        (members(zipfile.ZIP_BZIP2, a=GOOD_MEMBER, y=GOOD_MEMBER), "is packed by method 12, only deflate is read"),
        (claiming, "'a' declares more bytes than it can hold, 800000128"),
        (encrypted, "'a' is encrypted"),
        (doubled, "has a member twice: 'a', 'a'"),
        (cut_short, "is no readable .npz: BadZipFile"),
        (
            lambda path: patched(members(a=GOOD_MEMBER, y=GOOD_MEMBER)(path), GOOD_MEMBER[-8:], b"11111111"),
            "Bad CRC-32",
        ),
        (saved(a=np.array([{}], dtype=object), y=Y), "is no readable .npz: it holds pickled objects"),
        (saved(a=Y, y=Y[:2]), "arrays differ in their number of samples: 'a (3,)', 'y (2,)'"),
        (saved(a=np.ones((2, 3)), y=Y), "arrays differ in their number of samples: 'a (2, 3)', 'y (3,)'"),
        (saved(a=np.float64(3), y=Y), "'a' must have shape (P,) or (P, columns), got ()"),
        (saved(a=np.ones((3, 1, 1)), y=Y), "'a' must have shape (P,) or (P, columns), got (3, 1, 1)"),
        (saved(a=np.ones((3, 0)), y=Y), "'a' must have shape (P,) or (P, columns), got (3, 0)"),
        (saved(a=np.ones((2, 10_001), dtype=np.int8), y=Y[:2]), "10002 columns are picked, at most 10000"),
        (
            saved(a=np.array([[1, 2], [3, np.nan], [4, 5]]), y=Y),
            "gaps in 1 of 3 rows, the first in row 1 (the first being 0), column 'a2'",
        ),
        (saved(a=np.array(["x", "y", "z"]), y=Y), "column 'a' holds text of 3 kinds in 3 rows"),
        (saved(a=np.array(["x", "y", "1"]), y=Y), "row 0 (the first being 0), column 'a': 'x' is not a number"),
        (saved(a=Y + 1j, y=Y), "column 'a' must hold numbers or text, got dtype complex128"),
        (saved(a=Y.astype("M8[s]"), y=Y), "column 'a' holds dates or times: give a number, such as days since"),
        (saved(a=[np.longdouble("1e400"), 1, 2], y=Y), "row 0 (the first being 0), column 'a': inf is not finite"),
        (saved(a=Y, z=Y), "has no array 'y'; it has 'a', 'z'"),
        (saved(trunk=Y, y=Y), "a modality's name must not be 'trunk'"),
        (saved(sigma=np.eye(2), sigma_yx=[1.0, 1], sizes=np.ones(10**5, dtype=int)), "sizes must hold one integer"),
        (saved(sigma=np.eye(2), sigma_yx=[1.0, 1], sizes=[1, 1], columns=["p"]), "columns must name the 2 inputs"),
        (
            saved(sigma=[[1e-300, 0], [0, 1]], sigma_yx=[1e300, 1], sizes=[1, 1], sigma_yy=1.0),
            "sigma_yx has entries of size 1e+300, too large for these inputs: rescale the target",
        ),
    ],
)
def test_archives_are_refused_before_memory_is_taken(tmp_path, make: Callable[[Path], Path], says: str) -> None:
    path = make(tmp_path / "t.npz")
    tracemalloc.start()
    assert says in message(path, modalities=None)
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()


def test_an_archive_of_statistics_may_name_its_inputs(tmp_path) -> None:
    np.savez(tmp_path / "t.npz", sigma=np.eye(3), sigma_yx=[1.0, 2, 3], sizes=[1, 2], columns=["age", "k", "na"])
    data = read_table(tmp_path / "t.npz")
    assert (data.column_names("A"), data.column_names("B")) == (("age",), ("k", "na"))


def test_small_integers_and_booleans_are_cast_not_wrapped(tmp_path) -> None:
    pixels = np.array([[250, 255], [3, 200], [90, 10]], dtype=np.uint8)
    label = np.array([True, False, True])
    same = Correlations.from_samples({"A": pixels.astype(float)}, label.astype(float))
    np.savez(tmp_path / "t.npz", A=pixels, y=label)
    np.save(tmp_path / "t.npy", np.column_stack([pixels, label]))
    columns = {"p": pixels[:, 0], "q": pixels[:, 1], "y": label}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    frame = pd.DataFrame(columns).astype({"p": "UInt8", "y": "boolean"})
    for data in (
        read_table(tmp_path / "t.npz"),
        read_table(tmp_path / "t.npy", "2", {"A": ["0", "1"]}),
        read_table(tmp_path / "t.parquet", "y", {"A": ["p", "q"]}),
        read_table(frame, "y", {"A": ["p", "q"]}),
    ):
        np.testing.assert_array_equal(data.sigma, same.sigma)
        np.testing.assert_array_equal(data.sigma_yx, same.sigma_yx)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is no readable .npy"),
        (b"a1,a2,b,y\n", "is no readable .npy: ValueError: the magic string is not correct"),
        (header_of((10**12, 4)), "is no readable .npy: ValueError: mmap length is greater than file size"),
        (header_of((2**62, 8)), "is no readable .npy"),
        (header_of((0, 10**12)), "at least two samples are needed, got 0"),
        (header_of((2, 2**21), "|i1") + bytes(2**22), "has 2097152 columns, more than 1048576"),
        (header_of((4,)) + bytes(32), "must hold one array (P, columns), or (P,) with named fields, got (4,)"),
        (header_of((2, 4), "|O") + bytes(64), "is no readable .npy: it holds pickled objects"),
        (header_of((2, 4), "<c16") + bytes(128), "column '0' must hold numbers or text, got dtype complex128"),
        (
            header_of((2, 4), "<U1") + bytes(32),
            "gaps in 2 of 2 rows, the first in row 0 (the first being 0), column '0'",
        ),
        (header_of((2, 2)) + bytes(32), "has no column '3'; it has '0', '1'"),
        (
            header_of((2, 4)) + struct.pack("<8d", *[1, 2, 3, 4, 5, 6, np.inf, 8]),
            "row 1 (the first being 0), column '2': inf",
        ),
        (header_of((2, 4))[:-30], "is no readable .npy"),
    ],
)
def test_bad_npy(tmp_path, content: bytes, says: str) -> None:
    path = tmp_path / "t.npy"
    path.write_bytes(content)
    assert says in message(path, "3", PLACES)


def test_fields_of_an_npy_are_numbers_each(tmp_path) -> None:
    path = tmp_path / "t.npy"
    np.save(path, np.zeros(3, dtype=[("a1", "f8"), ("a2", "f8", (2,)), ("b", "i2"), ("y", "?")]))
    assert "column 'a2' must hold numbers or text" in message(path)
    saved(a=Y)(tmp_path / "t.npz").rename(path)
    assert "is no readable .npy: ValueError: the magic string" in message(path)


def test_npz_of_correlations_and_of_arrays(tmp_path) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, sigma=[[4.0, 1], [1, 1]], sigma_yx=[5.0, 2], sizes=[1, 1])
    np.testing.assert_allclose(read_table(path).optimum, [1, 1])
    np.savez(path, sigma=np.eye(3), sigma_yx=[1.0, 2, 3], sizes=[1, 2], modalities=["sound", "sight"])
    assert dict(read_table(path).sizes) == {"sound": 1, "sight": 2}
    rng = np.random.default_rng(0)
    x, z, y = rng.normal(size=(9, 2)), rng.normal(size=9), rng.normal(size=9)
    np.savez(path, image=x, text=z, y=y)
    data = read_table(path)
    assert dict(data.sizes) == {"image": 2, "text": 1}
    joined = read_table(path, modalities={"all": ["image", "text"]})
    np.testing.assert_allclose(joined.sigma, data.sigma)


def test_bad_npz(tmp_path) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, a=np.array([{}], dtype=object), y=[1.0])
    with pytest.raises(DataError, match=r"is no readable \.npz"):
        read_table(path)
    path.write_bytes(b"PK\x03\x04 not a zip")
    with pytest.raises(DataError, match=r"is no readable \.npz"):
        read_table(path)
    np.savez(path, a=[1.0, 2])
    with pytest.raises(DataError, match="has no array 'y'; it has 'a'"):
        read_table(path)
    np.savez(path, a=[1.0, 2], y=[1.0, 2])
    with pytest.raises(DataError, match="has no array 'b'"):
        read_table(path, modalities={"A": ["b"]})
    np.savez(path, sigma=np.eye(2), sigma_yx=[1.0, 1], sizes=[1.5, 0.5])
    with pytest.raises(DataError, match="sizes must hold one integer a modality"):
        read_table(path)
    np.savez(path, sigma=np.eye(2), sigma_yx=[1.0, 1], sizes=[1, 1], modalities=["A", "A"])
    with pytest.raises(DataError, match="names a modality twice"):
        read_table(path)
    np.savez(path, sigma=np.eye(2), sigma_yx=[1.0, 1], sizes=[1, 1])
    with pytest.raises(DataError, match="need samples"):
        read_table(path, standardize=True)
    np.savez(path, y=[1.0, 2])
    with pytest.raises(DataError, match="no array besides the target"):
        read_table(path)
    np.savez(path, a=[1.0, 2], y=[1.0, 2])
    with pytest.raises(DataError, match="array 'a' is used twice"):
        read_table(path, modalities={"A": ["a"], "B": ["a"]})
    assert "id joins tables by a column: an .npz has none" in message(path, modalities=None, id="a")


def test_a_zip_bomb_is_refused_before_memory_is_taken(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(arrays, "LARGEST_ARCHIVE", 10 * 2**20)
    bomb = archive_of(tmp_path / "bomb.npz", {"a.npy": bytes(11 * 2**20)}, zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 2**14
    assert "would unpack to 11 MiB, more than 10" in message(bomb, modalities=None)
    monkeypatch.setattr(frames, "LARGEST_WORKBOOK", 10 * 2**20)
    assert "would unpack to 11 MiB, more than 10: save it as .csv" in message(bomb.rename(tmp_path / "bomb.xlsx"))


# -- Parquet and DataFrames ------------------------------------------------------------------------------

COLUMNS = {"a1": [1.0, 2, 3], "a2": [0.0, 5, 1], "b": [1.0, 1, 2], "y": [0.0, 1, 3]}


@pytest.mark.parametrize(
    ("name", "column", "says"),
    [
        ("b", pa.array([1.0, None, 2]), "gaps in 1 of 3 rows, the first in row 1 (the first being 0), column 'b'"),
        ("b", pa.array([1, 2, None], pa.uint8()), "the first in row 2 (the first being 0), column 'b'"),
        ("b", pa.array([1.0, np.nan, 2]), "the first in row 1 (the first being 0), column 'b'"),
        ("b", pa.array(["x", "y", "z"]), "column 'b' holds text of 3 kinds in 3 rows"),
        ("y", pa.array(["x", None, "x"]).dictionary_encode(), "'y' has one class only, 'x'"),
        ("a2", pa.array([1, 2, 3], pa.timestamp("s")), "column 'a2' holds dates or times: give a number"),
        ("a2", pa.array([1, 2, 3], pa.date32()), "column 'a2' holds dates or times: give a number"),
        ("a2", pa.array([[1], [2], [3]]), "column 'a2' holds no numbers, such as '[1]'"),
        ("a2", pa.array([b"1", b"2", b"3"]), "column 'a2' holds no numbers"),
        ("y2", pa.array([1, 2, 3]), "has no column 'y'; it has 'a1', 'a2', 'b', 'y2'"),
    ],
)
def test_bad_columns_of_parquet(tmp_path, name: str, column: Any, says: str) -> None:
    columns = COLUMNS | {name: column}
    if name == "y2":
        del columns["y"]
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    assert says in message(tmp_path / "t.parquet")


def test_parquet_that_is_none(tmp_path, monkeypatch) -> None:
    path = tmp_path / "t.parquet"
    for content in (b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1", b"a1,a2\n"):
        path.write_bytes(content)
        assert "is no readable Parquet file" in message(path)
    pq.write_table(pa.table(list(COLUMNS.values()), names=["a1", "a2", "y", "y"]), path)
    assert "has more than one column 'y'" in message(path, modalities={"A": ["a1", "a2"]})
    pq.write_table(pa.table(COLUMNS).slice(0, 0), path)
    assert "t.parquet has no rows" in message(path)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    assert message(path) == "reading t.parquet needs pyarrow: pip install pyarrow"


def test_a_dotted_column_of_parquet_is_itself(tmp_path) -> None:
    columns = {"a": COLUMNS["a1"], "a.b": COLUMNS["a2"], "y": COLUMNS["y"]}
    pq.write_table(pa.table(columns), tmp_path / "t.pq")
    data = read_table(tmp_path / "t.pq", "y", {"A": ["a.b"], "B": ["a"]})
    np.testing.assert_allclose(np.diag(data.sigma), np.var([columns["a.b"], columns["a"]], axis=1))


@pytest.mark.parametrize(
    ("name", "column", "says"),
    [
        (
            "b",
            pd.Series([1, True, 3], dtype=object),
            "row 1 (the first being 0), column 'b': 'True' is not a number",
        ),
        ("b", pd.Series([1, "x", 3], dtype=object), "row 1 (the first being 0), column 'b': 'x' is not a number"),
        ("y", pd.Series(["x", "x", None], dtype="string"), "'y' has one class only, 'x'"),
        ("b", pd.Series([1, None, 3], dtype="Int64"), "gaps in 1 of 3 rows, the first in row 1 (the first being 0), c"),
        ("b", pd.Series([True, None, False], dtype="boolean"), "the first in row 1 (the first being 0), column 'b'"),
        ("b", [1.0, 2.0, -np.inf], "DataFrame row 2 (the first being 0), column 'b': -inf is not finite"),
        ("b", [1j, 2, 3], "column 'b' holds no numbers, such as '1j'"),
        ("b", [[1], 2, 3], "column 'b' holds no numbers, such as '[1]'"),
        ("b", pd.to_datetime(["2020-01-01"] * 3), "column 'b' holds dates or times: give a number, such as days"),
        ("b", pd.to_timedelta([1, 2, 3]), "column 'b' holds dates or times: give a number, such as days since"),
        ("b", pd.period_range("2020", periods=3, freq="D"), "column 'b' holds"),
    ],
)
def test_bad_columns_of_a_frame(name: str, column: Any, says: str) -> None:
    assert says in message(pd.DataFrame(COLUMNS | {name: column}))


def test_columns_of_a_frame_are_found_by_name() -> None:
    frame = pd.DataFrame(COLUMNS)
    same = read_table(frame, "y", BLOCKS)
    numbered = read_table(frame.set_axis([0, 1, 2, 3], axis=1), 3, {"A": [0, 1], "B": [2]})
    np.testing.assert_array_equal(numbered.sigma, same.sigma)
    shuffled = read_table(frame[["y", "b", "a2", "a1"]].set_index(pd.Index([5, 5, 5])), "y", BLOCKS)
    np.testing.assert_array_equal(shuffled.sigma_yx, same.sigma_yx)
    assert "has more than one column 'b'" in message(pd.concat([frame, frame[["b"]]], axis=1))
    assert "DataFrame has no rows" in message(frame.iloc[:0])
    assert "has no column 'z'; it has 'a1', 'a2', 'b', 'y'" in message(frame, "z")


# -- damage ----------------------------------------------------------------------------------------------


def mutant(content: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        place, kind = int(rng.integers(len(changed))), rng.integers(4)
        if kind == 0:
            changed[place] = int(rng.integers(256))
        elif kind == 1:
            changed[place] ^= 1 << int(rng.integers(8))
        elif kind == 2:
            del changed[place : place + int(rng.integers(1, 9))]
        else:
            changed[place:place] = rng.bytes(int(rng.integers(1, 9)))
    return bytes(changed)


@pytest.mark.parametrize("kind", ["fields", "parquet", "pq"])  # tests/test_fuzz.py has the others
def test_damaged_files_give_statistics_or_a_data_error(tmp_path, kind: str) -> None:
    """Nothing else, warnings included; never slowly, never with much memory."""
    source, target, modalities = written(tmp_path, table())[kind]
    content, rng = Path(source).read_bytes(), np.random.default_rng(0)
    path = tmp_path / f"mutant{Path(source).suffix}"
    refused, said = 0, ""
    tracemalloc.start()
    for _ in range(100_000 if SOAK else 300):
        path.write_bytes(mutant(content, rng))
        start = time.monotonic()
        try:
            assert isinstance(read_table(path, target, modalities), Correlations)
        except DataError as error:
            said = str(error)
            refused += 1
        assert said.isprintable()
        assert len(said) <= LONGEST_MESSAGE
        assert time.monotonic() - start < 5
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()
    assert refused > 50
