"""The explorer: what it shows is what the runs say, and turning a knob redraws it."""

import json
import math

import numpy as np
import pytest

from derivations.errors import DomainError
from dynamics import Correlations, FusionNetwork, explore, integrate_reduced, load_example, predict
from dynamics.figures.scenes import blank, draw_on, picture_of
from dynamics.interface.explorer import Picture
from dynamics.prediction.scenes import MOST_STEPS, scene, scene_of
from tests.cases import ROOT


@pytest.mark.parametrize("shape", [(2, 2), (4, 3), (3, 3)])
def test_a_scene_has_the_times_of_the_roads(shape: tuple[int, int]) -> None:
    """The runs are loose (1e-3), so is the comparison; the law is the same expression."""
    network, data = FusionNetwork.fused_at(*shape), Correlations.scalar(2, 1, 0.3)
    found = scene(rho=0.3, depth=shape[0], fusion_depth=shape[1], u0=0.05, width=100)
    tight = integrate_reduced(network, data, u0=0.05, rtol=1e-9)
    assert found.aligned.times == pytest.approx(tight.times, rel=3e-3)
    typical = predict(network, data, u0=0.05, width=100)
    assert found.random.times == pytest.approx(typical.refined.times, rel=2e-2)  # late fusion: by (120), not by a run
    assert found.law.times == predict(network, data, u0=0.05).leading.times


def test_what_does_not_exist_is_left_out_and_said() -> None:
    flipped = scene(sigma_ratio=1.5, rho=-0.9)
    assert flipped.aligned.status["B"].value == "never"
    assert math.isfinite(flipped.random.times["B"])
    assert scene(fusion_depth=1).law is None
    assert any("no leading law" in m for m in scene(fusion_depth=1).messages)
    large = scene(u0=0.5, w_a=0.1)
    assert large.data is None
    assert "u0 is too large" in large.messages[0]
    assert scene(w_a=0.0, w_b=0.0).messages
    narrow = scene(width=2)
    assert narrow.random is None
    assert any("needs a width of at least" in m for m in narrow.messages)
    tiny = scene(depth=6, fusion_depth=6, u0=1e-6)
    assert len(tiny.random.t) <= MOST_STEPS + 1
    assert any("budget" in m or "steps" in m for m in tiny.messages)


def test_the_picture_shows_the_runs() -> None:
    found = scene(rho=0.2)
    loss, plane, weights, phases = found.plot()
    end = loss.get_xlim()[1]
    assert end > max(found.random.times["B"], found.aligned.times["B"])
    inside = found.random.t <= end
    np.testing.assert_array_equal(loss.lines[0].get_ydata()[: sum(inside)], found.random.loss[inside])
    np.testing.assert_array_equal(weights.lines[1].get_ydata()[: sum(inside)], found.random.total["B"][inside, 0])
    dots = {(line.get_xdata()[0], line.get_ydata()[0]) for line in phases.lines}
    rows = (found.law, found.aligned, found.random)
    assert dots == {(found_row.times[m], y) for y, found_row in enumerate(rows) for m in "AB"}
    assert len(plane.texts) == 4  # M_0, M_A, M_B, M_*


def test_one_figure_serves_all_scenes() -> None:
    """What one scene leaves behind does not show in the next."""
    figure, fresh = blank(), blank()
    draw_on(figure, scene(rho=-0.9, sigma_ratio=1.5))
    draw_on(figure, scene(u0=0.5, w_a=0.1))
    draw_on(figure, scene(rho=0.2))
    draw_on(fresh, scene(rho=0.2))
    assert picture_of(figure) == picture_of(fresh)


def test_a_knob_redraws() -> None:
    e = explore(rho=0.1, depth=3, fusion_depth=3, u0=0.1)
    assert e.values["fusion_depth"] == 3
    before = bytes(e.picture.value)
    assert before.startswith(b"\x89PNG")
    e.controls["rho"].value = -0.4
    assert e.picture.value != before
    assert "ms" in e.words.value
    e.controls["depth"].value = 2
    assert e.controls["fusion_depth"].max == 2
    assert e.values["fusion_depth"] == 2
    e.controls["u0"].value = 10**-0.3
    e.controls["w_a"].value = 0.1
    assert "too large" in e.words.value
    with pytest.raises(DomainError, match="explore knows rho, sigma_ratio"):
        explore(colour=1)


def test_a_page_without_a_kernel_has_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """An output of its own beside the sliders; a knob changes it in place."""
    shown, changed = [], []

    class Place:
        def update(self, picture: Picture) -> None:
            changed.append(picture._repr_png_())

    def display(what, **options):
        shown.append(what)
        return Place() if options == {"display_id": True} else None

    monkeypatch.setattr("IPython.display.display", display)
    e = explore(rho=0.1)
    e._ipython_display_()
    sliders, picture = shown
    assert "application/vnd.jupyter.widget-view+json" in sliders
    assert "fusion-dynamics explore" in sliders["text/plain"]
    first = picture._repr_png_()
    assert first.startswith(b"\x89PNG")
    e.controls["rho"].value = -0.4
    assert changed == [e.picture.value]
    assert changed != [first]


def test_the_stored_notebook_has_the_picture() -> None:
    (path,) = (ROOT / "notebooks").glob("1_*.ipynb")
    notebook = json.loads(path.read_text())
    (cell,) = (c for c in notebook["cells"] if "".join(c["source"]).startswith("explore("))
    assert any("image/png" in output["data"] for output in cell["outputs"])
    assert "widgets" not in notebook["metadata"]  # their state: a picture more, and code from elsewhere to show it


def test_real_columns_have_scenes() -> None:
    data = load_example("diabetes")
    found = scene_of(FusionNetwork.fused_at(2, 2, data.modalities), data)
    _, plane, weights, _ = found.plot()
    assert found.aligned.order == ("serum", "body")
    assert plane.get_xlabel() == "weight of body, 1 = alone"
    assert [text.get_text() for text in weights.texts] == ["body", "serum"]
    outputs = Correlations.from_samples(
        {"A": np.eye(6)[:, :2], "B": np.eye(6)[:, 2:4]}, np.arange(12.0).reshape(6, 2) % 5
    )
    several = scene_of(FusionNetwork.fused_at(2, 2), outputs)
    assert several.plot()[1].get_xlabel() == "weight of A 1"  # the strongest mode of each
    fused = scene_of(FusionNetwork.fused_at(2, 1), outputs)
    assert any("no plane" in m for m in fused.messages)
    assert not fused.plot()[1].get_visible()
