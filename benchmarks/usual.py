"""What predictions and single runs cost, and what a process pays before the first one."""

from __future__ import annotations

from benchmarks.timing import Row, medians, process_seconds, shown
from dynamics import (
    Correlations,
    FusionNetwork,
    bootstrap,
    compare,
    descend,
    ensemble,
    integrate,
    integrate_reduced,
    load_example,
    predict,
    prescribe,
    report,
)
from dynamics.prediction.estimates import leading_estimate
from dynamics.problem import Problem
from dynamics.starts.start import aligned_start

DATA = Correlations.scalar(2, 1, 0.5)


def rows() -> list[Row]:
    """Errors are against the same road at a hundredfold tighter tolerance."""
    lazy = "from dynamics import Correlations, FusionNetwork"
    first = f"{lazy}, predict; predict(FusionNetwork.fused_at(2, 2), Correlations.scalar(2, 1, .5))"
    proofs = "from derivations import ledger; [e.status for e in ledger()]"
    found = [
        Row("import dynamics", shown(process_seconds("import dynamics")), "1 s"),
        Row("import, and build network and data", shown(process_seconds(lazy)), "1 s"),
        Row("first predict of a process, imports included", shown(process_seconds(first)), "1.5 s"),
        Row("ledger(), the whole proof run in a fresh process", shown(process_seconds(proofs, 1)), "60 s"),
    ]
    cases = [("(2, 2), u0 = 1e-3", FusionNetwork.fused_at(2, 2), DATA, 1e-3)]
    cases += [("(4, 3), u0 = 1e-2", FusionNetwork.fused_at(4, 3), DATA, 1e-2)]
    cases += [("(4, 4), u0 = 1e-2", FusionNetwork.fused_at(4, 4), DATA, 1e-2)]
    for name in ("diabetes", "star98", "linnerud"):
        data = load_example(name)
        cases.append((f"{name} (2, 2), u0 = 1e-3", FusionNetwork.fused_at(2, 2, data.modalities), data, 1e-3))
    for label, net, data, u0 in cases:
        (cost,) = medians([lambda net=net, data=data, u0=u0: predict(net, data, u0=u0)], 11)
        run, tight = (integrate_reduced(net, data, u0=u0, rtol=r) for r in (1e-8, 1e-11))
        error = max(abs(run.times[m] / tight.times[m] - 1) for m in run.order)
        found.append(Row(f"predict, {label}", shown(cost), "50 ms", error=f"{error:.0e}"))
    (cost,) = medians([lambda: integrate(FusionNetwork.fused_at(2, 2), DATA, u0=1e-3)], 5)
    run, tight = (integrate(FusionNetwork.fused_at(2, 2), DATA, u0=1e-3, rtol=r) for r in (1e-6, 1e-9))
    error = max(abs(run.times[m] / tight.times[m] - 1) for m in run.order)
    found.append(Row("integrate, (2, 2), u0 = 1e-3, width 100", shown(cost), error=f"{error:.0e}"))
    return [*found, *readme_rows()]


def readme_rows() -> list[Row]:
    """What the README's table says of each call, on diabetes."""
    net, made = FusionNetwork.fused_at(2, 2, ("body", "serum")), lambda: load_example("diabetes")
    deep = FusionNetwork.fused_at(4, 4)
    works = {
        "the leading law alone": lambda: leading_estimate(aligned_start(Problem.of(net, made()), 1e-3)),
        "predict(width=100), its spread over seeds among it": lambda: predict(net, made(), width=100),
        "predict(width=100), (4, 4) of scalars, u0 = 0.1": lambda: predict(deep, _scalar(), u0=0.1, width=100),
        "integrate_reduced": lambda: integrate_reduced(net, made()),
        "integrate, width 100": lambda: integrate(net, made()),
        "ensemble of 200, width 100": lambda: ensemble(net, made(), seeds=200),
        "ensemble of 200, width 100, (4, 4) of scalars, u0 = 0.1": lambda: ensemble(deep, _scalar(), u0=0.1, seeds=200),
        "descend, width 100, learning rate 0.02": lambda: descend(net, made(), learning_rate=0.02),
        "compare, 5 seeds": lambda: compare(net, made(), seeds=5),
        "bootstrap of 2000": lambda: bootstrap(net, made(), draws=2000),
        "prescribe": lambda: prescribe(net, made()),
        "prescribe(width=100)": lambda: prescribe(net, made(), width=100),
        "report, as a page": lambda: report(net, made()).html(),
    }
    return [Row(f"diabetes: {what}" if "scalars" not in what else what, shown(cost)) for what, cost in
            zip(works, medians(list(works.values()), 3), strict=True)]  # fmt: skip


def _scalar() -> Correlations:
    return Correlations.scalar(2, 1, 0.5)
