"""Trajectory and Prediction as tables of pandas and xarray: the numbers are those of the results."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from derivations import DomainError
from dynamics import Correlations, FusionNetwork, integrate_reduced, predict
from dynamics.prediction.prediction import Prediction
from dynamics.runs.trajectory import Trajectory

xarray = pytest.importorskip("xarray")
NET = FusionNetwork.fused_at(2, 2)
DATA = Correlations(np.diag([4.0, 1.0, 1.0]), [4.0, 1.0, 0.5], {"A": 1, "B": 2}, 8.0)


@pytest.fixture(scope="module")
def run() -> Trajectory:
    return integrate_reduced(NET, DATA)


@pytest.fixture(scope="module")
def prediction() -> Prediction:
    return predict(NET, DATA)


def test_a_frame_of_a_run_has_a_row_a_point(run: Trajectory) -> None:
    frame = run.to_frame()
    assert list(frame.columns) == ["loss", "|W_A|", "|W_B|", "W_A[0]", "W_B[0]", "W_B[1]"]
    assert frame.index.name == "t"
    np.testing.assert_array_equal(frame.index, run.t)
    np.testing.assert_array_equal(frame["W_B[1]"], run.total["B"][:, 1])
    np.testing.assert_allclose(frame["|W_B|"], np.hypot(frame["W_B[0]"], frame["W_B[1]"]), rtol=1e-12)


def test_a_data_set_of_a_run_survives_netcdf(run: Trajectory, tmp_path) -> None:
    run.to_xarray().to_netcdf(tmp_path / "run.nc", engine="scipy")
    with xarray.open_dataset(tmp_path / "run.nc", engine="scipy") as found:
        assert found["total_B"].dims == ("t", "input_B")
        np.testing.assert_array_equal(found["total_B"], run.total["B"])
        np.testing.assert_array_equal(found["norm"].sel(modality="A"), run.norms["A"])
        assert float(found["half_time"].sel(modality="B")) == run.times["B"]
        assert found["t"].attrs["units"] == "tau"
        assert found.attrs["ratio"] == run.ratio
        assert found.attrs["producer"] == run.provenance["producer"]


def test_several_outputs_have_a_dimension_and_two_numbers() -> None:
    run = integrate_reduced(NET, Correlations(np.eye(2), [[2.0, 0.0], [0.0, 1.0]], {"A": 1, "B": 1}))
    assert "W_B[1,0]" in run.to_frame()
    assert run.to_xarray()["total_B"].dims == ("t", "output", "input_B")


def test_a_prediction_has_a_row_a_road_and_modality(prediction: Prediction) -> None:
    frame = prediction.to_frame()
    assert len(frame) == 2 * len(prediction.estimates)
    source = frame[frame.source].set_index("modality")
    assert dict(source["time"]) == prediction.times
    assert list(source.sort_values("place").index) == list(prediction.order)
    assert dict(source["bound"]) == dict(prediction.estimate.bound)
    found = prediction.to_xarray()
    for road, estimate in prediction.estimates.items():
        for m in "AB":
            assert float(found["half_time"].sel(road=road.value, modality=m)) == estimate.times[m]
    assert found.attrs["answer"] == prediction.answer
    json.dumps(found.to_dict())


@pytest.mark.parametrize("name", ["run", "prediction"])
def test_a_missing_package_is_one_line_with_its_extra(name: str, request, monkeypatch: pytest.MonkeyPatch) -> None:
    result = request.getfixturevalue(name)
    for package, extra, call in (("pandas", "data", result.to_frame), ("xarray", "sweep", result.to_xarray)):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(
            DomainError, match=rf"needs the package {package}: pip install 'fusion-dynamics\[{extra}\]'"
        ):
            call()
