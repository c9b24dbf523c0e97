"""A small share of `make honesty`: random problems, every claimed half-time within its stated bound."""

from benchmarks.honesty import problem, run


def test_no_claim_misses_its_bound() -> None:
    tally = run(count=10, seed=500_000, progress=False, smallest=1e-4)  # smaller starts take their judges minutes
    assert tally.misses == []
    assert tally.within >= 25
    assert sum(tally.refused.values()) <= 2


def test_the_problems_are_what_they_are_said_to_be() -> None:
    problems = [problem(seed) for seed in range(300)]
    assert {len(p.network.modalities) for p in problems} == {2, 3, 4}
    assert {max(p.network.path_depths.values()) for p in problems} == {2, 3, 4, 5, 6}
    assert {d for p in problems for d in p.data.sizes.values()} == {1, 2, 3, 4, 5}
    assert min(p.u0 for p in problems) < 1e-11
    assert max(p.u0 for p in problems) > 0.1
    assert any(len(set(p.network.depths.values())) > 1 for p in problems)
    assert any(p.network.is_early_fusion for p in problems)
    assert 100 < sum(p.width is None for p in problems) < 200
