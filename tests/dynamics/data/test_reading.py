"""CSV files and the arguments of read_table: numbers only, one-line errors, bounded memory; the examples."""

import os
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from derivations import Correlations, DataError
from derivations.rows import checked_missing
from dynamics import load_example, read_table
from dynamics.data import texts
from dynamics.data.columns import asked
from dynamics.data.examples import EXAMPLES
from dynamics.data.shaping import shaped
from dynamics.data.source import with_gaps
from dynamics.messages import LONGEST_MESSAGE

BLOCKS = {"A": ["a1", "a2"], "B": ["b"]}
GOOD = "a1,a2,b,other,y\n1,2,3,x,4\n2,0,-1.5e0,x,1\n3,5,2,x,.5\n"


def table(rows: int = 20, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.round(rng.normal(size=(rows, 4)) @ rng.normal(size=(4, 4)), 3)


def message(source: Any, target: Any = "y", modalities: Any = BLOCKS, **options: Any) -> str:
    """What the refusal says, once it is one printable line of bounded length."""
    with pytest.raises(DataError) as error:
        read_table(source, target, modalities, **options)
    text = str(error.value)
    assert text.isprintable()
    assert len(text) <= LONGEST_MESSAGE
    return text


def test_csv_is_read_by_column(tmp_path) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    data = read_table(path, target="y", modalities=BLOCKS)
    x = {"A": [[1, 2], [2, 0], [3, 5]], "B": [3, -1.5, 2]}
    same = Correlations.from_samples(x, [4, 1, 0.5])
    np.testing.assert_allclose(data.sigma, same.sigma)
    np.testing.assert_allclose(data.sigma_yx, same.sigma_yx)
    assert data.column_names("A") == ("a1", "a2")
    scored = read_table(str(path), modalities=BLOCKS, standardize=True)
    np.testing.assert_allclose(np.diag(scored.sigma), 1)


# -- what is a number, where a block ends ----------------------------------------------------------------

CELLS = [
    *("1", "-2.5", "+.5", "5.", "1e3", "1E-3", "1e+300", "1e-400", "-0", "007", " 1 ", "\t2", "3\xa0", "1" * 300),
    *("0.1", "1.7976931348623157e308", "2.2250738585072011e-308", "9007199254740993", "0.30000000000000004"),
]
NO_CELLS = [
    *("", " ", "nan", "NaN", "inf", "-inf", "infinity", "1e999", "1_000", "0x10", "0x1p3", "1d5", "1e", "e5", "."),
    *("+-1", "1 2", "--1", "1.2.3", "=1+1", "@a", "red", "True", "1j", "(1)", "٣", "½", "1%", "$1", "−1", "1e5.0"),
    *("\x1f1\x00", "None", "1'000", "#1", "1e+", "1\v2", "'1'", "1\\", "１"),
]


def numbers(path: Path, **options: Any) -> np.ndarray:
    """The rows of a CSV as they come from the reader, (P, 4)."""
    source = with_gaps(texts.text_source(path, path.name, texts.Layout(**options)), ())
    return np.concatenate(list(shaped(source, asked(BLOCKS, "y"), checked_missing("drop"), False).blocks()))


def test_numbers_are_those_of_python_to_the_bit(tmp_path, monkeypatch) -> None:
    """By the fast road of pandas, and cell by cell in a column that holds a blank; in blocks and at once."""
    rng = np.random.default_rng(0)
    floats = rng.integers(0, 2**64, 900, dtype=np.uint64).view(float)
    cells = [*CELLS, *map(repr, floats[np.isfinite(floats)].tolist())]
    rows = [[str(rng.choice(cells)) for _ in range(4)] for _ in range(300)]
    rows[5][1] = " "
    path = tmp_path / "t.csv"
    path.write_text("a1,a2,b,y\n" + "\n".join(map(",".join, rows)))
    expected = np.array([[float(cell) for cell in row] for row in rows if " " not in row])
    assert numbers(path).tobytes() == expected.tobytes()
    monkeypatch.setattr(texts, "rows_at_a_time", lambda _: 7)
    assert numbers(path).tobytes() == expected.tobytes()


GAPS = {"", " ", "nan", "NaN", "None"}


@pytest.mark.parametrize("cell", NO_CELLS)
def test_no_cell_but_a_decimal_number_is_read(tmp_path, cell: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(f"a1,a2,b,y\n1,2,3,4\n2,{cell},3,5\n".encode())
    told = message(path)
    assert told.startswith("t.csv has gaps in 1 of 2 rows, the first in line 3" if cell in GAPS else "t.csv line 3")
    assert "NUL" in told or "column 'a2'" in told


@pytest.mark.parametrize("cells", [
    ("1,000", "2,000"), ("1.000,5", "2.5"), ("10%", "20%"), ("$1", "2 €"), ("1 000", "2 000"), ("1'000", "2'000"),
    ("1_0", "2_0"), ("٣", "٤"), ("−1", "−2"), ("(1)", "(2)"), ("0x10", "0x11"), ("1.0D+05", "2D0"), ("=1+1", "=2"),
    ("inf", "Infinity"), ("True", "1"), ("2020-01-05", "2020-01-06"), ("5.1.2020", "6.1.2020"), ("12:30", "12:31"),
    ("red", "2"), ("1e999", "2"),
])  # fmt: skip
def test_a_column_of_numbers_in_other_writing_is_no_category(tmp_path, monkeypatch, cells: tuple[str, str]) -> None:
    """Whatever the size of the blocks, and wherever the odd cell stands."""
    path = tmp_path / "t.csv"
    for rows in (1, 3, 100):
        monkeypatch.setattr(texts, "rows_at_a_time", lambda _, rows=rows: rows)
        for order in (cells, cells[::-1]):
            body = "".join(f'{i},"{order[i // 5]}",{i % 3},{i % 4}\n' for i in range(10))
            path.write_text(f"a1,a2,b,y\n{body}")
            told = message(path)
            assert "column 'a2'" in told
            assert any(says in told for says in ("is not a number", "dates or times", "is not finite"))


MULTILINE = '\ufeffa1,"a2",b,note,y\r\n1,2,3,"red,\r\nor ""blue""",4\r\n\r\n2,"0",-1.5e0,x,1\r\n3,5,2,"é\n",.5'


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 40, 2**20])
def test_blocks_may_end_anywhere(tmp_path, monkeypatch, size: int, ends: str) -> None:
    """Inside a quoted cell, between CR and LF, within a character; blocks of bytes, of characters and of rows."""
    path = tmp_path / "t.csv"
    path.write_bytes(MULTILINE.replace("\r\n", "\n").replace("\n", ends).encode())
    read = texts.Watched.read
    monkeypatch.setattr(texts.Watched, "read", lambda self, _=-1: read(self, size))
    monkeypatch.setattr(texts, "rows_at_a_time", lambda _: size)
    monkeypatch.setattr(texts, "LONGEST_LINE", 50)
    monkeypatch.setattr(texts, "LONGEST_CELL", 50)
    data = read_table(path, "y", BLOCKS)
    same = Correlations.from_samples({"A": [[1, 2], [2, 0], [3, 5]], "B": [3, -1.5, 2]}, [4, 1, 0.5])
    np.testing.assert_array_equal(data.sigma, same.sigma)
    for text, says in (
        ("\r\n9,9,9,z,9,9", "line 8 has 6 cells, the header has 5"),
        ('\r\n9,9,z,"', "a quoted cell does not end in line 8"),
        ("\r\n9,9,9,z,x", "line 8, column 'y': 'x' is not a number"),
        ("\r\n9,9", "gaps in 1 of 4 rows, the first in line 8, column 'b'"),
    ):
        path.write_bytes((MULTILINE + text).replace("\r\n", "\n").replace("\n", ends).encode())
        assert says in message(path)


HEAD = b"a1,a2,b,y\n"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "t.csv is empty"),
        (b"\xef\xbb\xbf", "t.csv is empty"),
        (b"a1,a2,b,y", "t.csv has no rows"),
        (HEAD + b"\n\n", "t.csv has no rows"),
        ("a1,a2,b,y\n1,2,3,4\n".encode("utf-16-le"), "line 1 holds a NUL byte"),
        (HEAD + b"1,2,3,4\n1,2,\xe9,4\n", "t.csv is not in utf-8: byte 0xe9 in line 3; give its encoding"),
        (b"a1,a2,b,note,y\n1,2,3,\xe9,4\n", "byte 0xe9 in line 2"),
        (b"a1,a2,b,note,y\n1,2,3,\0,4\n", "line 2 holds a NUL byte"),
        (b"a1;a2;b;y\n1,5;2;3;4\n", "column 'a1': '1,5' is not a number: a decimal comma (decimal=',' reads it)"),
        (HEAD + b"1,5,2,3,4\n1,5,2,3,4\n", "t.csv has 5 cells a row, the header has 4"),
        (HEAD + b"1,2,3,4\n1,5,2,3,4\n", "line 3 has 5 cells, the header has 4"),
        (HEAD + b"1,2,3,4\n" * 5000 + b"1,2,3,4,,9\n", "line 5002 has 6 cells, the header has 4"),
        (HEAD + b'"1,5",2,3,4\n', "line 2, column 'a1': '1,5' is not a number: a decimal comma"),
        (HEAD + b"1,2,3\n", "gaps in 1 of 1 rows, the first in line 2, column 'y'"),
        (HEAD + b"1,2,3,4\n \n", "at least two samples are needed, got 1"),
        (HEAD + b"1,2,3,red\n2,3,4,red\n", "'y' has one class only, 'red': there is nothing to learn"),
        (HEAD + b'1,"2"x,3,4\n2,1,3,4\n', "line 2, column 'a2': '2x' is not a number"),
        (HEAD + b'1,"2,3,4\n', "a quoted cell does not end in line 2"),
        (HEAD + b'1,"' + b"2" * 140_000 + b'",3,4\n', "header and first rows cannot be read: field larger"),
        (b'a1,a2,b,"y\n', "a quoted cell in line 1 does not end"),
        (b"a1,a2,b,z\n1,2,3,4\n", "has no column 'y'; it has 'a1', 'a2', 'b', 'z'"),
        (b"a1,a2,b,a1,y\n1,2,3,4,5\n", "has more than one column 'a1'"),
        (HEAD + b"1,2,3," + b"4" * 2**20 + b"\n", "line 2 or later is longer than 1048576 characters"),
        (b"a1,a2,b,y" * 2**17, "line 1 or later is longer than 1048576 characters"),
        (bytes.fromhex("1f8b0800"), "t.csv cannot be unpacked: EOFError"),
        (HEAD + b"1,2,3,4\n" + b"," * 10**6 + b"\n", "line 2 or later has more than 6 cells"),
        (b"PK\x03\x04...", "is a ZIP archive or a workbook, not a table in text: save it as .csv or .xlsx"),
        (b"PAR1\x15\x04", "t.csv is Parquet, not a table in text"),
        (HEAD + b",2,3,4\n1,,3,4\n1,2,3,\n", "gaps in 3 of 3 rows, the first in line 2, column 'a1': --missing drop"),
    ],
)
def test_what_is_no_table_of_numbers_is_told_by_line(tmp_path, content: bytes, says: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    assert says in message(path)


@pytest.mark.parametrize(("content", "says"), [
    (b"1" * 2**25, "line 2 or later is longer than"),
    (b"1,2,3,4\n" * 2000 + b'1,"2' + (b"3" * 1000 + b"\n") * (2**15 + 2**11), "a quoted cell before line"),
])  # fmt: skip
def test_a_line_or_a_cell_without_an_end_is_refused_in_bounded_memory(tmp_path, content: bytes, says: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(HEAD + content)
    tracemalloc.start()
    assert says in message(path)
    assert tracemalloc.get_traced_memory()[1] < 150e6
    tracemalloc.stop()


def test_gigabytes_without_a_line_end_are_refused_at_once(tmp_path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"a1,a2,b,y\n")
    os.truncate(path, 2 * 10**9)
    tracemalloc.start()
    assert "line 2 holds a NUL byte" in message(path)
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()


def test_devices_pipes_and_folders_are_no_tables(tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "link.npz").symlink_to("/dev/zero")
    for source in ("/dev/zero", tmp_path / "pipe.csv", tmp_path, tmp_path / "link.npz"):
        assert "is not a regular file" in message(source)
    assert message(tmp_path / "absent.csv").endswith("absent.csv'")
    for source in (None, 3, b"\0", "a\0b", "x" * 9000, [1, 2], pa.table({"y": [1]})):
        assert "must name a file or be a pandas DataFrame" in message(source) or "no file at" in message(source)


# A file of 8 MB, then a longer one: the second must not take more memory than the first. VmHWM is the peak of this
# process alone; what getrusage tells includes the parent's at the time of the fork.
MEMORY = """
import sys, time, pathlib
from dynamics import read_table
from dynamics.data import moments
kept, *files = sys.argv[1:]
moments.KEPT = int(kept)
moments.STEP = int(kept) // 8  # the short file fills a block too
def peak():
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024
for file in files:
    start = time.monotonic()
    data = read_table(file, "y", {"A": ["a1", "a2"], "B": ["b"]}, standardize=True)
    assert data.samples is None
    print(peak(), time.monotonic() - start)
"""


def test_a_long_csv_is_streamed_in_bounded_memory(tmp_path) -> None:
    """`make soak` reads 2 GB."""
    bytes_ = 25 * 10**6
    body = "\n".join(",".join(map(repr, row)) for row in table(20_000).tolist()) + "\n"
    for name, size in (("short.csv", 8 * 10**6), ("long.csv", bytes_)):
        with open(tmp_path / name, "w") as stream:
            stream.write("a1,a2,b,y\n")
            while stream.tell() < size:
                stream.write(body)
    files = [str(tmp_path / "short.csv"), str(tmp_path / "long.csv")]
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(2**20), *files],
        capture_output=True,
        text=True,
        check=True,
    )
    peaks = [float(line.split()[0]) for line in done.stdout.splitlines()]
    assert peaks[-1] < 300
    numbers = (bytes_ - 8 * 10**6) / 19 * 8 / 2**20  # MB that the longer file's numbers would take, 19 characters each
    assert peaks[-1] - peaks[0] < numbers / 2
    for file in files:
        os.unlink(file)


# -- messages and arguments ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "modalities", "says"),
    [
        ("y", None, "modalities must map each modality to its columns, as in"),
        ("y", {}, "modalities must map each modality to its columns, got {}"),
        ("y", ["a1"], "modalities must map each modality to its columns, got ['a1']"),
        ("y", {"A": "z"}, "has no column 'z'; it has 'a1', 'a2', 'b', 'y'"),
        ("y", {"A": []}, "modalities['A'] must be a column or a list of columns, got []"),
        ("y", {"A": {"a1"}}, "modalities['A'] must be a column or a list of columns, got {'a1'}"),
        ("y", {"A": [1.5]}, "modalities['A'] must be a list of columns, got 1.5 in it"),
        ("y", {"A": ["a1"], "B": ["a1"]}, "column 'a1' is used twice"),
        (["y", "y"], BLOCKS, "column 'y' is used twice"),
        ([], BLOCKS, "target must be a column or a list of columns, got []"),
        (None, BLOCKS, "target must be a column or a list of columns, got None"),
        (True, BLOCKS, "target must be a column or a list of columns, got True"),
        ("y", {"a+b": ["a1"]}, "a modality's name must not be 'trunk' nor hold '+', got 'a+b'"),
        ("y", {"": ["a1"]}, "a modality's name must be printable text, got ''"),
        ("y", {"A": [f"c{i}" for i in range(20_000)]}, "20001 columns are picked, at most 10000 are allowed"),
        ("z\n" * 900, BLOCKS, r"has no column 'z\nz\nz\n"),
    ],
)
def test_misuse_is_told_before_anything_is_read(target: Any, modalities: Any, says: str) -> None:
    assert says in message(pd.DataFrame({name: [1.0, 2, 4] for name in ("a1", "a2", "b", "y")}), target, modalities)


def test_text_from_outside_is_escaped_and_cut(tmp_path) -> None:
    """`message` checks the length and that every character is printable."""
    path = tmp_path / ("t\n\x1b[31m" + "x" * 200 + ".csv")
    path.write_text("\x1b[2J,\u202e," + ",".join(f"column{i}" for i in range(10_000)) + "\n1\n")
    assert "(10002 in all)" in message(path)
    path.write_text('"a\n\x1b1",y\n1,1\n"\x1b[31m\u202e' + "z" * 900 + '",1\n')
    told = message(path, "y", {"A": ["a \x1b1"]})
    assert r"column 'a \x1b1': '\x1b[31m\u202ezzzz" in told
    assert told.startswith(r"t\n\x1b[31mxxxx")


@pytest.mark.parametrize(("name", "samples", "sizes"), [
    ("diabetes", 442, {"body": 4, "serum": 6}),
    ("star98", 303, {"demographics": 4, "school": 8}),
    ("linnerud", 20, {"exercise": 3, "body": 2}),
])  # fmt: skip
def test_examples_are_the_data_sets_they_name(name: str, samples: int, sizes: dict[str, int]) -> None:
    data = load_example(name)
    assert data.samples.count == samples
    assert dict(data.sizes) == sizes
    np.testing.assert_allclose(np.diag(data.sigma), 1)
    assert float(data.sigma_yy) == pytest.approx(1)
    assert all(len(data.column_names(m)) == size for m, size in sizes.items())
    raw = load_example(name, standardize=False)
    assert not np.allclose(np.diag(raw.sigma), 1)
    assert set(EXAMPLES) == {"diabetes", "star98", "linnerud"}


def test_tables_kept_here_are_those_of_scikit_learn() -> None:
    """To the last digit; target and names of the columns, too."""
    sets = pytest.importorskip("sklearn.datasets")
    theirs, body = sets.load_diabetes(scaled=False), sets.load_linnerud()
    wanted = {
        "diabetes": (theirs.data, theirs.target, theirs.feature_names),
        "linnerud": (
            np.hstack([body.data, body.target[:, :2]]), body.target[:, 2], [*body.feature_names, *body.target_names[:2]]
        ),
    }  # fmt: skip
    for name, (columns, target, names) in wanted.items():
        inputs, found, blocks = EXAMPLES[name]()
        np.testing.assert_array_equal(np.hstack([*inputs.values()]), columns)
        np.testing.assert_array_equal(found, target)
        assert [column for block in blocks.values() for column in block] == names


def test_unknown_examples_are_named() -> None:
    with pytest.raises(DataError, match="example must be one of diabetes, star98, linnerud, got 'iris'"):
        load_example("iris")
