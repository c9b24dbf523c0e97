"""The explorer in a browser, without a notebook."""

from __future__ import annotations

import argparse
from typing import Any

from derivations import DomainError
from dynamics.interface.commands.options import add_command, given, problem_of, refuse_file_flags, whole
from dynamics.interface.outputs import as_json


def add_explore(commands: Any) -> None:
    text = "sliders and pictures in the browser; without DATA two scalar inputs with a correlation to turn"
    explore = add_command(commands, "explore", _explore, text, example="--example diabetes")
    explore.add_argument("--width", type=whole, help="hidden units that the slider starts at (default 100)")
    explore.add_argument("--port", type=whole, default=0, help="of this machine (default: a free one)")
    explore.add_argument("--no-browser", action="store_true", help="print the address only")


def _explore(options: argparse.Namespace) -> int:
    """Until Ctrl-C, which is how it is meant to end."""
    import matplotlib

    matplotlib.use("Agg")
    from dynamics.interface.explorer_page import explorer_page, server_of

    fixed = ["--branch"] if options.branch else given(options, "trunk")
    if fixed:
        raise DomainError(f"the explorer turns --depth and --fusion-depth; {fixed[0]} goes with predict")
    data = None
    if options.data is not None or options.example is not None:
        data = problem_of(options)[1]
    else:
        refuse_file_flags(options, "goes with a DATA file")
    start = {name: getattr(options, name) for name in ("depth", "fusion_depth", "u0", "width")}
    page = explorer_page(data, **{name: value for name, value in start.items() if value is not None})
    server, address = server_of(page, options.port)
    with server:
        print(as_json({"address": address}) if options.json else f"{address}   (Ctrl-C ends it)", flush=True)
        try:
            if not options.no_browser:
                import webbrowser

                webbrowser.open(address)
            server.serve_forever()
        except KeyboardInterrupt:
            pass
    return 0
