"""The order of the house: which wing may import which, read from every import of every file.

Lazy imports and those for a type checker count too. `faults(ROOT)` is empty for a house in order; tests/test_wings.py
asks it of this one, and of copies with a planted fault.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

FLOORS = {  # from the ground up; wings of one floor do not import each other, modules of the ground may
    "derivations": (
        {"errors", "network", "rows", "samples", "correlations", "effective", "terms", "public"},
        {"algebra"},
        {"flow"},
        {"critical"},
        {"times"},
        {"nonlinear", "training"},
        {"equations"},
    ),
    "dynamics": (
        {"tables", "files", "messages", "checks", "provenance", "lambdified", "strict_json", "problem", "recipe"},
        {"data", "starts"},
        {"runs"},
        {"simulation"},
        {"prediction"},
        {"figures", "nonlinear"},
        {"paper"},
        {"interface"},
    ),
}
FLOOR = {(package, wing): i for package, floors in FLOORS.items() for i, wings in enumerate(floors) for wing in wings}
DRAW = {"figures", "paper", "interface"}  # wings of dynamics that may import matplotlib
FORMULAS = ("dynamics.lambdified", "dynamics.prediction.laws")  # where dynamics may import SymPy
MOST_FLOORS = 12


def modules(root: Path) -> dict[str, Path]:
    """Dotted name -> file, of both packages."""
    files = [path for package in FLOORS for path in sorted((root / package).rglob("*.py"))]
    return {".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path for path in files}


@functools.cache
def parsed(text: str) -> tuple[ast.AST, ...]:
    """Every node of a file; the copies that tests make of this house have the same texts."""
    return tuple(ast.walk(ast.parse(text)))


def imported(path: Path, known: dict[str, Path]) -> Iterator[str]:
    """What a file imports: modules of this house by their own name, anything else by the name it is imported by."""
    for node in parsed(path.read_text(encoding="utf-8")):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            full = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from (name if name in known else str(node.module) for name in full)


def _is_door(name: str) -> bool:
    """The packages themselves, whose public names come from every wing, and `python -m`."""
    return name in FLOORS or name.endswith(".__main__")


def faults(root: Path) -> list[str]:
    """Every import that the order forbids, every circle of files, and a house with too many floors."""
    known, found = modules(root), []
    graph: dict[str, set[str]] = {}
    for name, path in known.items():
        if _is_door(name):
            continue
        graph[name] = set()
        for other in imported(path, known):
            top = other.partition(".")[0]
            if top in FLOORS:
                found += [f"{name} imports {other}"] if _forbidden(name, other) else []
                graph[name] |= {other} if other in known and not _is_door(other) else set()
            elif not _may(name, top):
                found.append(f"{name} imports {other}")
    heights, circles = _heights(graph)
    found += [f"circle: {' -> '.join(circle)}" for circle in circles]
    if max(heights.values(), default=0) > MOST_FLOORS:
        found.append(f"walking down takes {max(heights.values())} floors")
    return found


def _forbidden(name: str, other: str) -> bool:
    (package, wing), target = name.split(".")[:2], other.split(".")
    if target[0] != package:
        return package == "derivations"
    if len(target) == 1:
        return True  # the package's own door
    floor, below = FLOOR[package, wing], FLOOR[target[0], target[1]]
    return wing != target[1] and not (below < floor or below == floor == 0)


def _may(name: str, library: str) -> bool:
    package, wing = name.split(".")[:2]
    if library in {"tests", "notebooks", "benchmarks"}:
        return False
    if package == "derivations":
        return library not in {"scipy", "matplotlib"}
    if library == "matplotlib":
        return wing in DRAW
    return library != "sympy" or name.startswith(FORMULAS)


def _heights(graph: dict[str, set[str]]) -> tuple[dict[str, int], list[list[str]]]:
    """On which floor each wing stands, counted by the files walked down, and the circles of files.

    A step inside a wing is no stair: floors are counted where an import leaves a wing.
    """
    heights: dict[str, int] = {}
    circles: list[list[str]] = []

    def walk(name: str, path: list[str]) -> int:
        if name in path:
            circles.append([*path[path.index(name) :], name])
            return 0
        if name not in heights:
            below = [
                walk(other, [*path, name]) + (_wing(other) != _wing(name)) for other in sorted(graph.get(name, ()))
            ]
            heights[name] = max(below, default=1)
        return heights[name]

    for name in graph:
        walk(name, [])
    return heights, circles


def _wing(name: str) -> str:
    return ".".join(name.split(".")[:2])


def sizes(root: Path) -> dict[str, int]:
    """Folder -> number of its modules, `__init__` and `__main__` left out."""
    counted: dict[str, int] = {}
    for path in modules(root).values():
        if not path.name.startswith("__"):
            folder = str(path.parent.relative_to(root))
            counted[folder] = counted.get(folder, 0) + 1
    return counted
