"""Linear networks of any depth by full-batch gradient descent on samples: squared, logistic loss, cross-entropy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from derivations import DataError, FusionNetwork
from derivations.flow import gradient_flow
from derivations.rows import contrasts
from derivations.samples import Samples as Rows
from dynamics.checks import one_of
from dynamics.nonlinear.samples import Samples, checked_samples
from dynamics.nonlinear.training import Training, trained
from dynamics.recipe import Loss
from dynamics.simulation.classes import classes_of
from dynamics.simulation.logistic import logistic
from dynamics.starts.weights import Weights


def train_linear(
    network: FusionNetwork,
    inputs: Mapping[str, Any],
    targets: Any,
    *,
    loss: Loss | str = Loss.LOGISTIC,
    u0: float | Mapping[str, float] = 1e-3,
    width: int = 100,
    seed: int = 0,
    weights: Mapping[str, Any] | None = None,
    learning_rate: float = 0.04,
    t_end: float | None = None,
    max_steps: int = 20_000,
    snapshots: Sequence[float] = (),
) -> Training:
    """Train a linear network on samples as they are. All weights are kept, which `descend` does not do.

    Parameters
    ----------
    inputs : modality -> (P,) or (P, d)
    targets : (P,), labels -1 and 1 or any numbers; (P, outputs) for several; for the cross-entropy (P,) classes of any
        kind, which have an output less than there are classes, or one-hot (P, classes)
    loss : "logistic", "squared" or "cross_entropy"; the squared one is that of `descend`, from the means of the samples
    u0, width, seed, weights : the start, as for `integrate`
    learning_rate, t_end, max_steps, snapshots : as for `train_relu`

    With logistic loss or cross-entropy and targets that a linear map separates, weights grow for ever: give a `t_end`.

    Raises
    ------
    DataError, DomainError, SolveError

    Examples
    --------
    >>> from dynamics.nonlinear.samples import gaussian_samples
    >>> drawn = gaussian_samples([[4, 0], [0, 1]], [1, 1], count=500)
    >>> late = FusionNetwork.fused_at(2, 2)
    >>> run = train_linear(late, drawn.inputs, np.sign(drawn.targets), t_end=40)
    >>> run.total["A"].shape, bool(run.loss[-1] < run.loss[0])
    ((1001, 1), True)
    """
    kind = one_of(Loss, loss, "loss")
    several = kind is not Loss.LOGISTIC
    samples = checked_samples(inputs, coded(targets) if kind is Loss.CROSS_ENTROPY else targets, several)
    classes = classes_of(in_rows(samples)) if kind is Loss.CROSS_ENTROPY else None
    if kind is Loss.LOGISTIC and set(np.unique(samples.targets)) <= {0.0, 1.0}:
        raise DataError("targets are 0 and 1: the logistic loss here is for labels -1 and 1")
    data = samples.correlations

    def velocity(now: Weights) -> tuple[float, Weights]:
        products = gradient_flow.above(network, now)
        total = gradient_flow.total_weights(network, now, products)
        if kind is Loss.SQUARED:
            value, error = gradient_flow.loss(data, total), gradient_flow.errors(data, total)
        elif classes is not None:
            value, error = classes.drive(total)
        else:
            value, error = _on_samples(samples, total)
        return float(value), gradient_flow.flow(network, now, error, products)

    return trained(
        network, data, velocity, u0=u0, width=width, seed=seed, weights=weights, learning_rate=learning_rate,
        t_end=t_end, max_steps=max_steps, snapshots=snapshots,
        provenance={"producer": f"linear network, {kind.value} loss, descent", "network": str(network)},
    )  # fmt: skip


def in_rows(samples: Samples) -> Rows:
    """Targets as (P, outputs)."""
    return Rows(dict(samples.inputs), samples.targets.reshape(samples.count, -1))


def coded(targets: Any) -> Any:
    """Classes (P,) as contrasts (P, classes - 1); anything else as it is."""
    raw = np.asarray(targets)
    if raw.ndim != 1:
        return targets
    known, codes = np.unique(raw.astype(str) if raw.dtype == object else raw, return_inverse=True)
    if not 2 <= len(known) <= len(raw) // 2:
        raise DataError(f"targets must be classes, each of several rows, got {len(known)} different values")
    return contrasts(codes, len(known))


def _on_samples(samples: Samples, total: Mapping[str, np.ndarray]) -> tuple[float, dict[str, np.ndarray]]:
    """Mean logistic loss, and e_m = -<dl/dy_hat x_m^T>, which takes the place of (5)."""
    put_out = sum(x @ total[m][0] for m, x in samples.inputs.items())
    losses, drive = logistic(samples.targets, np.asarray(put_out))
    return float(np.mean(losses)), {m: (drive @ x)[None] / samples.count for m, x in samples.inputs.items()}
