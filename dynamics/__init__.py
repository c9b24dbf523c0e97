"""What happens: gradient flow, reduced flow and gradient descent, the laws beside them, and one table of all.

Everything is imported on first use; SymPy is loaded only by what evaluates a formula.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "Chain": "derivations.network",
    "FusionNetwork": "derivations.network",
    "Correlations": "derivations.correlations",
    "DataError": "derivations.errors",
    "DomainError": "derivations.errors",
    "SolveError": "derivations.errors",
    "StoreError": "derivations.errors",
    "aligned_weights": "dynamics.weights",
    "compare": "dynamics.comparison",
    "descend": "dynamics.descent",
    "integrate": "dynamics.flow",
    "integrate_reduced": "dynamics.reduced",
    "load_example": "dynamics.examples",
    "load_trajectory": "dynamics.trajectory",
    "predict": "dynamics.prediction",
    "random_weights": "dynamics.weights",
    "read_table": "dynamics.data",
}

__all__ = [
    "Chain",
    "Correlations",
    "DataError",
    "DomainError",
    "FusionNetwork",
    "SolveError",
    "StoreError",
    "aligned_weights",
    "compare",
    "descend",
    "integrate",
    "integrate_reduced",
    "load_example",
    "load_trajectory",
    "predict",
    "random_weights",
    "read_table",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("fusion-dynamics")
    if name not in _HOMES:
        raise AttributeError(f"module 'dynamics' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
