"""What an audit of bad input found silently wrong or answered with a traceback: one line names field and value."""

import copy
import inspect
import json
import os
import pickle
import re
import stat
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import sympy as sp

import derivations
import dynamics
from derivations.errors import DataError, DomainError, SolveError, StoreError
from dynamics import (
    Chain,
    Correlations,
    FusionNetwork,
    Recipe,
    accuracy_along,
    aligned_weights,
    bootstrap,
    by_optimizer,
    compare,
    critical_weight_decay,
    descend,
    ensemble,
    explore,
    integrate,
    integrate_reduced,
    law_grid,
    load_trajectory,
    locate,
    plot_sweep,
    portrait,
    predict,
    predict_relu,
    prescribe,
    random_weights,
    recorded,
    report,
    reproduce,
    sweep,
    train_relu,
)
from dynamics.interface.cli import main
from dynamics.messages import one_line
from dynamics.prediction.laws.leading import log_integral
from dynamics.prediction.prescribing import _Question
from dynamics.simulation import phases, system
from dynamics.simulation.sweeps.spec import make_spec
from tests.cases import clean_environment

NET, DATA, SIZES = FusionNetwork.fused_at(2, 2), Correlations.scalar(2, 1, 0.5), {"A": 1, "B": 1}
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(20, 2)), RNG.normal(size=20)
BLOCKS = {"A": X[:, 0], "B": X[:, 1]}
SMALL = [[[0.1]], [[0.1]]]
SPEC = make_spec({"sigma_a": 2.0})
HUGE = 10**400
MANY = FusionNetwork.fused_at(2, 2, tuple("ABCDEFGHIJKLMNOPQRST"))
A = sp.Symbol("A")
MASKED = np.ma.masked_equal([[99.0]], 99.0)


def scaled(s: float) -> Correlations:
    return Correlations.from_samples({m: x * s for m, x in BLOCKS.items()}, Y)


def with_first(layer: object) -> dict[str, object]:
    return {"A": [layer, [[0.1]]], "B": SMALL}


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: prescribe(NET, DATA, u0=0), DomainError, "u0 of A is 0: from there A is never learned"),
        (lambda: descend(NET, Correlations(np.zeros((2, 2)), [0, 0], SIZES)), DomainError, "no learning rate follows"),
        (lambda: predict(NET, DATA, u0=HUGE), DomainError, "u0 must be a finite number >= 0, got an integer beyond"),
        (lambda: integrate(NET, DATA, t_end=HUGE), DomainError, "t_end must be a finite number"),
        (lambda: descend(NET, DATA, learning_rate=HUGE), DomainError, "learning_rate must be a finite number"),
        (
            lambda: sweep({"sigma_a": 2.0, "learning_rate": HUGE}),
            DataError,
            "learning_rate must be a finite number below",
        ),
        (
            lambda: predict(NET, DATA, width=HUGE),
            DomainError,
            "width must be an integer <= .* got one of about 401 digits",
        ),
        (lambda: FusionNetwork.fused_at(10**9, 5), DomainError, "depth must be at most 100000, got 1000000000"),
        (lambda: ensemble(NET, DATA, seeds=10**9), DomainError, "seeds must be an integer <= 1000000"),
        (lambda: portrait(NET, DATA, points=10**6), DomainError, "points must be an integer <= 2000"),
        (lambda: random_weights(NET, DATA, 0.1, 10**10), DomainError, "width 10000000000 makes 4e.10 weights"),
        (lambda: train_relu(NET, BLOCKS, Y, width=10**10), DomainError, "width 10000000000 makes"),
        (
            lambda: integrate(FusionNetwork.fused_at(100, 51), DATA, u0=1e-100, width=3),
            DomainError,
            "multiply to 10.-9993, below the range of floats",
        ),
        (
            lambda: integrate(NET, DATA, weights=with_first(MASKED)),
            DomainError,
            r"weights\['A'\]\[0\] is a masked array",
        ),
        (
            lambda: Correlations.from_samples(BLOCKS, Y, standardize="no"),
            DataError,
            "standardize must be True or False, got 'no'",
        ),
        (lambda: integrate(NET, DATA, weights=with_first([MASKED[0]])), DomainError, "is a masked array"),
        (
            lambda: integrate(NET, DATA, t_eval=np.ma.masked_equal([1.0, 2.0], 1.0)),
            DomainError,
            "t_eval is a masked array",
        ),
        (
            lambda: train_relu(NET, BLOCKS, Y, snapshots=MASKED),
            DomainError,
            r"snapshots must be a list of times, got masked_array\(data=\[\[--\]\],",
        ),
        (lambda: law_grid(NET, 1e152, 1, 0.5, u0=0.1), DomainError, r"sigma_a must be at most 1e\+151, got 1e\+152"),
        (lambda: train_relu(NET, {"A": np.ma.masked_greater(X[:, 0], 1), "B": Y}, Y), DataError, "is a masked array"),
        (lambda: integrate(NET, DATA, weights=with_first([[np.nan]])), DomainError, r"has nan at index \(0, 0\)"),
        (
            lambda: locate(NET, DATA, {"A": [[[1e200]], [[1e200]]], "B": SMALL}),
            DomainError,
            "weights of A multiply to more than 1e100",
        ),
        (lambda: integrate(FusionNetwork.fused_at(sp.Symbol("L"), 2), DATA), DomainError, "numbers for depth"),
        (lambda: aligned_weights(NET, DATA, 0.1, 3, seed=-1), DomainError, "seed must be an integer >= 0, got -1"),
        (lambda: predict(NET, DATA, width=20, seed=-1), DomainError, "seed must be an integer >= 0, got -1"),
        (lambda: compare(NET, DATA, seeds=1, learning_rate="x"), DomainError, "learning_rate must be .* got 'x'"),
        (lambda: Correlations.from_samples({"A": X}, Y, columns={"A": 3}), DataError, "columns must name the inputs"),
        (
            lambda: Correlations.from_samples({"A": X}, Y, columns={"A": ("a\n\x1b[31m", "b")}),
            DataError,
            r"columns\['A'\] has a name that is not printable text: 'a\\n\\x1b\[31m'",
        ),
        (lambda: FusionNetwork.fused_at(2, 2, None), DomainError, "modalities must be several names, got None"),
        (lambda: FusionNetwork.fused_at(2, 2, "image"), DomainError, "modalities must be several names, got 'image'"),
        (lambda: train_relu(NET, BLOCKS, Y, snapshots=3), DomainError, "snapshots must be a list of times, got 3"),
        (lambda: predict("net", DATA), DomainError, "network must be FusionNetwork, got str"),
        (lambda: integrate(NET, {"A": [1]}), DomainError, "data must be Correlations, got dict"),
        (lambda: scaled(1e160), DataError, r"inputs\['A'\] column 0 has values of size 2.05e.160: rescale"),
        (lambda: Correlations(np.eye(2) * 1e305, [1e305] * 2, SIZES), DataError, "A of A has variance 1e.305: rescale"),
        (lambda: DATA.rescaled({"A": 1e-200}), DataError, r"factors\['A'\] must lie between"),
        (
            lambda: Correlations(np.eye(2), np.eye(2), SIZES, [[9, 1], [-1, 9]]),
            DataError,
            r"sigma_yy is not symmetric: 1 at \(0, 1\), -1 at \(1, 0\)",
        ),
        (lambda: law_grid(NET, [1, np.nan], 1, 0.5, u0=0.1), DomainError, r"sigma_a has nan at index \(1,\)"),
        (lambda: law_grid(NET, "x", 1, 0.5, u0=0.1), DomainError, "sigma_a must hold real numbers, got dtype <U1"),
        (lambda: law_grid(NET, 2, 1, 0.5, (1, 2, 3), u0=0.1), DomainError, "w must be a pair of weights"),
        (lambda: law_grid(NET, -1, 1, 0.5, u0=1e-3), DomainError, "sigma_a must be positive, got -1"),
        (lambda: predict(NET, DATA, u0={"A": np.nan, "B": 0.1}), DomainError, r"u0\['A'\] must be .* >= 0, got nan"),
        (lambda: integrate(NET, DATA, u0={"A": 0.1, "B": True}), DomainError, r"u0\['B'\] must be .* >= 0, got True"),
        (lambda: ensemble(NET, DATA, u0={"A": 0.1, "B": -1}), DomainError, r"u0\['B'\] must be .* >= 0, got -1"),
        (
            lambda: descend(NET, DATA, u0={"A": 0.1, "C": 1}),
            DomainError,
            "must name chains among A, B, trunk, got A, C",
        ),
        (lambda: FusionNetwork.fused_at(2, True), DomainError, "fusion_depth must be an integer, got True"),
        (
            lambda: integrate(NET, DATA, weights=with_first(np.zeros((0, 1)))),
            DomainError,
            r"weights\['A'\]\[0\] must have at least one row, got shape \(0, 1\)",
        ),
        (
            lambda: integrate(NET, DATA, weights=with_first([[0.1], [0.1]])),
            DomainError,
            r"weights\['A'\]\[1\] must have 2 columns, got shape \(1, 1\)",
        ),
        (lambda: integrate(NET, DATA, weights=with_first(0.1)), DomainError, r"must have 1 columns, got shape \(\)"),
        (
            lambda: integrate(NET, DATA, weights={"A": [[[1e-200]], [[1e-200]]], "B": SMALL}),
            DomainError,
            r"weights\['A'\] must be 0 or reach 1e-100, their largest is 1e-200",
        ),
        (
            lambda: Correlations.from_samples({"A": X}, [*Y[:-1], -np.inf]),
            DataError,
            r"targets has -inf at index \(19,\)",
        ),
        (lambda: Correlations([[1, 0.5 + 2e-10], [0.5, 1]], [1, 1], SIZES), DataError, "sigma is not symmetric: 0.5"),
        (
            lambda: Correlations(np.eye(2), [1e200, 1], SIZES),
            DataError,
            "sigma_yx has entries of size 1e.200, too large",
        ),
        (lambda: Correlations.scalar(2, 1, 0.5, (1, 1e300)), DataError, r"w\[1\] makes a target beyond 1e.151"),
        (
            lambda: Correlations.from_samples({"A": 1e3 * np.arange(20) + 10**18, "B": X}, Y),
            DataError,
            r"inputs\['A'\] column 0 varies by 1.89e.04 around 1e.18: too little for the digits of floats",
        ),
        (lambda: DATA.residual("B", given="C"), DataError, "modality must be one of A, B, got 'C'"),
        (
            lambda: law_grid(NET, [1, 2], [1, 2, 3], 0.5, u0=0.1),
            DomainError,
            r"sigma_a, sigma_b, rho and w do not fit one another: \(2,\), \(3,\), \(\), \(\), \(\)",
        ),
        (lambda: sweep(None), DataError, "spec must be a TOML file or a mapping, got NoneType"),
        (lambda: sweep(SPEC, data=DATA), DataError, "data goes with a mapping; this spec is made already"),
        (lambda: sweep("s.toml", recipe=Recipe()), DataError, "recipe goes with a mapping, not with a file"),
        (lambda: sweep({"sigma_a": 2.0}, ""), StoreError, "store '': no name of a folder"),
        (lambda: sweep({"sigma_a": 2.0}, "a\0b"), StoreError, r"store 'a\\x00b': no name of a folder"),
        (lambda: integrate_reduced(NET, DATA).save("x" * 5000), StoreError, "File name too long"),
        (lambda: integrate_reduced(NET, DATA).save("a\0b"), StoreError, "embedded null"),
        (lambda: integrate_reduced(NET, DATA).save(None), StoreError, "trajectory not written to 'None'"),
        (lambda: Correlations(None, [1, 1], SIZES), DataError, "sigma must hold real numbers, .* such as None"),
        (lambda: Correlations([[1, "a"], [0, 1]], [1, 1], SIZES), DataError, "sigma must hold .* such as 'a'"),
        (lambda: Correlations(np.eye(2), np.eye(2), SIZES, [9, 0, 0, 9]), DataError, r"sigma_yy must be \(2, 2\), got"),
        (
            lambda: Correlations(np.eye(2), [1, 1], SIZES, samples=BLOCKS),
            DataError,
            "from_samples takes rows of inputs",
        ),
        (
            lambda: Correlations(np.eye(2), [1, 1], SIZES, notes=3),
            DataError,
            "notes must be a list of sentences, got 3",
        ),
        (
            lambda: Correlations(np.eye(2), [1, 1], SIZES, has_classes="no"),
            DataError,
            "has_classes must be .* got 'no'",
        ),
        (lambda: Correlations([[A, "B"], ["B", 1]], [A, 1], SIZES), DataError, "sigma must hold .* symbols, got 'B'"),
        (lambda: Correlations([[A, 1], [1]], [A, 1], SIZES), DataError, r"sigma must hold .* symbols, got '\[A, 1\]'"),
        (lambda: Correlations([[A, np.nan], [1, A]], [A, 1], SIZES), DataError, "sigma must hold finite .* got 'nan'"),
        (lambda: Correlations(sp.eye(2), None, SIZES), DataError, "sigma_yx must hold .* symbols, got 'None'"),
        (lambda: Correlations(sp.eye(2), A, SIZES), DataError, "sigma_yx must be a matrix, or a list of rows, got 'A'"),
        (lambda: Correlations(sp.ones(2), [A, A], SIZES), DataError, "sigma of A, B is singular: with symbols"),
        (lambda: Correlations(sp.eye(2), [A, 1], SIZES, sp.eye(2)), DataError, "sigma_yy must be a number or symbol"),
        (lambda: Correlations.scalar(np.inf, 1, 0.5), DataError, "sigma_a must be finite, got inf"),
        (lambda: Correlations.scalar(2, 1, 0.5, ([1, 2], 3)), DataError, "w is ragged"),
        (lambda: Correlations.scalar(A, "1", 0.5), DataError, "sigma_b must hold finite numbers and symbols, got '1'"),
        (lambda: Correlations.from_samples(BLOCKS, Y, notes="z"), DataError, "notes must be a list of .* got 'z'"),
        (lambda: FusionNetwork.fused_at(2, 2, ()), DomainError, "modalities must be several names, got none"),
        (lambda: FusionNetwork.fused_at(2, 2, (1, 2)), DomainError, "a modality's name must be printable text, got 1"),
        (lambda: FusionNetwork.branches({"A": -1}), DomainError, r"depths\['A'\] must be at least 1, got -1"),
        (lambda: FusionNetwork.branches({"A": 1}, "x"), DomainError, "trunk must be an integer, got 'x'"),
        (lambda: FusionNetwork.tree(1, "A", "B"), DomainError, r"such as Chain\(2, 'A'\), got \('A', 'B'\)"),
        (lambda: Chain(1, None), DomainError, "source must be a modality's name or chains, got None"),
        (lambda: Recipe(momentum=np.array([0.9, 0.1]), nesterov=True), DomainError, "momentum must be a finite number"),
        (lambda: Recipe(momentum=0.9, nesterov="no"), DomainError, "nesterov must be True or False, got 'no'"),
        (lambda: Recipe(optimizer="rmsprop", betas=(0.5, 0.99)), DomainError, "rmsprop has no first of them"),
        (
            lambda: Recipe(optimizer="adam", betas={0.1, 0.2}),
            DomainError,
            r"betas must be two numbers below 1, got \{0",
        ),
        (lambda: predict(NET, DATA, recipe=Recipe(betas=(0.1, 0.2))), DomainError, "betas = 0.1 and 0.2 is not known"),
        (lambda: integrate(NET, DATA, recipe=Recipe(eps=1.0)), DomainError, "eps = 1 is not known to the full flow"),
        (
            lambda: descend(NET, DATA, width=3, recipe=Recipe(optimizer="sign", betas=(0.1, 0.2), learning_rate=0.1)),
            DomainError,
            "betas = 0.1 and 0.2 is not known to gradient descent",
        ),
        (lambda: integrate_reduced(NET, DATA, t_eval=[HUGE]), DomainError, "t_eval holds an integer beyond the range"),
        (lambda: integrate(NET, DATA, t_eval=[1j]), DomainError, "t_eval must hold real numbers, .* such as 1j"),
        (lambda: integrate(NET, DATA, t_eval=["1"]), DomainError, "t_eval must hold real numbers, .* such as '1'"),
        (lambda: FusionNetwork.fused_at(-HUGE, 2), DomainError, "at least 1, got one of about 401 digits"),
        (
            lambda: Correlations([[HUGE, 0], [0, 1]], [1, 1], SIZES),
            DataError,
            "sigma holds an integer beyond the range",
        ),
        (lambda: Correlations.scalar(True, 1, 0.5), DataError, "sigma_a must be a number, got True"),
        (lambda: Correlations.scalar(2, 1, 0.5, (1, np.True_)), DataError, r"w\[1\] must be a number, got np.True_"),
        (lambda: DATA.rescaled({"A": True}), DataError, r"factors\['A'\] must be a number, got True"),
        (lambda: DATA.projected({"A": np.eye(1)}), DataError, "axes must map each of A, B to directions"),
        (lambda: DATA.projected(None), DataError, "axes must map each of A, B to directions, got None"),
        (
            lambda: DATA.projected({"A": np.eye(3), "B": np.eye(1)}),
            DataError,
            r"axes\['A'\] must be columns of 1 entries, got shape \(3, 3\)",
        ),
        (lambda: DATA.projected({"A": [[2.0]], "B": [[1.0]]}), DataError, r"axes\['A'\] must have orthonormal columns"),
        (lambda: DATA.rank(3), DataError, "modality must be one of A, B, got 3"),
        (lambda: DATA.residual("A", 3), DataError, "modality must be one of A, B, got 3"),
        (lambda: DATA.target_block(["A"]), DataError, r"modality must be one of A, B, got \['A'\]"),
        (lambda: DATA.column_names("Z"), DataError, "modality must be one of A, B, got 'Z'"),
        (lambda: Correlations.symbolic({"A": 10**5}), DataError, "sizes must sum to at most 100 with symbols"),
        (lambda: derivations.fixed_points("x"), DomainError, "network must be FusionNetwork, got str"),
        (lambda: derivations.reduce("x"), DomainError, "network must be FusionNetwork, got str"),
        (lambda: derivations.reduce(NET, saturation="no"), DomainError, "saturation must be True or False, got 'no'"),
        (lambda: derivations.fixed_points(MANY), DomainError, "subsets of at most 8 modalities, got 20"),
        (lambda: derivations.quadratic_invariants(NET, 50), DomainError, "width 50 makes 200 weights, more than 60"),
        (lambda: derivations.quadratic_invariants(NET, 1, {"Z": 1}), DomainError, "sizes must map each of A, B"),
        (
            lambda: derivations.quadratic_invariants(NET, True),
            DomainError,
            "width must be a positive integer, got True",
        ),
        (lambda: derivations.differences(NET, {}), DomainError, r"weights\['A'\] must hold 2 layers, got 0"),
        (lambda: derivations.differences(NET, {"A": [1], "B": [2]}), DomainError, "must hold 2 layers, got 1"),
        (lambda: critical_weight_decay(NET, DATA, u0=-1), DomainError, "u0 must be a finite number >= 0, got -1"),
        (lambda: by_optimizer(NET, DATA, recipes={3: Recipe()}), DomainError, "name must be printable text, got 3"),
        (
            lambda: by_optimizer(NET, DATA, recipes={"\x1b[31m": Recipe()}),
            DomainError,
            r"printable text, got '\\x1b\[31m'",
        ),
        (lambda: reproduce(2.0), DomainError, "figure must be one of 1, 2, .* got 2.0"),
        (lambda: plot_sweep(3), DomainError, "found must be what sweep returns, got 3"),
        (lambda: report(NET, DATA, source=[1]), DomainError, r"source must map names to .* got \[1\]"),
        (lambda: report(NET, DATA, source={1: 2}), DomainError, r"source must map names to .* got {1: 2}"),
        (lambda: report(NET, DATA, units="x"), DomainError, "units must be True or False, got 'x'"),
        (
            lambda: recorded(NET, DATA, [0, 1], {"A": [0, 1], "B": [0, 1], "C": [0, 1]}),
            DataError,
            "total must name modalities among A, B, got 'C'",
        ),
        (lambda: integrate(NET, DATA, exact="no"), DomainError, "exact must be True or False, got 'no'"),
        (lambda: ensemble(NET, DATA, verify="no"), DomainError, "verify must be True or False, got 'no'"),
        (lambda: descend(NET, DATA, on_samples="no"), DomainError, "on_samples must be True or False, got 'no'"),
        (lambda: compare(NET, DATA, descent=1), DomainError, "descent must be True or False, got 1"),
        (lambda: prescribe(NET, DATA, ingredients="no"), DomainError, "ingredients must be True or False, got 'no'"),
        (lambda: ensemble(NET, DATA, progress=3), DomainError, "progress must be a function or None, got 3"),
        (lambda: prescribe(NET, DATA, progress="x"), DomainError, "progress must be a function or None, got 'x'"),
        (lambda: sweep({"sigma_a": 2.0}, progress=3), DomainError, "progress must be a function or None, got 3"),
        (
            lambda: compare(NET, DATA, descent=False, learning_rate=0.1),
            DomainError,
            "learning_rate = 0.1 is of gradient descent, which descent=False leaves out",
        ),
        (
            lambda: sweep({"sigma_a": 2.0}, "never-made", recipe=Recipe(optimizer="adam", learning_rate=0.1)),
            DomainError,
            "optimizer = adam is not known to a sweep",
        ),
        (
            lambda: sweep({"sigma_a": 2.0}, "never-made", recipe=Recipe(rates={"Z": 2.0})),
            DomainError,
            "rates must name modalities among A, B, got 'Z'",
        ),
        (
            lambda: predict(NET, scaled(1), recipe=Recipe(batch_size=21)),
            DomainError,
            "batch_size = 21 is more than there are rows, 20",
        ),
        (lambda: Recipe(rates={"A": -1}), DomainError, r"rates\['A'\] must be positive, got -1"),
        (lambda: Recipe(rates={1: 2}), DomainError, r"rates must map modality .* such as {'A': 0.5}, got {1: 2}"),
        (lambda: predict(NET, DATA, u0={"A": 0.1, "B": 0.1, "trunk": 9.0}), DomainError, "of a chain without layers"),
        (
            lambda: sweep({"sigma_a": 2.0, "learning_rate": 0}, "never-made", recipe=Recipe(learning_rate=0.1)),
            DataError,
            r"learning_rate is given in \[run\], and in the recipe as 0.1: give one",
        ),
        (lambda: bootstrap(NET, scaled(1), u0=9.0), DomainError, "u0 is too large to predict from"),
        (lambda: bootstrap(NET, scaled(1), u0=0), DomainError, "u0 of A is 0"),
        (lambda: bootstrap(NET, scaled(1), seconds=0), DomainError, "seconds must be positive, got 0"),
        (lambda: compare(NET, DATA, most_steps=0), DomainError, "most_steps must be an integer >= 1, got 0"),
        (
            lambda: accuracy_along(
                Correlations.from_samples({"A": X[:, :2], "B": X[:, 1]}, ["a", "b"] * (len(X) // 2)),
                integrate(NET, DATA),
            ),
            DomainError,
            "run must be one of these data: it has 1 total weights of A, the data 2",
        ),
        (lambda: law_grid(NET, [], 1, 0.5, u0=0.1), DomainError, r"must hold numbers, got shape \(0,\)"),
        (lambda: predict_relu(NET, BLOCKS, np.zeros(len(X))), DataError, "targets are constant"),
        (lambda: derivations.differences(NET, DATA), DomainError, "weights must map each chain to its layers"),
        (lambda: DATA.projected({"A": np.eye(3)}), DataError, "axes must map each of A, B to directions, got dict"),
        (lambda: explore(rho=5), DomainError, "rho must be between -0.98 and 0.98, got 5"),
    ],
)
def test_one_line_that_names_field_and_value(call, error, says) -> None:
    with pytest.raises(error, match=says) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("recipe", [{"weight_decay": 0.1}, "adam", Recipe])
@pytest.mark.parametrize(
    "road", [predict, integrate, integrate_reduced, descend, ensemble, compare, prescribe, report, bootstrap, portrait]
)
def test_a_recipe_is_a_recipe(road, recipe) -> None:
    with pytest.raises(DomainError, match=r"recipe must be a Recipe, such as Recipe\(weight_decay=0.1\), got"):
        road(NET, scaled(1), recipe=recipe)
    with pytest.raises(DomainError, match="recipe must be a Recipe, such"):
        sweep({"sigma_a": 2.0}, recipe=recipe)


@pytest.mark.parametrize("road", [descend, ensemble, compare, report])
def test_one_learning_rate(road) -> None:
    """In a recipe or beside it; the same one twice is fine."""
    with pytest.raises(DomainError, match=r"learning_rate = 0\.01 and the recipe's 0\.02 differ: give one"):
        road(NET, DATA, learning_rate=0.01, recipe=Recipe(learning_rate=0.02))
    assert Recipe(learning_rate=0.02).rate(0.02) == Recipe().rate(0.02) == Recipe(learning_rate=0.02).rate(None)


def test_a_recipe_says_and_keeps_all_that_it_holds() -> None:
    """Two answers never have one label, and what was checked stays as it was, through copies too."""
    own = Recipe(optimizer="adam", learning_rate=0.01, betas=(0.5, 0.9), eps=1.0, rates={"A": 2.0}, dropout={"B": 0.1})
    assert str(own) == "optimizer adam, learning rate 0.01, betas 0.5 and 0.9, eps 1, rates A 2, dropout B 0.1"
    assert json.loads(json.dumps(own.to_dict()))["betas"] == [0.5, 0.9]
    for one in (own, pickle.loads(pickle.dumps(own)), copy.deepcopy(own), replace(own, momentum=0.0)):
        assert one == own
        assert hash(one) == hash(own)
        for held in (one.rates, one.dropout):
            with pytest.raises(TypeError):
                held["A"] = -5
    assert own.as_descent == Recipe(learning_rate=0.01, rates={"A": 2.0}, dropout={"B": 0.1})


@pytest.mark.parametrize("u0", [Fraction(1, 10), sp.Rational(1, 10), {"A": Fraction(1, 10), "B": 0.1}])
def test_any_real_number_is_a_start(u0) -> None:
    found = predict(NET, DATA, u0=u0)
    assert found.times == predict(NET, DATA, u0=0.1).times
    assert "size u0 = " in found.holds_for


@pytest.mark.parametrize("names", [("x²", "x2"), ("\ufb01", "fi"), ("é", "e\u0301")])
def test_names_that_python_takes_for_one(names: tuple[str, str]) -> None:
    """As identifiers they are: two arguments of one name, in the code that SymPy makes."""
    data = Correlations(DATA.sigma, DATA.sigma_yx, dict.fromkeys(names, 1))
    found = predict(FusionNetwork.fused_at(2, 2, names), data)
    assert [found.times[m] for m in names] == list(predict(NET, DATA).times.values())


def test_what_a_caller_does_to_numpy_changes_nothing() -> None:
    with np.errstate(all="raise"):
        one = integrate_reduced(NET, DATA, u0=1e-200, t_end=1.0)
        many = ensemble(NET, DATA, u0=1e-90, width=3, seeds=1, t_end=1.0)
    assert one.status["A"] == many.status["A"][0] == "not reached"


def test_a_recipes_rate_beyond_stable_is_doubted() -> None:
    found = predict(NET, DATA, recipe=Recipe(learning_rate=50))
    assert any("up to which descent is stable" in w for w in found.warnings)
    assert found.estimate.bound["A"] == np.inf


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.1])
def test_the_bound_of_a_learning_rate_holds_for_its_descent(rate: float) -> None:
    """Steps lag behind the flow, to first order in the rate; noise of batches has no bound."""
    network, data = FusionNetwork.fused_at(2, 2), Correlations.scalar(2, 1, 0.5)
    recipe = Recipe(learning_rate=rate)
    found = predict(network, data, recipe=recipe)
    run = descend(network, data, weights=aligned_weights(network, data, 1e-3), recipe=recipe)
    off = {m: abs(run.times[m] / found.times[m] - 1) for m in "AB"}
    assert all(off[m] < found.estimate.bound[m] for m in "AB")
    assert 0.1 * found.estimate.bound["A"] < off["A"]  # and it is no empty one
    batches = predict(NET, scaled(1), recipe=Recipe(learning_rate=rate, batch_size=2))
    assert batches.estimate.bound["A"] == np.inf
    assert "its noise is left out" in " ".join(batches.warnings)


def test_modulated_encoders_come_to_an_end() -> None:
    """They may never settle: the run is left long after all is learned."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(60, 3)), rng.normal(size=(60, 2))
    data = Correlations.from_samples({"A": a, "B": b}, a @ [1, 2, 0.5] + b @ [0.5, 0.2] + 0.1 * rng.normal(size=60))
    run = integrate_reduced(NET, data, recipe=Recipe(ogm=2.0))  # was a SolveError at t = 3e19
    assert run.t[-1] == pytest.approx(1e4 * max(run.times.values()))


@pytest.mark.parametrize("own", [{"batch_size": 5}, {"dropout": {"A": 0.2}}])
def test_noise_is_left_out_only_where_it_is(own) -> None:
    """Descent on samples draws its batches and masks; a flow takes their mean, and says so."""
    recipe, says = Recipe(**own), "its noise is left out"
    drawn = descend(NET, scaled(1), u0=0.1, width=3, on_samples=True, max_steps=50, recipe=recipe)
    assert not any(says in w for w in drawn.warnings)
    assert any(says in w for w in integrate(NET, scaled(1), u0=0.1, width=3, recipe=recipe).warnings)


def test_a_ratio_of_any_size_is_far_but_a_number() -> None:
    """A ratio of 5e-324 is wanted: e^744 off."""
    assert 1e300 < _Question.gap(SimpleNamespace(off=lambda _: 744.0), (1.0, 2.0)) < np.inf


def test_a_start_at_zero_is_never_learned_and_said() -> None:
    for found in (predict(NET, DATA, u0=0, width=20), compare(NET, DATA, u0={"A": 0, "B": 0.1}, seeds=1).prediction):
        assert found.status["A"].value == "never"
        assert "A is never learned: nothing of it grows at the start" in str(found)
    assert "exactly stationary" in train_relu(NET, BLOCKS, Y, u0=0, t_end=0.5).warnings[0]


@pytest.mark.parametrize("scale", [1e-105, 1e-150])
def test_tiny_units_only_change_the_clock(scale: float) -> None:
    """Two layers: inputs s times as large are the same problem with u0/sqrt(s), at s times the pace."""
    plain, tiny = predict(NET, scaled(1), u0=1e-3), predict(NET, scaled(scale), u0=1e-3 / scale**0.5)
    assert tiny.order == plain.order
    for m in "AB":
        assert tiny.times[m] * scale == pytest.approx(plain.times[m], rel=1e-5)


@pytest.mark.parametrize(("depth", "says"), [(2, "(8), (9)"), (3, "(56), (57)")])
def test_the_law_of_two_layers_ends_where_the_one_of_more_begins(depth: int, says: str) -> None:
    """L = L_f = 2 has (8), (9); L_f = 2 < L has (56), (57), whose integral (58) is refused at L = 2."""
    p = predict(FusionNetwork.fused_at(depth, 2), DATA, u0=1e-8)
    assert p.leading.equations == says
    for m in "AB":
        assert p.leading.times[m] == pytest.approx(p.reduced.times[m], rel=0.01)
    with pytest.raises(DomainError, match=r"the time integral needs L_A, L_B >= 2, L_A \+ L_c > 2"):
        log_integral(2, 2, 0, 0.4)


def test_underflow_is_not_taken_for_never() -> None:
    found = predict(FusionNetwork.fused_at(1000, 501), DATA, u0=1e-12, width=10)
    assert found.source == "leading"
    assert found.status["A"].value == "reached"
    assert any("no law of this random start" in w and "below the range of floats" in w for w in found.warnings)


DEEP = FusionNetwork.fused_at(1000, 3)


@pytest.mark.parametrize(
    "run",
    [
        lambda: integrate(DEEP, DATA, u0=0.5, width=3),
        lambda: descend(DEEP, DATA, u0=0.5, width=3),
        lambda: ensemble(DEEP, DATA, u0=0.5, width=3, seeds=1, learning_rate=0.01),
        lambda: ensemble(DEEP, DATA, u0=1e-12, width=3, seeds=1),
        lambda: predict(DEEP, DATA, u0=1e-12, width=3, seeds=1),
    ],
)
def test_products_that_vanish_in_floats_are_no_fixed_point(run) -> None:
    """Nominal norms of u0 = 0.5 multiply to 1e-151; drawn layers, which do not line up, to 1e-468."""
    with pytest.raises(DomainError, match=r"the layers of A multiply to 10.-[0-9]+, below the range of floats"):
        run()


def test_layers_that_multiply_to_zero_exactly_are_a_fixed_point() -> None:
    """No layer is zero, but no product of three of them is left: that is a saddle, not an underflow."""
    net = FusionNetwork.fused_at(4, 4)
    apart = [[[1.0], [0.0]], np.diag([0.0, 1.0]), np.diag([1.0, 0.0]), [[0.0, 1.0]]]
    run = integrate(net, DATA, weights={"A": apart, "B": apart})
    assert run.status == dict.fromkeys("AB", "never")
    assert any("exactly stationary" in w for w in run.warnings)


def test_ties_and_what_is_never_learned_are_said_by_every_producer() -> None:
    tied = Correlations.scalar(1, 1, 0.3)
    runs = [integrate(NET, tied), integrate_reduced(NET, tied), ensemble(NET, tied, seeds=2), descend(NET, tied)]
    for run in runs:
        assert "A and B are equally fast: their order is undefined" in run.warnings
    blind = Correlations(np.eye(2), [0, 0], SIZES, 1.0)
    for run in (integrate(NET, blind), descend(NET, blind, max_steps=100)):
        assert run.reasons["A"] == "Sigma_yx of A is zero"
        assert "A is never learned: Sigma_yx of A is zero" in str(run)
    flipped = integrate_reduced(NET, Correlations.scalar(2, 1, -0.9))
    assert flipped.reasons["B"].startswith("the residual")
    assert "B is never learned: the residual" in str(flipped)


@pytest.mark.parametrize("scale", [1e-105, 1e-150])
def test_descent_in_tiny_units_is_not_taken_for_divergence(scale: float) -> None:
    """What is to be learned is 1e105 and more: that is no runaway; the steps are those of plain units."""
    plain = descend(NET, scaled(1), u0=1e-3, width=3)
    tiny = descend(NET, scaled(scale), u0=1e-3 / scale**0.5, width=3)
    assert tiny.monitors["steps"] == pytest.approx(plain.monitors["steps"], abs=1)
    many = ensemble(NET, scaled(scale), u0=1e-3 / scale**0.5, width=3, seeds=1, learning_rate=0.1 / scale)
    for m in "AB":
        assert tiny.times[m] * scale == pytest.approx(plain.times[m], rel=1e-6)
        assert many.times[m][0] * scale == pytest.approx(plain.times[m], rel=0.05)
    with pytest.raises(SolveError, match="diverged at step"):
        descend(NET, scaled(scale), u0=1e-2 / scale**0.5, width=3, learning_rate=1e3 / scale)


def test_a_budget_of_steps_is_one_of_time_too(monkeypatch) -> None:
    monkeypatch.setattr(system, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(system, "SECONDS", 1e-9)
    for run in (integrate(NET, DATA), integrate_reduced(NET, DATA), descend(NET, DATA)):
        assert any("stopped by the budget of 0 s at " in w and "max_steps sets it" in w for w in run.warnings)
        assert set(run.status.values()) == {"not reached"}


def test_the_callers_float_errors_are_his_own() -> None:
    """What underflows in extreme units is zero, whatever NumPy is told to do elsewhere; public names stay picklable."""
    with np.errstate(all="raise"):
        data, u0 = scaled(1e-150), 1e72
        for run in (
            predict(NET, data, u0=u0),
            integrate_reduced(NET, data, u0=u0),
            ensemble(NET, data, u0=u0, seeds=1),
        ):
            assert run.order == ("A", "B")
        assert "1.00e-150" not in str(data)
        assert law_grid(NET, [1e-140, 1e140], 1, 0.5, u0=0.1).a_is_first.tolist() == [False, True]
        assert sweep({"sigma_a": 1e140})["status"].values.tolist() == ["reached", "never"]
        assert np.geterr()["under"] == "raise"
    assert pickle.loads(pickle.dumps(dynamics.predict)) is dynamics.predict


def test_threads_find_what_one_finds_and_leave_the_filters_of_warnings() -> None:
    def found(i: int) -> tuple[bytes, str]:
        data = Correlations.scalar(2, 1, 0.1 * i)
        return integrate(NET, data, u0=0.05, width=3, seed=i).t.tobytes(), str(predict(NET, data, u0=0.05))

    alone = [found(i) for i in range(2)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(found, [0, 1] * 4)) == alone * 4
    deaf = [entry for entry in warnings.filters if entry[0] == "ignore" and entry[2] in {Warning, UserWarning}]
    assert not any(entry[1] is None and entry[3] is None for entry in deaf)


def test_a_budget_ends_one_member_and_says_where() -> None:
    """The other members stand as they are; the one that is cut is `not reached`, with the t that it came to."""
    whole = ensemble(NET, DATA, width=5, seeds=4)
    steps = whole.monitors["steps"]
    cut = ensemble(NET, DATA, width=5, seeds=4, max_steps=int(np.max(steps)) - 1)
    late = steps == np.max(steps)
    assert 0 < np.sum(late) < 4
    np.testing.assert_array_equal(cut.times["B"][~late], whole.times["B"][~late])
    few = ensemble(NET, DATA, width=5, seeds=4, max_steps=10)
    assert set(few.status["A"]) == {"not reached"}
    assert any(re.search(r"4 of 4 members: A not reached by t = 0\.\d+ to 0\.\d+: extend", w) for w in few.warnings)
    (by,) = {w for w in ensemble(NET, DATA, width=5, seeds=4, t_end=3).warnings if "B not reached" in w}
    assert "B not reached by t = 3: extend" in by


def test_an_integrator_that_gives_up_says_where(monkeypatch) -> None:
    class Tired(phases.DOP853):
        def step(self) -> str | None:
            if self.t < 1:
                return str(super().step())
            self.status = "failed"
            return "too stiff"

    class Stuck(phases.LSODA):
        def step(self) -> str | None:
            self.status = "failed"
            return "no corrector"

    monkeypatch.setattr(phases, "DOP853", Tired)
    monkeypatch.setattr(phases, "LSODA", Stuck)
    for run in (lambda: integrate(NET, DATA, width=5), lambda: integrate_reduced(NET, DATA)):
        with pytest.raises(SolveError, match=r"the integrator failed at t = 0\.\d+: too stiff; a larger u0"):
            run()


def test_no_public_function_takes_any_keyword() -> None:
    for package in (derivations, dynamics):
        for name in package.__all__:
            public = getattr(package, name)
            if inspect.isfunction(public) and name != "explore":  # which looks at them itself
                kinds = {parameter.kind for parameter in inspect.signature(public).parameters.values()}
                assert inspect.Parameter.VAR_KEYWORD not in kinds, name


def test_a_mean_far_from_zero_leaves_the_digits_of_the_spread() -> None:
    """At 1e12 floats are 1e-4 apart: the moments are those of these floats, as exact arithmetic has them."""
    x = X[:, 0] + 1e12
    exact = [Fraction(value) for value in x]
    mean = sum(exact) / len(exact)
    variance = float(sum((value - mean) ** 2 for value in exact) / len(exact))
    assert Correlations.from_samples({"A": x}, Y).sigma[0, 0] == pytest.approx(variance, rel=1e-12)


def test_descent_from_the_optimum_stops() -> None:
    """An excess below the rounding of the loss can not shrink by a million."""
    data = Correlations(np.eye(2), [1.0, 1.0], SIZES, 3.0)
    run = descend(NET, data, weights={"A": [[[1.0]], [[1.0]]], "B": [[[1.0]], [[1.0]]]})
    assert len(run.t) < 10


def test_nothing_but_a_plain_file_is_replaced(tmp_path: Path) -> None:
    run = integrate_reduced(NET, DATA)
    pipe = tmp_path / "pipe.npz"
    os.mkfifo(pipe)
    with pytest.raises(StoreError, match="no plain file"):
        run.save(pipe)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    with pytest.raises(StoreError, match="no plain file"):
        load_trajectory(pipe)  # would wait for ever
    target, link = tmp_path / "real.npz", tmp_path / "link.npz"
    run.save(target)
    link.symlink_to(target)
    run.save(link)  # through the link, as savefig and a shell do
    assert link.is_symlink()
    assert load_trajectory(target).times == run.times
    assert not list(tmp_path.glob("*.part"))


def test_a_batch_that_is_a_pipe_is_no_batch(tmp_path: Path) -> None:
    spec = {"sigma_a": 2.0, "rho": [0.0, 0.1]}
    sweep(spec, tmp_path / "store")
    batch = next((tmp_path / "store").glob("batch-*.npz"))
    batch.unlink()
    os.mkfifo(batch)
    with pytest.raises(StoreError, match="no plain file"):
        sweep(spec, tmp_path / "store")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a" + ".a" * 8000 + " = 1", "has a key of more than 8 parts"),
        ("[a" + ".a" * 8000 + "]", "has a key of more than 8 parts"),
        ("sigma_a = " + "9" * 5000, "is no TOML: Exceeds the limit"),
        ("k" * 5000 + " = 1", "a sweep has no 'kkk"),
        ("network = 5", r"network is a section, \[network\], got 5"),
        ('"=" ' + ".a" * 8000 + " = 1", "has a key of more than 8 parts"),
        ('x = { y = """\'\n\' """, a' + ".a" * 8000 + " = 1 }", "has a key of more than 8 parts"),
        ('"\\' * 300_000, "is no TOML"),
        ("name = 0x" + "f" * 5000, "name must be a line of text, got one of about 6021 digits"),
        ("#" * 2**20 + "#", r"spec '[^']*' is larger than 1048576 bytes$"),
        (f"layout = '{'k' * 5000}'", r"layout must be one of grid, list, got 'kkk.*\.\.\.$"),
        (f"sigma_a = 2.0\nfusion_depth = {list(range(3, 5000))}", "fusion_depth must be at most depth, got .* and 2"),
    ],
)
def test_a_spec_that_is_none(tmp_path: Path, text: str, says: str) -> None:
    spec = tmp_path / "spec.toml"
    spec.write_text(text)
    with pytest.raises(DataError, match=says) as caught:
        sweep(spec)
    assert len(str(caught.value)) < 400


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    spec = tmp_path / "spec.toml"
    spec.write_bytes(b"\xef\xbb\xbf[data]\nsigma_a = 2.0\n")
    assert sweep(spec)["ratio"].size == 1
    spec.write_bytes("sigma_a = 2.0".encode("utf-16"))
    with pytest.raises(DataError, match="is no TOML: it is not in UTF-8"):
        sweep(spec)


def test_a_sweep_of_too_many_files_is_counted_before_they_are_made() -> None:
    many = range(1, 3001)
    with pytest.raises(DomainError, match="9,000,000 combinations of depth, width are too many; at most 100,000"):
        sweep({"sigma_a": 2.0, "fusion_depth": 1, "depth": many, "width": many})


def test_tensors_are_read_or_refused_in_one_line() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is absent; CI runs this test where it is installed")
    x = torch.arange(12.0).reshape(6, 2) ** 2
    y = x[:, 0].numpy() + np.arange(6) % 3
    plain = Correlations.from_samples({"A": x.numpy()}, y)
    for tensor in (x.requires_grad_(), x.detach().bfloat16().float(), x.detach().to_sparse(), list(x.T.detach())):
        block = tensor if not isinstance(tensor, list) else torch.stack(tensor, 1)
        assert np.array_equal(Correlations.from_samples({"A": block}, y).sigma, plain.sigma)
    for bad, says in ((torch.empty(6, 1, device="meta"), "no data"), (x.detach() + 0j, "dtype complex")):
        with pytest.raises(DataError, match=says):
            Correlations.from_samples({"A": bad}, y)
        with pytest.raises((DataError, DomainError), match=says):
            integrate(FusionNetwork.fused_at(2, 2), Correlations.scalar(2, 1, 0), weights={"A": [bad], "B": [bad]})


def test_what_a_network_hands_out_is_frozen() -> None:
    network = pickle.loads(pickle.dumps(FusionNetwork.fused_at(3, 2)))
    handed: tuple[Any, ...] = (network.chains, network.path_depths)
    for held in handed:
        with pytest.raises(TypeError):
            held["A"] = 7
    with pytest.raises(ValueError, match="read-only"):
        integrate(NET, DATA).norms["A"][:] = 0


def test_few_starts_are_no_certainty() -> None:
    assert "of 3 random starts" in str(predict(NET, DATA, init="pytorch", width=20, seeds=3))


def test_correlations_are_frozen_all_the_way() -> None:
    rows = np.random.default_rng(0).normal(size=(20, 3))
    data = Correlations.from_samples({"A": rows[:, :1], "B": rows[:, 1:2]}, rows[:, 2])
    for one in (data, pickle.loads(pickle.dumps(data))):
        with pytest.raises(TypeError):
            one.sizes["A"] = 7  # type: ignore[index]
        for array in (one.sigma, one.sigma_yx, one.samples.targets, one.samples.inputs["A"]):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 1.0
    other = Correlations.from_samples({"A": rows[:, :1], "B": 2 * rows[:, 1:2]}, rows[:, 2]).samples
    with pytest.raises(TypeError):
        data.samples.inputs["A"] = 7  # type: ignore[index]
    flipped = Correlations.from_samples({"A": rows[:, :1], "B": rows[:, 1:2]}, -rows[:, 2]).samples
    for wrong, sigma_yy in ((other, data.sigma_yy), (flipped, data.sigma_yy), (flipped, None), (data.samples, 9.0)):
        with pytest.raises(DataError, match="samples are not those of sigma"):
            Correlations(data.sigma, data.sigma_yx, {"A": 1, "B": 1}, sigma_yy, samples=wrong)
    swapped = Correlations.from_samples({"B": rows[:, :1], "A": rows[:, 1:2]}, rows[:, 2]).samples
    with pytest.raises(DataError, match="samples must have the inputs of sizes"):
        Correlations(data.sigma, data.sigma_yx, {"A": 1, "B": 1}, data.sigma_yy, samples=swapped)
    masked = [np.ma.masked_array([1.0, 2.0], [0, 1]), [2.0, 1.0]]
    for held in (masked, [(np.ma.masked, 2.0), (3.0, 1.0)]):
        with pytest.raises(DataError, match=r"inputs\['A'\] is a masked array"):
            Correlations.from_samples({"A": held}, [1.0, 2.0])


def test_a_name_too_long_is_refused_before_the_work(tmp_path: Path, capsys) -> None:
    assert main(["report", "--example", "diabetes", "-o", str(tmp_path / ("x" * 245 + ".html"))]) == 1
    assert "its name has more than 230 bytes" in capsys.readouterr().err


def test_what_may_not_be_written_or_read_is_said_before_the_work(table: Path, monkeypatch, capsys) -> None:
    """As an ordinary user finds it; root may do anything, so that the answer of the system is planted."""
    monkeypatch.setattr(os, "access", lambda path, mode: mode == os.R_OK)
    assert main(["report", "--example", "diabetes", "-o", str(table.with_suffix(".html"))]) == 1
    assert capsys.readouterr().err.endswith("takes no new files\n")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert main(["predict", str(table), *COLUMNS]) == 2
    assert capsys.readouterr().err.endswith("in.csv' cannot be read: Permission denied\n")


def test_a_terminal_without_a_sign_shows_its_code() -> None:
    """In a process of its own: the encoding is that of its streams."""
    done = subprocess.run(
        [sys.executable, "-m", "dynamics", "table", "1"], capture_output=True, check=False,
        env=clean_environment(PYTHONIOENCODING="ascii"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert rb"\xb1" in done.stdout  # plus or minus


@pytest.mark.parametrize("name", ["x\x1b[31m", "x\u202evsc", "x\ny"])
def test_a_file_name_cannot_command_a_terminal(tmp_path: Path, capsys, name: str) -> None:
    """Names of columns and modalities are refused where they hold such characters; those of files are shown escaped."""
    spec = tmp_path / f"{name}.toml"
    spec.write_text("sigma_a = 2.0\n")
    assert main(["sweep", str(spec), "-o", str(tmp_path / name)]) == 0
    assert f"result: {one_line(str(tmp_path / name))}.nc" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["derive", "9", f"--{name}"])
    assert f"unrecognized arguments: --{one_line(name)}\n" in capsys.readouterr().err


def test_deep_nesting_is_bad_input(tmp_path: Path) -> None:
    spec = tmp_path / "deep.toml"
    spec.write_text("x=" + "[" * 100_000)
    assert main(["sweep", str(spec), "-o", str(tmp_path / "s")]) == 2
    folder = tmp_path / "store"
    folder.mkdir()
    (folder / "manifest.json").write_text("[" * 200_000)
    assert sweep({"sigma_a": 2.0}, folder)["ratio"].size == 1  # set aside, and made from the spec
    with pytest.raises(StoreError, match="File name too long"):
        sweep({"sigma_a": 2.0}, tmp_path / ("x" * 300))


COLUMNS = ["--modality", "A=a", "--modality", "B=b"]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = "\n".join(f"{a},{b},{y}" for (a, b), y in zip(X, Y, strict=True))
    path = tmp_path / "in.csv"
    path.write_text(f"a,b,y\n{rows}\n")
    return path


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["simulate", "in.csv", *COLUMNS, "--method", "reduced", "--width", "5"], "--width is of a random start"),
        (["simulate", "in.csv", *COLUMNS, "--method", "reduced", "--seed", "0"], "--seed is of a random start"),
        (["simulate", "in.csv", *COLUMNS, "--method", "reduced", "--init", "lecun"], "--init is of a random start"),
        (["fixed-points", "--missing", "drop"], "--missing goes with a DATA file"),
        (["fixed-points", "--na", "-9"], "--na goes with a DATA file"),
        (["explore", "--classes"], "--classes goes with a DATA file"),
        (["predict", "--example", "diabetes", "--target", ""], "--target goes with a DATA file; an example has"),
        (["predict", "in.csv", *COLUMNS, "--target", ""], "--target must look like C1,C2"),
        (["figure", "1", "-o", "f.png", "--data", "in.csv"], "--data, where .* must end in .json, got 'in.csv'"),
        (["table", "1", "--store", "."], "--store '.' holds no trained networks"),
        (["sweep", "one.toml", "-o", "x", "--plot", "x.png"], "--plot draws along 1 of the axes of a grid"),
        (["predict", "in.csv", *COLUMNS, "--bootstrap", "-5"], "--bootstrap must be 0 .* got -5"),
        (["predict", "in.csv", *COLUMNS, "--sheet", "x"], "sheet = 'x' goes with another kind of file than 'in.csv'"),
        (["predict", "in.npz", "--encoding", "latin-1"], "encoding = 'latin-1' goes with another kind of file"),
        (["predict", "in.npy", *COLUMNS, "--sep", ";"], "sep = ';' goes with another kind of file than 'in.npy'"),
        (["predict", "in.npz", "--na", "-9"], "missing and na need samples"),
        (["predict", "in.npz", "--target", "z"], "target, modalities, .* need samples"),
        (["sweep", "absent.toml", "-o", "x"], "spec 'absent.toml': no such file"),
    ],
)
def test_a_flag_that_would_do_nothing_is_refused(table: Path, monkeypatch, capsys, words, says: str) -> None:
    monkeypatch.chdir(table.parent)
    np.savez("in.npz", sigma=np.eye(2), sigma_yx=[2.0, 1.0], sizes=[1, 1])
    np.save("in.npy", np.zeros(3, dtype=[("a", float), ("b", float), ("y", float)]))
    Path("one.toml").write_text("sigma_a = 2.0\nseed = [0, 1]\n")
    assert main(words) == 2
    err = capsys.readouterr().err
    assert re.match(f"fusion-dynamics: .*{says}", err)
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "words", [["simulate", "--method", "reduced", "-o", "x.npz"], ["compare", "--seeds", "1", "--plot", "x.png"]]
)
def test_what_was_found_is_printed_before_it_is_saved(table: Path, monkeypatch, capsys, words) -> None:
    """A disk that fills up meanwhile takes no result with it; a folder that takes no files is known before."""
    monkeypatch.chdir(table.parent)
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    assert main([words[0], "in.csv", *COLUMNS, *words[1:]]) == 1
    told = capsys.readouterr()
    assert "No space left on device" in told.err
    assert "half" in told.out
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert main([words[0], "in.csv", *COLUMNS, *words[1:]]) == 1
    told = capsys.readouterr()
    assert "takes no new files" in told.err
    assert not told.out


def test_a_reader_that_has_left_takes_no_file_with_it(table: Path) -> None:
    """As in `| head -1`."""
    words = [sys.executable, "-m", "dynamics", "simulate", "in.csv", *COLUMNS, "-o", "run.npz"]
    with subprocess.Popen(words, cwd=table.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as ran:
        assert ran.stdout is not None
        ran.stdout.close()
        assert (ran.wait(60), ran.stderr.read() if ran.stderr else b"") == (0, b"")
    assert (table.parent / "run.npz").exists()


def test_standard_error_that_takes_nothing_ends_no_work(table: Path, monkeypatch, capsys) -> None:
    """Closed (2>&-), where `print` would take standard output in its place, and on a full disk."""
    words = ["simulate", str(table), *COLUMNS, "--seeds", "2", "--width", "3", "--json"]
    full = SimpleNamespace(write=lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    for stream in (None, full):
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stderr", stream)
            assert main(words) == 0
            sys.stderr.close()
        assert json.loads(capsys.readouterr().out)["order"] == ["A", "B"]


def test_the_input_is_not_overwritten(table: Path, tmp_path: Path, capsys) -> None:
    before = table.read_bytes()
    png = tmp_path / "in.png"
    png.write_bytes(before)
    for words in (
        ["simulate", str(table), *COLUMNS, "-o", str(table)],
        ["report", str(table), *COLUMNS, "-o", str(table)],
        ["simulate", str(png), *COLUMNS, "--seeds", "2", "--plot", str(png)],
    ):
        assert main(words) == 2
        assert "is the file that is read" in capsys.readouterr().err
    assert table.read_bytes() == before == png.read_bytes()


@pytest.mark.parametrize(("flag", "text"), [("--u0", "1_0"), ("--depth", "٣"), ("--width", "1e3"), ("--u0", "0x1")])
def test_numbers_are_plain_digits(table: Path, capsys, flag: str, text: str) -> None:
    with pytest.raises(SystemExit) as left:
        main(["predict", str(table), *COLUMNS, flag, text])
    assert left.value.code == 2
    assert "not a" in capsys.readouterr().err


def test_specs_and_results_are_plain_files(tmp_path: Path, capsys) -> None:
    """A pipe would wait for ever, /dev/zero never end; what a link to a device names is not replaced."""
    spec, pipe = tmp_path / "s.toml", tmp_path / "pipe.toml"
    spec.write_text("sigma_a = 2.0\n")
    os.mkfifo(pipe)
    (tmp_path / "device").symlink_to("/dev/null")
    (tmp_path / "store.nc").symlink_to("/dev/null")
    for words, status, says in (
        ([str(pipe), "-o", str(tmp_path / "a")], 2, "it is no plain file"),
        (["/dev/zero", "-o", str(tmp_path / "a")], 2, "it is no plain file"),
        ([str(spec), "-o", str(tmp_path / "device")], 1, "it is a file, not a folder"),
        ([str(spec), "-o", str(tmp_path / "store")], 1, "it is no plain file"),
    ):
        assert main(["sweep", *words]) == status
        err = capsys.readouterr().err
        assert says in err
        assert err.count("\n") == 1
    assert not (tmp_path / "store").exists()  # nothing was run for a result that has no place


@pytest.mark.parametrize(
    ("words", "flag"),
    [(["figure", "2", "--data"], "--data"), (["derive", "44", "--html"], "--html"), (["derive", "--html"], "--html")],
)
def test_a_file_that_cannot_be_written_is_named_with_its_flag(tmp_path: Path, capsys, words, flag: str) -> None:
    assert main([*words, str(tmp_path / "absent" / "x.json")]) == 1
    assert f"{flag} not written to" in capsys.readouterr().err


def test_steps_beyond_stable_are_doubted(table: Path, capsys) -> None:
    """A time over a learning rate is a number of steps only where descent follows the flow."""
    says = "is beyond [0-9.]+, up to which descent is stable"
    assert main(["predict", str(table), *COLUMNS, "--learning-rate", "50", "--json"]) == 0
    assert re.search(says, " ".join(json.loads(capsys.readouterr().out)["warnings"]))
    assert main(["predict", str(table), *COLUMNS, "--learning-rate", "0.01"]) == 0
    assert "up to which descent" not in capsys.readouterr().out


def test_a_reader_that_leaves_is_no_failure(table: Path, monkeypatch, capsys) -> None:
    """`fusion-dynamics ... | head -1`, and standard output closed by the shell."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as gone, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", gone)
        assert main(["predict", str(table), *COLUMNS]) == 0
        patch.setattr(sys, "stdout", None)
        assert main(["predict", str(table), *COLUMNS]) == 0
    assert capsys.readouterr().err == ""


def test_a_full_disk_behind_a_redirection(table: Path) -> None:
    import subprocess

    command = [sys.executable, "-m", "dynamics", "predict", str(table), *COLUMNS]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.endswith("output not written: No space left on device\n")
    assert "Traceback" not in done.stderr
