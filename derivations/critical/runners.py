"""Who races from a saddle, and the race with weight decay: a branch that is too slow for it falls back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from derivations.correlations import Correlations
from derivations.network import TRUNK, FusionNetwork
from derivations.terms import Terms

Runner = tuple[str, ...]  # modalities that are learned in one transition


def runners(network: FusionNetwork) -> tuple[Runner, ...]:
    """Who races: each modality for itself, but those with one layer into the same fusion together.

    Such siblings share all layers but the first, in which the error is linear: they are learned in one
    transition, as in early fusion, and no saddle has only some of them.
    """
    groups: dict[str, list[str]] = {}
    parents = network.parents
    for m in network.modalities:
        groups.setdefault(parents[m] if network.chains[m].depth == 1 else m, []).append(m)
    return tuple(tuple(members) for members in groups.values())


def unshared(network: FusionNetwork, m: str, learned: tuple[str, ...]) -> int:
    """Layers from a modality up to the first chain that all, or a learned modality, share."""
    own = [c for c in network.path(m) if c != TRUNK and not set(learned) & set(network.chains[c].modalities)]
    return sum(int(network.chains[c].depth) for c in own)


def shared_size(network: FusionNetwork, m: str, total: Mapping[str, np.ndarray], learned: tuple[str, ...]) -> float:
    """Product of the norms, at a saddle, of the layers that a modality to come shares with what is learned."""
    shared = 1.0
    for name in network.path(m) if learned else ():
        there = [n for n in network.chains[name].modalities if n in learned and np.any(total[n])]
        if name != m and there:
            squares = sum(float(np.linalg.norm(total[n])) ** (2 / network.path_depths[n]) for n in there)
            shared *= squares ** (network.chains[name].depth / 2)
    return float(shared)


class DecayingRace:
    """The race with weight decay: each branch has a norm of its own, by (135) and (140), instead of a share of a way.

    A small branch of n unshared layers grows at s u^(n-1) - lambda u, s its |residual| times the norms of the layers
    that it shares with what is learned. Before anything is learned a trunk is as small as the branches, which then
    count its layers as theirs.
    """

    def __init__(self, network: FusionNetwork, data: Correlations, norms: Mapping[str, float], terms: Terms) -> None:
        self.network, self.data, self.terms = network, data, terms
        self.start = {g: float(np.hypot.reduce([norms[m] for m in g])) for g in runners(network)}
        self.logs = {g: dict.fromkeys((1.0, -1.0), float(np.log(u or 1e-300))) for g, u in self.start.items()}

    def _pace(self, g: Runner, speed: float, total: Mapping[str, np.ndarray], learned: tuple[str, ...]) -> Pace:
        """Of a runner; the layers that it shares are those of the saddle."""
        network, m = self.network, g[0]
        layers = unshared(network, m, learned) if learned else int(network.path_depths[m])
        shared = shared_size(network, m, total, learned)
        goal = self.data.norm(np.hstack([self.data.regression(g)[n] for n in g])) or 1.0
        goal = max(float(np.log(goal)) / network.path_depths[m], self.logs[g][1.0] + 1e-3)
        return Pace(layers, speed * shared, self.terms.decay_of(m), goal)

    def arrivals(
        self, drives: Mapping[Runner, tuple[float, float]], total: Mapping[str, np.ndarray], learned: tuple[str, ...]
    ) -> dict[Runner, float]:
        """When each is there, if it ever is."""
        found = {}
        for g, (sign, speed) in drives.items():
            after = self._pace(g, speed, total, learned).arrival(self.logs[g][sign])
            if after < np.inf:
                found[g] = after
        return found

    def passed(
        self, drives: Mapping[Runner, tuple[float, float]], total: Mapping[str, np.ndarray], learned: tuple[str, ...],
        after: float,
    ) -> dict[Runner, dict[float, float]]:  # fmt: skip
        """Lets this time pass; what each has left of its way, as a share, in logarithms."""
        left = {}
        for g, (sign, speed) in drives.items():
            pace = self._pace(g, speed, total, learned)
            self.logs[g][sign] = pace.moved(self.logs[g][sign], after)
            if len(g) == self.data.sizes[g[0]] == 1:
                against = pace._replace(speed=-pace.speed)
                self.logs[g][-sign] = against.moved(self.logs[g][-sign], after)
            whole = pace.goal - float(np.log(self.start[g] or 1e-300))
            left[g] = {s: (pace.goal - log) / whole for s, log in self.logs[g].items()}
        return left


class Pace(NamedTuple):
    """A small branch with decay: du/dt = speed u^(layers-1) - decay u, up to the norm e^goal."""

    layers: int
    speed: float
    decay: float
    goal: float

    def arrival(self, log: float) -> float:
        """When u is there, from e^log; inf where it never is."""
        n, s, rate = self.layers, self.speed, self.decay
        if n <= 1:
            return 1.0 / s
        if n == 2:
            return (self.goal - log) / (s - rate) if s > rate else np.inf
        threshold = rate * float(np.exp(min((2 - n) * log, 700.0)))  # lambda u^(2-n): s must be beyond it
        if s <= threshold:
            return np.inf
        end = rate * float(np.exp(min((2 - n) * self.goal, 700.0)))
        if end >= s:  # so large that it would not come to its regression
            end = 0.0
        if rate == 0:
            return float(np.exp(min((2 - n) * log, 700.0)) - np.exp(min((2 - n) * self.goal, 700.0))) / ((n - 2) * s)
        return float(np.log((s - end) / (s - threshold))) / ((n - 2) * rate)

    def moved(self, log: float, after: float) -> float:
        """ln u after a time, from e^log."""
        n, s, rate = self.layers, self.speed, self.decay
        if n <= 2:
            return log + (s - rate) * after
        z = float(np.exp(min((2 - n) * log, 700.0)))
        grown = float(np.exp(min((n - 2) * rate * after, 700.0)))
        ahead = s * (grown - 1) / rate if rate else (n - 2) * s * after
        return float(np.log(max(z * grown - ahead, 1e-300))) / (2 - n)
