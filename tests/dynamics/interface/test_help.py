"""`--help` begins with an example that the parser takes; a shell completes commands, options and listed values."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys

import pytest

from dynamics.interface import cli
from dynamics.interface.cli import _parser, main
from dynamics.interface.commands.completing import SCRIPTS

COMMANDS = (
    "predict", "prescribe", "simulate", "compare", "report", "fixed-points", "figure", "table", "sweep", "explore",
    "derive",
    "completion",
)  # fmt: skip


def helped(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main([*words, "--help"])
    assert stop.value.code == 0
    return capsys.readouterr().out


def test_no_command_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    listed = helped(capsys).partition("commands:")[2].split()
    assert set(COMMANDS) <= set(listed)
    assert len(COMMANDS) == len(cli.COMMANDS)


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_begins_with_an_example_that_parses(command: str, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    usage, _, example, *_ = helped(capsys, *filter(None, [command])).splitlines()
    assert usage.startswith(f"usage: fusion-dynamics {command}".rstrip())
    begin, name, *words = shlex.split(example.removeprefix("Example: "))
    assert (begin, name) == ("fusion-dynamics", command or "predict")
    assert callable(_parser().parse_args([name, *words]).run)


@pytest.mark.parametrize("shell", SCRIPTS)
def test_a_script_names_every_command(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert " ".join(COMMANDS) in script
    assert "weight-decay" in script
    assert "pytorch kaiming xavier lecun" in script
    if shutil.which(shell):
        assert subprocess.run([shell, "-n"], input=script, text=True, check=False).returncode == 0


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is absent")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("pre", "predict prescribe"),
        ("--v", "--version"),
        ("predict --ba", "--batch-size"),
        ("simulate --method ", "flow reduced descent"),
        ("completion f", "fish"),
        ("predict da", ""),
    ],
)
def test_bash_completes(typed: str, offered: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["completion", "bash"])
    words = ["fusion-dynamics", *typed.split(" ")]
    given = f"COMP_WORDS=({' '.join(map(shlex.quote, words))}); COMP_CWORD={len(words) - 1}"
    script = f'{capsys.readouterr().out}\n{given}\n_fusion_dynamics; echo "${{COMPREPLY[*]}}"'
    assert subprocess.run(["bash"], input=script, text=True, capture_output=True, check=True).stdout == f"{offered}\n"


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from dynamics.interface.cli import _parser; _parser().format_help();"
        "print(*{'scipy', 'sympy', 'matplotlib', 'pandas', 'xarray', 'dynamics.simulation'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
