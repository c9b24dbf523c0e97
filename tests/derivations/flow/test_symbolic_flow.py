"""The matrix algebra without sizes, and its laws on explicit random matrices: an independent second road."""

from itertools import pairwise

import numpy as np
import pytest
import sympy as sp
from mpmath import mp

from derivations import Correlations, FusionNetwork, ledger
from derivations.algebra.matrices import S_A, S_AB, S_B, S_BA, Y_A, Y_B, W_A_tot, W_B_tot, e_A, e_B, matrix
from derivations.algebra.notation import I, L, L_f, a, b, c, eta, g, k, l, r, tau, u, u_0, u_A, u_B, x
from derivations.algebra.ordered_products import (
    Direction,
    Layers,
    T,
    evaluate,
    layer,
    lowest_degree,
    normal,
    rank_one_product,
    same,
    split,
)
from derivations.algebra.positive_powers import as_power, canonical, equal, leading, separated
from derivations.errors import SolveError
from derivations.flow import gradient_flow as law
from derivations.times import deep as deep_times
from derivations.times import formulas as timescales
from derivations.times import unequal as unequal_times
from tests.cases import SOAK

P, Q, R = (matrix(n) for n in "PQR")


def test_products_join_and_split() -> None:
    whole = Layers("W", L, 1)
    assert normal(Layers("W", L, l + 1) * layer("W", l) * Layers("W", l - 1, 1)) == whole
    assert split(whole, layer("W", l)) != whole
    assert normal(T(Layers("W", l, 1)) * T(Layers("W", L, l + 1))) == T(whole)
    assert Layers("W", l, l + 1) == 1
    assert normal(T(P * Q)) == T(Q) * T(P)
    assert not same(P * Q, Q * P)
    assert normal(T(S_AB)) == S_BA
    assert normal(T(S_A**-1)) == S_A**-1


def test_rank_one_layers_telescope_by_induction_and_others_do_not() -> None:
    i = sp.Symbol("i", integer=True, positive=True)
    factor = u * Direction("r", i) * T(Direction("r", i - 1))
    assert same(rank_one_product("W", factor, i, L, l), u ** (L - l + 1) * Direction("r", L) * T(Direction("r", l - 1)))
    with pytest.raises(SolveError, match="do not telescope"):
        rank_one_product("W", u * Direction("r", i) * T(Direction("q", i)), i, L, l)


def test_the_lowest_degree_is_by_number_of_layers() -> None:
    lead, gap = lowest_degree(Layers("W", L, 2) * P - Layers("W", L, 2) * Layers("W", L, 1) * Q)
    assert same(lead, Layers("W", L, 2) * P)
    assert gap == L


def explicit(depth: int, fusion_depth: int, seed: int) -> tuple[FusionNetwork, dict, Correlations]:
    """A network with its own width after each layer, d_A = 3, d_B = 2."""
    rng = np.random.default_rng(seed)
    widths = rng.integers(2, 6, depth)
    widths[-1] = 1
    layers = {}
    for m, d in (("A", 3), ("B", 2)):
        own = rng.integers(2, 6, fusion_depth)
        own[-1] = widths[fusion_depth - 1]
        sizes = [d, *own]
        layers[m] = [rng.normal(size=(o, i)) for i, o in pairwise(sizes)]
    sizes = widths[fusion_depth - 1 :]
    layers["trunk"] = [rng.normal(size=(o, i)) for i, o in pairwise(sizes)]
    samples = rng.normal(size=(20, 5)) @ rng.normal(size=(5, 5))
    data = Correlations.from_samples({"A": samples[:, :3], "B": samples[:, 3:]}, rng.normal(size=20))
    return FusionNetwork.fused_at(depth, fusion_depth), layers, data


def values_of(data: Correlations, weights: dict, total: dict, at: int, depths: tuple[int, int]) -> dict:
    block = data.input_block
    found = {S_A: block("A", "A"), S_AB: block("A", "B"), S_BA: block("B", "A"), S_B: block("B", "B")}
    found |= {Y_A: data.target_block("A"), Y_B: data.target_block("B"), W_A_tot: total["A"], W_B_tot: total["B"]}
    error = law.errors(data, total)
    return found | {e_A: error["A"], e_B: error["B"], l: at, L: depths[0], L_f: depths[1], eta: 0.3, tau: 1.0}


@pytest.mark.parametrize(("depth", "fusion_depth"), [(2, 2), (3, 2), (4, 2), (4, 3), (5, 3), (5, 5)])
@pytest.mark.parametrize("seed", [0, 1])
def test_equations_3_4_5_14_15_on_random_sizes(depth: int, fusion_depth: int, seed: int) -> None:
    """The derived words, multiplied out, against finite differences of the loss on the samples."""
    net, weights, data = explicit(depth, fusion_depth, seed)
    total = law.total_weights(net, weights)
    labels = {"W_A": weights["A"], "W_B": weights["B"], "W": [None] * fusion_depth + weights["trunk"]}
    book = ledger()
    for name, chain, span in (
        ("3a", "A", range(1, fusion_depth + 1)),
        ("3b", "B", range(1, fusion_depth + 1)),
        ("4", "trunk", range(fusion_depth + 1, depth + 1)),
    ):
        step = {"3a": "14a", "3b": "14b", "4": "15"}[name]
        for at in span:
            values = values_of(data, weights, total, at, (depth, fusion_depth))
            moved = evaluate(book[name].derived.rhs, values, labels)
            stepped = evaluate(book[step].derived.rhs, values, labels)
            place = at - 1 if chain != "trunk" else at - 1 - fusion_depth
            gradient = finite_difference(net, weights, data, chain, place)
            assert moved == pytest.approx(-gradient, abs=1e-6 * np.abs(gradient).max())
            assert stepped == pytest.approx(-0.3 * gradient, abs=1e-6 * np.abs(gradient).max())


def finite_difference(net: FusionNetwork, weights: dict, data: Correlations, chain: str, place: int) -> np.ndarray:
    """Of half the mean squared error, from plain products on the samples; central, so exact to h^2."""
    inputs, y = data.samples.inputs, np.asarray(data.samples.targets).ravel()
    centred = {m: v - v.mean(0) for m, v in inputs.items()}

    def loss(layers: dict) -> float:
        out = 0.0
        for m in ("A", "B"):
            signal = centred[m].T
            for w in (*layers[m], *layers["trunk"]):
                signal = w @ signal
            out = out + signal
        return float(np.mean((y - y.mean() - out[0]) ** 2) / 2)

    gradient = np.zeros_like(weights[chain][place])
    h = 1e-6
    for index in np.ndindex(*gradient.shape):
        sides = []
        for sign in (1, -1):
            moved = {n: [w.copy() for w in layers] for n, layers in weights.items()}
            moved[chain][place][index] += sign * h
            sides.append(loss(moved))
        gradient[index] = (sides[0] - sides[1]) / (2 * h)
    return gradient


@pytest.mark.parametrize("name", ["38a", "39"])
def test_balance_laws_on_random_sizes(name: str) -> None:
    """d/dt of the right form's difference is zero with the explicit flow; the printed one does not even multiply."""
    net, weights, data = explicit(4, 2, 5)
    flow = law.flow(net, weights, law.errors(data, law.total_weights(net, weights)))
    h = 1e-7
    differences = []
    for sign in (1, -1):
        moved = {n: [w + sign * h * v for w, v in zip(weights[n], flow[n], strict=True)] for n in weights}
        labels = {"W_A": moved["A"], "W_B": moved["B"], "W": [None, None, *moved["trunk"]]}
        at = {l: 1, L: 4, L_f: 2, matrix("C"): 0.0 * np.eye(1)}
        right = ledger()[name].right
        differences.append(evaluate(right.rhs, at, labels) - evaluate(right.lhs, at, labels))
    scale = max(np.abs(w).max() ** 2 for layers in weights.values() for w in layers)
    assert np.abs(differences[0] - differences[1]).max() / (2 * h) < 1e-5 * scale
    labels = {"W_A": weights["A"], "W_B": weights["B"], "W": [None, None, *weights["trunk"]]}
    printed = ledger()[name].printed
    shapes = [evaluate(side, {l: 1, L: 4, L_f: 2}, labels).shape for side in printed.args]
    assert shapes[0] != shapes[1]


# ---- Positive powers.


def test_equality_of_powers_is_proved_or_left_open() -> None:
    n, m = sp.symbols("n m", positive=True)
    assert equal((k * u**n + u**n) ** (2 / n), u**2 * (1 + k) ** (2 / n))
    assert equal((1 - k) * x + k * x, x)
    assert equal(1 / (L - 2) + 1 / (2 - L), 0)
    assert equal(sp.log(u / u_0), sp.log(u) - sp.log(u_0))
    assert not equal((k * u**n + 1) ** (2 / n), u**2 * (k + 1) ** (2 / n))
    assert not equal(u**n, u**m)
    assert not equal(sp.Integral(x**n, (x, 1, 2)), sp.Integral(x**n, (x, 1, 3)))
    assert equal(sp.Integral(u * x**n, (x, 1, 2)), u * sp.Integral(x**n, (x, 1, 2)))


def test_what_equality_of_powers_must_not_accept() -> None:
    """Squares under a logarithm, a zero in a denominator, roots of symbols of either sign."""
    zero = b * (a + 1) - a * b - b
    assert not equal(sp.log((a - b) ** 2), 2 * sp.log(b - a))
    assert not equal(1 / zero, 0)
    assert not equal(k + 1 / zero, k)
    assert not equal(sp.sqrt(c**2 + a * c**2), c * sp.sqrt(1 + a))
    assert equal(zero, 0)
    double = sp.Integral(sp.Integral(x * k, (k, 0, x)), (x, 0, 1))
    assert equal(double, double)


def test_leading_terms_that_are_not_known_are_refused() -> None:
    s = sp.Symbol("s", positive=True)
    for e in ((1 + s) ** (1 / s), 1 / s - 1 / s + s - s + sp.sin(s), sp.Integral(x, (x, 1, 1 / s))):
        with pytest.raises(ValueError, match=r"exponent|no leading|converge"):
            leading(e, s)
    assert leading(sp.log(1 + 1 / s), s).order == s / sp.log(1 / s)


def test_a_layer_outside_its_product_is_refused() -> None:
    with pytest.raises(SolveError, match="no layer of"):
        split(Layers("W", 3, 1), layer("W", 7))
    with pytest.raises(ValueError, match="no product of layers"):
        Layers("W", 2, 4)


def test_canonical_forms_have_the_same_value() -> None:
    """At random points, against SymPy's own arithmetic to 30 digits."""
    rng = np.random.default_rng(3)
    forms = [timescales.INTEGRAND, timescales.INTEGRAND_AT_2, unequal_times.INTEGRAND_UNEQUAL, deep_times.BRACKET]
    forms += [timescales.LAG, timescales.LAG_AT_2, timescales.SECOND_SIZE, sp.log(u_A**2 + u_B**2) / a]
    for form in forms:
        for _ in range(4):
            at = {s: sp.Rational(int(rng.integers(20, 80)), 100) for s in form.free_symbols}
            at |= {s: sp.Rational(int(rng.integers(310, 420)), 100) for s in at if s.name in {"L_f", "L_A", "L_B"}}
            at |= {s: sp.Rational(int(rng.integers(550, 700)), 100) for s in at if s.name == "L"}
            at |= {s: sp.Rational(int(rng.integers(110, 200)), 100) for s in at if s.name == "x"}
            one, other = form.subs(at).evalf(30), canonical(form).subs(at).evalf(30)
            assert abs(one - other) < 1e-25 * abs(one)


def test_leading_terms_against_numbers() -> None:
    """At s = 1e-12 what is left out has the stated relative size."""
    s, n = sp.symbols("s n", positive=True)
    for e, regime in (
        ((k + s**-n) ** (-1 / n), None),
        (s ** (2 - L) * 3 + s ** (2 - L_f) * 5, {L_f: 2 + n, L: 3 + 2 * n}),
        ((sp.log(2) - sp.log(s)) / a, None),
    ):
        lead = leading(e, s, regime)
        at = {k: sp.Rational(1, 3), a: 2, n: 1, L: 5, L_f: 3, s: sp.Float("1e-12", 60)}
        gap = (e.subs(at).evalf(60) / lead.term.subs(at).evalf(60)) - 1
        order = lead.order.subs(at).evalf(60)
        assert 0.05 < abs(gap / order) < 20


def test_separated_integrates_a_power() -> None:
    n = sp.Symbol("n", positive=True)
    assert as_power(3 * a * x**n / x, x) == (3 * a, n - 1)
    with pytest.raises(ValueError, match="no power of"):
        as_power(1 + x, x)
    time = separated(2 * x**3, x, 1, u)
    assert equal(time, (1 - u**-2) / 4)
    assert equal(separated(a * x, x, u_0, u), sp.log(u / u_0) / a)


# ---- Laws of the ledger against 30-digit integration of (44).


@pytest.mark.parametrize(("depth", "fusion_depth", "start"), [(4, 3, "1e-3"), (5, 4, "1e-3"), (3, 2, "1e-4")])
def test_t_a_of_48_and_56_against_the_reduced_flow_in_30_digits(depth: int, fusion_depth: int, start: str) -> None:
    """mpmath integrates dt = du_A/(right side of (44a)) with u and u_B from du_B/du_A solved by its own ODE."""
    mp.dps = 30
    s, ka = mp.mpf(start), mp.mpf(1) / 3
    power = 2 - fusion_depth

    def second(x: mp.mpf) -> mp.mpf:
        return s * (x / s) ** ka if power == 0 else (s**power + ka * (x**power - s**power)) ** (mp.mpf(1) / power)

    def inverse_speed(z: mp.mpf) -> mp.mpf:  # x = e^z
        x = mp.e**z
        return x / (2 * x ** (fusion_depth - 1) * mp.sqrt(x**2 + second(x) ** 2) ** (depth - fusion_depth))

    exact = mp.quad(inverse_speed, mp.linspace(mp.log(s), 0, 40))
    name = "48" if fusion_depth > 2 else "56a"
    form = ledger()[name].right
    form = form[1] if isinstance(form, sp.Tuple) else form
    at = {a: 2, tau: 1, u_0: sp.Float(start, 30), k: sp.Rational(1, 3), L: depth, L_f: fusion_depth}
    (inner,) = form.rhs.atoms(sp.Integral)
    f = sp.lambdify(x, inner.function.subs(at), "mpmath")
    value = mp.quad(lambda z: f(mp.e**z) * mp.e**z, [0, 1, 5, 20, 60, 200])
    law_time = form.rhs.subs(inner, sp.Symbol("V")).subs(at).subs(sp.Symbol("V"), value)
    relative = abs(mp.mpf(str(law_time)) / exact - 1)
    neglected = s ** (depth - 2)
    assert relative < 10 * neglected


def test_the_signed_ratio_is_what_two_layers_do() -> None:
    """sigma = (2, 1), rho = 0.5, w = (1, -0.3): the counterexample of (9) is a real data set."""
    data = Correlations.scalar(2, 1, 0.5, w=(1, -0.3))
    size_a, size_b = abs(float(data.sigma_yx[0])), abs(float(data.sigma_yx[1]))
    left = float(data.residual("B", given="A")[0])
    assert np.sign(left) != np.sign(data.sigma_yx[1])
    ratio = timescales.LAG_AT_2 / timescales.FIRST_AT_DEPTH_2
    at = {a: size_a, k: size_b / size_a, r: abs(left), L: 2, g: 1, u_0: 0.5}
    assert float(ratio.subs(at | {c: -1})) == pytest.approx((size_a + size_b) / abs(left))


def test_i_at_equal_depth_is_the_elementary_integral() -> None:
    assert equal(ledger()["106"].right.rhs, 1 / (L - 2))
    assert ledger()["106"].right.lhs == I
    assert equal(b / a, b * a**-1)


@pytest.mark.parametrize(("depth", "fusion_depth"), [(7, 6), (9, 7)] if SOAK else [(7, 6)])
def test_what_the_growth_of_the_trunk_takes_from_the_lag(depth: int, fusion_depth: int) -> None:
    """(112) against the time integral of B with the trunk slaved to the plateau of A, in 20 digits.

    What (112) leaves out is of relative order u_B^4, beside its own u_B^2: halving u_B leaves a sixteenth.
    """
    mp.dps = 20
    q, g_value = depth - fusion_depth, mp.mpf(2)

    def trunk(size: mp.mpf) -> mp.mpf:
        """u of u_A^L_f u^q = g, u^2 = u_A^2 + u_B^2."""
        first = mp.findroot(
            lambda v: fusion_depth * mp.log(v) + q / mp.mpf(2) * mp.log(v**2 + size**2) - mp.log(g_value),
            g_value ** (mp.mpf(1) / depth),
        )
        return mp.sqrt(first**2 + size**2)

    def lag(start: mp.mpf) -> mp.mpf:
        return mp.quad(
            lambda z: mp.e ** ((2 - fusion_depth) * z) / trunk(mp.e**z) ** q, mp.linspace(mp.log(start), mp.log(4), 10)
        )

    form = ledger()["112"].right.rhs
    (size,) = (s for s in form.free_symbols if s.name == "u_B(t_A)")
    left = []
    for start in (mp.mpf(1) / 20, mp.mpf(1) / 40):
        fixed = start ** (2 - fusion_depth) / (fusion_depth - 2) / g_value ** (mp.mpf(q) / depth)
        change = form.subs({L: depth, L_f: fusion_depth, g: 2, size: sp.Float(str(start), 30)})
        left.append(abs(lag(start) / fixed - 1 - mp.mpf(str(sp.N(change, 30)))))
        assert left[-1] < 0.05 * abs(mp.mpf(str(sp.N(change, 30))))
    assert 8 < left[0] / left[1] < 20  # log corrections at L_f = 6
