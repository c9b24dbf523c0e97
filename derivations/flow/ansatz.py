"""From matrices to norms for symbolic depth: (24), (25), (43), (44).

Near zero every first layer grows along Sigma_yx (its velocity ends in that row); exact balance then fixes
the shape of each next layer: W^(i+1)T W^(i+1) = W^i W^iT = u^2 r^i r^iT leaves W^(i+1) = u r^(i+1) r^iT.
Substituted into (42), every layer of a chain moves along its own shape, with the same speed: (44). `reduction`
has the reduced flow of any tree, with saturation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import sympy as sp

from derivations.algebra.entry import Entry, Statement, equation, term
from derivations.algebra.matrices import Y_A, Y_B, matrix
from derivations.algebra.notation import L, L_f, a, b, l, named, rate, tau, u, u_A, u_B
from derivations.algebra.ordered_products import Direction, Layers, T, layer, normal, rank_one_product, same, words
from derivations.algebra.positive_powers import canonical, equal
from derivations.errors import SolveError
from derivations.flow.conservation import EQ_23, EQ_38A, EQ_38B, EQ_38C, EQ_39
from derivations.flow.reduction import reduce
from derivations.flow.symbolic_flow import EQ_22A, EQ_42A, EQ_42B, EQ_42C
from derivations.network import FusionNetwork

i = sp.Symbol("i", integer=True, positive=True)
j = sp.Symbol("j", integer=True, positive=True)
#: |Sigma_yx_m|^2 as a product of the row with itself.
SQUARES = {(Y_A, T(Y_A)): a**2, (Y_B, T(Y_B)): b**2}
BRANCHES = {"W_A": ("r_A", u_A, Y_A, a), "W_B": ("r_B", u_B, Y_B, b)}
FUSED = Direction("r", L_f)


def first_layer(label: str, flow: sp.Eq) -> sp.Eq:
    """W^1 = u r^1 (row of unit length): the velocity of layer 1 ends in the row Sigma_yx."""
    name, norm, _, _ = BRANCHES[label]
    ((_, word),) = words(flow.rhs.subs(l, 1))
    row = word[-1]
    length = sp.sqrt(normal(row * T(row), SQUARES))
    return equation(layer(label, 1), norm * Direction(name, 1) * row / length)


def next_layer(
    before: sp.Expr, column: sp.Expr, norm: sp.Symbol, balance: sp.Eq, lower: Layers, upper: Layers
) -> sp.Expr:
    """norm * column * r^T, r the column direction of the layer before: it must satisfy the law of balance.

    `balance` is (23), (38): lower lower^T = upper^T upper. A left side of rank one, u^2 r r^T, leaves no other
    row direction.
    """
    ((_, word),) = words(normal(before * T(before), SQUARES))
    found = norm * column * T(word[0])
    left = normal(balance.lhs.subs(lower, before), SQUARES)
    right = normal(balance.rhs.subs(upper, found), SQUARES)
    if len(word) != 2 or word[1] != T(word[0]) or not same(left, right):
        raise SolveError(f"{found} does not balance {before}: {left} is not {right}")
    return found


def inner_layer(label: str, balance: sp.Eq) -> sp.Eq:
    """W^i = u r^i r^(i-1)T, 2 <= i: by (38) from the layer before, the first one included."""
    name, norm, row, length = BRANCHES[label]
    pair = layer(label, l), layer(label, l + 1)
    start = next_layer(norm * Direction(name, 1) * row / length, Direction(name, 2), norm, balance, *pair)
    before = norm * Direction(name, i - 1) * T(Direction(name, i - 2))
    step = next_layer(before, Direction(name, i), norm, balance, *pair)
    if not same(start, step.subs(i, 2)):
        raise SolveError(f"{label}: the second layer does not continue the first")
    return equation(layer(label, i), step)


def last_layer(label: str, balance: sp.Eq, fusion: sp.Eq) -> sp.Eq:
    """W^L_f = u r^L_f r^(L_f-1)T with one r^L_f for both branches.

    By (39) W_A W_A^T + W_B W_B^T = W^T W at the fusion; the right side has rank one, and positive terms that
    add up to it lie along the same direction.
    """
    name, norm, _, _ = BRANCHES[label]
    before = norm * Direction(name, L_f - 1) * T(Direction(name, L_f - 2))
    found = next_layer(before, FUSED, norm, balance, layer(label, l), layer(label, l + 1))
    _check_fusion(fusion)
    return equation(layer(label, L_f), found)


def _check_fusion(fusion: sp.Eq) -> None:
    """(39) for last layers with one column r^L_f and a first trunk layer with the row r^L_fT, norms by (41)."""
    ends = {
        layer("W_A", L_f): u_A * FUSED * T(Direction("r_A", L_f - 1)),
        layer("W_B", L_f): u_B * FUSED * T(Direction("r_B", L_f - 1)),
        layer("W", L_f + 1): u * Direction("r", L_f + 1) * T(FUSED),
    }
    left = normal(fusion.lhs.subs(ends)).subs(u_A**2, u**2 - u_B**2)
    if not same(left, fusion.rhs.subs(ends)):
        raise SolveError(f"at the fusion: {left} is not {normal(fusion.rhs.subs(ends))}")


def trunk_layer(balance: sp.Eq, fusion: sp.Eq) -> sp.Eq:
    """W^j = u r^j r^(j-1)T after the fusion, by (38); at j = L_f + 1 by (39) with (41)."""
    _check_fusion(fusion)
    before = u * Direction("r", j - 1) * T(Direction("r", j - 2))
    step = next_layer(before, Direction("r", j), u, balance, layer("W", l), layer("W", l + 1))
    return equation(layer("W", j), step)


def output_layer(balance: sp.Eq) -> sp.Eq:
    """W^L = u r^(L-1)T: a row, so that its W^T W = u^2 r^(L-1) r^(L-1)T by (38)."""
    before = u * Direction("r", L - 1) * T(Direction("r", L - 2))
    found = next_layer(before, sp.Integer(1), u, balance, layer("W", L - 1), layer("W", L))
    return equation(layer("W", L), found)


@dataclass(frozen=True)
class Shapes:
    """The ansatz (43): first, inner and last layer of each branch (in i), an inner and the last trunk layer (in j)."""

    first: dict[str, sp.Expr]
    inner: dict[str, sp.Expr]
    last: dict[str, sp.Expr]
    trunk: sp.Expr
    output: sp.Expr

    @classmethod
    def of(cls, eq43a: sp.Tuple, eq43b: sp.Tuple, eq43c: sp.Tuple, eq43d: sp.Eq, eq43e: sp.Eq) -> Shapes:
        branches = [dict(zip(("W_A", "W_B"), (line.rhs for line in eq), strict=True)) for eq in (eq43a, eq43b, eq43c)]
        return cls(branches[0], branches[1], branches[2], eq43d.rhs, eq43e.rhs)


@cache
def shapes() -> Shapes:
    """The ansatz as the entries (43) derive it."""
    return Shapes.of(EQ_43A.right, EQ_43B.right, EQ_43C.right, EQ_43D.right, EQ_43E.right)


def _one_word(e: sp.Expr) -> tuple[sp.Expr, tuple[sp.Expr, ...]]:
    """Coefficient and word of a sum whose terms all have the same word."""
    terms = list(words(normal(e, SQUARES)))
    if len({word for _, word in terms}) != 1:
        raise SolveError(f"{e} is not along one direction")
    return sp.Add(*(coefficient for coefficient, _ in terms)), terms[0][1]


def _coefficient(moved: sp.Expr, shape: sp.Expr, norm: sp.Symbol) -> sp.Expr:
    """s in moved = s * shape / norm; raises if the layer leaves its shape."""
    (speed, word), (size, own) = _one_word(moved), _one_word(shape)
    if word != own:
        raise SolveError(f"the flow {sp.Mul(*word)} leaves the shape {sp.Mul(*own)}")
    return speed / size * norm


Moves = list[tuple[sp.Expr, sp.Expr]]


def branch_moves(label: str, flow: sp.Eq, on: Shapes, first: sp.Expr | None = None) -> Moves:
    """Velocity and shape of an inner, the first and the last layer of a branch; `first` replaces its first layer."""
    inner, last = on.inner[label], on.last[label]
    first = on.first[label] if first is None else first
    trunk = on.output * rank_one_product("W", on.trunk, j, L - 1, L_f + 1)
    whole = rank_one_product(label, inner, i, L_f - 1, 2)
    positions = (
        (l, inner.subs(i, l), last * rank_one_product(label, inner, i, L_f - 1, l + 1),
         rank_one_product(label, inner, i, l - 1, 2) * first),
        (1, first, last * whole, None),
        (L_f, last, None, whole * first),
    )  # fmt: skip
    found = []
    for at, shape, above, below in positions:
        put = {Layers("W", L, L_f + 1): normal(trunk)}
        put |= {} if above is None else {Layers(label, L_f, at + 1): normal(above)}
        put |= {} if below is None else {Layers(label, at - 1, 1): normal(below)}
        found.append((normal(flow.rhs.subs(l, at).subs(put), SQUARES), normal(shape)))
    return found


def trunk_moves(flow: sp.Eq, on: Shapes) -> Moves:
    """Velocity and shape of an inner and of the last layer of the trunk."""
    found = {}
    for label in BRANCHES:
        inner = rank_one_product(label, on.inner[label], i, L_f - 1, 2)
        found[Layers(label, L_f, 1)] = normal(on.last[label] * inner * on.first[label])
    inside = {
        Layers("W", L, l + 1): normal(on.output * rank_one_product("W", on.trunk, j, L - 1, l + 1)),
        Layers("W", l - 1, L_f + 1): rank_one_product("W", on.trunk, j, l - 1, L_f + 1),
    }
    at_end = {Layers("W", L - 1, L_f + 1): rank_one_product("W", on.trunk, j, L - 1, L_f + 1)}
    return [
        (normal(flow.rhs.subs(found | inside), SQUARES), normal(on.trunk.subs(j, l))),
        (normal(flow.rhs.subs(l, L).subs(found | at_end), SQUARES), normal(on.output)),
    ]


def speed_of(moves: Moves, norm: sp.Symbol) -> sp.Expr:
    """tau du/dt of a chain: the same from each of its layers."""
    speeds = [_coefficient(moved, shape, norm) for moved, shape in moves]
    if not all(equal(speed, speeds[0]) for speed in speeds[1:]):
        raise SolveError(f"the layers of a chain move at different speeds: {speeds}")
    return sp.Add(*(sp.powsimp(part) for part in sp.Add.make_args(sp.expand(speeds[0]))))


def speeds_near_zero(network: FusionNetwork) -> dict[sp.Symbol, sp.Expr]:
    """Norm -> its speed by `reduction`, without saturation, the drives of A and B called a and b."""
    system = reduce(network, saturation=False)
    names = {s: {"Sigma_yA": a, "Sigma_yB": b}[s.name] for f in system.rhs for s in f.free_symbols if "Sigma" in s.name}
    return {s: f.subs(names) for s, f in zip(system.state, system.rhs, strict=True)}


@cache
def residual() -> tuple[sp.Expr, sp.Expr]:
    """(42) minus the velocity that `reduction` gives the ansatz, over all chains and places.

    On the ansatz it is zero; with a first layer along a unit row n that is not Sigma_yx it is not. `reduction`
    takes its speeds from the gradient of the reduced loss, a road of its own.
    """
    speeds = speeds_near_zero(FusionNetwork.fused_at(L, L_f))
    on, off = [], []
    for label, flow in (("W_A", EQ_42A.right), ("W_B", EQ_42B.right)):
        name, norm, _, _ = BRANCHES[label]
        for moved, shape in branch_moves(label, flow, shapes()):
            on.append(normal(moved - speeds[norm] / norm * shape))
        for moved, shape in branch_moves(label, flow, shapes(), norm * Direction(name, 1) * matrix("n")):
            off.append(normal(moved - speeds[norm] / norm * shape))
    on += [normal(moved - speeds[u] / u * shape) for moved, shape in trunk_moves(EQ_42C.right, shapes())]
    return sp.Integer(0) if all(same(gap, 0) for gap in on) else sp.Add(*on), sp.Add(*off)


def two_layer_shapes(label: str, eq22: sp.Tuple, eq23: sp.Tuple) -> dict[sp.Expr, sp.Expr]:
    """(24) for a branch: the first layer by its velocity, the second by balance (23), which is printed for A."""
    norm = BRANCHES[label][1]
    first = first_layer(label, eq22[0]).rhs
    balance = eq23[0].subs({layer("W_A", n): layer(label, n) for n in (1, 2)})
    second = next_layer(first, sp.Integer(1), norm, balance, layer(label, 1), layer(label, 2))
    return {layer(label, 1): first, layer(label, 2): second}


def two_layer_speed(label: str, eq22: sp.Tuple, laws: dict[sp.Expr, sp.Expr]) -> sp.Expr:
    """tau du/dt of a branch of two layers near zero, the same from both layers."""
    norm = BRANCHES[label][1]
    moves = [(law.rhs.subs(laws), laws[layer(label, n)]) for n, law in enumerate(eq22, start=1)]
    return speed_of(moves, norm)


def turning_moves(flow: sp.Eq, direction: sp.Symbol) -> Moves:
    """`branch_moves` of B with its first layer along a unit row of its own."""
    name, norm, _, _ = BRANCHES["W_B"]
    return branch_moves("W_B", flow, shapes(), norm * Direction(name, 1) * direction)


def turning_speed(flow: sp.Eq, direction: sp.Symbol, rules: Any) -> sp.Expr:
    """tau du_B/dt where B's first layer is along a unit row of its own: from an inner and the last layer."""
    inner, _, last = turning_moves(flow, direction)
    return speed_of([(normal(moved, rules), shape) for moved, shape in (inner, last)], u_B)


@cache
def two_layer_residual() -> tuple[sp.Expr, sp.Expr]:
    """(22a) minus du/dt = |Sigma_yx| u along (24), both layers: on it, and with a first layer along a unit row n."""
    column, speed = Direction("r_A", 1), speeds_near_zero(FusionNetwork.fused_at(2, 2))[u_A]
    found = []
    for row in (Y_A / a, matrix("n")):
        put = {layer("W_A", 1): u_A * column * row, layer("W_A", 2): u_A * T(column)}
        gaps = [line.rhs.subs(put) - speed / u_A * put[layer("W_A", n)] for n, line in enumerate(EQ_22A.right, start=1)]
        found.append(sum(normal(gap, SQUARES) ** 2 for gap in gaps))
    return found[0], found[1]


def _two(n: int, eq22: sp.Tuple, eq23: sp.Tuple) -> sp.Expr:
    return two_layer_shapes("W_A", eq22, eq23)[layer("W_A", n)]


_R1 = Direction("r_A", 1)
EQ_24 = Entry(
    24, "", "ansatz for two layers",
    tuple(
        Statement(equation(layer("W_A", n), shape), partial(_two, n), residual=two_layer_residual)
        for n, shape in ((1, u_A * _R1 * Y_A / a), (2, u_A * T(_R1)))
    ),
    (EQ_22A, EQ_23),
    condition="balanced, first layer along Sigma_yx_A",
    proof="The velocity of W_A^1 in (22a) ends in the row Sigma_yx_A; (23) then gives W_A^2.",
    note="Zero residual: balanced rank-one weights stay so, also under the full flow (scalar inputs).",
)  # fmt: skip
EQ_25 = Entry(
    25, "", "growth of A, two layers",
    (
        Statement(
            equation(rate(u_A) * T(_R1), u_A * Y_A * T(Y_A) / a * T(_R1)),
            lambda eq22, eq24: normal(eq22[1].rhs.subs({line.lhs: line.rhs for line in eq24})),
        ),
        Statement(
            equation(rate(u_A), a * u_A),
            lambda eq22, eq24: two_layer_speed("W_A", eq22, {e.lhs: e.rhs for e in eq24}),
        ),
    ),
    (EQ_22A, EQ_24),
    condition="weights near zero, ansatz (24)",
    proof="(24) into (22a); Sigma_yx_A Sigma_yx_A^T = |Sigma_yx_A|^2, r^T r = 1. Both layers give the same.",
)  # fmt: skip


def _branch_shapes(
    part: str, title: str, at: Any, shape: Any, derive: Any, sources: tuple[Entry, ...], proof: str
) -> Entry:
    """Layer `at` of both branches: `derive` takes the branch, its own source of the first two, and the rest."""

    def derived(label: str, law_a: sp.Basic, law_b: sp.Basic, *shared: sp.Basic) -> sp.Eq:
        return derive(label, law_a if label == "W_A" else law_b, *shared)

    return Entry(
        43, part, title,
        tuple(
            Statement(equation(layer(label, at), shape(*branch)), partial(derived, label), residual=residual)
            for label, branch in BRANCHES.items()
        ),
        sources, condition="balanced, first layers along Sigma_yx", proof=proof,
    )  # fmt: skip


EQ_43A = _branch_shapes(
    "a", "ansatz: first layers", 1, lambda r, u, row, length: u * Direction(r, 1) * row / length,
    first_layer, (EQ_42A, EQ_42B), "The velocity of W^1 in (42) ends in the row Sigma_yx.",
)  # fmt: skip
EQ_43B = _branch_shapes(
    "b", "ansatz: inner layers of the branches", i, lambda r, u, *_: u * Direction(r, i) * T(Direction(r, i - 1)),
    inner_layer, (EQ_38A, EQ_38B),
    "(38) from layer to layer: the column direction of W^(i-1) is the row direction of W^i.",
)  # fmt: skip
EQ_43C = _branch_shapes(
    "c", "ansatz: last layers of the branches", L_f, lambda r, u, *_: u * FUSED * T(Direction(r, L_f - 1)),
    last_layer, (EQ_38A, EQ_38B, EQ_39), "(38), and by (39) one direction r^L_f for both branches.",
)  # fmt: skip
EQ_43D = Entry(
    43, "d", "ansatz: trunk",
    (
        Statement(
            equation(layer("W", j), u * Direction("r", j) * T(Direction("r", j - 1))),
            lambda eq38, eq39: trunk_layer(eq38[0], eq39),
            residual=residual,
        ),
    ),
    (EQ_38C, EQ_39),
    condition="L_f + 1 <= j <= L - 1", proof="(39) at the fusion, then (38) from layer to layer.",
)  # fmt: skip
EQ_43E = Entry(
    43, "e", "ansatz: last layer",
    (
        Statement(
            equation(layer("W", L), u * T(Direction("r", L))),
            lambda eq38: output_layer(eq38[1]),
            defect=term(u * T(Direction("r", L)) - u * T(Direction("r", L - 1))),
            residual=residual,
        ),
    ),
    (EQ_38C,),
    condition="L_f < L", proof="(38): W^L is a row along the column direction of W^(L-1).",
    note="Printed r^L, which (43d) does not define; with it W^L W^(L-1) would carry r^LT r^(L-1) instead of 1.",
)  # fmt: skip
_REDUCED_PROOF = (
    "(43) into (42): the products telescope by induction on their length (r^T r = 1), every layer of the chain "
    "moves along its own shape, and first, inner and last layer give the same speed."
)


def _reduced(
    part: str, title: str, norm: sp.Symbol, printed: sp.Expr, moves: Any, flow: Entry, note: str = ""
) -> Entry:
    """`moves` takes the flow and the shapes."""
    return Entry(
        44, part, f"reduced flow: {title}",
        (
            Statement(
                equation(rate(norm), printed),
                lambda law, *laws: speed_of(moves(law, Shapes.of(*laws)), norm),
            ),
        ),
        (flow, EQ_43A, EQ_43B, EQ_43C, EQ_43D, EQ_43E),
        condition="weights near zero, ansatz (43)", proof=_REDUCED_PROOF, note=note,
    )  # fmt: skip


EQ_44A = _reduced("a", "A", u_A, a * u_A ** (L_f - 1) * u ** (L - L_f), partial(branch_moves, "W_A"), EQ_42A)
EQ_44B = _reduced("b", "B", u_B, b * u_B ** (L_f - 1) * u ** (L - L_f), partial(branch_moves, "W_B"), EQ_42B)
EQ_44C = _reduced(
    "c", "trunk", u, a * u_A**L_f * u ** (L - L_f - 1) + b * u_B**L_f * u ** (L - L_f - 1), trunk_moves, EQ_42C,
    "The three are not independent: u^2 - u_A^2 - u_B^2 is constant, (41).",
)  # fmt: skip

_W, _ERROR = sp.symbols("w_A e_A", positive=True)
_SPEED = named("dw_A/dt", r"\frac{dw_A}{dt}")


def late_flow(flow: sp.Eq) -> sp.Eq:
    """dw/dt of w = u_A^L for L_f = L, with the whole error e_A in the place of Sigma_yx_A, by (3a)."""
    speed = speed_of(branch_moves("W_A", flow, shapes()), u_A).subs(a, _ERROR).subs(L_f, L) / tau
    return equation(_SPEED, canonical((sp.diff(u_A**L, u_A) * speed).subs(u_A, _W ** (1 / L))))


EXT_110 = Entry(
    110, "", "late fusion, total weights",
    (Statement(equation(_SPEED, L * _W ** (2 - 2 / L) * _ERROR / tau), late_flow),), (EQ_42A,),
    condition="L_f = L, scalar inputs, aligned balanced start; w_A and e_A positive",
    proof="The words of (42a) with e_A for Sigma_yx_A, on the ansatz (43): w = u_A^L.",
    note="Two layers: dw/dt = 2 w e, Lotka-Volterra.",
)  # fmt: skip
