"""The modules of the ledger as pages with numbered lines, so that an equation can point at the line that states it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from html import escape
from importlib import import_module
from pathlib import Path
from typing import Any

from house_docstrings import public_names

from derivations.algebra.entry import Entry
from derivations.equations import HOMES, ledger


def homes() -> dict[str, Path]:
    """Module -> its file."""
    modules = {f"derivations.{home}": import_module(f"derivations.{home}") for home in HOMES}
    return {name: Path(str(module.__file__)) for name, module in modules.items()}


def lines_of_entries() -> dict[str, tuple[str, int]]:
    """Number of an equation -> the module that states it, and the line there."""
    found: dict[str, tuple[str, int]] = {}
    for module, path in homes().items():
        named = {name: e for name, e in vars(import_module(module)).items() if isinstance(e, Entry)}
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in named:
                found.setdefault(named[node.id].name, (module, node.lineno))
    missing = [entry.name for entry in ledger() if entry.name not in found]
    if missing:
        raise LookupError(f"no line states the equations {missing}")
    return found


def page_of(module: str) -> str:
    return "source/" + module.replace(".", "/")


def _pages(app: Any) -> Iterator[tuple[str, dict[str, Any], str]]:
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    drawn = HtmlFormatter(linenos="inline", anchorlinenos=True, lineanchors="line", cssclass="highlight")
    for module, path in homes().items():
        body = highlight(path.read_text(encoding="utf-8"), PythonLexer(), drawn)
        yield page_of(module), {"title": module, "body": f"<h1>{escape(module)}</h1>{body}"}, "page.html"


def _way_back(app: Any, pagename: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Mends links back from viewcode's pages: it takes one prefix for a whole module.

    Public names are documented under their package, what comes back from them under its own module.
    """
    if pagename.startswith("_modules/") and "body" in context:
        module = pagename.removeprefix("_modules/").replace("/", ".")

        def mended(found: re.Match[str]) -> str:
            name = found[3].removeprefix(f"{module}.").removeprefix("dynamics.").removeprefix("derivations.")
            first = name.partition(".")[0]
            full = f"{module}.{name}" if found[2] else public_names()[first] + name.removeprefix(first)
            return f"{found[1]}#{full}"

        context["body"] = re.sub(r"(reference/api/(results/)?[\w-]+\.html)#([\w.]+)", mended, context["body"])


def setup(app: Any) -> dict[str, bool]:
    app.connect("html-collect-pages", _pages)
    app.connect("html-page-context", _way_back)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
