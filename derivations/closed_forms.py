"""Solvable cases: the sigmoid (21) of two layers with white, uncorrelated inputs."""

from __future__ import annotations

import sympy as sp

t, strength, variance, start = sp.symbols("t |Sigma_yx| sigma^2 |W(0)|", positive=True)

#: (21), the norm of W_m^tot(t) for Sigma_m = sigma^2 I, Sigma_AB = 0, an aligned balanced start, tau = 1.
#: The bracket holds |W_m^tot(0)|; printed is u_A(0), which at t = 0 gives another number.
TOTAL = strength / variance / (1 + (strength / (variance * start) - 1) * sp.exp(-2 * strength * t))

#: Half-time of (21): |W(t)| = strength / (2 variance).
HALF_TIME = sp.log(strength / (variance * start) - 1) / (2 * strength)
