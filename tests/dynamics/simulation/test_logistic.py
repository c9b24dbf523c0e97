"""Logistic loss in `descend` and `predict`, against loops, a minimiser and seeds that share no code with it."""

import numpy as np
import pytest
from scipy.optimize import minimize

from dynamics import Correlations, DomainError, FusionNetwork, Recipe, descend, integrate, predict
from dynamics.simulation.logistic import fitted
from tests.cases import SOAK

LATE = FusionNetwork.fused_at(2, 2)
ROWS = np.random.default_rng(5).normal(size=(200, 3)) @ [[1.0, 0.3, 0.4], [0.0, 0.8, 0.2], [0.0, 0.0, 0.7]]
LABELS = np.sign(ROWS @ [1.0, 0.5, 1.0] + np.random.default_rng(6).normal(size=200))
ROWS = ROWS - ROWS.mean(axis=0)
BLOCKS = {"A": ROWS[:, :2], "B": ROWS[:, 2:]}
DATA = Correlations.from_samples(BLOCKS, LABELS)


def probability(margin: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-margin))


@pytest.mark.parametrize("alpha", [0.0, 0.2])
def test_descent_is_that_of_a_loop(alpha: float) -> None:
    """Every weight at width 6, the encoder of the better modality modulated by the ratio of right probabilities."""
    rng, rate = np.random.default_rng(1), 0.05
    now = {m: [rng.normal(size=(6, x.shape[1])) / 20, rng.normal(size=(1, 6)) / 20] for m, x in BLOCKS.items()}
    begin = {m: [w.copy() for w in own] for m, own in now.items()}
    path = []
    for _ in range(401):
        outputs = {m: x @ (now[m][1] @ now[m][0])[0] for m, x in BLOCKS.items()}
        path.append(np.hstack([now[m][1] @ now[m][0] for m in BLOCKS])[0])
        drive = LABELS * probability(-LABELS * (outputs["A"] + outputs["B"])) / 200
        scores = {m: np.mean(probability(LABELS * output)) for m, output in outputs.items()}
        best = max(scores, key=lambda m: scores[m])
        for m, x in BLOCKS.items():
            first, last = now[m]
            k = 1 - np.tanh(alpha * scores[m] / min(scores.values())) if m == best else 1.0
            hidden = x @ first.T
            step = [k * np.outer(last[0], drive @ x), (drive @ hidden)[None]]
            now[m] = [w + rate * g for w, g in zip(now[m], step, strict=True)]
    recipe = Recipe(loss="logistic", ogm=alpha or None, learning_rate=rate)
    run = descend(LATE, DATA, weights=begin, on_samples=True, t_end=400 * rate, recipe=recipe, exact=True)
    assert np.max(np.abs(np.hstack([run.total["A"], run.total["B"]]) - np.array(path))) < 1e-10
    end = np.mean(np.log1p(np.exp(-LABELS * (ROWS @ path[-1]))))
    assert run.loss[-1] == pytest.approx(end, rel=1e-10)


def test_plateaus_are_the_least_loss_of_some_modalities() -> None:
    samples = DATA.samples
    assert samples is not None
    labelled = type(samples)(samples.inputs, LABELS[:, None])
    for names in (("A",), ("B",), ("A", "B")):
        x = np.hstack([BLOCKS[m] for m in names])
        least = minimize(lambda w, x=x: np.mean(np.log1p(np.exp(-LABELS * (x @ w)))), np.zeros(x.shape[1]), tol=1e-12)
        found = np.hstack([fitted(labelled, names)[m][0] for m in names])
        assert np.max(np.abs(found - least.x)) < 1e-5
        slope = (LABELS * probability(-LABELS * (x @ found))) @ x
        assert np.max(np.abs(slope)) < 1e-9


def test_the_typical_start_is_the_middle_of_seeds() -> None:
    """Half-times along plateaus of logistic fits; ten seeds (six here) scatter by 1 %."""
    recipe = Recipe(loss="logistic", learning_rate=0.1)
    told = predict(LATE, DATA, width=50, recipe=recipe)
    seeds = range(10 if SOAK else 6)
    runs = [descend(LATE, DATA, width=50, seed=k, on_samples=True, recipe=recipe, t_end=120) for k in seeds]
    assert {run.order for run in runs} == {told.order}
    assert told.ratio == pytest.approx(np.median([run.ratio for run in runs]), rel=0.02)
    assert "logistic loss" in told.holds_for


def test_what_has_no_half_is_refused() -> None:
    recipe = Recipe(loss="logistic")
    clear = Correlations.from_samples(BLOCKS, np.sign(ROWS[:, 0]))
    with pytest.raises(DomainError, match="A separate the labels: with loss = logistic weights grow for ever"):
        predict(LATE, clear, width=20, recipe=recipe)
    numbers = Correlations.from_samples(BLOCKS, ROWS[:, 0])
    with pytest.raises(DomainError, match="loss = logistic needs a target of two classes"):
        predict(LATE, numbers, width=20, recipe=recipe)
    with pytest.raises(DomainError, match="loss = logistic is not known to the full flow"):
        integrate(LATE, DATA, recipe=recipe)
    with pytest.raises(DomainError, match=r"weight_decay = 0.1 is not known to predict with loss = logistic"):
        predict(LATE, DATA, recipe=Recipe(loss="logistic", weight_decay=0.1))
    with pytest.raises(DomainError, match="loss = logistic needs Correlations made by from_samples"):
        predict(LATE, Correlations.scalar(2, 1, 0.5), recipe=recipe)
