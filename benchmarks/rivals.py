"""The same flows by general solvers: SciPy, and diffrax (compiled, explicit and implicit), all on the narrow networks.

What each is given is what we found out: which narrow network does, and until when to run. Tolerances are chosen so that
half-times miss by about as much (the error is beside each); times of compilation are apart.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp

from benchmarks.engine import RTOL, figure_6b, full_width
from benchmarks.timing import Row, medians, shown
from derivations.flow import gradient_flow as law
from dynamics import Correlations, FusionNetwork, random_weights
from dynamics.problem import Problem
from dynamics.simulation.batch import flow
from dynamics.simulation.batch.kernel import Kernel
from dynamics.simulation.batch.members import Member
from dynamics.starts.compression import compressed
from dynamics.starts.start import random_start

SOLVERS = (("DOP853", 1e-6), ("LSODA", 1e-6))
COMPILED = (("Tsit5", 1e-5), ("Kvaerno5", 1e-5))


def rows() -> list[Row]:
    """One flow, (4, 4), and the 45 of figure 6b with fusion at the second layer."""
    one = [(Correlations.scalar(2, 1, 0.0), 0)]
    cases = (("one flow, (4, 4)", FusionNetwork.fused_at(4, 4), one), ("45 flows, (4, 2)", *figure_6b()[1]))
    return [row for what, network, runs in cases for row in _compared(what, network, runs)]


def _compared(what: str, network: FusionNetwork, runs: list[tuple[Correlations, int]]) -> list[Row]:
    weights = {s: random_weights(network, runs[0][0], 0.1, width=100, seed=s) for s in {s for _, s in runs}}
    narrow = {seed: compressed(network, w, 1) for seed, w in weights.items()}
    plans = {id(d): random_start(Problem.of(network, d), 0.1).course for d, _ in runs}
    members = [Member(narrow[seed], plans[id(data)]) for data, seed in runs]
    ours = flow.run(members, rtol=RTOL).times
    ends = 1.02 * np.max(ours, axis=0)
    judged = [0] if len(runs) == 1 else [4, 22, 43]
    exact = {i: full_width(network, runs[i][0], 0.1, runs[i][1], float(ends[i])) for i in judged}
    kernel = Kernel(network, [d for d, _ in runs], [m.weights for m in members])
    start = kernel.pack([m.weights for m in members])
    goals = np.array([[plans[id(d)].plateaus[m][0, 0] / 2 for m in "AB"] for d, _ in runs])
    roads: dict[str, Callable[[], np.ndarray]] = {"our batch": lambda: flow.run(members, rtol=RTOL).times.T}
    for method, rtol in SOLVERS:
        roads[f"SciPy, {method}, rtol {rtol:g}"] = partial(_scipy, kernel, start, goals, ends, method, rtol)
    compiled = {}
    for name, rtol in COMPILED:
        road = _diffrax(network, runs, members, goals, ends, name, rtol)
        begun = time.perf_counter()
        road()
        compiled[f"diffrax, {name}, rtol {rtol:g}"] = time.perf_counter() - begun
        roads[f"diffrax, {name}, rtol {rtol:g}"] = road
    costs = medians(list(roads.values()), 3 if len(runs) == 1 else 1)
    found = []
    for (label, road), cost in zip(roads.items(), costs, strict=True):
        times = road()
        miss = max(float(np.max(np.abs(times[i] / exact[i] - 1))) for i in judged)
        extra = f"; compiled in {shown(compiled[label] - cost)}" if label in compiled else ""
        found.append(
            Row(f"{what}: {label}", shown(cost), "", f"{cost / costs[0]:.2g} times ours{extra}", f"{miss:.0e}")
        )
    return found


def _scipy(kernel: Kernel, start: np.ndarray, goals: np.ndarray, ends: np.ndarray, method: str, rtol: float) -> Any:
    """One after the other, half-times as events."""
    found = []
    for n in range(start.shape[1]):
        slope = kernel.slope([n])

        def velocity(_: float, y: np.ndarray, slope: Any = slope) -> np.ndarray:
            return slope(y[:, None])[0][:, 0]

        def half(j: int, goal: float) -> Callable[[float, np.ndarray], float]:
            return lambda _, y: float(kernel.total(y[:, None])[0, j, 0]) - goal

        events = [half(j, goals[n, j]) for j in range(2)]
        run = solve_ivp(
            velocity, (0, ends[n]), start[:, n], method=method, rtol=rtol, atol=1e-3 * rtol * 0.01, events=events
        )
        found.append([t[0] if len(t) else np.nan for t in run.t_events])
    return np.array(found)


def _diffrax(
    network: FusionNetwork, runs: list[tuple[Correlations, int]], members: list[Member], goals: np.ndarray,
    ends: np.ndarray, name: str, rtol: float,
) -> Callable[[], np.ndarray]:  # fmt: skip
    """vmap over the members, in double precision; half-times read off 2000 stored times by linear interpolation."""
    import diffrax
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    layers = {chain: [jnp.stack([m.weights[chain][i] for m in members]) for i in range(len(own))]
              for chain, own in members[0].weights.items()}  # fmt: skip
    sigma = jnp.array([d.sigma for d, _ in runs])
    target = jnp.array([np.atleast_2d(d.sigma_yx) for d, _ in runs])

    def totals(weights: Any) -> Any:
        found = law.total_weights(network, weights)
        return jnp.concatenate([found[m] for m in "AB"], axis=1)

    def velocity(t: Any, weights: Any, given: Any) -> Any:
        s, y = given
        wrong = y - totals(weights) @ s
        moved = law.flow(network, weights, {"A": wrong[:, :1], "B": wrong[:, 1:]})
        return {chain: moved[chain] for chain in weights}

    def solved(weights: Any, s: Any, y: Any, end: Any) -> Any:
        times = jnp.linspace(0, end, 2000)
        run = diffrax.diffeqsolve(
            diffrax.ODETerm(velocity), getattr(diffrax, name)(), 0.0, end, 1e-3, weights, (s, y),
            saveat=diffrax.SaveAt(ts=times, fn=lambda t, w, _: totals(w)[0]), max_steps=200_000,
            stepsize_controller=diffrax.PIDController(rtol=rtol, atol=1e-3 * rtol * 0.01),
        )  # fmt: skip
        return times, run.ys

    together = jax.jit(jax.vmap(solved))
    widths = jnp.array(ends)

    def work() -> np.ndarray:
        times, path = (np.asarray(part) for part in together(layers, sigma, target, widths))
        found = np.empty((len(times), 2))
        for n, j in np.ndindex(found.shape):
            i = int(np.argmax(path[n, :, j] >= goals[n, j]))
            share = (goals[n, j] - path[n, i - 1, j]) / (path[n, i, j] - path[n, i - 1, j])
            found[n, j] = times[n, i - 1] + share * (times[n, i] - times[n, i - 1])
        return found

    return work
