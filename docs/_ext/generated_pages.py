"""Pages that are made from the repository before the build, so that none of them can be forgotten or grow old.

    reference/api/       one for each public name, one for each kind of result, from `__all__` and the annotations
    reference/command    every command and option, from the argument parser
    ledger               every equation, from `ledger()`
    tutorials/           the notebooks with their stored outputs
    gallery              the pictures of docs/ and of the notebooks
    checks/, changelog, contributing    Markdown files that stand elsewhere in the repository

All of them are ignored by git.
"""

from __future__ import annotations

import argparse
import base64
import inspect
import json
import os
import posixpath
import re
import typing
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from house_docstrings import equations, escaped, hints, inline
from mathml import with_mathml
from numbered_sources import lines_of_entries, page_of

import derivations
import dynamics

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (dynamics, derivations)
#: Markdown of the repository -> its page; what ends in NOTES.md is the end of another.
COPIED = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "tests/SOAK.md": "checks/soak.md",
    "tests/MUTATION.md": "checks/mutation.md",
    "tests/FAULTS.md": "checks/faults.md",
} | {
    f"benchmarks/{p.name}": f"checks/{p.stem.lower()}.md"
    for p in sorted(ROOT.glob("benchmarks/*.md"))
    if not p.name.endswith("NOTES.md")
}
PICTURES = {"benchmarks/growth.png": "checks/growth.png"}
NOTEBOOKS = sorted(ROOT.glob("notebooks/*.ipynb"), key=lambda path: int(path.name.partition("_")[0]))
#: Pages of the repository's other files, for links to them.
PAGE_OF = (
    COPIED | PICTURES | {f"notebooks/{p.name}": f"tutorials/{p.name}" for p in NOTEBOOKS} | {"README.md": "index.md"}
)
#: What stands in place of sliders.
NO_SLIDERS = (
    "Here the notebook has sliders and a picture that follows them; a page cannot compute. Run the notebook for them."
)


def pages() -> Iterator[tuple[str, str | bytes]]:
    """Every generated file: its path in docs/, and what is in it."""
    yield from _api()
    yield "reference/command.rst", _commands()
    yield "ledger.rst", _ledger()
    for path in NOTEBOOKS:
        yield f"tutorials/{path.name}", json.dumps(_notebook(path), ensure_ascii=False, indent=1)
    yield from _gallery()
    for source, page in COPIED.items():
        yield page, _relinked((ROOT / source).read_text(encoding="utf-8"), source, page)
    for source, page in PICTURES.items():
        yield page, (ROOT / source).read_bytes()


# -- copies -----------------------------------------------------------------------------------------------------------


def _relinked(text: str, source: str, page: str) -> str:
    """Relative links of a file of the repository, as its page needs them; what has no page is named by its path."""

    def link(found: re.Match[str]) -> str:
        words, target, anchor = found[1], found[2], found[3] or ""
        if re.match(r"[a-z]+:", target):
            return found[0]
        inside = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        if inside not in PAGE_OF:
            return f"{words} (`{inside}`)" if words != inside else f"`{inside}`"
        return f"[{words}]({posixpath.relpath(PAGE_OF[inside], posixpath.dirname(page) or '.')}{anchor})"

    return re.sub(r"\[([^\]\n]*)\]\(([^)#\s]+)(#[^)\s]*)?\)", link, text)


def _notebook(path: Path) -> dict[str, Any]:
    """A notebook with links between pages, formulas in MathML, and words where sliders were."""
    book: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    source, page = f"notebooks/{path.name}", f"tutorials/{path.name}"
    for cell in book["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = _relinked("".join(cell["source"]), source, page)
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if data.pop("application/vnd.jupyter.widget-view+json", None):
                data.clear()
                data["text/html"] = f"<p><em>{NO_SLIDERS}</em></p>"
            if "text/html" in data:
                data["text/html"] = f'<div class="wide">{with_mathml("".join(data["text/html"]))}</div>'
                data.pop("text/latex", None)
    return book


def _gallery() -> Iterator[tuple[str, str | bytes]]:
    """The pictures of docs/ and of the notebooks, each with the heading that it stands under."""
    lines = [
        "# Gallery",
        "",
        "The figures of the tutorials; each links to the place that draws it. The pictures of the",
    ]
    lines += ["other pages are [at the end](#pictures-of-the-pages).", ""]
    for path in NOTEBOOKS:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        title = heading = re.sub(r"^# ", "", "".join(cells[0]["source"]).split("\n")[0])
        found: list[str] = []
        for cell in cells:
            if cell["cell_type"] == "markdown":
                heads = re.findall(r"^#+ (.*)", "".join(cell["source"]), re.MULTILINE)
                heading = heads[-1] if heads else heading
            for output in cell.get("outputs", ()):
                if picture := output.get("data", {}).get("image/png"):
                    name = f"{path.stem.partition('_')[0]}-{len(found) // 5 + 1}.png"
                    yield f"gallery/{name}", base64.b64decode("".join(picture))
                    found += _figure(f"gallery/{name}", heading, f"tutorials/{path.name}")
        if found:
            lines += [f"## [{title}](tutorials/{path.name})", "", "::::{container} gallery", *found, "::::", ""]
    lines += ["## Pictures of the pages", "", "::::{container} gallery"]
    for name, words, page in (
        (
            "compare-diabetes.png",
            "Loss and total weights of a late-fusion network on the diabetes data",
            "howto/compare.md",
        ),
        ("adam-star98.png", "Adam learns another modality first", "howto/training.md"),
        ("figure-3.png", "Figure 3 of the paper: laws and simulations", "howto/figures.md"),
        ("report.png", "Top of a report", "howto/your-data.md"),
    ):
        lines += _figure(name, words, page)
    yield "gallery.md", "\n".join([*lines, "::::", ""])


def _figure(picture: str, words: str, page: str) -> list[str]:
    alt = re.sub(r"[$\\`]", "", words)
    html = re.sub(r"\.(md|ipynb)$", ".html", page)
    return [f":::{{figure}} {picture}", f":alt: {alt}", f":target: {html}", f"[{words}]({page})", ":::", ""]


# -- reference --------------------------------------------------------------------------------------------------------


def api_pages() -> dict[str, str]:
    """Public name with its package -> page; what both packages have has one page."""
    found: dict[str, str] = {}
    seen: dict[int, str] = {}
    lower: Counter[str] = Counter()
    for package in PACKAGES:
        for name in package.__all__:
            thing = getattr(package, name)
            if id(thing) not in seen:
                lower[name.lower()] += 1  # `Ledger` and `ledger` are one file to some disks
                seen[id(thing)] = f"reference/api/{name}" + ("-function" if lower[name.lower()] > 1 else "")
            found[f"{package.__name__}.{name}"] = seen[id(thing)]
    return found


def results() -> list[type]:
    """Classes that are not public names, and come back from what is: by the annotations, as deep as they go."""
    public = {getattr(package, name) for package in PACKAGES for name in package.__all__}
    seen: dict[type, None] = {}
    waiting = sorted(public, key=lambda thing: str(getattr(thing, "__name__", "")))
    while waiting:
        thing = waiting.pop(0)
        functions = [thing]
        found: list[Any] = []
        if isinstance(thing, type):
            found += hints(thing).values()
            members = [m for name, m in vars(thing).items() if not name.startswith("_")]
            functions = [
                getattr(m, "fget", None) or getattr(m, "func", None) or getattr(m, "__func__", m) for m in members
            ]
        found += [hints(f).get("return") for f in functions if inspect.isfunction(f)]
        for kind in (kind for hint in found for kind in _classes(hint)):
            if kind not in seen and kind not in public:
                seen[kind] = None
                waiting.append(kind)
    return sorted(seen, key=lambda kind: (kind.__name__, kind.__module__))


def _classes(hint: Any) -> Iterator[type]:
    if isinstance(hint, type) and hint.__module__.partition(".")[0] in {"dynamics", "derivations"}:
        yield hint
    for inner in typing.get_args(hint):
        yield from _classes(inner)


def _first_sentence(thing: Any) -> str:
    text = " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())
    return inline(text)


def _directive(thing: Any, name: str) -> list[str]:
    if isinstance(thing, type):
        options = [] if issubclass(thing, Exception) else ["   :members:"]
        return [f".. autoclass:: {name}", *options, ""]
    return [f".. autofunction:: {name}", ""]


def _titled(title: str, mark: str = "=") -> list[str]:
    return [title, mark * len(title), ""]


def _api() -> Iterator[tuple[str, str]]:
    pages_of = api_pages()
    shown: set[str] = set()
    for full, page in pages_of.items():
        package, name = full.split(".")
        if page in shown:
            continue
        shown.add(page)
        others = [other for other, same in pages_of.items() if same == page and other != full]
        also = [f"Also ``{other}``.", ""] if (other := "".join(others)) else []
        thing = getattr(derivations if package == "derivations" else dynamics, name)
        home = [f"Import it with ``from {package} import {name}``.", *also, ""]
        yield f"{page}.rst", "\n".join([*_titled(escaped(name)), *home, *_directive(thing, full)])
    kinds = results()
    alike = Counter(kind.__name__.lower() for kind in kinds) + Counter(p.rpartition("/")[2].lower() for p in shown)
    named: dict[type, str] = {}
    for kind in kinds:
        twice = alike[kind.__name__.lower()] > 1  # two kinds, or a function and what it returns: `start` and `Start`
        named[kind] = f"{kind.__name__}-{kind.__module__.rpartition('.')[2]}" if twice else kind.__name__
        where = f"Of ``{kind.__module__}``; it comes back from what is public."
        full = f"{kind.__module__}.{kind.__name__}"
        lines = [*_titled(escaped(kind.__name__)), where, "", *_directive(kind, full)]
        yield f"reference/api/results/{named[kind]}.rst", "\n".join(lines)
    yield "reference/api/index.rst", "\n".join(_api_index(pages_of))
    rows = [(f"results/{named[kind]}", named[kind].replace("-", " of "), _first_sentence(kind)) for kind in kinds]
    lead = "Classes that are no public names: what functions and methods return, and what these hold."
    yield "reference/api/results.rst", "\n".join([*_titled("What comes back"), lead, "", *_list_of(rows)])


def _list_of(rows: list[tuple[str, str, str]]) -> list[str]:
    """Links with a sentence each, and the tree behind them."""
    lines = [line for page, name, words in rows for line in (f":doc:`{name} <{page}>`", f"    {words}", "")]
    tree = [f"   {name} <{page}>" for page, name, _ in rows]
    return [*lines, ".. toctree::", "   :hidden:", "", *tree, ""]


def _api_index(pages_of: dict[str, str]) -> list[str]:
    lines = [*_titled("Python"), "Every public name, with signature, docstring and an example that the tests run.", ""]
    done: set[str] = set()
    for package in PACKAGES:
        lines += [*_titled(package.__name__, "-"), _first_sentence(package), ""]
        rows, again = [], []
        for name in package.__all__:
            page = pages_of[f"{package.__name__}.{name}"]
            row = (page.removeprefix("reference/api/"), name, _first_sentence(getattr(package, name)))
            (again if page in done else rows).append(row)
            done.add(page)
        lines += _list_of(rows)
        if again:
            links = ", ".join(f":doc:`{name} <{page}>`" for page, name, _ in again)
            lines += [f"It also has, as ``dynamics`` does: {links}.", ""]
    return [*lines, ".. toctree::", "   :hidden:", "", "   What comes back <results>", ""]


# -- the command ------------------------------------------------------------------------------------------------------


def commands() -> dict[str, argparse.ArgumentParser]:
    """Command -> its parser, in the order of --help."""
    from dynamics.interface import cli

    parser = cli._parser()
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return dict(groups[0].choices)


def _commands() -> str:
    lead = "Results go to standard output, progress to standard error. Exit status 0; 1 a computation failed; "
    lines = [*_titled("Command line"), lead + "2 usage or bad input; 130 interrupted.", ""]
    lines += [f"* :ref:`{name} <command-{name}>`: {escaped(_help_of(name))}" for name in commands()]
    for name, parser in commands().items():
        lines += ["", f".. _command-{name}:", "", *_titled(f"fusion-dynamics {name}", "-")]
        lines += [escaped(" ".join((parser.description or _help_of(name)).split())), "", ".. code-block:: text", ""]
        lines += ["   " + line for line in _usage(parser)]
        lines += ["", f".. program:: fusion-dynamics {name}", ""]
        for group in parser._action_groups:
            shown = [a for a in group._group_actions if a.help != argparse.SUPPRESS]
            if shown:
                title = {"positional arguments": "arguments", "options": "options"}.get(
                    str(group.title), str(group.title)
                )
                lines += [f".. rubric:: {title}", ""]
                lines += [escaped(" ".join(group.description.split())), ""] if group.description else []
                lines += [line for action in shown for line in _option(parser, action)]
    return "\n".join([*lines, ""])


def _help_of(name: str) -> str:
    from dynamics.interface import cli

    groups = [a for a in cli._parser()._actions if isinstance(a, argparse._SubParsersAction)]
    return next(str(choice.help) for choice in groups[0]._choices_actions if choice.dest == name)


def _usage(parser: argparse.ArgumentParser) -> list[str]:
    """As --help prints it on a terminal of 100 columns."""
    columns = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "100"
    try:
        return parser.format_usage().splitlines()
    finally:
        os.environ.pop("COLUMNS")
        os.environ.update({"COLUMNS": columns} if columns else {})


def _option(parser: argparse.ArgumentParser, action: argparse.Action) -> list[str]:
    formatter = parser._get_formatter()
    if action.option_strings:
        value = formatter._format_args(action, formatter._get_default_metavar_for_optional(action))
        signs = [f"{flag} {value}" if action.nargs != 0 else flag for flag in action.option_strings]
    else:
        signs = [formatter._format_args(action, formatter._get_default_metavar_for_positional(action)).strip("[]")]
    words = formatter._expand_help(action) if action.help else ""
    return [f".. option:: {', '.join(signs)}", "", "   " + (escaped(" ".join(words.split())) or "\\"), ""]


# -- the ledger -------------------------------------------------------------------------------------------------------


def _ledger() -> str:
    from derivations.algebra.entry import Kind, Status
    from derivations.equations import ledger, to_dict
    from dynamics.interface.pages.ledger_pages import LEGEND, verdict

    book = ledger()
    where = lines_of_entries()
    paper = [entry for entry in book if entry.kind is Kind.PAPER]
    ours = [entry for entry in book if entry.kind is not Kind.PAPER]
    total = f"All {len(book)} entries: {len(paper)} numbered equations of the paper (1-62) and their parts, and "
    lead = (
        f"{total}{len(ours)} of ours (from 101 on). Each says what is printed, what SymPy derives from (1), (2) and "
        "the loss, and the status that comparing the two gives; none is typed. An equation can have several. "
        ":doc:`What the statuses mean <explain/equations>`."
    )
    lines = [
        *_titled("Ledger of equations"),
        lead,
        "",
        "Beside the paper's symbols: " + _with_numbers(LEGEND) + ".",
        "",
    ]
    lines += [".. list-table::", "   :header-rows: 1", ""]
    lines += ["   * - status", "     - of the paper's", "     - of ours"]
    for status in Status:
        counts = [sum(status in entry.status for entry in part) for part in (paper, ours)]
        if any(counts):
            lines += [f"   * - :ledger-{str(status).split()[0]}:`{status}`", *(f"     - {count}" for count in counts)]
    _check_counts(paper)
    roles = [
        f".. role:: ledger-{str(status).split()[0]}\n   :class: status {str(status).split()[0]}" for status in Status
    ]
    lines[0:0] = [*roles, ""]
    lines += ["", ".. container:: numbers", ""]
    lines += ["   " + " ".join(f":ref:`({entry.name}) <eq-{entry.name}>`" for entry in book), ""]
    for entry in book:
        fields = to_dict(entry)
        lines += ["", f".. _eq-{entry.name}:", "", *_titled(escaped(f"({entry.name}) {entry.title}"), "-")]
        lines += [" ".join(f":ledger-{status.split()[0]}:`{status}`" for status in fields["status"]), ""]
        for label in ("printed", "derived", "right"):
            for i, latex in enumerate(fields[f"{label}_latex"]):
                lines += [".. rst-class:: label", "", label, ""] if i == 0 else []
                lines += [".. math::", "   :no-wrap:", "", "   " + latex.replace("\n", " "), ""]
        words = [(label, fields[label]) for label in ("condition", "proof", "note") if fields[label]]
        words += [("defect", defect) for defect in fields["defect"]]
        words += [("claim", f"{claim['claim']}: {verdict(claim['status'])}") for claim in fields["claims"]]
        lines += [f":{label}: {_with_numbers(text)}" for label, text in words]
        if fields["sources"]:
            lines += [":rests on: " + ", ".join(f":ref:`({source}) <eq-{source}>`" for source in fields["sources"])]
        module, line = where[entry.name]
        path = module.replace(".", "/") + ".py"
        lines += [f":source: `{path}, line {line} <{page_of(module)}.html#line-{line}>`__", ""]
    return "\n".join(lines)


def _check_counts(paper: list[Any]) -> None:
    """What explain/equations.md says of the statuses, which take too long for a quick test."""
    from derivations.algebra.entry import Status

    text = (ROOT / "docs" / "explain" / "equations.md").read_text(encoding="utf-8")
    for status in Status:
        count = sum(status in entry.status for entry in paper)
        if count and f"| {status} | {count} |" not in text:
            raise ValueError(f"explain/equations.md has another number of {status!r} than {count}")
    named = text[text.index("Printed wrong are") : text.index("claims of the text")]
    wrong = {str(entry.number) for entry in paper if Status.MISPRINT in entry.status}
    if set(re.findall(r"\((\d+)[a-e]?\)", named)) != wrong:
        raise ValueError(f"explain/equations.md has other misprints than {sorted(wrong)}")


def _with_numbers(text: str) -> str:
    def link(found: re.Match[str]) -> str:
        label = equations().get(found[1])
        return rf"\ :ref:`({found[1]}) <{label}>`\ " if label else found[0]

    return re.sub(r"\((\d{1,3}[a-e]?)\)", link, escaped(" ".join(text.split())))


# -- writing ----------------------------------------------------------------------------------------------------------


def write(folder: Path) -> None:
    """Write every page that is not there already as it should be, and remove those of what is gone."""
    made = set()
    for name, content in pages():
        path, data = folder / name, content if isinstance(content, bytes) else content.encode()
        made.add(path)
        if not path.exists() or path.read_bytes() != data:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    for kind in ("reference/api/**/*.rst", "gallery/*.png", "tutorials/*.ipynb"):
        for path in set(folder.glob(kind)) - made:
            path.unlink()


def setup(app: Any) -> dict[str, bool]:
    app.connect("config-inited", lambda app, config: write(Path(app.srcdir)))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
