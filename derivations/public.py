"""Public names of a package: imported on first use at run time, and known to type checkers, from one list."""

from __future__ import annotations

import ast
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from pathlib import Path
from types import FunctionType
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


def lazily(package: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """`__getattr__`, `__dir__` and `__all__` of a package whose `__init__` imports its names `if TYPE_CHECKING`.

    Parameters
    ----------
    package, file : `__name__` and `__file__` of the package
    """
    branch = next(node for node in ast.parse(Path(file).read_text(encoding="utf-8")).body if isinstance(node, ast.If))
    homes = {name.name: node.module for node in branch.body if isinstance(node, ast.ImportFrom) for name in node.names}

    def get(name: str) -> Any:
        if name == "__version__":
            from importlib.metadata import version  # 40 ms that few ask for

            return version("fusion-dynamics")
        home = homes.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = import_module(home)
        found = getattr(module, name)
        if isinstance(found, FunctionType) and not hasattr(found, "__wrapped__"):
            found = usual_floats(found)
            setattr(module, name, found)  # pickle looks for it there
        return found

    return get, lambda: sorted([*homes, "__version__"]), sorted(homes)


def usual_floats(function: F) -> F:
    """The function under NumPy's own handling of floats: a caller's `np.seterr` is for the caller's arithmetic."""
    import numpy as np

    usual: dict[str, Any] = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}

    def run(*args: Any, **more: Any) -> Any:
        now: dict[str, Any] = {**np.geterr()}
        with np.errstate(**{kind: how for kind, how in usual.items() if now[kind] != "ignore"}):
            return function(*args, **more)

    # doctest asks whose globals a function has
    at_home = FunctionType(run.__code__, function.__globals__, function.__name__, None, run.__closure__)
    return wraps(function)(at_home)  # type: ignore[return-value]
