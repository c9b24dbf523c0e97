"""What a user's type checker sees of the public names: mypy checks this file, nothing runs it."""

from typing import Any, assert_type

import numpy as np
import pandas
import xarray

from derivations import Correlations, Entry, FusionNetwork, Ledger, Statement, fixed_points, ledger, register
from derivations.algebra.entry import Status
from derivations.critical.manifolds import Manifold
from derivations.critical.mode_sets import ModeManifold
from dynamics import (
    Recipe,
    by_optimizer,
    compare,
    descend,
    ensemble,
    integrate,
    integrate_reduced,
    load_example,
    predict,
    prescribe,
    sweep,
)
from dynamics.prediction.comparison import Comparison
from dynamics.prediction.optimizers import ByOptimizer
from dynamics.prediction.prediction import Prediction
from dynamics.prediction.prescription import Prescription
from dynamics.runs.trajectory import Trajectory
from dynamics.simulation.ensembles import Ensemble


def seen(network: FusionNetwork, data: Correlations) -> None:
    prediction = predict(network, data)
    assert_type(prediction, Prediction)
    assert_type(prediction.times, dict[str, float])
    assert_type(prediction.plot(), np.ndarray)
    assert_type(prediction.to_frame(), pandas.DataFrame)
    assert_type(prediction.to_xarray(), xarray.Dataset)
    assert_type(integrate(network, data), Trajectory)
    assert_type(integrate(network, data).times, dict[str, float])
    assert_type(integrate(network, data).to_frame(), pandas.DataFrame)
    assert_type(integrate(network, data).to_xarray(), xarray.Dataset)
    assert_type(integrate_reduced(network, data).ratio, float)
    assert_type(descend(network, data), Trajectory)
    assert_type(ensemble(network, data), Ensemble)
    assert_type(ensemble(network, data).to_xarray(), xarray.Dataset)
    assert_type(compare(network, data), Comparison)
    assert_type(prescribe(network, data), Prescription)
    assert_type(by_optimizer(network, data), ByOptimizer)
    assert_type(sweep({"sigma_a": 2.0}), xarray.Dataset)
    assert_type(fixed_points(network), tuple[Manifold, ...] | tuple[ModeManifold, ...])
    assert_type(Recipe(momentum=0.9), Recipe)
    assert_type(network.depths, dict[str, int | Any])


def data_seen(data: Correlations) -> None:
    """`| Any` is SymPy's matrix, which has no types."""
    assert_type(load_example("diabetes"), Correlations)
    assert_type(Correlations.from_samples({"A": [1.0, 2.0]}, [1.0, 2.0]), Correlations)
    assert_type(Correlations([[1.0]], [1.0], {"A": 1}), Correlations)
    assert_type(data.rescaled({"B": 2.0}), Correlations)
    assert_type(data.sigma, np.ndarray | Any)
    assert_type(data.optimum, np.ndarray | Any)
    assert_type(data.unimodal("A"), np.ndarray | Any)
    assert_type(data.strength("A"), float | Any)


def laws_seen(statement: Statement) -> None:
    assert_type(ledger(), Ledger)
    assert_type(ledger()["28"], Entry)
    assert_type(ledger()["28"].check(), list[Status])
    register(Entry(1001, "", "a law", (statement,)))
