import pickle

import numpy as np
import pytest
import sympy as sp

from derivations import Correlations, DataError
from derivations.samples import constant_notes
from tests.cases import ORACLE, oracle_instance

TWO = {"A": 1, "B": 1}


@pytest.mark.parametrize("entry", ORACLE["instances"], ids=lambda e: e["name"])
def test_statistics_agree_with_the_oracle(entry) -> None:
    data, _ = oracle_instance(entry)
    close = lambda got, name: np.testing.assert_allclose(
        got, np.array(entry[name], dtype=float), rtol=1e-12, atol=1e-13
    )
    close(data.optimum, "W_star")
    for m, other in (("A", "B"), ("B", "A")):
        close(data.unimodal(m), f"W_uni_{m}")
        close(data.strength(m), f"norm_yx{m}")
        close(np.linalg.norm(data.residual(m, given=other)), f"norm_residual_{m}_given_{other}")


def test_scalar_takes_standard_deviations() -> None:
    data = Correlations.scalar(sigma_a=2, sigma_b=1, rho=0.5)
    np.testing.assert_array_equal(data.sigma, [[4, 1], [1, 1]])
    np.testing.assert_array_equal(data.sigma_yx, [5, 2])
    assert float(data.sigma_yy) == 7
    data = Correlations.scalar(sigma_a=2, sigma_b=3, rho=0.5, w=(1, 2))  # no two of the numbers the same
    np.testing.assert_array_equal(data.sigma, [[4, 3], [3, 9]])
    np.testing.assert_array_equal(data.sigma_yx, [10, 21])
    assert float(data.sigma_yy) == 52


def test_samples_give_centred_moments() -> None:
    rng = np.random.default_rng(0)
    x, z = rng.normal(3, 2, size=(50, 2)), rng.integers(0, 255, size=50).astype(np.uint8)
    y = rng.normal(size=50)
    data = Correlations.from_samples({"A": x, "B": z}, y)
    stacked = np.cov(np.column_stack([x, z.astype(float), y]), rowvar=False, bias=True)
    np.testing.assert_allclose(data.sigma, stacked[:3, :3], rtol=1e-12)
    np.testing.assert_allclose(data.sigma_yx, stacked[3, :3], rtol=1e-10, atol=1e-12)
    scored = Correlations.from_samples({"A": x, "B": z}, y, standardize=True)
    np.testing.assert_allclose(
        scored.sigma, np.corrcoef(np.column_stack([x, z.astype(float)]), rowvar=False), rtol=1e-12
    )
    assert scored.samples.count == 50


def test_symbolic_and_numeric_algebra_are_the_same() -> None:
    symbols = Correlations.symbolic({"A": 1, "B": 2})
    rng = np.random.default_rng(1)
    half = rng.normal(size=(3, 6))
    sigma, sigma_yx = half @ half.T, rng.normal(size=3)
    values = dict(zip(symbols.sigma, sigma.ravel().tolist(), strict=True)) | dict(
        zip(symbols.sigma_yx, sigma_yx.tolist(), strict=True)
    )
    numbers = Correlations(sigma, sigma_yx, {"A": 1, "B": 2}, 100.0)
    for got, want in (
        (symbols.optimum, numbers.optimum),
        (symbols.unimodal("B"), numbers.unimodal("B")),
        (symbols.residual("B", given="A"), numbers.residual("B", given="A")),
    ):
        np.testing.assert_allclose(np.array(got.subs(values), dtype=float).ravel(), want, rtol=1e-9)


def test_exact_fractions_stay_exact() -> None:
    data = Correlations.scalar(2, 1, sp.Rational(1, 2))
    assert data.optimum == sp.Matrix([[1, 1]])
    assert data.residual("B", given="A")[0] == sp.Rational(3, 4)


@pytest.mark.parametrize("scale", [1e-150, 1e-8, 1e8, 1e100])
def test_units_do_not_change_what_is_learned(scale: float) -> None:
    """Weights are 1/c of themselves for x -> c x, whatever c: rank and condition are taken at unit variances."""
    data = Correlations.scalar(2, 1, 0.5)
    scaled = data.rescaled({"B": scale})
    np.testing.assert_allclose(scaled.optimum * [1, scale], data.optimum, rtol=1e-12)
    assert [w.split(" (")[0] for w in scaled.warnings] == [
        "columns are in very different units, or some hardly vary"
    ]  # and nothing collinear


def test_singular_sigma_uses_the_weights_in_its_range() -> None:
    """Gradient descent never leaves the range of Sigma: the minimum-norm solution, as lstsq gives it."""
    rng = np.random.default_rng(2)
    x, z = rng.normal(size=(5, 4)), rng.normal(size=(5, 3))
    y = rng.normal(size=5)
    data = Correlations.from_samples({"A": x, "B": z}, y)
    centred = np.column_stack([x, z]) - np.column_stack([x, z]).mean(0)
    np.testing.assert_allclose(
        data.optimum, np.linalg.lstsq(centred, y - y.mean(), rcond=None)[0], rtol=1e-8, atol=1e-10
    )
    assert "rank 4 of 7 (5 samples, 7 inputs)" in data.warnings[0]


def test_near_collinearity_is_said() -> None:
    data = Correlations.scalar(1, 1, 1 - 1e-8)
    assert "nearly collinear" in data.warnings[0]


def test_correlations_survive_pickling_and_cannot_be_changed() -> None:
    data = Correlations.from_samples({"A": [1.0, 2, 4], "B": [0.0, 1, 0]}, [1.0, 2, 3])
    twin = pickle.loads(pickle.dumps(data))
    np.testing.assert_array_equal(twin.sigma, data.sigma)
    with pytest.raises(ValueError, match="read-only"):
        data.sigma[0, 0] = 1
    given = np.eye(2)
    kept = Correlations(given, [1, 1], TWO)
    given[0, 0] = 7
    assert kept.sigma[0, 0] == 1


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Correlations([[1, np.nan], [0, 1]], [1, 1], TWO), r"sigma has nan at index \(0, 1\)"),
        (lambda: Correlations(np.eye(2), [1, np.inf], TWO), r"sigma_yx has inf at index \(1,\)"),
        (lambda: Correlations([[1, 0.5], [0.4, 1]], [1, 1], TWO), "sigma is not symmetric: 0.5 at"),
        (lambda: Correlations([[1e-12, 5e-13], [4e-13, 1e-12]], [0, 0], TWO), "sigma is not symmetric: 5e-13 at"),
        (lambda: Correlations([[1, 2], [2, 1]], [1, 1], TWO), "sigma has a negative eigenvalue, -1"),
        (lambda: Correlations([[0, 1e-11], [1e-11, 0]], [0, 0], TWO), "sigma has a negative eigenvalue, -1e-11"),
        (lambda: Correlations([[-1, 0], [0, 1]], [1, 1], TWO), "negative variance -1 at index 0"),
        (lambda: Correlations(np.eye(3), [1, 1], TWO), r"sigma must have shape \(2, 2\)"),
        (lambda: Correlations(np.eye(2), [1, 1, 1], TWO), "sigma_yx must have shape"),
        (lambda: Correlations([[4, 2], [2, 1]], [1, -1], TWO), "sigma_yx lies outside the range of sigma, by"),
        (lambda: Correlations(np.eye(2), [1, 1], TWO, 1.0), "sigma_yy is smaller than what the inputs explain, by 1"),
        (lambda: Correlations(np.eye(2), [1, 1], {"A": 1, "B": 0}), r"sizes\['B'\] must be a positive integer, got 0"),
        (lambda: Correlations(np.eye(2), [1, 1], {"A": 1, "trunk": 1}), "must not be 'trunk'"),
        (lambda: Correlations([["a", "b"], ["c", "d"]], [1, 1], TWO), "sigma must hold real numbers, got dtype"),
        (lambda: Correlations(np.eye(2) * 1j, [1, 1], TWO), "got dtype complex128"),
        (lambda: Correlations([[1, 0], [0]], [1, 1], TWO), "sigma is ragged"),
        (lambda: Correlations.scalar(2, 1, 1.5), "rho must be between -1 and 1, got 1.5"),
        (lambda: Correlations.scalar(0, 1, 0.5), "sigma_a and sigma_b must be positive, got 0"),
        (lambda: Correlations.scalar(1e-200, 1, 0.5), "sigma_a must lie between 1e-151 and 1e\\+151, got 1e-200"),
        (lambda: Correlations.scalar(-1, 1, 0.5), "sigma_a and sigma_b must be positive"),
        (lambda: Correlations.scalar([2, 3], 1, 0.5), r"sigma_a must be a number, got \[2, 3\]"),
        (lambda: Correlations.scalar(2, 1, 0.5, w=1), "w must be a pair of weights, got 1"),
        (lambda: Correlations.from_samples({"A": [1e-170, 2e-170]}, [1, 2]), "has values of size 5e-171: rescale"),
        (lambda: Correlations.from_samples({"A": np.ma.masked_equal([1, 2], 2)}, [1, 2]), "is a masked array"),
        (lambda: Correlations.scalar(2, 1, 0.5).rescaled(2), "factors must map modality to a number, got 2"),
        (lambda: Correlations.from_samples({"A": [1, 2], "B": [1, 3]}, [2, 2]), "targets column 0 is constant"),
        (lambda: Correlations.from_samples({"A": [1, 2, 3], "B": [1, 3]}, [2, 1]), "differ in their number of samples"),
        (lambda: Correlations.from_samples({"A": [1]}, [2]), "at least two samples are needed, got 1"),
        (lambda: Correlations(np.eye(2), [1, 1], TWO, columns={"A": ("a",)}), "columns must name the inputs of each"),
        (lambda: Correlations.scalar(2, 1, 0.5).unimodal("C"), "modality must be one of A, B, got 'C'"),
        (
            lambda: Correlations.scalar(2, 1, 0.5).rescaled({"A": 0}),
            r"factors\['A'\] must be one number other than zero",
        ),
    ],
)
def test_contradictions_get_one_line_with_field_and_value(make, says: str) -> None:
    with pytest.raises(DataError, match=says) as error:
        make()
    assert "\n" not in str(error.value)


def test_constant_inputs_have_no_effect() -> None:
    """Constant up to rounding, and where the steps of floats leave nothing else."""
    x = np.array([1.0, 2, 4])
    alone = Correlations.from_samples({"A": x}, [1, 2, 3], True)
    for still in ([0.1 + 0.2, 0.3, 0.3], [1, 1, 1], np.arange(3) + 10**18):
        data = Correlations.from_samples({"A": np.column_stack([x, still])}, [1, 2, 3], True)
        np.testing.assert_allclose(data.sigma, [[1, 0], [0, 0]], atol=1e-15)
        np.testing.assert_allclose(data.optimum, [alone.optimum[0], 0], atol=1e-15)
        assert data.notes == ("1 constant column ('A2'): without effect",)
        assert data.warnings == ()


def test_four_constant_columns_are_named() -> None:
    assert constant_notes("a") == ("1 constant column ('a'): without effect",)
    assert constant_notes("abcd") == ("4 constant columns ('a', 'b', 'c', 'd'): without effect",)
    assert constant_notes("abcde") == ("5 constant columns ('a', 'b', 'c', 'd', ...): without effect",)


def test_columns_have_names() -> None:
    data = Correlations.from_samples({"A": [[1.0, 2], [2, 1], [0, 3]], "B": [0.0, 1, 0]}, [1.0, 2, 3])
    assert data.column_names("A") == ("A1", "A2")
    assert data.column_names("B") == ("B",)
    named = Correlations(
        data.sigma, data.sigma_yx, data.sizes, data.sigma_yy, columns={"A": ("bmi", "age"), "B": ("ldl",)}
    )
    assert named.rescaled({"A": 2.0}).column_names("A") == ("bmi", "age")


def test_what_is_worked_out_is_kept_with_the_data_and_not_pickled() -> None:
    """A regression is solved once; a copy that crosses a process boundary is as small as before, and as good."""
    data = Correlations.from_samples({"A": np.eye(6)[:, :2], "B": np.eye(6)[:, 2:4]}, np.arange(6.0))
    whole = len(pickle.dumps(data))
    assert np.shares_memory(data.regression(("A",))["A"], data.regression(("A",))["A"])
    assert len(data.kept) > 1
    assert len(pickle.dumps(data)) == whole
    assert np.array_equal(pickle.loads(pickle.dumps(data)).unimodal("A"), data.unimodal("A"))
