"""The reduced flow (44) with saturation as a system, with its own Jacobian, and a run of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from derivations import DomainError, SolveError
from derivations.critical.saddles import Course, drive
from derivations.network import gain_powers
from dynamics.checks import checked_integer, checked_rtol, checked_times
from dynamics.problem import Problem
from dynamics.runs.trajectory import Trajectory
from dynamics.simulation.full_system import full_system
from dynamics.simulation.march import march
from dynamics.simulation.rest import Rest
from dynamics.simulation.system import SMALL_STATE, System
from dynamics.starts.aligned import aligned_rows
from dynamics.starts.start import Start, aligned_start

SMALLEST_ATOL = 1e-305  # below it LSODA meets denormal numbers
FINER = 0.1  # share of a tolerance at which a run that has failed is tried again
NUDGE = 1e-5  # of a norm, for the slopes of gains
TIGHTEST = 1e-12  # relative tolerance of a logarithm, whose absolute error is what counts


@np.errstate(under="ignore")  # whatever the caller has set: tiny starts have squares below the range of floats
def reduced_run(
    problem: Problem,
    u0: float | Mapping[str, float],
    *,
    t_end: float | None = None,
    t_eval: Any = None,
    rtol: float,
    max_steps: int,
    excess: float | None = None,
) -> Trajectory:
    """The reduced flow of all inputs; see `dynamics.simulation.reduced.integrate_reduced`."""
    network, data, start = problem.network, problem.data, aligned_start(problem, u0)
    rtol = checked_rtol(rtol)
    t_end, times = checked_times(t_end, t_eval)
    max_steps = checked_integer(max_steps, "max_steps", 1)
    plan, norms, one_row = start.course, start.norms, _is_reducible(start)
    provenance = {"producer": "reduced flow", "start": "aligned", "network": str(network), "u0": norms, "rtol": rtol}

    def run(flow: System, tolerance: float = rtol) -> Trajectory:
        return march(
            flow, plan, rtol=tolerance, t_end=t_end, t_eval=times, max_steps=max_steps, provenance=provenance,
            warnings=data.warnings, excess=excess,
        )[0]  # fmt: skip

    rows = aligned_rows(data)
    try:
        # else modes mix or layers differ, and the narrowest network that starts so is its own reduction
        system = _Reduced(start, rows, rtol).system() if one_row else full_system(plan, start.full(), rtol)[0]
        rates = system.velocity(system.start)[1]
        dead = [name for name, chain in network.chains.items() if chain.depth and norms[name] == 0]
        if not dead and any(rates[m] == 0 for m in data.modalities):
            raise OverflowError  # a gain has underflown to zero
        if not one_row:
            return run(system)
        with suppress(SolveError):
            return run(system)
        with suppress(SolveError):  # the corrector of LSODA gives up at one tolerance and not at another
            return run(_Reduced(start, rows, FINER * rtol).system(), FINER * rtol)
        return run(full_system(plan, start.full(), rtol, wide=True)[0])  # at width 1 the full flow is the reduced one
    except (OverflowError, ZeroDivisionError):
        depth = max(network.path_depths.values())
        raise DomainError(
            f"u0^(L-2) leaves the range of floats at u0 = {u0!r} and depth {depth}: use the law in logarithms"
        ) from None


def _is_reducible(start: Start) -> bool:
    """Whether one norm a chain says all: one output, layers of a chain alike, and (41) kept or restored by decay."""
    problem, norms = start.problem, start.norms
    if problem.data.outputs > 1 or problem.terms.modulation:
        return False
    if not problem.terms.decay:
        return True
    fused = [(name, chain) for name, chain in problem.network.chains.items() if chain.children and chain.depth]
    by_rule = all(math.isclose(norms[n], math.hypot(*(norms[c.name] for c in chain.children))) for n, chain in fused)
    return not fused or (problem.terms.is_uniform and by_rule)


def _dips(plan: Course, signs: Mapping[str, float], m: str) -> bool:
    """Whether a kept sign is driven down at a saddle on the way and up again at a later one."""
    if m not in signs or m in plan.never:
        return False
    before = [saddle.total for saddle in plan.saddles if m not in saddle.learned]
    return any(speed > 0 and sign != signs[m] for sign, speed in (drive(plan.data, m, total) for total in before))


class _Reduced:
    """(44) with saturation, for one output.

    State: the row v_m of a modality, or ln u_m where the course lets its weight fall far before it comes back.
    """

    def __init__(self, start: Start, rows: Mapping[str, np.ndarray], rtol: float) -> None:
        network, self.data = start.problem.network, start.problem.data
        plan, norms, self.rtol, self.start, self.rows = start.course, start.norms, rtol, start, rows
        chains, self.parents = network.chains, network.parents
        self.modalities, self.names = self.data.modalities, tuple(c for c, chain in chains.items() if chain.depth)
        self.decay = np.concatenate([np.full(d, start.problem.terms.decay_of(m)) for m, d in self.data.sizes.items()])
        self.decays = bool(np.any(self.decay))
        powers = gain_powers(network)
        self.powers = [[(c, n) for c, n in powers[m].items() if n] for m in self.modalities]
        fused = {name: [c.name for c in chains[name].children] for name in self.names}
        self.joints = [  # chains after a fusion, children first: their norm follows from the conserved difference
            (name, children, norms[name] ** 2 - sum(norms[c] ** 2 for c in children))
            for name, children in fused.items()
            if children
        ]
        self.begins = [self.data.span(m).start for m in self.modalities]
        self.owner = np.repeat(np.arange(len(self.modalities)), [self.data.sizes[m] for m in self.modalities])
        self.pulls = [(m, plan.drives[m], network.depths[m] >= 2) for m in self.modalities]
        signs, places = start.signs, list(zip(self.modalities, self.begins, strict=True))
        self.logged = [i for i, m in enumerate(self.modalities) if norms[m] > 0 and _dips(plan, signs, m)]
        self.signed = [(i, b, signs[m]) for i, (m, b) in enumerate(places) if m in signs and i not in self.logged]
        self.places = np.array([self.begins[i] for i in self.logged], dtype=int)
        self.kept = np.array([signs[self.modalities[i]] for i in self.logged])
        # a trial step in logarithms may shoot far: u^L and u^(L-2) stay floats
        depth = max(network.path_depths.values())
        self.ceiling, self.floor = 690.0 / depth, -700.0 / max(depth - 2, 1)

    def rows_of(self, state: np.ndarray) -> np.ndarray:
        if not self.logged:
            return state
        unpacked = state.copy()
        unpacked[self.places] = self.kept * np.exp(np.clip(state[self.places], self.floor, self.ceiling))
        return unpacked

    def current(self, v: np.ndarray) -> tuple[dict[str, float], tuple[float, ...]]:
        """Norm of each chain and gain of each modality."""
        sizes = np.sqrt(np.add.reduceat(v * v, self.begins))
        if self.logged:
            sizes[self.logged] = np.abs(v[self.places])  # its square may underflow
        for i, begin, sign in self.signed:
            # a kept sign cannot be lost: a step that overshoots zero stays there, it does not come out beyond
            sizes[i] = max(sign * float(v[begin]), 0.0)
        u = dict(zip(self.modalities, sizes.tolist(), strict=True))
        for name, children, constant in self.joints:
            u[name] = math.sqrt(max(sum(u[c] ** 2 for c in children) + constant, 0.0))
        return u, tuple([math.prod([u[c] ** n for c, n in powers]) for powers in self.powers])

    def velocity(self, state: np.ndarray) -> tuple[np.ndarray, dict[str, float]]:
        v = self.rows_of(state)
        gain, rates = self._paces(v)
        factor = np.array(gain)[self.owner]
        moved: np.ndarray = factor * (self.data.sigma_yx - (factor * v) @ self.data.sigma)
        if self.decays:
            moved -= self.decay * v
        if self.logged:
            moved[self.places] /= v[self.places]
        return moved, rates

    def slope(self, v: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """d velocity / d v (D, D): what relaxes, -diag(gain) Sigma diag(gain), and a rank for each norm |v_m|.

        Gains and rates depend on v through the norms alone: their slopes by central differences of these.
        """
        factor, sigma = np.array(self.current(v)[1])[self.owner], self.data.sigma
        found = -factor[:, None] * sigma * factor - np.diag(self.decay)
        error = self.data.sigma_yx - (factor * v) @ sigma
        slopes = {m: np.zeros(len(v)) for m in self.modalities}
        for m, begin in zip(self.modalities, self.begins, strict=True):
            part = slice(begin, begin + self.data.sizes[m])
            norm = float(np.linalg.norm(v[part]))
            step, sides = NUDGE * norm, []
            for sign in (1, -1):
                moved = v.copy()
                moved[part] *= 1 + sign * NUDGE
                sides.append(self._paces(moved))
            gain = (np.array(sides[0][0]) - sides[1][0])[self.owner] / (2 * step)
            row = v[part] / norm
            found[:, part] += np.outer(gain * error - factor * (sigma @ (gain * v)), row)
            for n in self.modalities:
                slopes[n][part] += (sides[0][1][n] - sides[1][1][n]) / (2 * step) * row
        return found, slopes

    def _paces(self, v: np.ndarray) -> tuple[tuple[float, ...], dict[str, float]]:
        """Gain of each modality, and the growth rate of its first layer."""
        u, gain = self.current(v)
        rates = {}
        for (m, pull, is_deep), g in zip(self.pulls, gain, strict=True):
            base = u[m] if is_deep else u.get(self.parents[m], 1.0)
            rates[m] = g / base * pull if base else 0.0
        return gain, rates

    def total(self, state: np.ndarray) -> np.ndarray:
        v = self.rows_of(state)
        packed: np.ndarray = np.array(self.current(v)[1])[self.owner] * v
        return packed[None, :]

    def system(self) -> System:
        norms, data, places, rtol = self.start.norms, self.data, self.places, self.rtol
        start = np.concatenate([norms[m] * self.rows[m][0] for m in data.sizes])
        atol = np.concatenate([np.full(d, max(1e-3 * rtol * norms[m], SMALLEST_ATOL)) for m, d in data.sizes.items()])
        relative = np.full(len(start), rtol)
        if self.logged and np.min(np.log(np.abs(start[places]))) < self.floor:
            raise OverflowError
        start[places], atol[places], relative[places] = np.log(np.abs(start[places])), rtol, TIGHTEST
        owned = {m: data.span(m) for m in data.sizes}
        small = len(start) < SMALL_STATE  # LSODA's own differences are cheaper
        slope = None if small or self.logged or min(norms[m] for m in data.sizes) == 0 else self.slope
        rests = self._rests() if self.start.problem.terms.decay else None
        tight = relative if self.logged else None
        return System(self.velocity, self.total, start, atol, owned, tight, slope=slope, rests=rests)

    def _rests(self) -> Callable[[np.ndarray], bool]:
        chains = self.start.problem.network.chains
        layers = [(name, i) for name in self.names for i in range(chains[name].depth)]
        rest = Rest([self.start.course], layers)

        def rests(state: np.ndarray) -> bool:
            v = self.rows_of(state)
            u, gain = self.current(v)
            factor = np.array(gain)[self.owner]
            moved = factor * (self.data.sigma_yx - (factor * v) @ self.data.sigma) - self.decay * v
            speed = dict(zip(self.modalities, np.sqrt(np.add.reduceat(moved**2, self.begins)), strict=True))
            norms = np.array([u[name] for name, _ in layers])
            speeds = np.array([speed.get(name, 0.0) for name, _ in layers])  # norms after a fusion follow
            return bool(rest.settled(norms[:, None], speeds[:, None], self.total(state)[..., None])[0])

        return rests
