"""What an audit of bad input found silently wrong or answered with a traceback: one line names field and value."""

import os
import stat
from pathlib import Path

import numpy as np
import pytest
import sympy as sp

from derivations.errors import DataError, DomainError, StoreError
from dynamics import (
    Correlations,
    FusionNetwork,
    aligned_weights,
    compare,
    descend,
    ensemble,
    integrate,
    integrate_reduced,
    law_grid,
    load_trajectory,
    locate,
    portrait,
    predict,
    prescribe,
    random_weights,
    sweep,
    train_relu,
)
from dynamics.cli import main

NET, DATA, SIZES = FusionNetwork.fused_at(2, 2), Correlations.scalar(2, 1, 0.5), {"A": 1, "B": 1}
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(20, 2)), RNG.normal(size=20)
BLOCKS = {"A": X[:, 0], "B": X[:, 1]}
SMALL = [[[0.1]], [[0.1]]]
HUGE = 10**400
MASKED = np.ma.masked_equal([[99.0]], 99.0)


def scaled(s: float) -> Correlations:
    return Correlations.from_samples({m: x * s for m, x in BLOCKS.items()}, Y)


def with_first(layer: object) -> dict[str, object]:
    return {"A": [layer, [[0.1]]], "B": SMALL}


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: prescribe(NET, DATA, u0=0), DomainError, "u0 of A is 0: from there A is never learned"),
        (lambda: descend(NET, Correlations(np.zeros((2, 2)), [0, 0], SIZES)), DomainError, "no learning rate follows"),
        (lambda: predict(NET, DATA, u0=HUGE), DomainError, "u0 must be a finite number >= 0, got an integer beyond"),
        (lambda: integrate(NET, DATA, t_end=HUGE), DomainError, "t_end must be a finite number"),
        (lambda: descend(NET, DATA, learning_rate=HUGE), DomainError, "learning_rate must be a finite number"),
        (
            lambda: sweep({"sigma_a": 2.0, "learning_rate": HUGE}),
            DataError,
            "learning_rate must be a finite number below",
        ),
        (lambda: predict(NET, DATA, width=HUGE), DomainError, "width must be an integer <= .* got one of 401 digits"),
        (lambda: FusionNetwork.fused_at(10**9, 5), DomainError, "depth must be at most 100000, got 1000000000"),
        (lambda: ensemble(NET, DATA, seeds=10**9), DomainError, "seeds must be an integer <= 1000000"),
        (lambda: portrait(NET, DATA, points=10**6), DomainError, "points must be an integer <= 2000"),
        (lambda: random_weights(NET, DATA, 0.1, 10**10), DomainError, "width 10000000000 makes 4e.10 weights"),
        (lambda: train_relu(NET, BLOCKS, Y, width=10**10), DomainError, "width 10000000000 makes"),
        (
            lambda: integrate(FusionNetwork.fused_at(100, 51), DATA, u0=1e-100, width=3),
            DomainError,
            "multiply to 10.-9993, below the range of floats",
        ),
        (
            lambda: integrate(NET, DATA, weights=with_first(MASKED)),
            DomainError,
            r"weights\['A'\]\[0\] is a masked array",
        ),
        (lambda: train_relu(NET, {"A": np.ma.masked_greater(X[:, 0], 1), "B": Y}, Y), DataError, "is a masked array"),
        (lambda: integrate(NET, DATA, weights=with_first([[np.nan]])), DomainError, r"has nan at index \(0, 0\)"),
        (
            lambda: locate(NET, DATA, {"A": [[[1e200]], [[1e200]]], "B": SMALL}),
            DomainError,
            "weights of A multiply to more than 1e100",
        ),
        (lambda: integrate(FusionNetwork.fused_at(sp.Symbol("L"), 2), DATA), DomainError, "numbers for depth"),
        (lambda: aligned_weights(NET, DATA, 0.1, 3, seed=-1), DomainError, "seed must be an integer >= 0, got -1"),
        (lambda: predict(NET, DATA, width=20, seed=-1), DomainError, "seed must be an integer >= 0, got -1"),
        (lambda: compare(NET, DATA, seeds=1, learning_rate="x"), DomainError, "learning_rate must be .* got 'x'"),
        (lambda: Correlations.from_samples({"A": X}, Y, columns={"A": 3}), DataError, "columns must name the inputs"),
        (
            lambda: Correlations.from_samples({"A": X}, Y, columns={"A": ("a\n\x1b[31m", "b")}),
            DataError,
            r"columns\['A'\] has a name that is not printable text: 'a\\n\\x1b\[31m'",
        ),
        (lambda: FusionNetwork.fused_at(2, 2, None), DomainError, "modalities must be several names, got None"),
        (lambda: FusionNetwork.fused_at(2, 2, "image"), DomainError, "modalities must be several names, got 'image'"),
        (lambda: train_relu(NET, BLOCKS, Y, snapshots=3), DomainError, "snapshots must be a list of times, got 3"),
        (lambda: predict("net", DATA), DomainError, "network must be FusionNetwork, got str"),
        (lambda: integrate(NET, {"A": [1]}), DomainError, "data must be Correlations, got dict"),
        (lambda: scaled(1e160), DataError, r"inputs\['A'\] column 0 has values of size 2.05e.160: rescale"),
        (lambda: Correlations(np.eye(2) * 1e305, [1e305] * 2, SIZES), DataError, "A of A has variance 1e.305: rescale"),
        (lambda: DATA.rescaled({"A": 1e-200}), DataError, r"factors\['A'\] must lie between"),
        (
            lambda: Correlations(np.eye(2), np.eye(2), SIZES, [[9, 1], [-1, 9]]),
            DataError,
            r"sigma_yy is not symmetric: 1 at \(0, 1\), -1 at \(1, 0\)",
        ),
        (lambda: law_grid(NET, -1, 1, 0.5, u0=1e-3), DomainError, "sigma_a must be positive, got -1"),
        (lambda: integrate_reduced(NET, DATA).save("x" * 5000), StoreError, "File name too long"),
        (lambda: integrate_reduced(NET, DATA).save("a\0b"), StoreError, "embedded null byte"),
        (lambda: integrate_reduced(NET, DATA).save(None), StoreError, "trajectory not written to 'None'"),
    ],
)
def test_one_line_that_names_field_and_value(call, error, says) -> None:
    with pytest.raises(error, match=says) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_start_at_zero_is_never_learned_and_said() -> None:
    for found in (predict(NET, DATA, u0=0, width=20), compare(NET, DATA, u0={"A": 0, "B": 0.1}, seeds=1).prediction):
        assert found.status["A"].value == "never"
        assert any("A is never learned: its layers start at zero" in w for w in found.warnings)
    assert "exactly stationary" in train_relu(NET, BLOCKS, Y, u0=0, t_end=0.5).warnings[0]


@pytest.mark.parametrize("scale", [1e-105, 1e-150])
def test_tiny_units_only_change_the_clock(scale: float) -> None:
    """Two layers: inputs s times as large are the same problem with u0/sqrt(s), at s times the pace."""
    plain, tiny = predict(NET, scaled(1), u0=1e-3), predict(NET, scaled(scale), u0=1e-3 / scale**0.5)
    assert tiny.order == plain.order
    for m in "AB":
        assert tiny.times[m] * scale == pytest.approx(plain.times[m], rel=1e-5)


def test_underflow_is_not_taken_for_never() -> None:
    found = predict(FusionNetwork.fused_at(1000, 501), DATA, u0=1e-12, width=10)
    assert found.source == "leading"
    assert found.status["A"].value == "reached"
    assert any("no law of this random start" in w and "below the range of floats" in w for w in found.warnings)


def test_ties_and_what_is_never_learned_are_said_by_every_producer() -> None:
    tied = Correlations.scalar(1, 1, 0.3)
    runs = [integrate(NET, tied), integrate_reduced(NET, tied), ensemble(NET, tied, seeds=2), descend(NET, tied)]
    for run in runs:
        assert "A and B are equally fast: their order is undefined" in run.warnings
    blind = Correlations(np.eye(2), [0, 0], SIZES, 1.0)
    for run in (integrate(NET, blind), descend(NET, blind, max_steps=100)):
        assert "A is never learned: Sigma_yx of A is zero" in run.warnings
    flipped = integrate_reduced(NET, Correlations.scalar(2, 1, -0.9))
    assert any(w.startswith("B is never learned: the residual") for w in flipped.warnings)


def test_descent_from_the_optimum_stops() -> None:
    """An excess below the rounding of the loss can not shrink by a million."""
    data = Correlations(np.eye(2), [1.0, 1.0], SIZES, 3.0)
    run = descend(NET, data, weights={"A": [[[1.0]], [[1.0]]], "B": [[[1.0]], [[1.0]]]})
    assert len(run.t) < 10


def test_nothing_but_a_plain_file_is_replaced(tmp_path: Path) -> None:
    run = integrate_reduced(NET, DATA)
    pipe = tmp_path / "pipe.npz"
    os.mkfifo(pipe)
    with pytest.raises(StoreError, match="no plain file"):
        run.save(pipe)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    with pytest.raises(StoreError, match="no plain file"):
        load_trajectory(pipe)  # would wait for ever
    target, link = tmp_path / "real.npz", tmp_path / "link.npz"
    run.save(target)
    link.symlink_to(target)
    run.save(link)  # through the link, as savefig and a shell do
    assert link.is_symlink()
    assert load_trajectory(target).times == run.times
    assert not list(tmp_path.glob("*.part"))


def test_a_batch_that_is_a_pipe_is_no_batch(tmp_path: Path) -> None:
    spec = {"sigma_a": 2.0, "rho": [0.0, 0.1]}
    sweep(spec, tmp_path / "store")
    batch = next((tmp_path / "store").glob("batch-*.npz"))
    batch.unlink()
    os.mkfifo(batch)
    with pytest.raises(StoreError, match="no plain file"):
        sweep(spec, tmp_path / "store")


def test_deep_nesting_is_bad_input(tmp_path: Path) -> None:
    spec = tmp_path / "deep.toml"
    spec.write_text("x=" + "[" * 100_000)
    assert main(["sweep", str(spec), "-o", str(tmp_path / "s")]) == 2
    folder = tmp_path / "store"
    folder.mkdir()
    (folder / "manifest.json").write_text("[" * 200_000)
    with pytest.raises(StoreError, match="is damaged"):
        sweep({"sigma_a": 2.0}, folder)
    with pytest.raises(StoreError, match="File name too long"):
        sweep({"sigma_a": 2.0}, tmp_path / ("x" * 300))


COLUMNS = ["--target", "y", "--modality", "A=a", "--modality", "B=b"]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = "\n".join(f"{a},{b},{y}" for (a, b), y in zip(X, Y, strict=True))
    path = tmp_path / "in.csv"
    path.write_text(f"a,b,y\n{rows}\n")
    return path


def test_the_input_is_not_overwritten(table: Path, tmp_path: Path, capsys) -> None:
    before = table.read_bytes()
    png = tmp_path / "in.png"
    png.write_bytes(before)
    for words in (
        ["simulate", str(table), *COLUMNS, "-o", str(table)],
        ["report", str(table), *COLUMNS, "-o", str(table)],
        ["simulate", str(png), *COLUMNS, "--seeds", "2", "--plot", str(png)],
    ):
        assert main(words) == 2
        assert "is the file that is read" in capsys.readouterr().err
    assert table.read_bytes() == before == png.read_bytes()


@pytest.mark.parametrize(("flag", "text"), [("--u0", "1_0"), ("--depth", "٣"), ("--width", "1e3"), ("--u0", "0x1")])
def test_numbers_are_plain_digits(table: Path, capsys, flag: str, text: str) -> None:
    with pytest.raises(SystemExit) as left:
        main(["predict", str(table), *COLUMNS, flag, text])
    assert left.value.code == 2
    assert "not a" in capsys.readouterr().err


def test_a_full_disk_behind_a_redirection(table: Path) -> None:
    import subprocess
    import sys

    command = [sys.executable, "-m", "dynamics", "predict", str(table), *COLUMNS]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.endswith("output not written: No space left on device\n")
    assert "Traceback" not in done.stderr
