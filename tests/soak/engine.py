"""The batched integrator: order of its methods, error in proportion to the tolerance; monitors of single runs."""

from __future__ import annotations

import math

import numpy as np
from scipy.integrate import solve_ivp

from derivations import FusionNetwork
from derivations.errors import SolveError
from dynamics import integrate, random_weights
from dynamics.problem import Problem
from dynamics.runs.half_times import Status
from dynamics.simulation.batch import flow
from dynamics.simulation.batch.members import Member
from dynamics.simulation.batch.steppers import Step, dormand_prince, rosenbrock
from dynamics.starts.compression import compressed
from dynamics.starts.start import random_start
from tests.cases import random_correlations, random_tree
from tests.soak.row import Outcome

DECADES = (1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10)
LARGEST = 100  # tolerances that an error may be


def implicit(factor: float):
    """The implicit method with a matrix that is not the Jacobian: -factor on the velocity, as rank one."""

    def step(slope, y: np.ndarray, first: np.ndarray, h: np.ndarray) -> Step:
        along = np.broadcast_to(np.array([0.0, 1.0])[:, None, None], (2, 1, y.shape[1]))
        return rosenbrock(slope, y, first, h, along, np.array([[[factor]]]))

    return step


#: name, method, order, first step
METHODS = (
    ("Dormand-Prince", dormand_prince, 5, 0.1),
    ("implicit", implicit(0.0), 3, 0.05),
    ("implicit, wrong matrix", implicit(1.0), 3, 0.02),
    ("implicit, wrong sign", implicit(-0.5), 3, 0.02),
)


def orders(rng: np.random.Generator) -> dict[str, float]:
    """Exponent of the error over a halving of the step: three pendulums at once, against DOP853 to rounding."""
    rates, starts = rng.uniform(0.5, 2, 3), rng.uniform([[0.8], [0.0]], [[1.2], [0.5]], (2, 3))
    exact = [
        solve_ivp(
            lambda t, y, r=r: r * np.array([y[1], -np.sin(y[0])]),
            (0, 2.0),
            start,
            "DOP853",
            rtol=3e-14,
            atol=1e-15,
            max_step=0.05,
        ).y[:, -1]
        for r, start in zip(rates, starts.T, strict=True)
    ]

    def slope(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return rates * np.stack([y[1], -np.sin(y[0])]), np.zeros((1, 1, 3))

    found = {}
    for name, method, _, first in METHODS:
        errors = []
        for h in (first / 4, first / 8):
            y = starts.copy()
            moved = slope(y)[0]
            for _ in range(round(2.0 / h)):
                step = method(slope, y, moved, np.full(3, h))
                y, moved = step.end, step.last
            errors.append(float(np.linalg.norm(y - np.array(exact).T)))
        found[name] = math.log2(errors[0] / errors[1])
    return found


def measure_methods(count: int, seed: int) -> Outcome:
    """Order of each method within 0.1; errors of half-times at most 100 rtol, and falling with it, over six decades."""
    misses, found, slopes, worst = [], [], [], 0.0
    for i in range(count):
        rng = np.random.default_rng([seed, i])
        found.append(orders(rng))
        for name, _, order, _ in METHODS:
            if not abs(found[-1][name] - order) <= 0.1:
                misses.append(f"case {i}: {name} has order {found[-1][name]:.3f}")
        net, members = batch(rng)
        exact = flow.run(members, rtol=1e-12)
        errors = [float(np.max(np.abs(flow.run(members, rtol=r).times / exact.times - 1))) for r in DECADES]
        worst = max(worst, *(e / r for e, r in zip(errors, DECADES, strict=True)))
        slopes.append(math.log10(errors[0] / errors[-1]) / math.log10(DECADES[0] / DECADES[-1]))
        if not all(e <= LARGEST * r for e, r in zip(errors, DECADES, strict=True)):
            misses.append(
                f"case {i}: {net.depths}, trunk {net.trunk.depth}: errors {', '.join(f'{e:.1e}' for e in errors)}"
            )
    spread = ", ".join(f"{n} {min(o[n] for o in found):.2f} to {max(o[n] for o in found):.2f}" for n in found[0])
    falls = f"half-times within {worst:.2g} rtol, exponent {min(slopes):.2f} to {max(slopes):.2f}"
    return Outcome(f"{count} problems: {spread}; {falls}", tuple(misses))


def batch(rng: np.random.Generator) -> tuple[FusionNetwork, list[Member]]:
    """Two random starts of a network of two to four layers whose modalities are all learned."""
    while True:
        depth = int(rng.integers(2, 5))
        net = FusionNetwork.fused_at(depth, int(rng.integers(1, depth + 1)))
        data = random_correlations(rng, {m: int(rng.integers(1, 3)) for m in "AB"}, correlation=0.5)
        u0 = 1e-3 if depth == 2 else 0.15
        plan = random_start(Problem.of(net, data), u0).course
        seeds = [int(s) for s in rng.integers(0, 2**31, 2)]
        starts = [compressed(net, random_weights(net, data, u0, width=40, seed=s), 1) for s in seeds]
        members = [Member(weights, plan) for weights in starts]
        runs = flow.run(members, rtol=1e-4, max_steps=3000)
        if np.all(runs.status == Status.REACHED) and np.all(runs.times > 0):
            return net, members


def measure_monitors(count: int, seed: int) -> Outcome:
    """Balance drift, energy identity and the run at a tenth of rtol: at most 100 rtol on random trees and starts."""
    worst: dict[str, float] = {}
    misses, skipped, warned, done, i = [], 0, 0, 0, 0
    while done < count:
        rng = np.random.default_rng([seed, i])
        net = random_tree(rng, int(rng.integers(2, 4)), deepest=2)
        data = random_correlations(rng, {m: int(rng.integers(1, 4)) for m in net.modalities}, correlation=0.5)
        start = {"u0": float(10 ** rng.uniform(-1, -0.3)), "width": int(rng.integers(3, 20)), "seed": i}
        rtol = float(10 ** rng.uniform(-9, -5))
        i += 1
        try:
            run = integrate(net, data, **start, rtol=rtol, verify=True)
        except SolveError:
            skipped += 1
            continue
        done += 1
        ratios = {name: run.monitors[name] / rtol for name in ("balance", "energy", "rerun") if name in run.monitors}
        worst = {name: max(ratio, worst.get(name, 0.0)) for name, ratio in ratios.items()}
        if all(ratio <= LARGEST for ratio in ratios.values()):
            continue
        if any("rtol" in w or "tolerance" in w or "extend" in w for w in run.warnings):
            warned += 1
        else:
            misses.append(f"case {i - 1}: {net.depths}, {start}, rtol {rtol!r}: {ratios}")
    figure = f"{count} runs, worst in units of rtol: " + ", ".join(f"{n} {w:.2g}" for n, w in worst.items())
    return Outcome(f"{figure}; {warned} beyond it with a warning, {skipped} refused by the integrator", tuple(misses))
