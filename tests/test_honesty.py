"""The problems of `make honesty`; a share of them is judged in `tests/test_soak.py`."""

from benchmarks.honesty import problem


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
