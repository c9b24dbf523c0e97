"""Where am I, and what holds me here? A network with given weights, seen from the critical set."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from derivations import Correlations, DomainError, FusionNetwork
from derivations.flow import gradient_flow
from dynamics.checks import checked_integer
from dynamics.problem import Problem
from dynamics.runs.hessian import STEP, _distinct, _eigenvalues, _shifted
from dynamics.runs.itinerary import output_distances, size_of_best
from dynamics.starts.weights import Weights, checked_weights
from dynamics.tables import Shown, Table, number

if TYPE_CHECKING:
    from derivations.critical.free_units import Carried
    from derivations.critical.signature import Signals
    from derivations.critical.strata import Case, Dead

ZERO = 1e-9  # eigenvalues below this share of the largest one are zero
WEAK = 0.1  # a factor below this share of what it could be holds a layer
AT_REST = 1e-9  # share below which an equation of a stratum holds


class Held(StrEnum):
    """Which factor of the gradient P^T G of a layer is small."""

    ABOVE = "P: what stands above it"
    ERROR = "G: the error that reaches it"
    BOTH = "P and G"
    NOTHING = "-"


@dataclass(frozen=True)
class LayerState:
    """One layer: |P| and |G| as shares of what layers of the largest norm could pass on, and which one holds it."""

    chain: str
    layer: int
    above: float
    error: float
    velocity: float
    held_by: Held


@dataclass(frozen=True)
class ModalityState:
    """One modality: |W_m^tot|, the error |e_m| that drives it, and the growth d ln|W_m^tot|/dt now, in 1/tau."""

    modality: str
    weight: float
    error: float
    growth: float


@dataclass(frozen=True, eq=False, repr=False)
class Whereabouts(Shown):
    """A network with given weights, seen from the critical set.

    name, learned : the critical manifold whose outputs are nearest
    distance : rms difference of the outputs from those there, as a share of the best output's
    displacement : distance in the weights to a critical point of that manifold, as a share of their norm
    negative, zero, positive : signature there, by the rank theorem
    dimension : of the largest stratum that the critical point lies in; degenerate : zero directions beyond it
    rates : distinct escape rates, minus the negative eigenvalues of the Hessian at the weights given, in 1/tau
    relaxation : the largest eigenvalues, in 1/tau
    complete : whether all eigenvalues were computed, or only the outermost ones (by Hessian-vector products)
    layers, modalities : what holds each layer, and how each modality grows now
    speed : norm of the velocity of all weights, 1/tau
    """

    name: str
    learned: tuple[str, ...]
    distance: float
    displacement: float
    loss: float
    speed: float
    negative: int
    zero: int
    positive: int
    dimension: int
    rates: tuple[float, ...]
    relaxation: tuple[float, ...]
    complete: bool
    layers: tuple[LayerState, ...]
    modalities: tuple[ModalityState, ...]
    warnings: tuple[str, ...] = ()

    @property
    def degenerate(self) -> int:
        """Zero directions that are not tangent to the critical set."""
        return max(self.zero - self.dimension, 0)

    @property
    def table(self) -> Table:
        rows = tuple(
            (f"{s.chain} {s.layer}", number(s.above, 3), number(s.error, 3), number(s.velocity, 3), s.held_by.value)
            for s in self.layers
        )
        listed = "all" if self.complete else "the outermost"
        escape, relax = (", ".join(map(number, found)) or "none" for found in (self.rates, self.relaxation))
        near = f"{number(self.distance, 3)} of the best output away, {number(self.displacement, 3)} of the weights"
        flat = f"{self.zero} zero ({self.degenerate} degenerate)"
        notes = [
            f"Nearest: {self.name}, {near}. Loss {number(self.loss)}, speed {number(self.speed, 3)}.",
            f"Signature there: {self.negative} negative, {flat}, {self.positive} positive.",
            f"Escape rates here [1/tau] ({listed} eigenvalues): {escape}; largest relaxation rates: {relax}.",
        ]
        notes += [
            f"{m.modality}: |W| {number(m.weight, 3)}, |e| {number(m.error, 3)}, d ln|W|/dt {number(m.growth, 3)}"
            for m in self.modalities
        ]
        notes += [f"Warning: {line}" for line in self.warnings]
        head = ("layer", "|P| share", "|G| share", "|dW/dt|", "held by")
        return Table("What holds each layer", head, rows, tuple(notes))


def locate(network: FusionNetwork, data: Correlations, weights: Mapping[str, Any], *, rates: int = 6) -> Whereabouts:
    """Which critical manifold given weights are near, what holds each layer there, and what leads away.

    Parameters
    ----------
    weights : chain name -> list of arrays (out, in), input side first, of any widths
    rates : how many escape and relaxation rates to list

    Up to DENSE weights the whole Hessian is computed, beyond that its outermost eigenvalues by Lanczos iteration on
    Hessian-vector products. Several outputs: two layers whose modes can be listed.

    Raises
    ------
    DomainError

    Examples
    --------
    >>> from dynamics import aligned_weights
    >>> net, data = FusionNetwork.fused_at(2, 2), Correlations.scalar(2, 1, 0.5)
    >>> here = locate(net, data, aligned_weights(net, data, u0=1e-3, width=4))
    >>> here.name, here.negative, [round(rate, 3) for rate in here.rates]
    ('M_0', 8, [5.0, 2.0])
    """
    from derivations.critical.free_units import carried
    from derivations.critical.signature import signals, signature
    from derivations.critical.stratum_points import flat

    problem = Problem.of(network, data)
    count = checked_integer(rates, "rates", 1)
    current = checked_weights(network, data, weights)
    place = (_among_modes if data.outputs > 1 else _among_modalities)(problem, current)
    displacement = float(np.linalg.norm(flat(place.critical) - flat(current)))
    displacement /= float(np.linalg.norm(flat(current))) or 1.0
    try:
        found = signature(network, data, place.critical)
    except DomainError:
        line = f"no critical point of {place.name} is found to rounding from these weights"
        raise DomainError(f"{line}: bring the columns to similar units") from None

    eigenvalues, complete, converged = _eigenvalues(network, data, current, count)
    largest = float(np.max(np.abs(eigenvalues), initial=0.0))
    negative = _distinct(-eigenvalues[eigenvalues < -ZERO * largest])[:count]
    positive = _distinct(eigenvalues[eigenvalues > ZERO * largest])[:count]

    seen = signals(network, data, current, 0.0) if data.outputs == 1 else carried(network, data, current)
    velocity = gradient_flow.flow(network, current, seen.errors)
    notes = list(place.notes)
    if not converged:
        notes.append("the eigenvalue iteration did not converge: escape or relaxation rates may be missing")
    return Whereabouts(
        place.name,
        place.learned,
        place.gap / size_of_best(data),
        displacement,
        float(gradient_flow.loss(data, gradient_flow.total_weights(network, current))),
        float(np.linalg.norm(flat(velocity))),
        found.negative,
        found.zero,
        found.positive,
        found.zero if place.dimension is None else place.dimension,
        negative,
        positive,
        complete,
        _layer_states(problem, current, seen, velocity),
        _modality_states(
            gradient_flow.total_weights(network, current),
            gradient_flow.total_weights(network, _shifted(current, velocity)),
            seen.errors,
        ),
        (*notes, *data.warnings),
    )


@dataclass(frozen=True, eq=False)
class _Place:
    """The nearest manifold, its outputs `gap` away, and the critical point on it that the weights are moved to.

    dimension : of the largest stratum that this point lies in; None where it lies in none that is listed
    """

    name: str
    learned: tuple[str, ...]
    gap: float
    critical: Weights
    dimension: int | None
    notes: tuple[str, ...]


def _nearest_of(data: Correlations, total: Mapping[str, Any], goals: Sequence[Mapping[str, Any]]) -> tuple[int, float]:
    """Which of the goals' outputs are nearest, and how far."""
    packed, *points = (np.hstack([weights[m] for m in data.modalities]) for weights in (total, *goals))
    gaps = output_distances(data, packed[None], np.array(points))[0]
    return int(np.argmin(gaps)), float(np.min(gaps))


def _among_modalities(problem: Problem, current: Weights) -> _Place:
    """One output: the critical point of the nearest manifold which the weights are moved least to reach."""
    from derivations.critical.escape import escapes
    from derivations.critical.stratum_points import dimension_at
    from derivations.critical.totals import critical_groups

    network, data = problem.network, problem.data
    groups = critical_groups(network, data)
    at, gap = _nearest_of(data, gradient_flow.total_weights(network, current), [group.total for group in groups])
    group = groups[at]
    critical = _nearest(problem, group.cases, current)
    within = [case for case in group.cases if _satisfies(problem, case, critical)]
    dimension = max((dimension_at(network, data, case, critical) for case in within), default=None)
    algebraic = "an algebraic escape; the rates above are those of these weights, and grow with them"
    notes = [f"{way}: {algebraic}" for way in escapes(network, data, group.learned) if way.layers > 2]
    learned = group.whole if data.is_singular else group.learned
    return _Place(group.name, learned, gap, critical, dimension, (*notes, *group.notes))


def _among_modes(problem: Problem, current: Weights) -> _Place:
    """Several outputs, two layers: the nearest subset of modes."""
    from derivations.critical.mode_sets import mode_manifolds, moved_onto_modes

    network, data = problem.network, problem.data
    manifolds = mode_manifolds(network, data)
    at, gap = _nearest_of(data, gradient_flow.total_weights(network, current), [m.total for m in manifolds])
    critical, dimension = moved_onto_modes(manifolds[at], current)
    notes = tuple(note for note in manifolds[at].notes if "in h" not in note)
    return _Place(manifolds[at].name, manifolds[at].learned, gap, critical, dimension, notes)


def _nearest(problem: Problem, cases: Sequence[Case], weights: Weights) -> Weights:
    """The weights moved onto the stratum where that changes them least, judged one dead part at a time."""
    from derivations.critical.stratum_points import flat, moved_onto

    network, data, here = problem.network, problem.data, flat(weights)
    moved: dict[tuple[Dead, tuple[str, ...]], float] = {}

    def cost(case: Case) -> float:
        for part in case.dead:
            if (part, case.learned) not in moved:
                only = flat(moved_onto(network, data, replace(case, dead=(part,)), weights, dead_only=True))
                moved[part, case.learned] = float(np.sum((only - here) ** 2))
        return sum(moved[part, case.learned] for part in case.dead)

    for case in sorted(cases, key=cost):
        try:
            return moved_onto(network, data, case, weights)
        except DomainError:  # nothing stands above a modality that is learned there
            continue
    raise DomainError("no critical point with these outputs is found: a layer that a learned modality needs is zero")


def _satisfies(problem: Problem, case: Case, weights: Weights) -> bool:
    """Whether a critical point lies in the closure of a stratum: its equations hold to rounding."""
    from derivations.critical.signature import layer_norms
    from derivations.critical.stratum_points import conditions

    network, data = problem.network, problem.data
    norms = layer_norms(network, data, weights)
    scale = math.prod(max(norm, 1.0) for layers in norms.values() for norm in layers)
    unit = AT_REST * scale * max(1.0, *(data.strength(m) for m in data.modalities))
    return all(float(np.max(np.abs(row))) <= unit for row in conditions(network, data, case, weights))


def _layer_states(
    problem: Problem, weights: Weights, seen: Signals | Carried, velocity: Mapping[str, list[np.ndarray]]
) -> tuple[LayerState, ...]:
    """|P| and |G| as shares of what layers as large as the largest could pass on."""
    from derivations.critical.signature import layer_norms, usual_norm

    network, data = problem.network, problem.data
    norms = layer_norms(network, data, weights)
    scale = max(usual_norm(network, data), *(norm for layers in norms.values() for norm in layers))
    below = dict.fromkeys(network.chains, 0)
    beyond = dict.fromkeys(network.chains, 0)
    for name, chain in network.chains.items():  # children first
        below[name] = max((below[c.name] + c.depth for c in chain.children), default=0)
    for name, parent in reversed(network.parents.items()):
        beyond[name] = beyond[parent] + network.chains[parent].depth
    found = []
    for name, layers in norms.items():
        most = sum(data.strength(m) for m in network.chains[name].modalities) or 1.0
        for i in range(len(layers)):
            above = float(np.linalg.norm(seen.above[name][i], 2)) / scale ** (beyond[name] + len(layers) - 1 - i)
            error = float(np.linalg.norm(seen.below[name][i], 2)) / (most * scale ** (below[name] + i))
            small = above < WEAK, error < WEAK
            held = Held.BOTH if all(small) else Held.ABOVE if small[0] else Held.ERROR if small[1] else Held.NOTHING
            found.append(LayerState(name, i + 1, above, error, float(np.linalg.norm(velocity[name][i])), held))
    return tuple(found)


def _modality_states(
    total: Mapping[str, np.ndarray], moved: Mapping[str, np.ndarray], errors: Mapping[str, np.ndarray]
) -> tuple[ModalityState, ...]:
    """`moved` : the total weights after an imaginary step."""
    found = []
    for m in total:
        size = float(np.linalg.norm(total[m]))
        change = moved[m].imag / STEP
        growth = float(np.sum(total[m] * change)) / size**2 if size > 0 else math.nan
        found.append(ModalityState(m, size, float(np.linalg.norm(errors[m])), growth))
    return tuple(found)
