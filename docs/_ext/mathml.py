"""Mathematics as MathML, made while building: a page needs no script and no network for it."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

from latex2mathml.converter import convert

_ALIGNED = re.compile(r"\s*\\begin\{(aligned|align\*?|split)\}(.*)\\end\{\1\}\s*", re.DOTALL)
_MARK = re.compile(r"\\begin\{|\\end\{|\\\\|(?<!\\)&")


def mathml(latex: str, display: str) -> str:
    """MathML of a formula; `display` is "block" or "inline"."""
    found = _ALIGNED.fullmatch(latex)
    if found is None:
        return str(convert(latex.strip(), display=display))
    rows = "".join(f"<mtr>{''.join(map(_cell, row))}</mtr>" for row in _rows(found[2]))
    opening = f'<math xmlns="http://www.w3.org/1998/Math/MathML" display="{display}">'
    return f'{opening}<mtable class="aligned">{rows}</mtable></math>'


def _cell(latex: str) -> str:
    inner = re.sub(r"^<math[^>]*>|</math>$", "", str(convert(latex.strip() or "{}", display="block")))
    return f"<mtd>{inner}</mtd>"


def _rows(latex: str) -> list[list[str]]:
    """The cells of each line of an aligned environment, which latex2mathml does not know; inner ones stay whole."""
    rows, depth, begun = [[""]], 0, 0
    for mark in _MARK.finditer(latex):
        rows[-1][-1] += latex[begun : mark.start()]
        begun = mark.end()
        depth += {"\\begin{": 1, "\\end{": -1}.get(mark[0], 0)
        if depth or mark[0] not in {"&", "\\\\"}:
            rows[-1][-1] += mark[0]
        elif mark[0] == "&":
            rows[-1].append("")
        else:
            rows.append([""])
    rows[-1][-1] += latex[begun:]
    return [row for row in rows if any(cell.strip() for cell in row)]


def with_mathml(html: str) -> str:
    """HTML with $...$ in it, as a notebook stores it for MathJax: the formulas as MathML."""

    def formula(found: re.Match[str]) -> str:
        return mathml(unescape(found[1]).replace(r"\displaystyle", ""), "block")

    return re.sub(r"\$\$?(.+?)\$\$?", formula, html, flags=re.DOTALL)


def _skip() -> Exception:
    from docutils.nodes import SkipNode  # not above: tests of the generated pages do without docutils

    return SkipNode()


def _inline(self: Any, node: Any) -> None:
    self.body.append(mathml(node.astext(), "inline"))
    raise _skip()


def _block(self: Any, node: Any) -> None:
    self.body.append(f'<div class="formula">{mathml(node.astext(), "block")}</div>')
    raise _skip()


def setup(app: Any) -> dict[str, bool]:
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
