"""Links where prose only names things: numbers of equations in brackets, and public names as code.

Of written pages and notebooks; docstrings have theirs from `house_docstrings`.
"""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from house_docstrings import equations, public_names
from sphinx import addnodes
from sphinx.transforms import SphinxTransform

FOLDERS = ("howto/", "explain/", "tutorials/", "setup", "about")
_NUMBER = re.compile(r"\((\d{1,3}[a-e]?)\)")
_NAME = re.compile(r"(?:dynamics\.|derivations\.)?([A-Za-z_]\w*)(?:\(.*\))?", re.DOTALL)
#: Inside these a word stays what it is.
_WHOLE = (nodes.literal_block, nodes.reference, nodes.title, nodes.math, nodes.image, addnodes.pending_xref, nodes.raw)


class LinkedWords(SphinxTransform):
    """`predict(net, data)` leads to the page of `predict`, (46) to the ledger."""

    default_priority = 400

    def apply(self, **_: Any) -> None:
        if not self.env.docname.startswith(FOLDERS):
            return
        for node in [*self.document.findall(nodes.literal)]:
            found = _NAME.fullmatch(node.astext())
            if found and found[1] in public_names() and not _inside(node):
                link = addnodes.pending_xref(
                    "", node.deepcopy(), refdomain="py", reftype="obj", reftarget=public_names()[found[1]],
                    refexplicit=True, refwarn=True, refdoc=self.env.docname,
                )  # fmt: skip
                node.replace_self(link)
        for text in [*self.document.findall(nodes.Text)]:
            if not _inside(text) and not isinstance(text.parent, nodes.literal):
                parts = self._parts(str(text))
                if len(parts) > 1:
                    text.parent.replace(text, parts)

    def _parts(self, text: str) -> list[nodes.Node]:
        parts: list[nodes.Node] = []
        begun = 0
        for found in _NUMBER.finditer(text):
            label = equations().get(found[1])
            if label is not None:
                parts += [nodes.Text(text[begun : found.start()]), self._to_ledger(found[0], label)]
                begun = found.end()
        return [*parts, nodes.Text(text[begun:])]

    def _to_ledger(self, words: str, label: str) -> nodes.Node:
        link = addnodes.pending_xref(
            "", refdomain="std", reftype="ref", reftarget=label, refexplicit=True, refwarn=True, refdoc=self.env.docname
        )
        link += nodes.inline("", words)
        return link


def _inside(node: nodes.Node) -> bool:
    while node.parent is not None:
        node = node.parent
        if isinstance(node, _WHOLE):
            return True
    return False


def setup(app: Any) -> dict[str, bool]:
    app.add_transform(LinkedWords)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
