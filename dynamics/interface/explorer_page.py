"""The explorer as a page of its own, served on this machine: `fusion-dynamics explore`.

The standard library's server rather than voila: it needs no extra, no notebook and no kernel, and starts in no time. A
page is a form, so it works without a script too; the script only asks again when a slider moves.
"""

from __future__ import annotations

import math
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from derivations import Correlations, DomainError, FusionNetwork, SolveError
from dynamics.interface.explorer import KNOBS, NETWORK, Knob, words_below
from dynamics.prediction.scenes import Scene, scene, scene_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HERE = "127.0.0.1"
THIS = {HERE, "localhost"}  # of this machine: a page elsewhere that points its own name at it is refused
SCRIPT = """
const form = document.querySelector("form"), scene = document.querySelector("#scene");
let busy = false, again = false;
async function turn() {
  const depth = form.elements.depth, fused = form.elements.fusion_depth;
  fused.max = depth.value;
  for (const knob of form.querySelectorAll("input")) {
    const value = "power" in knob.dataset ? 10 ** knob.value : Number(knob.value);
    knob.nextElementSibling.value = knob.name == "u0" ? value.toExponential(1) : +value.toFixed(2);
  }
  if (busy) { again = true; return; }
  busy = true;
  try {
    const answer = await fetch("scene?" + new URLSearchParams(new FormData(form)));
    scene.innerHTML = await answer.text();
  } catch { scene.textContent = "The explorer has ended: start fusion-dynamics explore again."; }
  busy = false;
  if (again) { again = false; turn(); }
}
form.addEventListener("input", turn);
document.querySelector("button").hidden = true;
"""
STYLE = """
body{font:15px/1.4 system-ui,sans-serif;margin:1.5em;color:#222;background:#fff;color-scheme:light}
main{display:flex;flex-wrap:wrap;gap:1.5em}#scene{max-width:760px}
label{display:grid;grid-template-columns:9em 11em 4.5em;gap:.6em;margin:.35em 0}
h1{font-size:1.25em}img{max-width:100%}small{color:#666}
"""


@dataclass(frozen=True, eq=False)
class ExplorerPage:
    """Knobs, by name, and what draws a setting of them."""

    title: str
    about: str
    knobs: Mapping[str, Knob]
    look: Callable[[dict[str, Any]], Scene]
    figure: Figure = field(repr=False)
    lock: Lock = field(default_factory=Lock, repr=False)  # one figure serves all

    def values(self, asked: Mapping[str, str]) -> dict[str, Any]:
        """From the positions of sliders; what is not named stands at its start."""
        values: dict[str, Any] = {}
        for name, knob in self.knobs.items():
            try:
                place = float(asked[name]) if name in asked else _position(knob, knob.start)
            except ValueError:
                place = math.nan
            high = values["depth"] if name == "fusion_depth" else knob.high
            if not math.isfinite(place):
                raise DomainError(f"{name} must be a number, got {asked[name]!r}")
            place = min(max(place, knob.low), high)
            values[name] = round(place) if knob.whole else 10**place if knob.power else place
        return values

    def scene(self, values: dict[str, Any]) -> str:
        """The picture inside its element, and the words below it."""
        from dynamics.figures.scenes import draw_on, picture_of

        begin = time.perf_counter()
        with self.lock:
            try:
                now = self.look(values)
            except (DomainError, SolveError) as error:
                return f"<p>{escape(str(error))}</p>"
            draw_on(self.figure, now)
            picture = b64encode(picture_of(self.figure)).decode()
        words = words_below(now, time.perf_counter() - begin)
        return f'<img alt="loss, total weights, phase plane, half-times" src="data:image/png;base64,{picture}">{words}'

    def html(self, asked: Mapping[str, str]) -> str:
        """The whole page."""
        values = self.values(asked)
        rows = "".join(_row(name, knob, values) for name, knob in self.knobs.items())
        return (
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(self.title)}</title>'
            f"<style>{STYLE}</style><h1>{escape(self.title)}</h1><p>{escape(self.about)}</p>"
            f'<main><form>{rows}<button>Show</button></form><div id="scene">{self.scene(values)}</div></main>'
            f"<script>{SCRIPT}</script></html>"
        )


def explorer_page(data: Correlations | None = None, **start: float) -> ExplorerPage:
    """Knobs of two scalar inputs, their correlation and scales; or of data, a factor for each modality's columns.

    Parameters
    ----------
    start : where knobs begin, by name

    Raises
    ------
    DomainError
        Where a start lies outside its knob.

    Examples
    --------
    >>> page = explorer_page(depth=3)
    >>> page.values({"rho": "0.25", "fusion_depth": "9"})["fusion_depth"], "data:image/png" in page.html({})
    (3, True)
    """
    from dynamics.figures.scenes import blank

    knobs: dict[str, Knob] = KNOBS

    def look(values: dict[str, Any]) -> Scene:
        return scene(**values) if data is None else _of_data(data, values)

    title = "Which of two inputs is learned first?"
    about = "Two scalar inputs with y = w_A x_A + w_B x_B, and a deep linear network that fuses them."
    if data is not None:
        own = {f"scale {m}": Knob(f"{m} x", 1.0, -1, 1, 0.02, power=True) for m in data.modalities}
        knobs = {**own, **NETWORK}
        title = f"Which is learned first: {', '.join(data.modalities)}?"
        about = "Each modality's columns times a factor, and a deep linear network that fuses them."
    for name, value in start.items():
        knob = knobs[name]
        high = start.get("depth", knobs["depth"].start) if name == "fusion_depth" else knob.high
        ends = [10**x if knob.power else x for x in (knob.low, high)]
        if not ends[0] * (1 - 1e-9) <= value <= ends[1] * (1 + 1e-9):
            raise DomainError(f"{name} must be in {ends[0]:.2g} to {ends[1]:.2g} here, got {value}")
        knobs = {**knobs, name: replace(knob, start=value)}
    return ExplorerPage(title, about, knobs, look, blank())


def _of_data(data: Correlations, values: dict[str, Any]) -> Scene:
    factors = {m: values[f"scale {m}"] for m in data.modalities}
    network = FusionNetwork.fused_at(values["depth"], values["fusion_depth"], data.modalities)
    return scene_of(network, data.rescaled(factors), u0=values["u0"], width=values["width"])


def _position(knob: Knob, value: float) -> float:
    """Of the slider."""
    return math.log10(value) if knob.power else value


def _row(name: str, knob: Knob, values: Mapping[str, Any]) -> str:
    high = values["depth"] if name == "fusion_depth" else knob.high
    return (
        f'<label>{escape(knob.words)}<input type="range" name="{escape(name)}" min="{knob.low}" max="{high}"'
        f' step="{knob.step}" value="{_position(knob, values[name]):.6g}"{" data-power" if knob.power else ""}>'
        f"<output>{values[name]:{knob.form}}</output></label>"
    )


class _Server(ThreadingHTTPServer):
    """Threads, for a browser keeps a second connection open in which it says nothing."""

    daemon_threads = True

    def __init__(self, page: ExplorerPage, port: int) -> None:
        self.page = page
        super().__init__((HERE, port), _Answer)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that has left before its answer came is no error."""


class _Answer(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        place, page = urlsplit(self.path), self.server.page
        asked = dict(parse_qsl(place.query))
        if self.headers.get("Host", "").rpartition(":")[0] not in THIS:
            self._send("this server answers this machine only", 403)
        elif place.path not in {"/", "/scene"}:
            self._send("no such page", 404)
        else:
            try:
                self._send(page.html(asked) if place.path == "/" else page.scene(page.values(asked)))
            except DomainError as error:
                self._send(escape(str(error)), 400)

    def _send(self, text: str, status: int = 200) -> None:
        body = text.encode()
        self.send_response(status)
        for name, value in (("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *told: Any) -> None:
        """Standard error is for what a user has to know."""


def server_of(page: ExplorerPage, port: int = 0) -> tuple[ThreadingHTTPServer, str]:
    """A server on this machine alone, and its address; port 0 takes a free one.

    Raises
    ------
    DomainError
        Where the port cannot be had.
    """
    if not 0 <= port <= 65535:
        raise DomainError(f"--port must be in 0 to 65535, got {port}")
    try:
        server = _Server(page, port)
    except OSError as error:
        raise DomainError(f"port {port} cannot be had ({error.strerror}): leave --port out for a free one") from None
    return server, f"http://{HERE}:{server.server_address[1]}/"
