"""One number that somebody else gave, the function that gives ours, and whether they must agree."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Mark = Literal["published", "secondary", "remembered", "inferred", "computed"]
"""Read in its source; read in somebody's notes on it; remembered, not verified; follows from what
is published; computed by us or with somebody's program, in the way the source says."""

Relation = Literal["equals", "at least", "within a factor"]


@dataclass(frozen=True)
class Agreement:
    """ours() is asserted to be within `tolerance` of `published`, or not less; None: only shown.

    tolerance: absolute, in the unit that `what` names; or the factor, either way. note: what the
    difference comes from.
    """

    machine: str
    what: str
    published: float
    mark: Mark
    source: str
    ours: Callable[[], float]
    tolerance: float | None = None
    relation: Relation = "equals"
    note: str = ""

    @property
    def is_asserted(self) -> bool:
        return self.tolerance is not None

    def holds(self, ours: float) -> bool:
        """Whether `ours` agrees; True where nothing is asserted."""
        if self.tolerance is None:
            return True
        if self.relation == "at least":
            return ours >= self.published - self.tolerance
        if self.relation == "within a factor":
            return 1 / self.tolerance <= ours / self.published <= self.tolerance
        return abs(ours - self.published) <= self.tolerance


@dataclass(frozen=True)
class Finding:
    """An agreement and what we got."""

    agreement: Agreement
    ours: float

    @property
    def holds(self) -> bool:
        return self.agreement.holds(self.ours)

    @property
    def error(self) -> float:
        """Ours − published."""
        return self.ours - self.agreement.published
