"""What the two axes of a phase portrait are: total weights of scalar inputs, or of one mode of a modality each."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from derivations import Correlations, DomainError, FusionNetwork
from dynamics.checks import checked_integer
from dynamics.starts.aligned import directions_of

PREDICTORS = "each block replaced by its own\nbest predictor, 1 = unimodal"
MODES = "one mode each, its directions\nand all other modes held"


class Plane(NamedTuple):
    """A problem of scalar inputs and one output whose total weights are the axes.

    names : of the two inputs on the axes; others of `data` are held at zero
    owners : whose inputs each axis reads; seen : a run's coordinates, sums over its total weights (outputs, d) times
    whole : whether where both are learned the network is at rest
    alone : whether 1 is the weight that a modality has alone
    """

    network: FusionNetwork
    data: Correlations
    names: tuple[str, str]
    owners: tuple[str, str]
    seen: tuple[np.ndarray, np.ndarray]
    whole: bool = True
    alone: bool = False
    note: str = ""


def plane_of(network: FusionNetwork, data: Correlations, modalities: Any, modes: Any) -> Plane:
    """The plane of two modalities; with several outputs of a mode of each."""
    if data.outputs > 1:
        return _of_modes(network, data, modalities, modes)
    if modes is not None:
        raise DomainError("modes are of several outputs, got one: its mode is the modality")
    one, other = _pair(data, modalities)
    moving = [m for m in network.modalities if m not in (one, other) and network.depths[m] == 1]
    if moving:
        raise DomainError(f"{moving[0]} has one layer before a fusion: its weight moves, no plane holds it at zero")
    scalars, rows = _scalar_inputs(data)
    seen = []
    for m in (one, other):  # the part of W_m along its row, in the metric of Sigma_m
        along = rows[m] @ data.input_block(m, m)
        seen.append(along / (along @ rows[m].T))
    vectors = any(size > 1 for size in data.sizes.values())
    note = PREDICTORS if vectors else ""
    return Plane(network, scalars, (one, other), (one, other), (seen[0], seen[1]), alone=vectors, note=note)


def _of_modes(network: FusionNetwork, data: Correlations, modalities: Any, modes: Any) -> Plane:
    """W_m = w u v^T on the singular vectors of Sigma_yx,m: u^T dW_m/dt v = L w^(2-2/L) u^T e_m v, (152), of scalars.

    Exact for balanced layers in the plane. What leads out of it, to other modes and directions, is left out.
    """
    owners = _pair(data, modalities)
    if any(network.path_depths[m] != network.depths[m] for m in owners):
        raise DomainError("with several outputs a portrait is of late fusion: layers after a fusion mix the modes")
    found = directions_of(data)
    silent = [m for m in owners if not len(found[m].sizes)]
    if silent:
        raise DomainError(f"{silent[0]} has no mode to draw: its Sigma_yx is zero")
    numbers = (1, 2 if owners[0] == owners[1] else 1) if modes is None else modes
    if not isinstance(numbers, tuple | list) or len(numbers) != 2:
        raise DomainError(f"modes must be two numbers, got {modes!r}")
    places = [checked_integer(n, "modes", 1, len(found[m].sizes)) - 1 for m, n in zip(owners, numbers, strict=True)]
    if owners[0] == owners[1] and places[0] == places[1]:
        raise DomainError(f"modes must be two of {owners[0]}, got {modes!r}")
    flat = [m for m in data.modalities if network.depths[m] == 1]
    if flat:
        raise DomainError(f"{flat[0]} has one layer before a fusion: all of its modes move, no plane holds them")
    names = f"{owners[0]} {places[0] + 1}", f"{owners[1]} {places[1] + 1}"
    left = np.array([found[m].left[:, i] for m, i in zip(owners, places, strict=True)])
    right = [found[m].right[i] for m, i in zip(owners, places, strict=True)]
    heard = left @ left.T
    sigma = [
        [heard[i, j] * float(right[i] @ data.input_block(owners[i], owners[j]) @ right[j]) for j in (0, 1)]
        for i in (0, 1)
    ]
    sizes = [found[m].sizes[i] for m, i in zip(owners, places, strict=True)]
    scalars = Correlations(sigma, sizes, dict.fromkeys(names, 1))
    branches = FusionNetwork.branches({name: network.depths[m] for name, m in zip(names, owners, strict=True)})
    seen = np.outer(left[0], right[0]), np.outer(left[1], right[1])
    return Plane(branches, scalars, names, owners, seen, whole=False, note=MODES)


def _scalar_inputs(data: Correlations) -> tuple[Correlations, dict[str, np.ndarray]]:
    """One input a modality, and the row that makes it: a vector's own best predictor; a scalar as it is."""
    rows = {}
    for m in data.modalities:
        rows[m] = np.ones((1, 1)) if data.sizes[m] == 1 else data.regression((m,))[m]
        if not np.any(rows[m]):
            raise DomainError(f"{m} has no unimodal solution to draw along: its Sigma_yx is zero")
    sigma = [[(rows[m] @ data.input_block(m, n) @ rows[n].T).item() for n in data.modalities] for m in data.modalities]
    target = [(data.target_block(m) @ rows[m].T).item() for m in data.modalities]
    return Correlations(sigma, target, dict.fromkeys(data.modalities, 1), float(data.sigma_yy)), rows


def _pair(data: Correlations, modalities: Any) -> tuple[str, str]:
    """Two modalities, for several outputs the same one twice, too."""
    if modalities is None:
        modalities = data.modalities[:2]
    pair = isinstance(modalities, tuple | list) and len(modalities) == 2
    good = pair and all(isinstance(m, str) and m in data.modalities for m in modalities)
    if not good or (data.outputs == 1 and modalities[0] == modalities[1]):
        raise DomainError(f"modalities must be two of {', '.join(data.modalities)}, got {modalities!r}")
    return modalities[0], modalities[1]
