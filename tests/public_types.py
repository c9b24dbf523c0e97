"""What a user's type checker sees of the public names: mypy checks this file, nothing runs it."""

from typing import assert_type

import numpy as np

from derivations import Correlations, FusionNetwork
from dynamics import compare, descend, ensemble, integrate, integrate_reduced, predict, prescribe
from dynamics.prediction.comparison import Comparison
from dynamics.prediction.prediction import Prediction
from dynamics.prediction.prescription import Prescription
from dynamics.runs.trajectory import Trajectory
from dynamics.simulation.ensembles import Ensemble


def seen(network: FusionNetwork, data: Correlations) -> None:
    prediction = predict(network, data)
    assert_type(prediction, Prediction)
    assert_type(prediction.times, dict[str, float])
    assert_type(prediction.plot(), np.ndarray)
    assert_type(integrate(network, data), Trajectory)
    assert_type(integrate_reduced(network, data).ratio, float)
    assert_type(descend(network, data), Trajectory)
    assert_type(ensemble(network, data), Ensemble)
    assert_type(compare(network, data), Comparison)
    assert_type(prescribe(network, data), Prescription)
    assert_type(data.rescaled({"B": 2.0}), Correlations)
