"""How far actual weights have to go: the scaled time to escape of every branch of a late fusion, from its own layers.

A small branch with a scalar input moves by its own error alone: in the clock s = int e dt its flow is free of the data.
Two layers escape at s = -ln(|w_1 + w_2^T|/2), (127); three and four have closed forms for wide networks, (128), (129).
Here the branch itself is run, narrow, towards a plateau so far that it does not matter: any depth and any width will
do, and the closed forms are judges in the tests.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from derivations import Correlations, DomainError, FusionNetwork
from derivations.critical.saddles import course
from dynamics.prediction.laws.leading import saturation
from dynamics.prediction.laws.orbits import Field, Ways
from dynamics.prediction.laws.orbits import way as way_left
from dynamics.prediction.laws.race import require_raceable
from dynamics.simulation.batch import flow as batch_flow
from dynamics.simulation.batch.members import Member
from dynamics.starts.compression import compressed
from dynamics.starts.typical import STEP, moved, typical_weights, variations
from dynamics.starts.weights import Weights, checked_weights

RTOL = 1e-7
FAR = 1e-5  # the layers' imbalance, as a share of the plateau's squared norm to the power at which it counts
ROUNDS = 2  # of compression, beside one fewer: their gap is the error


def random_field(network: FusionNetwork, data: Correlations, weights: Mapping[str, list[np.ndarray]]) -> Field:
    """The race from actual weights; late fusion, scalar inputs.

    Examples
    --------
    >>> from dynamics import random_weights
    >>> net, data = FusionNetwork.fused_at(3, 3), Correlations.scalar(2, 1, 0.5)
    >>> field = random_field(net, data, random_weights(net, data, 0.01, width=100, seed=0))
    >>> 140 < field.ways["A"].up < 180  # typically pi/(2 u0) = 157
    True
    """
    require_raceable(network, data)
    if network.trunk.depth:
        raise DomainError("ways from actual weights are for late fusion: with a trunk the branches start together")
    layers = checked_weights(network, data, weights)
    ways, known = {}, {}
    for m in data.modalities:
        ways[m], known[m] = escape_ways(layers[m])
    norms = {m: max(float(np.linalg.norm(w)) for w in layers[m]) for m in data.modalities}
    return Field(data, network.depths, 0, ways, norms, known)


def escape_ways(layers: list[np.ndarray]) -> tuple[Ways, float]:
    """Scaled times to escape with a positive and a negative weight, and their absolute error.

    Parameters
    ----------
    layers : (out, in), input side first; one input, one output
    """
    depth = len(layers)
    if depth == 2:
        sums = [float(np.linalg.norm(layers[0][:, 0] + sign * layers[1][0])) / 2 for sign in (1.0, -1.0)]
        # balanced where one is 0: the mode of the other sign never grows
        return Ways(*(way_left(2, size) if size > 0 else math.inf for size in sums)), 0.0
    single = FusionNetwork.branches({"A": depth})
    narrow = [compressed(single, {"A": layers, "trunk": []}, rounds) for rounds in (ROUNDS, ROUNDS - 1)]
    found = [_escapes(depth, [(weights, 1.0), (weights, -1.0)]) for weights in narrow]
    error = float(np.max(np.abs(found[0] - found[1]))) + 10 * RTOL * float(np.max(found[0]))
    return Ways(float(found[0][0]), float(found[0][1])), error


@lru_cache(maxsize=256)
def typical_way(depth: int, width: int, inputs: int = 1) -> tuple[float, float]:
    """The way of the typical branch of this width with layers of norm one, along one direction, and its deviation.

    Returns
    -------
    way, deviation : multiply both by u0^(2-L); at two layers add ln(1/u0) to the way. The deviation is one standard
        deviation over seeds, to first order in h^(-1/2)

    Examples
    --------
    >>> [round(typical_way(depth, 10**6)[0], 3) for depth in (3, 4)]  # pi/2 and ln(1 + 2 h)/2, (130)
    [1.571, 7.254]
    """
    single, data = FusionNetwork.branches({"A": depth}), Correlations([[1.0]], [1.0], {"A": 1})
    weights = typical_weights(single, data, 1.0, width)
    weights["A"][0] /= math.sqrt(inputs)
    changes = variations(course(single, data, {"A": 1.0}, {}), width)
    changed = [weights, *(moved(weights, one) for one in changes)]
    if depth == 2:
        ways = np.array([way_left(2, float(np.linalg.norm(w["A"][0][:, 0] + w["A"][1][0])) / 2) for w in changed])
    else:
        ways = _escapes(depth, [(w, 1.0) for w in changed])
    return float(ways[0]), float(np.linalg.norm(ways[1:] - ways[0])) / STEP


def _escapes(depth: int, starts: Sequence[tuple[Weights, float]]) -> np.ndarray:
    """From half-times of a branch alone on a far plateau U: there T = t_half - U^(2-L) C_L, (117)."""
    network = FusionNetwork.branches({"A": depth})
    norm = max(float(np.linalg.norm(w)) for weights, _ in starts for w in weights["A"])
    plateau = norm * max(30.0, math.exp(-math.log(FAR) / depth))
    variance = math.exp(-depth * math.log(plateau))
    members = []
    for weights, sign in starts:
        data = Correlations([[variance]], [sign], {"A": 1})
        members.append(Member(weights, course(network, data, {"A": norm}, {})))
    runs = batch_flow.run(members, rtol=RTOL)
    return np.asarray(runs.times[0] - (depth - 2) * way_left(depth, plateau) * saturation(depth))
