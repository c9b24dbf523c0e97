"""A narrow ReLU network that learns as a wide one does: one unit for all that point alike before they are learned.

Near zero a unit does not see the others, so that those that point alike add up: together they are one unit whose size
is the root of the sum of their squares. Later on the narrow network is a network of its own (the ansatz of (164)).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from derivations import SolveError
from dynamics.nonlinear.growth import Sites, growing, sites
from dynamics.runs.half_times import HALF, first_time

RTOL = 1e-4  # of a step, beside the size of a unit
FLOOR = 1.0  # steps are not smaller than this over the sharpness: a unit that slides along a kink would stop the run
MOST_STEPS = 200_000
ALIKE, MOST_UNITS = 0.95, 20  # cosine from which units are one; units of a layer
POINTS = 400  # looks at the run
SETTLED = 0.01  # share of what the loss has lost that the last third of a run may still take off
DORMANT, WAKING = 0.1, 0.5  # a modality whose units are this share of the largest, and gain so many e-foldings there
FLANK = 0.1  # of the share of the part at the end, on both sides of 1/2
LONGEST = 16  # times the end that was asked for


@dataclass(frozen=True, eq=False)
class Grown:
    """A hidden layer merged into one unit a site.

    sites : (k,)
    size : (k,), of both layers of the merged unit at t = 0, in the mean over random starts; 0 where no unit went
    scatter : (k,), variance over mean^2 of the squared size that one unit brings: over `width`, of the sum of them
    dead : share of the units that no sample makes active
    """

    sites: Sites
    size: np.ndarray
    scatter: np.ndarray
    dead: float

    def typical(self, width: int) -> np.ndarray:
        """The size in the median over starts of this width: squared sizes scatter about as a lognormal does."""
        return np.asarray(self.size / np.sqrt(np.sqrt(1 + self.scatter / width)))


def grown(x: np.ndarray, y: np.ndarray, w: np.ndarray, c: np.ndarray, log_span: float) -> Grown:
    """Follow units (n, d), (n, o) near zero, find where they end, and merge them; as one layer of width n.

    log_span : e-foldings of the fastest, ln of 1/(its size at the start)
    """
    end_w, end_c, log_size, span = growing(x, y, w, c, log_span)
    found = sites(x, y, np.vstack([end_w, w]))
    count = len(w)
    if not len(found):
        nothing = np.zeros(0)
        return Grown(found, nothing, nothing, 1.0)
    active = np.any((x @ end_w.T) > 0, axis=0)
    at = found.nearest(end_w, end_c)
    along = np.sum(end_w * found.directions[at], 1) + np.sum(end_c * found.outputs[at], 1)
    log_amplitude = np.log(np.maximum(along / 2, 1e-300)) + log_size - found.rates[at] * span
    squares = np.where(active & (along > 0), np.exp(2 * log_amplitude), 0.0)
    brought = np.zeros((count, len(found)))
    brought[np.arange(count), at] = squares
    mean = brought.mean(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        scatter = np.where(mean > 0, brought.var(0) / mean**2, 0.0)
    return Grown(found, np.sqrt(mean * count), scatter, float(1 - active.mean()))


def merged(w: np.ndarray, c: np.ndarray, log_size: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Units (n, d), (n, o) of size exp(log_size) as few, (k, d), (k, o): those that point alike are one.

    The largest are taken first; one that is not ALIKE to those before is one of its own, up to MOST_UNITS. The others
    go to the nearest. Sizes are those of a layer of `width`, in the median over starts.
    """
    if not len(w):
        return w, c
    both, squares = np.hstack([w, c]), np.exp(2 * log_size)
    first: list[int] = []
    for i in np.argsort(-squares, kind="stable"):
        if len(first) == MOST_UNITS:
            break
        if not np.any(both[first] @ both[i] > ALIKE):
            first.append(int(i))
    at = np.argmax(both @ both[first].T, axis=1)
    units = np.zeros((len(first), both.shape[1]))
    np.add.at(units, at, squares[:, None] * both)
    brought = np.zeros((len(w), len(first)))
    brought[np.arange(len(w)), at] = squares
    mean = brought.mean(0)
    size = np.sqrt(mean * len(w)) / (1 + brought.var(0) / mean**2 / width) ** 0.25
    units *= (size / np.linalg.norm(units, axis=1))[:, None]
    return units[:, : w.shape[1]], units[:, w.shape[1] :]


@dataclass(frozen=True, eq=False)
class Parts:
    """What each modality puts out along a run: its part with the others at their mean, less its own mean.

    t : (T,), in units of tau
    share : modality -> (T,): <part, part at the end>/<part at the end, itself>
    power : modality -> mean square of the part at the end
    loss : (T,)
    waking : whether a modality that is still small has grown in the last third of the run: it will be learned
    left : (P, o), the target less the output, at the end
    """

    t: np.ndarray
    share: Mapping[str, np.ndarray]
    power: Mapping[str, float]
    loss: np.ndarray
    waking: bool
    left: np.ndarray

    def half_time(self, m: str) -> float:
        """First time that the share crosses 1/2."""
        return first_time(self.t, self.share[m], HALF)

    def flank(self, m: str) -> float:
        """What the half-time shifts, as a share of it, where the part at the end is known to 20 %: from 0.4 to 0.6."""
        low, high = (first_time(self.t, self.share[m], HALF + sign * FLANK) for sign in (-1, 1))
        return (high - low) / self.half_time(m)

    @property
    def settled(self) -> bool:
        """Whether the last third of the run takes next to nothing off the loss, and nothing is about to be learned."""
        then = float(np.interp(self.t[-1] * 2 / 3, self.t, self.loss))
        return not self.waking and then - float(self.loss[-1]) <= SETTLED * float(self.loss[0] - self.loss[-1])


@dataclass(frozen=True, eq=False)
class Narrow:
    """Hidden layers of ReLU units that are added at the output, on samples.

    blocks : modality -> (P, d), or "" -> (P, D) for early fusion
    spans : modality -> its columns of an early layer; empty in late fusion
    y : (P, o)
    units : block -> first weights (k, d) and second weights (k, o), at t_start
    """

    blocks: Mapping[str, np.ndarray]
    spans: Mapping[str, slice]
    y: np.ndarray
    units: Mapping[str, tuple[np.ndarray, np.ndarray]]
    t_start: float = 0.0

    def unpacked(self, flat: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        found, at = {}, 0
        for name, (w, c) in self.units.items():
            first = flat[at : at + w.size].reshape(w.shape)
            second = flat[at + w.size : at + w.size + c.size].reshape(c.shape)
            found[name], at = (first, second), at + w.size + c.size
        return found

    def error(self, units: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
        seen = (np.maximum(self.blocks[name] @ w.T, 0.0) @ c for name, (w, c) in units.items())
        return np.asarray(self.y - sum(seen))

    def velocity(self, flat: np.ndarray) -> np.ndarray:
        units = self.unpacked(flat)
        count = len(self.y)
        before = {name: self.blocks[name] @ w.T for name, (w, _) in units.items()}
        active = {name: np.maximum(z, 0.0) for name, z in before.items()}
        error = (self.y - sum(active[name] @ c for name, (_, c) in units.items())) / count
        moved = []
        for name, (_, c) in units.items():
            back = (before[name] > 0) * (error @ c.T)
            moved += [(back.T @ self.blocks[name]).ravel(), (active[name].T @ error).ravel()]
        return np.concatenate(moved)

    def part(self, units: Mapping[str, tuple[np.ndarray, np.ndarray]], m: str) -> np.ndarray:
        """(P, o), centred."""
        return part_of(self.blocks, self.spans, units, m)

    def run(self, t_end: float) -> Parts:
        """Gradient flow to `t_end`, or on to twice, ... LONGEST times that while a modality is about to be learned."""
        clock, states = np.full(1, self.t_start), self.packed(self.units)[None]
        end, step = t_end, 0.0
        while True:
            looks = np.linspace(clock[-1], end, POINTS + 1)
            path, step = self._walk(states[-1], looks, step)
            clock, states = np.append(clock, looks[1:]), np.vstack([states, path])
            found = self.parts(clock, states)
            if not found.waking or end >= LONGEST * t_end:
                return found
            end *= 2

    def packed(self, units: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
        return np.concatenate([np.zeros(0), *(a.ravel() for pair in units.values() for a in pair)])

    def _walk(self, flat: np.ndarray, looks: np.ndarray, step: float) -> tuple[np.ndarray, float]:
        """States at looks[1:], and the last step, by the pair of Bogacki and Shampine (1989), orders 3 and 2.

        The error of a step is measured beside the size of each unit, small or large, in the root mean square over
        units: one that slides along a kink does not hold up the others. Written out because SciPy's
        solvers take ever smaller steps along a kink, where this takes one that is stable.
        """
        owner = np.concatenate([np.zeros(0, int), *self._owners()])
        spread = max(float(np.linalg.eigvalsh(x.T @ x / len(x))[-1]) for x in self.blocks.values())
        path, t = [], looks[0]
        v, taken = self.velocity(flat), 0
        for look in looks[1:]:
            while t < look:
                squares = np.bincount(owner, flat**2) if len(flat) else np.zeros(0)
                size = np.sqrt(squares)[owner]
                floor = FLOOR / max(spread * float(np.sum(squares)), 1e-300)
                fastest = float(np.max(np.abs(v) / np.maximum(size, 1e-300), initial=1e-300))
                step = min(step or 0.01 / fastest, look - t)
                v_2 = self.velocity(flat + step / 2 * v)
                v_3 = self.velocity(flat + 3 / 4 * step * v_2)
                ahead = flat + step / 9 * (2 * v + 3 * v_2 + 4 * v_3)
                v_4 = self.velocity(ahead)
                off = step * (-5 / 72 * v + v_2 / 12 + v_3 / 9 - v_4 / 8)
                error = float(np.sqrt(np.sum((off / np.maximum(size, 1e-300)) ** 2) / max(1, len(squares)))) / RTOL
                if error <= 1 or step <= floor:
                    t, flat, v = t + step, ahead, v_4
                    t = look if look - t < 1e-12 * look else t
                step = max(step * min(5.0, max(0.2, 0.9 * (error + 1e-9) ** (-1 / 3))), min(floor, look))
                taken += 1
                if taken > MOST_STEPS or not math.isfinite(error):
                    raise SolveError(f"the narrow network stopped at t = {t:.3g} of {looks[-1]:.3g}")
            path.append(flat)
        return np.array(path), step

    def _owners(self) -> list[np.ndarray]:
        """For each entry of a packed state: the number of its unit."""
        found, first = [], 0
        for w, c in self.units.values():
            rows = first + np.arange(len(w))
            found += [np.repeat(rows, w.shape[1]), np.repeat(rows, c.shape[1])]
            first += len(w)
        return found

    def parts(self, t: np.ndarray, states: np.ndarray) -> Parts:
        names = tuple(self.spans or self.blocks)
        final = self.unpacked(states[-1])
        ends = {m: self.part(final, m) for m in names}
        power = {m: float(np.sum(e**2)) for m, e in ends.items()}
        share, loss = {m: np.zeros(len(t)) for m in names}, np.zeros(len(t))
        for i, flat in enumerate(states):
            units = self.unpacked(flat)
            loss[i] = float(np.sum(self.error(units) ** 2)) / (2 * len(self.y))
            for m in names:
                if power[m] > 0:
                    share[m][i] = float(np.sum(self.part(units, m) * ends[m])) / power[m]
        return Parts(
            t, share, {m: p / len(self.y) for m, p in power.items()}, loss, self._waking(t, states), self.error(final)
        )

    def _waking(self, t: np.ndarray, states: np.ndarray) -> bool:
        at = int(np.searchsorted(t, t[-1] * 2 / 3))
        then, now = (self._strengths(states[i]) for i in (at, -1))
        small = now < DORMANT**2 * np.max(now, initial=0.0)
        return bool(np.any(now[small] > np.exp(2 * WAKING) * then[small]))

    def _strengths(self, flat: np.ndarray) -> np.ndarray:
        """|w||c| of the largest unit of each modality, w its own columns."""
        units = self.unpacked(flat)
        seen = [(w[:, s], c) for s in self.spans.values() for w, c in units.values()] or list(units.values())
        return np.array([np.max(np.linalg.norm(w, axis=1) * np.linalg.norm(c, axis=1), initial=0.0) for w, c in seen])


def part_of(
    blocks: Mapping[str, np.ndarray], spans: Mapping[str, slice],
    units: Mapping[str, tuple[np.ndarray, np.ndarray]], m: str,
) -> np.ndarray:  # fmt: skip
    """What modality m puts out, (P, o): the others at their mean, less its own mean."""
    if spans:
        ((x, (w, c)),) = ((blocks[name], units[name]) for name in blocks)
        z = x[:, spans[m]] @ w[:, spans[m]].T
        z = z + (x.mean(0) @ w.T - x[:, spans[m]].mean(0) @ w[:, spans[m]].T)
    else:
        w, c = units[m]
        z = blocks[m] @ w.T
    found = np.maximum(z, 0.0) @ c
    return np.asarray(found - found.mean(0))
