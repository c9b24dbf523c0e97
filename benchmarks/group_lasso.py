"""Where two layers with weight decay end, by code that shares nothing with the project's: a group lasso.

Late fusion, one output, every weight gets -decay times itself. Two layers end at the minimum of
1/2 <(y - sum p_m x_m)^2> + decay sum |p_m| over the total weights p. An aligned start keeps the sign of scalar inputs:
`signs` are those that the lasso has to keep, too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

import numpy as np
from scipy.optimize import brentq, minimize_scalar

GAP, SCAN, LEAST = 1e-12, 160, 1e-6  # duality gap in <y^2>; points of the scan, down to this share of the largest
Signs = Mapping[str, float]
FREE: Signs = MappingProxyType({})


@dataclass(frozen=True)
class Problem:
    """Second moments and sizes, and what is asked of them."""

    sigma: np.ndarray
    target: np.ndarray
    power: float
    sizes: dict[str, int]

    @cached_property
    def span(self) -> dict[str, slice]:
        ends = np.cumsum([0, *self.sizes.values()])
        return {m: slice(int(a), int(b)) for m, a, b in zip(self.sizes, ends[:-1], ends[1:], strict=True)}

    @cached_property
    def eigen(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        found = {m: np.linalg.eigh(self.sigma[s, s]) for m, s in self.span.items()}
        return {m: (pair.eigenvalues, pair.eigenvectors) for m, pair in found.items()}

    @cached_property
    def signs(self) -> dict[str, float]:
        return {m: float(np.sign(self.target[self.span[m]][0])) for m, d in self.sizes.items() if d == 1}

    def only(self, members: Sequence[str]) -> Problem:
        kept = [m for m in self.sizes if m in members]
        rows = np.concatenate([np.arange(len(self.target))[self.span[m]] for m in kept])
        return Problem(self.sigma[np.ix_(rows, rows)], self.target[rows], self.power, {m: self.sizes[m] for m in kept})

    def drive(self, p: np.ndarray, m: str, signs: Signs) -> float:
        """Size of the residual of m; along its sign, where it has one."""
        e = self.target[self.span[m]] - p @ self.sigma[:, self.span[m]]
        return signs[m] * float(e[0]) if m in signs else float(np.linalg.norm(e))


def draw(seed: int, scalar: bool = False) -> Problem:
    """Two to four modalities of one to four inputs, moments of few rows, some with strong common factors."""
    rng = np.random.default_rng([20261129, seed])
    sizes = {m: 1 if scalar else int(rng.integers(1, 5)) for m in "ABCD"[: rng.integers(2, 5)]}
    total = sum(sizes.values())
    rows = rng.normal(size=(int((total + 1) * rng.uniform(1.5, 5)) + 2, total + 1))
    if rng.random() < 0.5:
        rows += 10 ** rng.uniform(-0.3, 0.7) * rng.normal(size=(len(rows), 1)) * rng.normal(size=total + 1)
    rows /= np.sqrt(np.mean(rows**2, axis=0)) * np.append(np.exp(rng.normal(size=total) * 0.4), 1)
    moments = rows.T @ rows / len(rows)
    return Problem(moments[:-1, :-1], moments[-1, :-1], float(moments[-1, -1]), sizes)


def block(p: Problem, m: str, c: np.ndarray, decay: float, signs: Signs) -> np.ndarray:
    """The exact minimum over one block: sum (z_i/(d_i r + decay))^2 = 1 for r = |p_m|, by Newton from below."""
    if m in signs:
        return np.asarray(signs[m] * np.maximum(signs[m] * c - decay, 0) / p.sigma[p.span[m], p.span[m]][0])
    if np.linalg.norm(c) <= decay:
        return np.zeros_like(c)
    d, q = p.eigen[m]
    z, r = q.T @ c, 0.0
    for _ in range(60):
        s = d * r + decay
        f = np.sum((z / s) ** 2)
        step = (f**-0.5 - 1) / (f**-1.5 * np.sum(z**2 * d / s**3))
        r -= step
        if abs(step) <= 1e-15 * r:
            break
    return np.asarray(q @ (z * r / (d * r + decay)))


def newton(p: Problem, x: np.ndarray, decay: float, members: Sequence[str]) -> np.ndarray:
    """Polish with the active blocks that x has."""
    active = [m for m in members if np.any(x[p.span[m]])]
    if not active:
        return x
    rows = np.concatenate([np.arange(len(x))[p.span[m]] for m in active])
    x = x.copy()
    for _ in range(12):
        force, bend = p.target - x @ p.sigma, p.sigma.copy()
        for m in active:
            s = p.span[m]
            r = np.linalg.norm(x[s]) or 1e-300
            n = x[s] / r
            force[s] -= decay * n
            bend[s, s] += decay / r * (np.eye(len(n)) - np.outer(n, n))
        step = np.linalg.solve(bend[np.ix_(rows, rows)], force[rows])
        x[rows] += step
        if np.max(np.abs(step)) <= 1e-15 * np.max(np.abs(x)):
            break
    return x


def gap(p: Problem, x: np.ndarray, decay: float, members: Sequence[str], signs: Signs) -> float:
    """Duality gap with the residual scaled into the feasible set, or inf where a sign is wrong."""
    if any(signs[m] * x[p.span[m]][0] < 0 for m in signs if m in members):
        return math.inf
    own, square = p.power - p.target @ x, p.power - 2 * p.target @ x + x @ p.sigma @ x
    scale = min(1.0, decay / max(p.drive(x, m, signs) for m in members)) if members else 1.0
    primal = square / 2 + decay * sum(float(np.linalg.norm(x[p.span[m]])) for m in members)
    return float(primal - (scale * own - scale**2 * square / 2))


def lasso(
    p: Problem, decay: float, members: Sequence[str], signs: Signs = FREE, x: np.ndarray | None = None
) -> np.ndarray:
    """Total weights; zero outside the members."""
    x = np.zeros_like(p.target) if x is None else x.copy()
    sweeps = 2
    for _ in range(14):
        for _ in range(sweeps):
            for m in members:
                s = p.span[m]
                x[s] = block(p, m, p.target[s] - x @ p.sigma[:, s] + x[s] @ p.sigma[s, s], decay, signs)
        better = newton(p, x, decay, members)
        if np.all(np.isfinite(better)) and gap(p, better, decay, members, signs) <= GAP * p.power:
            outside = [m for m in members if not np.any(better[p.span[m]])]
            if all(p.drive(better, m, signs) <= decay * (1 + 1e-10) for m in outside):
                return better
        sweeps *= 2
    raise RuntimeError(f"no duality gap of {GAP} at {decay}")


def critical(p: Problem, signs: Signs = FREE) -> tuple[dict[str, float], dict[str, int]]:
    """Modality -> the largest decay with m, and how often it leaves and comes back as the decay falls."""
    largest = max(p.drive(np.zeros_like(p.target), m, signs) for m in p.sizes)
    found, back = {}, {}
    for m in p.sizes:
        others = [k for k in p.sizes if k != m]
        x: list[np.ndarray] = [np.zeros_like(p.target)]

        def excess(log: float, m: str = m, others: list[str] = others, x: list[np.ndarray] = x) -> float:
            x[0] = lasso(p, math.exp(log), others, signs, x[0])
            return p.drive(x[0], m, signs) - math.exp(log)

        logs = list(math.log(largest) + np.linspace(1e-9, math.log(LEAST), SCAN))
        values = [excess(log) for log in logs]
        for i in range(SCAN - 2, 0, -1):  # islands between two points
            if max(values[i - 1], values[i + 1]) < values[i] <= 0 and values[i] > -0.1 * math.exp(logs[i]):
                peak = minimize_scalar(lambda v: -excess(v), bounds=(logs[i + 1], logs[i - 1]), method="bounded")
                if peak.fun < 0:
                    logs.insert(i if peak.x > logs[i] else i + 1, float(peak.x))
                    values.insert(i if peak.x > logs[i] else i + 1, -float(peak.fun))
        inside = [v > 0 for v in values]
        entries = [i for i in range(1, len(logs)) if inside[i] and not inside[i - 1]]
        found[m] = math.exp(brentq(excess, logs[entries[0]], logs[entries[0] - 1], xtol=1e-13)) if entries else 0.0
        back[m] = max(len(entries) - 1, 0)
    return found, back
