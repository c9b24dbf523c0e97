"""Weights at t = 0 and the saddles that they will visit."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from derivations.correlations import Correlations, require_problem
from derivations.critical.saddles import Course, course, kept_signs
from derivations.errors import DomainError
from derivations.flow import gradient_flow
from derivations.network import FusionNetwork
from dynamics.starts.weights import checked_weights, require_range, start_norms
from dynamics.starts.widths import InitialWeights, given_start, random_start

SMALLEST_SIMULATED = 1e-100  # squares and errors of smaller weights underflow inside the integrator


def started(
    network: FusionNetwork,
    data: Correlations,
    u0: float | Mapping[str, float],
    width: int,
    seed: int,
    weights: Mapping[str, Any] | None,
) -> tuple[InitialWeights, Course, dict[str, Any]]:
    """Weights at t = 0 (given or drawn), the saddles that they will visit to leading order, their provenance.

    The race is run with the nominal norms of a draw, so that all members of an ensemble have one order.
    """
    require_problem(network, data)
    if data.is_symbolic:
        raise DomainError("a simulation needs numbers in sigma and sigma_yx, got symbols")
    if weights is None:
        plan = random_course(network, data, u0)
        return (
            random_start(network, data, u0, width, seed),
            plan,
            {
                "start": "random",
                "u0": {m: float(v) for m, v in u0.items()} if isinstance(u0, Mapping) else float(u0),
                "width": int(width),
                "seed": int(seed),
            },
        )
    first = checked_weights(network, data, weights)
    norms = {m: float(np.sqrt(np.mean([np.sum(w * w) for w in first[m]]))) for m in data.modalities}
    digest = hashlib.sha256(b"".join(w.tobytes() for layers in first.values() for w in layers)).hexdigest()
    signs = kept_signs(network, data, first, gradient_flow.total_weights(network, first))
    origin = {"start": "given", "weights": digest[:16]}
    return given_start(network, first), course(network, data, norms, signs), origin


def random_course(network: FusionNetwork, data: Correlations, u0: float | Mapping[str, float]) -> Course:
    """The saddles that a random start visits to leading order; its layers are not balanced and keep no sign."""
    norms = start_norms(network, u0)
    if all(norms.values()):  # from exactly zero the flow is stationary, and a run says so
        require_range(network, norms)
    if any(0 < norm < SMALLEST_SIMULATED for norm in norms.values()):
        raise DomainError(f"u0 must be 0 or at least {SMALLEST_SIMULATED} to simulate every weight, got {u0!r}")
    return course(network, data, norms, {})
