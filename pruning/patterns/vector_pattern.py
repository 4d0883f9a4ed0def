"""What patterns of aligned vectors have in common: what decides the orientation of a matrix."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from pruning.patterns.pattern import Break, Pattern, Pool, Target
from pruning.patterns.tile_pattern import broken_vector
from pruning.selection.vectors.simulated import ErrorOf
from pruning.structure.orientation_by_kind import (
    ALONG_THE_STREAM,
    ALONG_UNITS,
    ORIENTATION_BY_KIND,
)
from sparse_formats.errors import SettingError, nearest
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.vectors import ORIENTATIONS, Orientation
from sparse_formats.terminal.settings import option

BY_KIND: Mapping[str, Mapping[str, Orientation]] = {
    "kind": ORIENTATION_BY_KIND,
    "stream": ALONG_THE_STREAM,
    "units": ALONG_UNITS,
}
"""Rules that name an orientation for each kind of matrix."""

RULES = ("importance", *BY_KIND, *ORIENTATIONS)
"""What can decide the orientation of a matrix."""


@dataclass(frozen=True, kw_only=True)
class VectorPattern(Pattern):
    """Aligned vectors or slots, all of a matrix in one orientation.

    orientation: a key of `RULES`. Kinds that a rule does not name are decided by importance.
    settled: orientations that are decided already, by the name of the matrix.
    """

    orientation: str = option(
        "What decides whether the vectors or slots of a matrix are horizontal or vertical. "
        "importance takes what its scores favour. kind lays Q, K, V and the attention output along "
        "the residual stream, and the matrices of the feed-forward layer along its hidden neurons. "
        "stream lays all along the residual stream, units all along heads and hidden neurons. "
        "Matrices of other kinds follow importance.",
        default="importance",
        choices=RULES,
    )
    settled: Mapping[str, Orientation] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if self.orientation not in RULES:
            raise SettingError(
                "orientation", f"is {self.orientation!r}{nearest(self.orientation, RULES)}"
            )

    @abstractmethod
    def favoured(self, targets: Sequence[Target], kept: int) -> list[Orientation]:
        """The orientation that the scores of each matrix favour."""

    def ruled(self, kind: str) -> Orientation | None:
        """The orientation of matrices of a kind, where the rule names one."""
        if self.orientation in BY_KIND:
            return BY_KIND[self.orientation].get(kind)
        return next((o for o in ORIENTATIONS if o == self.orientation), None)

    def allowed(self, name: str, kind: str) -> tuple[Orientation, ...]:
        """The orientations that a matrix may take: one where it is settled or ruled, else both."""
        found = self.settled.get(name) or self.ruled(kind)
        return ORIENTATIONS if found is None else (found,)

    def orientations(self, targets: Sequence[Target], kept: int) -> list[Orientation]:
        """The orientation of each matrix, where `kept` weights of all are to stay."""
        allowed = [self.allowed(t.name, t.kind) for t in targets]
        if all(len(each) == 1 for each in allowed):
            return [each[0] for each in allowed]
        favoured = self.favoured(targets, kept)
        return [
            each[0] if len(each) == 1 else own for each, own in zip(allowed, favoured, strict=True)
        ]

    def settle(self, pools: Sequence[Pool], error_of: ErrorOf | None = None) -> Self:
        """The pattern with the orientations that it has on these scores, from now on."""
        found = {
            target.name: orientation
            for targets, kept in pools
            for target, orientation in zip(targets, self.orientations(targets, kept), strict=True)
        }
        return replace(self, settled={**self.settled, **found})

    def first_broken(self, matrices: Sequence[MaskedMatrix], length: int) -> Break | None:
        """The first vector of `length` that is kept in part, in no orientation allowed."""
        found = (broken_vector(m, length, self.allowed(m.name, m.kind)) for m in matrices)
        return next((b for b in found if b is not None), None)
