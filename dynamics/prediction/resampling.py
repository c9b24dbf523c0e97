"""How sure the data is of an order: a pairs bootstrap of who is learned first and who explains most alone."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from derivations import Correlations, DataError, DomainError, FusionNetwork
from derivations.correlations import RANK_TOLERANCE
from derivations.critical import preference
from derivations.samples import Samples
from dynamics.checks import checked_call, checked_integer, checked_seconds
from dynamics.prediction.cautions import refuse_large_start
from dynamics.prediction.confidence import Confidence, Quantiles
from dynamics.problem import Problem
from dynamics.recipe import MODULATED, Recipe, checked_recipe
from dynamics.simulation.batch import flow as batch_flow
from dynamics.simulation.batch.members import Member, Runs, along_own_courses
from dynamics.simulation.narrowed import few_inputs
from dynamics.starts.recipes import trained
from dynamics.starts.start import aligned_start, random_start
from dynamics.starts.weights import require_range, start_norms

LEAST_DRAWS = 100  # with fewer, a quantile of 2.5 % is the smallest draw or two
QUANTILES = (0.025, 0.5, 0.975)
STEP = 2**16  # floats of rows weighted at a time: they stay in the cache
BATCH = 2**20  # floats of second moments that are evaluated at a time
MOST_DRAWS = 10**7
MOST_AT_ONCE = 100  # draws between two calls of `progress`
UNIT_VARIANCE = 1e-9  # variances within it of one are those of z-scored columns
ALMOST_CONSTANT = 1e-6  # a spread below this share of the mean: the drawn rows themselves are looked at
RTOL = 1e-4  # of the runs
KNOWN = 10 * RTOL  # half-times that differ by less are a tie
MOST_STEPS = 5000  # of a run
ROUNDING = 8 * float(np.finfo(float).eps)  # a range below this share of the size is that of a constant column


def bootstrap(
    network: FusionNetwork,
    data: Correlations,
    *,
    u0: float | Mapping[str, float] = 1e-3,
    draws: int = 2000,
    seed: int = 0,
    seconds: float = math.inf,
    progress: Callable[[int, int], None] | None = None,
    recipe: Recipe | None = None,
) -> Confidence:
    """How sure the data is of who is learned first, who alone explains most, and whether they differ.

    A pairs bootstrap: every draw takes as many rows as the data has, with replacement, centres their columns and runs
    the reduced flow from the aligned start, all draws in one batch: the order is that of `predict`. It assumes
    independent rows. Data that is z-scored, every input and every output of variance one, is z-scored again in every
    draw; any other data stays in its units. A draw takes 2 to 5 milliseconds. Of many inputs the draws are seen along
    the directions that count for the data (`dynamics.simulation.narrowed`), in their units.

    A draw with a constant column, or of lower rank than the data, is counted (`degenerate`) and kept: the column
    carries nothing, and Sigma has a pseudo-inverse. Contributions of the draws lie above that of the data by about
    d (<y^2> - contribution) / P for d columns and P rows, as that of the data lies above the population's: a modality
    of many columns is favoured twice.

    Parameters
    ----------
    data : with samples
    u0 : norm of every layer before a fusion at t = 0, or chain name -> norm
    draws : 100 to ten million
    seed : of the rows drawn
    seconds : after which no more draws are begun, once there are LEAST_DRAWS; their number is in the result
    progress : called with the number of draws that have finished, and the number of all
    recipe : how it is trained, in every draw

    Raises
    ------
    DataError
        For data without samples: moments given as such, or a table of more than 64 MiB.
    DomainError
        On a start that is too large to predict from, at zero, or below the range of floats.

    Examples
    --------
    >>> from dynamics import load_example
    >>> net = FusionNetwork.fused_at(2, 2, ("exercise", "body"))
    >>> sure = bootstrap(net, load_example("linnerud"), draws=500)
    >>> round(sure.first["body"], 1), sure.rows, sure.standardized
    (0.7, 20, True)
    """
    recipe, progress = checked_recipe(recipe), checked_call(progress)
    trained(network, data, u0, recipe, MODULATED, "a bootstrap")  # refused before the work
    problem = few_inputs(Problem.of(network, data), u0)
    draws, seed = checked_integer(draws, "draws", LEAST_DRAWS, MOST_DRAWS), checked_integer(seed, "seed", 0)
    norms, seconds = start_norms(network, u0), checked_seconds(seconds)
    require_range(network, norms)
    refuse_large_start(random_start(problem, u0))
    samples = problem.data.samples
    if samples is None:
        raise DataError(
            "data.samples is None, but a bootstrap draws rows: samples are needed, from a file at most 64 MiB of them"
        )
    # Correlations does not record whether it is z-scored, but its variances tell
    variances = np.concatenate([np.diag(data.sigma), np.diag(np.atleast_2d(data.sigma_yy))])
    zscored, rng = bool(np.max(np.abs(variances - 1)) < UNIT_VARIANCE), np.random.default_rng(seed)
    zscored = zscored and problem.data is data  # directions of z-scored columns have no unit of their own
    size, parts = (
        max(
            1,
            min(
                MOST_AT_ONCE if seconds == math.inf else LEAST_DRAWS,
                BATCH // (len(problem.data.sigma) + data.outputs) ** 2,
            ),
        ),
        [],
    )
    until = time.monotonic() + seconds
    for done in range(0, draws, size):
        if done >= LEAST_DRAWS and time.monotonic() > until:
            break
        several = min(size, draws - done)
        second = np.stack([_second_moments(samples, rng) for _ in range(several)])
        parts.append(_evaluated(problem, norms, recipe, _zscored(second) if zscored else second))
        progress(done + several, draws)
    return _summary(problem, norms, _joined(parts), seed, zscored)


@dataclass(frozen=True, eq=False)
class _Draws:
    """What n draws say of M modalities.

    strength, contribution : (n, M)
    ranking : (n, M), places of the modalities in the order of their half-times
    decided : (n,), whether someone is first
    rank : (n,), of Sigma
    flawed : (n,), a column is constant, or the moments are refused
    """

    strength: np.ndarray
    contribution: np.ndarray
    ranking: np.ndarray
    decided: np.ndarray
    rank: np.ndarray
    flawed: np.ndarray


def _joined(parts: list[_Draws]) -> _Draws:
    return _Draws(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(_Draws)))


def _second_moments(samples: Samples, rng: np.random.Generator) -> np.ndarray:
    """Covariance (K, K) of drawn rows, inputs and then targets; exactly zero for a column constant in them."""
    columns, total = [*samples.inputs.values(), samples.targets], samples.count
    counts = np.bincount(rng.integers(total, size=total), minlength=total)  # how often each row is drawn: multinomial
    weights = counts / total
    mean = np.concatenate([weights @ block for block in columns])
    second = np.zeros((len(mean), len(mean)))
    step = max(1, STEP // len(mean))
    for start in range(0, total, step):
        part = slice(start, start + step)
        deviation = np.hstack([block[part] for block in columns]) - mean
        second += (deviation * weights[part, None]).T @ deviation
    for j in np.flatnonzero(np.sqrt(np.diag(second)) <= ALMOST_CONSTANT * np.abs(mean)):
        if _is_constant(columns, int(j), counts > 0):
            second[j, :] = second[:, j] = 0.0
    return second


def _is_constant(columns: list[np.ndarray], j: int, drawn: np.ndarray) -> bool:
    """Whether column j of all is constant, up to rounding, over the drawn rows."""
    ends = np.cumsum([block.shape[1] for block in columns])
    which = int(np.searchsorted(ends, j, side="right"))
    values = columns[which][drawn, j - ends[which]]  # counted from the end of its block
    return bool(np.ptp(values) <= ROUNDING * np.max(np.abs(values)))


def _zscored(second: np.ndarray) -> np.ndarray:
    """Covariances (n, K, K) of columns brought to variance one; a constant column stays zero."""
    spread = _unit_diagonal(second)
    return np.asarray(second / spread[:, :, None] / spread[:, None, :])


def _unit_diagonal(second: np.ndarray) -> np.ndarray:
    """What to divide by, (n, K), as in `Correlations`: standard deviations, one for a constant column."""
    spread = np.sqrt(np.diagonal(second, axis1=1, axis2=2))
    return np.where(spread > 0, spread, 1.0)


def _evaluated(problem: Problem, norms: Mapping[str, float], recipe: Recipe, second: np.ndarray) -> _Draws:
    """All that is asked of the draws with these covariances (n, K, K)."""
    data, inputs = problem.data, len(problem.data.sigma)
    sigma, sigma_yx, sigma_yy = second[:, :inputs, :inputs], second[:, inputs:, :inputs], second[:, inputs:, inputs:]
    spans = [data.span(m) for m in data.modalities]
    strength = np.stack([_norms(sigma_yx[:, :, span]) for span in spans], axis=1)
    worth = np.stack([_contributions(sigma[:, span, span], sigma_yx[:, :, span]) for span in spans], axis=1)
    ranking, decided, refused = _timed(problem, norms, recipe, list(zip(sigma, sigma_yx, sigma_yy, strict=True)))
    varies = np.append(np.diag(data.sigma), np.diag(np.atleast_2d(data.sigma_yy))) > 0
    constant = np.any((np.diagonal(second, axis1=1, axis2=2) == 0) & varies, axis=1)
    return _Draws(strength, worth, ranking, decided, np.sum(_spectrum(sigma)[2], axis=1), constant | refused)


def _norms(blocks: np.ndarray) -> np.ndarray:
    """Spectral norms (n,) of matrices (n, r, c), Euclidean of rows, safe from overflow of squares."""
    largest = np.max(np.abs(blocks), axis=(1, 2))
    largest = np.where(largest > 0, largest, 1.0)
    scaled = blocks / largest[:, None, None]
    found = np.linalg.norm(scaled[:, 0], axis=1) if blocks.shape[1] == 1 else np.linalg.norm(scaled, 2, axis=(1, 2))
    return np.asarray(largest * found)


def _spectrum(sigma: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Eigenvalues (n, d), eigenvectors, which are not zero, and scale of each Sigma at unit diagonal.

    The rule of `Correlations` for a zero, for many matrices at once.
    """
    scale = _unit_diagonal(sigma)
    values, vectors = np.linalg.eigh(sigma / scale[:, :, None] / scale[:, None, :])
    kept = values > RANK_TOLERANCE * values.shape[1] * np.maximum(values[:, -1:], 0.0)
    return values, vectors, kept, scale


def _contributions(sigma: np.ndarray, sigma_yx: np.ndarray) -> np.ndarray:
    """Sigma_yx Sigma^+ Sigma_yx^T, trace over outputs, (n,), of one modality."""
    values, vectors, kept, scale = _spectrum(sigma)
    along = (sigma_yx / scale[:, None, :]) @ vectors
    return np.asarray(np.sum(along**2 * (kept / np.where(kept, values, 1.0))[:, None, :], axis=(1, 2)))


def _timed(
    problem: Problem,
    norms: Mapping[str, float],
    recipe: Recipe,
    moments: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ranking by half-times, whether someone is first, and whether the moments are refused.

    The half-times are those of the reduced flow of each draw; where the aligned start of one is undefined, or more than
    two outputs deep, the race of a random start to leading order stands in for them.
    """
    network, sizes = problem.network, problem.data.sizes
    names = tuple(sizes)
    ranking = np.tile(np.arange(len(names)), (len(moments), 1))
    decided, refused = np.zeros((2, len(moments)), dtype=bool)
    members, drawn = [], []
    for k, (sigma, sigma_yx, sigma_yy) in enumerate(moments):
        try:
            data = Correlations(sigma, sigma_yx, sizes, sigma_yy)
        except DataError:  # nearly collinear: what is rounding in Sigma is not in Sigma_yx or <y^2>
            refused[k] = True
            continue
        asked = trained(network, data, norms, recipe, MODULATED, "a bootstrap")
        try:
            start = aligned_start(asked.problem, asked.u0)
            members.append(Member(start.full(), start.course))
            drawn.append(k)
        except DomainError:
            plan = asked.problem.course(start_norms(network, asked.u0), {})
            ranking[k] = [names.index(m) for m in plan.order]
            decided[k] = not plan.tie and plan.order[0] not in plan.never
    if not members:
        return ranking, decided, refused

    def attempt(_: Sequence[int], some: Sequence[Member]) -> Runs:
        return batch_flow.run(some, rtol=RTOL, max_steps=MOST_STEPS)

    times = along_own_courses(members, attempt).times.T
    order = np.argsort(times, axis=1, kind="stable")
    ranked = np.take_along_axis(times, order, axis=1)
    ranking[drawn], decided[drawn] = order, np.isfinite(ranked[:, 0])
    if len(names) > 1:
        with np.errstate(invalid="ignore"):
            decided[drawn] &= ~(ranked[:, 1] <= ranked[:, 0] * (1 + KNOWN))
    return ranking, decided, refused


def _summary(problem: Problem, norms: Mapping[str, float], found: _Draws, seed: int, zscored: bool) -> Confidence:
    """Shares and quantiles of all draws."""
    network, data = problem.network, problem.data
    names, draws = data.modalities, len(found.decided)
    first = np.where(found.decided, found.ranking[:, 0], -1)
    ranked = np.sort(found.contribution, axis=1)
    alone = ranked[:, -1] > 0 if len(names) == 1 else ranked[:, -2] < ranked[:, -1] * (1 - preference.TIE)
    best = np.where(alone, np.argmax(found.contribution, axis=1), -1)
    both = (first >= 0) & (best >= 0)
    orders = Counter(tuple(names[i] for i in row) for row in found.ranking[found.decided].tolist())
    undecided = int(np.sum(~both))
    degenerate = int(np.sum(found.flawed | (found.rank < data.rank(names))))
    defined = len(names) > 1 and not network.is_early_fusion and bool(np.any(both))
    plan = problem.course(norms, {})
    notes = [*plan.notes, *(f"Warning: {w}" for w in data.warnings)]
    if network.is_early_fusion:
        notes.append("Early fusion: no state with a single modality is visited.")
    if degenerate:
        notes.append(
            f"{degenerate} of {draws} draws are degenerate (a constant column or target, or Sigma of lower rank than "
            "in the data): they count, with the pseudo-inverse."
        )
    if undecided:
        notes.append(
            f"{undecided} of {draws} draws name no single first or best; they are missing in the sums of shares."
        )

    def shares(chosen: np.ndarray) -> dict[str, float]:
        return {m: float(np.mean(chosen == i)) for i, m in enumerate(names)}

    def quantiles(values: np.ndarray) -> dict[str, Quantiles]:
        low, median, high = np.quantile(values, QUANTILES, axis=0).tolist()
        return {m: (low[i], median[i], high[i]) for i, m in enumerate(names)}

    assert data.samples is not None
    return Confidence(
        shares(first),
        shares(best),
        float(np.mean(both & (first != best))) if defined else None,
        {order: count / draws for order, count in orders.most_common()},
        quantiles(found.strength),
        quantiles(found.contribution),
        data.samples.count,
        draws,
        seed,
        zscored,
        degenerate,
        undecided,
        tuple(notes),
    )
