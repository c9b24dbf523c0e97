"""Public names of a package: imported on first use at run time, and known to type checkers, from one list."""

from __future__ import annotations

import ast
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any


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
        return getattr(import_module(home), name)

    return get, lambda: sorted([*homes, "__version__"]), sorted(homes)
