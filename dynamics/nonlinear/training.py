"""Training: the result of full-batch gradient descent on samples, and the loop that makes it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from derivations import Correlations, DomainError, FusionNetwork, SolveError
from derivations.flow.gradient_flow import total_weights
from dynamics.checks import checked_integer, checked_number, checked_positive, told
from dynamics.nonlinear.samples import Samples
from dynamics.runs.recording import recorded
from dynamics.runs.trajectory import Trajectory
from dynamics.starts.weights import Weights, checked_weights, random_weights
from dynamics.tables import Shown, Table, number

#: Weights -> loss and minus its gradient, layer by layer.
Velocity = Callable[[Weights], tuple[float, Weights]]

DIVERGED = 1e100
SOLVED = 1e-6  # without a t_end, descent stops at this share of the loss at the start


@dataclass(frozen=True, eq=False, repr=False)
class Training(Shown):
    """Loss and weights along gradient descent on samples.

    t : (T,), in units of tau: step times learning rate
    loss : (T,), the mean over the samples
    total : modality -> (T, d), or (T, outputs, d): product of the layers, activations left out (W^2 W^1 of two layers)
    snapshots : time -> weights, chain name -> list of arrays (out, in); the last one is the end
    warnings : what a user should know
    provenance : how to make this run again
    """

    t: np.ndarray
    loss: np.ndarray
    total: Mapping[str, np.ndarray]
    snapshots: Mapping[float, Weights]
    warnings: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for array in (self.t, self.loss, *self.total.values()):
            array.setflags(write=False)

    @property
    def weights(self) -> Weights:
        """At the end."""
        return self.snapshots[max(self.snapshots)]

    def as_linear(self, network: FusionNetwork, samples: Samples, factor: float = 1.0) -> Trajectory:
        """Half-times and saddles, as if `factor` times the total weights were those of a linear network.

        For two layers of ReLU on data symmetric under x -> -x, equation (126), the factor is 1/2: each half of the
        hidden units carries the whole map on its half of the inputs.
        """
        total = {m: factor * w for m, w in self.total.items()}
        return recorded(network, samples.correlations, self.t, total)

    @property
    def table(self) -> Table:
        rows = [(m, number(float(np.linalg.norm(w[-1])))) for m, w in self.total.items()]
        title = (
            f"{self.provenance.get('producer', 'training')}, {len(self.t)} points to t = {number(float(self.t[-1]))}"
        )
        notes = (f"loss {number(float(self.loss[0]))} -> {number(float(self.loss[-1]))}", *self.warnings)
        return Table(title, ("modality", "|product of its layers|"), tuple(rows), notes)


def trained(
    network: FusionNetwork,
    data: Correlations,
    velocity: Velocity,
    *,
    u0: float | Mapping[str, float],
    width: int,
    seed: int,
    weights: Mapping[str, Any] | None,
    learning_rate: float,
    t_end: float | None,
    max_steps: int,
    snapshots: Sequence[float],
    provenance: Mapping[str, Any],
) -> Training:
    """Gradient descent from `weights`, or from a random start: every step is stored.

    Without a `t_end` it stops once the loss is SOLVED of its start, or at `max_steps` with a warning.
    """
    origin: dict[str, Any] = {"start": "given"}
    if weights is None:
        norms = dict(u0) if isinstance(u0, Mapping) else u0
        origin = {"start": "random", "u0": norms, "width": width, "seed": seed}
        current = random_weights(network, data, u0, width, seed)
    else:
        current = checked_weights(network, data, weights)
    rate = checked_positive(learning_rate, "learning_rate")
    steps = checked_integer(max_steps, "max_steps", 1)
    notes = []
    if t_end is not None:
        needed = math.floor(checked_positive(t_end, "t_end") / rate + 1e-9)
        if needed > steps:
            notes.append(f"stopped at t = {steps * rate:.6g}, after max_steps = {steps}: t_end takes {needed:.6g}")
        steps = min(steps, needed)
        if not needed:
            notes.append(f"t_end {t_end:.3g} is less than one step of {rate:.3g}: nothing was trained")
    if isinstance(snapshots, str) or not isinstance(snapshots, Sequence):
        raise DomainError(f"snapshots must be a list of times, got {told(snapshots)}")
    wanted = {math.floor(checked_number(t, "snapshots") / rate + 0.5) for t in snapshots}
    if wanted and max(wanted) > steps:
        raise DomainError(f"snapshots must lie within the run, up to t = {steps * rate:.6g}, got {max(snapshots)}")
    if not any(np.any(w) for layers in current.values() for w in layers):
        notes.append("the start is exactly stationary: nothing is ever learned")
    losses: list[float] = []
    path: list[dict[str, np.ndarray]] = []
    kept: dict[float, Weights] = {}
    rows: Any = 0 if data.outputs == 1 else slice(None)
    for step in range(steps + 1):
        with np.errstate(over="ignore", invalid="ignore"):
            loss, moved = velocity(current)
        if not loss < DIVERGED:  # catches nan too
            raise SolveError(f"gradient descent diverged at step {step}: learning_rate {rate:.3g} is too large")
        losses.append(loss)
        path.append({m: w[rows] for m, w in total_weights(network, current).items()})
        solved = t_end is None and loss <= SOLVED * losses[0] and (not wanted or step >= max(wanted))
        if step in wanted or step == steps or solved:
            kept[step * rate] = {name: [w.copy() for w in layers] for name, layers in current.items()}
        if solved or step == steps:
            break
        current = {
            name: [w + rate * v for w, v in zip(layers, moved[name], strict=True)] for name, layers in current.items()
        }
    if t_end is None and losses[-1] > SOLVED * losses[0]:
        notes.append(
            f"{losses[-1] / losses[0]:.2g} of the loss is left after {steps} steps: give a t_end or more steps"
        )
    total = {m: np.array([now[m] for now in path]) for m in path[0]}
    origin = {**provenance, **origin, "learning_rate": rate, "t_end": t_end}
    return Training(np.arange(len(losses)) * rate, np.array(losses), total, kept, tuple(notes), origin)
