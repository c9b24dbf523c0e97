"""The rows of the scoreboard."""

from __future__ import annotations

import time

from benchmarks import honesty
from tests.soak import (
    engine,
    extremes,
    faults,
    gradients,
    law_times,
    ledger_mutants,
    loading,
    sweeping,
    symmetries,
    trajectories,
)
from tests.soak.row import Outcome, Row

SMALLEST = 1e-4  # u0 in the tests' share of honesty: smaller starts take their judges minutes


def measure_honesty(count: int, seed: int) -> Outcome:
    """Every claimed half-time within its stated bound of a tight integration, or refused."""
    tally = honesty.run(count, seed * 10**6, progress=False, smallest=1e-12 if count > 100 else SMALLEST)
    refused = sum(tally.refused.values())
    figure = (
        f"{count} problems, {tally.within} half-times within their bound, {len(tally.misses)} misses, {refused} refused"
    )
    few = () if tally.within >= count else (f"only {tally.within} half-times were claimed",)
    return Outcome(f"{figure}, {sum(tally.unjudged.values())} claims not judged", (*tally.misses, *few))


#: The longest first, so that two processes end together. A share of 0 is tested elsewhere, a test for each part.
ROWS = (
    Row(
        "honesty",
        "claimed times against a tight full integration from the assumed start",
        "0 misses in 1000 random problems",
        1000,
        5,
        measure_honesty,
    ),
    Row(
        "ledger",
        "the check of each entry fails when its printed or derived form is altered",
        "every entry, every node",
        10**6,
        0,  # tests/test_equations.py, a test for each entry
        ledger_mutants.measure,
    ),
    Row(
        "symmetries",
        "swap, rotate, permute, pad with zeros, units of time, inputs and target; L_f = L, equal depths",
        "500 problems each, 1e-10",
        500,
        0,  # tests/test_soak.py, a test for each problem
        symmetries.measure,
    ),
    Row(
        "fuzz",
        "loaders under atheris: only errors of their own, in one line",
        "1e5 runs a format, under 512 MB",
        100_000,
        0,  # tests/test_fuzz.py: mutants of each kind
        loading.measure_fuzz,
    ),
    Row(
        "kills",
        "kill -9 by another process during a sweep, within batches and between them",
        "200 kills, nothing finished lost, nothing torn, same bytes",
        200,
        1,
        sweeping.measure_kills,
    ),
    Row(
        "trajectories",
        "half-times of the flows against 30-digit Taylor integration",
        "100 problems, 1e-9",
        100,
        2,
        trajectories.measure,
    ),
    Row(
        "law-times",
        "closed-form times against 30 digits, 2 to 100 layers, u0 from 1e-12 to 1",
        "1000 problems, 1e-12 in ln t_A and ln(ratio - 1)",
        1000,
        20,
        law_times.measure,
    ),
    Row(
        "monitors",
        "balance drift, energy identity, run at a tenth of the tolerance",
        "each at most 100 rtol",
        100,
        3,
        engine.measure_monitors,
    ),
    Row(
        "writes",
        "a disk full at each of the first 20 writes; 4 writers of 20 batches",
        "nothing lost, nothing torn",
        20,
        0,  # tests/dynamics/simulation/sweeps/test_sweeps.py: a real limit, and two writers
        sweeping.measure_writes,
    ),
    Row(
        "csv",
        "a CSV of 2 GB",
        "under 300 MB of memory",
        2000,
        0,  # tests/dynamics/data/test_reading.py: a smaller one, with less kept
        loading.measure_csv,
    ),
    Row(
        "methods",
        "batched integrator: order of its methods, error in proportion to the tolerance over six decades",
        "order +-0.1, errors at most 100 rtol",
        20,
        1,
        engine.measure_methods,
    ),
    Row(
        "plateau",
        "ratio - 1 of 1e-4 against 30 digits, t_B times the fastest rate of 1e15 against (9)",
        "1e-7 and 1e-6, in 10 s",
        20,
        1,
        extremes.measure_plateau,
    ),
    Row(
        "depth",
        "laws of 1000 layers against 30 digits; runs of 64 layers against the reduced flow",
        "1e-12; 1e-3 at rtol 1e-5",
        100,
        6,
        extremes.measure_depth,
    ),
    Row(
        "gradients",
        "the flow against complex steps of the loss, every layer of random trees",
        "1000 shapes, 1e-13",
        1000,
        50,
        gradients.measure,
    ),
    Row(
        "reproducibility",
        "one process and two, fork and spawn, one BLAS thread and four, three hash seeds",
        "same bytes",
        3,
        1,
        sweeping.measure_reproducibility,
    ),
    Row(
        "faults",
        "variants of found faults: keys, grids, numbers, masks, samples, indexes, units, tables, names, terminals",
        "1000 variants, no traceback, nothing accepted silently, none beyond 5 s",
        1000,
        10,
        faults.measure,
    ),
    Row(
        "stores",
        "batches flipped, cut, swapped, of another sweep; manifests flipped, cut, gone",
        "200 stores, nothing accepted silently, no sound batch run again",
        200,
        3,
        faults.measure_stores,
    ),
    Row(
        "growth",
        "memory of long sweeps",
        "under 5 MB a 1000 points",
        5000,
        800,
        sweeping.measure_growth,
    ),
)  # fmt: skip


def measured(row: Row, count: int, seed: int) -> tuple[Outcome, float]:
    """What a row finds, and the seconds it took. An error is a miss."""
    begin = time.monotonic()
    try:
        outcome = row.measure(count, seed)
    except Exception as error:
        outcome = Outcome("stopped by an error", (f"{type(error).__name__}: {error}",))
    return outcome, time.monotonic() - begin
