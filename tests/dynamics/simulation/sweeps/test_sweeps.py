"""Sweeps: the same numbers as one run at a time, the same bytes whoever runs them, and nothing lost on the way."""

import ctypes
import functools
import io
import json
import math
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.cluster import digest, on_cluster
from dynamics import (
    Correlations,
    DataError,
    DomainError,
    FusionNetwork,
    Recipe,
    SolveError,
    StoreError,
    descend,
    ensemble,
    integrate,
    load_example,
    plot_sweep,
    sweep,
)
from dynamics.interface.cli import main
from dynamics.paper.experiments import EXPERIMENTS
from dynamics.recipe import PLAIN
from dynamics.simulation import jobs
from dynamics.simulation.sweeps.dataset import summary
from dynamics.simulation.sweeps.runner import held_interrupts, one_batch, shown
from dynamics.simulation.sweeps.spec import make_spec, read_spec
from dynamics.simulation.sweeps.work import recipe_of
from tests.cases import ROOT

SMALL = {"sigma_a": [1.5, 2.0], "rho": [-0.5, 0.0, 0.5], "seed": [0, 1], "u0": 1e-4, "depth": 2, "width": 30}


def spec(seeds: int) -> str:
    """Five points a seed, 64 a batch."""
    data = "[data]\nsigma_a = 2.0\nrho = [-0.4, -0.2, 0.0, 0.2, 0.4]\n"
    return f"{data}[start]\nu0 = 1e-4\nseed = {list(range(seeds))}\n"


def run(*arguments: str, cwd: Path, **more: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "dynamics", *arguments], cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}, **more,
    )  # fmt: skip


def test_points_are_those_of_single_runs() -> None:
    """Flow and descent, two networks: half-times to the tolerances of both, 1e-4."""
    found = sweep({**SMALL, "fusion_depth": [1, 2], "learning_rate": [0.0, 0.02]})
    for fused in (1, 2):
        for a in SMALL["sigma_a"]:
            for rho in SMALL["rho"]:
                data = Correlations.scalar(a, 1.0, rho)
                point = found.sel(fusion_depth=fused, sigma_a=a, rho=rho, seed=1)
                network = FusionNetwork.fused_at(2, fused)
                flow = integrate(network, data, u0=1e-4, width=30, seed=1)
                steps = descend(network, data, u0=1e-4, width=30, seed=1, learning_rate=0.02)
                for rate, one in ((0.0, flow), (0.02, steps)):
                    here = point.sel(learning_rate=rate)
                    for m in "AB":
                        assert float(here["half_time"].sel(modality=m)) == pytest.approx(one.times[m], rel=1e-4)
                        assert str(here["status"].sel(modality=m).values) == one.status[m].value
                    assert float(here["ratio"]) == pytest.approx(one.ratio, rel=2e-4)
                    assert float(here["lag"]) == pytest.approx(one.lag, rel=2e-4)


def test_seeds_are_the_members_of_an_ensemble() -> None:
    network, data = FusionNetwork.fused_at(4, 3), Correlations.scalar(2, 1, 0.3)
    found = sweep({"depth": 4, "fusion_depth": 3, "sigma_a": 2.0, "rho": 0.3, "u0": 0.1, "seed": list(range(6))})
    runs = ensemble(network, data, u0=0.1, width=100, seeds=6)
    np.testing.assert_allclose(found["ratio"].values, runs.ratio, rtol=1e-4)
    assert float(found["compression"].max()) < 1e-4


def test_a_list_pairs_and_an_example_and_own_data_are_swept() -> None:
    pairs = sweep({"layout": "list", "sigma_a": [2.0, 3.0], "rho": [0.0, 0.5], "u0": 1e-3})
    assert pairs["ratio"].dims == ("point",)
    assert pairs["sigma_a"].values.tolist() == [2.0, 3.0]
    grid = sweep({"sigma_a": [2.0, 3.0], "rho": [0.0, 0.5], "u0": 1e-3})
    np.testing.assert_allclose(
        pairs["ratio"].values, [grid["ratio"].values[0, 0], grid["ratio"].values[1, 1]], rtol=1e-3
    )
    star = sweep({"example": "star98", "factor": [1.0, 1.3], "u0": 1e-3})
    own = sweep({"factor": [1.0, 1.3], "u0": 1e-3}, data=load_example("star98"))
    assert star["modality"].values.tolist() == ["demographics", "school"]
    np.testing.assert_array_equal(star["half_time"].values, own["half_time"].values)
    scaled = load_example("star98").rescaled({"school": 1.3})
    one = integrate(FusionNetwork.fused_at(2, 2, scaled.modalities), scaled, u0=1e-3)
    assert float(own["ratio"].sel(factor=1.3)) == pytest.approx(one.ratio, rel=1e-3)


def test_a_factor_is_of_the_last_of_any_number_of_modalities() -> None:
    three = Correlations(np.diag([9.0, 4, 1]), [3.0, 2, 1], {"A": 1, "B": 1, "C": 1})
    found = sweep({"width": 5, "factor": 2.0}, data=three)
    same = sweep({"width": 5}, data=three.rescaled({"C": 2.0}))
    np.testing.assert_array_equal(found["half_time"].values, same["half_time"].values)


def test_provenance_units_and_netcdf(tmp_path: Path) -> None:
    import xarray

    found = sweep({**SMALL, "seed": [0, 2**31]}, tmp_path / "store")
    assert found["half_time"].attrs["units"] == "tau"
    assert found["seed"].values.tolist() == ["0", str(2**31)]  # beyond the integers of netCDF 3
    assert json.loads(found.attrs["spec"])["fixed"]["width"] == 30
    assert found.attrs["version"].startswith("fusion-dynamics ")
    found.to_netcdf(tmp_path / "r.nc", engine="scipy")
    with xarray.open_dataset(tmp_path / "r.nc", engine="scipy") as back:
        np.testing.assert_array_equal(back["half_time"].values, found["half_time"].values)
        assert back["status"].values.ravel()[0] == "reached"


def test_a_cluster_ends_with_the_same_bytes_though_a_worker_is_killed(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    few = tmp_path / "few.toml"
    few.write_text(spec(50))
    sweep(few, tmp_path / "plain")
    on_cluster(few, tmp_path / "there", kill_after=1)
    assert digest(tmp_path / "plain") == digest(tmp_path / "there")


def test_a_worker_of_another_version_is_refused() -> None:
    with pytest.raises(SolveError, match=r"a worker has fusion-dynamics .*, this is 9\.9: not mixed"):
        one_batch(0, [], None, PLAIN, "9.9")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (TimeoutError(), "no worker at the Dask scheduler 'tcp://here' for 60 s: what is finished is in the store"),
        (TypeError("one_batch() takes 4"), r"the cluster failed: TypeError: one_batch\(\) takes 4; its workers need"),
        (OSError("closed\nhere"), r"the cluster failed: OSError: closed\\nhere;"),
    ],
)
def test_a_cluster_that_goes_is_said(monkeypatch, error: Exception, says: str) -> None:
    """The scheduler is gone, or all workers are, or they have an older package: as Dask raises it."""

    class Gone:
        __init__ = __exit__ = lambda *_, **__: None
        __enter__ = lambda self: self

        def wait_for_workers(self, *_, **__) -> None:
            raise error

    monkeypatch.setitem(sys.modules, "distributed", SimpleNamespace(Client=Gone, wait=None))
    with pytest.raises(SolveError, match=says) as caught:
        sweep({"sigma_a": 2.0}, scheduler="tcp://here")
    assert "\n" not in str(caught.value)


def test_a_killed_worker_process_is_said(monkeypatch) -> None:
    from joblib.externals.loky.process_executor import BrokenProcessPool

    def broken(*_, **__):
        raise BrokenProcessPool

    monkeypatch.setattr("joblib.Parallel", broken)
    with pytest.raises(SolveError, match=r"a worker process was killed, .* what is finished is in the store"):
        sweep({"sigma_a": 2.0, "width": [3, 4]}, jobs=2)


def test_interrupted_it_says_130_and_goes_on(tmp_path: Path) -> None:
    """In the background of a script interrupts are ignored, and children inherit that: not here."""
    (tmp_path / "many.toml").write_text(spec(100))
    heeding = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = run("sweep", "many.toml", "-o", "store", cwd=tmp_path, preexec_fn=heeding)
    while process.poll() is None and not list((tmp_path / "store").glob("batch-*.npz")):
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate()
    assert process.returncode == 130, error
    assert b"interrupted" in error
    assert b"Traceback" not in error
    sweep(tmp_path / "many.toml", tmp_path / "store")
    sweep(tmp_path / "many.toml", tmp_path / "plain")
    assert digest(tmp_path / "plain") == digest(tmp_path / "store")


def test_an_interrupt_in_a_callback_from_c_is_not_lost() -> None:
    """Where it came while BLAS libraries were looked for, a sweep went on to its end."""
    called = ctypes.CFUNCTYPE(None)(lambda: signal.raise_signal(signal.SIGINT))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), held_interrupts():
            called()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_two_writers_leave_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "few.toml").write_text(spec(20))
    writers = [run("sweep", "few.toml", "-o", "store", cwd=tmp_path) for _ in range(2)]
    for process in writers:
        _, error = process.communicate()
        assert process.returncode == 0, error
    sweep(tmp_path / "few.toml", tmp_path / "plain")
    assert digest(tmp_path / "plain") == digest(tmp_path / "store")


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk: the write of a batch fails for real."""
    (tmp_path / "small.toml").write_text("sigma_a = [1.5, 2.0]\nseed = [0, 1]\nu0 = 1e-4\n")
    process = run(
        "sweep", "small.toml", "-o", "store", cwd=tmp_path,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500)),
    )  # fmt: skip
    _, error = process.communicate()
    assert process.returncode == 1
    assert error.decode().strip().splitlines()[-1].startswith("fusion-dynamics: store 'store': batch 0 not written")
    assert [p.name for p in (tmp_path / "store").iterdir()] == ["manifest.json"]
    sweep(tmp_path / "small.toml", tmp_path / "store")
    sweep(tmp_path / "small.toml", tmp_path / "plain")
    assert digest(tmp_path / "plain") == digest(tmp_path / "store")


def test_a_folder_that_cannot_be_written_is_named() -> None:
    with pytest.raises(StoreError, match="/proc/nowhere"):
        sweep(SMALL, "/proc/nowhere")


@pytest.mark.parametrize("harm", ["flip", "cut", "empty", "swap"])
def test_a_damaged_batch_is_set_aside_and_run_again(harm: str, tmp_path: Path) -> None:
    store = tmp_path / "store"
    sweep({**SMALL, "width": [20, 30]}, store)
    before, victim = digest(store), store / "batch-000001.npz"
    content = bytearray(victim.read_bytes())
    if harm == "flip":
        content[len(content) // 2] ^= 1
    elif harm == "cut":
        del content[len(content) // 2 :]
    elif harm == "empty":
        content.clear()
    else:
        content = bytearray(b"PK\x05\x06" + bytes(18))
    victim.write_bytes(content)
    found = sweep({**SMALL, "width": [20, 30]}, store)
    assert np.all(np.isfinite(found["ratio"].values))
    aside = store / "batch-000001.npz.damaged-0"
    assert aside.read_bytes() == bytes(content)
    aside.unlink()
    assert digest(store) == before


def test_want_of_memory_is_no_damage(tmp_path: Path, monkeypatch) -> None:
    sweep({"sigma_a": 2.0}, tmp_path / "store")
    before = digest(tmp_path / "store")

    def full(*_, **__):
        raise MemoryError

    monkeypatch.setattr("dynamics.files.np.load", full)
    with pytest.raises(MemoryError):
        sweep({"sigma_a": 2.0}, tmp_path / "store")
    assert digest(tmp_path / "store") == before


def test_a_store_of_another_sweep_or_version_is_not_mixed(tmp_path: Path) -> None:
    sweep(SMALL, tmp_path / "store")
    with pytest.raises(StoreError, match="another sweep"):
        sweep({**SMALL, "u0": 1e-5}, tmp_path / "store")
    manifest = tmp_path / "store" / "manifest.json"
    text = manifest.read_text()
    manifest.write_text(text.replace('"version": "', '"version": "9.'))
    with pytest.raises(StoreError, match=r"version '9\."):
        sweep(SMALL, tmp_path / "store")
    for damaged in (text[:40], "[" * 200_000, "[]", '{"format": 1}'):
        manifest.write_text(damaged)
        sweep(SMALL, tmp_path / "store")
        assert manifest.read_text() == text
    manifest.unlink()
    with pytest.raises(StoreError, match="another sweep"):
        sweep({**SMALL, "u0": 1e-5}, tmp_path / "store")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    with pytest.raises(StoreError, match=r"it holds 'thesis\.tex'"):
        sweep(SMALL, tmp_path / "mine")


def test_a_batch_in_the_place_of_another_is_set_aside(tmp_path: Path) -> None:
    """Of this sweep, or of another one: its checksum knows sweep and number, so that nothing is silently wrong."""
    many = {"sigma_a": 2.0, "u0": 1e-3, "width": 5, "depth": 3, "seed": list(range(70))}
    expected = sweep(many, tmp_path / "store")
    sweep({**many, "u0": 2e-3}, tmp_path / "other")
    first, second = (tmp_path / "store" / f"batch-{i:06}.npz" for i in range(2))
    for foreign in (second, tmp_path / "other" / first.name):
        first.write_bytes(foreign.read_bytes())
        (tmp_path / "store" / "manifest.json").write_bytes(b"\x80")
        again = sweep(many, tmp_path / "store")
        assert again.equals(expected)
    assert len(list((tmp_path / "store").glob("batch-000000.npz.damaged-*"))) == 2


def test_batches_are_those_of_the_points_one_by_one() -> None:
    """Groups in the order in which they are met, against a loop over all points."""
    spec = make_spec({"sigma_a": 2.0, "depth": [3, 2, 3.0][:2], "fusion_depth": 2, "seed": list(range(90)),
                      "learning_rate": [0.0, 0.1, 0.2], "width": [5, 6]})  # fmt: skip
    groups: dict = {}
    for i, point in enumerate(spec.points()):
        key = *(point[name] for name in ("depth", "fusion_depth", "width", "rtol")), point["learning_rate"] == 0
        groups.setdefault(key, []).append(i)
    assert [i for batch in spec.batches() for i in batch] == [i for group in groups.values() for i in group]
    sizes = [len(batch) for batch in spec.batches() if spec.at(batch[:1])[0]["width"] == 5]
    assert sizes == [64, 26, 64, 64, 52, 90, 180]  # two layers of scalars are light
    assert [len(batch) for batch in make_spec({"example": "diabetes", "seed": list(range(90))}).batches()] == [64, 26]


def test_a_point_that_fails_does_not_take_its_batch_along(tmp_path: Path) -> None:
    """A learning rate beyond stable diverges: that point is nan and failed, with a warning; the others stand."""
    found = sweep({"sigma_a": 2.0, "u0": 1e-3, "learning_rate": [0.01, 5.0]}, tmp_path / "store")
    assert found["status"].values.tolist() == [["reached", "failed"], ["reached", "failed"]]
    assert math.isnan(found["ratio"].values[1])
    assert "failed: sigma_a = 2.0" in found.attrs["warnings"]
    assert "diverged" in found.attrs["warnings"]


def test_a_risky_rate_does_not_cut_the_steps_of_the_others(monkeypatch) -> None:
    """At 0.01 the first point takes 5400 steps, more than the 5000 of a risky one; 0.41 is beyond stable."""
    monkeypatch.setattr(jobs, "OSCILLATING_STEPS", 5000)
    pair = {"layout": "list", "sigma_a": 2.0, "rho": [-0.9, 0.3], "width": 30, "u0": 1e-3}
    found = sweep({**pair, "learning_rate": [0.01, 0.41]})
    data, network = Correlations.scalar(2, 1, -0.9), FusionNetwork.fused_at(2, 2)
    one = descend(network, data, u0=1e-3, width=30, seed=0, learning_rate=0.01)
    assert one.monitors["steps"] > 5000
    assert float(found["half_time"].sel(modality="B")[0]) == pytest.approx(one.times["B"], rel=1e-4)


def test_one_point_is_a_sweep_too() -> None:
    found = sweep({"sigma_a": 2.0})
    assert found["ratio"].dims == ()
    assert found.attrs["warnings"] == ""
    assert sweep({"sigma_a": 2.0, "seed": 2**31}).attrs["fixed_seed"] == str(2**31)
    assert float(found["ratio"]) == pytest.approx(float(sweep({"sigma_a": 2.0, "seed": [0]})["ratio"][0]))


def test_what_single_runs_would_warn_of_is_said() -> None:
    """Products of 200 layers of norm 1e-3 are below the range of floats: that is no "never"."""
    found = sweep({"sigma_a": 2.0, "depth": 200})
    assert set(found["status"].values) == {"failed"}
    assert "the layers of A multiply to 10^-570, below the range of floats" in found.attrs["warnings"]
    assert "their order is undefined" in sweep({"sigma_a": 1.0, "rho": 0.3}).attrs["warnings"]
    still = sweep({"sigma_a": 2.0, "u0": 0.0})
    assert set(still["status"].values) == {"never"}
    told = summary(still)
    assert told.title == "sweep: one point"
    assert [row[1:] for row in told.rows] == [("0 of 1", "-", "-", "-")] * 3
    assert "the start is exactly stationary, the target has no correlation" in still.attrs["warnings"]


def test_a_point_without_data_fails_alone() -> None:
    """A target beyond the range of floats: the point is failed, the others stand."""
    found = sweep({"sigma_a": 2.0, "w_a": [1.0, 1e300]})
    assert found["status"].values.tolist() == [["reached", "failed"], ["reached", "failed"]]
    assert "w[0] makes a target beyond 1e+151, got 1e+300" in found.attrs["warnings"]
    told = summary(found)
    assert told.title == "sweep: w_a 2"
    assert [row[1] for row in told.rows] == ["1 of 2"] * 3
    assert told.notes == (f"Warning: {found.attrs['warnings']}",)


@pytest.mark.parametrize("name", ["figure_3c", "figure_6b", "figure_6c", "figure_6d"])
def test_the_papers_sweeps_have_the_settings_of_appendix_j(name: str) -> None:
    spec = read_spec(ROOT / "docs" / "sweeps" / f"{name}.toml")
    experiment = EXPERIMENTS[int(name[7])]
    values = {**{k: (v,) for k, v in spec.fixed.items()}, **spec.axes}
    assert values["seed"] == experiment.seeds
    assert values["width"] == (experiment.width,)
    assert {(d, f) for d in values["depth"] for f in values["fusion_depth"]} == set(experiment.networks)
    expected = {
        "figure_3c": {"rho": experiment.rhos, "sigma_a": experiment.sigma_ratios, "u0": (1e-8,)},
        "figure_6b": {"rho": experiment.rhos, "u0": (0.1,)},
        "figure_6c": {"sigma_a": experiment.sigma_ratios, "u0": (0.1,)},
        "figure_6d": {"u0": experiment.u0s},
    }[name]
    for key, wanted in expected.items():
        assert values[key] == pytest.approx(wanted)


CYCLE: list[object] = [1.0]
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({"sigma_a": 2.0, "rhoo": 0.1}, "a sweep has no 'rhoo'"),
        ({"start": {"rho": 0.1}, "sigma_a": 2.0}, r"\[start\] has no 'rho'"),
        ({"sigma_a": "2"}, "sigma_a must be a finite number >= 1e-150, got '2'"),
        ({"sigma_a": "__import__('os').system('true')"}, "sigma_a must be a finite number"),
        ({"sigma_a": math.nan}, "got nan"),
        ({"sigma_a": 2.0, "depth": 2.5}, "depth must be an integer >= 1, got 2.5"),
        ({"sigma_a": 2.0, "depth": True}, "depth must be an integer"),
        ({"sigma_a": 2.0, "rho": []}, "rho has no values"),
        ({"sigma_a": 2.0, "rho": [0.1, 0.1]}, "rho has the same value twice"),
        ({"sigma_a": 2.0, "rho": {"from": 1}}, "rho must be a value or a list"),
        ({"sigma_a": 2.0, "rho": [[0.1]]}, "rho must be a finite number"),
        ({"sigma_a": 2.0, "rho": [0.1, [0.2]]}, r"rho must be a finite number >= -1 and <= 1, got \[0.2\]"),
        ({"sigma_a": CYCLE}, r"sigma_a must be a finite number >= 1e-150, got \[1.0, \[...\]\]"),
        ({"sigma_a": b"ab"}, "sigma_a must be a finite number >= 1e-150, got b'ab'"),
        ({"rho": 0.5}, "a sweep needs data"),
        ({"sigma_a": 2.0, "example": "diabetes"}, "do not go together"),
        ({"example": ["diabetes", "star98"]}, "example must have one value"),
        ({"sigma_a": [1.0, 2.0], "rho": [0.1], "layout": "list"}, "as many values"),
        ({"sigma_a": 2.0, "layout": "spiral"}, "layout must be one of grid, list"),
        ({"sigma_a": 2.0, "name": "a\nb"}, "name must be a line of text"),
        ({"sigma_a": 2.0, "rho": [0.0, 1.2]}, "rho must be a finite number >= -1 and <= 1, got 1.2"),
        ({"sigma_a": 2.0, "u0": -1e-3}, "u0 must be a finite number >= 0"),
        ({"sigma_a": 2.0, "fusion_depth": 3}, "fusion_depth must be at most depth, got 3 and 2"),
        ({"sigma_a": [0.0, 2.0]}, "sigma_a must be a finite number >= 1e-150"),
        ({"sigma_a": 2.0, "rtol": 1.0}, "rtol must be a finite number >= 1e-13 and <= 0.001"),
        ({"sigma_a": 2.0, "dropout": 1.0}, "dropout must be a finite number >= 0 and below 1, got 1.0"),
        ({"sigma_a": 2.0, "data": {"sigma_a": 3.0}}, "sigma_a is given twice"),
    ],
)
def test_a_spec_that_is_none_is_named(document: dict, text: str) -> None:
    with pytest.raises(DataError, match=text):
        make_spec(document)


def test_a_recipe_of_a_point_is_that_of_all_but_for_what_is_swept() -> None:
    spec = make_spec(
        {"sigma_a": 2.0, "dropout": [0.0, 0.5], "rate": 2.0}, recipe=Recipe(rates={"A": 3.0}, weight_decay=0.01)
    )
    assert [recipe_of(point, spec.recipe, "B") for point in spec.points()] == [
        Recipe(rates={"A": 3.0, "B": 2.0}, dropout={"B": masked}, weight_decay=0.01) for masked in (0.0, 0.5)
    ]
    assert recipe_of({}, spec.recipe, "B") is spec.recipe


def test_an_exploding_grid_is_counted_before_work() -> None:
    many = [float(i) for i in range(1, 2001)]
    with pytest.raises(DomainError, match="8,000,000,000 points"):
        make_spec({"sigma_a": many, "u0": [x * 1e-9 for x in many], "seed": list(range(2000))})
    for layout in ("grid", "list"):
        with pytest.raises(DomainError, match="1,000,000,000 points is too large"):
            make_spec({"sigma_a": 2.0, "seed": range(10**9), "layout": layout})


def test_files_that_are_no_spec(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_spec(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("sigma_a = ")
    with pytest.raises(DataError, match="is no TOML"):
        read_spec(tmp_path / "bad.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="is no TOML"):
        read_spec(tmp_path / "binary.toml")


def test_the_command_and_its_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "s.toml").write_text("sigma_a = [1.5, 2.0]\nrho = [0.0, 0.4]\nseed = [0, 1]\nu0 = 1e-4\n")
    arguments = ["sweep", str(tmp_path / "s.toml"), "-o", str(tmp_path / "store"), "--json"]
    assert main([*arguments, "--plot", str(tmp_path / "lines.png")]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["points"] == 8
    assert Path(printed["result"]).exists()
    assert main([*arguments, "--plot", str(tmp_path / "map.png"), "--heatmap"]) == 0
    assert (tmp_path / "map.png").stat().st_size > 5000
    assert main([*arguments, "--heatmap"]) == 2


def test_progress_on_a_terminal_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", terminal)
    for arguments in ((0, 2, math.nan), (1, 2, 3.0), (2, 2, 0.0)):
        shown(*arguments)
    assert terminal.getvalue() == "  0 of 2 batches   \r  1 of 2 batches, 3 s left   \r  2 of 2 batches   \n"


def test_pictures_show_the_numbers() -> None:
    found = sweep({"sigma_a": [1.5, 2.0, 3.0], "rho": [0.0, 0.4], "seed": [0, 1, 2], "u0": 1e-4})
    ax = plot_sweep(found)
    lines = [c for c in ax.containers if len(c)]
    assert len(lines) == 2
    for container, rho in zip(lines, (0.0, 0.4), strict=True):
        np.testing.assert_allclose(container[0].get_ydata(), found["ratio"].sel(rho=rho).mean("seed").values)
    more = sweep({"sigma_a": [3.0, 1.5], "rho": [0.0, 0.4], "u0": [1e-6, 1e-4, 1e-2, 0.1]})
    ax = plot_sweep(more, "half_time")  # u0 along x, lines for sigma_a, mean over rho
    assert ax.get_xscale() == "log"
    assert "mean over rho" in ax.get_title(loc="left")
    assert "of B" in ax.get_ylabel()
    grid = plot_sweep(more, kind="heatmap", x="sigma_a", y="u0")
    assert [t.get_text() for t in grid.get_xticklabels()] == ["1.5", "3"]  # in order, whatever the spec's
    mesh = plot_sweep(found, kind="heatmap", x="rho", y="sigma_a").collections[0]
    np.testing.assert_allclose(np.ravel(mesh.get_array()), np.ravel(found["ratio"].mean("seed").values))
    for arguments, text in (
        ({"quantity": "colour"}, "quantity must"),
        ({"kind": "pie"}, "kind must"),
        ({"x": "seed"}, "need axes"),
        ({"x": "rho", "y": "rho"}, "x and y must differ"),
    ):
        with pytest.raises(DomainError, match=text):
            plot_sweep(found, **arguments)
