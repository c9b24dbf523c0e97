"""A flow as the march needs it, and what a run leaves behind."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

import numpy as np

from derivations import SolveError

SMALL_STATE = 64  # up to here LSODA by its own differences; beyond, by the slope, or the explicit DOP853 without one
KEPT, FEWEST_KEPT, NUMBERS = 512, 32, 10**7  # states of a run's path: at most, at least, and numbers in all
SECONDS, LEAST_SECONDS = 0.005, 60.0  # on the wall for each step of a budget, and at least: a step may take any time


def failed(t: float, message: str | None) -> SolveError:
    """What an integrator that gives up says, with the way out."""
    return SolveError(f"the integrator failed at t = {t:.6g}: {message}; a larger u0 or another rtol may go through")


def seconds_for(max_steps: int) -> float:
    """The time that goes with a budget of steps."""
    return max(LEAST_SECONDS, SECONDS * max_steps)


@dataclass(frozen=True)
class System:
    """A flow as a phase needs it.

    velocity(state) -> (d state/dt, rates): rates maps modality -> growth rate of its first layer.
    total(state) -> packed total weights (outputs, D).
    owned : modality -> slice of the state that belongs to it alone (empty: nothing may be slowed).
    relative : relative tolerance of each component, where they differ.
    sensitivity(state) -> G (n, K), and metric (K, K): -G metric G^T is the stiff part of the Jacobian of a state too
        large for a dense one (`batch.steppers.rosenbrock`).
    slope(state) -> d velocity / d state (n, n), and modality -> d rate / d state (n,): where it is given, the
        implicit methods of SciPy are used whatever the size.
    rests(state) : with weight decay, whether nothing can be learned any more.
    """

    velocity: Callable[[np.ndarray], tuple[np.ndarray, Mapping[str, float]]]
    total: Callable[[np.ndarray], np.ndarray]
    start: np.ndarray
    atol: np.ndarray
    owned: Mapping[str, slice] = field(default_factory=dict)
    relative: np.ndarray | None = None
    sensitivity: Callable[[np.ndarray], np.ndarray] | None = None
    metric: np.ndarray | None = None
    slope: Callable[[np.ndarray], tuple[np.ndarray, Mapping[str, np.ndarray]]] | None = None
    rests: Callable[[np.ndarray], bool] | None = None


@dataclass
class Path:
    """States on the way of a run, evenly spaced in steps; `most` of them, and NUMBERS numbers, at most."""

    most: int = KEPT
    states: list[np.ndarray] = field(default_factory=list)
    passed: int = 0
    stride: int = 1

    def restart(self, state: np.ndarray) -> None:
        self.states, self.passed, self.stride = [state.copy()], 0, 1

    def pass_by(self, state: np.ndarray) -> None:
        """Another step's end."""
        self.passed += 1
        if self.passed % self.stride == 0:
            self.states.append(state.copy())
            if len(self.states) >= max(FEWEST_KEPT, min(self.most, NUMBERS // len(state))):
                del self.states[1::2]
                self.stride *= 2

    def chosen(self, most: int) -> list[np.ndarray]:
        """So many of them, the first and the last among them."""
        count = len(self.states)
        places = np.unique(np.linspace(0, count - 1, min(most, count)).round().astype(int))
        return [self.states[i] for i in places]


@dataclass
class Record:
    """What a run leaves behind while it goes on: its own steps, and the points at the times asked for.

    queue : times still to come, None if none were asked for
    marks : what passes zero on the way, of packed total weights, and -> mark_times; inf while it has not
    path : None keeps none
    """

    t: list[float]
    total: list[np.ndarray]
    queue: list[float] | None
    marks: dict[Any, Callable[[np.ndarray], float]] = field(default_factory=dict)
    mark_times: dict[Any, float] = field(default_factory=dict)
    asked_t: list[float] = field(default_factory=list)
    asked_total: list[np.ndarray] = field(default_factory=list)
    path: Path | None = None
    steps: int = 0
    evaluations: int = 0
    until: float = math.inf  # of the clock on the wall

    def close(self, t: float, total: np.ndarray) -> None:
        """The end of the run is at t, to rounding: times asked for up to it that the last step missed by a hair."""
        missed = [asked for asked in self.queue or [] if asked <= t]
        self.asked_t += missed
        self.asked_total += [total] * len(missed)

    def hold(self, t: float, total: np.ndarray) -> None:
        """The end of a run in which nothing changes any more up to t."""
        self.t.append(t)
        self.total.append(total)
        self.close(math.inf, total)


class End(Enum):
    """Why a phase ended."""

    LEARNED = auto()
    SETTLED = auto()
    STOPPED = auto()
    BUDGET = auto()
    STUCK = auto()  # the integrator gave up


@dataclass(frozen=True)
class Outcome:
    """End of a phase: the modality learned, the state, the time that the phase took."""

    end: End
    state: np.ndarray
    elapsed: float
    modality: str | None = None
