"""Gradient descent against the flow, the samples and another library."""

import numpy as np
import pytest

from derivations import Correlations, DomainError, FusionNetwork, SolveError
from dynamics import descend, integrate, load_example, random_weights

LATE = FusionNetwork.fused_at(2, 2)
DATA = Correlations.scalar(2, 1, 0.5)


@pytest.mark.parametrize("net", [LATE, FusionNetwork.fused_at(3, 2)], ids=["(2, 2)", "(3, 2)"])
def test_descent_tends_to_the_flow_at_first_order(net: FusionNetwork) -> None:
    """Halving the learning rate halves the error of a half-time: ratios 2 up to second-order terms."""
    weights = random_weights(net, DATA, 0.2, width=5, seed=0)
    flow = integrate(net, DATA, weights=weights, rtol=1e-11)
    for m in "AB":
        errors = [
            descend(net, DATA, weights=weights, learning_rate=rate).times[m] - flow.times[m]
            for rate in (0.004, 0.002, 0.001)
        ]
        assert errors[0] / errors[1] == pytest.approx(2, rel=0.05)
        assert errors[1] / errors[2] == pytest.approx(2, rel=0.05)


def test_descent_on_samples_takes_the_same_steps() -> None:
    rng = np.random.default_rng(0)
    x, z = rng.normal(size=(30, 2)), rng.normal(size=(30, 1))
    data = Correlations.from_samples({"A": x, "B": z}, x @ [1.0, 0.5] + 0.3 * z[:, 0] + rng.normal(size=30))
    runs = [descend(LATE, data, u0=1e-2, width=6, seed=2, learning_rate=0.02, on_samples=on) for on in (False, True)]
    for m in "AB":
        np.testing.assert_allclose(runs[0].total[m], runs[1].total[m], rtol=1e-8, atol=1e-10)
    with pytest.raises(DomainError, match="on_samples needs Correlations made by from_samples"):
        descend(LATE, DATA, on_samples=True)


def test_descent_takes_pytorchs_steps() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is absent; CI runs this test where it is installed")
    data = load_example("linnerud")
    net = FusionNetwork.fused_at(3, 2, data.modalities)
    start = random_weights(net, data, 0.3, width=7, seed=4)
    leaves = {n: [torch.tensor(w, requires_grad=True) for w in ws] for n, ws in start.items()}
    x = {m: torch.tensor(np.array(block)) for m, block in data.samples.inputs.items()}
    y = torch.tensor(np.array(data.samples.targets))
    optimiser = torch.optim.SGD([w for ws in leaves.values() for w in ws], lr=0.05)
    for _ in range(300):
        hidden = sum(x[m] @ leaves[m][0].T @ leaves[m][1].T for m in x)
        loss = torch.mean((y - hidden @ leaves["trunk"][0].T) ** 2) / 2
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    run = descend(net, data, weights=start, learning_rate=0.05, t_end=15)
    for m in x:
        total = leaves["trunk"][0] @ leaves[m][1] @ leaves[m][0]
        np.testing.assert_allclose(run.total[m][-1], total.detach().numpy()[0], rtol=1e-9)


def test_finite_learning_rate_shortens_the_ratio_as_known() -> None:
    """Two layers, learning rate 0.04 at sigma = (2, 1):

    Leading order: 1 + [ln(1 + eta a) - ln(1 + eta b)]/ln(1 + eta r).

    The law and the run both lose terms of order 1/ln(1/u0); their shift against the flow is compared.
    """
    eta, a, b, r = 0.04, 5.0, 2.0, 0.75
    weights = random_weights(LATE, DATA, 1e-9, width=5, seed=0)
    flow = integrate(LATE, DATA, weights=weights, rtol=1e-10)
    run = descend(LATE, DATA, weights=weights, learning_rate=eta)
    law = 1 + (np.log1p(eta * a) - np.log1p(eta * b)) / np.log1p(eta * r)
    assert run.ratio / flow.ratio == pytest.approx(law / 5, rel=0.01)
    assert run.ratio < 0.96 * flow.ratio


def test_divergence_and_budget_are_said() -> None:
    with pytest.raises(SolveError, match=r"diverged at step .*: learning_rate 2 is too large"):
        descend(LATE, DATA, u0=0.1, width=5, learning_rate=2.0)
    short = descend(LATE, DATA, width=5, max_steps=10)
    assert short.status == dict.fromkeys("AB", "not reached")
    assert "not reached by step 10" in short.warnings[-1]
    for t_end in (float("nan"), float("inf"), -1, "x"):
        with pytest.raises(DomainError, match="t_end must be"):
            descend(LATE, DATA, t_end=t_end)
    with pytest.raises(DomainError, match="learning_rate must be positive, got 0"):
        descend(LATE, DATA, learning_rate=0)


def test_default_learning_rate_scales_with_the_data() -> None:
    rates = [
        descend(LATE, d, u0=0.01, width=5, t_end=1.0).provenance["learning_rate"]
        for d in (DATA, DATA.rescaled({"A": 10, "B": 10}))
    ]
    assert rates[0] / rates[1] == pytest.approx(10, rel=1e-9)


def test_long_runs_are_thinned_but_end_at_the_end() -> None:
    run = descend(LATE, DATA, width=3, learning_rate=1e-3)
    assert len(run.t) <= 4001
    assert run.t[-1] == pytest.approx(run.monitors["steps"] * 1e-3)
    assert run.loss[-1] <= 1.01e-6 * run.loss[0]


def test_descent_never_passes_t_end() -> None:
    assert descend(LATE, DATA, u0=0.5, width=5, learning_rate=0.4, t_end=0.5).t[-1] == pytest.approx(0.4)
    assert descend(LATE, DATA, u0=0.5, width=5, learning_rate=0.1, t_end=0.5).t[-1] == pytest.approx(0.5)


@pytest.mark.parametrize(("depth", "fused", "u0"), [(2, 2, 0.05), (3, 3, 0.3), (4, 2, 0.4), (4, 3, 0.4), (4, 4, 0.5)])
def test_narrow_descent_reaches_half_levels_in_pytorchs_step(depth: int, fused: int, u0: float) -> None:
    """Identical weights, width 50, three seeds: the step of each half-level is that of autograd at full width."""
    torch = pytest.importorskip("torch", reason="PyTorch is absent; CI runs this test where it is installed")
    net, data, rate = FusionNetwork.fused_at(depth, fused), Correlations.scalar(2, 1, 0.3), 0.02
    sigma, target = torch.tensor(np.array(data.sigma)), torch.tensor(np.array(data.sigma_yx))
    plateaus = {"A": data.unimodal("A")[0], "B": data.optimum[1]}
    for seed in range(3):
        start = random_weights(net, data, u0, width=50, seed=seed)
        leaves = {n: [torch.tensor(w, requires_grad=True) for w in ws] for n, ws in start.items()}
        optimiser = torch.optim.SGD([w for ws in leaves.values() for w in ws], lr=rate)
        found: dict[str, int] = {}
        for step in range(20_000):
            rows = []
            for m in "AB":
                product = leaves[m][0]
                for layer in (*leaves[m][1:], *leaves["trunk"]):
                    product = layer @ product
                rows.append(product[0, 0])
            total = torch.stack(rows)
            for m, weight in zip("AB", total.tolist(), strict=True):
                if weight / plateaus[m] >= 0.5:
                    found.setdefault(m, step)
            if len(found) == 2:
                break
            optimiser.zero_grad()
            (total @ sigma @ total / 2 - total @ target).backward()
            optimiser.step()
        run = descend(net, data, weights=start, learning_rate=rate)
        assert {m: int(np.ceil(t / rate - 1e-9)) for m, t in run.times.items()} == found
        assert run.provenance["start"] == "given"
        assert (run.monitors["compression"] > 0) == (depth > 2)
