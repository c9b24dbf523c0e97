"""Tables as people have them: classes, categories, gaps, other layouts, several files. Against plain NumPy."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.datasets import load_wine

from derivations.rows import class_note, contrasts, some_of
from dynamics import Correlations, DataError, DomainError, FusionNetwork, integrate, read_table
from dynamics.data import moments, texts
from dynamics.data.codes import ends_of, ends_of_both
from dynamics.interface.cli import main
from tests.dynamics.data.test_reading import BLOCKS, message, table

VALUES = table(40)
NAMES = ["a1", "a2", "b", "y"]
FRAME = pd.DataFrame(VALUES, columns=NAMES)
FLAGS = ("--modality", "A=a1,a2", "--modality", "B=b")


def second(*columns: Any) -> np.ndarray:
    """Second moments of centred columns, (K, K)."""
    x = np.column_stack(columns).astype(float)
    return np.cov(x, rowvar=False, bias=True).reshape(x.shape[1], -1)


def assert_moments(data: Correlations, x: Any, y: Any) -> None:
    """Those of inputs (P, D) and targets (P, outputs) as they are."""
    x = np.asarray(x, dtype=float)
    both, inputs = second(x, y), x.shape[1]
    np.testing.assert_allclose(data.sigma, both[:inputs, :inputs], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(np.atleast_2d(data.sigma_yx), both[inputs:, :inputs], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(np.atleast_2d(data.sigma_yy), both[inputs:, inputs:], rtol=1e-9, atol=1e-12)


def predicted(capsys: Any, *arguments: Any) -> dict[str, Any]:
    """What the command answers."""
    code = main(["predict", *map(str, arguments), "--u0", "0.01", "--json"])
    out, err = capsys.readouterr()
    assert (code, err) == (0, "")
    return json.loads(out)


def said(data: Correlations, text: str) -> bool:
    return any(text in note for note in data.notes)


# -- classes and categories ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """178 wines: the sort as text, as a number from 1, and as three columns of 0 and 1."""
    bunch = load_wine()
    frame = pd.DataFrame(bunch.data, columns=[f"c{i}" for i in range(13)])
    frame = frame.assign(sort=[f"sort {name}" for name in bunch.target], number=bunch.target + 1)
    for k in range(3):
        frame[f"is{k}"] = (bunch.target == k).astype(int)
    path = tmp_path_factory.mktemp("wine") / "wine.csv"
    frame.to_csv(path, index=False)
    return path


SORTS = {"A": "c0:c5", "B": "c6:c12"}


@pytest.mark.parametrize("kept", [0, moments.KEPT])
@pytest.mark.parametrize("standardize", [False, True])
def test_classes_are_one_hot_columns_turned(wine: Path, monkeypatch, standardize: bool, kept: int) -> None:
    """As many singular values, the same squares; not z-scored, whatever is done to the inputs."""
    monkeypatch.setattr(moments, "KEPT", kept)
    frame = pd.read_csv(wine)
    x = frame.iloc[:, :13].to_numpy()
    x = (x - x.mean(axis=0)) / (x.std(axis=0) if standardize else 1)
    one_hot = frame[["is0", "is1", "is2"]].to_numpy()
    crossed = (one_hot - one_hot.mean(axis=0)).T @ x / len(x)
    for data in (
        read_table(wine, "sort", SORTS, standardize),
        read_table(wine, "number", SORTS, standardize, classes=True),
    ):
        assert data.outputs == 2
        np.testing.assert_allclose(data.sigma_yx.T @ data.sigma_yx, crossed.T @ crossed, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(np.trace(data.sigma_yy), np.trace(second(one_hot)))
        assert said(data, "has 3 classes (")
    given = Correlations.from_samples({"A": x[:, :6], "B": x[:, 6:]}, frame["sort"])
    np.testing.assert_allclose(given.sigma_yx, data.sigma_yx, rtol=1e-9, atol=1e-9)


def test_classes_are_predicted_as_their_one_hot_columns_are(wine: Path, capsys) -> None:
    """One-hot columns seen along other axes of theirs, and all three of them from the same start."""
    frame = pd.read_csv(wine)
    x = frame.iloc[:, :13].to_numpy()
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    axes = np.array([[2.0, -1, -1], [0, 1, -1]]).T / np.array([6, 2]) ** 0.5
    turned = frame[["is0", "is1", "is2"]].to_numpy() @ axes
    scored = frame.assign(**{f"c{i}": x[:, i] for i in range(13)}, t0=turned[:, 0], t1=turned[:, 1])
    scored.to_csv(wine.parent / "scored.csv", index=False)
    flags = ("--modality", "A=c0:c5", "--modality", "B=c6,c7,c8:c12", "--target")
    text, by_axes = (predicted(capsys, wine.parent / "scored.csv", *flags, y)["times"] for y in ("sort", "t0,t1"))
    number = predicted(capsys, wine, *flags, "number", "--classes", "--standardize")["times"]
    for m in "AB":
        assert text[m] == pytest.approx(by_axes[m], rel=1e-6)
        assert number[m] == pytest.approx(by_axes[m], rel=1e-6)


def test_classes_are_learned_as_their_one_hot_columns_are(wine: Path) -> None:
    """The flow of three outputs from the start of two, turned."""
    one_hot = read_table(wine, ["is0", "is1", "is2"], SORTS)
    scale = np.sqrt(np.diag(one_hot.sigma))
    scaled = Correlations(
        one_hot.sigma / scale / scale[:, None], one_hot.sigma_yx / scale, one_hot.sizes, one_hot.sigma_yy
    )
    classes = read_table(wine, "sort", SORTS, True)
    turn = np.linalg.lstsq(classes.sigma_yx.T, scaled.sigma_yx.T, rcond=None)[0].T  # (3, 2)
    np.testing.assert_allclose(turn.T @ turn, np.eye(2), atol=1e-9)
    rng = np.random.default_rng(0)
    start = {m: [rng.normal(size=(4, d)) / 100, rng.normal(size=(2, 4)) / 100] for m, d in classes.sizes.items()}
    net = FusionNetwork.fused_at(2, 2)
    few = integrate(net, classes, weights=start, t_end=60)
    many = integrate(net, scaled, weights={m: [w, turn @ v] for m, (w, v) in start.items()}, t_end=60)
    for m in "AB":
        assert few.times[m] == pytest.approx(many.times[m], rel=1e-4)


@pytest.mark.parametrize("count", [2, 3, 7])
def test_contrasts_are_orthonormal_axes_of_what_is_left_of_one_hot_columns(count: int) -> None:
    codes = np.random.default_rng(0).integers(count, size=50)
    one_hot = (codes[:, None] == np.arange(count)).astype(float)
    found = contrasts(codes, count)
    assert found.shape == (50, count - 1)
    distance = ((one_hot[:, None] - one_hot) ** 2).sum(axis=2)
    np.testing.assert_allclose(((found[:, None] - found) ** 2).sum(axis=2), distance, atol=1e-12)
    assert np.isnan(contrasts(np.array([-1]), count)).all()


def test_notes_name_six_classes_of_thirty_letters() -> None:
    assert some_of(["x" * 30, "y" * 31]) == f"{'x' * 30}, {'y' * 27}..."
    assert some_of("abcdef") == "a, b, c, d, e, f"
    assert some_of("abcdefg") == "a, b, c, d, e, f, ... (7 in all)"
    assert class_note("y", ["no", "yes"]).endswith("sqrt(2) times a column of 0 and 1, 'yes' on the positive side")
    assert class_note("y", "abc").endswith("one-hot, which is 2 outputs up to a rotation of the outputs")


def test_categories_are_a_column_each_in_every_format(tmp_path) -> None:
    """Two kinds take one column; categories of numbers are no numbers; text is stripped."""
    colour, yes = np.resize(["red", "blue", "green", "red"], 40), np.resize(["yes", "no", "no"], 40)
    frame = FRAME.assign(a2=colour, b=yes)
    x = np.column_stack([VALUES[:, 0], *(colour == kind for kind in ("blue", "green", "red")), yes == "yes"])
    frame.assign(a2=[f" {c}" for c in colour]).to_csv(tmp_path / "t.csv", index=False)
    typed = frame.astype({"a2": "category", "b": "string"})
    pq.write_table(pa.Table.from_pandas(typed), tmp_path / "t.parquet")
    frame.to_excel(tmp_path / "t.xlsx", index=False)
    for source in (tmp_path / "t.csv", frame, typed, tmp_path / "t.parquet", tmp_path / "t.xlsx"):
        data = read_table(source, "y", BLOCKS)
        assert_moments(data, x, VALUES[:, 3:])
        assert data.column_names("A") == ("a1", "a2=blue", "a2=green", "a2=red")
        assert data.column_names("B") == ("b=yes",)
        assert said(data, "a2 holds categories (blue, green, red): one column each")
    coded = np.resize([1, 2, 3, 1], 40)
    data = read_table(FRAME.assign(a2=pd.Categorical(coded)), "y", BLOCKS)
    x = np.column_stack([VALUES[:, 0], *(coded == k for k in (1, 2, 3)), VALUES[:, 2]])
    assert_moments(data, x, VALUES[:, 3:])
    assert "holds text of 40 kinds in 40 rows" in message(FRAME.assign(b=[f"name {i}" for i in range(40)]))
    assert "more than 50 kinds" in message(pd.concat([FRAME] * 9).assign(b=[f"name {i}" for i in range(360)]))


def test_true_and_false_are_one_and_zero_in_every_format(tmp_path) -> None:
    flag = np.resize([True, False, False], 40)
    frame = FRAME.assign(b=flag)
    for name, write in (("t.csv", frame.to_csv), ("t.xlsx", frame.to_excel), ("t.parquet", frame.to_parquet)):
        write(tmp_path / name, index=False)
    for source in (frame, frame.astype({"b": "boolean"}), *tmp_path.iterdir()):
        assert_moments(read_table(source, "y", BLOCKS), np.column_stack([VALUES[:, :2], flag]), VALUES[:, 3:])


@pytest.mark.parametrize("rows", [1, 3, 100])
def test_what_a_column_is_does_not_depend_on_the_blocks(tmp_path, monkeypatch, rows: int) -> None:
    """Gaps, true and false, integers beyond 64 bits and words, each first in a block of its own."""
    monkeypatch.setattr(texts, "rows_at_a_time", lambda _: rows)
    path = tmp_path / "t.csv"
    cells = ["", "", "NA", "red", "blue", "TRUE", "true", "True", " red", "blue", "", "red"]
    path.write_text("a1,a2,b,y\n" + "".join(f"{i},{c},{10**19 + i * 10**17},{i % 5}\n" for i, c in enumerate(cells)))
    data = read_table(path, "y", BLOCKS, missing="drop")
    assert data.column_names("A") == ("a1", "a2=True", "a2=blue", "a2=red")
    i = np.array([i for i, cell in enumerate(cells) if cell not in ("", "NA")])
    np.testing.assert_allclose(data.sigma[-1, -1], np.var(i * 1e17), rtol=1e-9)
    path.write_text("a1,a2,b,y\n" + "".join(f"{i},{c},{i % 3},{i % 5}\n" for i, c in enumerate(["", "true", ""] * 4)))
    assert said(read_table(path, "y", BLOCKS, missing="mean"), "1 constant column ('a2'): without effect")
    path.write_text("a1,a2,b,y\n9,NA,0,7\n" + "".join(f"{i},{2**63 + i * 10**15},{i % 3},{i % 5}\n" for i in range(9)))
    assert said(read_table(path, "y", BLOCKS, missing="drop"), "1 of 10 rows have gaps")


# -- gaps and their codes --------------------------------------------------------------------------------


def with_holes() -> np.ndarray:
    values = VALUES.copy()
    values[3, 0] = values[4, 2] = values[9, 0] = values[9, 1] = values[11, 3] = np.nan
    return values


@pytest.mark.parametrize("kept", [0, moments.KEPT])
@pytest.mark.parametrize("missing", ["drop", "mean"])
def test_gaps_are_dropped_or_filled(tmp_path, capsys, monkeypatch, missing: str, kept: int) -> None:
    values = with_holes()
    path = tmp_path / "t.csv"
    pd.DataFrame(values, columns=NAMES).to_csv(path, index=False, na_rep="NA")
    assert "the first in line 5, column 'a1': --missing drop (missing='drop') leaves 36 rows, mean fills 4" in message(
        path
    )
    full = values[~np.isnan(values[:, 3])]
    filled = np.where(np.isnan(full), np.nanmean(full, axis=0), full)
    expected = values[~np.isnan(values).any(axis=1)] if missing == "drop" else filled
    x, y = expected[:, :3], expected[:, 3:]
    given = {"A": pd.DataFrame(values[:, :2]), "B": values[:, 2]}
    assert_moments(Correlations.from_samples(given, values[:, 3], missing=missing), x, y)
    monkeypatch.setattr(moments, "KEPT", kept)
    data = read_table(path, "y", BLOCKS, missing=missing)
    assert_moments(data, x, y)
    told = "4 of 40 rows have gaps and were dropped" if missing == "drop" else "1 rows without a target were dropped"
    assert said(data, told)
    if not kept:
        return
    plain = tmp_path / "plain.csv"
    np.savetxt(plain, expected, "%.17g", ",", header=",".join(NAMES), comments="")
    wanted, found = (predicted(capsys, p, *FLAGS, "--missing", missing)["times"] for p in (plain, path))
    assert found == {m: pytest.approx(t, rel=1e-6) for m, t in wanted.items()}


def test_a_column_of_gaps_has_no_effect_and_rows_of_gaps_leave_nothing() -> None:
    frame = FRAME.assign(a2=np.nan)
    data = read_table(frame, "y", BLOCKS, missing="mean")
    assert_moments(data, np.column_stack([VALUES[:, 0], np.zeros(40), VALUES[:, 2]]), VALUES[:, 3:])
    assert said(data, "1 constant column ('a2'): without effect")
    assert said(data, "40 gaps in 1 columns were filled with their means")
    same = Correlations.from_samples({"A": frame[["a1", "a2"]], "B": frame["b"]}, frame["y"], missing="mean")
    np.testing.assert_allclose(same.sigma, data.sigma)
    assert "got 0; 40 of 40 rows have gaps and were dropped" in message(frame, missing="drop")
    assert "got 0; " in message(FRAME.assign(y=np.nan), missing="mean")
    with pytest.raises(DataError, match="at least two samples are needed, got 0"):
        Correlations.from_samples({"A": frame[["a1", "a2"]]}, frame["y"], missing="drop")
    with pytest.raises(DomainError, match="missing must be one of error, drop, mean, got 'fill'"):
        read_table(FRAME, "y", BLOCKS, missing="fill")


def test_codes_for_a_missing_value_are_said_and_taken_on_request(tmp_path, capsys) -> None:
    values = VALUES.copy()
    values[:8, 1] = -9999
    path = tmp_path / "t.csv"
    pd.DataFrame(values, columns=NAMES).to_csv(path, index=False)
    data = read_table(path, "y", BLOCKS)
    assert_moments(data, values[:, :3], values[:, 3:])
    assert said(data, "-9999 stands 8 times in 'a2', where all else lies in")
    assert any("na=-9999 (--na -9999) takes it as a gap" in w for w in predicted(capsys, path, *FLAGS)["remarks"])
    for na in (-9999, "-9999", [-9999.0], ["?", "-9999"], np.int64(-9999)):
        data = read_table(path, "y", BLOCKS, missing="drop", na=na)
        assert_moments(data, values[8:, :3], values[8:, 3:])
        assert not said(data, "stands")
    written = path.read_text().replace("-9999.0", "n. a.")
    path.write_text(written)
    assert "'n. a.' is not a number" in message(path)
    assert_moments(read_table(path, "y", BLOCKS, missing="drop", na="n. a."), values[8:, :3], values[8:, 3:])
    path.write_text(written.replace("n. a.", "-inf"))
    assert_moments(read_table(path, "y", BLOCKS, missing="drop", na="-Inf"), values[8:, :3], values[8:, 3:])
    words = FRAME.assign(b=np.resize(["red", "blue", "-9999.00"], 40))  # a number is a code in whatever writing
    data = read_table(words, "y", BLOCKS, missing="drop", na=-9999)
    assert (data.samples.count, data.column_names("B")) == (27, ("b=red",))
    for na in (None, [None], {"a": 1}.items(), [[1]]):
        assert "na must be a code or a list of codes for a missing value, got" in message(path, na=na)
    for flag in ({"standardize": "no"}, {"classes": 1}):
        assert "must be True or False, got" in message(path, **flag)
        with pytest.raises(DataError, match="must be True or False, got"):
            Correlations.from_samples({"A": VALUES[:, 0]}, VALUES[:, 3], **flag)


def test_a_code_is_written_in_nines_or_stands_in_several_columns() -> None:
    """And it lies apart from all else, below or above."""
    for code, columns, says in (
        (-77.0, ["a1"], None),
        (-77.0, ["a1", "a2"], "-77 stands 4 times in 'a1' and 1 more, where all else lies in 0.5 to 20"),
        (999.0, ["a2"], "999 stands 4 times in 'a2', where all else lies in 0.5 to 20"),
        (99.0, ["a2"], "99 stands 4 times"),
        (-9.0, ["a2"], None),
        (39.0, ["a1", "a2"], None),  # no further from the rest than that is wide
    ):
        frame = pd.DataFrame(
            {"a1": np.linspace(0.5, 20, 40), "a2": np.linspace(20, 0.5, 40), "b": FRAME["b"], "y": FRAME["y"]}
        )
        frame.loc[10:13, columns] = code
        data = read_table(frame, "y", BLOCKS)
        assert said(data, says) if says else data.notes == ()
    two_values = FRAME.assign(a1=np.resize([0.0, 1], 40), a2=np.resize([0.0, 1, 1], 40))
    assert read_table(two_values, "y", BLOCKS).notes == ()


def test_ends_of_two_lots_are_those_of_all_rows() -> None:
    rows = np.random.default_rng(0).integers(-2, 3, size=(6, 100)).astype(float)
    whole = vars(ends_of(rows))
    for cut in (1, 3, 5):
        for name, values in vars(ends_of_both(ends_of(rows[:cut]), ends_of(rows[cut:]))).items():
            np.testing.assert_array_equal(values, whole[name])


# -- other layouts ---------------------------------------------------------------------------------------


def numbered(rows: Any, sep: str = ",", start: str = "") -> str:
    return "\n".join(start.format(i + 1) + sep.join(map(repr, row)) for i, row in enumerate(rows.tolist())) + "\n"


HEAD, BODY = "a1,a2,b,y\n", numbered(VALUES)
COMMAS = (HEAD + BODY).replace(",", ";").replace(".", ",")
QUOTED = '"a1","a2","b","y"\n'
LAYOUTS: dict[str, tuple[str | bytes, dict[str, str], str]] = {
    "semicolons": (COMMAS, {"decimal": ","}, "columns are separated by ';'"),
    "a blank in one column": (COMMAS.replace("\n", "\n ; ;1;2\n", 1), {"decimal": ",", "missing": "drop"}, "dropped"),
    "tabs": ((HEAD + BODY).replace(",", "\t"), {}, r"columns are separated by '\t'"),
    "commas in names": (COMMAS.replace(";y", ';y;"c, d, e, f"', 1), {"decimal": ","}, "';'"),
    "names and comments": ("# R\n" + QUOTED + "# 1\n" + numbered(VALUES, start='"r{}",'), {"comment": "#"}, "a row's"),
    "a given separator": ((HEAD + BODY).replace(",", "~"), {"sep": "~"}, ""),
    "utf-8 with a mark": (b"\xef\xbb\xbf" + (HEAD + BODY).encode(), {"encoding": "utf-8"}, ""),
    "utf-16": ((HEAD + BODY).encode("utf-16"), {}, ""),
    "utf-16 by name": ((HEAD + BODY).encode("utf-16-le"), {"encoding": "utf-16-le"}, ""),
    "latin-1": (("a1,a2,b,y,ü\n" + BODY.replace("\n", ",é\n")).encode("latin-1"), {"encoding": "latin-1"}, "ü"),
    "comments": ("% by hand\n" + HEAD + "% (1)\n" + BODY.replace("\n", " % so\n"), {"comment": "%"}, ""),
    "savetxt": ("# by NumPy\n# a1,a2,b,y\n" + BODY, {}, ""),
    "write.table": (QUOTED + numbered(VALUES, start='"{}",'), {}, "one name less than its rows have cells"),
    "write.csv": ('"",' + QUOTED + numbered(VALUES, start='"{}",'), {}, ""),
    "to_csv": ("," + HEAD + numbered(VALUES, start="{},"), {}, ""),
    "blank lines": ("\n\n" + HEAD + "\n" + BODY.replace("\n", "\r\n \r\n"), {}, ""),
    "separators at the ends": (HEAD + BODY.replace("\n", ",\n"), {}, "end with a separator more than its header"),
    "and of the header": ((HEAD + BODY).replace("\n", ",\n"), {}, ""),
    "quotation marks": (QUOTED + BODY.replace(",", '","').replace("\n", '"\n"')[:-1].join(['"', ""]), {}, ""),
}  # fmt: skip


@pytest.mark.parametrize("kind", list(LAYOUTS))
def test_layouts(tmp_path, capsys, kind: str) -> None:
    content, options, note = LAYOUTS[kind]
    path = tmp_path / "t.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    data = read_table(path, "y", BLOCKS, **options)
    assert_moments(data, VALUES[:, :3], VALUES[:, 3:])
    assert said(data, note) if note else data.notes == ()
    if kind == "semicolons":
        flags = [word for name, value in options.items() for word in (f"--{name}", value)]
        found = predicted(capsys, path, *FLAGS, *flags)["times"]
        path.write_text(HEAD + BODY)
        assert found == predicted(capsys, path, *FLAGS)["times"]


@pytest.mark.parametrize(("options", "says"), [
    ({"sep": ";;"}, "sep must be one character, got ';;'"),
    ({"sep": '"'}, "sep must be one character"),
    ({"decimal": ";"}, "decimal must be . or , and not the separator, got ';'"),
    ({"decimal": ",", "sep": ","}, "decimal must be . or , and not the separator"),
    ({"decimal": ","}, "has no column 'y'; it has 'a1,a2,b,y'"),
    ({"encoding": "hex"}, "encoding 'hex' is not known"),
    ({"encoding": "utf-99"}, "encoding 'utf-99' is not known"),
    ({"encoding": "utf-16"}, "cannot be unpacked: UnicodeError: UTF-16 stream does not start with BOM"),
    ({"comment": "//"}, "comment must be one character"),
])  # fmt: skip
def test_layouts_that_are_none(tmp_path, options: dict[str, str], says: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(HEAD + BODY)
    assert says in message(path, **options)


@pytest.mark.parametrize("cell", ["1.000", "1.000,5", "2,5,1"])
def test_points_beside_decimal_commas_are_refused(tmp_path, cell: str) -> None:
    path = tmp_path / "t.csv"
    for cells in ((cell, cell), (cell, "1,5"), ("1,5", cell)):
        path.write_text("a1;a2;b;y\n" + "".join(f"{i};{cells[i % 2]};{i % 3};{i % 4}\n" for i in range(8)))
        assert f"column 'a2': '{cell}' is not a number" in message(path, decimal=",")


def test_workbooks(tmp_path, capsys) -> None:
    path = tmp_path / "t.xlsx"
    with pd.ExcelWriter(path) as book:
        FRAME.to_excel(book, sheet_name="first", index=False, startrow=2)
        FRAME.assign(b=[*["n. a."] * 2, *VALUES[2:, 2]]).to_excel(book, sheet_name="second", index=False)
    data = read_table(path, "y", BLOCKS)
    assert_moments(data, VALUES[:, :3], VALUES[:, 3:])
    assert said(data, "sheet 'first' of 2")
    assert "the first in row 2 of the sheet" not in message(path, sheet="second")
    assert "row 2 of the sheet, column 'b': 'n. a.' is not a number" in message(path, sheet="second")
    data = read_table(path, "y", BLOCKS, sheet="second", na="n. a.", missing="drop")
    assert_moments(data, VALUES[2:, :3], VALUES[2:, 3:])
    for sheet in ("third", 2, 1.5, None):
        assert "has no sheet" in message(path, sheet=sheet)
    times = predicted(capsys, path, *FLAGS, "--sheet", "first")["times"]
    FRAME.to_csv(tmp_path / "t.csv.gz", index=False)
    assert times == {m: pytest.approx(t) for m, t in predicted(capsys, tmp_path / "t.csv.gz", *FLAGS)["times"].items()}
    FRAME.assign(a2=pd.Timestamp("2020-01-05")).to_excel(path, index=False)
    assert "column 'a2' holds dates or times: give a number, such as days since a start" in message(path)


def test_a_cell_far_out_takes_no_memory(tmp_path) -> None:
    """One in the last column of the last row of a workbook: a table as wide as that would have 17e9 cells."""
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in (NAMES, [1, 2, 3, 4], [2, 0, 1, 5]):
        book.active.append(row)
    book.active.cell(200_000, 16_384, 1)
    book.save(tmp_path / "t.xlsx")
    assert "row 200000 of the sheet has 16384 cells, the header has 4" in message(tmp_path / "t.xlsx")
    with zipfile.ZipFile(tmp_path / "t.xlsx") as book, zipfile.ZipFile(tmp_path / "far.xlsx", "w") as far:
        for name in book.namelist():
            far.writestr(name, book.read(name).replace(b'<row r="3"', b'<row r="99999999"'))
    assert message(tmp_path / "far.xlsx") == "far.xlsx has a row beyond 1048576"


# -- names, patterns, ranges -----------------------------------------------------------------------------


def test_columns_by_pattern_and_by_range(tmp_path, capsys) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 192)).round(3)
    y = x[:, :128].sum(axis=1) + 0.3 * x[:, 128:].sum(axis=1)
    names = [*(f"img_{i}" for i in range(128)), *(f"txt_{i}" for i in range(64))]
    path = tmp_path / "t.csv"
    pd.DataFrame(x, columns=names).assign(y=y).to_csv(path, index=False)
    expected = second(x, y)
    for image in ("img_*", "img_0:img_127", ["img_?", "img_??", "img_100:img_127"]):
        data = read_table(path, "y", {"image": image, "text": "txt_*"})
        np.testing.assert_allclose(data.sigma, expected[:-1, :-1], atol=1e-12)
        np.testing.assert_allclose(data.sigma_yx, expected[-1, :-1], atol=1e-12)
    assert predicted(capsys, path, "--modality", "image=img_*", "--modality", "text=txt_0:y")["order"][0] == "image"
    for modality, says in (
        ("img_0:img_999", "has no column 'img_999' of 'img_0:img_999'"),
        ("img_9:img_1", "'img_9' stands after 'img_1': the range 'img_9:img_1' is empty"),
        ("pic_*", "has no column 'pic_*'"),
        (["img_*", "img_3"], "column 'img_3' is used twice"),
    ):
        assert says in message(path, "y", {"image": modality})


def test_names_with_commas_and_line_breaks(tmp_path, capsys) -> None:
    path = tmp_path / "t.csv"
    path.write_text('"a1, raw","a2\n(mm)",b,y\n' + BODY)
    flags = ("--modality", 'A="a1, raw",a2 (mm)', "--modality", "B=b")
    found = predicted(capsys, path, *flags)
    plain = tmp_path / "plain.csv"
    plain.write_text(HEAD + BODY)
    assert found["times"] == predicted(capsys, plain, *FLAGS)["times"]
    for name in ("a2\n(mm)", "a2 (mm)"):
        data = read_table(path, "y", {"A": ["a1, raw", name], "B": "b"})
        assert data.column_names("A") == ("a1, raw", "a2 (mm)")
    frame = FRAME.set_axis(["a1, raw", "a2\n(mm)", "b", "y"], axis=1)
    assert_moments(read_table(frame, "y", {"A": ["a1, raw", "a2\n(mm)"], "B": "b"}), VALUES[:, :3], VALUES[:, 3:])


@pytest.mark.parametrize(("kept", "standardize"), [(0, ()), (moments.KEPT, ("--standardize",))])
def test_a_constant_pixel_has_no_effect(tmp_path, capsys, monkeypatch, standardize, kept: int) -> None:
    monkeypatch.setattr(moments, "KEPT", kept)
    path = tmp_path / "t.csv"
    path.write_text("pixel," + HEAD + numbered(VALUES, start="0.1,"))
    found = predicted(capsys, path, "--modality", "A=pixel,a1,a2", "--modality", "B=b", *standardize)
    without = predicted(capsys, path, *FLAGS, *standardize)
    assert found["order"] == without["order"]
    for m in "AB":
        assert found["times"][m] == pytest.approx(without["times"][m], rel=1e-6)
    assert any("1 constant column ('pixel'): without effect" in w for w in found["remarks"])


# -- several files ---------------------------------------------------------------------------------------


def joined_files(folder: Path, keys: list[Any], theirs: list[Any] | None = None) -> Path:
    """A base with the target, and the columns of B in a file of its own, in another order."""
    order = np.random.default_rng(1).permutation(40)
    FRAME[["a1", "a2", "y"]].assign(id=keys).to_csv(folder / "base.csv", index=False)
    part = FRAME[["b"]].assign(id=keys if theirs is None else theirs).iloc[order]
    part.to_csv(folder / "part.csv", index=False)
    return folder / "base.csv"


KEYS: dict[str, tuple[list[Any], list[Any]]] = {
    "numbers": (list(range(40)), list(range(40))),
    "17 and 17.0": (list(range(40)), [float(i) for i in range(40)]),
    "17 beside words": ([*range(39), "x"], [*(f"{i}.0" for i in range(39)), "x"]),
    "zeros before": ([f"{i:03d}" for i in range(40)], list(range(40))),
    "long numbers": ([2**53 + i for i in range(40)], [2**53 + i for i in range(40)]),
    "words": ([f"p{i} " for i in range(40)], [f" p{i}" for i in range(40)]),
}


@pytest.mark.parametrize("kind", list(KEYS))
@pytest.mark.parametrize("rows", [3, 1000])
def test_files_are_joined_by_the_names_of_their_rows(tmp_path, monkeypatch, kind: str, rows: int) -> None:
    monkeypatch.setattr(texts, "rows_at_a_time", lambda _: rows)
    base = joined_files(tmp_path, *KEYS[kind])
    data = read_table(base, "y", {"A": ["a1", "a2"], "B": str(tmp_path / "part.csv")}, id="id")
    assert_moments(data, VALUES[:, :3], VALUES[:, 3:])
    assert data.notes == ()


def test_a_blank_in_one_block_of_a_joined_file_is_a_gap(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(texts, "rows_at_a_time", lambda _: 3)
    base, part = joined_files(tmp_path, list(range(40))), tmp_path / "part.csv"
    part.write_text("id,b\n" + "".join(f"{i},{' ' if i == 7 else b}\n" for i, b in enumerate(VALUES[:, 2].tolist())))
    data = read_table(base, "y", {"A": ["a1", "a2"], "B": str(part)}, id="id", missing="drop")
    rest = np.delete(VALUES, 7, axis=0)
    assert_moments(data, rest[:, :3], rest[:, 3:])


def test_joined_files_end_to_end(tmp_path, capsys) -> None:
    base = joined_files(tmp_path, list(range(40)))
    plain = tmp_path / "plain.csv"
    FRAME.to_csv(plain, index=False)
    expected = predicted(capsys, plain, *FLAGS)["times"]
    np.save(tmp_path / "b.npy", VALUES[:, 2:3])
    for part, key in (("part.csv", ("--id", "id")), ("b.npy", ())):
        found = predicted(capsys, base, "--modality", "A=a1,a2", "--modality", f"B={tmp_path / part}", *key)["times"]
        assert found == {m: pytest.approx(t) for m, t in expected.items()}


def test_what_a_file_of_its_own_may_not_smuggle_in(tmp_path) -> None:
    """Neither the target, nor an index; columns of a name that is taken stay themselves."""
    base = joined_files(tmp_path, list(range(40)))
    wanted = {"A": ["a1", "a2"], "B": str(tmp_path / "part.csv")}
    FRAME.assign(id=range(40), a1=VALUES[:, 2] ** 2)[["id", "b", "a1", "y"]].to_csv(tmp_path / "part.csv")
    data = read_table(base, "y", wanted, id="id")
    assert data.column_names("B") == ("b", "B a1")
    assert_moments(data, np.column_stack([VALUES[:, :3], VALUES[:, 2] ** 2]), VALUES[:, 3:])
    assert said(data, "part.csv: '', 'y' left out (index or target)")
    np.save(tmp_path / "b.npy", VALUES[:, 2:3])
    FRAME.rename(columns={"a2": "B_0"}).to_csv(base, index=False)
    data = read_table(base, "y", {"A": ["a1", "B_0"], "B": str(tmp_path / "b.npy")})
    assert_moments(data, VALUES[:, :3], VALUES[:, 3:])


@pytest.mark.parametrize(("part", "says"), [
    ("id,p\n0,1\n1,2\n1,3\n", "column 'id' has '1' more than once: rows cannot be joined by it"),
    ("id,p\n0,1\n1,2\n1.0,3\n", "column 'id' has '1' more than once"),
    ("id,p\n0,1\n,2\n2,3\n", "column 'id' has 1 gaps: rows cannot be joined by it"),
    ("key,p\n0,1\n", "has no column 'id' to join by; it has 'key', 'p'"),
    ("id,p\nx,1\nz,2\n", "part.csv and base.csv share no value of 'id'"),
    ("id\n0\n1\n", "part.csv has no columns of its own; it has 'id'"),
    ("id,p,p\n0,1,1\n", "part.csv has more than one column 'p'"),
    ("id,p\n0,1\n1,2\n", "(with 'part.csv') has gaps in 38 of 40 rows, the first in line 4 of base.csv, column 'p'"),
])  # fmt: skip
def test_rows_that_do_not_fit_are_told(tmp_path, part: str, says: str) -> None:
    base = joined_files(tmp_path, list(range(40)))
    (tmp_path / "part.csv").write_text(part)
    wanted = {"A": ["a1", "a2"], "P": str(tmp_path / "part.csv")}
    assert says in message(base, "y", wanted, id="id")
    if "gaps in 38" in says:
        data = read_table(base, "y", wanted, id="id", missing="drop")
        assert data.samples.count == 2
        assert said(data, "part.csv: 38 rows of base.csv are not in it, 0 of its own are not used")
        assert "part.csv has 2 rows, base.csv 40: name the column that joins them (id)" in message(base, "y", wanted)


def test_rows_paired_by_position_have_the_same_names(tmp_path) -> None:
    base, part = joined_files(tmp_path, list(range(40))), tmp_path / "part.csv"
    wanted = {"A": ["a1", "a2"], "B": str(part)}
    lines = part.read_text().splitlines()
    part.write_text("\n".join([lines[0], *lines[:0:-1]]))
    assert "'id' of part.csv is in another order than in base.csv: give id='id' (--id id)" in message(base, "y", wanted)
    ids = np.argsort([int(line.split(",")[lines[0].split(",").index("id")]) for line in lines[1:]])
    part.write_text("\n".join([lines[0], *(lines[1:][i] for i in ids)]))
    assert said(read_table(base, "y", wanted), "rows are paired by position, and 'id' agrees")


def test_what_people_do_to_a_header(tmp_path) -> None:
    """Excel's first line, and letters with their dots apart."""
    file = tmp_path / "t.csv"
    file.write_text("sep=;\nho\u0308he;b;y\n1;2;3\n2;1;5\n4;4;4\n")
    data = read_table(file, "y", {"A": "h\u00f6he", "B": "b"})
    assert np.allclose(data.sigma[0, 0], np.var([1, 2, 4]))


def test_digits_that_floats_do_not_hold_are_told(tmp_path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("a,b,y\n" + "".join(f"{i % 3},12345678901234567{80 + i},{i}\n" for i in range(5)))
    assert "column 'b' differs in digits beyond 2^53" in message(file, "y", {"A": "a", "B": "b"})


# -- frames ----------------------------------------------------------------------------------------------


def test_frames_are_aligned_by_their_index_or_refused() -> None:
    order = np.random.default_rng(0).permutation(40)
    inputs = {"A": FRAME[["a1", "a2"]].iloc[order], "B": FRAME["b"]}
    data = Correlations.from_samples(inputs, FRAME["y"].sample(frac=1, random_state=3))
    assert_moments(data, VALUES[:, :3], VALUES[:, 3:])
    assert data.column_names("A") == ("a1", "a2")
    assert_moments(
        Correlations.from_samples({"A": VALUES[order, :2]}, FRAME["y"].iloc[order]), VALUES[:, :2], VALUES[:, 3:]
    )
    for other, says in (
        (FRAME["y"].set_axis(range(1, 41)), r"different indexes \(40 and 40 rows, 39 in both\): reindex them"),
        (FRAME["y"].iloc[:30], r"different indexes \(40 and 30 rows, 30 in both\)"),
        (FRAME["y"].set_axis([0] * 40), "different indexes with entries twice"),
        (pd.Series([*VALUES[:39, 3], "x"]), "targets hold text and numbers, such as"),
    ):
        with pytest.raises(DataError, match=says):
            Correlations.from_samples({"A": FRAME[["a1", "a2"]]}, other)


def test_classes_of_a_frame() -> None:
    sort = np.resize([2, 0, 1], 40)
    one_hot = (sort[:, None] == np.arange(3)).astype(float)
    crossed = second(VALUES[:, :2], one_hot)[2:, :2]
    for targets, classes in (
        (pd.Series(sort).astype("category"), False), (sort, True), ([f"k{k}" for k in sort], False),
        (pd.Series(sort, dtype=float), True), (np.array(sort, dtype=str), False),
    ):  # fmt: skip
        data = Correlations.from_samples({"A": VALUES[:, :2]}, targets, classes=classes)
        np.testing.assert_allclose(data.sigma_yx.T @ data.sigma_yx, crossed.T @ crossed, atol=1e-12)
        assert said(data, "the target has 3 classes")


def test_classes_too_many_and_too_few() -> None:
    names = pd.DataFrame({"a1": np.arange(1100.0), "a2": np.arange(1100) ** 2, "b": np.arange(1100) ** 0.5})
    assert "'y' has 1001 classes, at most 1000" in message(names.assign(y=[f"n{i % 1001}" for i in range(1100)]))
    assert "'y' has 1100 classes" in message(names.assign(y=np.arange(1100)), classes=True)
    assert "'y' has one class only, 'x'" in message(names.assign(y="x"))
    both = names.assign(y=np.resize(["k" * 900, "m\x1b"], 1100), z=np.arange(1100.0))
    assert "give targets of classes and of numbers apart" in message(both, ["y", "z"], standardize=True)
    data = read_table(both, ["y", "z"], BLOCKS)
    assert np.var(both["z"]) == pytest.approx(data.sigma_yy[1, 1])
    assert all(note.isprintable() and len(note) < 200 for note in data.notes)
    with_date = names.assign(y=[f"2020-01-{i % 28 + 1}" for i in range(1100)])
    assert "column 'y' holds dates or times, such as '2020-01-1'" in message(with_date)
