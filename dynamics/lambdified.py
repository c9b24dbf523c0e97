"""The one place where SymPy becomes numbers: each expression is turned into a function once and kept.

Symbols are numbered in its code: to Python, modalities named x² and x2 would be one argument twice.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import sympy as sp


@lru_cache(maxsize=512)
def function(expressions: sp.Expr | tuple[sp.Expr, ...], *symbols: sp.Symbol) -> Callable[..., Any]:
    """A function of floats for an expression, or a tuple of values for a tuple of expressions."""
    several = isinstance(expressions, tuple)
    made: Callable[..., Any] = sp.lambdify(symbols, expressions, modules="math", cse=several, dummify=True)
    return made


@lru_cache(maxsize=64)
def array_function(expression: sp.Expr, *symbols: sp.Symbol) -> Callable[..., Any]:
    """The same for one expression on NumPy arrays."""
    made: Callable[..., Any] = sp.lambdify(symbols, expression, modules="numpy", cse=True, dummify=True)
    return made
