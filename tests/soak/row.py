"""A line of the scoreboard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """What a measurement found.

    figure : the result in a few words, with its numbers
    misses : one line for each case that is not as the goal says, with what replays it; empty if the goal is met
    """

    figure: str
    misses: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """A property, its goal, and how it is measured.

    whole, share : how many cases in the soak, and in the tests
    measure : of a number of cases and a seed; the same pair gives the same cases
    """

    name: str
    what: str
    goal: str
    whole: int
    share: int
    measure: Callable[[int, int], Outcome]
