"""Start: from where a network learns. Aligned and balanced, random, or weights that a user gives."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, cached_property, partial
from typing import Any

import numpy as np

from derivations import DomainError
from derivations.critical.saddles import Course, kept_signs
from derivations.network import TRUNK, layer_shapes
from dynamics.checks import checked_integer
from dynamics.problem import Problem
from dynamics.starts.aligned import aligned_weights
from dynamics.starts.compression import compressed
from dynamics.starts.narrow_law import NarrowDraw
from dynamics.starts.weights import (
    WIDEST,
    Weights,
    checked_weights,
    count,
    random_weights,
    require_range,
    require_rank,
    start_norms,
)

LARGEST_DRAWN = 2000  # width up to which every weight of a random start is drawn; beyond it the narrow network is
SMALLEST_SIMULATED = 1e-100  # squares and errors of smaller weights underflow inside the integrator


class StartKind(StrEnum):
    ALIGNED = "aligned"
    RANDOM = "random"
    GIVEN = "given"


@dataclass(frozen=True, eq=False)
class Start:
    """Weights at t = 0 and what follows from them to leading order.

    u0 : as the user gave it; None for given weights
    norms : chain -> norm of each layer, nominal for a random start, so that all members of an ensemble have one course
    signs : modality -> sign that its total weight keeps for ever; of balanced starts
    entries : how many weights the network has at its full width
    narrow(rounds) : the narrow network, exact for two layers; at any width the same flow
    full() : all weights; a DomainError where there are too many
    origin : what identifies it in a provenance
    own_course : the course of a run from it that disagreed with the one to leading order
    """

    problem: Problem
    kind: StartKind
    u0: float | Mapping[str, float] | None
    norms: Mapping[str, float]
    signs: Mapping[str, float]
    entries: int
    narrow: Callable[[int], Weights]
    full: Callable[[], Weights]
    origin: Mapping[str, Any]
    width: int | None = None
    seed: int | None = None
    own_course: Course | None = None

    @cached_property
    def course(self) -> Course:
        """The saddles that it will visit, to leading order in u0."""
        return self.own_course or self.problem.course(self.norms, self.signs)

    @property
    def is_drawn(self) -> bool:
        """Whether every weight is at hand, and not only the law of a narrow network."""
        return self.width is None or self.width <= LARGEST_DRAWN

    @property
    def rule(self) -> float:
        """The norm that a trunk has by (41): it fuses the branches once, from zero difference."""
        return math.hypot(*(self.norms[m] for m in self.problem.data.modalities))

    def trunk_by_rule(self, tolerance: float = 1e-9) -> bool:
        """Whether there is no trunk, or one whose norm is that of (41)."""
        return not self.problem.network.trunk.depth or math.isclose(self.norms[TRUNK], self.rule, rel_tol=tolerance)

    def simulated(self) -> Start:
        """This random start, if every weight of it can be simulated; from exactly zero a run says that it rests."""
        sizes = self.norms.values()
        if all(sizes):
            require_range(self.problem.network, self.norms)
        if any(0 < norm < SMALLEST_SIMULATED for norm in sizes):
            raise DomainError(
                f"u0 must be 0 or at least {SMALLEST_SIMULATED} to simulate every weight, got {self.u0!r}"
            )
        return self


def aligned_start(problem: Problem, u0: float | Mapping[str, float]) -> Start:
    """The aligned balanced start (43) as narrow as its modes: the same flow at any width."""
    network, data = problem.network, problem.data
    norms, full = start_norms(network, u0), partial(aligned_weights, network, data, u0)
    origin = {"start": "aligned", "u0": norms}
    return Start(problem, StartKind.ALIGNED, u0, norms, problem.aligned_signs, 0, lambda _: full(), full, origin)


def random_start(
    problem: Problem, u0: float | Mapping[str, float], width: int | None = None, seed: int = 0, kept: bool = True
) -> Start:
    """Every weight drawn up to a width of LARGEST_DRAWN, beyond it the narrow network from its own law.

    width : None for a start of which norms and course are asked for alone
    kept : hold the wide weights; else they are drawn again for each call
    """
    network, data = problem.network, problem.data
    norms = start_norms(network, u0)
    wide = 1 if width is None else width
    shapes = layer_shapes(network, data.sizes, data.outputs, wide)
    entries = sum(out * into for layers in shapes.values() for out, into in layers)

    def drawn() -> Weights:
        if width is None or width > LARGEST_DRAWN:
            raise DomainError(f"width must be at most {LARGEST_DRAWN} to run in full, got {width}; or give the weights")
        weights = random_weights(network, data, u0, width, seed)
        require_rank(network, data, weights)
        return weights

    full = cache(drawn) if kept else drawn
    law = cache(lambda: NarrowDraw(network, data, u0, wide, seed))

    def narrow(rounds: int) -> Weights:
        return law().rounds(rounds) if wide > LARGEST_DRAWN else compressed(network, full(), rounds)

    shown = {m: float(v) for m, v in u0.items()} if isinstance(u0, Mapping) else float(u0)
    origin = {"start": "random", "u0": shown, "width": width, "seed": seed}
    return Start(problem, StartKind.RANDOM, u0, norms, {}, entries, narrow, full, origin, width, seed)


def given_start(problem: Problem, weights: Mapping[str, Any]) -> Start:
    """From given weights, after a look at them; the race is run with the norms of their first chains."""
    network = problem.network
    first = checked_weights(network, problem.data, weights)
    norms = {m: float(np.sqrt(np.mean([np.sum(w * w) for w in first[m]]))) for m in network.modalities}
    signs = kept_signs(network, problem.data, first)
    digest = hashlib.sha256(b"".join(w.tobytes() for layers in first.values() for w in layers)).hexdigest()
    origin = {"start": "given", "weights": digest[:16]}
    return Start(
        problem, StartKind.GIVEN, None, norms, signs, count(first), lambda rounds: compressed(network, first, rounds),
        lambda: first, origin,
    )  # fmt: skip


def start_from(
    problem: Problem, u0: float | Mapping[str, float] | None, width: int, seed: int, weights: Mapping[str, Any] | None
) -> Start:
    """What a simulation starts from: given weights, or a random start of norm u0."""
    if weights is not None:
        return given_start(problem, weights)
    assert u0 is not None
    width, seed = checked_integer(width, "width", 1, WIDEST), checked_integer(seed, "seed", 0)
    return random_start(problem, u0, width, seed).simulated()
