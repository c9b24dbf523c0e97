"""Reading CSV and npz, and the examples."""

import io
import warnings
import zipfile

import numpy as np
import pytest

from derivations import Correlations, DataError
from dynamics import load_example, read_table
from dynamics.examples import EXAMPLES

BLOCKS = {"A": ["a1", "a2"], "B": ["b"]}
GOOD = "a1,a2,b,other,y\n1,2,3,x,4\n2,0,-1.5e0,x,1\n3,5,2,x,.5\n"


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


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "bad.csv is empty"),
        ("a1,a2,b,b,y\n1,2,3,4,5\n", "has more than one column 'b'"),
        ("a1,a2,b,y\n", "has no rows"),
        ("a1;a2;b;y\n1;2;3;4\n", "has no column 'a1'; it has 'a1;a2;b;y'"),
        ("a1,a2,b,y\n1,2,3\n", "line 2 has 3 cells, the header has 4"),
        ("a1,a2,b,y\n1,2,,4\n", "line 2, column 'b': '' is not a finite number"),
        ("a1,a2,b,y\n1,2,nan,4\n", "line 2, column 'b': 'nan' is not a finite number"),
        ("a1,a2,b,y\n1,2,3,4\n1,1_000,3,4\n", "line 3, column 'a2': '1_000' is not a finite number"),
        ("a1,a2,b,y\n1,1e999,3,4\n", "'1e999' is not a finite number"),
        ("a1,a2,b,y\n1,٣,3,4\n", "is not a finite number"),
        ("a1,a2,b,y\n1,=1+1,3,4\n", "'=1\\+1' is not a finite number"),
        ("a1,a2,b,y\n1,red,3,4\n", "a categorical column has to be coded as numbers first"),
        ("a1,a2,b,y\n1,2,3,4\n", "at least two samples are needed, got 1"),
    ],
)
def test_bad_csv_is_told_with_line_and_column(tmp_path, text: str, says: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=says) as error:
        read_table(path, modalities=BLOCKS)
    assert "\n" not in str(error.value)


def test_files_that_are_no_tables(tmp_path) -> None:
    with pytest.raises(DataError, match="no file at"):
        read_table(tmp_path / "absent.csv", modalities=BLOCKS)
    with pytest.raises(DataError, match="is not a regular file"):
        read_table(tmp_path, modalities=BLOCKS)
    with pytest.raises(DataError, match="path must name a file"):
        read_table("x" * 5000, modalities=BLOCKS)
    with pytest.raises(DataError, match="modalities must map"):
        read_table(__file__, modalities=["a1"])
    wide = tmp_path / "wide.csv"
    wide.write_bytes(GOOD.encode("utf-16"))
    with pytest.raises(DataError, match="is no CSV in UTF-8"):
        read_table(wide, modalities=BLOCKS)
    with pytest.raises(DataError, match="modalities must map"):
        read_table(wide)
    with pytest.raises(DataError, match="column 'y' is used twice"):
        read_table(wide, modalities={"A": ["y"]})


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


def test_a_zip_bomb_and_a_lying_header_are_refused_before_memory_is_taken(tmp_path) -> None:
    bomb = tmp_path / "bomb.npz"
    with (
        zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("a.npy", "w", force_zip64=True) as member,
    ):
        for _ in range(1100):
            member.write(bytes(2**20))
    with pytest.raises(DataError, match="would unpack to 1100 MiB, more than 1024"):
        read_table(bomb)
    with zipfile.ZipFile(bomb, "w") as archive:
        for name in ("a.npy", "y.npy"):
            header = io.BytesIO()
            np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**12,)})
            archive.writestr(name, header.getvalue())
    with pytest.raises(DataError, match=r"is no readable \.npz"):
        read_table(bomb)
    with warnings.catch_warnings(), zipfile.ZipFile(bomb, "w") as archive:
        warnings.simplefilter("ignore")
        archive.writestr("a.npy", b"")
        archive.writestr("a.npy", b"")
    with pytest.raises(DataError, match="has a member twice"):
        read_table(bomb)


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


def test_unknown_examples_are_named() -> None:
    with pytest.raises(DataError, match="example must be one of diabetes, star98, linnerud, got 'iris'"):
        load_example("iris")
