"""Networks with weight decay in time, by code that shares nothing with the project's: two flows and a race.

The aligned reduced flow of late fusion, any depth, in ln |v_m| and direction; every weight of two layers of width 20.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.integrate import LSODA
from scipy.optimize import brentq, root

from benchmarks.group_lasso import Problem, lasso

MOST_STEPS = 50_000
U0 = 1e-3  # of two layers


@dataclass
class Run:
    """The end of a reduced flow: total weights (zero where it has died), first times past half, steps."""

    end: np.ndarray
    times: dict[str, float]


def reduced(
    p: Problem, depth: int, decay: float, u0: float, goals: Mapping[str, np.ndarray] | None = None, rtol: float = 1e-10
) -> Run:
    """dv_m/dt = |v|^(L-1) e_m - decay v_m with w_m = |v|^(L-1) v_m, in ln |v| and direction, until it is settled."""
    names, count = list(p.sizes), len(p.sizes)
    owner = np.repeat(np.arange(count), list(p.sizes.values()))

    def parts(z: np.ndarray) -> tuple[np.ndarray, ...]:
        n = z[count:] / np.sqrt(np.bincount(owner, z[count:] ** 2))[owner]
        w = n * np.exp(depth * z[:count])[owner]
        return n, w, p.target - w @ p.sigma, np.exp((depth - 2) * z[:count])

    def flow(_: float, z: np.ndarray) -> np.ndarray:
        n, _w, e, pace = parts(z)
        along = np.bincount(owner, n * e)
        return np.concatenate([pace * along - decay, pace[owner] * (e - n * along[owner])])

    half = {m: g @ p.sigma[p.span[m], p.span[m]] for m, g in (goals or {}).items()}
    half = {m: row / (row @ (goals or {})[m]) for m, row in half.items()}
    sizes = np.sqrt(np.bincount(owner, p.target**2))
    scale = sizes / np.bincount(owner, np.diag(p.sigma))
    start = p.target / sizes[owner]
    solver = LSODA(flow, 0.0, np.concatenate([np.full(count, math.log(u0)), start]), 1e15, rtol=rtol, atol=rtol / 10)
    times = {m: 0.0 for m, row in half.items() if row @ parts(solver.y)[1][p.span[m]] >= 0.5}
    for _ in range(MOST_STEPS):
        solver.step()
        _n, w, _e, pace = parts(solver.y)
        for m in [m for m in half if m not in times and half[m] @ w[p.span[m]] >= 0.5]:
            dense = solver.dense_output()

            def past(t: float, m: str = m, dense: Any = dense) -> float:
                return float(half[m] @ parts(dense(t))[1][p.span[m]]) - 0.5

            times[m] = float(brentq(past, solver.t_old, solver.t, rtol=1e-14)) if past(solver.t_old) < 0 else solver.t
        if half and len(times) == len(half):
            break
        speed = flow(0.0, solver.y)
        turning = np.sqrt(np.bincount(owner, speed[count:] ** 2))
        drives = np.array([p.drive(w, m, p.signs) for m in names])
        dies = (np.exp(depth * solver.y[:count]) < 1e-7 * scale) & (pace * drives < decay)
        if np.all(dies | ((np.abs(speed[:count]) < 1e-7 * decay) & (turning < 1e-7 * decay))):
            return Run(np.where(dies[owner], 0.0, w), times)
    if half and len(times) == len(half):
        return Run(w, times)
    raise RuntimeError(f"not settled by {solver.t:.3g}")


def learned(p: Problem, w: np.ndarray) -> set[str]:
    return {m for m, s in p.span.items() if np.any(w[s])}


def deep_critical(p: Problem, depth: int, u0: float) -> dict[str, float]:
    """Modality -> the largest decay at which the flow from this start ends with it; 0 if there is none in the scan."""
    top = u0 ** (depth - 2) * math.sqrt(p.power * max(np.max(d) for d, _ in p.eigen.values()))
    seen: dict[float, set[str]] = {}

    def ends(decay: float) -> set[str]:
        if decay not in seen:
            seen[decay] = learned(p, reduced(p, depth, decay, u0, rtol=1e-7).end)
        return seen[decay]

    grid = top * 10 ** np.linspace(0, -2.5, 36)
    found = {}
    for m in p.sizes:
        i = next((i for i, decay in enumerate(grid) if m in ends(float(decay))), None)
        if i is None:
            found[m] = 0.0
            continue
        low, high = float(grid[i]), float(grid[i - 1]) if i else 2 * top
        while high > low * (1 + 1e-4):
            middle = math.sqrt(low * high)
            low, high = (middle, high) if m in ends(middle) else (low, middle)
        found[m] = math.sqrt(low * high)
    return found


def plateau(p: Problem, depth: int, decay: float, u0: float, members: Sequence[str]) -> np.ndarray:
    """What a start comes to with these alone: the lasso, or where the deeper flow ends, its equations solved."""
    if depth == 2:
        return lasso(p, decay, members, p.signs)
    part, found = p.only(members), np.zeros_like(p.target)
    end = reduced(part, depth, decay, u0).end
    kept = part.only([m for m in part.sizes if np.any(end[part.span[m]])] or members)
    rows = np.concatenate([np.arange(len(found))[p.span[m]] for m in kept.sizes])

    def standing(w: np.ndarray) -> np.ndarray:
        pull = [w[s] * float(np.linalg.norm(w[s])) ** (2 / depth - 2) for s in kept.span.values()]
        return np.asarray(kept.target - w @ kept.sigma - decay * np.concatenate(pull))

    if np.any(end):
        guess = end[np.concatenate([np.arange(len(end))[part.span[m]] for m in kept.sizes])]
        solved = root(standing, guess, tol=1e-14).x
        if np.max(np.abs(solved - guess)) > 1e-4 * np.max(np.abs(guess)):
            raise RuntimeError("the plateau is not where the flow ends")
        found[rows] = solved
    return found


def race(p: Problem, depth: int, decay: float, u0: float) -> list[str]:
    """Who leaves zero after whom, to leading order in u0.

    By ln(1/u), which falls at |e| - decay, or for L > 2 by u^(2-L), which falls at (L-2)(|e| - decay u^(2-L)).
    """
    left = dict.fromkeys(p.sizes, math.log(1 / u0) if depth == 2 else u0 ** (2 - depth))
    order: list[str] = []
    rate = decay * (depth - 2)
    while left:
        total = plateau(p, depth, decay, u0, order) if order else np.zeros_like(p.target)
        drives = {m: p.drive(total, m, p.signs) for m in left}
        arrivals = {}
        for m, e in drives.items():
            if e > decay * (left[m] if depth > 2 else 1):
                arrivals[m] = -math.log1p(-decay * left[m] / e) / rate if depth > 2 else left[m] / (e - decay)
        if not arrivals:
            break
        first = min(arrivals, key=lambda m: arrivals[m])
        t = arrivals[first]
        for m, e in drives.items():
            left[m] = e / decay + (left[m] - e / decay) * math.exp(rate * t) if depth > 2 else left[m] - (e - decay) * t
        del left[first]
        order.append(first)
    return order


def half_times(p: Problem, depth: int, decay: float, u0: float, order: Sequence[str]) -> dict[str, float]:
    """First times with half of the output along the plateau at which each of `order` is learned; those reached."""
    goals = {m: plateau(p, depth, decay, u0, order[: i + 1])[p.span[m]] for i, m in enumerate(order)}
    return reduced(p, depth, decay, u0, {m: g for m, g in goals.items() if np.any(g)}, rtol=1e-12).times


def random_learns(p: Problem, m: str, decay: float, size: float, seed: int, u0: float = U0) -> bool:
    """Whether the flow of width 20 ends with m from a random start; rotated into the d + 1 units in which it moves.

    When all others fulfil |residual| <= decay: yes once |p_m| is past 1e-2 of `size` and its residual holds it there,
    no once it is below 1e-16 and falls, beside weights that stand still.
    """
    rng = np.random.default_rng([7, seed])
    layers = []
    for d in p.sizes.values():
        first, second = rng.normal(size=(20, d)), rng.normal(size=(20, 1))
        both = np.hstack([first / np.linalg.norm(first), second / np.linalg.norm(second)]) * u0
        layers.append(np.linalg.qr(both)[1])
    shapes = [layer.shape for layer in layers]
    ends = np.cumsum([0, *(layer.size for layer in layers)])

    def parts(z: np.ndarray) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
        own = [z[a:b].reshape(s) for a, b, s in zip(ends[:-1], ends[1:], shapes, strict=True)]
        w = np.concatenate([o[:, -1] @ o[:, :-1] for o in own])
        return own, w, p.target - w @ p.sigma

    def flow(_: float, z: np.ndarray) -> np.ndarray:
        own, _w, e = parts(z)
        moved = [
            np.column_stack([np.outer(o[:, -1], e[s]), o[:, :-1] @ e[s]])
            for o, s in zip(own, p.span.values(), strict=True)
        ]
        return np.concatenate([b.ravel() for b in moved]) - decay * z

    solver = LSODA(flow, 0.0, np.concatenate([o.ravel() for o in layers]), 1e15, rtol=1e-8, atol=1e-13)
    before = math.inf
    for _ in range(MOST_STEPS):
        solver.step()
        _, w, e = parts(solver.y)
        now = float(np.linalg.norm(w[p.span[m]]))
        drives = {k: float(np.linalg.norm(e[s])) / decay for k, s in p.span.items()}
        if max(drive for k, drive in drives.items() if k != m) <= 1 + 1e-4:
            if now > 1e-2 * size and drives[m] >= 1 - 1e-5:
                return True
            if now < min(before, 1e-16) and np.max(np.abs(flow(0.0, solver.y))) < 1e-6:
                return False
        before = now
    raise RuntimeError(f"no verdict by {solver.t:.3g}")
