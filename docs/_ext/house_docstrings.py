"""Docstrings in the house style as reST, and the default role of a word in backticks.

The house writes `name : what it is` under Parameters (and, for a dataclass, without the heading), words of code in
single backticks, numbers of equations in brackets. A word that is a public name becomes a link to its page, a number
of the ledger a link to the equation; every other word is code.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import typing
from collections.abc import Iterator
from enum import Enum
from functools import cache
from importlib import import_module
from typing import Any

import derivations
import dynamics
from derivations.equations import ledger

_ITEM = re.compile(r"([*]{0,2}[A-Za-z_]\w*(?:, [*]{0,2}[A-Za-z_]\w*)*) : (.*)")
_NUMBER = re.compile(r"\((\d{1,3}[a-e]?)\)")
_LIST = {"Parameters", "Attributes", "Other Parameters"}


@cache
def public_names() -> dict[str, str]:
    """Public name -> where it is documented; what both packages have stands under `dynamics`."""
    return {name: f"{p.__name__}.{name}" for p in (derivations, dynamics) for name in p.__all__}


@cache
def equations() -> dict[str, str]:
    """What may stand in brackets -> label of an equation: "44a", and "44" for the first of its parts."""
    found: dict[str, str] = {}
    for entry in ledger():
        for name in (entry.name, str(entry.number)):
            found.setdefault(name, f"eq-{entry.name}")
    return found


def escaped(text: str) -> str:
    """Plain text for reST."""
    return re.sub(r"([\\*_|`])", r"\\\1", text)


def inline(text: str) -> str:
    """A line of a docstring: code between backticks, equations linked, the rest plain."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # a lone backtick
        return escaped(text)
    return "".join(_code(part) if i % 2 else _plain(part) for i, part in enumerate(parts))


def _code(word: str) -> str:
    return rf"\ :house:`{word}`\ " if word.strip() else ""


def _plain(text: str) -> str:
    def link(found: re.Match[str]) -> str:
        label = equations().get(found[1])
        return rf"\ :ref:`({found[1]}) <{label}>`\ " if label else found[0]

    return _NUMBER.sub(link, escaped(text))


def as_rest(lines: list[str]) -> list[str]:
    """The lines of a docstring as reST."""
    return list(_converted(lines))


def _converted(lines: list[str]) -> Iterator[str]:
    section, i = "", 0
    while i < len(lines):
        line = lines[i]
        if i + 1 < len(lines) and line.strip() and re.fullmatch(r"-{3,}", lines[i + 1].strip()):
            section = line.strip()
            yield from ("", f".. rubric:: {section}", "")
            i += 2
        elif line.lstrip().startswith(">>>"):
            yield ""
            while i < len(lines) and lines[i].strip():
                yield lines[i]
                i += 1
            yield ""
        elif not line.startswith(" ") and _ITEM.fullmatch(line) and (section in _LIST or not section):
            i = yield from _items(lines, i)
        elif section in {"Raises", "Returns", "Yields"} and line and not line.startswith(" "):
            block = [line]
            while i + 1 < len(lines) and lines[i + 1].startswith(" "):
                i += 1
                block.append(lines[i].strip())
            i += 1
            if len(block) == 1 or ":" in line or len(line.split()) > 4:
                yield from ("", inline(" ".join(block)), "")
            else:
                yield from ("", inline(f"`{block[0]}`"), "    " + inline(" ".join(block[1:])), "")
        elif line.startswith("    "):  # a list or a formula that keeps its lines
            yield from ("", "::", "")
            while i < len(lines) and (lines[i].startswith("    ") or not lines[i].strip()):
                yield lines[i]
                i += 1
            yield ""
        else:
            block = []
            while i < len(lines) and lines[i].strip() and not lines[i].startswith("    "):
                if block and (_ITEM.fullmatch(lines[i]) or lines[i].lstrip().startswith(">>>")):
                    break
                block.append(lines[i].strip())
                i += 1
            if block:
                yield from (inline(" ".join(block)), "")
            else:
                i += 1


def _items(lines: list[str], i: int) -> Iterator[str]:
    """`name : what it is` with its continuation, as a definition list."""
    yield ""
    while i < len(lines) and (found := _ITEM.fullmatch(lines[i])):
        names, what = found[1], [found[2]]
        i += 1
        while i < len(lines) and lines[i].startswith(" "):
            new = len(what) == 1 and re.match(r"[A-Z<]", lines[i].strip()) and not re.search(r"[,(:;-]$", what[0])
            if new and found[2]:
                what[0] += "."  # a type, and then a sentence
            what.append(lines[i].strip())
            i += 1
        yield ", ".join(f"**{escaped(name)}**" for name in names.split(", "))
        yield "    " + (inline(" ".join(what)) or "\\")
        while i < len(lines) and not lines[i].strip() and i + 1 < len(lines) and _ITEM.fullmatch(lines[i + 1]):
            i += 1
    yield ""
    return i  # type: ignore[return-value]


def _process(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    lines[:] = as_rest(lines)


def _house(name: str, raw: str, text: str, line: int, inliner: Any, options: Any = None, content: Any = ()) -> Any:
    """The default role: a link where the word is a public name, code elsewhere."""
    from docutils import nodes  # not above: tests of the generated pages do without docutils
    from sphinx import addnodes

    word = text.removeprefix("dynamics.").removeprefix("derivations.").removesuffix("()")
    code = nodes.literal(raw, text)
    if word not in public_names():
        return [code], []
    link = addnodes.pending_xref(
        raw, code, refdomain="py", reftype="obj", reftarget=public_names()[word], refexplicit=True, refwarn=True
    )
    return [link], []


def _missing(app: Any, env: Any, node: Any, child: Any) -> Any:
    """Types of a signature: a class of ours that is re-exported is found by its name; one of others is plain text."""
    if node.get("refdomain") != "py" or node.get("reftype") not in {"class", "obj", "exc"} or node.get("refexplicit"):
        return None
    short = node["reftarget"].rpartition(".")[2]
    domain = env.get_domain("py")
    alike = [full for full, entry in domain.objects.items() if full.rpartition(".")[2] == short and entry[2] == "class"]
    if alike and node["reftarget"] != alike[0]:
        target = domain.objects[alike[0]]
        return app.builder and _link(app, node, target, child)
    return child


def _link(app: Any, node: Any, target: Any, child: Any) -> Any:
    from sphinx.util.nodes import make_refnode

    return make_refnode(app.builder, node["refdoc"], target.docname, target.node_id, child)


@cache
def _for_checkers(module: str) -> dict[str, Any]:
    """What a module imports `if TYPE_CHECKING`."""
    found: dict[str, Any] = {}
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    for branch in (node for node in tree.body if isinstance(node, ast.If)):
        for node in branch.body:
            for alias in getattr(node, "names", ()):
                if isinstance(node, ast.ImportFrom):
                    found[alias.asname or alias.name] = getattr(import_module(str(node.module)), alias.name)
                elif isinstance(node, ast.Import):
                    found[alias.asname or alias.name] = import_module(alias.name)
    return found


def hints(thing: Any) -> dict[str, Any]:
    """Annotations as types, those of names that only type checkers import too."""
    return typing.get_type_hints(thing, localns=_for_checkers(thing.__module__))


class _Left:
    """A default that is too long to be shown."""

    def __repr__(self) -> str:
        return "..."


def _signature(app: Any, what: str, name: str, thing: Any, options: Any, signature: Any, returns: Any) -> Any:
    """Defaults that are objects, which no parser of signatures reads, are left out."""
    if not isinstance(thing, type) or "<" not in str(signature):
        return None
    from sphinx.util.inspect import stringify_signature

    types = hints(thing)
    parameters = []
    for parameter in inspect.signature(thing).parameters.values():
        shown = parameter.replace(annotation=types.get(parameter.name, parameter.annotation))
        if isinstance(shown.default, Enum):
            shown = shown.replace(default=shown.default.value)
        long = shown.default is not shown.empty and "<" in repr(shown.default)
        parameters.append(shown.replace(default=_Left()) if long else shown)
    return stringify_signature(inspect.Signature(parameters), unqualified_typehints=True), None


def setup(app: Any) -> dict[str, bool]:
    app.add_role("house", _house)
    app.connect("autodoc-process-docstring", _process)
    app.connect("autodoc-process-signature", _signature)
    app.connect("missing-reference", _missing)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
