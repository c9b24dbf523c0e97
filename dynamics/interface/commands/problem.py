"""What each command does: from parsed options to what is printed. `cli` has the parser."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from derivations.errors import DataError, DomainError
from dynamics.files import write_whole
from dynamics.interface.outputs import check_figure, check_target, draw_to_files, save_figure

if TYPE_CHECKING:
    from derivations.correlations import Correlations
    from derivations.network import FusionNetwork


def _problem(options: argparse.Namespace) -> tuple[FusionNetwork, Correlations]:
    """Network and data of a command line."""
    from dynamics.data.examples import load_example
    from dynamics.data.reading import read_table

    if (options.data is None) == (options.example is None):
        raise DataError("give a DATA file or --example NAME, one of the two")
    if options.example is not None:
        given = [
            flag
            for flag, used in (
                ("--modality", options.modality),
                ("--standardize", options.standardize),
                ("--target", options.target),
            )
            if used
        ]
        if given:
            raise DataError(f"{given[0]} goes with a DATA file; an example has its own blocks and is z-scored")
        data = load_example(options.example)
    else:
        modalities = _modalities(options.modality)
        if modalities is None and not options.data.lower().endswith(".npz"):
            raise DataError("name the columns of each modality: --modality NAME=column1,column2, once for each")
        data = read_table(options.data, _targets(options.target or "y"), modalities, options.standardize)
    return _network(options, data.modalities), data


def _network(options: argparse.Namespace, modalities: tuple[str, ...]) -> FusionNetwork:
    """Equal branches by --depth and --fusion-depth, or any by --branch and --trunk."""
    from derivations.network import FusionNetwork

    equal = [f for f, v in (("--depth", options.depth), ("--fusion-depth", options.fusion_depth)) if v is not None]
    if not options.branch:
        if options.trunk is not None:
            raise DomainError("--trunk goes with --branch; without it the trunk is --depth minus --fusion-depth")
        depth = 2 if options.depth is None else options.depth
        return FusionNetwork.fused_at(depth, 2 if options.fusion_depth is None else options.fusion_depth, modalities)
    if equal:
        raise DomainError(f"{equal[0]} and --branch say the same: give one of the two")
    depths: dict[str, int] = {}
    for flag in options.branch:
        name, _, layers = flag.rpartition("=")
        if not layers.isascii() or not layers.isdigit():
            raise DomainError(f"--branch must look like NAME=LAYERS, got {flag!r}")
        if name not in modalities or name in depths:
            raise DomainError(f"--branch must name each of {', '.join(modalities)} once, got {name!r}")
        depths[name] = int(layers)
    missing = [m for m in modalities if m not in depths]
    if missing:
        raise DomainError(f"--branch must name each of {', '.join(modalities)} once, {missing[0]!r} is missing")
    return FusionNetwork.branches({m: depths[m] for m in modalities}, trunk=options.trunk or 0)


def _u0(options: argparse.Namespace) -> float:
    if options.u0 is not None and getattr(options, "init", None) is not None:
        raise DomainError("--u0 and --init say the same: give one of the two")
    return 1e-3 if options.u0 is None else float(options.u0)


def _targets(flag: str) -> str | list[str]:
    names = [name.strip() for name in flag.split(",")]
    if not all(names):
        raise DataError(f"--target must look like COLUMN or C1,C2, got {flag!r}")
    return names[0] if len(names) == 1 else names


def _modalities(flags: list[str]) -> dict[str, list[str]] | None:
    found: dict[str, list[str]] = {}
    for flag in flags:
        name, equals, columns = flag.partition("=")
        members = [column.strip() for column in columns.split(",")]
        if not equals or not name or not all(members):
            raise DataError(f"--modality must look like NAME=column1,column2, got {flag!r}")
        if name in found:
            raise DataError(f"--modality {name!r} is given twice")
        found[name] = members
    return found or None


def predict_command(options: argparse.Namespace) -> int:
    from dynamics.documents import finite
    from dynamics.prediction.roads import predict
    from dynamics.prediction.scalings import both_scalings
    from dynamics.simulation.descent import doubts_of_rate

    network, data = _problem(options)
    start: Any = None
    u0: Any = _u0(options)
    random: dict[str, Any] = {"width": options.width, "seed": options.seed, "seeds": options.seeds}
    if options.init is not None:
        from dynamics.starts.initializations import default_start

        if options.seeds is not None or options.seed is not None:
            raise DomainError("--init goes with no --seed and no --seeds: see simulate --init")
        start = default_start(network, data, options.init, 100 if options.width is None else options.width)
        u0, random = start.u0, {}
        try:
            prediction = predict(network, data, u0=u0)
        except DomainError as error:
            norms = ", ".join(f"{name} {norm:.3g}" for name, norm in start.u0.items())
            raise DomainError(
                f"{error} (u0 of {options.init}: {norms}); simulate --init {options.init} runs the flow from there"
            ) from None
    else:
        prediction = predict(network, data, u0=u0, **random)
    rate = options.learning_rate
    table = prediction.table if rate is None else prediction.in_steps(rate)
    document = prediction.to_dict()
    if rate is not None:
        doubts = doubts_of_rate(network, data, u0, rate)
        table = replace(table, notes=(*table.notes, *(f"Warning: {w}" for w in doubts)))
        document["warnings"] += doubts
        document["steps"] = {m: finite(t / rate) for m, t in prediction.times.items()}
    raw = options.example is None and not options.standardize
    scaled = both_scalings(network, data, u0) if raw else None
    if scaled is not None:
        document["scalings"] = scaled.to_dict()
    sure = _confidence(options, network, data, u0)
    if sure is not None:
        document["bootstrap"] = sure.to_dict()
    parts = [data, *([start] if start else []), table.text(), *(p for p in (scaled, sure) if p is not None)]
    print(json.dumps(document, indent=2, allow_nan=False) if options.json else "\n\n".join(map(str, parts)))
    return 0


def _confidence(options: argparse.Namespace, network: FusionNetwork, data: Correlations, u0: Any) -> Any:
    """The bootstrap, where it is asked for."""
    if options.bootstrap is None:
        return None
    from dynamics.prediction.resampling import bootstrap

    return bootstrap(network, data, u0=u0, draws=options.bootstrap, progress=_finished_counter("draws"))


def prescribe_command(options: argparse.Namespace) -> int:
    from dynamics.prediction.changes import prescribe

    if options.plot:
        draw_to_files(options.plot, options.data)
    network, data = _problem(options)
    found = prescribe(
        network, data, u0=_u0(options), ratio=options.ratio, width=options.width, block=options.block,
        outputs=options.outputs,
        progress=lambda line: print(f"  {line} ...", file=sys.stderr, flush=True),
    )  # fmt: skip
    if options.plot:
        save_figure(found.plot(), options.plot)
    print(json.dumps(found.to_dict(), indent=2, allow_nan=False) if options.json else f"{data}\n\n{found}")
    return 0


def simulate_command(options: argparse.Namespace) -> int:
    from dynamics.prediction.comparison import run_dict
    from dynamics.simulation.descent import descend
    from dynamics.simulation.flow import integrate
    from dynamics.simulation.reduced import integrate_reduced

    if options.output is not None:
        check_target(options.output, source=options.data)
    network, data = _problem(options)
    if options.learning_rate is not None and options.method != "descent":
        raise DomainError(f"--learning-rate goes with --method descent, got --method {options.method}")
    start: dict[str, Any] = {"u0": _u0(options), "t_end": options.t_end}
    if options.seeds is not None:
        return _simulate_many(options, network, data, start)
    if options.plot is not None:
        raise DomainError("--plot draws an ensemble: give --seeds")
    seed = 0 if options.seed is None else options.seed
    random: dict[str, Any] = {"width": options.width, "seed": seed}
    if options.init is not None:
        from dynamics.starts.initializations import default_weights

        if options.method == "reduced":
            raise DomainError("--init draws random weights; --method reduced starts aligned")
        random = {"weights": default_weights(network, data, options.init, options.width, seed)}
    if options.method == "reduced":
        run = integrate_reduced(network, data, **start)
    elif options.method == "flow":
        run = integrate(network, data, **random, **start)
    else:
        run = descend(network, data, learning_rate=options.learning_rate, **random, **start)
    if options.output:
        run.save(options.output)
    print(json.dumps(run_dict(run), indent=2, allow_nan=False) if options.json else run)
    return 0


def _simulate_many(
    options: argparse.Namespace, network: FusionNetwork, data: Correlations, start: dict[str, Any]
) -> int:
    """An ensemble of random starts."""
    from dynamics.simulation.descent import start_learning_rate
    from dynamics.simulation.ensembles import ensemble

    one_run = (("--seed", options.seed), ("--init", options.init), ("--output", options.output))
    given = [flag for flag, value in one_run if value is not None]
    if given or options.method == "reduced":
        raise DomainError(f"--seeds draws many random starts; it does not go with {(given or ['--method reduced'])[0]}")
    rate = options.learning_rate
    if options.method == "descent" and rate is None:
        rate = start_learning_rate(network, data, start["u0"])
    if options.plot is not None:
        draw_to_files(options.plot, options.data)
    print(f"  drawing {options.seeds} starts ...", file=sys.stderr, flush=True)
    runs = ensemble(
        network,
        data,
        **start,
        width=options.width,
        seeds=options.seeds,
        learning_rate=rate,
        progress=_finished_counter(),
    )
    print(json.dumps(runs.to_dict(), indent=2, allow_nan=False) if options.json else runs)
    if options.plot is not None:
        save_figure(runs.plot(), options.plot)
    return 0


def _finished_counter(what: str = "members") -> Callable[[int, int], None]:
    """How many have finished, on standard error, once for each tenth."""
    told = [0]

    def tell(finished: int, total: int) -> None:
        if finished == total or finished >= told[0] + total / 10:
            told[0] = finished
            end = "\n" if finished == total or not sys.stderr.isatty() else "\r"
            print(f"  {finished} of {total} {what}", end=end, file=sys.stderr, flush=True)

    return tell


def compare_command(options: argparse.Namespace) -> int:
    from dynamics.prediction.comparison import compare

    if options.plot:
        draw_to_files(options.plot, options.data)
    network, data = _problem(options)
    result = compare(
        network,
        data,
        u0=_u0(options),
        width=options.width,
        seeds=options.seeds,
        learning_rate=options.learning_rate,
        progress=lambda line: print(f"  {line} ...", file=sys.stderr, flush=True),
    )
    if options.plot:
        save_figure(result.plot(), options.plot)
    print(json.dumps(result.to_dict(), indent=2, allow_nan=False) if options.json else f"{data}\n\n{result}")
    return 0


def report_command(options: argparse.Namespace) -> int:
    import matplotlib

    from dynamics.interface.commands.source import described
    from dynamics.interface.pages.reports import report

    matplotlib.use("Agg")
    check_target(options.output, source=options.data)
    network, data = _problem(options)
    found = report(
        network, data, u0=_u0(options), width=options.width, seeds=options.seeds, draws=options.bootstrap,
        learning_rate=options.learning_rate, units=options.example is None and not options.standardize,
        source=described(options.data, options.example, options.words), progress=_told("report"),
    )  # fmt: skip
    found.save(options.output)
    print(found.to_json() if options.json else f"{found}\nreport: {options.output}")
    return 0


def fixed_points_command(options: argparse.Namespace) -> int:
    from derivations.critical.manifolds import fixed_points
    from dynamics.interface.pages.critical_table import critical_table, to_dict

    given = options.data is not None or options.example is not None
    if options.plot and not given:
        raise DataError("--plot needs numbers: give a DATA file or --example NAME")
    if options.u0 is not None and not options.plot:
        raise DomainError("--u0 goes with --plot, whose run starts from it; critical points depend on no start")
    if options.plot:
        draw_to_files(options.plot, options.data)
    if given:
        network, data = _problem(options)
    else:
        unused = [flag for flag, value in (("--modality", options.modality), ("--target", options.target)) if value]
        if unused or options.standardize:
            raise DataError(f"{(unused or ['--standardize'])[0]} goes with a DATA file")
        names = tuple(dict.fromkeys(flag.rpartition("=")[0] for flag in options.branch)) or ("A", "B")
        network, data = _network(options, names), None
    manifolds = fixed_points(network, data, options.width)
    if options.plot and data is not None:
        from dynamics.runs.portraits import portrait
        from dynamics.simulation.flow import integrate

        run = integrate(network, data, u0=_u0(options), width=options.width or 100)
        save_figure(portrait(network, data, runs=[run]).plot(), options.plot)
    if options.json:
        print(json.dumps([to_dict(m) for m in manifolds], indent=2, allow_nan=False))
        return 0
    print(critical_table(manifolds))
    if options.equations:
        print("\n".join(["", *(str(stratum) for m in manifolds for stratum in m.strata)]))
    return 0


def figure_command(options: argparse.Namespace) -> int:
    """One figure, or all of them: each is saved as soon as it is done."""
    import matplotlib

    from dynamics.paper.experiments import EXPERIMENTS
    from dynamics.paper.gallery import PICTURED, TRAINED, reproduce

    matplotlib.use("Agg")
    every = options.number == "all"
    if not every and not (options.number.isascii() and options.number.isdigit()):
        raise DomainError(f"figure must be one of {', '.join(map(str, EXPERIMENTS))} or all, got {options.number!r}")
    if every and options.data is not None:
        raise DomainError("--data names the file of one figure; with all the numbers lie beside the pictures")
    targets = {}
    left_out = PICTURED if every and options.images is None else ()  # MNIST's images are not ours to ship
    for n in [n for n in EXPERIMENTS if n not in left_out] if every else (int(options.number),):
        folder = options.output or "."
        picture = os.path.join(folder, f"figure-{n}.png") if every else options.output or f"figure-{n}.png"
        numbers = options.data or f"{os.path.splitext(picture)[0]}.json"
        targets[n] = picture, numbers
        check_figure(picture, "-o")
        check_target(numbers, "--data")
    found = []
    for n, (picture, numbers) in targets.items():
        folders = {"store": options.store if n in TRAINED or not every else None,
                   "images": options.images if n in PICTURED or not every else None}  # fmt: skip
        result = reproduce(n, seeds=options.seeds, progress=_told(f"figure {n}"), **folders)
        save_figure(result.plot(), picture)
        result.save(numbers)
        print(f"  {picture}, {numbers}", file=sys.stderr, flush=True)
        found.append(result)
        if not options.json:
            print(result, end="\n\n" if every else "\n", flush=True)
    if options.json:
        checks = [{"figure": r.number, "holds": r.holds, "checks": [c.to_dict() for c in r.checks]} for r in found]
        print(json.dumps(checks if every else checks[0], indent=2, allow_nan=False))
    return 0 if all(r.holds for r in found) else 1


def _told(what: str) -> Callable[[str], None]:
    """What is being done, on standard error."""
    return lambda line: print(f"  {what}: {line} ...", file=sys.stderr, flush=True)


def sweep_command(options: argparse.Namespace) -> int:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy is there: batches are small, and bytes stay the same
    from dynamics.simulation.sweeps.dataset import save_dataset, summary
    from dynamics.simulation.sweeps.runner import shown, sweep
    from dynamics.simulation.sweeps.spec import read_spec

    if options.heatmap and not options.plot:
        raise DomainError("--heatmap goes with --plot")
    if options.plot:
        draw_to_files(options.plot)
    target = f"{options.output.rstrip('/')}.nc"
    check_target(target, source=options.spec)
    spec = read_spec(options.spec)
    found = sweep(spec, options.output, jobs=options.jobs, scheduler=options.scheduler, progress=shown)
    save_dataset(found, target)
    if options.plot:
        from dynamics.figures.sweeps import Picture, plot_sweep

        save_figure(plot_sweep(found, kind=Picture.HEATMAP if options.heatmap else Picture.LINES), options.plot)
    table = summary(found)
    document = {"result": target, "points": spec.count, "axes": list(spec.axes), "warnings": list(table.notes)}
    document["rows"] = [dict(zip(table.head, row, strict=True)) for row in table.rows]
    print(json.dumps(document, indent=2, allow_nan=False) if options.json else f"{table}\nresult: {target}")
    return 1 if bool((found["status"] == "failed").all()) else 0


def derive_command(options: argparse.Namespace) -> int:
    from derivations.algebra.entry import Status
    from derivations.equations import Ledger, latex_document, ledger, to_dict
    from dynamics.interface.pages.ledger_text import derivation_text, ledger_table

    book = ledger()
    chosen = book.entries if options.number is None else book.derivation(options.number)
    if options.html:
        from dynamics.interface.pages.ledger_html import page

        check_target(options.html, "--html")
        write_whole(options.html, page(Ledger(chosen), progress=_counter(len(chosen))).encode(), "page")
    elif options.json:
        shown = chosen if options.number is None else book.numbered(options.number)
        print(json.dumps([to_dict(entry) for entry in shown], indent=2, allow_nan=False))
    elif options.latex:
        print(latex_document(chosen))
    elif options.number is None:
        print(ledger_table(book).text())
    else:
        print(derivation_text(book, options.number))
    return 1 if any(Status.FAILS in entry.status for entry in chosen) else 0


def _counter(total: int) -> Callable[[str], None]:
    seen = []

    def count(name: str) -> None:
        seen.append(name)
        end = "\n" if len(seen) == total else "\r"
        print(f"  {len(seen)} of {total}: ({name})    ", end=end, file=sys.stderr, flush=True)

    return count
