"""What a batch is given and what it leaves behind: members, goals, half-times."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from derivations import Correlations
from derivations.critical.saddles import Course
from dynamics.runs.half_times import Status
from dynamics.simulation.batch.kernel import Kernel
from dynamics.starts.weights import Weights, require_products

OUT_OF_RANGE = "weights or units leave the range of floats: rescale the data, or use the law in logarithms"
STILL = "the start is exactly stationary, or the target has no correlation: nothing is ever learned"
DIVERGED = 1e100  # a total weight beyond this, times what is to be learned, cannot come back
EXCESS = 1e-6  # a run has settled at this share of the initial excess loss


@dataclass(frozen=True, eq=False)
class Member:
    """One trajectory to be: narrow weights, the saddles that it is expected to visit, and what errors call it."""

    weights: Weights
    course: Course
    label: str = "a member"

    @property
    def data(self) -> Correlations:
        return self.course.data


@dataclass(frozen=True, eq=False)
class Runs:
    """What a batch leaves behind: arrays with one entry a trajectory, rows in the order of the data's modalities.

    times : (M, N), inf where not reached
    lag : (N,), last less first in the course's order, from a clock that starts at the earlier of the two
    status : (M, N) of Status
    t, loss : (N,), where the run ended
    grown : (N,), by what factor the largest total weight has grown: a run that waits grows, one that is stuck does not
    energy : (N,), |loss lost - integral of |velocity|^2| / loss lost; nan for gradient descent
    balance : (N,), drift of the conserved matrices, as a share of the largest |W|^2 at the end; nan for descent
    settled : (N,), ended because nothing more can be learned, not by t_end or a budget
    steps : (N,)
    evaluations : calls of the kernel, for all trajectories together
    """

    times: np.ndarray
    lag: np.ndarray
    status: np.ndarray
    t: np.ndarray
    loss: np.ndarray
    grown: np.ndarray
    energy: np.ndarray
    balance: np.ndarray
    settled: np.ndarray
    steps: np.ndarray
    evaluations: int

    def until(self, chosen: np.ndarray) -> str:
        """Where the chosen ones ended, the earliest and the latest of them."""
        t = self.t[chosen]
        first, last = f"{np.min(t, initial=math.inf):.6g}", f"{np.max(t, initial=0.0):.6g}"
        return f"t = {first}" if first == last else f"t = {first} to {last}"


class Batch:
    """Members as arrays: kernel, goals and losses. `ids` choose trajectories; data alike are held once."""

    def __init__(self, members: Sequence[Member]) -> None:
        names = members[0].data.modalities
        self.count, self.names, self.labels = len(members), names, [m.label for m in members]
        shared = all(m.data is members[0].data for m in members)
        sets = [m.data for m in (members[:1] if shared else members)]
        self.kernel = Kernel(members[0].course.network, sets, [m.weights for m in members])
        self.never = np.array([[m in one.course.never for one in members] for m in names])
        self.overtaken = np.array([[m in one.course.overtaken for one in members] for m in names])
        self.singular = np.array([one.data.is_singular for one in members])
        ends = [(one.course.order[0], one.course.order[-1]) for one in members]
        self.first, self.last = (np.array([names.index(end[i]) for end in ends]) for i in (0, 1))
        shared = shared and all(m.course is members[0].course for m in members)
        chosen = members[:1] if shared else members
        self.along = np.stack([_along(one) for one in chosen], axis=-1)
        self.sigma = np.stack([np.asarray(one.data.sigma) for one in chosen], axis=-1)
        self.optimum = np.stack([np.atleast_2d(one.data.optimum) for one in chosen], axis=-1)
        self.least = np.array([_least_loss(one.data) for one in chosen])
        self.reachable = np.array([one.course.lowest_loss for one in chosen]) - self.least
        self.shared = shared

    def _of(self, array: np.ndarray, ids: np.ndarray) -> np.ndarray:
        return array if self.shared else array[..., ids]

    def shares(self, total: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """Projection of each W^tot on its plateau as a share of it, less one half, (M, len(ids))."""
        return np.asarray(np.einsum("mpdn,pdn->mn", self._of(self.along, ids), total) - 0.5)

    def excess(self, total: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """Loss above the optimum, (len(ids),)."""
        gap = total - self._of(self.optimum, ids)
        return np.asarray(np.sum(gap * np.einsum("pdn,den->pen", gap, self._of(self.sigma, ids)), axis=(0, 1)) / 2)

    def settled(self, total: np.ndarray) -> np.ndarray:
        """Excess at which each trajectory, at `total` now, will have settled, (N,)."""
        begin = self.excess(total, np.arange(self.count))
        return np.asarray(self.reachable + EXCESS * np.maximum(begin - self.reachable, 0.0))


def _along(member: Member) -> np.ndarray:
    """(M, outputs, D) with <row m, W^tot> = share of the plateau of m; zero for what is never learned."""
    data = member.data
    rows = np.zeros((len(data.modalities), data.outputs, len(data.sigma)))
    for i, m in enumerate(data.modalities):
        goal = member.course.plateaus[m]
        largest = float(np.max(np.abs(goal))) or 1.0  # squares of large or small units leave the range
        size = float(np.sum((goal / largest) ** 2)) or 1.0
        rows[i, :, data.span(m)] = goal / largest / size / largest
    return rows


def _least_loss(data: Correlations) -> float:
    explained = float(np.sum(np.atleast_2d(data.optimum) * np.atleast_2d(data.sigma_yx)))
    return max(float(np.trace(np.atleast_2d(data.sigma_yy))) - explained, 0.0) / 2


class HalfTimeRecord:
    """Half-times as they are met, and the lag by a clock of its own. `begin`, `moved`: total weights and slope now."""

    def __init__(self, batch: Batch, members: Sequence[Member], begin: np.ndarray, moved: np.ndarray) -> None:
        self.batch, self.begin = batch, begin.copy()
        self.goal, self.still = batch.settled(begin), np.all(moved == 0, axis=0)
        for i in np.flatnonzero(self.still).tolist():
            require_products(members[i].course.network, members[i].weights)
        past = ~batch.never & (batch.shares(begin, np.arange(batch.count)) >= 0)
        self.times = np.where(past, 0.0, math.inf)
        first, last = past[batch.first, np.arange(batch.count)], past[batch.last, np.arange(batch.count)]
        self.lag = np.where(first & last & (batch.first != batch.last), 0.0, math.nan)
        self.clock = np.where(first | last, 0.0, math.nan)  # runs from the earlier of first and last on

    def waiting(self, ids: np.ndarray) -> np.ndarray:
        """(M, len(ids)): may be learned and is not yet."""
        return np.asarray(~self.batch.never[:, ids] & np.isinf(self.times[:, ids]))

    def crossed(self, before: np.ndarray, after: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """(M, len(ids)): passes half of its plateau in this step."""
        return np.asarray((before < 0) & (after >= 0) & self.waiting(ids))

    def advance(
        self, ids: np.ndarray, t: np.ndarray, h: np.ndarray, m: np.ndarray, k: np.ndarray, theta: np.ndarray
    ) -> None:
        """A step of length h from t: modality m[i] of trajectory ids[k[i]] is met at a share theta[i] of it."""
        batch = self.batch
        self.clock[ids] += h  # nan until it is started
        for i in np.argsort(theta, kind="stable"):
            modality, one, step = m[i], ids[k[i]], h[k[i]]
            self.times[modality, one] = t[k[i]] + theta[i] * step
            ends = (batch.first[one], batch.last[one])
            if modality in ends and ends[0] != ends[1]:
                left = (1 - theta[i]) * step
                if np.isnan(self.clock[one]):
                    self.clock[one] = left
                elif np.isnan(self.lag[one]):
                    self.lag[one] = (1 if modality == ends[1] else -1) * (self.clock[one] - left)

    def finished(self, ids: np.ndarray, total: np.ndarray, settle: np.ndarray) -> np.ndarray:
        """Which of these have nothing more to wait for.

        An overtaken modality, and any where sigma is singular, is waited for only until the loss has settled; so is
        all of a trajectory in `settle`.
        """
        waiting = self.waiting(ids)
        done = ~np.any(waiting & ~self.batch.overtaken[:, ids], axis=0) | self.batch.singular[ids]
        unsure = settle[ids] | np.any(waiting, axis=0)  # nothing is sure to come
        if np.any(done & unsure):
            done &= ~unsure | (self.batch.excess(total, ids) <= self.goal[ids])
        return np.asarray(done | self.still[ids])

    def runs(
        self, last: np.ndarray, t: np.ndarray, steps: np.ndarray, settled: np.ndarray, evaluations: int,
        balance: np.ndarray, work: np.ndarray | None = None,
    ) -> Runs:  # fmt: skip
        """All of it, from the total weights at the end; `work` is the integral of |velocity|^2 where it is known."""
        everyone = np.arange(self.batch.count)
        excess, energy = self.batch.excess(last, everyone), np.full(len(everyone), math.nan)
        with np.errstate(invalid="ignore", divide="ignore"):
            if work is not None:
                lost = self.batch.excess(self.begin, everyone) - excess
                energy = np.where(work > 0, np.abs(lost - work) / work, 0.0)
            grown = np.max(np.abs(last), axis=(0, 1)) / np.max(np.abs(self.begin), axis=(0, 1))
        reached = np.isfinite(self.times)
        never = (self.batch.never | self.still) & ~reached
        status = np.where(reached, Status.REACHED, np.where(never, Status.NEVER, Status.NOT_REACHED))
        loss = self.batch.least + excess
        return Runs(self.times, self.lag, status, t, loss, grown, energy, balance, settled, steps, evaluations)
