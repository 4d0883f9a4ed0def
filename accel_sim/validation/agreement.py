"""A number to be met, who it is from, the function that gives ours, and whether they must agree."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Mark = Literal["published", "secondary", "remembered", "inferred", "computed"]
"""Read in its source; read in somebody's notes on it; remembered, not verified; follows from what
is published; computed by us or with somebody's program, in the way the source says."""

Witness = Literal["program", "paper", "own"]
"""Who a number is from, and so what meeting it proves."""

WITNESSES: dict[Witness, str] = {
    "program": "Somebody else's program or table: what it counted or measured",
    "paper": "A number that a paper or its authors' notes give",
    "own": "Our own closed forms, relations and earlier programs: they prove that the code does "
    "what is written, and nothing about a machine that was built",
}
"""Headings of the tables of `validate`, in their order."""

Relation = Literal["equals", "at least", "within a factor"]


@dataclass(frozen=True)
class Agreement:
    """ours() is asserted to be within `tolerance` of `theirs`, or not less; None: only shown.

    tolerance: absolute, in the unit that `what` names; or the factor, either way. note: what the
    difference comes from. from_program: somebody else's program gave the number, or a table that it
    or a measurement filled.
    """

    machine: str
    what: str
    theirs: float
    mark: Mark
    source: str
    ours: Callable[[], float]
    tolerance: float | None = None
    relation: Relation = "equals"
    note: str = ""
    from_program: bool = False

    @property
    def witness(self) -> Witness:
        """What was computed by no other program, or only follows from a text, is our own."""
        if self.from_program:
            return "program"
        return "own" if self.mark in ("computed", "inferred") else "paper"

    @property
    def is_asserted(self) -> bool:
        return self.tolerance is not None

    def holds(self, ours: float) -> bool:
        """Whether `ours` agrees; True where nothing is asserted."""
        if self.tolerance is None:
            return True
        if self.relation == "at least":
            return ours >= self.theirs - self.tolerance
        if self.relation == "within a factor":
            return 1 / self.tolerance <= ours / self.theirs <= self.tolerance
        return abs(ours - self.theirs) <= self.tolerance


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
        """Ours − theirs."""
        return self.ours - self.agreement.theirs
