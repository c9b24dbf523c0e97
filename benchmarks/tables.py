"""The command on tables that came with packages, judged by an integration that shares nothing with it.

    python -m benchmarks.tables --python FOLDER --node FOLDER

FOLDER of --python is one of `pip install --target FOLDER`, that of --node is where `npm install` has made its
node_modules; a table whose package is in neither is skipped. Each table is written as its package gives it, and
`python -m dynamics predict` runs on it in a process of its own. The judge reads the same file with pandas, makes its
own numbers of it and integrates every weight with SciPy, from the start that the answer is about: aligned and balanced,
or, with `--width`, three random starts, of which it takes the median. A modality is learned when half of what it
contributes at its plateau is there, the plateau being the regression on it and on all that is learned before it, in an
order that the times have themselves; the last column takes the order of `race` in the answer for "before".
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from importlib.util import find_spec
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.integrate import solve_ivp
from scipy.linalg import null_space
from scipy.optimize import brentq

U0, WIDTH, SEEDS = 1e-3, 100, 3
EXACT, TYPICAL = 1e-4, 0.2  # relative differences that are allowed: one start, and random ones against their law
ENDS = 100, 1000, 10_000  # tau: the first by which all is learned


@dataclass(frozen=True)
class Table:
    """A file, and what is asked about it."""

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


def ten_digits(folder: Path) -> Table:
    table = digits(folder)
    return replace(table, target="target", options=("--classes", "--standardize", f"--width={WIDTH}"))


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


def prices(_: Path) -> Table:
    path = package("statsmodels") / "datasets/macrodata/macrodata.csv"
    return Table("statsmodels macrodata", path, "infl", {"real": "real*", "money": "m1,tbilrate,cpi"})


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
    pd.read_json(node_file(folder, "movies.json")).to_csv(path := folder / "movies.csv", index=False)
    blocks = {
        "money": "US Gross,Worldwide Gross,Production Budget",
        "critics": "Rotten Tomatoes Rating,IMDB Votes",
        "kind": "Major Genre,MPAA Rating",
    }
    return Table("vega-datasets (npm) movies", path, "IMDB Rating", blocks, ("--standardize", "--missing=mean"))


def birds(folder: Path) -> Table:
    blocks = {
        "flight": "Phase of flight,Speed IAS in knots",
        "bird": "Wildlife Size,Wildlife Species",
        "where": "Time of day,Origin State",
    }
    options = ("--standardize", "--missing=drop")
    file = node_file(folder, "birdstrikes.csv")
    return Table("vega-datasets (npm) birdstrikes", file, "Cost Total $", blocks, options)


MAKERS: list[Maker] = [
    wine,
    breast_cancer,
    digits,
    ten_digits,
    fair,
    election,
    travel,
    prices,
    doctors,
    penguins,
    cars,
    movies,
    birds,
]


def node_file(folder: Path, name: str) -> Path:
    path = folder / "node_modules/vega-datasets/data" / name
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


class Judge:
    """The gradient flow of every weight from the aligned start, or from a random one of width WIDTH."""

    def __init__(self, blocks: dict[str, np.ndarray], y: np.ndarray, race: list[str], seed: int | None) -> None:
        self.blocks, self.y, outputs = blocks, y, y.shape[1]
        x = np.hstack(list(blocks.values()))
        ends = np.cumsum([block.shape[1] for block in blocks.values()])
        self.parts = {m: slice(end - blocks[m].shape[1], end) for m, end in zip(blocks, ends, strict=True)}
        self.sigma, self.sigma_yx = x.T @ x / len(y), y.T @ x / len(y)
        if seed is None:
            first = [self.sigma_yx[:, part] for part in self.parts.values()]
            second = [np.ones((1, 1)) for _ in blocks]
        else:
            draw = np.random.default_rng(seed)
            first = [draw.standard_normal((WIDTH, block.shape[1])) for block in blocks.values()]
            second = [draw.standard_normal((outputs, WIDTH)) for _ in blocks]
        first, second = ([U0 * w / np.linalg.norm(w) for w in layer] for layer in (first, second))
        self.shapes = (first[0].shape[0], x.shape[1]), (len(blocks), outputs, first[0].shape[0])
        start = np.concatenate([np.hstack(first).ravel(), *(w.ravel() for w in second)])
        for until in ENDS:
            method = "LSODA" if seed is None else "DOP853"
            self.run = solve_ivp(self._velocity, (0, until), start, method, rtol=1e-9, atol=1e-14, dense_output=True)
            self.totals = np.array([self._layers(state)[2] for state in self.run.y.T])
            if math.inf not in (*self.times()[0].values(), *self.raced(race).values()):
                break

    def _layers(self, state: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        count = math.prod(self.shapes[0])
        w1, w2 = state[:count].reshape(self.shapes[0]), state[count:].reshape(self.shapes[1])
        return w1, w2, np.hstack([w @ w1[:, part] for w, part in zip(w2, self.parts.values(), strict=True)])

    def _velocity(self, _: float, state: np.ndarray) -> np.ndarray:
        w1, w2, total = self._layers(state)
        error = self.sigma_yx - total @ self.sigma
        pairs = list(zip(w2, self.parts.values(), strict=True))
        first = np.hstack([w.T @ error[:, part] for w, part in pairs])
        return np.concatenate([first.ravel(), *((error[:, part] @ w1[:, part].T).ravel() for _, part in pairs)])

    def half(self, m: str, known: Iterable[str]) -> float:
        """When m has half of its output along the regression on `known`, m among them; inf where it has not."""
        part, names = self.parts[m], sorted(known)
        solved = np.linalg.lstsq(np.hstack([self.blocks[n] for n in names]), self.y, rcond=1e-10)[0].T
        before = sum(self.blocks[n].shape[1] for n in names[: names.index(m)])
        goal = solved[:, before : before + self.blocks[m].shape[1]]
        along = goal @ self.sigma[part, part]
        size = np.sum(along * goal)
        if size < 1e-12 * np.mean(self.y**2):  # nothing to learn
            return math.inf
        there = np.sum(self.totals[:, :, part] * along, axis=(1, 2)) > size / 2
        if not there.any():
            return math.inf
        i = int(np.argmax(there))

        def missing(t: float) -> float:
            return float(np.sum(self._layers(self.run.sol(t))[2][:, part] * along) / size - 0.5)

        return float(brentq(missing, self.run.t[i - 1], self.run.t[i], xtol=1e-12))

    def times(self) -> tuple[dict[str, float], bool]:
        """Each along the regression on it and on what is learned before it, and whether there is an order like that.

        Where every order comes out as another one, next is whoever has half first beside those that are there.
        """
        every = [self.raced(order) for order in permutations(self.blocks)]
        if fitting := [found for found in every if list(found.values()) == sorted(found.values())]:
            return min(fitting, key=lambda found: list(found.values())), True
        found: dict[str, float] = {}
        while len(found) < len(self.blocks):
            halves = {m: self.half(m, {*found, m}) for m in self.blocks if m not in found}
            m = min(halves, key=lambda m: halves[m])
            found[m] = halves[m]
        return found, False

    def raced(self, race: Sequence[str]) -> dict[str, float]:
        """Each along the regression on it and on what stands before it in `race`."""
        return {m: self.half(m, race[: race.index(m) + 1]) for m in race}


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
    judges = [Judge(blocks, y, answer["race"], seed) for seed in (range(SEEDS) if random else [None])]
    times = answer["times"]

    def furthest(runs: list[dict[str, float]]) -> tuple[dict[str, float], float]:
        own = {m: float(np.median([run[m] for run in runs])) for m in blocks}
        return dict(sorted(own.items(), key=lambda item: item[1])), max(abs(times[m] / own[m] - 1) for m in own)

    found, fits = zip(*(judge.times() for judge in judges), strict=True)
    own, worst = furthest(list(found))
    _, raced = furthest([judge.raced(answer["race"]) for judge in judges])
    most = TYPICAL if random else EXACT
    agree = (answer["order"] == list(own) and worst < most) or raced < most or answer["together"] or not all(fits)
    sizes = ", ".join(f"{m} {x.shape[1]}" for m, x in blocks.items())
    kind = table.target.strip("'") + (f" ({y.shape[1]} outputs)" if y.shape[1] > 1 else "")
    said = ", ".join(f"{m} {times[m]:.6g}" for m in answer["order"])
    mine = ", ".join(f"{m} {t:.6g}" for m, t in own.items()) + ("" if all(fits) else " (no order fits)")
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
        f"{raced:.0e}" if raced < 1 else "never half",
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", type=Path, metavar="FOLDER", help="of pip install --target")
    parser.add_argument("--node", type=Path, metavar="FOLDER", help="where npm install was run")
    parser.add_argument("--screens", action="store_true", help="also what the command says, on stderr")
    chosen = parser.parse_args()
    if chosen.python:
        sys.path.append(str(chosen.python))
    heads = "source (file), rows x columns, blocks, target, options, answer [tau], seconds (screen; JSON)"
    print(
        f"| {heads.replace(', ', ' | ').replace(';', ',')} | judge [tau] | relative difference | the same by `race` |"
    )
    print(f"|{' --- |' * 10}")
    agreed = []
    with tempfile.TemporaryDirectory() as folder:
        if chosen.node:
            (Path(folder) / "node_modules").symlink_to((chosen.node / "node_modules").resolve())
        for line, agree in lines(Path(folder), chosen.screens):
            print(line, flush=True)
            agreed.append(agree)
    return 0 if all(agreed) else 1


if __name__ == "__main__":
    sys.exit(main())
