"""The command on tables that came with packages, judged by an integration that shares nothing with it.

    python -m benchmarks.tables --python FOLDER --node FOLDER

FOLDER of --python is one of `pip install --target FOLDER`, that of --node is where `npm install` has made its
node_modules; a table whose package is in neither is skipped. Each table is written as its package gives it, and
`python -m dynamics predict` runs on it in a process of its own. The judge reads the same file with pandas, makes its own
numbers of it and integrates every weight with SciPy, from the start that the answer is about: aligned and balanced, or,
with `--width`, three random starts, of which it takes the median. A modality is learned when half of what it contributes
at its plateau is there, the plateau being the regression on it and on all that is learned before it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.integrate import solve_ivp
from scipy.linalg import null_space
from scipy.optimize import brentq

U0, WIDTH, SEEDS = 1e-3, 100, 3
EXACT, TYPICAL = 1e-4, 0.2  # relative differences that are allowed: one start, and random ones against their law
LATEST = 1e6  # tau


@dataclass(frozen=True)
class Table:
    """A file, and what is asked about it; `note` says how its package has it."""

    source: str
    path: Path
    target: str
    modalities: dict[str, str]
    options: tuple[str, ...] = ("--standardize",)
    separator: str = ","

    @property
    def arguments(self) -> list[str]:
        blocks = [f"--modality={m}={columns}" for m, columns in self.modalities.items()]
        return [str(self.path), f"--target={self.target}", *blocks, *self.options]


Maker = Callable[[Path], Table]


def package(name: str) -> Path:
    """Folder of an installed Python package, which is not imported."""
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"package {name}")
    return Path(spec.submodule_search_locations[0])


def wine(folder: Path) -> Table:
    from sklearn.datasets import load_wine

    bunch = load_wine(as_frame=True)
    bunch.frame.assign(target=bunch.target_names[bunch.target]).to_csv(path := folder / "wine.csv", index=False)
    blocks = {
        "acids": "alcohol,*acid,ash,alcalinity_of_ash,magnesium",
        "phenols": "*phenols,flavanoids,proanthocyanins",
        "colour": "color_intensity,hue,od280*,proline",
    }
    return Table("scikit-learn wine", path, "target", blocks, ("--standardize", f"--width={WIDTH}"))


def breast_cancer(folder: Path) -> Table:
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer(as_frame=True)
    bunch.frame.assign(target=bunch.target_names[bunch.target]).to_excel(path := folder / "cells.xlsx", index=False)
    blocks = {"mean": "mean *", "error": "* error", "worst": "worst *"}
    return Table("scikit-learn breast_cancer", path, "target", blocks)


def digits(folder: Path) -> Table:
    from sklearn.datasets import load_digits

    frame = load_digits(as_frame=True).frame
    frame["parity"] = np.where(frame["target"] % 2, "odd", "even")
    frame.to_csv(path := folder / "digits.csv.gz", index=False)
    blocks = {"left": "pixel_?_[0-3]", "right": "pixel_?_[4-7]"}
    return Table("scikit-learn digits", path, "parity", blocks, ())


def fair(_: Path) -> Table:
    blocks = {
        "marriage": "rate_marriage,yrs_married,children",
        "person": "age,religious,educ,occupation,occupation_husb",
    }
    return Table("statsmodels fair", package("statsmodels") / "datasets/fair/fair.csv", "affairs", blocks)


def election(_: Path) -> Table:
    path = package("statsmodels") / "datasets/anes96/anes96.csv"
    blocks = {
        "person": "'age','educ','income','popul','TVnews'",
        "politics": "'selfLR','PID'",
        "candidates": "'ClinLR','DoleLR'",
    }
    return Table("statsmodels anes96", path, "'vote'", blocks, ("--classes",), "\t")


def travel(_: Path) -> Table:
    path = package("statsmodels") / "datasets/modechoice/modechoice.csv"
    blocks = {"trip": "ttme,invc,invt,gc", "household": "hinc,psize"}
    return Table("statsmodels modechoice", path, "choice", blocks, ("--standardize", f"--width={WIDTH}"), ";")


def doctors(_: Path) -> Table:
    path = package("statsmodels") / "datasets/randhie/randhie.csv"
    blocks = {"plan": "lncoins,idp,lpi,fmde", "health": "physlm,disea,hlthg,hlthf,hlthp"}
    return Table("statsmodels randhie", path, "mdvis", blocks)


def penguins(_: Path) -> Table:
    path = package("palmerpenguins") / "data/penguins.csv"
    blocks = {"body": "*_mm,body_mass_g", "place": "species,island"}
    return Table("palmerpenguins", path, "sex", blocks, ("--standardize", "--missing=drop"))


def cars(folder: Path) -> Table:
    pd.read_json(package("vega_datasets") / "_data/cars.json").to_csv(path := folder / "cars.csv", index=False)
    blocks = {"engine": "Cylinders,Displacement,Horsepower", "body": "Weight_in_lbs,Acceleration,Origin"}
    return Table("vega_datasets cars", path, "Miles_per_Gallon", blocks, ("--standardize", "--missing=mean"))


def movies(folder: Path) -> Table:
    pd.read_json(node_file("movies.json")).to_csv(path := folder / "movies.csv", index=False)
    blocks = {
        "money": "US Gross,Worldwide Gross,Production Budget",
        "critics": "Rotten Tomatoes Rating,IMDB Votes",
        "kind": "Major Genre,MPAA Rating",
    }
    return Table("vega-datasets (npm) movies", path, "IMDB Rating", blocks, ("--standardize", "--missing=mean"))


def birds(_: Path) -> Table:
    blocks = {
        "flight": "Phase of flight,Speed IAS in knots",
        "bird": "Wildlife Size,Wildlife Species",
        "where": "Time of day,Origin State",
    }
    options = ("--standardize", "--missing=drop")
    return Table("vega-datasets (npm) birdstrikes", node_file("birdstrikes.csv"), "Cost Total $", blocks, options)


MAKERS: list[Maker] = [
    wine,
    breast_cancer,
    digits,
    fair,
    election,
    travel,
    doctors,
    penguins,
    cars,
    movies,
    birds,
]
node_folder = Path()


def node_file(name: str) -> Path:
    path = node_folder / "node_modules/vega-datasets/data" / name
    if not path.exists():
        raise FileNotFoundError("npm package vega-datasets")
    return path


def numbers(table: Table) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Centred blocks of inputs and outputs, (rows, columns) each: classes, categories, gaps and z-scores done here."""
    excel = table.path.suffix == ".xlsx"
    frame = pd.read_excel(table.path) if excel else pd.read_csv(table.path, sep=table.separator)
    is_class = "--classes" in table.options or not pd.api.types.is_numeric_dtype(frame[table.target])
    frame = frame[frame[table.target].notna()]
    chosen = {
        m: [c for pattern in patterns.split(",") for c in frame if fnmatchcase(c, pattern)]
        for m, patterns in table.modalities.items()
    }
    if "--missing=drop" in table.options:
        frame = frame.dropna(subset=[c for columns in chosen.values() for c in columns])
    target = frame[table.target]
    if is_class:
        kinds = np.sort(target.unique())
        y = (target.to_numpy()[:, None] == kinds) @ null_space(np.ones((1, len(kinds))))
    else:
        y = target.to_numpy(float)[:, None]
    blocks = {m: np.hstack([encoded(frame[c]) for c in columns]) for m, columns in chosen.items()}
    if "--missing=mean" in table.options:
        blocks = {m: np.where(np.isnan(x), np.nanmean(x, axis=0), x) for m, x in blocks.items()}
    blocks, y = {m: x - x.mean(axis=0) for m, x in blocks.items()}, y - y.mean(axis=0)
    if "--standardize" in table.options:
        blocks = {m: unit_variance(x) for m, x in blocks.items()}
        y = y if is_class else unit_variance(y)
    return blocks, y


def encoded(column: pd.Series) -> np.ndarray:
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy(float)[:, None]
    kinds = sorted(column.dropna().unique())
    one_hot = (column.to_numpy()[:, None] == np.array(kinds, dtype=object)).astype(float)
    one_hot[column.isna().to_numpy()] = np.nan
    return one_hot[:, 1:] if len(kinds) == 2 else one_hot


def unit_variance(x: np.ndarray) -> np.ndarray:
    deviation = x.std(axis=0)
    return x / np.where(deviation > 1e-12, deviation, 1)


def judged(blocks: dict[str, np.ndarray], y: np.ndarray, seed: int | None) -> dict[str, float]:
    """Half-times in their order, from the aligned start, or from a random one of width WIDTH."""
    names, rows, outputs = list(blocks), len(y), y.shape[1]
    x = np.hstack(list(blocks.values()))
    ends = np.cumsum([block.shape[1] for block in blocks.values()])
    parts = {m: slice(end - blocks[m].shape[1], end) for m, end in zip(names, ends, strict=True)}
    sigma, sigma_yx = x.T @ x / rows, y.T @ x / rows
    if seed is None:
        width = 1
        first = [U0 * sigma_yx[:, p] / np.linalg.norm(sigma_yx[:, p]) for p in parts.values()]
        second = [np.full((1, 1), U0) for _ in names]
    else:
        width, draw = WIDTH, np.random.default_rng(seed)
        first = [draw.standard_normal((width, block.shape[1])) for block in blocks.values()]
        second = [draw.standard_normal((outputs, width)) for _ in names]
        first, second = ([U0 * w / np.linalg.norm(w) for w in layer] for layer in (first, second))
    count = width * x.shape[1]

    def layers(state: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        w1, w2 = state[:count].reshape(width, -1), state[count:].reshape(len(names), outputs, width)
        return w1, w2, np.hstack([w2[i] @ w1[:, p] for i, p in enumerate(parts.values())])

    def velocity(_: float, state: np.ndarray) -> np.ndarray:
        w1, w2, total = layers(state)
        error = sigma_yx - total @ sigma
        towards = [(w2[i].T @ error[:, p], error[:, p] @ w1[:, p].T) for i, p in enumerate(parts.values())]
        return np.concatenate([np.hstack([a for a, _ in towards]).ravel(), *(b.ravel() for _, b in towards)])

    def plateau(known: list[str]) -> dict[str, np.ndarray]:
        solved = np.linalg.lstsq(np.hstack([blocks[m] for m in known]), y, rcond=1e-10)[0].T
        starts = np.cumsum([0, *(blocks[m].shape[1] for m in known)])
        return {m: solved[:, a:b] for m, a, b in zip(known, starts[:-1], starts[1:], strict=True)}

    start = np.concatenate([np.hstack(first).ravel(), *(w.ravel() for w in second)])
    method = "LSODA" if seed is None else "DOP853"
    until = 100.0
    while until <= LATEST:
        run = solve_ivp(velocity, (0, until), start, method, rtol=1e-9, atol=1e-14, dense_output=True)
        totals = np.array([layers(state)[2] for state in run.y.T])
        found: dict[str, float] = {}
        while len(found) < len(names):
            times = {}
            for m in names:
                if m in found:
                    continue
                part = parts[m]
                goal = sigma[part, part] @ plateau([*found, m])[m].T
                size = np.sum(goal.T * plateau([*found, m])[m])
                done = np.einsum("tkd,dk->t", totals[:, :, part], goal) / size - 0.5
                if (done > 0).any():
                    i = int(np.argmax(done > 0))
                    times[m] = brentq(
                        lambda t, part=part, goal=goal, size=size: (
                            np.sum(layers(run.sol(t))[2][:, part] * goal.T) / size - 0.5
                        ),
                        run.t[i - 1],
                        run.t[i],
                        xtol=1e-12,
                    )
            if not times:
                break
            m = min(times, key=lambda m: times[m])
            found[m] = times[m]
        if len(found) == len(names):
            return found
        until *= 4
    raise ArithmeticError(f"not learned by {LATEST:g} tau: {set(names) - set(found)}")


def asked(table: Table, *more: str) -> tuple[str, float]:
    """What the command prints, and the seconds of its process."""
    begin = time.perf_counter()
    command = [sys.executable, "-m", "dynamics", "predict", *table.arguments, *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{table.source}: {done.stderr.strip()}")
    return done.stdout, time.perf_counter() - begin


def compared(table: Table) -> tuple[str, bool, str]:
    """A line of the table, whether the two agree, and the screen of the command."""
    screen, seconds = asked(table)
    told, quick = asked(table, "--json")
    answer = json.loads(told)
    blocks, y = numbers(table)
    random = f"--width={WIDTH}" in table.options
    runs = [judged(blocks, y, seed) for seed in (range(SEEDS) if random else [None])]
    own = {m: float(np.median([run[m] for run in runs])) for m in blocks}
    own = dict(sorted(own.items(), key=lambda item: item[1]))
    times = answer["times"]
    worst = max(abs(times[m] / own[m] - 1) for m in own)
    agree = answer["order"] == list(own) and worst < (TYPICAL if random else EXACT)
    sizes = ", ".join(f"{m} {x.shape[1]}" for m, x in blocks.items())
    kind = table.target.strip("'") + (f" ({y.shape[1]} outputs)" if y.shape[1] > 1 else "")
    said = ", ".join(f"{m} {times[m]:.6g}" for m in answer["order"])
    mine = ", ".join(f"{m} {t:.6g}" for m, t in own.items())
    cells = [
        f"{table.source} ({''.join(table.path.suffixes)})",
        f"{len(y)} x {sum(x.shape[1] for x in blocks.values())}",
        sizes,
        kind,
        " ".join(f"`{option}`" for option in table.options) or "none",
        f"{said} ({answer['source']})",
        f"{seconds:.1f}, {quick:.1f}",
        mine + (f" (median of {SEEDS} seeds)" if random else ""),
        f"{worst:.0e}" + ("" if agree else " **off**"),
    ]
    return f"| {' | '.join(cells)} |", agree, screen


def lines(folder: Path, show: bool) -> Iterator[tuple[str, bool]]:
    for maker in MAKERS:
        try:
            table = maker(folder)
        except (FileNotFoundError, ModuleNotFoundError) as error:
            print(f"{maker.__name__} skipped: {error}", file=sys.stderr)
            continue
        line, agree, screen = compared(table)
        if show:
            print(f"$ {' '.join(table.arguments)}\n{screen}", file=sys.stderr)
        yield line, agree


def main() -> int:
    global node_folder  # noqa: PLW0603
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", type=Path, metavar="FOLDER", help="of pip install --target")
    parser.add_argument("--node", type=Path, metavar="FOLDER", help="where npm install was run")
    parser.add_argument("--screens", action="store_true", help="also what the command says, on stderr")
    chosen = parser.parse_args()
    if chosen.python:
        sys.path.append(str(chosen.python))
    node_folder = chosen.node or node_folder
    heads = "source (file), rows x columns, blocks, target, options, answer [tau], seconds (screen; JSON)"
    print(f"| {heads.replace(', ', ' | ').replace(';', ',')} | judge [tau] | relative difference |")
    print(f"|{' --- |' * 9}")
    agreed = []
    with tempfile.TemporaryDirectory() as folder:
        for line, agree in lines(Path(folder), chosen.screens):
            print(line, flush=True)
            agreed.append(agree)
    return 0 if all(agreed) else 1


if __name__ == "__main__":
    sys.exit(main())
