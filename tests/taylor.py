"""30-digit half-times of the reduced flow of scalar inputs, sharing no code with the project.

    du_m/dt = s_m u_m^(L_f - 1) u^L_c e_m,   du/dt = u^(L_c - 1) sum_m s_m u_m^L_f e_m,
    e_m = Sigma_yx_m - sum_n W_n Sigma_nm

with W_m = s_m u_m^L_f u^L_c is polynomial, so Taylor coefficients follow from Cauchy products, order by order. A step
ends where the last two terms are below DIGITS; `tests/test_soak.py` compares with mpmath's odefun.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from mpmath import mp, mpf

ORDER = 40
DIGITS = 30
STEPS = 2000
PARTS = 8  # of a step in which a weight is looked at: a later modality may turn it back within one step


def half_times(
    sigma: Sequence[Sequence[float]],
    sigma_yx: Sequence[float],
    u0: float | str,
    plateaus: Sequence[float],
    fused: int = 2,
    shared: int = 0,
) -> list[mpf]:
    """First times at which W_m reaches half of plateaus[m], from u_m = u0 and u = sqrt(M) u0."""
    with mp.workdps(DIGITS + 10):
        count = len(sigma_yx)
        signs = [1 if b > 0 else -1 for b in sigma_yx]
        target = [mpf(float(b)) for b in sigma_yx]
        matrix = [[mpf(float(x)) for x in row] for row in sigma]
        state = [mpf(u0)] * count + [mp.sqrt(count) * mpf(u0)]
        found: list[mpf | None] = [None] * count
        time, steps = mpf(0), 0
        while None in found:
            steps += 1
            if steps > STEPS:
                raise AssertionError(f"no half-time of all by t = {mp.nstr(time, 8)}")
            series, weights = _series(state, signs, target, matrix, fused, shared)
            step = _step(series)
            end = [mp.polyval(c[::-1], step) for c in series]
            marks = [step * i / PARTS for i in range(PARTS + 1)]
            for m in range(count):
                past = lambda h, c=weights[m][::-1], p=plateaus[m]: mp.polyval(c, h) / mpf(float(p)) - mpf(1) / 2
                if found[m] is None:
                    for low, high in pairwise(marks):
                        if past(low) < 0 <= past(high):
                            root = mp.findroot(past, (low, high), solver="anderson", tol=mpf(10) ** (-2 * DIGITS))
                            found[m] = time + root
                            break
            state, time = end, time + step
        return [+x for x in found if x is not None]


def _step(series: list[list[mpf]]) -> mpf:
    """The last two terms of every series at most 10^-DIGITS of its first."""
    return min(
        (mpf(10) ** -DIGITS * abs(c[0]) / abs(c[n])) ** (mpf(1) / n)
        for c in series
        for n in (ORDER - 1, ORDER)
        if c[n] != 0
    )


def _series(
    state: list[mpf], signs: list[int], target: list[mpf], matrix: list[list[mpf]], fused: int, shared: int
) -> tuple[list[list[mpf]], list[list[mpf]]]:
    """Taylor coefficients of the norms, and of the total weights."""
    count = len(signs)
    norms = [[x] for x in state]
    leaves = [_Powers(norms[m], fused) for m in range(count)]
    trunk = _Powers(norms[-1], shared)
    weights: list[list[mpf]] = [[] for _ in signs]
    errors: list[list[mpf]] = [[] for _ in signs]
    pushes: list[list[mpf]] = [[] for _ in signs]  # u_m^L_f e_m s_m
    below: list[list[mpf]] = [[] for _ in signs]  # u_m^(L_f - 1) u^L_c
    for n in range(ORDER + 1):
        for powers in (*leaves, trunk):
            powers.extend(n)
        for m in range(count):
            weights[m].append(signs[m] * _product(leaves[m][fused], trunk[shared], n))
        for m in range(count):
            error = -sum(weights[j][n] * matrix[j][m] for j in range(count))
            errors[m].append(error + (target[m] if n == 0 else 0))
            pushes[m].append(signs[m] * _product(leaves[m][fused], errors[m], n))
            below[m].append(_product(leaves[m][fused - 1], trunk[shared], n))
        if n == ORDER:
            break
        for m in range(count):
            norms[m].append(signs[m] * _product(below[m], errors[m], n) / (n + 1))
        moved = sum(_product(trunk[shared - 1], pushes[m], n) for m in range(count)) if shared else mpf(0)
        norms[-1].append(moved / (n + 1))
    return norms, weights


class _Powers:
    """Series of x^0, x^1, ... x^highest, extended one order at a time with x."""

    def __init__(self, x: list[mpf], highest: int) -> None:
        self.of = [[], x, *([] for _ in range(highest - 1))]

    def __getitem__(self, power: int) -> list[mpf]:
        return self.of[power]

    def extend(self, n: int) -> None:
        self.of[0].append(mpf(1) if n == 0 else mpf(0))
        for power in range(2, len(self.of)):
            self.of[power].append(_product(self.of[power - 1], self.of[1], n))


def _product(one: list[mpf], other: list[mpf], n: int) -> mpf:
    return mp.fdot(one[: n + 1], other[n::-1])
