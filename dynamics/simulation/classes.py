"""Cross-entropy of the softmax on samples whose target is a class: losses, drives, and half-times by the loss.

A target of K classes is one-hot (K outputs) or contrasts (K - 1); either way the rows of one class are alike, and only
the span of their codes matters: logits are z C with the codes C (outputs, K), so that a constant added to all logits is
none. Without an offset, on centred inputs, as everywhere here.

Weights need not come to rest: where they separate the classes they grow like ln t for ever, and half of them means
nothing. So half is by the loss: the part of a modality alone, the others at their mean, has a loss; its half-time is
the first time at which half of the fall from its start to its least value along the run is done. A run goes on until
each of these losses is past its least value, or nothing changes any more in ln t.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from derivations import Correlations, DomainError
from derivations.samples import Samples
from dynamics.checks import one_of
from dynamics.problem import Problem
from dynamics.provenance import origin_of
from dynamics.recipe import Loss
from dynamics.runs.half_times import HalfTimes, Status, first_time
from dynamics.runs.trajectory import Trajectory
from dynamics.simulation.two_layers import Closed, require_two_layers, squares_of, typical_squares
from dynamics.starts.aligned import aligned_weights
from dynamics.starts.weights import start_norms

PAST = 0.01  # of its fall, by which the loss of a part has to rise again for its least value to be behind
GROWN = 3.0  # integral of the drive before which nothing has been learned
NOTHING = "its part of the output takes away less than 1 % of the loss"
STILL = 0.2  # drive times t below which weights hardly change any more in ln t
RTOL, MOST_STEPS = 1e-7, 5000
WORTH = 0.01  # of the entropy of the classes: a part that takes away less is never learned


@dataclass(frozen=True, eq=False)
class Classes:
    """Rows and their classes.

    inputs : modality -> (P, d)
    labels : (P,), from 0
    codes : (outputs, K); orthonormal rows, or the identity less its mean
    targets : (K, outputs), the centred target of each class
    """

    inputs: Mapping[str, np.ndarray]
    labels: np.ndarray
    codes: np.ndarray
    targets: np.ndarray

    @property
    def count(self) -> int:
        return len(self.labels)

    def drive(self, totals: Mapping[str, np.ndarray]) -> tuple[float, dict[str, np.ndarray]]:
        """Mean cross-entropy, and e_m = <(one-hot - softmax) C^T x_m>, (outputs, d), which takes the place of (5)."""
        chances, loss = self._softmax(sum(x @ totals[m].T for m, x in self.inputs.items()))
        chances[np.arange(self.count), self.labels] -= 1.0
        wrong = chances @ self.codes.T / -self.count
        return loss, {m: wrong.T @ x for m, x in self.inputs.items()}

    def loss(self, totals: Mapping[str, np.ndarray]) -> float:
        """Mean cross-entropy of the modalities given; the others at their mean."""
        return self._softmax(sum(self.inputs[m] @ w.T for m, w in totals.items()))[1]

    def accuracy(self, totals: Mapping[str, np.ndarray], loss: Loss) -> float:
        """Share of rows put into their class; the modalities left out at their mean.

        By the largest logit, or with squared loss by the nearest target of a class: of one-hot targets that is the
        largest output once their mean is added, which centred columns leave out.
        """
        put_out = sum(self.inputs[m] @ w.T for m, w in totals.items())
        apart = put_out @ self.targets.T - np.sum(self.targets**2, axis=1) / 2
        scores = apart if loss is Loss.SQUARED else put_out @ self.codes
        return float(np.mean(np.argmax(scores, axis=1) == self.labels))

    def _softmax(self, put_out: np.ndarray) -> tuple[np.ndarray, float]:
        logits = put_out @ self.codes
        logits -= np.max(logits, axis=1, keepdims=True)
        sizes = np.exp(logits)
        whole = np.sum(sizes, axis=1, keepdims=True)
        right = logits[np.arange(self.count), self.labels] - np.log(whole[:, 0])
        return sizes / whole, float(-np.mean(right))


def classes_of(samples: Samples) -> Classes:
    """The classes behind a one-hot target, or one of text.

    Raises
    ------
    DomainError
        Where the rows of the target are no codes of classes.
    """
    rows, labels = np.unique(samples.targets, axis=0, return_inverse=True)
    count, outputs = rows.shape
    if not 2 <= count <= max(2, samples.count // 2):
        raise DomainError(f"loss = cross_entropy needs a target of classes, this one has {count} different rows")
    if outputs == count and sorted(np.argmax(rows, axis=1)) == list(range(count)):  # one-hot, scaled or not
        codes = np.eye(count)[np.argmax(rows, axis=1)].T
    elif outputs == count - 1:  # contrasts, or one-hot columns turned: the simplex nearest to them
        left, _, right = np.linalg.svd((rows - np.mean(rows, axis=0)).T, full_matrices=False)
        codes = left @ right
    else:
        raise DomainError(f"loss = cross_entropy needs an output for each class but one, got {outputs} for {count}")
    return Classes(samples.inputs, labels.reshape(-1), codes, rows)


def half_times(classes: Classes, t: np.ndarray, total: Mapping[str, np.ndarray]) -> HalfTimes:
    """By the loss of each part alone, from total weights (T, outputs, d); interpolated in the loss.

    `never` where a part takes away less than WORTH of the loss; a run should go on until nothing changes any more.
    """
    falls = {m: fallen(np.array([classes.loss({m: w}) for w in path])) for m, path in total.items()}
    return by_fall(falls, t, math.log(classes.codes.shape[1]))


def fallen(loss: np.ndarray) -> tuple[np.ndarray, float]:
    """Of the loss of a part alone, (T,): the share of its fall that is done, and how far it falls."""
    depth = float(loss[0] - np.min(loss))
    return (loss[0] - loss) / depth if depth > 0 else np.zeros_like(loss), depth


def by_fall(falls: Mapping[str, tuple[np.ndarray, float]], t: np.ndarray, entropy: float) -> HalfTimes:
    """Half-times from what `fallen` says of each modality; `never` below WORTH of the entropy."""
    learned = {m: depth > WORTH * entropy for m, (_, depth) in falls.items()}
    clock = {m: first_time(t, share, 0.5) if learned[m] else math.inf for m, (share, _) in falls.items()}
    status = {m: Status.REACHED if learned[m] else Status.NEVER for m in falls}
    race = tuple(sorted(clock, key=lambda m: clock[m]))
    return HalfTimes.from_clock(race, clock, status)


def class_flow(
    problem: Problem, samples: Samples, u0: float | Mapping[str, float], width: int | None, max_steps: int = MOST_STEPS
) -> Trajectory:
    """Gradient flow of the cross-entropy, two layers: (156), exact for the aligned start, typical for a random one.

    Parameters
    ----------
    samples : rows in the units of the problem
    width : None for the aligned start; a random one is taken at its mean squares, which are the same at any width
    """
    network, data, classes = problem.network, problem.data, classes_of(samples)
    require_two_layers(network)
    norms = start_norms(network, u0)
    if width is None:
        parts, start = squares_of(network, data.sizes, aligned_weights(network, data, u0)), "aligned"
    else:
        both = {name: (norm, norm) for name, norm in norms.items()}
        parts, start = typical_squares(network, data.sizes, data.outputs, both), "typical random"
    grown, before, least = 0.0, 0.0, dict.fromkeys(data.modalities, math.inf)
    begin = math.log(classes.codes.shape[1])

    def ended(t: float, totals: dict[str, np.ndarray]) -> bool:
        nonlocal grown, before
        pace = max(float(np.linalg.norm(e, 2)) for e in classes.drive(totals)[1].values())
        grown, before = grown + pace * (t - before), t
        if grown < GROWN:
            return False
        fall = {m: classes.loss({m: w}) for m, w in totals.items()}
        least.update({m: min(least[m], value) for m, value in fall.items()})
        return t * pace < STILL or all(fall[m] > low + PAST * (begin - low) for m, low in least.items())

    flow = Closed(parts, lambda totals: classes.drive(totals)[1])
    t, path, settled = flow.run(RTOL, ended, math.inf, max_steps)
    found = half_times(classes, t, path)
    rows = 0 if data.outputs == 1 else slice(None)
    never = {m: NOTHING for m, status in found.status.items() if status is Status.NEVER}
    stop = [] if settled else [f"stopped by the budget of {max_steps} steps at t = {t[-1]:.6g}: half-times are early"]
    loss = np.array([classes.loss({m: w[i] for m, w in path.items()}) for i in range(len(t))])
    origin = {"producer": "cross-entropy flow", "start": start, "network": str(network), "u0": norms, "rtol": RTOL}
    return Trajectory(
        t, {m: np.ascontiguousarray(w[:, rows]) for m, w in path.items()}, loss, found, (),
        dict.fromkeys(data.modalities, math.nan), {}, never, {"steps": float(len(t) // 4)},
        (*data.warnings, *stop), {**origin, **origin_of(data)},
    )  # fmt: skip


def accuracy_along(
    data: Correlations, run: Trajectory, loss: Loss | str = Loss.SQUARED
) -> dict[str, np.ndarray]:  # fmt: skip
    """Share of rows put into their class along a run: of all modalities together ("all"), and of each alone, (T,).

    The others are at their mean, as in figure 7.

    Parameters
    ----------
    loss : that the run was trained with, which says how a class is read off the outputs

    Raises
    ------
    DomainError
        Where the data have no samples, or no classes.

    Examples
    --------
    >>> from dynamics import FusionNetwork, integrate_reduced
    >>> x = np.array([[0.0], [1], [2], [3], [4], [5.5]])
    >>> data = Correlations.from_samples({"A": x, "B": x**2}, list("aaabbb"))
    >>> run = integrate_reduced(FusionNetwork.fused_at(2, 2), data, u0=0.1)
    >>> sorted(accuracy_along(data, run)), float(accuracy_along(data, run)["A"][-1]) > 0.8
    (['A', 'B', 'all'], True)
    """
    if data.samples is None:
        raise DomainError("accuracy_along needs Correlations made by from_samples, these have no samples")
    classes = classes_of(data.samples)
    kind = one_of(Loss, loss, "loss")
    for m in data.modalities:
        ours, theirs = data.target_block(m).size, run.total[m][0].size if m in run.total else 0
        if ours != theirs:
            raise DomainError(f"run must be one of these data: it has {theirs} total weights of {m}, the data {ours}")
    shape = (len(run.t), data.outputs, -1)
    path = {m: w.reshape(shape) for m, w in run.total.items()}
    whole = [classes.accuracy({m: w[i] for m, w in path.items()}, kind) for i in range(len(run.t))]
    alone = {m: np.array([classes.accuracy({m: one}, kind) for one in w]) for m, w in path.items()}
    return {"all": np.array(whole), **alone}
