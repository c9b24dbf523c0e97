"""The reduced flow: one norm u_c a chain instead of its matrices, equations (43), (44), with saturation.

Substituting the rank-one ansatz (43), all layers of chain c have norm u_c and the total weights are
w_m = s_m prod over the path of u_c^(n_c), s_m the sign of Sigma_yx_m, so the flow becomes

    du_c/dt = -(1/n_c) dLoss/du_c = (1/u_c) sum over m through c of w_m e_m     (scalar inputs).

Dropping Sigma from e_m gives (44). Depths may be SymPy symbols.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import sympy as sp

from derivations.correlations import Correlations, require_problem
from derivations.errors import DomainError
from derivations.network import TRUNK, FusionNetwork, gain_powers, require_network


def chain_norms(network: FusionNetwork) -> dict[str, sp.Symbol]:
    """Chain -> the symbol of its norm; the trunk's is u. A trunk without layers has none."""
    return {
        name: sp.Symbol("u" if name == TRUNK else f"u_{name}", positive=True)
        for name, chain in network.chains.items()
        if chain.depth != 0
    }


def path_product(network: FusionNetwork, modality: str) -> sp.Expr:
    """prod over the path of u_c^(n_c) = |w_m|."""
    norms, chains = chain_norms(network), network.chains
    return sp.Mul(*(norms[c] ** chains[c].depth for c in network.path(modality) if c in norms))


def gains(network: FusionNetwork) -> dict[str, sp.Expr]:
    """|w_m|/u_m: velocity of modality m's first-layer row a unit of error, dv_m/dt = gain_m e_m.

    It holds for vector inputs too, where u_m = |v_m| and the row turns.
    """
    norms = chain_norms(network)
    return {m: sp.Mul(*(norms[c] ** n for c, n in powers.items())) for m, powers in gain_powers(network).items()}


def fusion_invariants(network: FusionNetwork) -> dict[str, sp.Expr]:
    """u_c^2 minus the sum over its children of their u^2, conserved, (41), for each chain after a fusion."""
    norms = chain_norms(network)
    return {
        name: norms[name] ** 2 - sp.Add(*(norms[child.name] ** 2 for child in chain.children))
        for name, chain in network.chains.items()
        if chain.children and name in norms
    }


def total_velocity(network: FusionNetwork) -> dict[str, sp.Expr]:
    """dw_m/dt of the total weights of scalar inputs in a balanced network, any signs; (44) with saturation.

    In the norms u_c (`chain_norms`), w_m and e_m (`total_symbols`, `error_symbols`). By the chain rule each layer of
    the modality's own chain adds gain_m^2 e_m, each layer of a chain c after a fusion w_m (sum of w e over c)/u_c^2.
    """
    norms, chains = chain_norms(network), network.chains
    w, e, gain = total_symbols(network), error_symbols(network), gains(network)
    found = {}
    for m in network.modalities:
        shared = [c for c in network.path(m) if c in norms and c != m]
        pulled = [
            chains[c].depth * sp.Add(*(w[n] * e[n] for n in chains[c].modalities)) / norms[c] ** 2 for c in shared
        ]
        found[m] = chains[m].depth * gain[m] ** 2 * e[m] + w[m] * sp.Add(*pulled)
    return found


def total_symbols(network: FusionNetwork) -> dict[str, sp.Symbol]:
    return {m: sp.Symbol(f"w_{m}", real=True) for m in network.modalities}


def error_symbols(network: FusionNetwork) -> dict[str, sp.Symbol]:
    return {m: sp.Symbol(f"e_{m}", real=True) for m in network.modalities}


@dataclass(frozen=True, eq=False)
class ReducedSystem:
    """A reduced flow: d state/dt = rhs. `invariants` stay constant, `residual` is zero where it is exact."""

    network: FusionNetwork
    state: tuple[sp.Symbol, ...]
    rhs: tuple[sp.Expr, ...]
    invariants: tuple[sp.Expr, ...]
    residual: tuple[sp.Expr, ...]
    total: Mapping[str, sp.Expr]

    def to_latex(self) -> str:
        """The system as LaTeX, one equation a line."""
        lines = [rf"\tau \dot{{{sp.latex(u)}}} &= {sp.latex(f)}" for u, f in zip(self.state, self.rhs, strict=True)]
        return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"

    def __str__(self) -> str:
        return "\n".join(f"tau d{u}/dt = {f}" for u, f in zip(self.state, self.rhs, strict=True))

    def _repr_latex_(self) -> str:
        return f"$${self.to_latex()}$$"

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"


def reduce(network: FusionNetwork, data: Correlations | None = None, saturation: bool = True) -> ReducedSystem:
    """Reduced flow of any tree for scalar inputs; with `saturation=False` equation (44).

    Parameters
    ----------
    network : FusionNetwork
        Depths may be symbols.
    data : Correlations of scalar inputs and one output, optional
        Numbers or symbols; without it free symbols, Sigma_yx_m taken positive (s_m = 1).
    saturation : bool
        False drops Sigma from the errors (weights near zero): only |Sigma_yx_m| is left.

    Returns
    -------
    ReducedSystem
        `residual` is the difference between two roads to each rhs: the gradient of the reduced loss,
        and the outer product P_l^T G_(l-1) of the full flow, which is w_m e_m / u_c for every layer.

    Examples
    --------
    >>> print(reduce(FusionNetwork.fused_at(*sp.symbols("L L_f", positive=True)), saturation=False))
    tau du_A/dt = Sigma_yA*u**(L - L_f)*u_A**(L_f - 1)
    tau du_B/dt = Sigma_yB*u**(L - L_f)*u_B**(L_f - 1)
    tau du/dt = Sigma_yA*u**(L - L_f - 1)*u_A**L_f + Sigma_yB*u**(L - L_f - 1)*u_B**L_f
    """
    if not isinstance(saturation, bool):
        raise DomainError(f"saturation must be True or False, got {saturation!r}")
    if data is None:
        require_network(network)
        free = Correlations.symbolic(dict.fromkeys(network.modalities, 1))
        positive = {s: sp.Symbol(s.name, positive=True) for s in free.sigma_yx}
        data = Correlations(free.sigma, sp.Matrix(free.sigma_yx).subs(positive), free.sizes, free.sigma_yy)
    require_problem(network, data)
    if any(size > 1 for size in data.sizes.values()) or data.outputs > 1:
        raise DomainError(
            f"reduce needs scalar inputs and one output, got sizes {dict(data.sizes)}, outputs {data.outputs}"
        )
    norms, chains = chain_norms(network), network.chains
    targets = {m: data.target_block(m)[0, 0] for m in data.modalities}
    total: dict[str, Any] = {m: sp.sign(targets[m]) * path_product(network, m) for m in data.modalities}
    errors = dict(targets)
    if saturation:
        errors = {m: targets[m] - sp.Add(*(total[n] * data.input_block(n, m)[0, 0] for n in total)) for m in total}
    reduced_loss = -sum(total[m] * (targets[m] + errors[m]) for m in total) / 2  # as `gradient_flow.loss`
    rhs, residual = [], []
    for name, norm in norms.items():
        gradient = -sp.diff(reduced_loss, norm) / chains[name].depth
        outer = sp.Add(*(total[m] * errors[m] for m in chains[name].modalities)) / norm
        rhs.append(sp.powsimp(sp.expand(outer)))
        residual.append(sp.simplify(sp.expand(gradient - outer)))
    return ReducedSystem(
        network, tuple(norms.values()), tuple(rhs), tuple(fusion_invariants(network).values()), tuple(residual), total
    )
