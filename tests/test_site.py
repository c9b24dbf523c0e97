"""Sources of the site: nothing is forgotten, links lead somewhere, commands and code are real. `.ci/run` builds it."""

import ast
import re
import shlex
import sys
from pathlib import Path

import pytest

from tests.cases import ROOT, commands_of

DOCS = ROOT / "docs"
IGNORED = {ROOT / line for line in (ROOT / ".gitignore").read_text().split()} | {DOCS / "_moved.md"}
WRITTEN = sorted(path for path in DOCS.rglob("*.md") if path not in IGNORED and "_build" not in path.parts)


@pytest.fixture(scope="module")
def generated():
    """The generator of pages, which does without Sphinx."""
    sys.path.insert(0, str(DOCS / "_ext"))
    try:
        import generated_pages
    finally:
        sys.path.remove(str(DOCS / "_ext"))
    return generated_pages


def links_of(text: str) -> list[str]:
    """Targets of Markdown links, pictures and downloads, outside of code."""
    text = re.sub(
        r"```.*?```|`[^`\n]*`(?!<)", "", re.sub(r"\{download\}`[^<]*<([^>]*)>`", r"[](\1)", text), flags=re.DOTALL
    )
    return re.findall(r"\]\(([^)\s]+)\)", text)


def test_every_public_name_has_a_page(generated) -> None:
    import derivations
    import dynamics

    pages = generated.api_pages()
    assert set(pages) == {f"{p.__name__}.{name}" for p in (dynamics, derivations) for name in p.__all__}
    written = dict(generated._api())
    for name, page in pages.items():
        home = "dynamics" if f".. autofunction:: dynamics.{name.partition('.')[2]}" in written[f"{page}.rst"] else ""
        assert re.search(rf"auto(class|function):: {home or r'(dynamics|derivations)'}\.", written[f"{page}.rst"]), name
    assert len({page.lower() for page in written}) == len(written), "two pages are one file to some disks"


def test_what_comes_back_has_pages(generated) -> None:
    names = {kind.__name__ for kind in generated.results()}
    assert {"Prediction", "Trajectory", "Ensemble", "Comparison", "Prescription", "Start", "Estimate"} <= names


def test_every_command_and_option_is_on_the_page_of_the_command(generated) -> None:
    page = generated._commands()
    for name, parser in generated.commands().items():
        assert f".. program:: fusion-dynamics {name}\n" in page
        for action in parser._actions:
            assert all(flag in page for flag in action.option_strings)


def test_every_equation_has_a_line_of_source(generated) -> None:
    from derivations import ledger

    found = generated.lines_of_entries()
    assert set(found) == {entry.name for entry in ledger()}
    module, line = found["46"]
    path = ROOT / (module.replace(".", "/") + ".py")
    assert "46" in path.read_text().splitlines()[line - 1]


def test_every_notebook_and_benchmark_has_a_page(generated) -> None:
    course = (DOCS / "tutorials" / "index.md").read_text()
    for path in generated.NOTEBOOKS:
        assert f"]({path.name})" in course
        assert f"\n{path.stem}\n" in course
    checks = (DOCS / "checks" / "index.md").read_text()
    for page in generated.COPIED.values():
        assert not page.startswith("checks/") or f"({page.removeprefix('checks/')})" in checks, page


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: str(path.relative_to(DOCS)))
def test_links_of_a_page_lead_somewhere(path: Path, generated) -> None:
    made = {DOCS / page for page in generated.PAGE_OF.values()}
    made |= {DOCS / f"{page}.rst" for page in generated.api_pages().values()}
    made |= {DOCS / "ledger.rst", DOCS / "gallery.md", DOCS / "reference" / "command.rst"}
    made |= {DOCS / "reference" / "api" / f"{name}.rst" for name in ("index", "results")}
    for target in links_of(path.read_text()):
        if not re.match(r"[a-z]+:", target) and not target.startswith("#"):
            there = (path.parent / target.partition("#")[0]).resolve()
            assert there in made or there.exists(), target


COMMANDS = sorted({command for path in WRITTEN for command in commands_of(path.read_text())})


def test_the_pages_show_every_command() -> None:
    shown = {words[1] for command in COMMANDS if len(words := shlex.split(command)) > 1}
    commands = "predict prescribe simulate compare report fixed-points figure table sweep derive"
    assert set(commands.split()) <= shown


@pytest.mark.parametrize("page", ["howto/prescribe.md"])  # tests/test_house.py has two more, and runs all commands
def test_a_page_shows_what_its_command_prints(page: str, capsys) -> None:
    """The first output of the page, line by line; a stale one is a false claim."""
    from dynamics.interface.cli import main

    text = (DOCS / page).read_text()
    shown = re.search(r"```text\n(.*?)```", text, re.DOTALL)
    command = commands_of(text[: shown.start()])[-1].partition(" --plot")[0]
    assert main(shlex.split(command)[1:]) == 0
    printed = {line.rstrip() for line in capsys.readouterr().out.splitlines()}
    assert {line.rstrip() for line in shown[1].splitlines()} <= printed


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: str(path.relative_to(DOCS)))
def test_the_python_of_a_page_runs(path: Path) -> None:
    """It runs; where it needs PyTorch it compiles, and what it imports from here exists."""
    from importlib import import_module

    for block in re.findall(r"```python\n(.*?)```", path.read_text(), re.DOTALL):
        if "import torch" not in block:
            exec(compile(block, path.name, "exec"), {})
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] in {"dynamics", "derivations"}:
                module = import_module(str(node.module))
                assert all(hasattr(module, alias.name) for alias in node.names)


def test_the_pages_ask_no_other_host() -> None:
    """No picture, script, style or font from elsewhere; links to follow are another matter."""
    for path in [*WRITTEN, *DOCS.glob("_static/*")]:
        assert not re.search(
            r"!\[[^\]]*\]\(\s*https?:|<(script|img|link|iframe)|url\(\s*['\"]?(https?:)?//", path.read_text()
        )


def test_formulas_on_several_lines(generated) -> None:
    from mathml import mathml, with_mathml

    made = mathml(r"\begin{aligned}a &= \begin{matrix}1 & 2\\3 & 4\end{matrix} \\ b &= c\end{aligned}", "block")
    assert made.count('class="aligned"') == 1
    assert made.count("&") == made.count("&#")
    assert "<math" in with_mathml(r"<td>$\displaystyle a &amp; b$</td>")


def test_docstrings_become_rest(generated) -> None:
    from house_docstrings import as_rest

    made = "\n".join(
        as_rest(["What |x|_F is, (46).", "", "Parameters", "----------", "u0 : norm of `predict`", "    at t = 0"])
    )
    assert r"\|x\|\_F" in made
    assert ":ref:`(46) <eq-46>`" in made
    assert "**u0**\n    norm of" in made
    assert ":house:`predict`" in made


def test_dead_links_are_found(tmp_path) -> None:
    sys.path.insert(0, str(DOCS / "_ext"))
    try:
        from links import faults
    finally:
        sys.path.remove(str(DOCS / "_ext"))
    page = '<h1 id="top">x</h1><a href="#top"></a><a href="https://example.org"></a><a href="b.html#here"></a>'
    (tmp_path / "a.html").write_text(page)
    (tmp_path / "b.html").write_text('<p id="here"></p>')
    assert faults(tmp_path) == []
    (tmp_path / "b.html").write_text('<a href="c.html"></a><script src="https://example.org/x.js"></script>')
    (tmp_path / "x.css").write_text("@font-face { src: url(https://example.org/font.woff2) }")
    assert [line.partition(": ")[2].partition(" ")[0] for line in faults(tmp_path)] == ["no", "no", "<script>", "loads"]
