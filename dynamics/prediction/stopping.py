"""Stopping: predicted training and test error along t, where the test error is lowest, and what that leaves out.

A modality that is learned late may not be there yet where early stopping ends training: then its bias, which training
would undo, stays. Figure 5 of the paper shows it of few rows and many inputs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from derivations import Correlations
from dynamics.data.held_out import HeldOut
from dynamics.runs.trajectory import Trajectory, losses
from dynamics.strict_json import strict, told
from dynamics.tables import Drawn, Shown, Table, number, percent

GAIN = 0.01  # share of the test error at the end that early stopping has to take off to be worth it
NOTHING = 1e-3  # of all that is put out in the end: what puts out less has no share
POINTS = 200  # of a curve in JSON
GRID, EARLY = 600, 0.05  # times at which several curves are averaged, from this share of the first half-time on


@dataclass(frozen=True, eq=False, repr=False)
class Stopping(Shown, Drawn):
    """Training and test error along a predicted run, and where the test error is lowest.

    t : (T,), in units of tau
    test, train : (T,), half the mean squared error on the rows held out and on those left, without what a recipe adds
    shares : modality -> (T,), what it puts out as a share of what it puts out in the end, on the rows left; nan where
        it puts out nothing in the end
    times : modality -> half-time of this run, inf where it is not reached
    mean : test error of predicting the mean of the rows left
    rows, held : how many rows are left and held out
    alone : modality -> lowest test error of a network that sees it alone; empty where that is not looked at
    notes : what to know of the run
    """

    figure: ClassVar[str] = "figures.stopping"

    t: np.ndarray
    test: np.ndarray
    train: np.ndarray
    shares: Mapping[str, np.ndarray]
    times: Mapping[str, float]
    mean: float
    rows: int
    held: int
    alone: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, run: Trajectory, split: HeldOut, alone: Mapping[str, float] | None = None, notes: Sequence[str] = ()
    ) -> Stopping:
        """From a run on the rows left."""
        data = split.left
        packed = packed_of(data, run)
        shares = {m: share_of_end(data, m, packed) for m in run.order}
        rows = 0 if data.samples is None else data.samples.count
        test, train = split.errors(packed), losses(data, packed)
        times = {m: run.times[m] for m in run.order}
        return cls(run.t, test, train, shares, times, split.spread, rows, split.count, alone or {}, tuple(notes))

    def __post_init__(self) -> None:
        for array in (self.t, self.test, self.train, *self.shares.values()):
            array.setflags(write=False)

    @cached_property
    def best(self) -> int:
        """The step of the lowest test error."""
        return int(np.argmin(self.test))

    @property
    def t_best(self) -> float:
        """When the test error is lowest, in units of tau."""
        return float(self.t[self.best])

    @property
    def error_best(self) -> float:
        return float(self.test[self.best])

    @property
    def error_end(self) -> float:
        return float(self.test[-1])

    @property
    def loss_best(self) -> float:
        """Training error at t_best: a mark that also holds where a network is faster or slower than predicted."""
        return float(self.train[self.best])

    @property
    def gain(self) -> float:
        """Share of the test error at the end that stopping at t_best takes off."""
        return 1 - self.error_best / self.error_end if self.error_end > 0 else 0.0

    @property
    def helps(self) -> bool:
        """Whether early stopping takes off more than GAIN."""
        return self.gain > GAIN

    @property
    def left(self) -> dict[str, float]:
        """Modality -> what early stopping leaves of it: its output at t_best as a share of that at the end."""
        return {m: float(share[self.best]) for m, share in self.shares.items()}

    @property
    def cut_off(self) -> tuple[str, ...]:
        """Modalities that are learned after t_best, while another is learned before: their bias is permanent."""
        return later(self.times, self.t_best) if self.helps else ()

    def sentences(self, learning_rate: float | None = None) -> list[str]:
        """When to stop, what is not learned by then, and whether one modality alone does better."""
        best, end = number(self.error_best, 3), number(self.error_end, 3)
        level, found = number(self.mean, 3), list[str]()
        if self.error_best >= self.mean * (1 - GAIN):
            found.append(f"no time of this run beats predicting the mean of the target, of test error {level}")
        elif self.helps:
            at = f"{at_time(self.t_best, learning_rate)}, at training loss {number(self.loss_best, 3)}"
            found += [f"{at}: test error {best}, at the end {end}", bias(self.left, self.cut_off, self.times)]
        else:
            found.append(f"at the end: test error {end}; early stopping changes nothing ({best} at the lowest)")
        better = min(self.alone, key=lambda m: self.alone[m]) if len(self.alone) > 1 else None
        if better is not None and self.alone[better] < self.error_best * (1 - GAIN):
            alone = number(self.alone[better], 3)
            found.append(f"{better} alone comes to {alone}: here the rest costs more than it brings")
        return [*found, f"by {self.held} rows held out, the run of the other {self.rows}", *self.notes]

    @property
    def table(self) -> Table:
        """When to stop, and what each modality has learned by then."""
        rows = []
        for m, left in self.left.items():
            alone = number(self.alone[m], 3) if m in self.alone else "-"
            rows.append((m, number(self.times[m]), percent_of(left), alone))
        first, *rest = self.sentences()
        head = ("modality", "half of its output at [tau]", "of its end, when stopped", "test error alone")
        return Table(f"To stop: {first}", head, tuple(rows), tuple(rest))

    def to_dict(self) -> dict[str, Any]:
        """What `predict --json` prints; curves at POINTS times at the most, the best one among them."""
        some = np.unique([*np.linspace(0, len(self.t) - 1, min(POINTS, len(self.t)) - 1).astype(int), self.best])
        curves = {name: strict(getattr(self, name)[some]) for name in ("t", "test", "train")}
        names = "t_best loss_best error_best error_end mean gain helps left cut_off alone rows held notes"
        return {**told(self, names), "curves": curves}


@dataclass(frozen=True, eq=False, repr=False)
class Stoppings(Shown):
    """The same of several splits of the rows: how far a stopping time can be trusted.

    each : one a split
    share : of the rows that each holds out
    """

    each: tuple[Stopping, ...]
    share: float

    @cached_property
    def t(self) -> np.ndarray:
        """Times at which the curves are averaged, even in logarithms."""
        end = max(float(one.t[-1]) for one in self.each)
        known = [t for one in self.each for t in one.times.values() if 0 < t < math.inf]
        return np.geomspace(EARLY * min(known, default=end), end, GRID)

    @cached_property
    def tests(self) -> np.ndarray:
        """(splits, T): test errors; a run that has ended stays where it is."""
        return np.array([np.interp(self.t, one.t, one.test) for one in self.each])

    @property
    def mean(self) -> np.ndarray:
        """(T,): the mean of the test errors."""
        return np.asarray(np.mean(self.tests, axis=0))

    @property
    def t_best(self) -> float:
        """When the mean of the test errors is lowest, in units of tau."""
        return float(self.t[np.argmin(self.mean)])

    @property
    def loss_best(self) -> float:
        """Training error at t_best, median over the splits."""
        return float(np.median([np.interp(self.t_best, one.t, one.train) for one in self.each]))

    @property
    def scatter(self) -> tuple[float, float]:
        """Earliest and latest of the best times of single splits."""
        times = [one.t_best for one in self.each]
        return min(times), max(times)

    @property
    def costs(self) -> np.ndarray:
        """(splits,): by which share the test error at t_best is above that at the split's own best time."""
        least = np.array([one.error_best for one in self.each])
        return np.asarray(self.tests[:, np.argmin(self.mean)] / np.where(least > 0, least, 1.0) - 1)

    @property
    def gain(self) -> float:
        """Share of the mean test error at the end that stopping at t_best takes off."""
        end = float(np.mean([one.error_end for one in self.each]))
        return 1 - float(np.min(self.mean)) / end if end > 0 else 0.0

    @property
    def helps(self) -> bool:
        return self.gain > GAIN

    @property
    def left(self) -> dict[str, float]:
        """Modality -> output at t_best as a share of that at the end, median over the splits."""
        shares = [{m: np.interp(self.t_best, one.t, share) for m, share in one.shares.items()} for one in self.each]
        return {m: float(np.median([one[m] for one in shares])) for m in self.each[0].shares}

    @property
    def times(self) -> dict[str, float]:
        """Modality -> half-time, median over the splits."""
        return {m: float(np.median([one.times[m] for one in self.each])) for m in self.each[0].times}

    @property
    def cut_off(self) -> tuple[str, ...]:
        return later(self.times, self.t_best) if self.helps else ()

    def sentences(self, learning_rate: float | None = None) -> list[str]:
        """When to stop, what is not learned by then, and how far that can be trusted."""
        best, end = float(np.min(self.mean)), float(np.mean([one.error_end for one in self.each]))
        level = float(np.mean([one.mean for one in self.each]))
        many = f"{len(self.each)} split{'' if len(self.each) == 1 else 's'}, {100 * self.share:.3g} % held out"
        if best >= level * (1 - GAIN):
            told = f"of test error {number(level, 3)} ({many})"
            return [f"no time of these runs beats predicting the mean of the target, {told}"]
        if not self.helps:
            at = f"at the end: test error {number(end, 3)}"
            return [f"{at}; early stopping changes nothing ({number(best, 3)} at the lowest; {many})"]
        at = f"{at_time(self.t_best, learning_rate)}, at training loss {number(self.loss_best, 3)}"
        found = [f"{at}: test error {number(best, 3)}, at the end {number(end, 3)} (means of {many})"]
        early, late = (number(t, 3) for t in self.scatter)
        helped = sum(one.helps for one in self.each)
        middle, most = (percent(float(cost)) for cost in (np.median(self.costs), np.max(self.costs)))
        trust = (
            f"best times of single splits: {early} to {late} tau; to stop all at {number(self.t_best, 3)} tau costs "
            f"{middle} of the test error in the median, {most} at most; early stopping helps in {helped} of them"
        )
        return [*found, bias(self.left, self.cut_off, self.times), trust]

    @property
    def table(self) -> Table:
        rows = []
        for m, left in self.left.items():
            times = [one.times[m] for one in self.each]
            each = [one.left[m] for one in self.each]
            between = f"{percent_of(min(each))} to {percent_of(max(each))}"
            rows.append((m, f"{number(min(times), 3)} to {number(max(times), 3)}", f"{percent_of(left)} ({between})"))
        first, *rest = self.sentences()
        head = ("modality", "learned at [tau]", "of its end, when stopped (splits at their own best)")
        return Table(f"To stop: {first}", head, tuple(rows), tuple(rest))

    def to_dict(self) -> dict[str, Any]:
        """What `report --json` prints."""
        names = "t_best loss_best scatter costs gain helps left cut_off share"
        return {**told(self, names), "each": [one.to_dict() for one in self.each]}


def packed_of(data: Correlations, run: Trajectory) -> np.ndarray:
    """Total weights of a run, (T, outputs, D)."""
    return np.concatenate([run.total[m].reshape(len(run.t), data.outputs, -1) for m in data.modalities], axis=2)


def share_of_end(data: Correlations, m: str, packed: np.ndarray) -> np.ndarray:
    """What m puts out along what it puts out in the end, (T,): 1 in the end; nan where that is nothing.

    The inner product of outputs on the data, <W, W_end>_Sigma_m / <W_end, W_end>_Sigma_m.
    """
    end, block = packed[-1][:, data.span(m)], data.input_block(m, m)
    power = float(np.sum((end @ block) * end))
    whole = float(np.trace(packed[-1] @ data.sigma @ packed[-1].T))
    if power <= NOTHING**2 * whole or power == 0:
        return np.full(len(packed), math.nan)
    return np.asarray(np.sum(packed[:, :, data.span(m)] * (end @ block), axis=(1, 2)) / power)


def later(times: Mapping[str, float], t_best: float) -> tuple[str, ...]:
    """Who has its half-time after t_best, while another is learned by then."""
    found = tuple(m for m, t in times.items() if t > t_best)
    return found if len(found) < len(times) else ()


def bias(left: Mapping[str, float], lost: Sequence[str], times: Mapping[str, float]) -> str:
    """How much of the bias early stopping makes permanent."""
    if lost:
        each = ", ".join(
            f"{m} ({percent_of(left[m])} of its output is there, half at {number(times[m], 3)} tau)" for m in lost
        )
        return f"cut off by early stopping: {each}; the bias towards what is learned stays for good"
    shares = ", ".join(f"{m} {percent_of(share)}" for m, share in left.items() if not math.isnan(share))
    return f"there by then, of what training ends with: {shares}"


def at_time(t: float, learning_rate: float | None) -> str:
    """At so many tau, and steps."""
    steps = "" if learning_rate is None else f" ({number(t / learning_rate, 3)} steps at rate {learning_rate:g})"
    return f"at {number(t, 3)} tau{steps}"


def percent_of(share: float) -> str:
    return "-" if math.isnan(share) else f"{100 * share:.0f} %"
