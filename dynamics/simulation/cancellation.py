"""Digits that a start costs: sign flips, layers far larger than what is learned."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from derivations.critical.saddles import Course
from dynamics.starts.weights import Weights

FLIP = "a sign flip, or layers far larger than what is learned, cancel digits: times are good to about {:.1g}"
CANCELLATION = 1e-13  # the tightest tolerance that double precision supports


def cancelled(plan: Course, weights: Weights) -> float:
    """Share of a weight's size that is left where a scalar residual flips its sign after a chain of two layers.

    The mode of the old sign has grown to u0^(1-k), the one that wins has shrunk to u0^(1+k); the weights hold their
    difference, so all but u0^(2k) of it cancels. 1 without a flip.
    """
    share, data = 1.0, plan.data
    for before, after in pairwise(plan.saddles):
        for m in set(after.learned) - set(before.learned):
            residual = data.residual_block(m, before.learned) if before.learned else data.target_block(m)
            scalar = data.sizes[m] == 1 and data.outputs == 1
            flips = scalar and np.sign(residual).item() * np.sign(data.target_block(m)).item() < 0
            if flips and plan.network.depths[m] == 2:
                norm = min(float(np.linalg.norm(w)) for w in weights[m])
                k = data.strength(m) / data.strength(plan.order[0])
                share = min(share, min(norm, 1.0) ** (2 * k))
    return share


def digits_left(plan: Course, weights: Weights) -> float:
    """Share of a weight's size that is left where layers far larger than what is learned multiply to it; 1 if small."""
    share, data = 1.0, plan.data
    for m, goal in plan.plateaus.items():
        size = math.prod(float(np.linalg.norm(w)) for name in plan.network.path(m) for w in weights[name])
        if size > 0 and data.norm(goal) > 0:
            share = min(share, data.norm(goal) / size)
    return share


def tightened(share: float, rtol: float) -> tuple[float, tuple[str, ...]]:
    """A tolerance that leaves rtol after cancellation to `share`, and what is lost where there is none."""
    lost = CANCELLATION / max(share, 1e-300)
    notes = (FLIP.format(lost),) if lost > 10 * rtol else ()
    return max(rtol * share, min(CANCELLATION, rtol)), notes
