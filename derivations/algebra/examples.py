"""The scalar data sets of the paper's examples."""

from __future__ import annotations

from typing import Any

import sympy as sp

from derivations.algebra.notation import named

#: Standard deviations and correlation of the inputs.
sd_A, sd_B = sp.symbols("sigma_A sigma_B", positive=True)
rho = sp.Symbol("rho", real=True)
SD_RATIO = named("sigma_A/sigma_B", r"\frac{\sigma_A}{\sigma_B}", positive=True)
VARIANCE_A = named("Var x_A", r"\mathrm{Var}(\mathbf{x}_A)", positive=True)


def scalar_example(*weights: Any) -> tuple[sp.Matrix, sp.Matrix]:
    """Sigma and Sigma_yx of y = w_A x_A + w_B x_B and noise: scalars of correlation rho."""
    cross = rho * sd_A * sd_B
    sigma = sp.Matrix([[sd_A**2, cross], [cross, sd_B**2]])
    return sigma, sp.Matrix([weights]) * sigma
