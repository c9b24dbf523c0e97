"""How the documentation site is built: `make docs`, into docs/_build/html.

Theme: furo, which is readable on a phone, has a dark mode and a local search, and asks no other host for fonts or
scripts. Extensions: autodoc and viewcode for the reference, myst_nb for Markdown and the notebooks (their stored
outputs, nothing is run), and five of our own in `_ext`: generated pages, docstrings in the house style, links to what
prose names, sources with numbered lines, and mathematics as MathML, made while building with latex2mathml: no page
needs a script or a network for it.
"""

import sys
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

project = "fusion-dynamics"
author = "The fusion-dynamics developers"
copyright = author
release = metadata.version("fusion-dynamics")

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "myst_nb",
    "generated_pages",
    "house_docstrings",
    "linked_words",
    "numbered_sources",
    "mathml",
]
exclude_patterns = ["_build", "_moved.md"]

html_theme = "furo"
html_title = "fusion-dynamics"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_show_sourcelink = False
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
pygments_style = "default"
pygments_dark_style = "github-dark"

default_role = "house"
smartquotes = False  # they turn --option into a dash
highlight_language = "text"
python_maximum_signature_line_length = 80
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_class_signature = "mixed"
viewcode_line_numbers = False
toc_object_entries = False

myst_enable_extensions = ["dollarmath", "deflist", "attrs_block", "attrs_inline", "colon_fence"]
myst_heading_anchors = 4
nb_execution_mode = "off"
nb_ipywidgets_js = {}  # they would come from another host
