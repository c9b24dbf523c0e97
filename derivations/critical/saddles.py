"""Which saddles a start from small weights visits: order, plateaus and the loss that it can reach.

Every producer of trajectories and every prediction asks here, so that "learned" has one meaning:
half of what m contributes to the output is there, measured along its plateau, which is the weight at the saddle that
the network visits once m is learned. Numbers only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from derivations.correlations import Correlations, require_problem
from derivations.critical.decayed import require_one_output, resting_weights
from derivations.critical.runners import DecayingRace, Runner, runners, shared_size, unshared
from derivations.flow.gradient_flow import Weights, loss, total_weights
from derivations.network import FusionNetwork
from derivations.terms import PLAIN, Terms

ZERO_DRIVE = 1e-13  # a residual below this share of its own terms is rounding
ZERO_DRIVE_SINGULAR = 1e-10  # the same where Sigma is singular: pseudo-inverses lose digits
TIE = 1e-9  # speeds closer than this share cannot be told apart
GIVEN_UP = (
    "{} is given up again: what is learned later would turn its weight round, which a balanced start cannot do, so it "
    "ends at zero; a random start can"
)
DEAD = "nothing of it grows at the start, u0 of {} = 0: layers of zero stay so, layers that cancel decay"
BALANCE = 1e-12  # layers balanced to this share cannot change the sign of a scalar total weight


@dataclass(frozen=True, eq=False)
class Saddle:
    """A critical manifold on the way: its name, the modalities learned and their total weights there."""

    name: str
    learned: tuple[str, ...]
    total: dict[str, np.ndarray]
    loss: float


@dataclass(frozen=True, eq=False)
class Course:
    """What a start from small weights learns, to leading order in u0.

    order : modalities in the order of leaving zero; those never learned come last.
    plateaus : modality -> (outputs, d), zero if never learned.
    never : modality -> why it is never learned from this start.
    saddles : M_0 first, the end last.
    drives : modality -> the largest |residual| that it meets at a saddle, a scale for its pace.
    tie : two modalities leave zero together, so that the order means nothing.
    network, data : whose course it is.
    rivals : at each saddle: who escapes, who would be next, and the share of its way that this one has left then.
    terms : what training adds to the flow.
    rests : `resting` of another loss.
    """

    order: tuple[str, ...]
    plateaus: dict[str, np.ndarray]
    never: dict[str, str]
    saddles: tuple[Saddle, ...]
    drives: dict[str, float]
    tie: bool
    network: FusionNetwork
    data: Correlations
    rivals: tuple[tuple[str, str, float], ...]
    terms: Terms = PLAIN
    rests: Callable[[Iterable[str]], dict[str, np.ndarray]] | None = None

    def resting(self, learned: Iterable[str]) -> dict[str, np.ndarray]:
        """Modality -> (outputs, d) where a network that has learned some comes to rest; signs are free."""
        if self.rests is not None:
            return self.rests(learned)
        if not self.terms.decay:
            return self.data.regression(learned)
        return resting_weights(self.network, self.data, self.terms, tuple(learned), {})

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What the race does not know: where it is a rule of thumb."""
        network, found = self.network, []
        if network.is_early_fusion:
            return ()
        shallow = [m for m, depth in network.depths.items() if depth == 1]
        if shallow:
            found.append(f"{', '.join(shallow)} has one layer before a fusion, others more")
        nested = [name for name in network.parents if network.chains[name].children]
        if nested:
            found.append(f"the fusion is nested ({', '.join(nested)})")
        if self.data.outputs > 1:
            found.append("several outputs are learned mode by mode, not block by block")
        return tuple(f"order and plateaus are heuristic: {why}" for why in found)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What every run along this course should say."""
        return (*self.notes, *self.tie_notes, *(GIVEN_UP.format(m) for m in self.given_up))

    @property
    def tie_notes(self) -> tuple[str, ...]:
        """That the first two leave zero together, if they do."""
        return (f"{' and '.join(self.order[:2])} are equally fast: their order is undefined",) if self.tie else ()

    @cached_property
    def along(self) -> dict[str, np.ndarray]:
        """Modality -> (outputs, d), with <row, W_m^tot> = the share of its plateau; only for what is learned."""
        return {m: _along(goal, self.data.input_block(m, m)) for m, goal in self.plateaus.items() if np.any(goal)}

    def share(self, m: str, weights: np.ndarray) -> float:
        """The share of its plateau's output that is there, <W_m, p>/<p, p> in Sigma_m: m is learned at one half."""
        return float(np.sum(weights * self.along[m]))

    def past_half(self, m: str, packed: np.ndarray) -> float:
        """The same from the total weights of all, (outputs, D), less one half."""
        return self.share(m, packed[:, self.data.span(m)]) - 0.5

    @cached_property
    def _lengthwise(self) -> dict[str, np.ndarray]:
        return {m: _along(self.plateaus[m], np.eye(self.data.sizes[m])) for m in self.along}

    def past_half_of_weights(self, m: str, packed: np.ndarray) -> float:
        """The same of the weights: their projection on the plateau as a share of it, less one half."""
        return float(np.sum(packed[:, self.data.span(m)] * self._lengthwise[m])) - 0.5

    @property
    def is_open(self) -> bool:
        """Whether only a run knows what is learned: weight decay and more than two layers, (140)."""
        return bool(self.terms.decay) and max(self.network.path_depths.values()) > 2

    @property
    def given_up(self) -> tuple[str, ...]:
        """Modalities that are learned and whose weight ends at zero."""
        end = self.saddles[-1]
        return tuple(m for m in end.learned if m not in self.never and not np.any(end.total[m]))

    @cached_property
    def overtaken(self) -> tuple[str, ...]:
        """Modalities that a later one turns round: their end lies below half of their plateau.

        They may reach half of it on the way, or never; a run waits for them only until its loss has settled.
        """
        end = self.saddles[-1].total
        return tuple(m for m in self.order if m not in self.never and self.share(m, end[m]) < 0.5)

    @property
    def lowest_loss(self) -> float:
        """The lowest loss that this start can reach."""
        return self.saddles[-1].loss


def _along(goal: np.ndarray, metric: np.ndarray) -> np.ndarray:
    """goal metric / <goal metric, goal>, safe from squares of very small or large units."""
    large, wide = float(np.max(np.abs(goal))), float(np.max(np.abs(metric)))
    seen = (goal / large) @ (metric / wide)
    return np.asarray(seen / float(np.sum(seen * (goal / large))) / large)


def aligned_signs(network: FusionNetwork, data: Correlations) -> dict[str, float]:
    """Signs that an aligned balanced start keeps for ever: w = +-u^n of a scalar input cannot cross zero.

    A chain of one layer can, and so can the row of a vector input, by turning.
    """
    return {
        m: float(np.sign(data.target_block(m)[0, 0]))
        for m in network.modalities
        if data.sizes[m] == 1 and data.outputs == 1 and network.depths[m] >= 2 and data.has_signal(m)
    }


def kept_signs(network: FusionNetwork, data: Correlations, weights: Weights) -> dict[str, float]:
    """Signs that these weights keep: of scalar inputs whose own chain is balanced. None at a random start."""
    kept, total = {}, total_weights(network, weights)
    for m in aligned_signs(network, data):
        size = max(float(np.max(np.abs(layer))) for layer in weights[m]) or 1.0
        layers = [np.asarray(layer) / size for layer in weights[m]]  # squares of tiny weights would underflow
        gaps = [
            float(np.max(np.abs(low @ low.T - high.T @ high)) / max(np.max(np.abs(low @ low.T)), 1e-300))
            for low, high in pairwise(layers)
        ]
        if max(gaps) <= BALANCE and total[m][0, 0] != 0:
            kept[m] = float(np.sign(total[m][0, 0]))
    return kept


def course(
    network: FusionNetwork,
    data: Correlations,
    norms: Mapping[str, float],
    signs: Mapping[str, float],
    terms: Terms = PLAIN,
) -> Course:
    """Run the race of growing modes from saddle to saddle, to leading order in u0.

    Parameters
    ----------
    norms : nominal norm of the layers of each leaf chain at t = 0; a deep chain at 0 stays there
    signs : modality -> the sign that its total weight keeps (see `aligned_signs`)
    terms : weight decay moves the saddles (`decayed`) and slows every runner, some to a standstill (137, 140)

    Each runner has a way Psi to go (`_ways`), by the number n of layers that no learned modality shares yet
    (those after the last fusion are shared by all); at a saddle it runs at the speed |residual|.
    A scalar input has one race a sign. Psi/|Sigma_yx_m| decides the first (theory behind (28), (49), (113)).
    """
    require_problem(network, data)
    if terms.decay:
        require_one_output(data)
    left = {g: dict.fromkeys((1.0, -1.0), 1.0) for g in runners(network)}  # share of the way, for either sign
    dead = [m for m in data.modalities if norms[m] == 0 and network.depths[m] >= 2]
    learned: tuple[str, ...] = ()
    order: list[str] = []
    never: dict[str, str] = {}
    plateaus = {m: np.zeros_like(data.target_block(m)) for m in data.modalities}
    saddles = [_saddle(network, data, learned, signs, terms)]
    clock = DecayingRace(network, data, norms, terms) if terms.decay else None
    largest = dict.fromkeys(data.modalities, 0.0)
    tie = False
    rivals: list[tuple[str, str, float]] = []
    while True:
        ways = _ways(network, data, norms, learned, saddles[-1].total)
        drives = {g: _drive_of(data, g, saddles[-1].total) for g in ways}
        largest |= {m: max(largest[m], speed) for g, (_, speed) in drives.items() for m in g}
        arrivals = {}
        for g, (sign, speed) in drives.items():
            if speed > 0 and signs.get(g[0], sign) == sign and g[0] not in dead:
                arrivals[g] = left[g][sign] * ways[g] / speed
        if clock is not None:
            arrivals = clock.arrivals({g: drives[g] for g in arrivals}, saddles[-1].total, learned)
        if not arrivals:
            break
        first = min(arrivals, key=lambda g: arrivals[g])
        others = [t for g, t in arrivals.items() if g != first]
        tie = tie or (not learned and any(t <= arrivals[first] * (1 + TIE) for t in others))
        if clock is not None:
            left |= clock.passed(drives, saddles[-1].total, learned, arrivals[first])
        for g, (sign, speed) in drives.items() if clock is None else ():
            gone = speed * arrivals[first] / ways[g]
            left[g][sign] -= gone
            if len(g) == data.sizes[g[0]] == 1:  # the mode of the other sign decays as fast as this one grows
                left[g][-sign] += gone
        if others:
            second = min((g for g in arrivals if g != first), key=lambda g: arrivals[g])
            rivals.append((first[0], second[0], left[second][drives[second][0]]))
        learned = (*learned, *first)
        saddles.append(_saddle(network, data, learned, signs, terms))
        total = saddles[-1].total
        nothing = _without_weight(data, first, total)
        never |= dict.fromkeys(nothing, f"its weight at {saddles[-1].name} is zero")
        plateaus |= {m: total[m] for m in first if m not in nothing}
        order += sorted(first, key=lambda m: (m in nothing, -data.strength(m)))
        together = sorted((data.strength(m) for m in first if m not in nothing), reverse=True)[:2]
        tie = tie or (len(order) == len(first) and len(together) > 1 and together[1] >= together[0] * (1 - TIE))
    for g in ways:
        dead_ends = {m: DEAD.format(m) for m in g if m in dead}
        never |= {m: dead_ends.get(m) or _reason(data, m, saddles[-1], drives[g], signs, terms) for m in g}
    order += sorted((m for g in ways for m in g), key=lambda m: -data.strength(m))
    for m in [m for m in order if m not in never]:
        alone, size = data.norm(data.regression((m,))[m]), data.norm(plateaus[m])
        if size <= ZERO_DRIVE_SINGULAR * alone:  # all that is left is rounding
            never[m], plateaus[m] = f"its weight at {saddles[-1].name} is zero", np.zeros_like(plateaus[m])
    order.sort(key=lambda m: m in never)
    if tie and len(order) > 1 and order[1] not in never:  # neither is ever alone
        plateaus[order[0]] = next(s.total for s in saddles if set(order[:2]) <= set(s.learned))[order[0]]
    return Course(tuple(order), plateaus, never, tuple(saddles), largest, tie, network, data, tuple(rivals), terms)


def _ways(
    network: FusionNetwork, data: Correlations, norms: Mapping[str, float], learned: tuple[str, ...],
    total: Mapping[str, np.ndarray],
) -> dict[Runner, float]:  # fmt: skip
    """Psi of each runner to come, up to a common factor, to the norm U of a layer at its own regression's plateau:

    U for one layer, ln(U/u0) for two, (u0^(2-n) - U^(2-n))/(n-2) for n > 2; over the norms, at the saddle `total`, of
    the layers that it shares with what is learned, which multiply its speed. The same in any units. Runners of equal
    depth and start are compared by their speeds alone, to leading order.
    """
    layers = {g: unshared(network, g[0], learned) for g in runners(network) if g[0] not in learned}
    starts = {g: float(np.hypot.reduce([norms[m] for m in g])) for g in layers}
    alike = len(set(layers.values())) <= 1 and max(starts.values(), default=0.0) <= (1 + TIE) * min(
        starts.values(), default=0.0
    )  # norms measured on weights differ by their rounding
    if alike:
        return dict.fromkeys(layers, 1.0)
    logs = {}
    for g, n in layers.items():
        log_start = float(np.log(starts[g] or 1e-300))
        path = network.path_depths[g[0]]
        goals = [data.regression(g)[m] for m in g], [data.regression(data.modalities)[m] for m in g]
        goal = data.norm(np.hstack(goals[0])) or data.norm(np.hstack(goals[1])) or 1.0
        log_end = max(float(np.log(goal)) / path, log_start + 1e-3)
        if n <= 1:
            logs[g] = log_end
        elif n == 2:
            logs[g] = float(np.log(log_end - log_start))
        else:
            share = -float(np.expm1((2 - n) * (log_end - log_start)))
            logs[g] = (2 - n) * log_start + float(np.log(share / (n - 2)))
        logs[g] -= float(np.log(shared_size(network, g[0], total, learned)))
    least = min(logs.values())
    return {g: float(np.exp(min(value - least, 700.0))) for g, value in logs.items()}


def _without_weight(data: Correlations, members: tuple[str, ...], total: Mapping[str, np.ndarray]) -> list[str]:
    """Members of a group that is learned at once whose part in it is zero; a runner alone has one."""
    if len(members) == 1:
        return []
    sizes = {m: data.norm(total[m]) * np.sqrt(data.norm(data.input_block(m, m))) for m in members}
    return [m for m in members if sizes[m] <= ZERO_DRIVE_SINGULAR * max(sizes.values())]


def _drive_of(data: Correlations, runner: tuple[str, ...], total: Mapping[str, np.ndarray]) -> tuple[float, float]:
    """As `drive`, of all members of a runner together."""
    each = [drive(data, m, total) for m in runner]
    return (each[0][0] if len(runner) == 1 else 1.0), float(np.hypot.reduce([speed for _, speed in each]))


def drive(data: Correlations, m: str, total: Mapping[str, np.ndarray]) -> tuple[float, float]:
    """Sign (of a scalar) and size of what drives a modality at a saddle; size 0 when it is only rounding."""
    pulls = [total[n] @ data.input_block(n, m) for n in data.modalities]
    residual = data.target_block(m) - sum(pulls)
    size = data.norm(residual)
    rounding = ZERO_DRIVE_SINGULAR if data.is_singular else ZERO_DRIVE
    floor = rounding * (data.strength(m) + sum(data.norm(p) for p in pulls))
    if not data.has_signal(m):  # all there is may be rounding of the samples' sums
        floor = max(floor, 10 * data.strength(m))
    sign = float(np.sign(residual[0, 0])) if data.sizes[m] == 1 and data.outputs == 1 else 1.0
    return sign or 1.0, size if size > floor else 0.0


def _reason(
    data: Correlations, m: str, saddle: Saddle, drive: tuple[float, float], signs: Mapping[str, float], terms: Terms
) -> str:
    if drive[1] > 0 and terms.decay and signs.get(m, drive[0]) == drive[0]:
        what = f"its residual at {saddle.name} is {drive[1]:.3g}" if saddle.learned else f"|Sigma_yx| is {drive[1]:.3g}"
        return f"weight decay {terms.decay_of(m):.3g} holds it at zero: {what}"
    if drive[1] > 0:
        return f"the residual of {m} at {saddle.name} has the sign opposite to its weight, which a balanced start keeps"
    if saddle.learned:
        return f"nothing of {m} is left to learn at {saddle.name}: its residual is zero"
    return f"Sigma_yx of {m} is zero"


def _saddle(
    network: FusionNetwork, data: Correlations, learned: tuple[str, ...], signs: Mapping[str, float], terms: Terms
) -> Saddle:
    """Least loss on the learned modalities, with its decay, none of which changes a kept sign."""
    if terms.decay:
        total = resting_weights(network, data, terms, learned, signs)
        alive = tuple(m for m in learned if np.any(total[m]))
        return Saddle(saddle_name(data.modalities, alive), learned, total, float(loss(data, total)))
    alive = _alive(data, learned, signs)
    total = data.regression(alive)
    return Saddle(saddle_name(data.modalities, alive), learned, total, float(loss(data, total)))


def _alive(data: Correlations, learned: tuple[str, ...], signs: Mapping[str, float]) -> tuple[str, ...]:
    """The modalities that have weights there: non-negative least squares, as many of them as the least loss allows.

    Lawson and Hanson's active sets, on the weights times their signs: who is driven the right way comes in, who would
    cross zero on the way to the regression goes out.
    """

    def regressed(members: list[str]) -> dict[str, float]:
        weights = data.regression(members)
        return {m: signs[m] * float(weights[m][0, 0]) for m in members if m in signs}

    free = [m for m in learned if m not in signs]
    if all(value >= 0 for value in regressed(list(learned)).values()):
        return learned
    alive, x = free, dict[str, float]()
    for _ in range(3 * len(learned)):  # each lowers the loss, but where rounding sends one in and out again
        total = data.regression(alive)
        drives = {m: drive(data, m, total) for m in learned if m not in alive}
        wanted = {m: speed for m, (sign, speed) in drives.items() if sign == signs[m] and speed > 0}
        if not wanted:
            break
        alive = [*alive, max(wanted, key=lambda m: wanted[m] / data.norm(data.input_block(m, m)) ** 0.5)]
        x[alive[-1]] = 0.0
        while True:
            goal = regressed(alive)
            behind = [m for m in goal if goal[m] <= 0]
            if not behind:
                x = goal
                break
            step = min(x[m] / (x[m] - goal[m]) for m in behind)
            x = {m: x[m] + step * (goal[m] - x[m]) for m in goal}
            out = min(behind, key=lambda m: x[m])
            alive, x = [m for m in alive if m != out], {m: value for m, value in x.items() if m != out}
    least = float(loss(data, data.regression(alive)))
    for m in (m for m in learned if m not in alive):  # what adds nothing stays, if it can
        more = [*alive, m]
        if all(v >= 0 for v in regressed(more).values()) and float(loss(data, data.regression(more))) <= least:
            alive = more
    return tuple(m for m in learned if m in alive)


def saddle_name(modalities: tuple[str, ...], alive: tuple[str, ...]) -> str:
    """M_0, M_A, ..., M_AB, M_*, by the modalities that have weights there."""
    if not alive:
        return "M_0"
    if set(alive) == set(modalities):
        return "M_*"
    names = [m for m in modalities if m in alive]
    return "M_" + ("" if all(len(m) == 1 for m in names) else "+").join(names)
