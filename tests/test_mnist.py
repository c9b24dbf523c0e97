"""Noisy digits: the reader of IDX files, corruption, networks, resumable training, table 1 and its figures."""

import gzip
import json
import math
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dynamics import DataError, DomainError, StoreError, reproduce
from dynamics.cli import main
from dynamics.nonlinear.idx import Digits, read_idx, read_images
from dynamics.nonlinear.mnist import campaign, training
from dynamics.nonlinear.mnist.campaign import shipped, stored, train_missing
from dynamics.nonlinear.mnist.checkpoints import claimed
from dynamics.nonlinear.mnist.corruption import corrupted, normalised
from dynamics.nonlinear.mnist.families import PRINTED, Family, families, main_family
from dynamics.nonlinear.mnist.linear_theory import covariance, linear_theory, modes, shipped_theory
from dynamics.nonlinear.mnist.networks import branch, build, logits
from dynamics.nonlinear.mnist.runs import SHOWN, DigitRun, crossing, ratio_of, run_from
from dynamics.nonlinear.mnist.setting import FUSIONS, PAPER, Network, Setting
from dynamics.nonlinear.mnist.training import Purpose, batch_loss, generator, prepared, train_digits, train_epoch

SIDE = 12
ABSENT = "PyTorch is absent; CI runs this test where it is installed"


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Networks are small here, and other tests run beside these."""
    if "torch" in sys.modules and sys.modules["torch"] is not None:
        sys.modules["torch"].set_num_threads(1)


def idx_bytes(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


def made_up(count: int = 300, tests: int = 100, side: int = SIDE) -> Digits:
    """Ten templates with a little noise."""
    rng = np.random.default_rng(0)
    templates = rng.integers(0, 2, (10, side, side)) * 200

    def some(n: int) -> tuple[np.ndarray, np.ndarray]:
        labels = (np.arange(n) % 10).astype(np.uint8)
        return np.clip(templates[labels] + rng.integers(0, 56, (n, side, side)), 0, 255).astype(np.uint8), labels

    return Digits(*some(count), *some(tests))


def write_images(folder: Path, digits: Digits, mark: str = "-", packed: bool = False) -> Path:
    folder.mkdir(exist_ok=True)
    arrays = {
        f"train-images{mark}idx3-ubyte": digits.train_images, f"train-labels{mark}idx1-ubyte": digits.train_labels,
        f"t10k-images{mark}idx3-ubyte": digits.test_images, f"t10k-labels{mark}idx1-ubyte": digits.test_labels,
    }  # fmt: skip
    for name, array in arrays.items():
        content = idx_bytes(array)
        (folder / f"{name}{'.gz' if packed else ''}").write_bytes(gzip.compress(content) if packed else content)
    return folder


def small(network: Network = Network.MLP, **changes: Any) -> Setting:
    base = Setting(network, 3, 0, width=16, learning_rate=0.3, images=300, every=1)
    return replace(base, **changes)


# the files


@pytest.mark.parametrize("mark", ["-", "."])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_the_four_files_are_found_under_their_usual_names(tmp_path: Path, mark: str, packed: bool) -> None:
    digits = made_up(30, 10)
    found = read_images(write_images(tmp_path / "images", digits, mark, packed))
    for name in ("train_images", "train_labels", "test_images", "test_labels"):
        np.testing.assert_array_equal(getattr(found, name), getattr(digits, name))
    assert found.side == SIDE


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_damage_at_any_byte_of_the_header_is_refused(tmp_path: Path, packed: bool) -> None:
    sound = idx_bytes(np.arange(60, dtype=np.uint8).reshape(5, 4, 3))
    path = tmp_path / "file"
    for place in range(16):
        for value in {0, 1, 3, 8, 9, 127, 255} - {sound[place]}:
            damaged = sound[:place] + bytes([value]) + sound[place + 1 :]
            path.write_bytes(gzip.compress(damaged) if packed else damaged)
            with pytest.raises(DataError, match="file"):
                read_idx(path)


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_a_truncated_file_and_trailing_bytes_are_refused(tmp_path: Path, packed: bool) -> None:
    sound = idx_bytes(np.arange(60, dtype=np.uint8).reshape(5, 4, 3))
    path = tmp_path / "file"
    whole = gzip.compress(sound) if packed else sound
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match="file"):
            read_idx(path)
    path.write_bytes(gzip.compress(sound + b"x") if packed else sound + b"x")
    with pytest.raises(DataError, match=r"more data|has 77"):
        read_idx(path)


def test_a_damaged_gzip_is_refused_or_harmless(tmp_path: Path) -> None:
    array = np.arange(60, dtype=np.uint8).reshape(5, 4, 3)
    sound, path = gzip.compress(idx_bytes(array)), tmp_path / "file.gz"
    for place in range(len(sound)):
        path.write_bytes(sound[:place] + bytes([sound[place] ^ 0x5A]) + sound[place + 1 :])
        try:
            found = read_idx(path)
        except DataError:
            continue
        np.testing.assert_array_equal(found, array)  # the date, say
        assert place in {4, 5, 6, 7, 8, 9}


def test_what_a_file_only_claims_to_hold_takes_no_memory_and_what_it_hides_is_not_unpacked(tmp_path: Path) -> None:
    import tracemalloc

    head = bytes([0, 0, 8, 3]) + (2000).to_bytes(4, "big") + (1000).to_bytes(4, "big") * 2
    claims, hides = tmp_path / "claims.gz", tmp_path / "hides.gz"
    claims.write_bytes(gzip.compress(head + bytes(10)))
    hides.write_bytes(gzip.compress(idx_bytes(np.zeros((1, 2, 2), np.uint8)) + bytes(200_000_000), compresslevel=1))
    tracemalloc.start()
    with pytest.raises(DataError, match="ends after 10 of 2000000000"):
        read_idx(claims)
    with pytest.raises(DataError, match="more data than its shape"):
        read_idx(hides)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path, text in ((tmp_path, "no plain file"), (pipe, "no plain file"), (tmp_path / "none", "No such file")):
        with pytest.raises(DataError, match=text):
            read_idx(path)
    with pytest.raises(DataError, match="no folder"):
        read_images(tmp_path / "none")
    with pytest.raises(DataError, match="holds no train-images-idx3-ubyte"):
        read_images(tmp_path)


def test_images_and_labels_must_agree() -> None:
    good = made_up(20, 10)
    parts = {name: getattr(good, name) for name in ("train_images", "train_labels", "test_images", "test_labels")}
    bad = {
        "an image each": {"train_labels": good.train_labels[:-1]},
        "0 to 9, got 10": {"test_labels": np.full(10, 10, np.uint8)},
        "side, side": {"train_images": good.train_images[:, :, 1:]},
        "the size of train_images": {"test_images": good.test_images[:, 1:, 1:]},
        "unsigned bytes": {"train_images": good.train_images.astype(float)},
    }
    for text, change in bad.items():
        with pytest.raises(DataError, match=text):
            Digits(**{**parts, **change})


# corruption


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
    monkeypatch.setitem(sys.modules, "torch", None)
    images = write_images(tmp_path / "images", made_up(20, 10))
    assert main(["table", "1", "--images", str(images), "--store", str(tmp_path / "s")]) == 2
    error = capsys.readouterr().err
    assert "pip install 'fusion-dynamics[mnist]'" in error
    assert error.count("\n") == 1


# results


def run_of(a: list[int], b: list[int], fusion: int = 1, seed: int = 0, tests: int = 100) -> DigitRun:
    t = np.arange(len(a), dtype=float)
    correct = {"A and B": np.array(a), "A": np.array(a), "B": np.array(b)}
    origin = {"command": "c", "torch": "t", "version": "v"}
    return DigitRun(small(fusion_depth=fusion, seed=seed), t, np.linspace(2.3, 1, len(a)), correct, tests, origin)


def test_the_ratio_is_later_over_earlier_first_crossing_of_half() -> None:
    run = run_of([10, 30, 70, 40, 80], [10, 20, 30, 45, 65])
    assert run.times == pytest.approx({"A": 1.5, "B": 3.25})
    assert run.order == ("A", "B")
    assert run.ratio == pytest.approx(3.25 / 1.5)
    assert run_of([10, 20, 30, 45, 65], [10, 30, 70, 40, 80]).order == ("B", "A")
    assert crossing([0, 1], [0.5, 0.6]) == 0
    assert crossing([0, 1, 2], [0.1, 0.5, 0.6]) == 1
    assert crossing([0, 1], [0.1, 0.49]) == math.inf


def test_a_ratio_that_is_not_reached_is_said() -> None:
    run = run_of([10, 60, 70], [10, 20, 30])
    assert math.isnan(run.ratio)
    assert not run.learned
    document = json.loads(run.to_json())
    assert document["times"] == {"A": 0.8, "B": "not reached"}
    assert document["ratio"] is None
    assert "not reached" in str(run)
    assert math.isnan(ratio_of({"A": 0.0, "B": 1.0}))
    (family,) = families([run, run_of([10, 60], [10, 90], seed=1)])
    assert "(L_f 1, seed 0, 2 epochs)" in str(family)
    assert family.ratios(1) == pytest.approx([0.8 / 0.5])


def test_a_run_survives_its_file_and_damage_is_told() -> None:
    run = run_of([10, 30, 70], [10, 20, 90])
    text = run.to_json()
    assert run_from(text, "f").to_json() == text
    for bad in (text[:-9], "[]", "{}", text.replace('"seed": 0', '"seed": -1'), text.replace("digits 1", "digits 9"),
                text.replace("[10, 20, 90]", "[10, 20]"), text.replace('"mlp"', '"rnn"')):  # fmt: skip
        with pytest.raises(DataError, match="'f' is no run on noisy digits"):
            run_from(bad, "f")


def test_shipped_runs_are_what_they_say() -> None:
    runs = shipped()
    assert len({run.setting.name for run in runs}) == len(runs) > 0
    for run in runs:
        assert run.setting.key in run.setting.name
        assert run.setting.command in json.loads(run.to_json())["command"]
        assert run.tests == 10_000
        assert run.t[0] == 0
        assert np.all(np.diff(run.t) > 0)
        assert run.loss[0] == pytest.approx(math.log(10), abs=0.02)  # nothing known yet
    main_ones = [main_family(families(runs), network) for network in Network]
    assert all(family is not None and len(family.seeds) >= 3 for family in main_ones)


def test_shipped_theory_is_of_shipped_runs() -> None:
    found = families(shipped(), shipped_theory())
    assert all(family.theory is not None for family in found)
    for theory in shipped_theory():
        for u0, each in theory.ratios.items():
            assert all(ratios[0] == 1 for ratios in each)
            assert u0 > 0.2 or all(list(ratios) == sorted(ratios) for ratios in each)


# linear theory


def test_the_correlations_of_noisy_pairs_are_those_of_samples() -> None:
    """Against 80000 drawn pairs: errors of about 1/sqrt(80000) of an entry's own size."""
    torch = pytest.importorskip("torch", reason=ABSENT)
    digits, setting = made_up(40, 10, 4), small(images=40)
    (data, *_), _ = modes(digits.train_images, digits.train_labels, setting)
    x = normalised(digits.train_images)[:, None]
    many = torch.from_numpy(np.tile(x, (2000, 1, 1, 1)))
    a, b = corrupted(many, torch.Generator().manual_seed(0))
    seen = np.hstack([s.flatten(1).numpy() for s in (a, b)]).astype(float)
    sampled = np.cov(seen.T, bias=True)
    np.testing.assert_allclose(data.sigma, sampled, atol=0.02)
    flat = x.reshape(40, -1).astype(float)
    np.testing.assert_array_equal(data.sigma, covariance(flat.mean(axis=0), flat.T @ flat / 40, setting))
    target = np.eye(10)[np.tile(digits.train_labels, 2000)]
    cross = (target - target.mean(axis=0)).T @ (seen - seen.mean(axis=0)) / len(seen)
    _, strengths, right = np.linalg.svd(cross, full_matrices=False)
    assert data.strength("A") > data.strength("B")
    whole = np.hstack([data.target_block(m)[0] for m in "AB"])
    assert np.linalg.norm(whole) == pytest.approx(strengths[0], rel=0.01)
    assert abs(whole @ right[0]) / np.linalg.norm(whole) > 0.99


def test_the_linear_law_orders_fusion_depths_at_small_starts() -> None:
    digits = made_up(100, 10, 6)
    found = linear_theory(digits.train_images, digits.train_labels, small(images=100))
    assert found.ratios[0.03][0][0] == 1
    assert list(found.ratios[0.03][0]) == sorted(found.ratios[0.03][0])


# commands


def test_the_table_of_shipped_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["table", "1"]) == 0
    text = capsys.readouterr().out
    for network in Network:
        assert network.upper() in text
        for mean, spread in PRINTED[network]:
            assert f"{mean:.2f} ± {spread:.2f}" in text
    assert main(["table", "1", "--network", "mlp", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert all(family["setting"]["network"] == "mlp" for family in document)
    assert [row["fusion_depth"] for row in document[0]["rows"]] == [1, 2, 3, 4, 5]


def test_training_by_command_and_its_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason=ABSENT)
    images, store = write_images(tmp_path / "images", made_up(4000)), tmp_path / "store"
    flags = ["--width", "16", "--learning-rate", "0.3", "--train-images", "4000", "--every", "2", "--seeds", "1"]
    command = ["table", "1", "--images", str(images), "--store", str(store), *flags, "--max-epochs", "150"]
    assert main(command) == 0
    first = capsys.readouterr()
    assert "fusion 5, seed 0: ratio" in first.err
    assert "linear, u0 0.1" in first.out
    assert main(command) == 0
    assert capsys.readouterr().out == first.out
    assert main(["table", "1", "--store", str(store)]) == 0
    picture = tmp_path / "f.png"
    assert main(["figure", "7", "--store", str(store), "-o", str(picture)]) in {0, 1}  # three checks on templates
    assert picture.stat().st_size > 10_000
    assert reproduce(7, store=store).setting["seeds"] == [0]
    with pytest.raises(StoreError, match="no runs of a cnn"):
        reproduce(14, store=store)


def test_figure_13_shows_the_three_kinds(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason=ABSENT)
    images = write_images(tmp_path / "images", made_up(10_000, 10))
    found = reproduce(13, images=images)
    assert found.holds, str(found)
    found.save(tmp_path / "numbers.json")
    panels = json.loads((tmp_path / "numbers.json").read_text())["panels"]
    assert panels["a"]["side"] == SIDE
    picture = tmp_path / "f.png"
    assert main(["figure", "13", "--images", str(images), "-o", str(picture), "--json"]) == 0
    assert picture.stat().st_size > 10_000


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["table", "2"], "table must be 1"),
        (["table", "1", "--width", "9"], "--width is for training: give --images"),
        (["table", "1", "--images", "nowhere"], "--images needs --store"),
        (["table", "1", "--images", "nowhere", "--store", "s", "--seeds", "0"], "seeds must be"),
        (["figure", "13"], "not part of the package"),
        (["figure", "8", "--store", "s"], "store is for figure 7 and 14, got figure 8"),
        (["figure", "7", "--images", "s"], "images is for figure 13, got figure 7"),
    ],
)
def test_what_the_commands_refuse(arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert text in error
    assert error.count("\n") == 1


def test_a_table_is_printed_within_seconds_and_without_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    begin = time.monotonic()
    assert main(["table", "1"]) == 0
    assert time.monotonic() - begin < 20


def test_ranks_tell_order_from_disorder() -> None:
    setting = small().family
    runs = tuple(run_of([10, 60, *[90] * f], [10, *[10] * f, 60], fusion=f) for f in (1, 2, 3))
    assert Family(setting, runs).rank_correlation == pytest.approx(1)
    turned = tuple(
        replace(run, setting=replace(run.setting, fusion_depth=4 - run.setting.fusion_depth)) for run in runs
    )
    assert Family(setting, turned).rank_correlation == pytest.approx(-1)
