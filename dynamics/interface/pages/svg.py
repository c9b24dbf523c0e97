"""A figure as SVG inside a page: it scales, takes the page's colours, and turns with it into dark mode."""

from __future__ import annotations

import io
import re
from html import escape

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

GREY = re.compile(r"#([0-9a-fA-F]{2})\1\1\b")
DARK_PAPER, DARK_INK = 0x16, 0xE8  # grey levels that white and black turn into
#: Colours of the style that are too dark on dark paper, and what replaces them there.
DARK_HUES = {"#0072b2": "#46a6e6", "#d55e00": "#ff8a3d", "#009e73": "#27c499", "#cc79a7": "#dd94bb"}


def inline_svg(figure: Figure, name: str, about: str) -> str:
    """The figure as an `<svg>` element, and the figure is closed.

    Every grey is a variable `--g00` (black) to `--gff` (white), every colour of the style one like `--c0072b2`:
    `colour_variables` sets them.

    Parameters
    ----------
    name : keeps the ids of several pictures of one page apart
    about : what a screen reader says
    """
    text = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "path", "svg.hashsalt": name}):
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    width = 96 * figure.get_figwidth()  # pixels, as CSS counts them
    plt.close(figure)
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = GREY.sub(lambda grey: f"var(--g{grey[1].lower()})", svg)
    for hue in DARK_HUES:
        svg = re.sub(hue, f"var(--c{hue[1:]})", svg, flags=re.IGNORECASE)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    head = f'<svg role="img" aria-label="{escape(about, quote=True)}" style="max-width:{width:.0f}px" '
    return re.sub(r'<svg [^>]*?(viewBox="[^"]+")[^>]*>', rf"{head}\1>", svg, count=1, flags=re.DOTALL)


def colour_variables(svgs: str, dark: bool) -> str:
    """CSS declarations of every variable that some pictures use."""
    greys = sorted(set(re.findall(r"--g([0-9a-f]{2})\b", svgs)) | {"00", "ff"})
    found = []
    for level in greys:
        value = int(level, 16)
        shown = DARK_INK + (DARK_PAPER - DARK_INK) * value // 255 if dark else value
        found.append(f"--g{level}:#{shown:02x}{shown:02x}{shown:02x}")
    found += [f"--c{hue[1:]}:{lighter if dark else hue}" for hue, lighter in DARK_HUES.items()]
    return ";".join(found)
