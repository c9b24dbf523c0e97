"""Running a sweep: batches to workers on this machine or on a cluster, each stored as it finishes."""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
import time
from asyncio import CancelledError
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from derivations import Correlations, DataError, DomainError, SolveError, StoreError
from dynamics.checks import checked_call, checked_integer
from dynamics.messages import aside, one_line
from dynamics.provenance import _version
from dynamics.recipe import Recipe
from dynamics.simulation.sweeps.dataset import assembled, require_xarray
from dynamics.simulation.sweeps.spec import Point, Spec, make_spec, read_spec
from dynamics.simulation.sweeps.store import open_store, read_batch, write_batch
from dynamics.simulation.sweeps.work import Result, attempted, modalities_of

if TYPE_CHECKING:
    import xarray

AGAIN = "what is finished is in the store, the same command goes on from there"
WORKERS_WAIT = 60  # seconds
#: finished batches, all batches, seconds left (nan while not known)
Progress = Callable[[int, int, float], None]


def sweep(
    spec: Spec | Mapping[str, Any] | str | os.PathLike[str],
    store: str | os.PathLike[str] | None = None,
    *,
    data: Correlations | None = None,
    jobs: int = 1,
    scheduler: str | None = None,
    progress: Progress | None = None,
    recipe: Recipe | None = None,
) -> xarray.Dataset:
    """Half-times over a grid or a list of parameters, as an xarray.Dataset.

    Parameters
    ----------
    spec : a TOML file, or its sections as a mapping: [network] depth, fusion_depth; [data] sigma_a, sigma_b, rho, w_a,
        w_b, or example, factor; [start] u0, width, seed; [recipe] weight_decay, unimodal_loss, ogm, and of the last
        modality rate, dropout; [run] learning_rate (0: gradient flow), rtol. A list of values makes an axis;
        layout = "list" pairs lists instead of combining them
    store : a folder that keeps what is finished; a run that was killed goes on from there. None keeps nothing
    data : Correlations of one's own, instead of the data parameters
    jobs : processes on this machine
    scheduler : address of a Dask scheduler, whose workers run the batches instead
    progress : called with finished batches, all batches and the seconds left, nan while not known
    recipe : how all points are trained, but for what [recipe] says; goes with a mapping

    Returns
    -------
    xarray.Dataset
        half_time, status (modality and the axes), ratio, lag, balance, steps, compression (the axes), with units;
        `attrs` hold the spec, the version and all warnings. `to_netcdf(engine="scipy")` needs no netCDF4.

    Raises
    ------
    DataError, DomainError
        On a spec that is no sweep.
    StoreError
        On a folder of another sweep or version, or a disk that is full.

    Examples
    --------
    >>> found = sweep({"sigma_a": 2.0, "rho": [0.0, 0.5], "seed": [0, 1], "u0": 1e-6})  # doctest: +SKIP
    >>> found["ratio"].mean("seed").values.round(1).tolist()  # doctest: +SKIP
    [4.0, 5.0]
    """
    plan = _spec(spec, data, recipe)
    jobs = checked_integer(jobs, "jobs", 1)
    # before the work: whether there is such an example, what all points are trained with, and what the result needs
    plan.recipe.require_modalities(modalities_of(plan.fixed, plan.data))
    require_xarray()
    batches = plan.batches()
    folder = open_store(store, plan, len(batches)) if store is not None else None
    kept = {} if folder is None else {i: read_batch(folder, plan, i) for i in range(len(batches))}
    found = {i: batch for i, batch in kept.items() if batch is not None}
    begin, tell = time.monotonic(), checked_call(progress)
    tell(len(found), len(batches), math.nan)
    missing = [i for i in range(len(batches)) if i not in found]
    pending = ((i, plan.at(batches[i])) for i in missing)
    for i, result in _run(pending, plan, jobs if len(missing) > 1 else 1, scheduler) if missing else ():
        if folder is not None:
            write_batch(folder, plan, i, *result)
        found[i] = result
        made, open_ones = len(found) - (len(batches) - len(missing)), len(batches) - len(found)
        tell(len(found), len(batches), (time.monotonic() - begin) / made * open_ones)
    return assembled(plan, batches, found)


def _spec(
    spec: Spec | Mapping[str, Any] | str | os.PathLike[str], data: Correlations | None, recipe: Recipe | None
) -> Spec:
    given = "data" if data is not None else "recipe" if recipe is not None else None
    if isinstance(spec, Spec):
        if given:
            raise DataError(f"{given} goes with a mapping; this spec is made already")
        return spec
    if isinstance(spec, Mapping):
        return make_spec(spec, data, recipe)
    if given:
        raise DataError(f"{given} goes with a mapping, not with a file")
    return read_spec(spec)


def one_batch(
    number: int, points: list[Point], data: Correlations | None, recipe: Recipe, version: str
) -> tuple[int, tuple[Result, list[str]]]:
    """What a worker runs: one thread, so that bytes do not depend on the machine's threads."""
    if version != _version():
        raise SolveError(f"a worker has fusion-dynamics {_version()}, this is {version}: not mixed")
    with single_thread():
        return number, attempted(points, data, recipe)


def single_thread() -> AbstractContextManager[Any]:
    libraries = _numeric_libraries()
    limited: AbstractContextManager[Any] = nullcontext() if libraries is None else libraries.limit(limits=1)
    return limited


@cache
def _numeric_libraries() -> Any:
    """Found once in a process; None without threadpoolctl."""
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return None
    with held_interrupts():
        return ThreadpoolController()


@contextmanager
def held_interrupts() -> Iterator[None]:
    """An interrupt that comes inside is raised at the end: in a callback from C, Python would drop it."""
    before = signal.getsignal(signal.SIGINT)
    if before is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: arrived.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if arrived:
        signal.raise_signal(signal.SIGINT)


def _run(
    pending: Iterable[tuple[int, list[Point]]], plan: Spec, jobs: int, scheduler: str | None
) -> Iterator[tuple[int, tuple[Result, list[str]]]]:
    """Batches as they finish."""
    if jobs == 1 and scheduler is None:
        for number, points in pending:
            yield one_batch(number, points, plan.data, plan.recipe, _version())
        return
    if scheduler is not None:
        yield from _on_cluster(pending, plan, scheduler)
        return
    try:
        from joblib import Parallel, delayed, parallel_config
        from joblib.externals.loky.process_executor import BrokenProcessPool
    except ImportError:
        raise DomainError("more than one process needs joblib: pip install 'fusion-dynamics[sweep]'") from None
    tasks = (delayed(one_batch)(number, points, plan.data, plan.recipe, _version()) for number, points in pending)
    try:
        with parallel_config(backend="loky", inner_max_num_threads=1):
            yield from Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1)(tasks)
    except BrokenProcessPool:
        raise SolveError(f"a worker process was killed, for want of memory perhaps: {AGAIN}") from None


def _on_cluster(
    pending: Iterable[tuple[int, list[Point]]], plan: Spec, scheduler: str
) -> Iterator[tuple[int, tuple[Result, list[str]]]]:
    """On the workers of a Dask scheduler, which may come and go: two batches a thread are on their way at a time."""
    try:
        from distributed import Client, wait
    except ImportError:
        raise DomainError("a scheduler needs Dask: pip install 'fusion-dynamics[cluster]'") from None
    try:
        client = Client(scheduler, timeout=20)
    except (OSError, ValueError) as error:
        raise DomainError(f"no Dask scheduler at {scheduler!r}: {str(error).splitlines()[0]}") from None
    left, running = iter(pending), set[Any]()
    try:
        with client:
            client.wait_for_workers(1, timeout=WORKERS_WAIT)
            while True:
                open_places = 2 * max(1, sum(client.ncores().values())) - len(running)
                for number, points in islice(left, max(0, open_places)):
                    task = (number, points, plan.data, plan.recipe, _version())
                    running.add(client.submit(one_batch, *task, pure=False))
                if not running:
                    return
                try:
                    done = wait(running, WORKERS_WAIT, "FIRST_COMPLETED").done
                except TimeoutError:
                    if client.ncores():  # at work on a long batch
                        continue
                    raise
                running -= done
                yield from (future.result() for future in done)
    except TimeoutError:
        raise SolveError(f"no worker at the Dask scheduler {scheduler!r} for {WORKERS_WAIT} s: {AGAIN}") from None
    except (DataError, DomainError, SolveError, StoreError):
        raise
    except (Exception, CancelledError) as error:  # Dask leaks many kinds, a worker with another package or none more
        why = one_line(f"{type(error).__name__}: {error}", 120)
        raise SolveError(f"the cluster failed: {why}; its workers need fusion-dynamics {_version()}; {AGAIN}") from None


def shown(done: int, count: int, left: float) -> None:
    """Progress on standard error, with the time left."""
    rest = f", {left:.0f} s left" if done < count and math.isfinite(left) else ""
    end = "\n" if done == count or not sys.stderr.isatty() else "\r"
    aside(f"  {done} of {count} batches{rest}   ", end)
