"""The house: arrows point downwards, imports are light, notebooks hold prose and calls, the README's commands run."""

import ast
import configparser
import json
import re
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from tests.cases import ROOT, SOAK, commands_of, documented
from tests.wings import parsed

PYTHON = sorted([*ROOT.glob("derivations/**/*.py"), *ROOT.glob("dynamics/**/*.py")])
NOTEBOOKS = sorted(ROOT.glob("notebooks/*.ipynb"), key=lambda path: int(path.name.partition("_")[0]))


def imports(path: Path) -> set[str]:
    found = set()
    for node in parsed(path.read_text()):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module)
    return found


def test_results_are_read_only() -> None:
    """Dataclasses are frozen; two gather a run while it goes on."""
    marked = [found for path in PYTHON for found in re.findall(r"@dataclass(.*)\nclass (\w+)", path.read_text())]
    assert len(marked) > 50
    assert {name for options, name in marked if "frozen=True" not in options} == {"Path", "Record", "_Live"}


def test_no_module_bears_the_name_of_a_public_function() -> None:
    import derivations
    import dynamics

    stems = {path.stem for path in PYTHON}
    assert not stems & ({*derivations.__all__, *dynamics.__all__})


def test_every_public_name_exists_and_has_an_example() -> None:
    import derivations
    import dynamics

    for package in (derivations, dynamics):
        for name in package.__all__:
            thing = getattr(package, name)
            fails = isinstance(thing, type) and issubclass(thing, Exception)
            assert fails or ">>>" in thing.__doc__, f"{name} has no runnable example"
        assert set(package.__all__) <= set(dir(package))
        with pytest.raises(AttributeError, match="no attribute 'nothing'"):
            _ = package.nothing


def test_importing_and_constructing_does_not_load_sympy_or_matplotlib() -> None:
    code = (
        "import sys, dynamics; from dynamics import Correlations, FusionNetwork, integrate, descend;"
        "FusionNetwork.fused_at(2, 2); Correlations.scalar(2, 1, 0.5);"
        "print(*{'sympy', 'matplotlib', 'pandas', 'torch', 'sklearn'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.name)
def test_notebooks_hold_prose_and_calls(path: Path) -> None:
    notebook = json.loads(path.read_text())
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        tree = ast.parse("".join(cell["source"]))
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.For, ast.While)
        assert not [node for node in ast.walk(tree) if isinstance(node, kinds)]
        assert cell["execution_count"], "a cell was not executed"
        assert not [o for o in cell["outputs"] if o["output_type"] == "error"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.name)
def test_a_cell_that_draws_shows_its_picture(path: Path) -> None:
    """A reader of the stored file sees what the one who ran it saw."""
    for cell in json.loads(path.read_text())["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "code" and re.search(r"\.plot\(\)$|plot_sweep\(|plt\.show\(\)$|\.draw_on\(", source):
            assert any("image/png" in output.get("data", {}) for output in cell["outputs"]), source


def test_the_notebooks_are_one_course() -> None:
    """Each says which one is next; the numbers run from 1."""
    assert [path.name.partition("_")[0] for path in NOTEBOOKS] == [str(i + 1) for i in range(len(NOTEBOOKS))]
    for path, following in pairwise(NOTEBOOKS):
        last = "".join(json.loads(path.read_text())["cells"][-1]["source"])
        assert last.startswith("**Next:**"), path.name
        assert f"]({following.name})" in last


COMMANDS = commands_of(documented())
ELSEWHERE = {"fusion-dynamics derive": "tests/test_equations.py"}
ELSEWHERE["fusion-dynamics prescribe --example star98"] = "with --plot, another command of the README"
ELSEWHERE |= {command: "tests/dynamics/interface/test_report.py" for command in COMMANDS if " report data" in command}
SHORTER = {"--seeds 50": "--seeds 2", "--seeds 5": "--seeds 1", "--bootstrap 2000": "--bootstrap 100"} | {
    "derive --html": "derive 46 --html", "--width 100": "--width 20", "--learning-rate 1e-3": "--learning-rate 1e-2",
}  # fmt: skip


def test_the_readme_has_commands() -> None:
    assert len(COMMANDS) >= 3
    assert set(ELSEWHERE) <= set(COMMANDS)


@pytest.mark.parametrize("command", [c for c in COMMANDS if SOAK or c not in ELSEWHERE])
def test_the_readmes_commands_run(command: str, tmp_path, monkeypatch, capsys) -> None:
    """In this process, with fewer seeds and draws; `.ci/run` runs the installed command itself."""
    from dynamics.interface.cli import main

    (tmp_path / "data.csv").write_text(
        "a1,a2,b1,y,y1,y2,kind\n"
        + "\n".join(f"{i % 7},{i % 5},{i % 3},{i % 11},{i % 4},{i % 6},{'abc'[i % 11 // 4]}" for i in range(40))
    )
    rows = range(40)
    study = [f"{i % 7},{i % 5},{i % 3 if i % 9 else ''},{i % 4 if i % 8 else -9999},{i % 6},{i % 11}" for i in rows]
    (tmp_path / "study.csv").write_text("\n".join(["img_0,img_1,hb,na,crp,outcome", *study]))
    (tmp_path / "labels.csv").write_text("patient,label\n" + "\n".join(f"p{i},{'ab'[i % 11 > 4]}" for i in rows))
    for name in ("image", "text"):
        table = [f"p{i},{i % 7},{i * i % len(name)}" for i in reversed(rows)]
        (tmp_path / f"{name}.csv").write_text(f"patient,{name}_0,{name}_1\n" + "\n".join(table))
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    monkeypatch.chdir(tmp_path)
    for whole, share in SHORTER.items() if not SOAK else ():
        command = re.sub(f"{whole}(?= |$)", share, command)
    assert main(shlex.split(command)[1:]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("command", ["predict --example diabetes", "fixed-points --example star98 --width 100"])
def test_the_readme_shows_what_a_command_prints(command: str, capsys) -> None:
    """A stale output in the README is a false claim."""
    from dynamics.interface.cli import main

    assert main(command.split()) == 0
    shown = documented()
    for line in capsys.readouterr().out.splitlines():
        assert line.rstrip() in shown


def test_the_readme_counts_the_ledger_right() -> None:
    from derivations import ledger
    from derivations.algebra.entry import Kind, Status

    text = documented()
    paper = [entry for entry in ledger() if entry.kind is Kind.PAPER]
    assert f"of {len(paper)} printed equations and parts" in text
    for status in Status:
        count = sum(status in entry.status for entry in paper)
        assert count == 0 or f"| {status} | {count} |" in text
    named = text[text.index("Printed wrong are") : text.index("claims of the text")]
    assert set(re.findall(r"\((\d+)[a-e]?\)", named)) == {str(e.number) for e in paper if Status.MISPRINT in e.status}


def test_the_readmes_python_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        if (
            "import torch" not in block
        ):  # that one runs in tests/dynamics/starts/test_initializations.py, where PyTorch is
            exec(compile(block, "README.md", "exec"), {})


def kept_files() -> list[Path]:
    """What is committed, found without git, so that an unpacked sdist is looked at too."""
    made = {"build", "dist", "__pycache__"}
    tops = [p for p in ROOT.iterdir() if p.name == ".ci" or (p.name[0] != "." and p.name not in made)]
    tops = [p for p in tops if not p.name.endswith(".egg-info") and not (p / "pyvenv.cfg").exists()]
    below = [p for top in tops for p in (top.rglob("*") if top.is_dir() else [top])]
    return [p for p in below if not made & {*p.relative_to(ROOT).parts}]


def test_nothing_committed_names_this_workplace() -> None:
    """No absolute path of a machine, no registry's host."""
    words = re.compile("/" + "work/|/" + "root/|/" + "tmp/[a-z]|pypi" + r"\.org|files\.python" + "hosted")
    files = kept_files()
    assert {"setup.cfg", "tests", "run"} <= {path.name for path in files} | {path.parent.name for path in files}
    for path in files:
        if path.suffix in {".py", ".md", ".cfg", ".toml", ".txt", ".ipynb", ".yml", ""} and path.is_file():
            assert not words.search(path.read_text(errors="ignore")), path


def test_the_version_is_the_same_everywhere() -> None:
    """What is built, what is cited and what CHANGELOG begins with."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    stated = setup["metadata"]["version"]
    assert re.search(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)[1] == stated
    assert re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[1] == stated


def test_the_sdist_has_every_file() -> None:
    """Each kept file is named by a line of MANIFEST.in, or belongs to what setuptools always takes."""
    lines = [line.split() for line in (ROOT / "MANIFEST.in").read_text().splitlines() if line and line[0] != "#"]
    grafted = {line[1] for line in lines if line[0] == "graft"}
    single = {name for line in lines if line[0] == "include" for name in line[1:]}
    single |= {"MANIFEST.in", "pyproject.toml", "setup.cfg", "PKG-INFO"}  # the last is made for the sdist
    endings = {line[1]: line[2:] for line in lines if line[0] == "recursive-include"}
    for path in kept_files():
        top, *below = path.relative_to(ROOT).parts
        patterns = endings.get(top, ["*"] if top in grafted else [])
        assert path.is_dir() or (any(map(path.match, patterns)) if below else top in single), path


def test_nothing_from_outside_is_evaluated_or_unpickled() -> None:
    """`sympify` evaluates text; in `derivations` it only turns Python numbers into SymPy's."""
    for path in PYTHON:
        banned = {"eval", "exec", "parse_expr", "__import__"} | ({"sympify"} if "dynamics" in path.parts else set())
        assert not imports(path) & {"pickle", "dill", "cloudpickle", "marshal", "shelve"}, path
        for call in (n for n in parsed(path.read_text()) if isinstance(n, ast.Call)):
            function = call.func
            name = getattr(function, "attr", getattr(function, "id", ""))
            home = getattr(getattr(function, "value", None), "id", "")
            assert name not in banned, path
            told = {k.arg: getattr(k.value, "value", None) for k in call.keywords}
            if (home, name) == ("np", "load"):
                assert told["allow_pickle"] is False, path
            if (home, name) == ("torch", "load"):
                assert told["weights_only"] is True, path


def test_every_scalar_law_of_dynamics_is_an_expression_of_the_ledger() -> None:
    """What `dynamics` reads from the law modules is, at tau = 1, a form (or integrand) that an entry checks."""
    import sympy as sp

    from derivations import ledger
    from derivations.algebra.notation import P, c, tau
    from derivations.algebra.positive_powers import equal
    from derivations.times import any_branches as branch_times
    from derivations.times import closed_forms
    from derivations.times import formulas as timescales
    from derivations.training import decay, modulation

    known: list[sp.Expr] = []
    for entry in ledger():
        misprinted = any(statement.defect is not None for statement in entry.statements)
        for form in (entry.printed, *([entry.right] if misprinted else [])):  # to derive all takes long
            for line in form if isinstance(form, sp.Tuple) else (form,):
                if isinstance(line, sp.Eq) and line.rhs.is_commutative:
                    known += [line.rhs.subs(tau, 1), *(i.function for i in line.rhs.atoms(sp.Integral))]
                    known += [known[-1].subs(c, 1)] if c in line.rhs.free_symbols else []
    used = set()
    for path in ROOT.glob("dynamics/**/*.py"):
        for node in parsed(path.read_text()):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                used |= {node.attr} if node.value.id in {"law", "closed_forms"} and node.attr.isupper() else set()
    homes = (branch_times, closed_forms, decay, modulation)
    laws = {n: getattr(m, n) for n in used for m in homes if hasattr(m, n)}
    laws = {n: e for n, e in laws.items() if isinstance(e, sp.Expr) and not e.is_Symbol}
    assert {"FIRST", "FIRST_AT_DEPTH_2", "RATIO_WITH_DECAY", "MODULATED_RATIO"} <= set(laws)
    del laws["STRENGTH"]  # what the method is, not what follows from it
    laws |= {"rotation": timescales.ROTATION_INTEGRAND}
    for i, kind in enumerate(branch_times.KINDS):  # see tests/derivations/times/test_any_branches.py for log_integrand
        laws |= {f"lead {i}": kind.lead, f"lag {i}": kind.lag, f"integrand {i}": kind.integrand.subs(P, kind.progress)}
    for name, value in laws.items():
        alike = [form for form in known if form.free_symbols == value.free_symbols]
        assert value in alike or any(equal(value, form) for form in alike), name


def test_no_second_copy_of_a_law_in_dynamics() -> None:
    """A power with a depth in its exponent stands in `dynamics` only where errors or step sizes are estimated."""
    sizes = ("neglected", "neglected_alone", "scaled_time", "_end", "half_relaxation")
    allowed = {("bounds.py", name) for name in sizes} | {("descent.py", "curvature")}
    allowed |= {
        ("equal_entries.py", "__init__"),
        ("coordinatewise.py", "__init__"),
        ("adaptive.py", "saturation"),
        ("adaptive.py", "flow"),
    }
    allowed |= {("adaptive.py", name) for name in ("half", "with_adam")}  # sums over as many units; an integrand
    allowed |= {("decayed.py", name) for name in ("_end", "_left_of_lag", "with_decay")}
    for path in sorted(ROOT.glob("dynamics/**/*.py")):
        for function in (n for n in parsed(path.read_text()) if isinstance(n, ast.FunctionDef)):
            for node in ast.walk(function):
                if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
                    names = {getattr(n, "attr", getattr(n, "id", "")) for n in ast.walk(node.right)}
                    if names & {"depth", "fusion_depth", "fused", "shared", "depths"}:
                        assert (path.name, function.name) in allowed, ast.unparse(node)
