"""The command: results on standard output, one-line errors, exit status."""

import json
import re
import subprocess
import sys

import pytest

from dynamics.interface.cli import main

FILE = "a1,a2,b,y\n1,2,3,4\n2,1,-1,1\n3,5,2,.5\n-1,0,1,2\n"
FLAGS = ["--modality", "A=a1,a2", "--modality", "B=b"]


@pytest.fixture
def table(tmp_path) -> str:
    path = tmp_path / "data.csv"
    path.write_text(FILE)
    return str(path)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What brings both together, the longest part of the first screen, takes too long and is left out."""
    monkeypatch.setattr("dynamics.prediction.screens.SECONDS", 1e-9)


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    try:
        code = main(arguments)
    except SystemExit as stop:
        code = stop.code
    out, err = capsys.readouterr()
    return code, out, err


def test_predict_on_an_example(capsys, monkeypatch) -> None:
    monkeypatch.setattr("dynamics.prediction.screens.SECONDS", 600.0)  # on a busy machine as on a free one
    code, out, err = run(capsys, "predict", "--example", "diabetes")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "serum is learned first, body follows 1.46 times as late; they overlap."
    assert lines[2].split() == ["1", "serum", "7.046", "tau", "704.6", "steps"]
    assert lines[3].split() == ["2", "body", "10.3", "tau", "1030", "steps"]
    for label in ("How sure", "Watch out", "To change", "Holds for"):
        assert any(line.startswith(label) for line in lines)
    assert "body alone explains slightly more of the target (40 % against 38 %): first is not best" in out
    assert "est. error" not in out


def test_predict_gives_details_and_explains_every_word(capsys, impatient: None) -> None:
    code, out, err = run(capsys, "predict", "--example", "diabetes", "--bootstrap", "0", "--details")
    assert (code, err) == (0, "")
    assert "1.514" in out  # (9)
    assert "Superficial preference" in out
    assert "Misattribution of serum" in out
    code, out, _ = run(capsys, "predict", "--explain")
    assert code == 0
    for word in ("tau", "plateau", "together", "never", "aligned start", "est. error"):
        assert any(line.startswith(f"{word}: ") and line.endswith(".") for line in out.splitlines())


def test_predict_counts_steps(capsys, impatient: None) -> None:
    """Serum's 7.046 tau at learning rate 0.02 are 352 steps."""
    code, out, _ = run(capsys, "predict", "--example", "diabetes", "--bootstrap", "0", "--learning-rate", "0.02")
    assert code == 0
    assert "To change" not in out
    assert out.splitlines()[2].split()[2:] == ["7.046", "tau", "352.3", "steps"]
    code, out, _ = run(capsys, "predict", "--example", "diabetes", "--learning-rate", "0.01", "--json")
    document = json.loads(out)
    assert document["steps"] == {m: pytest.approx(100 * t) for m, t in document["times"].items()}
    assert run(capsys, "predict", "--example", "diabetes", "--learning-rate", "0")[0] == 2


def test_predict_prints_the_contracts_json(capsys, table: str) -> None:
    code, out, _ = run(capsys, "predict", table, *FLAGS, "--json", "--u0", "0.01")
    assert code == 0
    assert {
        "order",
        "times",
        "status",
        "ratio",
        "lag",
        "source",
        "superficial",
        "leading",
        "refined",
        "reduced",
    } <= set(json.loads(out))


@pytest.mark.parametrize("method", ["flow", "reduced", "descent"])
def test_simulate_runs_and_saves(capsys, table: str, tmp_path, method: str) -> None:
    target = tmp_path / "run.npz"
    code, out, _ = run(
        capsys, "simulate", table, *FLAGS, "--method", method, "--u0", "0.1", "--json", "-o", str(target)
    )
    assert code == 0
    assert json.loads(out)["provenance"]["producer"]
    assert target.exists()
    code, out, _ = run(capsys, "simulate", table, *FLAGS, "--method", method, "--u0", "0.1")
    assert "half-time" in out


def test_compare_prints_draws_and_reports_progress(capsys, table: str, tmp_path) -> None:
    figure = tmp_path / "figure.png"
    code, out, err = run(
        capsys, "compare", table, *FLAGS, "--u0", "0.1", "--seeds", "1", "--width", "5", "--plot", str(figure)
    )
    assert code == 0
    assert "gradient descent" in out
    assert "gradient flow, seed 0 (1 of " in err
    assert figure.stat().st_size > 10_000
    code, out, _ = run(capsys, "compare", table, *FLAGS, "--u0", "0.1", "--seeds", "1", "--width", "5", "--json")
    assert set(json.loads(out)) >= {"prediction", "flow", "descent", "fusion_depths"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["predict"], "give a DATA file or --example NAME"),
        (["predict", "--example", "iris"], "example must be one of"),
        (["predict", "TABLE"], "name the columns of each modality: --modality NAME=column1,column2"),
        (["compare", "TABLE", "--plot", "x.what"], "--plot must end in .png"),
        (["compare", "TABLE", "--plot", "absent/x.png"], "--plot: no folder 'absent'"),
        (["predict", "absent.csv", "--modality", "A=a"], "no file at 'absent.csv'"),
        (["predict", "--example", "diabetes", "--modality", "A=a"], "--modality goes with a DATA file"),
        (
            ["predict", "--example", "diabetes", "--depth", "2", "--fusion-depth", "3"],
            "fusion_depth must not exceed depth 2, got 3",
        ),
        (["predict", "--example", "diabetes", "--u0", "-1"], "u0 must be a finite number >= 0, got -1.0"),
        (["predict", "--example", "diabetes", "--u0", "nan"], "u0 must be a finite number >= 0, got nan"),
        (["predict", "TABLE", "--modality", "A"], "--modality must look like NAME=column1,column2, got 'A'"),
        (["predict", "TABLE", "--modality", "A=a1", "--modality", "A=b"], "--modality 'A' is given twice"),
        (["predict", "TABLE", "--modality", "A=zz"], "has no column 'zz'"),
        (["simulate", "--example", "linnerud", "--width", "0"], "width must be an integer >= 1, got 0"),
        (["simulate", "--example", "linnerud", "--learning-rate", "0.1"], "--learning-rate goes with --method descent"),
        (["predict", "TABLE", *FLAGS, "--branch", "A=2"], "--branch must name each of A, B once, 'B' is missing"),
        (["predict", "TABLE", *FLAGS, "--branch", "A=x", "--branch", "B=2"], "must look like NAME=LAYERS, got 'A=x'"),
        (["predict", "TABLE", *FLAGS, "--branch", "A=2", "--branch", "A=2"], "must name each of A, B once, got 'A'"),
        (["predict", "TABLE", *FLAGS, "--branch", "A=2", "--depth", "3"], "--depth and --branch say the same"),
        (["predict", "TABLE", *FLAGS, "--trunk", "1"], "--trunk goes with --branch"),
        (["predict", "TABLE", *FLAGS, "--scale", "0.1"], "--scale goes with --init"),
        (["predict", "TABLE", *FLAGS, "--init", "lecun", "--u0", "1"], "--u0 and --init say the same"),
        (["predict", "TABLE", *FLAGS, "--seed", "1"], "seed goes with a width"),
        (
            ["predict", "TABLE", *FLAGS, "--init", "kaiming", "--depth", "3", "--fusion-depth", "3"],
            "simulate --init kaiming runs the flow from there",
        ),
        (["predict", "TABLE", *FLAGS, "--target", "y,"], "--target must look like C1,C2 (a name with"),
        (["predict", "TABLE", *FLAGS, "--missing", "fill"], "missing must be one of error, drop, mean, got 'fill'"),
        (["predict", "TABLE", *FLAGS, "--sep", ";;"], "sep must be one character, got ';;'"),
        (["predict", "TABLE", *FLAGS, "--id", "k"], "id joins rows of several files: give a modality a file of its"),
        (["predict", "--example", "diabetes", "--na", "-9"], "--na goes with a DATA file"),
        (["simulate", "TABLE", *FLAGS, "--init", "lecun", "--method", "reduced"], "--method reduced starts aligned"),
    ],
)
def test_bad_input_is_one_line_and_status_2(capsys, table: str, arguments: list[str], says: str) -> None:
    code, out, err = run(capsys, *(table if a == "TABLE" else a for a in arguments))
    assert code == 2
    assert out == ""
    assert says in err
    assert err.count("\n") == 1


def test_predict_takes_unequal_branches_and_several_targets(capsys, table: str, impatient: None) -> None:
    branches = ("--branch", "A=3", "--branch", "B=2", "--trunk", "1", "--u0", "0.1")
    code, out, err = run(capsys, "predict", table, *FLAGS, *branches, "--bootstrap", "0", "--details")
    assert (code, err) == (0, "")
    assert "Layers before fusion: A 3, B 2; after it: 1. u0 = 0.1" in out
    assert "The same rows in other units" in out
    code, out, _ = run(
        capsys, "predict", table, "--modality", "A=a1", "--modality", "B=b", "--target", "y,a2", "--json"
    )
    document = json.loads(out)
    assert code == 0
    assert len(document["misattribution"]["A"]) == 2
    assert set(document["scalings"]) == {"as given", "z-scored"}


def test_named_initialisations_are_drawn_and_run(capsys, table: str) -> None:
    code, out, err = run(capsys, "simulate", table, *FLAGS, "--init", "xavier", "--width", "8", "--seed", "3")
    assert (code, err) == (0, "")
    assert "gradient flow, given start" in out


def test_usage_errors_are_status_2(capsys) -> None:
    assert run(capsys)[0] == 2
    assert run(capsys, "predict", "--depth", "two")[0] == 2
    assert run(capsys, "report")[0] == 2


def test_version_and_module(capsys) -> None:
    code, out, _ = run(capsys, "--version")
    assert code == 0
    assert out.startswith("fusion-dynamics 0.")
    shown = subprocess.run([sys.executable, "-m", "dynamics", "--version"], capture_output=True, text=True, check=True)
    assert shown.stdout == out


def test_interruption_is_status_130(capsys, monkeypatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dynamics.prediction.predicting.predict", interrupt)
    code, _, err = run(capsys, "predict", "--example", "diabetes")
    assert code == 130
    assert "interrupted" in err


def test_predict_takes_a_width_and_a_bootstrap(capsys, table: str) -> None:
    code, out, _ = run(
        capsys, "predict", table, *FLAGS, "--width", "30", "--seeds", "3", "--bootstrap", "100", "--json"
    )
    document = json.loads(out)
    assert code == 0
    assert document["source"] == "refined"
    assert document["ensemble"]["assumes"] == "random start, width 30"
    assert 0.9 < sum(document["bootstrap"]["first"].values()) <= 1  # draws that tie count for nobody


def test_prescribe_prints_and_draws(capsys, table: str, tmp_path) -> None:
    figure = tmp_path / "prescription.png"
    code, out, err = run(capsys, "prescribe", table, *FLAGS, "--ratio", "2", "--u0", "0.05", "--plot", str(figure))
    assert code == 0
    assert "at the ratio 2" in out
    assert "rescaling of" in err
    assert figure.stat().st_size > 10_000
    code, out, _ = run(capsys, "prescribe", table, *FLAGS, "--u0", "0.05", "--json")
    document = json.loads(out)
    assert code == 0
    assert document["rescale"]["value"] > 0
    assert "measure" not in document
    assert run(capsys, "prescribe", table, *FLAGS, "--outputs")[0] == 2


def test_derive_one_prints_its_derivation_from_the_definitions(capsys) -> None:
    assert main(["derive", "46"]) == 0
    out = capsys.readouterr().out
    steps = ["(2) the network", "(3a)", "(42a)", "(44a)", "(45)", "(46) growth of A alone [misprint]"]
    places = [out.index(step) for step in steps]
    assert places == sorted(places)
    assert "right    tau*du_A/dt" in out


def test_derive_json_latex_and_html(capsys, tmp_path) -> None:
    assert main(["derive", "57", "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert entry["number"] == 57
    assert entry["status"] == ["leading order", "conditional", "misprint"]
    assert {"part", "kind", "printed", "derived", "right", "condition", "proof", "note"} <= set(entry)
    assert main(["derive", "57", "--latex"]) == 0
    latex = capsys.readouterr().out
    assert latex.startswith(r"\documentclass")
    assert latex.count("{") - latex.count(r"\{") == latex.count("}") - latex.count(r"\}")
    page = tmp_path / "ledger.html"
    assert main(["derive", "44", "--html", str(page)]) == 0
    text = page.read_text()
    assert "<math" in text
    assert 'id="eq44c"' in text
    assert not re.search(r"(src|href)=\"(?!#)", text)  # nothing is fetched
    assert "<script" not in text
    assert main(["derive", "44", "--html", str(tmp_path / "no" / "page.html")]) == 1
    assert "not written to" in capsys.readouterr().err
    assert main(["derive", "44", "--html", str(tmp_path)]) == 1  # a folder; a device is refused in the same way
    assert "it is no plain file" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ledger.html"]


def test_derive_of_an_unknown_number_is_one_line(capsys) -> None:
    assert main(["derive", "63"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "'63'" in err


def test_fixed_points_with_symbols_and_with_data(capsys, table: str) -> None:
    code, out, err = run(capsys, "fixed-points", "--depth", "2", "--fusion-depth", "2")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()[2:6]] == ["M_0", "M_A", "M_B", "M_*"]
    assert "2*h - 1" in out
    code, out, _ = run(capsys, "fixed-points", table, *FLAGS, "--width", "3", "--equations")
    assert code == 0
    assert "at the rate" in out
    assert "W_B[2] = 0" in out
    code, out, _ = run(capsys, "fixed-points", "--branch", "X=2", "--branch", "Y=3", "--trunk", "1")
    assert code == 0
    assert "M_X" in out


def test_fixed_points_json_is_strict_and_holds_the_proofs(capsys, table: str) -> None:
    for arguments in (("--depth", "3", "--fusion-depth", "2"), (table, *FLAGS, "--width", "4")):
        code, out, _ = run(capsys, "fixed-points", *arguments, "--json")
        assert code == 0
        found = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is not strict JSON"))
        assert [m["name"] for m in found] == ["M_0", "M_A", "M_B", "M_*"]
        names = {"name", "learned", "dimension", "equations", "loss", "negative", "zero", "positive", "rates"}
        for manifold in found:
            assert names | {"degenerate", "strata", "escapes"} <= set(manifold)
            assert all(len(s["proof"]) >= 2 for s in manifold["strata"])


SEVERAL = ("TABLE", "--modality", "A=a1", "--modality", "B=b", "--target", "y,a2")


def test_fixed_points_of_several_outputs_are_subsets_of_modes(capsys, table: str) -> None:
    code, out, _ = run(capsys, "fixed-points", table, *SEVERAL[1:], "--width", "3", "--json")
    assert code == 0
    found = json.loads(out)
    assert [m["name"] for m in found] == ["M_0", "M_A", "M_B", "M_*"]
    assert [len(row) for row in found[-1]["total"]["A"]] == [1, 1]


def test_fixed_points_plots_a_portrait(capsys, table: str, tmp_path) -> None:
    target = tmp_path / "portrait.svg"
    assert run(capsys, "fixed-points", table, *FLAGS, "--width", "5", "--plot", str(target))[0] == 0
    text = target.read_text()
    assert "<svg" in text
    for arguments, message in (
        (("--plot", "x.png"), "--plot needs numbers"),
        (("--u0", "0.1"), "--u0 goes with --plot"),
        (("--modality", "A=a"), "--modality goes with a DATA file"),
        (("--standardize",), "--standardize goes with a DATA file"),
        (("--width", "0"), "width must be a positive integer, got 0"),
        ((table, *FLAGS, "--plot", "x.txt"), "--plot must end in"),
        ((*SEVERAL, "--depth", "3", "--fusion-depth", "2"), "for early and late fusion: A has layers of its own"),
        ((*SEVERAL, "--plot", "x.png", "--depth", "2", "--fusion-depth", "1"), "a portrait is of late fusion"),
    ):
        given = (table if argument == "TABLE" else argument for argument in arguments)
        code, out, err = run(capsys, "fixed-points", *given)
        assert (code, out) == (2, ""), arguments
        assert message in err
        assert err.count("\n") == 1
