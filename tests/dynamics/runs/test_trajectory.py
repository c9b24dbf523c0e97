"""Trajectory: one result type, saved and loaded, with its itinerary."""

import math
import pickle

import numpy as np
import pytest

from derivations import Correlations, FusionNetwork, StoreError
from derivations.flow import gradient_flow as law
from dynamics import descend, integrate, integrate_reduced, load_trajectory, predict
from dynamics.runs.trajectory import losses
from tests.cases import random_correlations

NET = FusionNetwork.fused_at(3, 2)
DATA = Correlations.scalar(2, 1, 0.5)


@pytest.mark.parametrize("make", [
    lambda: integrate(NET, DATA, u0=0.05, width=5),
    lambda: integrate_reduced(NET, DATA, u0=0.05),
    lambda: descend(NET, DATA, u0=0.05, width=5),
])  # fmt: skip
def test_every_producer_makes_the_same_thing(make, tmp_path) -> None:
    run = make()
    assert run.total["A"].shape == (len(run.t), 1)
    assert run.loss.shape == run.t.shape
    assert np.all(np.diff(run.t) >= 0)
    assert run.order == ("A", "B")
    assert run.ratio == pytest.approx(1 + run.lag / run.times["A"], rel=1e-9)
    assert [v.name for v in run.itinerary] == ["M_0", "M_A", "M_*"]
    # half way in the output is half of A's weights while B's are u0^2-small: 3e-3 of A's, times 1/2 in t
    assert run.itinerary[1].enter == pytest.approx(run.times["A"], rel=2e-3)
    assert run.itinerary[1].leave == pytest.approx(run.times["B"], rel=2e-3)
    assert run.itinerary[2].leave == math.inf
    assert run.itinerary[2].distance < 5e-3  # an excess loss of 1e-6 is a distance of some 1e-3
    assert run.loss[-1] < 1.01e-6 * run.loss[0]
    assert run.weight_times == pytest.approx(run.times, rel=1e-2)  # scalar inputs; interpolated between points
    assert run.plateaus == {"A": pytest.approx(5 / 4), "B": pytest.approx(1)}  # alone, and beside A
    run.save(tmp_path / "run.npz")
    same = load_trajectory(tmp_path / "run.npz")
    np.testing.assert_array_equal(same.total["B"], run.total["B"])
    assert same.half_times == run.half_times
    assert same.itinerary == run.itinerary
    assert (same.weight_times, same.reasons) == (run.weight_times, run.reasons)
    for m in "AB":
        np.testing.assert_array_equal(same.plateaus[m], run.plateaus[m])
    assert same.provenance["producer"] == run.provenance["producer"]
    assert pickle.loads(pickle.dumps(run)).times == run.times
    assert "half-time" in str(run)
    assert "<table>" in run._repr_html_()
    with pytest.raises(ValueError, match="read-only"):
        run.t[0] = 1


def test_foreign_and_damaged_files_are_store_errors(tmp_path) -> None:
    path = tmp_path / "run.npz"
    with pytest.raises(StoreError, match="not read from"):
        load_trajectory(path)
    path.write_bytes(b"nothing")
    with pytest.raises(StoreError, match="is not a saved trajectory"):
        load_trajectory(path)
    np.savez(path, t=[1])
    with pytest.raises(StoreError, match="is not a saved trajectory"):
        load_trajectory(path)
    run = integrate_reduced(NET, DATA, u0=0.1)
    run.save(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(StoreError, match="is not a saved trajectory"):
        load_trajectory(path)
    with pytest.raises(StoreError, match="trajectory not written"):
        run.save(tmp_path / "no" / "folder.npz")


def test_losses_along_a_run_are_the_loss() -> None:
    """The vectorised form against the law, also for several outputs and noise."""
    rng = np.random.default_rng(0)
    data = random_correlations(rng, {"A": 2, "B": 1}, outputs=2)
    packed = rng.normal(size=(7, 2, 3))
    for value, total in zip(losses(data, packed), packed, strict=True):
        assert value == pytest.approx(law.loss(data, {"A": total[:, :2], "B": total[:, 2:]}), rel=1e-12)


def test_the_loss_is_lowest_on_the_plateau_of_the_first_modality_between() -> None:
    run = integrate_reduced(FusionNetwork.fused_at(2, 2), DATA, u0=1e-6)
    middle = np.searchsorted(run.t, (run.times["A"] + run.times["B"]) / 2)
    assert run.loss[middle] == pytest.approx(law.loss(DATA, DATA.regression(("A",))), rel=1e-3)
    assert run.itinerary[1].distance < 1e-2


def test_mappings_are_in_the_order_of_the_datas_modalities() -> None:
    """Whoever is learned first."""
    late = Correlations.scalar(1, 2, 0.3)
    p = predict(FusionNetwork.fused_at(2, 2), late)
    run = integrate_reduced(FusionNetwork.fused_at(2, 2), late)
    assert p.order == run.order == ("B", "A")
    for mapping in (
        p.times,
        p.status,
        p.leading.times,
        p.leading.bound,
        p.reduced.bound,
        run.times,
        run.status,
        run.total,
    ):
        assert list(mapping) == ["A", "B"]


def test_numpy_scalars_are_saved_and_provenance_repeats_a_run(tmp_path) -> None:
    run = integrate(NET, DATA, u0=np.float32(0.05), width=np.int64(4), seed=np.int64(3), t_end=np.float64(20.0))
    run.save(tmp_path / "run.npz")
    made = load_trajectory(tmp_path / "run.npz").provenance
    again = integrate(NET, DATA, u0=made["u0"], width=made["width"], seed=made["seed"], t_end=made["t_end"])
    np.testing.assert_array_equal(again.total["A"], run.total["A"])
    assert made["data"] == again.provenance["data"]
    assert made["version"]


def test_an_overtaken_saddle_is_passed_by() -> None:
    sigma = np.array([[1, 0.9, -0.8], [0.9, 1, -0.6], [-0.8, -0.6, 1.0]])
    data = Correlations(sigma, sigma @ [0.3, 1.1, 1.4], {"A": 2, "B": 1})
    run = integrate_reduced(FusionNetwork.fused_at(2, 2), data, u0=0.05)
    assert [v.name for v in run.itinerary] == ["M_0", "M_*"]
    assert 0 < run.itinerary[0].leave < run.t[-1]
