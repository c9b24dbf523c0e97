"""Problem: a network and the correlations that it learns from, checked once, and what follows from the two."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from derivations import Correlations, DomainError, FusionNetwork
from derivations.correlations import require_problem
from derivations.critical.saddles import Course, aligned_signs, course
from derivations.terms import PLAIN, Terms

MOST_COURSES = 64  # kept of one problem: a prescription asks for some forty starts


@dataclass(frozen=True, eq=False)
class Problem:
    """A network and numeric correlations of the same modalities; made at the door of every public function by `of`.

    What follows from the data alone (regressions, spectrum) is kept by `Correlations`; what follows from both is kept
    here, and the problem itself with the data, so that all roads to one question share it.

    terms : what training adds to the gradient flow, of a `Recipe`
    """

    network: FusionNetwork
    data: Correlations
    terms: Terms = PLAIN

    @classmethod
    def of(cls, network: FusionNetwork, data: Correlations, terms: Terms = PLAIN) -> Problem:
        """The problem of a user's arguments.

        Raises
        ------
        DomainError
            Unless they are a network and correlations of the same modalities, in the same order, and in numbers.
        """
        require_problem(network, data)
        for name, value in (("sigma and sigma_yx", data), ("depth and fusion_depth", network)):
            if value.is_symbolic:
                raise DomainError(f"this needs numbers for {name}, got symbols; see derivations.reduce")
        key = ("problem", network, terms)
        if key not in data.kept:
            data.kept[key] = cls(network, data, terms)
        found: Problem = data.kept[key]
        return found

    def on(self, data: Correlations) -> Problem:
        """The same network and training on other data."""
        return Problem.of(self.network, data, self.terms)

    def in_network(self, network: FusionNetwork) -> Problem:
        """The same data with another network; decay of branches goes with it where all layers have one."""
        rates = {rate for _, rate in self.terms.decay}
        if len(rates) > 1:
            raise DomainError("layers decay at rates of their own: another network has other layers")
        return Problem.of(network, self.data, Terms.of(network, max(rates, default=0.0), {}, self.terms.modulation))

    @cached_property
    def aligned_signs(self) -> dict[str, float]:
        """Signs that an aligned balanced start keeps."""
        return aligned_signs(self.network, self.data)

    @cached_property
    def _courses(self) -> dict[tuple[float, ...], Course]:
        return {}

    def course(self, norms: Mapping[str, float], signs: Mapping[str, float]) -> Course:
        """What a start with these norms of the layers before a fusion learns, worked out once; see `saddles.course`."""
        modalities = self.data.modalities
        key = *(norms[m] for m in modalities), *(signs.get(m, 0.0) for m in modalities)
        if key not in self._courses:
            if len(self._courses) == MOST_COURSES:
                del self._courses[next(iter(self._courses))]
            self._courses[key] = course(self.network, self.data, norms, signs, self.terms)
        return self._courses[key]
