"""Two-layer ReLU networks by full-batch gradient descent, in NumPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from derivations import Correlations, DomainError, FusionNetwork
from derivations.correlations import require_problem
from derivations.network import TRUNK
from dynamics.nonlinear.hidden import Form, Units, forms, hidden_velocity
from dynamics.nonlinear.samples import checked_samples
from dynamics.nonlinear.training import Training, trained
from dynamics.starts.weights import Weights


def train_relu(
    network: FusionNetwork,
    inputs: Mapping[str, Any],
    targets: Any,
    *,
    u0: float | Mapping[str, float] = 1e-3,
    width: int = 100,
    seed: int = 0,
    weights: Mapping[str, Any] | None = None,
    learning_rate: float = 0.04,
    t_end: float | None = None,
    max_steps: int = 20_000,
    snapshots: Sequence[float] = (),
    form: Form | str | None = None,
) -> Training:
    """Train two layers with ReLU between them, without biases, on half the mean squared error.

    Late fusion: y_hat = sum over m of W_m^2 relu(W_m^1 x_m). Early fusion: y_hat = W^2 relu(W^1 x), x all inputs.

    Parameters
    ----------
    network : two layers, `FusionNetwork.fused_at(2, 1)` or `fused_at(2, 2)`, any number of modalities
    inputs : modality -> (P,) or (P, d); targets : (P,). Taken as they are
    u0, width, seed, weights : the start, as for `integrate`
    learning_rate : step n is time n * learning_rate in units of tau
    t_end : None runs until 1e-6 of the loss is left, or `max_steps`
    snapshots : times at which all weights are kept
    form : how sums over samples are taken (`dynamics.nonlinear.hidden`), all exact; None takes the cheapest

    Raises
    ------
    DataError, DomainError
        On a network that has not two layers, on inputs that do not fit.
    SolveError
        When the learning rate makes it diverge.

    Examples
    --------
    >>> from dynamics.nonlinear.samples import gaussian_samples
    >>> drawn = gaussian_samples([[4, 0], [0, 1]], [1, 1], count=500)
    >>> late = FusionNetwork.fused_at(2, 2)
    >>> run = train_relu(late, drawn.inputs, drawn.targets, t_end=60)
    >>> {m: round(float(w[-1, 0])) for m, w in run.total.items()}  # twice those of a linear network
    {'A': 2, 'B': 2}
    """
    samples = checked_samples(inputs, targets)
    data = samples.correlations
    early = is_early(network, data, "train_relu")
    blocks = list(samples.inputs.values())
    blocks = [np.hstack(blocks)] if early else blocks
    chosen = _form(form, forms(blocks))
    units_velocity = hidden_velocity(blocks, samples.targets, chosen)

    def units(now: Weights) -> list[Units]:
        if early:
            return [(np.hstack([now[m][0] for m in data.modalities]), now[TRUNK][0][0])]
        return [(now[m][0], now[m][1][0]) for m in data.modalities]

    def velocity(now: Weights) -> tuple[float, Weights]:
        loss, moved = units_velocity(units(now))
        if early:
            ((first, second),) = moved
            return loss, {**{m: [first[:, data.span(m)]] for m in data.modalities}, TRUNK: [second[None]]}
        by_name = zip(data.modalities, moved, strict=True)
        return loss, {**{m: [first, second[None]] for m, (first, second) in by_name}, TRUNK: []}

    return trained(
        network, data, velocity, u0=u0, width=width, seed=seed, weights=weights, learning_rate=learning_rate,
        t_end=t_end, max_steps=max_steps, snapshots=snapshots,
        provenance={"producer": "ReLU network, descent", "network": str(network), "form": chosen.value},
    )  # fmt: skip


def is_early(network: FusionNetwork, data: Correlations, who: str) -> bool:
    """Whether two layers are fused before the ReLU; a DomainError for any other network than two layers."""
    require_problem(network, data)
    own, after = set(network.depths.values()), network.trunk.depth
    early = own == {1} and after == 1
    if len(network.chains) != len(data.modalities) + 1 or not (early or (own == {2} and after == 0)):
        shape = ", ".join(f"{name or 'input'} {chain.depth}" for name, chain in network.chains.items())
        raise DomainError(f"{who} needs two layers and one fusion, got a network with layers {shape}")
    return early


def _form(given: Form | str | None, allowed: list[Form]) -> Form:
    if given is None:
        return allowed[0]
    if given not in allowed:
        raise DomainError(f"form must be one of {', '.join(allowed)} for these inputs, got {given!r}")
    return Form(given)
