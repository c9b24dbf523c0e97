"""`make soak`: every row of the scoreboard with a fresh seed, two at a time, in about an hour.

    python -m tests.soak [--rows kills,writes] [--seed N] [--jobs 2] [--save]

Each row is a process of its own and is kept in `.soak/` when it is through: after an interrupt the same command goes on
where it was. `--save` writes the board to tests/SOAK.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import secrets
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.cases import ROOT, clean_environment
from tests.soak.board import ROWS, measured

FOLDER = ROOT / ".soak"
PACKAGES = ("fusion-dynamics", "numpy", "scipy", "sympy", "mpmath", "matplotlib", "xarray", "joblib")
NAMES = [row.name for row in ROWS]
WORST = 5  # misses that are printed of a row


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default=",".join(NAMES), help="names with commas between; default: all")
    parser.add_argument("--seed", type=int, help="to replay a board or a row; default: a fresh one")
    parser.add_argument("--jobs", type=int, default=2, help="rows at a time (default 2)")
    parser.add_argument("--save", action="store_true", help="write tests/SOAK.md")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)  # a row, and the folder it is kept in
    options = parser.parse_args()
    if options.one:
        return one(options.one[0], options.seed, Path(options.one[1]))
    chosen = options.rows.split(",")
    unknown = [name for name in chosen if name not in NAMES]
    if unknown:
        parser.error(f"--rows must be among {', '.join(NAMES)}, got {unknown[0]!r}")
    folder = FOLDER if chosen == NAMES else FOLDER / "some"  # a replay leaves an interrupted board alone
    try:
        seed, found = begun(options.seed, folder)
        say(f"seed {seed}; {len(found)} rows done before" if found else f"seed {seed}")
        found = run([name for name in chosen if name not in found], seed, options.jobs, found, folder)
    except KeyboardInterrupt:
        say("interrupted: the same command goes on with the rows that are left")
        return 130
    found = {name: found[name] for name in NAMES if name in found and name in chosen}
    text = board(found, seed)
    print(text)
    if options.save:
        (ROOT / "tests" / "SOAK.md").write_text(text + (ROOT / "tests" / "soak" / "NOTES.md").read_text())
    for file in folder.glob("*.json"):
        file.unlink()
    return 1 if any(row["misses"] for row in found.values()) else 0


def begun(seed: int | None, folder: Path) -> tuple[int, dict[str, Any]]:
    """The seed of a board that was interrupted and its rows, if this is the same code; else a fresh one."""
    folder.mkdir(parents=True, exist_ok=True)
    state, code = folder / "begun.json", commit()
    if state.exists():
        before = json.loads(state.read_text())
        if before["commit"] == code and seed in {None, before["seed"]}:
            rows = {name: folder / f"{name}.json" for name in NAMES}
            return before["seed"], {name: json.loads(p.read_text()) for name, p in rows.items() if p.exists()}
    for left in folder.glob("*.json"):
        left.unlink()
    seed = secrets.randbelow(10**6) if seed is None else seed
    state.write_text(json.dumps({"seed": seed, "commit": code}))
    return seed, {}


def one(name: str, seed: int, folder: Path) -> int:
    """Measure one row, in a process of its own."""
    row = ROWS[NAMES.index(name)]
    outcome, seconds = measured(row, row.whole, seed)
    content = json.dumps({"figure": outcome.figure, "misses": outcome.misses, "seconds": seconds})
    part = folder / f"{name}.part"
    part.write_text(content)
    part.rename(folder / f"{name}.json")
    return 0


def run(names: list[str], seed: int, jobs: int, found: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The rows that are missing, `jobs` at a time; what each found is told as it ends."""
    waiting, running, found = list(names), dict[str, subprocess.Popen[bytes]](), dict(found)
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                name = waiting.pop(0)
                command = [sys.executable, "-m", "tests.soak", "--one", name, str(folder), "--seed", str(seed)]
                running[name] = subprocess.Popen(command, cwd=ROOT, env=clean_environment())
            time.sleep(0.2)
            for name in [n for n, process in running.items() if process.poll() is not None]:
                process = running.pop(name)
                file = folder / f"{name}.json"
                if not file.exists():
                    died = {"figure": "died", "misses": [f"exit {process.returncode}"], "seconds": 0.0}
                    file.write_text(json.dumps(died))
                found[name] = json.loads(file.read_text())
                missed = found[name]["misses"]
                say(f"{name}, {found[name]['seconds']:.0f} s: {found[name]['figure']}")
                for line in missed[:WORST]:
                    say(f"    {line}")
                if missed:
                    say(f"    replay: python -m tests.soak --rows {name} --seed {seed}")
    finally:
        for process in running.values():
            process.terminate()
            process.wait()
    return found


def board(found: dict[str, Any], seed: int) -> str:
    """The scoreboard in Markdown."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    made = f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {packages}; {platform.machine()}, "
    made += f"{os.cpu_count()} shared cores. Made by `make soak`, seed {seed}; "
    made += f"`python -m tests.soak --rows ROW --seed {seed}` replays a row."
    head = ["| row | property | goal | found | misses | s |", "|---|---|---|---|---|---|"]
    lines = ["# Scoreboard", "", made, "", *head]
    for name, result in found.items():
        row = ROWS[NAMES.index(name)]
        cells = (name, row.what, row.goal, result["figure"], len(result["misses"]), f"{result['seconds']:.0f}")
        lines.append("| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |")
    for name, result in found.items():
        if result["misses"]:
            lines += ["", f"Misses of {name}:", "", *(f"- {line}" for line in result["misses"][:20])]
    return "\n".join(lines) + "\n"


def commit() -> str:
    """Of the code that is measured; the version where there is no repository, as in an unpacked sdist."""
    if not (ROOT / ".git").exists():
        return f"version {version('fusion-dynamics')}"
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, cwd=ROOT, check=False
    )
    return done.stdout.strip()


def say(line: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
