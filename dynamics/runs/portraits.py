"""Phase portraits of the reduced flow in the plane of two modalities' total weights, or modes; figures 2c and 2f."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from typing import Any, ClassVar

import numpy as np

from derivations import Correlations, DomainError, FusionNetwork
from derivations.critical.decayed import resting_weights
from derivations.critical.runners import unshared
from derivations.critical.saddles import drive, saddle_name
from derivations.critical.strata import learned_sets
from derivations.terms import PLAIN, Terms
from dynamics.checks import checked_integer
from dynamics.recipe import FLOW, Recipe
from dynamics.runs.planes import Plane, plane_of
from dynamics.runs.trajectory import Trajectory
from dynamics.starts.recipes import trained
from dynamics.tables import Drawn

MOST_POINTS = 2000  # along an axis
MARGIN = 0.3  # of the range of critical points and runs, around them


class PointKind(StrEnum):
    """What a critical manifold is in the plane."""

    SOURCE = "nothing learned"
    SADDLE = "saddle"
    SINK = "global minimum"
    REST = "rest of these modes"


@dataclass(frozen=True)
class PortraitPoint:
    """A critical manifold seen in the plane."""

    name: str
    kind: PointKind
    position: tuple[float, float]


@dataclass(frozen=True, eq=False)
class Portrait(Drawn):
    """The reduced flow over a plane of total weights.

    modalities : those on the two axes, with several outputs their modes ("A 1"); any others are held at zero
    starts : of the runs, by name
    axes : two (n,) arrays of total weights; velocity : (2, n, n), d w/dt in 1/tau, indexed [component, y, x]
    points : the critical manifolds in the plane; paths : one (T, 2) array a run
    barriers : modalities whose total weight does not cross zero in a balanced network
    alone : whether 1 on an axis is the weight that its modality has alone
    note : what the axes are, where inputs are vectors or outputs several
    """

    figure: ClassVar[str] = "figures.portraits"

    modalities: tuple[str, str]
    axes: tuple[np.ndarray, np.ndarray]
    velocity: np.ndarray
    points: tuple[PortraitPoint, ...]
    paths: tuple[np.ndarray, ...]
    starts: tuple[str, ...] = ()
    barriers: tuple[str, ...] = ()
    alone: bool = False
    note: str = ""

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(f"run, {start} start" for start in self.starts)

    def draw_on(self, ax: Any) -> None:
        """The same on axes of one's own, without the legend."""
        import_module(f"dynamics.{self.figure}").draw_portrait(ax, self)


def portrait(
    network: FusionNetwork,
    data: Correlations,
    modalities: tuple[str, str] | None = None,
    *,
    modes: tuple[int, int] | None = None,
    runs: Sequence[Trajectory] = (),
    points: int = 81,
    recipe: Recipe | None = None,
) -> Portrait:
    """The phase portrait of two modalities: the reduced flow with saturation, exact for balanced weights.

    Parameters
    ----------
    modalities : of the two axes, the first two by default; others are held at zero
    modes : with several outputs, the number of the mode of each that is its axis, the strongest by default. Both
        may be of one modality. Late fusion alone: u^T W v on the singular vectors of Sigma_yx, as in `Modes`, the
        velocity that of balanced layers in the plane, (152); what turns out of it or adds other modes is left out
    runs : trajectories to draw over it
    points : of the grid along each axis
    recipe : how it is trained. Weight decay moves the saddles, and the one with a modality alone turns into the minimum
        at the critical decay of the other; modulated encoders are not balanced and have no plane

    Inputs that are vectors turn, which no plane shows: each such block is replaced by its own best predictor, whose
    weight 1 is the unimodal solution. `note` says so. The portrait of those scalars is exact; a run over it is a
    projection. A total weight of a branch with two layers or more does not cross zero in a balanced network.

    Raises
    ------
    DomainError

    Examples
    --------
    >>> plane = portrait(FusionNetwork.fused_at(2, 2), Correlations.scalar(2, 1, 0), points=11)
    >>> [(p.name, p.kind.value, p.position) for p in plane.points]
    ... # doctest: +NORMALIZE_WHITESPACE
    [('M_0', 'nothing learned', (0.0, 0.0)), ('M_A', 'saddle', (1.0, 0.0)), ('M_B', 'saddle', (0.0, 1.0)),
     ('M_*', 'global minimum', (1.0, 1.0))]
    """
    asked = trained(network, data, None, recipe, FLOW, "a portrait")
    problem, terms = asked.problem, asked.problem.terms
    if terms.decay and data.outputs > 1:
        raise DomainError("a portrait with several outputs knows no weight_decay")
    if terms.decay and network.trunk.depth and not terms.is_uniform:
        raise DomainError("rates of branches with a trunk and weight_decay leave no balanced plane")
    plane = plane_of(network, problem.data, modalities, modes)
    count = checked_integer(points, "points", 5, MOST_POINTS)
    if not isinstance(runs, Sequence) or not all(isinstance(run, Trajectory) for run in runs):
        raise DomainError(f"runs must be a list of trajectories, got {type(runs).__name__}")
    found = _points(plane, terms)
    paths = tuple(_path(data, run, plane, asked.factors) for run in runs)
    everything = np.vstack([np.array([p.position for p in found]), *paths])
    low, high = everything.min(axis=0), everything.max(axis=0)
    room = MARGIN * np.where(high > low, high - low, 1.0)
    axes = tuple(_axis(a, b, count) for a, b in zip(low - room, high + room, strict=True))
    grid = dict(zip(plane.names, np.meshgrid(*axes), strict=True))
    total = {m: grid.get(m, np.zeros((count, count))) for m in plane.data.modalities}
    moved = velocity_of_totals(plane.network, plane.data, total, terms)
    barriers = tuple(m for m in plane.names if plane.network.depths[m] >= 2)
    starts = tuple(str(run.provenance.get("start", "given")) for run in runs)
    velocity = np.array([moved[m] for m in plane.names])
    return Portrait(
        plane.names, (axes[0], axes[1]), velocity, found, paths, starts, barriers, plane.alone, plane.note
    )  # fmt: skip


def _axis(low: float, high: float, count: int) -> np.ndarray:
    """Points of an axis; none at zero, where the field of a deep branch vanishes without a change of sign."""
    axis = np.linspace(low, high, count)
    step = axis[1] - axis[0]
    return axis + step / 2 if np.min(np.abs(axis)) < step / 4 else axis


def velocity_of_totals(
    network: FusionNetwork, data: Correlations, total: dict[str, np.ndarray], terms: Terms = PLAIN
) -> dict[str, np.ndarray]:
    """dw_m/dt of arrays of total weights of scalar inputs in a balanced network (`reduction.total_velocity`).

    Weight decay takes every layer of a path back at lambda: the product at the sum of these, (135).
    """
    from derivations.critical.escape import balanced_norms
    from derivations.flow.reduction import chain_norms, error_symbols, total_symbols, total_velocity
    from dynamics.lambdified import array_function

    norms = balanced_norms(network, {m: np.abs(w) for m, w in total.items()})
    symbols, w, e = chain_norms(network), total_symbols(network), error_symbols(network)
    error = {
        m: data.target_block(m)[0, 0] - sum(total[n] * data.input_block(n, m)[0, 0] for n in data.modalities)
        for m in data.modalities
    }
    names = [*symbols.values(), *w.values(), *e.values()]
    values = [*(norms[c] for c in symbols), *total.values(), *error.values()]
    with np.errstate(divide="ignore", invalid="ignore"):  # u_c = 0 only where all its weights are: nothing moves there
        plain = {m: np.nan_to_num(array_function(law, *names)(*values)) for m, law in total_velocity(network).items()}
    back = {m: sum(network.chains[c].depth * terms.decay_of(c) for c in network.path(m)) for m in plain}
    return {m: moved - back[m] * total[m] for m, moved in plain.items()}


def _path(data: Correlations, run: Trajectory, plane: Plane, factors: Mapping[str, float]) -> np.ndarray:
    """A run in the plane, (T, 2); its weights are of the user's inputs, `factors` times those of the problem's."""
    if tuple(run.total) != data.modalities:
        raise DomainError(f"runs must have modalities {', '.join(data.modalities)}, got {', '.join(run.total)}")
    columns = []
    for m, seen in zip(plane.owners, plane.seen, strict=True):
        shape = (data.sizes[m],) if data.outputs == 1 else (data.outputs, data.sizes[m])
        if run.total[m].shape[1:] != shape:
            raise DomainError(f"runs must have weights {shape} of {m}, got {run.total[m].shape[1:]}")
        columns.append(run.total[m].reshape(len(run.t), -1) @ seen.ravel() / factors.get(m, 1.0))
    return np.array(columns).T


def _points(plane: Plane, terms: Terms) -> tuple[PortraitPoint, ...]:
    """The critical manifolds with only these two learned; those at one place once, as the one with most learned.

    Where nothing is left to learn, a point is a minimum however few are learned; of modes, where the plane's flow ends.
    """
    network, data, pair = plane.network, plane.data, plane.names
    found: dict[tuple[float, float], PortraitPoint] = {}
    for some in learned_sets(network):
        if not set(some) <= set(pair):
            continue
        total = resting_weights(network, data, terms, some, {}) if terms.decay else data.regression(some)
        learned = tuple(m for m in some if np.any(total[m])) if terms.decay else some  # without a weight it is not
        left = any(_grows(network, data, m, total, terms) for m in data.modalities if m not in learned)
        place = (float(total[pair[0]][0, 0]), float(total[pair[1]][0, 0]))
        at_zero = not any(total[m].any() for m in pair)
        end = PointKind.SINK if plane.whole else PointKind.REST
        kind = end if not left else PointKind.SOURCE if at_zero else PointKind.SADDLE
        alike = [p for p in found if np.allclose(p, place, rtol=1e-9, atol=1e-9 * max(map(abs, (*p, *place))))]
        if alike and kind is not end:
            continue
        key = alike[0] if alike else place
        everything = data.modalities if plane.whole else (*data.modalities, "")
        found[key] = PortraitPoint(saddle_name(everything, learned), kind, key)
    return tuple(found.values())


def _grows(network: FusionNetwork, data: Correlations, m: str, total: dict[str, np.ndarray], terms: Terms) -> bool:
    """Whether something small of m grows there: with weight decay only where its residual is beyond it, (137)."""
    speed, layers = drive(data, m, total)[1], unshared(network, m, tuple(n for n in total if np.any(total[n])))
    if not terms.decay or layers < 2:
        return speed > 0
    return layers == 2 and speed > terms.decay_of(m)
