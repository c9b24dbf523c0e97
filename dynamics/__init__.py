"""What happens: gradient flow, reduced flow and gradient descent, the laws beside them, and one table of all.

Everything is imported on first use; SymPy is loaded only by what evaluates a formula.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "Chain": "derivations.network",
    "Correlations": "derivations.correlations",
    "DataError": "derivations.errors",
    "DomainError": "derivations.errors",
    "FusionNetwork": "derivations.network",
    "SolveError": "derivations.errors",
    "StoreError": "derivations.errors",
    "aligned_weights": "dynamics.weights",
    "bootstrap": "dynamics.resampling",
    "compare": "dynamics.comparison",
    "default_start": "dynamics.starts",
    "default_weights": "dynamics.starts",
    "descend": "dynamics.descent",
    "ensemble": "dynamics.ensembles",
    "explore": "dynamics.explorer",
    "integrate": "dynamics.flow",
    "integrate_reduced": "dynamics.reduced",
    "law_grid": "dynamics.grids",
    "load_example": "dynamics.examples",
    "load_trajectory": "dynamics.trajectory",
    "locate": "dynamics.whereabouts",
    "portrait": "dynamics.portraits",
    "predict": "dynamics.prediction",
    "plot_sweep": "dynamics.figures.sweeps",
    "prescribe": "dynamics.prescription",
    "random_weights": "dynamics.weights",
    "read_table": "dynamics.data",
    "recorded": "dynamics.recording",
    "report": "dynamics.reporting.findings",
    "reproduce": "dynamics.reproduction.gallery",
    "start_of": "dynamics.starts",
    "sweep": "dynamics.sweeps.runner",
    "train_linear": "dynamics.nonlinear.linear",
    "train_relu": "dynamics.nonlinear.relu",
    "typical_weights": "dynamics.typical",
    "weights_from_state": "dynamics.starts",
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
    "bootstrap",
    "compare",
    "default_start",
    "default_weights",
    "descend",
    "ensemble",
    "explore",
    "integrate",
    "integrate_reduced",
    "law_grid",
    "load_example",
    "load_trajectory",
    "locate",
    "plot_sweep",
    "portrait",
    "predict",
    "prescribe",
    "random_weights",
    "read_table",
    "recorded",
    "report",
    "reproduce",
    "start_of",
    "sweep",
    "train_linear",
    "train_relu",
    "typical_weights",
    "weights_from_state",
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
