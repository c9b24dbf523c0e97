"""Noisy digits: corruption, networks, resumable training."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dynamics import DomainError, StoreError
from dynamics.interface.cli import main
from dynamics.nonlinear.mnist import campaign, training
from dynamics.nonlinear.mnist.campaign import stored, train_missing
from dynamics.nonlinear.mnist.checkpoints import claimed
from dynamics.nonlinear.mnist.corruption import corrupted, normalised
from dynamics.nonlinear.mnist.networks import branch, build, logits
from dynamics.nonlinear.mnist.runs import SHOWN
from dynamics.nonlinear.mnist.setting import FUSIONS, PAPER, Network
from dynamics.nonlinear.mnist.training import Purpose, batch_loss, generator, prepared, train_digits, train_epoch
from tests.digits import ABSENT, SIDE, absent, made_up, small, write_images


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Networks are small here, and other tests run beside these."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def test_shrinking_takes_means_over_squares() -> None:
    images = np.random.default_rng(1).integers(0, 256, (3, 5, 5)).astype(np.uint8)
    found = normalised(images, 2)
    assert found.shape == (3, 2, 2)
    mean = np.mean([int(images[1, y, x]) for y in (2, 3) for x in (0, 1)])
    assert found[1, 1, 0] == pytest.approx((mean / 255 - 0.1307) / 0.3081, rel=1e-5)


def test_corruption_has_the_papers_frequencies_and_our_noise() -> None:
    """Six deviations of 20000 draws, of 0.0035 for a share of 0.6."""
    torch = pytest.importorskip("torch", reason=ABSENT)
    clean = torch.randn((20_000, 1, 6, 6), generator=torch.Generator().manual_seed(0))
    a, b = corrupted(clean, torch.Generator().manual_seed(1))
    in_a, in_b = ((x != clean).flatten(1).any(1) for x in (a, b))
    assert float(in_b.float().mean()) == pytest.approx(0.6, abs=0.021)
    assert float(in_a.float().mean()) == pytest.approx(0.2, abs=0.017)
    assert not bool((in_a & in_b).any())
    for seen, chosen in ((a, in_a), (b, in_b)):
        noise = (seen - 0.1 * clean)[chosen].double()
        assert float(noise.std()) == pytest.approx(0.15, rel=0.01)
        assert abs(float(noise.mean())) < 0.003
    again = corrupted(clean, torch.Generator().manual_seed(1))
    assert torch.equal(again[0], a)
    never = corrupted(clean, torch.Generator().manual_seed(1), 0.0, 0.0)
    assert all(torch.equal(x, clean) for x in never)


# networks


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_dense_network_has_the_papers_layers(fusion: int) -> None:
    pytest.importorskip("torch", reason=ABSENT)
    layers = build(replace(PAPER[Network.MLP], fusion_depth=fusion), 28)
    inputs, outputs = [784, 500, 500, 500, 500], [500, 500, 500, 500, 10]
    streams = [2] * (fusion - 1) + [1] * (6 - fusion)
    wide = [n * (2 if i == fusion - 1 else 1) for i, n in enumerate(inputs)]
    expected = sum(s * (i * o + o) for s, i, o in zip(streams, wide, outputs, strict=True))
    assert sum(p.numel() for p in layers.parameters()) == expected
    assert len(layers) == 4 + fusion


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_convolutional_network_has_the_papers_layers(fusion: int) -> None:
    """28 - 5 * 2 = 18, pooled 9: 81 * 32 = 2592 numbers enter the last layer."""
    torch = pytest.importorskip("torch", reason=ABSENT)
    layers = build(replace(PAPER[Network.CNN], fusion_depth=fusion), 28)
    inputs, streams = [1, 32, 32, 32, 32], [2] * (fusion - 1) + [1] * (6 - fusion)
    wide = [n * (2 if i == fusion - 1 else 1) for i, n in enumerate(inputs)]
    expected = sum(s * (9 * i * 32 + 32) for s, i in zip(streams, wide, strict=True)) + 2592 * 10 + 10
    assert sum(p.numel() for p in layers.parameters()) == expected
    x = torch.zeros((2, 1, 28, 28))
    assert logits(layers, x, x).shape == (2, 10)
    with pytest.raises(DomainError, match="12 x 12 pixels or more, got 10 x 10"):
        build(PAPER[Network.CNN], 10)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_dense_network_is_what_it_says(fusion: int) -> None:
    """Written out in NumPy."""
    torch = pytest.importorskip("torch", reason=ABSENT)
    layers = build(small(fusion_depth=fusion), 6)
    draw = torch.Generator().manual_seed(0)
    a, b = (torch.randn((4, 1, 6, 6), generator=draw) for _ in "AB")
    arrays = {name: (layer.weight.detach().numpy(), layer.bias.detach().numpy()) for name, layer in layers.items()}
    streams = {"A": a.numpy().reshape(4, -1), "B": b.numpy().reshape(4, -1)}
    for m in "AB":
        for number in range(1, fusion):
            w, c = arrays[f"{m}{number}"]
            streams[m] = np.maximum(streams[m] @ w.T + c, 0)
    w, c = arrays["fuse"]
    found = np.hstack([streams["A"], streams["B"]]) @ w.T + c
    for number in range(fusion + 1, 6):
        w, c = arrays[f"trunk{number}"]
        found = np.maximum(found, 0) @ w.T + c
    np.testing.assert_allclose(logits(layers, a, b).detach().numpy(), found, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("network", Network)
@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_modalitys_layers_see_its_images_alone(network: Network, fusion: int) -> None:
    torch = pytest.importorskip("torch", reason=ABSENT)
    layers = build(small(network, fusion_depth=fusion, width=16 if network is Network.MLP else 4), SIDE)
    a = torch.ones((3, 1, SIDE, SIDE), requires_grad=True)
    b = torch.ones((3, 1, SIDE, SIDE), requires_grad=True)
    logits(layers, a, b).sum().backward()
    assert a.grad.abs().sum() > 0
    assert b.grad.abs().sum() > 0
    layers.zero_grad()
    a.grad = b.grad = None
    branch(layers, "A", a).sum().backward()
    moved = {name for name, p in layers.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert {name.split(".")[0] for name in moved} == {f"A{n}" for n in range(1, fusion)}
    assert b.grad is None


def test_a_seed_decides_the_start_and_leaves_other_random_numbers_alone() -> None:
    torch = pytest.importorskip("torch", reason=ABSENT)
    torch.manual_seed(7)
    state = torch.get_rng_state()
    one, same, other = (build(small(seed=seed), SIDE)["fuse"].weight for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), state)


# training


def test_a_step_is_that_of_gradient_descent_with_the_decayed_rate() -> None:
    torch = pytest.importorskip("torch", reason=ABSENT)
    data, setting, epoch = prepared(made_up(), 300, 1), small(), 50
    layers = build(setting, SIDE)
    draw = generator(Purpose.EPOCH, setting.seed, epoch)
    chosen = torch.randperm(300, generator=draw)
    batch_loss(setting, data, layers, chosen, draw).backward()
    expected = [(p - 0.3 * 0.996**epoch * p.grad).detach().clone() for p in layers.parameters()]
    curves: dict[str, list[float]] = {name: [] for name in ("t", "loss", *SHOWN)}
    train_epoch(setting, data, layers, epoch, curves)
    for p, q in zip(layers.parameters(), expected, strict=True):
        torch.testing.assert_close(p.detach(), q)
    assert curves["t"] == [51.0]


def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between epochs, and in the middle of one: 3 batches an epoch, measured at every second step."""
    pytest.importorskip("torch", reason=ABSENT)
    data, setting = prepared(made_up(2500), 2500, 1), small(images=2500, every=2)
    whole = tmp_path / "whole.npz"
    run = train_digits(setting, data, max_epochs=4, checkpoint=whole)
    assert run.t[:7] == pytest.approx([0, 2 / 3, 1, 4 / 3, 2, 8 / 3, 3])
    cut = tmp_path / "cut.npz"

    def kill(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_digits(setting, data, max_epochs=4, checkpoint=cut, progress=kill)
    real, calls = training.measure, []

    def killed_in_an_epoch(*arguments: Any) -> None:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        real(*arguments)

    monkeypatch.setattr(training, "measure", killed_in_an_epoch)
    with pytest.raises(KeyboardInterrupt):
        train_digits(setting, data, max_epochs=4, checkpoint=cut)
    monkeypatch.undo()
    assert len(calls) == 3
    again = train_digits(setting, data, max_epochs=4, checkpoint=cut)
    assert again.to_json() == run.to_json()
    assert cut.read_bytes() == whole.read_bytes()
    longer = train_digits(setting, data, max_epochs=5, checkpoint=cut)
    assert longer.t[-1] == 5
    np.testing.assert_array_equal(longer.loss[: len(run.loss)], run.loss)


def test_a_damaged_or_foreign_checkpoint_is_told(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason=ABSENT)
    data, setting, path = prepared(made_up(), 300, 1), small(), tmp_path / "c.npz"
    train_digits(setting, data, max_epochs=1, checkpoint=path)
    sound = path.read_bytes()
    for place in range(0, len(sound), len(sound) // 40):
        path.write_bytes(sound[:place] + bytes([sound[place] ^ 1]) + sound[place + 1 :])
        with pytest.raises(StoreError, match="damaged: remove it"):
            train_digits(setting, data, max_epochs=2, checkpoint=path)
    path.write_bytes(sound[: len(sound) // 2])
    with pytest.raises(StoreError, match="damaged"):
        train_digits(setting, data, max_epochs=2, checkpoint=path)
    path.write_bytes(sound)
    with pytest.raises(StoreError, match="of another setting"):
        train_digits(replace(setting, seed=1), data, max_epochs=2, checkpoint=path)
    other = prepared(made_up(250), 250, 1)
    with pytest.raises(StoreError, match="of another setting"):
        train_digits(setting, other, max_epochs=2, checkpoint=path)


def test_a_store_trains_what_is_missing_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Templates are learned; the modality that is corrupted less is learned first or at once."""
    pytest.importorskip("torch", reason=ABSENT)
    data, setting = prepared(made_up(4000), 4000, 1), small(images=4000, every=2)
    runs = train_missing(setting, data, tmp_path / "s", seeds=(0, 1), fusions=(1, 5), max_epochs=150)
    assert [(r.setting.seed, r.setting.fusion_depth) for r in runs] == [(0, 1), (0, 5), (1, 1), (1, 5)]
    assert all(run.learned and run.ratio >= 1 for run in runs)
    assert all(run.t[-1] >= 1.1 * max(run.times.values()) for run in runs)
    assert not list((tmp_path / "s").glob("*.npz"))

    def refuse(*arguments: Any, **more: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(campaign, "train_digits", refuse)
    again = train_missing(setting, data, tmp_path / "s", seeds=(0, 1), fusions=(1, 5), max_epochs=150)
    assert [r.to_json() for r in again] == [r.to_json() for r in runs]
    assert sorted(r.to_json() for r in stored(tmp_path / "s")) == sorted(r.to_json() for r in runs)
    with pytest.raises(StoreError, match="no folder"):
        stored(tmp_path / "none")


def test_a_run_is_one_processs_at_a_time(tmp_path: Path) -> None:
    with claimed(tmp_path / "lock") as first:
        assert first
        with claimed(tmp_path / "lock") as second:
            assert not second
    with claimed(tmp_path / "lock") as third:
        assert third


def test_a_diverging_run_is_told() -> None:
    pytest.importorskip("torch", reason=ABSENT)
    from dynamics import SolveError

    with pytest.raises(SolveError, match="learning_rate 1e\\+06 is too large"):
        train_digits(small(learning_rate=1e6), prepared(made_up(), 300, 1), max_epochs=50)


@pytest.mark.parametrize(
    ("change", "text"),
    [({"fusion_depth": 6}, "1 to 5, got 6"), ({"width": 0}, "width must be"), ({"seed": -1}, "seed must be"),
     ({"learning_rate": 0.0}, "learning_rate must be"), ({"b_corrupted": 0.9}, "must be <= 1, got 0.9 \\+ 0.2"),
     ({"every": 0}, "every must be")],
)  # fmt: skip
def test_a_setting_outside_its_domain_is_refused(change: dict[str, Any], text: str) -> None:
    with pytest.raises(DomainError, match=text):
        small(**change)


def test_more_images_than_there_are_is_refused() -> None:
    pytest.importorskip("torch", reason=ABSENT)
    with pytest.raises(DomainError, match="at most the 300 of the file, got 301"):
        prepared(made_up(), 301, 1)
    with pytest.raises(DomainError, match="at most 12, the side"):
        prepared(made_up(), 300, 13)


def test_the_absence_of_pytorch_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("dynamics.nonlinear.mnist.setting.import_module", absent)
    images = write_images(tmp_path / "images", made_up(20, 10))
    assert main(["table", "1", "--images", str(images), "--store", str(tmp_path / "s")]) == 2
    error = capsys.readouterr().err
    assert "pip install 'fusion-dynamics[mnist]'" in error
    assert error.count("\n") == 1
