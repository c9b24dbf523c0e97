"""What is true: networks, statistics, flows, plateaus and laws of multimodal deep linear networks.

Everything is imported on first use, so that `import derivations` does not pay for SymPy.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "Chain": "network",
    "FusionNetwork": "network",
    "Correlations": "correlations",
    "Entry": "entry",
    "Ledger": "equations",
    "differences": "balance",
    "fixed_points": "manifolds",
    "ledger": "equations",
    "quadratic_invariants": "balance",
    "reduce": "reduction",
    "DataError": "errors",
    "DomainError": "errors",
    "SolveError": "errors",
    "StoreError": "errors",
}

__all__ = [
    "Chain",
    "Correlations",
    "DataError",
    "DomainError",
    "Entry",
    "FusionNetwork",
    "Ledger",
    "SolveError",
    "StoreError",
    "differences",
    "fixed_points",
    "ledger",
    "quadratic_invariants",
    "reduce",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'derivations' has no attribute {name!r}")
    return getattr(import_module(f"derivations.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
