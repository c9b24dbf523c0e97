"""A small share of every row of the scoreboard (`make soak` runs the whole): the same code, a fixed seed."""

import json

import mpmath as mp
import numpy as np
import pytest

from tests.cases import SOAK
from tests.soak import __main__ as command
from tests.soak import symmetries
from tests.soak.board import ROWS, measured
from tests.soak.row import Outcome, Row
from tests.taylor import half_times


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("row", [row for row in ROWS if row.share], ids=lambda row: row.name)
def test_a_share_of_the_scoreboard(row: Row) -> None:
    assert row.measure(row.share, 1).misses == ()


#: found by the board: BDF missed by 100 times a tolerance of 1e-12, LSODA by 1500 times
CASES = [*((case, 1) for case in range(20 if SOAK else 3)), (149, 859754), (40, 197750)]


@pytest.mark.parametrize(("case", "seed"), CASES)
def test_symmetries_change_no_answer(case: int, seed: int) -> None:
    assert list(symmetries.broken(case, seed)) == []


def test_the_taylor_integration_is_mpmaths() -> None:
    """odefun at 25 digits on the logarithms of the norms: half of a plateau at the half-time, to 18 digits."""
    depth, fused, u0 = 3, 2, 0.3
    sigma, sigma_yx, plateaus = [[4.0, 1.0], [1.0, 1.0]], [5.0, 2.0], [1.25, 1.0]
    found = half_times(sigma, sigma_yx, u0, plateaus, fused, depth - fused)
    with mp.workdps(25):

        def norms(x):
            u_a, u_b = mp.exp(x[0]), mp.exp(x[1])
            return u_a, u_b, mp.sqrt(u_a**2 + u_b**2) ** (depth - fused)

        def rhs(_, x):
            u_a, u_b, trunk = norms(x)
            w_a, w_b = u_a**fused * trunk, u_b**fused * trunk
            return [u_a ** (fused - 2) * trunk * (5 - 4 * w_a - w_b), u_b ** (fused - 2) * trunk * (2 - w_a - w_b)]

        solution = mp.odefun(rhs, 0, [mp.log(mp.mpf(u0))] * 2, tol=mp.mpf(10) ** -20)
        for i, (time, plateau) in enumerate(zip(found, plateaus, strict=True)):
            reached = norms(solution(time))
            assert abs(reached[i] ** fused * reached[2] - mp.mpf(plateau) / 2) < mp.mpf(10) ** -18


def test_the_board_says_what_missed_and_how_to_replay_it(tmp_path, monkeypatch, capfd) -> None:
    """Two rows that end at once: one sound, one not. An error is a miss, an interrupted board goes on."""
    good = Row("good", "what", "goal", 3, 1, lambda count, seed: Outcome(f"{count} of seed {seed}"))
    bad = Row("bad", "what", "goal", 2, 1, lambda count, seed: Outcome("off | by one", ("case 1",)))
    raising = Row("raising", "what", "goal", 2, 1, lambda count, seed: Outcome(str(1 // 0)))
    monkeypatch.setattr(command, "ROWS", (good, bad, raising))
    monkeypatch.setattr(command, "NAMES", ["good", "bad", "raising"])
    assert "ZeroDivisionError" in measured(raising, 1, 0)[0].misses[0]
    seed, found = command.begun(None, tmp_path)
    assert found == {}
    for row in ("good", "bad"):
        command.one(row, seed, tmp_path)
    again, found = command.begun(None, tmp_path)
    assert again == seed
    assert set(found) == {"good", "bad"}
    text = command.board(found, seed)
    assert f"| good | what | goal | 3 of seed {seed} | 0 |" in text
    assert r"off \| by one | 1 |" in text
    assert "- case 1" in text
    assert command.begun(seed + 1, tmp_path) == (seed + 1, {})


def test_a_row_that_is_none_is_named(monkeypatch, capsys) -> None:
    monkeypatch.setattr("sys.argv", ["soak", "--rows", "kills,nonsense"])
    with pytest.raises(SystemExit):
        command.main()
    assert "got 'nonsense'" in capsys.readouterr().err


def test_problems_are_made_anew_from_their_seed() -> None:
    """What replays a miss: the same seed and case give the same problem."""
    one, two = (symmetries.problem(np.random.default_rng([7, 3]), 3) for _ in range(2))
    assert one.net == two.net
    np.testing.assert_array_equal(one.data.sigma, two.data.sigma)
    assert json.dumps(one.u0) == json.dumps(two.u0)
