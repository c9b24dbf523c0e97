"""Where hidden units of ReLU go near zero, and how large they get there: equation (164).

A unit (w, c) grows by tau dw/dt = <c.y 1(w.x > 0) x>, tau dc/dt = <y relu(w.x)>: at a direction n that stays where it
is, at the rate gamma(n) = |<y relu(n.x)>|. So units end at local maxima of gamma on the sphere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

SAME = 0.98  # cosine from which maxima count as one: samples make ripples on every top, and units there act alike
STEP = 0.1  # of the growth near zero, in units of 1/(fastest rate)
SOLE = 1e-9  # of the largest rate: what is slower does not grow
CHUNK = 2_000_000  # samples times units at a time
CLIMBS = np.geomspace(0.5, 5e-3, 60)  # angles of the steps of an ascent
CLOSE = 1e-9  # angles that are the same
RISES = 1e-12  # relative to the largest slope: a maximum in two dimensions needs more than rounding on both sides


@dataclass(frozen=True, eq=False)
class Sites:
    """Maxima of gamma on the sphere of d inputs, the fastest first.

    directions : (k, d), of length 1
    rates : (k,), gamma in units of 1/tau
    outputs : (k, o), of length 1: where the second layer of a unit points
    """

    directions: np.ndarray
    rates: np.ndarray
    outputs: np.ndarray

    def __len__(self) -> int:
        return len(self.rates)

    def nearest(self, w: np.ndarray, c: np.ndarray) -> np.ndarray:
        """Of units (n, d), (n, o): the index of the site that is nearest in direction."""
        return np.asarray(np.argmax(w @ self.directions.T + c @ self.outputs.T, axis=1))


def drives(x: np.ndarray, y: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """F = <y relu(w.x)>, (n, o), and its slope <y 1(w.x > 0) x>, (n, o, d).

    x : (P, d); y : (P, o); w : (n, d)
    """
    (count, size), outputs = x.shape, y.shape[1]
    rows = (y[:, :, None] * x[:, None, :]).reshape(count, -1) / count
    block = max(1, CHUNK // count)
    slope = [((x @ w[i : i + block].T) > 0).T.astype(float) @ rows for i in range(0, len(w), block)]
    found = np.concatenate(slope).reshape(len(w), outputs, size)
    return np.einsum("nod,nd->no", found, w), found


def growing(
    x: np.ndarray, y: np.ndarray, w: np.ndarray, c: np.ndarray, log_span: float, t_end: float = math.inf
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Units near zero, until the fastest has grown by exp(log_span), or `t_end`: (164) by midpoint steps.

    Lengths are kept apart as logarithms, since the flow of (w, c) is homogeneous of degree 1.

    Returns w, c of length sqrt(|w|^2 + |c|^2) = 1, the logarithm of that length, and the time that it took.
    """
    norm = np.sqrt(np.sum(w**2, 1) + np.sum(c**2, 1))
    w, c, log_size = w / norm[:, None], c / norm[:, None], np.log(norm)
    of_length = np.linalg.norm(drives(x, y, w)[0], axis=1) / np.maximum(np.linalg.norm(w, axis=1), 1e-300)
    fastest, gone = float(np.max(of_length)), 0.0
    if fastest == 0:
        return w, c, log_size, 0.0
    clock = 0.0
    while gone < log_span and clock < t_end:
        force, slope = drives(x, y, w)
        rate = np.linalg.norm(force, axis=1) / np.maximum(np.linalg.norm(w, axis=1), 1e-300)
        fastest = max(fastest, float(np.max(rate)))
        step = min(min(STEP, log_span - gone) / fastest, t_end - clock)
        half_w, half_c = w + step / 2 * np.einsum("no,nod->nd", c, slope), c + step / 2 * force
        force, slope = drives(x, y, half_w)
        w, c = w + step * np.einsum("no,nod->nd", half_c, slope), c + step * force
        norm = np.sqrt(np.sum(w**2, 1) + np.sum(c**2, 1))
        w, c, log_size = w / norm[:, None], c / norm[:, None], log_size + np.log(norm)
        gone, clock = gone + step * fastest, clock + step
    return w, c, log_size, clock


def climbed(x: np.ndarray, y: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Directions, (n, d), after a projected gradient ascent of gamma, by angles that shrink; 0 where a unit is dead."""
    now = best = _unit(w)
    best_rate = np.zeros(len(w))
    for angle in CLIMBS:
        force, slope = drives(x, y, now)
        rate = np.linalg.norm(force, axis=1)
        better = rate > best_rate
        best, best_rate = np.where(better[:, None], now, best), np.where(better, rate, best_rate)
        up = np.einsum("no,nod->nd", force, slope)
        up -= np.sum(up * now, 1)[:, None] * now
        length = np.linalg.norm(up, axis=1)
        turn = np.minimum(angle, length / np.maximum(rate**2, 1e-300))  # Newton's step in an area without a kink
        now = _unit(now + turn[:, None] * up / np.maximum(length, 1e-300)[:, None])
    return np.where(best_rate[:, None] > 0, best, 0.0)


def _unit(w: np.ndarray) -> np.ndarray:
    return np.asarray(w / np.maximum(np.linalg.norm(w, axis=1), 1e-300)[:, None])


def sites(x: np.ndarray, y: np.ndarray, starts: np.ndarray) -> Sites:
    """Maxima that an ascent from `starts`, (n, d), finds; of one and two inputs all of them.

    Those that point alike, with their outputs alike, are one: the fastest of them.
    """
    size = x.shape[1]
    both = np.array([[1.0], [-1.0]])
    tops = both if size == 1 else in_the_plane(x, y) if size == 2 else climbed(x, y, starts)
    tops = tops[np.any(tops != 0, axis=1)].reshape(-1, size)
    force = drives(x, y, tops)[0] if len(tops) else np.zeros((0, y.shape[1]))
    rates = np.linalg.norm(force, axis=1)
    least = SOLE * float(np.mean(np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)))
    kept: list[int] = []
    for i in np.argsort(-rates, kind="stable"):
        if rates[i] <= least:
            break
        out = force[kept] @ force[i] / (rates[kept] * rates[i])
        if not np.any((tops[kept] @ tops[i] > SAME) & (out > SAME)):
            kept.append(int(i))
    return Sites(tops[kept], rates[kept], force[kept] / rates[kept][:, None])


def in_the_plane(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """All local maxima of gamma for two inputs, (k, 2), from the half-planes that the samples cut the circle into.

    Between two neighbouring borders n.x_i = 0 the same samples are active, so that F is linear in n: a maximum there is
    a singular vector of it. On a border gamma may have a kink that points up.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    >>> in_the_plane(x, x[:, :1]).round(6).tolist()  # y is the first input: along it, for both signs
    [[1.0, 0.0], [-1.0, 0.0]]
    """
    seen = np.any(x != 0, axis=1)
    x, y, count = x[seen], y[seen], len(x)
    if not len(x):
        return np.zeros((0, 2))
    angle = np.arctan2(x[:, 1], x[:, 0])
    borders = np.unique(np.round(np.mod(np.concatenate([angle + math.pi / 2, angle - math.pi / 2]), 2 * math.pi), 12))
    ends = np.append(borders[1:], borders[0] + 2 * math.pi)
    middle = (borders + ends) / 2
    slope = drives(x, y, _at(middle))[1] * len(x) / count  # (arcs, o, 2)
    gram = np.einsum("aoi,aoj->aij", slope, slope)
    top = np.linalg.eigh(gram)[1][:, :, 1]
    inside = []
    for sign in (1.0, -1.0):
        at = middle + np.mod(np.arctan2(sign * top[:, 1], sign * top[:, 0]) - middle + math.pi, 2 * math.pi) - math.pi
        rises = np.linalg.eigvalsh(gram)[:, 1] > RISES * np.max(gram)
        inside.append(at[(at > borders - CLOSE) & (at < ends + CLOSE) & rises])  # a top may lie on a border
    left = np.roll(gram, 1, axis=0)  # the arc that ends where this one begins
    n, along = _at(borders), _at(borders + math.pi / 2)
    before, after = (np.einsum("ai,aij,aj->a", n, g, along) for g in (left, gram))
    level = RISES * np.max(gram)
    kinks = borders[(before > level) & (after < -level)]
    found = np.sort(np.mod(np.concatenate([*inside, kinks]) + CLOSE, 2 * math.pi)) - CLOSE
    return _at(found[np.diff(found, prepend=-math.inf) > 2 * CLOSE])


def _at(angle: np.ndarray) -> np.ndarray:
    return np.column_stack([np.cos(angle), np.sin(angle)])
