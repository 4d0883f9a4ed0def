"""What a pattern is: where kept weights may lie, how to choose them, how to tell a mask that fits.

A pattern sees the matrices of one budget and an amount to keep; how amounts and budgets come
about is none of its business (`pruning.budgets`).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from pruning.selection.vectors.simulated import ErrorOf
from pruning.structure.couplings import Unit
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.slots import Slots
from sparse_formats.masks.vectors import VectorLayout
from sparse_formats.storage import Storage


@dataclass(frozen=True, eq=False)
class Target:
    """A matrix as a pattern sees it: scores are importances ≥ 0, float32 (out, in)."""

    name: str
    kind: str
    scores: NDArray[np.float32]


Pool = tuple[Sequence[Target], int]
"""Matrices that share a budget, and how many weights they may keep together."""


class Pruned(NamedTuple):
    """A mask, and how it is cut into vectors or slots, if its pattern cuts all of it one way."""

    keep: NDArray[np.bool_]
    layout: VectorLayout | None = None
    slots: Slots | None = None


@dataclass(frozen=True)
class Break:
    """The first place at which a mask is not of a pattern: in `matrix`, from `row`, `col` on."""

    matrix: str
    row: int
    col: int
    found: str

    def __str__(self) -> str:
        return f"matrix {self.matrix}: {self.found}"


@dataclass(frozen=True)
class Local:
    """How to choose inside a few columns of one matrix, which sequential pruning does.

    columns: how many neighbouring columns (from a multiple of it on) a choice must see at once.
    choose: (scores of such columns, how many weights to keep) → keep.
    tile: (height, width) of the aligned rectangles that go whole, None where more than that counts.
    """

    columns: int
    choose: Callable[[NDArray[np.float32], int], NDArray[np.bool_]]
    tile: tuple[int, int] | None


class Pattern(ABC):
    """Where kept weights may lie; final classes are frozen dataclasses of whole numbers and knobs.

    Knobs are fields made by `option`: the recipe, its file and its flags have them by that.

    numbers: fields that follow the pattern's name in text ("block:32"), in order.
    units: the coupled units it takes, which arrive as `couplings`.
    is_joint: a mask of one matrix can only be judged beside those of the others.
    fits_rows: rows can be pruned one by one.
    """

    numbers: ClassVar[tuple[str, ...]] = ()
    units: ClassVar[tuple[Unit, ...]] = ()
    is_joint: ClassVar[bool] = False
    fits_rows: ClassVar[bool] = False

    @property
    def density(self) -> float | None:
        """The kept share where the pattern itself says it."""
        return None

    @property
    def densest(self) -> float:
        """The largest share that it can keep."""
        return 1.0 if self.density is None else self.density

    def pools(self, targets: Sequence[Target]) -> list[list[int]]:
        """The finest groups of `targets` that can have a budget; those in none are left whole."""
        return [[i] for i in range(len(targets))]

    def size(self, targets: Sequence[Target]) -> int:
        """What keeping everything amounts to: kept weights, and whatever else units bring along."""
        return sum(t.scores.size for t in targets)

    def kept(self, targets: Sequence[Target], sparsity: float) -> int:
        """The amount that a sparsity leaves."""
        return kept_count(self.size(targets), sparsity)

    @abstractmethod
    def masks(self, targets: Sequence[Target], kept: int) -> list[Pruned]:
        """The masks, one a target, that keep the most importance in an amount of up to `kept`."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What was found where it settled, in sentences."""
        return ()

    @property
    def settles_first(self) -> bool:
        """Whether it cannot make masks of one pool before it has seen all of them."""
        return False

    def settle(self, pools: Sequence[Pool], error_of: ErrorOf | None = None) -> Self:
        """The pattern with what it decides once for a whole training decided on these scores.

        What that is, such as the orientation of vectors, its masks then keep to on other scores.
        Scores are comparable between pools. error_of: the error that masks leave on the outputs of
        a matrix, where it is known.
        """
        return self

    @abstractmethod
    def conforms(self, matrices: Sequence[MaskedMatrix]) -> Break | None:
        """None if all masks are of this pattern, else the first place that is not."""

    def local(self, keep: NDArray[np.bool_], layout: VectorLayout | None) -> Local | None:
        """How to choose in a few columns of a matrix masked so; None where that makes no sense."""
        return None

    def storage(self, matrix: MaskedMatrix, value_bits: int) -> Storage:
        """Bits of `matrix` in the format made for this pattern."""
        from sparse_formats.formats.registry import encode

        return encode(matrix, "bitmap").storage(value_bits)


def kept_count(size: int, sparsity: float) -> int:
    """How many of `size` weights a sparsity leaves: round((1 − sparsity)·size)."""
    return round((1 - sparsity) * size)
