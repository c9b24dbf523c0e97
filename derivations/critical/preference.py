"""What a unimodal network gets wrong and what each modality is worth: (10), (11), (61), (62).

The functions run on numbers and on symbols.
"""

from __future__ import annotations

from typing import Any

from derivations.correlations import Correlations

TIE = 1e-9


def misattribution(data: Correlations) -> dict[str, Any]:
    """Unimodal minus global weights of each modality: what it takes over from its partners while alone."""
    weights = data.optimum
    return {
        m: data.unimodal(m) - (weights[..., data.span(m)] if not data.is_symbolic else weights[:, data.span(m)])
        for m in data.modalities
    }


def contribution(data: Correlations) -> dict[str, Any]:
    """Sigma_yx_m Sigma_m^-1 Sigma_yx_m^T, trace over outputs: twice the loss that m alone removes, (62)."""
    weights = {m: data.regression((m,))[m] for m in data.modalities}
    worth = {m: (weights[m] @ data.target_block(m).T).trace() for m in data.modalities}
    return worth if data.is_symbolic else {m: float(value) for m, value in worth.items()}


def superficial(order: tuple[str, ...], worth: dict[str, float], tie: bool) -> bool | None:
    """Whether the modality learned first is not the one that contributes most, (10); None on a tie."""
    most = max(worth.values())
    best = [m for m, value in worth.items() if value >= most * (1 - TIE)]
    if tie or len(best) > 1:
        return None
    return order[0] != best[0]
