"""The report: one page with everything in it, for any problem; nothing is loaded and nothing is cut off."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from derivations.errors import DomainError
from dynamics import Correlations, FusionNetwork, load_example, predict, report
from dynamics.interface.cli import main
from dynamics.interface.pages.findings import Report
from dynamics.interface.pages.svg import colour_variables, inline_svg
from tests.cases import SOAK, commands_of, documented


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A prescription, the longest part of a report, takes too long."""
    monkeypatch.setattr("dynamics.interface.pages.reports.PATIENCE", 1e-6)


VOID = {"meta", "br", "hr", "img", "input", "link", "path", "use", "mspace"}
NAMES = ("<script>x", 'a$b&"')
SECTIONS = ("first", "time", "depths", "wrong", "stop", "preference", "portrait", "change", "laws", "again")


class Balanced(HTMLParser):
    """Collects what a browser would load and whether every element is closed."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.loads: list[str] = []
        self.ids: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs) -> None:
        given = dict(attrs)
        self.loads += [value for key, value in attrs if key in {"src", "srcset", "data", "action"}]
        self.loads += [given.get("href") for _ in (1,) if tag == "link"]
        self.loads += [v for k, v in attrs if k in {"href", "xlink:href"} and not v.startswith("#")]
        if "id" in given:
            self.ids.append(given["id"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag) -> None:
        if tag in VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data) -> None:
        self.text.append(data)


def read(page: str) -> Balanced:
    parser = Balanced()
    parser.feed(page)
    return parser


@pytest.fixture(scope="module")
def real() -> Report:
    data = load_example("diabetes")
    net = FusionNetwork.fused_at(2, 2, data.modalities)
    return report(net, data, seeds=1, draws=100, splits=2, width=20, learning_rate=0.02)


@pytest.fixture(scope="module")
def page(real: Report) -> str:
    return real.html()


def test_one_page_that_loads_nothing(page: str) -> None:
    seen = read(page)
    assert not seen.wrong
    assert not seen.open
    assert not seen.loads
    assert len(seen.ids) == len(set(seen.ids))  # pictures of one page do not share clip paths or glyphs
    assert set(SECTIONS) <= set(seen.ids)
    style = page[page.index("<style>") : page.index("</style>")]
    assert "@import" not in style
    assert "url(" not in style
    assert re.findall(r"url\((?!#)", page) == []
    assert page.count("<script") == 1
    assert 'type="application/json"' in page
    links = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', page))
    assert {a or b for a, b in links} <= set(seen.ids)


def test_the_page_carries_every_number(real: Report, page: str) -> None:
    carried = json.loads(page[page.index('id="numbers">') + 13 : page.index("</script>")])
    assert carried == json.loads(real.to_json())
    data = load_example("diabetes")
    direct = predict(FusionNetwork.fused_at(2, 2, data.modalities), data, width=20)
    assert carried["prediction"] == direct.to_dict()
    text = " ".join(read(page).text)
    assert direct.answer in text
    assert f"Holds for: {direct.holds_for}." in text
    for warning in direct.warnings:
        assert f"Warning: {warning}" in text
    assert "steps of full-batch descent" in text
    for sentence in real.stopping.sentences(0.02):
        assert sentence[1:] in text
    assert [one.held for one in real.stopping.each] == [88, 88]
    assert "gradient descent, rate 0.02" in text


def test_the_laws_named_are_those_used(real: Report, page: str) -> None:
    laws = page[page.index('id="laws"') : page.index('id="again"')]
    assert set(re.findall(r"<h3>\((\d+[a-e]?)\)", laws)) == {
        "5a", "5b", "8a", "8b", "9", "10a", "10b", "44a", "44b", "102", "130",
    }  # fmt: skip
    assert laws.count("<math") >= 11


@pytest.mark.parametrize("dark", [False, True])
def test_every_colour_of_the_pictures_is_set(page: str, dark: bool) -> None:
    used = set(re.findall(r"var\((--[gc][0-9a-f]+)\)", page))
    assert used
    assert used <= set(re.findall(r"(--[gc][0-9a-f]+):", colour_variables(page, dark)))


def contrast(one: str, two: str) -> float:
    """WCAG 2 contrast of two colours #rrggbb."""

    def luminance(colour: str) -> float:
        values = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
        return sum(w * v for w, v in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    bright, dim = sorted((luminance(one), luminance(two)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


@pytest.mark.parametrize("dark", [False, True])
def test_lines_stand_out_from_the_paper(dark: bool) -> None:
    """3 : 1 is what WCAG asks of graphics; light #CC79A7 of Okabe and Ito has 2.9 on white."""
    colours = dict(re.findall(r"--(\w+):(#\w{6})", colour_variables("", dark)))
    for name, shade in colours.items():
        if name != "gff":
            assert contrast(shade, colours["gff"]) > 2.8, name


PROBLEMS = {
    "early fusion": (FusionNetwork.fused_at(2, 1), Correlations.scalar(2, 1, 0.5)),
    "one modality": (FusionNetwork.branches({"A": 2}), Correlations([[2.0]], [1.0], {"A": 1})),
    "a flip": (FusionNetwork.fused_at(2, 2), Correlations.scalar(1.5, 1, -0.9)),
    "three": (
        FusionNetwork.fused_at(2, 2, ("a", "b", "c")),
        Correlations(np.diag([4.0, 2, 1]), [4.0, 2, 1], {"a": 1, "b": 1, "c": 1}),
    ),
    "names": (FusionNetwork.fused_at(2, 2, NAMES), Correlations([[4, 1], [1, 1]], [5, 2], dict.fromkeys(NAMES, 1))),
}


@pytest.mark.parametrize("name", list(PROBLEMS)[slice(None) if SOAK else slice(1, 3)])
def test_any_problem_has_a_report(name: str, request: pytest.FixtureRequest) -> None:
    network, data = PROBLEMS[name]
    if name != "one modality" and not SOAK:
        request.getfixturevalue("impatient")
    found = report(network, data, u0=0.02, width=20, seeds=1, draws=0, units=True)
    page = found.html()
    seen = read(page)
    assert not seen.wrong
    assert not seen.open
    assert not seen.loads
    text = " ".join(seen.text)
    assert found.prediction.answer in text
    assert "In other units" in text
    for reason in found.missing.values():
        assert reason in text
    if name == "names":
        assert "<script>x" in text
        assert page.count("<script") == 1  # the numbers; a name is no element
    if name == "one modality":
        assert found.missing["portrait"] == "a plane needs two modalities, got A"


def test_several_outputs_missing_parts_and_long_names(request: pytest.FixtureRequest) -> None:
    if not SOAK:
        request.getfixturevalue("impatient")
    rng = np.random.default_rng(1)
    x = rng.normal(size=(80, 4))
    y = x @ rng.normal(size=(4, 2)) + 0.3 * rng.normal(size=(80, 2))
    names = ("x" * 60, "y" * 60)
    data = Correlations.from_samples(dict(zip(names, (x[:, :2], x[:, 2:]), strict=True)), y)
    found = report(FusionNetwork.fused_at(2, 2, names), data, u0=0.02, width=20, seeds=1, draws=100, splits=0)
    assert found.portrait is not None
    assert sorted(found.portrait.modalities) == [f"{name} 1" for name in names]
    assert set(found.missing) - {"prescription"} == {"optimizers", "stopping"}  # one output; no splits asked
    assert not SOAK or found.prescription is not None
    assert f"{names[0]}1 on output 0" in found.html()


def test_the_command_writes_the_page(tmp_path: Path, capsys, monkeypatch, request: pytest.FixtureRequest) -> None:
    if not SOAK:  # `real` has a prescription
        request.getfixturevalue("impatient")
    rows = "\n".join(f"{i % 7},{i % 5},{i % 3},{i % 11}" for i in range(40))
    (tmp_path / "mine.csv").write_text(f"a1,a2,b1,y\n{rows}\n")
    monkeypatch.chdir(tmp_path)
    (line,) = (c for c in commands_of(documented()) if " report data.csv" in c)
    words = line.removeprefix("fusion-dynamics ").replace("report.html", "r.html").replace("data.csv", "mine.csv")
    words += "" if SOAK else " --seeds 1 --bootstrap 100 --splits 1 --width 20"
    assert main(words.split()) == 0
    out = capsys.readouterr()
    assert out.out.endswith("report: r.html\n")
    assert "report: 1 of 6: prediction" in out.err
    page = (tmp_path / "r.html").read_text()
    assert f"fusion-dynamics {words}" in page
    carried = json.loads(page[page.index('id="numbers">') + 13 : page.index("</script>")])
    source = carried["provenance"]
    assert source["data"] == "mine.csv"
    assert source["rows"] == 40
    assert source["bytes"] == (tmp_path / "mine.csv").stat().st_size
    done = subprocess.run(["sha256sum", "mine.csv"], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert source["sha256"] == done.stdout.split()[0]
    assert main(["report", "mine.csv", "-o", "no/such/r.html", "--target", "y", "--modality", "A=a1"]) == 1
    assert "no folder" in capsys.readouterr().err


def test_refusals() -> None:
    for wrong, says in (
        ({"seeds": 0}, "seeds must be"),
        ({"draws": -1}, "draws must be"),
        ({"splits": -1}, "splits must be"),
        ({"learning_rate": 0}, "rate"),
    ):
        with pytest.raises(DomainError, match=says):
            report(FusionNetwork.fused_at(2, 2), Correlations.scalar(2, 1, 0.5), **wrong)


def test_a_picture_keeps_hues_and_turns_greys_into_variables() -> None:
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots()
    ax.plot([0, 1], color="#0072B2")
    ax.plot([1, 0], color="0.5")
    ax.plot([1, 1], color="#56B4E9")
    svg = inline_svg(figure, "one", 'a "name"')
    assert 'aria-label="a &quot;name&quot;"' in svg
    assert {"var(--c0072b2)", "var(--g80)", "#56b4e9"} <= set(re.findall(r"var\(--\w+\)|#56b4e9", svg))
    assert not plt.fignum_exists(figure.number)


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium: the page is not looked at in a browser")
@pytest.mark.parametrize("width", [400, 1280])
def test_in_a_browser_nothing_is_wider_than_the_screen(page: str, tmp_path: Path, width: int) -> None:
    """A script added here asks the browser for sizes and writes them into the page's title."""
    probe = (
        f"<style>html{{width:{width}px}}</style><script>addEventListener('load',()=>{{const wide=[...document."
        "querySelectorAll('main *')].filter(e=>!e.closest('.scroll,.math,svg')&&e.getBoundingClientRect().right>"
        f"{width}+1).map(e=>e.tagName);const answers=[...document.querySelectorAll('table')].map(t=>[...t."
        "querySelectorAll('th')].find(h=>h.textContent.startsWith('half'))).filter(Boolean).map(h=>h."
        "getBoundingClientRect().right);const svgs=[...document.querySelectorAll('svg')].map(e=>e."
        "getBoundingClientRect().height);document.title='PROBE '+JSON.stringify({wide,answers,svgs,errors:window."
        "errors||0})})</script></body>"
    )
    (tmp_path / "page.html").write_text(page.replace("</body>", probe))
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    more = f"--disable-component-update --disable-sync --user-data-dir={tmp_path / 'profile'} --dump-dom"
    command = ["chromium", *flags.split(), *more.split(), (tmp_path / "page.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    found = json.loads(re.search(r"<title>PROBE (.*?)</title>", done.stdout)[1])
    assert found["wide"] == []
    assert len(found["answers"]) == 5  # roads, simulations, fusion depths, optimizers, what to change
    assert max(found["answers"]) <= width
    assert len(found["svgs"]) == 9
    assert min(found["svgs"]) > 100


def test_slow_data_get_a_page_all_the_same_and_a_notebook_shows_it_in_a_frame(impatient: None) -> None:
    """A prescription that takes too long is left out, which the page says."""
    found = report(FusionNetwork.fused_at(2, 2), Correlations.scalar(2, 1, 0.5), width=20, seeds=1, draws=0)
    assert "takes too long" in found.missing["prescription"]
    shown = found._repr_html_()
    assert shown.startswith("<iframe")
    assert read(shown).wrong == []
    assert "Not here: it takes too long" in shown


def test_weights_of_the_table_are_carried_too(real: Report) -> None:
    data = load_example("diabetes")
    first = real.prediction.order[0]
    carried = real.to_dict()["weights"]
    x, y = data.samples.inputs, data.samples.targets
    alone = np.linalg.lstsq(x[first], y, rcond=None)[0].ravel()
    every = np.linalg.lstsq(np.hstack(list(x.values())), y, rcond=None)[0].ravel()
    np.testing.assert_allclose(carried["alone"], alone, rtol=1e-8)
    place = data.span(first)
    np.testing.assert_allclose(carried["final"], every[place], rtol=1e-8)
