"""What only changes the data: the flow is the plain one of other correlations or inputs. 132-134.

132  dropout of modalities
133  unimodal losses
134  a learning rate for each branch, and one for the trunk
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import sympy as sp

from derivations.algebra.entry import Entry, Statement, equation
from derivations.algebra.matrices import (
    S_A,
    S_AB,
    S_B,
    S_BA,
    Y_A,
    Y_B,
    W_A_tot,
    W_B_tot,
    e_A,
    e_B,
    matrix,
    target,
    x_A,
    x_B,
)
from derivations.algebra.notation import (
    L,
    L_f,
    c_A,
    c_B,
    decay,
    eta_0,
    eta_A,
    eta_B,
    l,
    q_A,
    q_B,
    rate,
    u,
    u_0,
    u_A,
    u_B,
)
from derivations.algebra.ordered_products import Layers, T, averaged, layer, means, normal, words
from derivations.errors import SolveError
from derivations.flow.conservation import C_TRACE, fusion, norms
from derivations.flow.symbolic_flow import EQ_1A, EQ_1B, EQ_2, EQ_3A, EQ_3B, EQ_4, prediction, totals
from derivations.training.decay import EXT_135

__all__ = ["SCALE_OF_RATES", "START_OF_RATES"]

#: Mean of the squared target, and the correlations that a training method makes of the given ones.
_Y2 = matrix("Sigma_y", r"\Sigma_y")


def _new(symbol: sp.Symbol, latex: str) -> sp.Symbol:
    return matrix(f"{symbol.name}'", latex)


NEW = {
    S_A: _new(S_A, r"\Sigma_A'"), S_B: _new(S_B, r"\Sigma_B'"), S_AB: _new(S_AB, r"\Sigma_{AB}'"),
    S_BA: _new(S_BA, r"\Sigma_{BA}'"), Y_A: _new(Y_A, r"\Sigma_{yx_A}'"), Y_B: _new(Y_B, r"\Sigma_{yx_B}'"),
}  # fmt: skip

# ---- 132 and 133: the mean loss is a quadratic form of the total weights.


def _half_square(output: sp.Expr, eq1a: sp.Tuple, eq1b: sp.Tuple) -> sp.Expr:
    """<(y - output)(y - output)^T>/2, one output."""
    known = {**means(eq1a, eq1b), (target, target): _Y2}
    return averaged((target - output) * T(target - output), known) / 2


def _plain(eq1a: sp.Tuple, eq1b: sp.Tuple, eq2: sp.Tuple) -> sp.Expr:
    return _half_square(eq2[1].rhs, eq1a, eq1b)


#: The word of the loss in which each correlation stands.
_WORDS = {
    S_A: (W_A_tot, S_A, T(W_A_tot)), S_B: (W_B_tot, S_B, T(W_B_tot)), S_AB: (W_A_tot, S_AB, T(W_B_tot)),
    S_BA: (W_B_tot, S_BA, T(W_A_tot)), Y_A: (Y_A, T(W_A_tot)), Y_B: (Y_B, T(W_B_tot)),
}  # fmt: skip


def _by_word(e: sp.Expr) -> dict[tuple[sp.Expr, ...], sp.Expr]:
    found: dict[tuple[sp.Expr, ...], sp.Expr] = {}
    for coefficient, word in words(normal(e)):
        found[word] = found.get(word, sp.Integer(0)) + coefficient
    return found


def effective(loss: sp.Expr, plain: sp.Expr) -> dict[sp.Symbol, sp.Expr]:
    """Correlations with which the plain loss is this one, up to what does not depend on the weights."""
    mine, theirs = _by_word(loss), _by_word(plain)
    found = {symbol: mine[word] / theirs[word] * symbol for symbol, word in _WORDS.items()}
    rest = normal(sp.expand(loss - plain.subs(found, simultaneous=True)))
    if rest.free_symbols & {W_A_tot, W_B_tot}:
        raise SolveError(f"{rest} is no constant")
    return found


def _correlations(found: dict[sp.Symbol, sp.Expr]) -> sp.Tuple:
    return sp.Tuple(*(equation(NEW[symbol], value) for symbol, value in found.items()))


MASKS = {sp.Symbol("delta_A", real=True): q_A, sp.Symbol("delta_B", real=True): q_B}


def _mean_over_masks(e: sp.Expr) -> sp.Expr:
    """A mask is 0 or 1, so it is its own square; masks of two modalities are independent."""
    for mask, kept in MASKS.items():
        e = sp.expand(e)
        e = sp.expand(sp.Add(*(kept * e.subs(mask, 1), (1 - kept) * e.subs(mask, 0))))
    return e


def _dropped(scale: Sequence[Any], eq1a: sp.Tuple, eq1b: sp.Tuple, eq2: sp.Tuple) -> sp.Tuple:
    """Inputs times their masks, and times `scale`."""
    masked = {x: m * s * x for m, s, x in zip(MASKS, scale, (x_A, x_B), strict=True)}
    loss = _mean_over_masks(_half_square(eq2[1].rhs.subs(masked), eq1a, eq1b))
    return _correlations(effective(loss, _plain(eq1a, eq1b, eq2)))


EXT_132 = Entry(
    132, "", "dropout of modalities",
    (
        Statement(
            _correlations({
                S_A: q_A * S_A, S_B: q_B * S_B, S_AB: q_A * q_B * S_AB, S_BA: q_A * q_B * S_BA,
                Y_A: q_A * Y_A, Y_B: q_B * Y_B,
            }),
            partial(_dropped, (1, 1)),
        ),
    ),
    (EQ_1A, EQ_1B, EQ_2),
    condition="the input of modality m is kept with probability q_m and else zero, for each sample anew, "
    "independently of the data and of the other modality; not rescaled; centred data; any fusion depth, one output",
    proof="The mean over masks of <(y - sum_m W_m^tot delta_m x_m)^2>/2, delta_m^2 = delta_m: a quadratic form of "
    "the total weights, word for word the loss of these correlations and a constant.",
    note="The weights that come out are those of training; without masks the network predicts with the same. That "
    "masks differ from step to step is left out: noise as that of mini-batches, (144). Masks on hidden layers add "
    "terms.",
    claims=(
        Statement(
            _correlations({S_A: S_A / q_A, S_B: S_B / q_B, S_AB: S_AB, S_BA: S_BA, Y_A: Y_A, Y_B: Y_B}),
            partial(_dropped, (1 / q_A, 1 / q_B)),
            claim="rescaled by 1/q_m, only the correlations of a modality with itself change, by 1/q_m",
        ),
    ),
)  # fmt: skip


def _with_unimodal(eq1a: sp.Tuple, eq1b: sp.Tuple, eq2: sp.Tuple) -> sp.Tuple:
    """The loss, and those of each modality alone through the same layers."""
    plain = _plain(eq1a, eq1b, eq2)
    loss = plain
    for weight, other in ((c_A, x_B), (c_B, x_A)):
        loss += weight * _half_square(eq2[1].rhs.subs(other, 0), eq1a, eq1b)
    return _correlations(effective(sp.expand(loss), plain))


EXT_133 = Entry(
    133, "", "unimodal losses",
    (
        Statement(
            _correlations({
                S_A: (1 + c_A) * S_A, S_B: (1 + c_B) * S_B, S_AB: S_AB, S_BA: S_BA,
                Y_A: (1 + c_A) * Y_A, Y_B: (1 + c_B) * Y_B,
            }),
            _with_unimodal,
        ),
    ),
    (EQ_1A, EQ_1B, EQ_2),
    condition="beside the loss c_m times half the mean of (y - W_m^tot x_m)^2 for each modality m, the other input "
    "zero; any fusion depth, the same layers; one output; c_m > 0 is not needed, 1 + c_m > 0 is",
    proof="The sum of the losses is word for word the loss of these correlations and a constant.",
    note="A head of its own for each unimodal loss is another network: there only the encoders are shared.",
)  # fmt: skip

# ---- 134.

_RATES = {"W_A": eta_A, "W_B": eta_B, "W": eta_0}
_PLAIN = {"W_A": "V_A", "W_B": "V_B", "W": "V"}
#: Inputs in the units in which the flow is plain, the errors that go with them, and the total weights on them.
INPUT_A, INPUT_B = _new(x_A, r"\mathbf{x}_A'"), _new(x_B, r"\mathbf{x}_B'")
ERROR_A, ERROR_B = _new(e_A, r"\mathbf{e}_A'"), _new(e_B, r"\mathbf{e}_B'")
V_A_tot = matrix("V_A_tot", r"\mathbf{V}_A^{\mathrm{tot}}")
PLAIN_START = sp.Symbol("|V_A^l(0)|", positive=True)
#: What the columns of A are multiplied by, and the weights that come out; the start of each of its layers.
SCALE_OF_RATES = eta_A ** (L_f / 2) * eta_0 ** ((L - L_f) / 2)
START_OF_RATES = u_0 / sp.sqrt(eta_A)


def _plainly(e: sp.Expr) -> sp.Expr:
    """W = eta^(1/2) V in every product of layers."""
    put = {}
    for product in sp.sympify(e).atoms(Layers):
        label, high, low = product.args
        put[product] = _RATES[label.name] ** (product.count / 2) * Layers(_PLAIN[label.name], high, low)
    return sp.expand(sp.sympify(e).xreplace(put))


def _scales(eq2: sp.Tuple) -> dict[sp.Symbol, sp.Expr]:
    """What stands before the layers V and x_m in the prediction: it has to go to the inputs."""
    found = {}
    for coefficient, word in words(normal(_plainly(prediction(eq2)))):
        found[word[-1]] = coefficient
    return found


def _in_new_units(label: str, eq2: sp.Tuple, flow: sp.Eq) -> sp.Eq:
    """dV/dt for a flow at the rate eta; an error <(y - y_hat) x^T> is that of the new input over its scale."""
    scales, rated = _scales(eq2), _RATES[label]
    moved = normal(_plainly(flow.rhs) * rated / sp.sqrt(rated))
    seen = {e_A: ERROR_A / scales[x_A], e_B: ERROR_B / scales[x_B]}
    found = [
        sp.powsimp(sp.expand(coefficient), force=True) * sp.Mul(*word) for coefficient, word in words(moved.subs(seen))
    ]
    return equation(rate(f"{_PLAIN[label]}^l"), sp.Add(*found))


def _relabelled(e: sp.Basic) -> sp.Basic:
    """A plain law, said of V."""
    return e.xreplace({p: Layers(_PLAIN[p.args[0].name], *p.args[1:]) for p in e.atoms(Layers)})


def _flow_of(label: str) -> sp.Expr:
    """(3), (4) as they are printed, in V."""
    trunk, below = Layers("V", L, l + 1), Layers("V", l - 1, L_f + 1)
    if label == "W":
        return sum(
            T(trunk) * seen * T(below * Layers(branch, L_f, 1)) for branch, seen in (("V_A", ERROR_A), ("V_B", ERROR_B))
        )
    branch, seen = _PLAIN[label], {"W_A": ERROR_A, "W_B": ERROR_B}[label]
    return T(Layers("V", L, L_f + 1) * Layers(branch, L_f, l + 1)) * seen * T(Layers(branch, l - 1, 1))


def _balance_of_rates(eq3a: sp.Eq, eq3b: sp.Eq, eq4: sp.Eq) -> sp.Eq:
    """The plain law (41) for the norms u eta^(-1/2) of V."""
    names = {layer("W_A", L_f): u_A / sp.sqrt(eta_A), layer("W_B", L_f): u_B / sp.sqrt(eta_B)}
    return norms(fusion(eq3a, eq3b, eq4), {**names, layer("W", L_f + 1): u / sp.sqrt(eta_0)})


def _total_weights(eq2: sp.Tuple) -> sp.Expr:
    """W_A^tot by the total weights of V, those on x'."""
    found = normal(_plainly(totals(eq2)[W_A_tot]))
    ((scale, word),) = words(found)
    if normal(sp.Mul(*word) - _relabelled(totals(eq2)[W_A_tot])) != 0:
        raise SolveError(f"{found} is no multiple of the total weights of V")
    return scale * V_A_tot


EXT_134 = Entry(
    134, "", "a learning rate for each branch",
    (
        Statement(
            sp.Tuple(
                equation(INPUT_A, SCALE_OF_RATES * x_A),
                equation(INPUT_B, SCALE_OF_RATES.subs(eta_A, eta_B) * x_B),
            ),
            lambda eq2: sp.Tuple(
                *(equation(new, _scales(eq2)[x] * x) for new, x in ((INPUT_A, x_A), (INPUT_B, x_B)))
            ),
        ),
        Statement(
            equation(rate("V_A^l"), _flow_of("W_A")), lambda eq2, eq3a: _in_new_units("W_A", eq2, eq3a),
        ),
        Statement(
            equation(rate("V_B^l"), _flow_of("W_B")), lambda eq2, eq3b: _in_new_units("W_B", eq2, eq3b),
        ),
        Statement(
            equation(rate("V^l"), sp.expand(_flow_of("W"))), lambda eq2, eq4: _in_new_units("W", eq2, eq4),
        ),
        Statement(
            equation(rate("V_A^l"), _flow_of("W_A") - eta_A * decay * layer("V_A", l)),
            lambda eq2, eq135: _in_new_units("W_A", eq2, eq135[0]),
        ),
        Statement(equation(W_A_tot, SCALE_OF_RATES * V_A_tot), _total_weights),
        Statement(
            equation(u_A**2 / eta_A + u_B**2 / eta_B, u**2 / eta_0), _balance_of_rates,
            given={C_TRACE: 0}, counterexample={u_A: 1, u_B: 1, u: 2, eta_A: 1, eta_B: 1, eta_0: 1, C_TRACE: 2},
        ),
    ),
    (EQ_2, EQ_3A, EQ_3B, EQ_4, EXT_135),
    condition="the layers of branch m move at the rate eta_m, those after the fusion at eta_0, all in the same "
    "units; W = eta^(1/2) V; e' are the errors (5) of the inputs x'; the last line for a start with u^2/eta_0 = sum "
    "of u_m^2/eta_m, which (41) is only at equal rates",
    proof="Every product of layers in (2)-(4) takes its factors out; with x' for x they are gone. V starts at u_0 "
    "eta_m^(-1/2). With weight decay the flow of V_m shrinks at eta_m lambda. V obeys the plain law (41).",
    note="Exact at any fusion depth, with the branch depth L_m for L_f where depths differ; the target and the other "
    "modality do not change. With a trunk the start of V is balanced within each chain, but not at the fusion. "
    "Decay: a decay of its own for each chain.",
)  # fmt: skip
