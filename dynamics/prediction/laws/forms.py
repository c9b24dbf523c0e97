"""The laws that every prediction asks for, as expressions, and the module of plain functions made from them.

SymPy takes longer to import than a prediction to make. So these laws, and no others, stand in `written` as functions
of floats: `python -m dynamics.prediction.laws.forms` writes it anew, and a test holds each function against its
expression in 30 digits. The rest is turned into functions when it is asked for, by `dynamics.lambdified`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from itertools import product
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
import sympy as sp

from derivations.algebra import notation as sym
from derivations.times import any_branches as law
from derivations.times.formulas import SATURATION, logarithm, rotation_angle_integrand
from dynamics.lambdified import array_function

Form = tuple[sp.Expr, tuple[sp.Symbol, ...]]  # and its symbols in order

HEAD = '''"""Laws as functions of floats: made by `python -m dynamics.prediction.laws.forms`, not by hand.

A name ends in the depths of two branches, 2 or n for more; `log_g` is ln g, `u_A` is u_A(0), `rest` 1 - c K.
"""

from math import exp, log, sin

# fmt: off
# mypy: disable-error-code="no-any-return"

'''


def on_arrays(expression: Any, logs: Mapping[Any, Any], plain: Mapping[Any, Any]) -> np.ndarray:
    """ln of a law on arrays, some symbols given by their logarithms so that no power overflows."""
    in_logs, names = log_form(expression, tuple(logs))
    return np.asarray(array_function(in_logs, *names, *plain)(*logs.values(), *plain.values()))


@lru_cache(maxsize=64)
def log_form(expression: Any, log_symbols: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
    """ln of a product of powers, and the symbols for the logarithms in it."""
    names = [sp.Symbol(f"log_{s.name}", real=True) for s in log_symbols]
    pairs = list(zip(log_symbols, names, strict=True))
    in_logs = logarithm(expression).subs({sp.log(s): n for s, n in pairs} | {sp.log(1 / s): -n for s, n in pairs})
    left = in_logs.free_symbols & set(log_symbols)
    if left:
        raise AssertionError(f"{expression} is no product of powers of {left}")
    return in_logs, tuple(names)


def forms() -> dict[str, Form]:
    """Every law of `written` by its name."""
    starts, depths = (sym.start_A, sym.start_B), (sym.L_A, sym.L_B, sym.L_c)
    s, alpha = sp.symbols("s alpha", positive=True)
    (inner,) = SATURATION.atoms(sp.Integral)
    ((variable, low, high),) = inner.limits
    assert low == 0
    found: dict[str, Form] = {
        "first_at_depth_2": (law.FIRST_AT_DEPTH_2, (sym.u_0, sym.a)),
        "log_first": _in_logs(law.FIRST, (sym.u_0, sym.a, sym.I), (sym.L,)),
        "saturation_integrand": (inner.function, (variable, sym.L)),
        "saturation_end": (high, (sym.L,)),
        "saturation_rest": (SATURATION - inner, (sym.L,)),
        "rotation_integrand": (rotation_angle_integrand(), (s, alpha, sym.L_f)),
        "way_2": (law.way(2, sym.start_A), (sym.start_A,)),
        "way_n": (law.way(sym.L_A, sym.start_A), (sym.L_A, sym.start_A)),
        "size_left_2": (law.size_left(2, sym.P), (sym.P,)),
        "size_left_n": (law.size_left(sym.L_A, sym.P), (sym.L_A, sym.P)),
    }
    later, plain = (sym.g, sym.r, sym.R, *starts), (*depths, sym.K, sym.c)
    for first, second in product((2, 3), (2, 3)):
        kind = law.branches(first, second)
        name = f"{_depth(first)}{_depth(second)}"
        integrand = (sym.y, *depths, sym.K, law.REST, law.LOG_A, law.LOG_B)
        found[f"log_integrand_{name}"] = kind.log_integrand, integrand
        found[f"log_size_{name}"] = kind.log_size, (sym.x, sym.c, sym.K, law.REST, sym.L_A, sym.L_B, *starts)
        found[f"log_lead_{name}"] = _in_logs(kind.lead, (sym.k, *starts), (sym.L_A, sym.L_B))
        found[f"log_lag_{name}"] = _in_logs(kind.lag, later, plain)
        for alike in (True, False):
            form = law.excess(first, second, alike)
            found[f"log_excess_{name}{'_alike' * alike}"] = _in_logs(form, (*later, sym.a, sym.I), plain)
    return found


def written() -> str:
    """The module of functions."""
    return HEAD + "\n\n".join(_function(name, *form) for name, form in forms().items())


def plain_name(symbol: sp.Symbol) -> str:
    """Of an argument: u_A for u_A(0), log_u_A for its logarithm."""
    return "rest" if symbol == law.REST else str(symbol.name).replace("ln_", "log_").replace("(0)", "")


def _in_logs(expression: sp.Expr, logs: tuple[sp.Symbol, ...], plain: tuple[sp.Symbol, ...]) -> Form:
    in_logs, names = log_form(expression, logs)
    return in_logs, (*names, *plain)


def _depth(layers: int) -> str:
    return "2" if layers == 2 else "n"


def _function(name: str, expression: sp.Expr, symbols: tuple[sp.Symbol, ...]) -> str:
    plain = [sp.Symbol(plain_name(s)) for s in symbols]
    code = sp.pycode(expression.xreplace(dict(zip(symbols, plain, strict=True))), fully_qualified_modules=False)
    lines = (f"def {name}({', '.join(f'{s}: float' for s in plain)}) -> float:", f"    return ({code})")
    return "\n".join(fill(line, 120, subsequent_indent=" " * 8, break_on_hyphens=False) for line in lines) + "\n"


if __name__ == "__main__":
    (Path(__file__).parent / "written.py").write_text(written(), encoding="utf-8")
