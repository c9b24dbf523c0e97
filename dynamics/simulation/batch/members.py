"""What a batch is given and what it leaves behind: members, goals, half-times."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from types import MappingProxyType

import numpy as np

from derivations import Correlations
from derivations.critical.saddles import Course
from dynamics.runs.half_times import Status, excess_left
from dynamics.runs.plateaus import as_run, doubted
from dynamics.simulation.batch.kernel import Kernel
from dynamics.simulation.rest import Rest
from dynamics.simulation.system import Path
from dynamics.starts.weights import Weights, require_products

OUT_OF_RANGE = "weights or units leave the range of floats: rescale the data, or use the law in logarithms"
STILL = (
    "the start is exactly stationary, the target has no correlation, or weight decay holds it at zero: nothing is ever "
    "learned"
)
NO_PATHS: Mapping[int, Path] = MappingProxyType({})
DIVERGED = 1e100  # a total weight beyond this, times what is to be learned, cannot come back


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
    lags : (M, M, N), half-time of the second less that of the first, from a clock that starts at the earlier of the
        two; nan unless both are reached
    status : (M, N) of Status
    t, loss : (N,), where the run ended
    grown : (N,), by what factor the largest total weight has grown: a run that waits grows, one that is stuck does not
    energy : (N,), |loss lost - integral of |velocity|^2| / loss lost; nan for gradient descent
    balance : (N,), drift of the conserved matrices, as a share of the largest |W|^2 at the end; nan for descent
    settled : (N,), ended because nothing more can be learned, not by t_end or a budget
    steps : (N,)
    last : (outputs, D, N), total weights where the run ended
    evaluations : calls of the kernel, for all trajectories together
    """

    times: np.ndarray
    lags: np.ndarray
    status: np.ndarray
    t: np.ndarray
    loss: np.ndarray
    grown: np.ndarray
    energy: np.ndarray
    balance: np.ndarray
    settled: np.ndarray
    steps: np.ndarray
    last: np.ndarray
    evaluations: int

    def at(self, chosen: Sequence[int]) -> Runs:
        """Some of the trajectories."""
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        for name, values in found.items():
            if isinstance(values, np.ndarray):
                found[name] = values[..., list(chosen)]
        return Runs(**found)

    def replaced(self, chosen: np.ndarray, others: Runs) -> Runs:
        """With the trajectories `chosen` as in `others`."""
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        for name, values in found.items():
            if isinstance(values, np.ndarray):
                found[name] = values.copy()
                found[name][..., chosen] = getattr(others, name)
        return Runs(**{**found, "evaluations": self.evaluations + others.evaluations})

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
        one_way = shared and all(m.course.terms == members[0].course.terms for m in members)
        terms = [m.course.terms for m in (members[:1] if one_way else members)]
        self.kernel = Kernel(members[0].course.network, sets, [m.weights for m in members], terms)
        self.decays = self.kernel.decay is not None
        self.never = np.array([[m in one.course.never for one in members] for m in names])
        self.overtaken = np.array([[m in one.course.overtaken for one in members] for m in names])
        self.share = np.array([excess_left(one.data) for one in members])
        self.singular = np.array([one.data.is_singular for one in members])
        self.collinear = np.array([one.data.is_collinear for one in members])
        shared = shared and all(m.course is members[0].course for m in members)
        chosen = members[:1] if shared else members
        self.along = np.stack([_along(one) for one in chosen], axis=-1)
        self.sigma = np.stack([np.asarray(one.data.sigma) for one in chosen], axis=-1)
        self.optimum = np.stack([np.atleast_2d(one.data.optimum) for one in chosen], axis=-1)
        self.least = np.array([_least_loss(one.data) for one in chosen])
        self.reachable = np.array([one.course.lowest_loss for one in chosen]) - self.least
        self.shared = shared
        self.end, self.rest, self.open = self.optimum, None, np.array([one.course.is_open for one in members])
        if self.decays:  # what is left to settle is the way to where training rests, which is not the least loss
            ends = [one.course.saddles[-1].total for one in chosen]
            self.end = np.stack([np.hstack([end[m] for m in names]) for end in ends], axis=-1)
            self.reachable = np.zeros(len(chosen))
            self.rest, self.belongs = Rest([one.course for one in chosen], self.kernel.layers), self.kernel.belongs()

    def _of(self, array: np.ndarray, ids: np.ndarray) -> np.ndarray:
        return array if self.shared else array[..., ids]

    def shares(self, total: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """The share of its plateau's output that each has, less one half, (M, len(ids))."""
        return np.asarray(np.einsum("mpdn,pdn->mn", self._of(self.along, ids), total) - 0.5)

    def excess(self, total: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """Loss above the optimum, (len(ids),)."""
        return self._above(total, self.optimum, ids)

    def left(self, total: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """What is left to settle: loss above the optimum, or above where weight decay lets training rest."""
        return self._above(total, self.end, ids)

    def _above(self, total: np.ndarray, goal: np.ndarray, ids: np.ndarray) -> np.ndarray:
        gap = total - self._of(goal, ids)
        return np.asarray(np.sum(gap * np.einsum("pdn,den->pen", gap, self._of(self.sigma, ids)), axis=(0, 1)) / 2)

    def settled(self, total: np.ndarray) -> np.ndarray:
        """Excess at which each trajectory, at `total` now, will have settled, (N,)."""
        begin = self.left(total, np.arange(self.count))
        return np.asarray(self.reachable + self.share * np.maximum(begin - self.reachable, 0.0))

    def at_rest(self, state: np.ndarray, moved: np.ndarray, total: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """(len(ids),): with weight decay, whether nothing can be learned any more, whatever the course expects."""
        if self.rest is None:
            return np.zeros(len(ids), dtype=bool)
        norms, speeds = np.sqrt(self.belongs @ state**2), np.sqrt(self.belongs @ moved**2)
        return self.rest.settled(norms, speeds, total, slice(None) if self.shared else ids)

    def balance_kept(self, t: np.ndarray) -> np.ndarray | float:
        """Share of a conserved matrix that is left at t, (135); nan where decays differ or encoders are modulated."""
        kernel = self.kernel
        if kernel.kept is not None:
            return math.nan
        if kernel.decay is None:
            return 1.0
        even = np.all(kernel.decay == kernel.decay[0], axis=0)
        return np.asarray(np.where(even, np.exp(-2 * kernel.decay[0] * t), math.nan))

    def decay_energy(self, state: np.ndarray) -> np.ndarray:
        """1/2 sum of lambda |W|^2, (N,)."""
        return np.zeros(state.shape[1]) if not self.decays else np.sum(self.kernel.decay * state**2, axis=0) / 2


def along_own_courses(members: Sequence[Member], attempt: Callable[[Sequence[int], Sequence[Member]], Runs]) -> Runs:
    """Runs of these, and of those that disagree with their course once more along their own (`runs.plateaus`).

    attempt(places, members) runs some of them
    """
    runs, own = attempt(range(len(members)), members), {}
    names = members[0].data.modalities
    asked = np.any(runs.status != Status.REACHED, axis=0) | np.array([m.data.is_collinear for m in members])
    for i in np.flatnonzero(asked).tolist():
        course, end = members[i].course, runs.last[None, :, :, i]
        status = {m: Status(str(runs.status[k, i])) for k, m in enumerate(names)}
        if not runs.settled[i]:
            known = doubted(course, end[0], status, settled=False)
            runs.status[:, i] = [known[m] for m in names]
            continue
        by_run = as_run(course, runs.t[i : i + 1], end, status)
        if by_run is not course:
            own[i] = replace(members[i], course=by_run)
    return runs.replaced(np.array(list(own)), attempt(list(own), list(own.values()))) if own else runs


def _along(member: Member) -> np.ndarray:
    """(M, outputs, D) with <row m, W^tot> = share of the plateau of m; zero for what is never learned."""
    data = member.data
    rows = np.zeros((len(data.modalities), data.outputs, len(data.sigma)))
    for i, m in enumerate(data.modalities):
        if m in member.course.along:
            rows[i, :, data.span(m)] = member.course.along[m]
    return rows


def _least_loss(data: Correlations) -> float:
    explained = float(np.sum(np.atleast_2d(data.optimum) * np.atleast_2d(data.sigma_yx)))
    return max(float(np.trace(np.atleast_2d(data.sigma_yy))) - explained, 0.0) / 2


class HalfTimeRecord:
    """Half-times as they are met, lags by clocks of their own. `begin`, `moved`: total weights and slope now."""

    def __init__(self, batch: Batch, members: Sequence[Member], begin: np.ndarray, moved: np.ndarray) -> None:
        self.batch, self.begin = batch, begin.copy()
        self.goal, self.still = batch.settled(begin), np.all(moved == 0, axis=0)
        for i in np.flatnonzero(self.still).tolist():
            require_products(members[i].course.network, members[i].weights)
        past = ~batch.never & (batch.shares(begin, np.arange(batch.count)) >= 0)
        self.times = np.where(past, 0.0, math.inf)
        self.since = np.where(past, 0.0, math.nan)  # clocks that start at the half-times
        self.lags = np.where(past[:, None] & past[None], 0.0, math.nan)

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
        self.since[:, ids] += h  # nan until it is started
        for i in np.argsort(theta, kind="stable"):
            modality, one, left = m[i], ids[k[i]], (1 - theta[i]) * h[k[i]]
            self.times[modality, one] = t[k[i]] + theta[i] * h[k[i]]
            self.lags[:, modality, one] = self.since[:, one] - left
            self.lags[modality, :, one] = -self.lags[:, modality, one]
            self.lags[modality, modality, one] = 0.0
            self.since[modality, one] = left

    def finished(self, ids: np.ndarray, total: np.ndarray, settle: np.ndarray) -> np.ndarray:
        """Which of these have nothing more to wait for.

        An overtaken modality is waited for only until the loss has settled; so is all in `settle`, or with singular
        inputs. With collinear ones the end says what is learned.
        """
        waiting = self.waiting(ids)
        done = ~np.any(waiting & ~self.batch.overtaken[:, ids], axis=0) | self.batch.singular[ids]
        unsure = settle[ids] | self.batch.collinear[ids] | np.any(waiting, axis=0)  # nothing is sure to come
        if np.any(done & unsure):
            done &= ~unsure | (self.batch.left(total, ids) <= self.goal[ids])
        return np.asarray((done & ~self.batch.open[ids]) | self.still[ids])

    def runs(
        self, last: np.ndarray, t: np.ndarray, steps: np.ndarray, settled: np.ndarray, evaluations: int,
        balance: np.ndarray, work: np.ndarray | None = None, decayed: np.ndarray | float = 0.0,
    ) -> Runs:  # fmt: skip
        """All of it, from the total weights at the end; `work` is the integral of |velocity|^2 where it is known.

        decayed : by how much the energy of weight decay has fallen
        """
        everyone = np.arange(self.batch.count)
        excess, energy = self.batch.excess(last, everyone), np.full(len(everyone), math.nan)
        with np.errstate(invalid="ignore", divide="ignore"):
            if work is not None:
                lost = self.batch.excess(self.begin, everyone) - excess + decayed
                energy = np.where(work > 0, np.abs(lost - work) / work, 0.0)
            grown = np.max(np.abs(last), axis=(0, 1)) / np.max(np.abs(self.begin), axis=(0, 1))
        reached = np.isfinite(self.times)
        never = (self.batch.never | self.still) & ~reached
        status = np.where(reached, Status.REACHED, np.where(never, Status.NEVER, Status.NOT_REACHED))
        loss = self.batch.least + excess
        return Runs(
            self.times, self.lags, status, t, loss, grown, energy, balance, settled, steps, last, evaluations
        )  # fmt: skip
