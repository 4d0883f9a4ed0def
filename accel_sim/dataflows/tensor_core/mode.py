"""What a mode of a tensor core is: how kept weights lie in the slots of a row.

docs/rivals.md §5.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from accel_sim.dataflows.abstract.mask_machine import Keep


@dataclass(frozen=True)
class Term:
    """slots: of each row of a block; index_bits: of all of them in a row."""

    slots: int
    index_bits: int


@dataclass(frozen=True, eq=False)
class Placed:
    """Kept weights in the slots of one term, row by row, by ascending slot and input.

    keep: which weights of the rows that were given this term holds. Of each of them: row; slot, in
    its row; input, which its index picks.
    """

    keep: Keep
    row: NDArray[np.int64]
    slot: NDArray[np.int64]
    input: NDArray[np.int64]


class Groups:
    """How many weights a bool mask keeps of every so many inputs of a row, counted once."""

    def __init__(self, keep: Keep) -> None:
        self.keep = keep
        self._counts: dict[int, NDArray[np.integer]] = {}
        self._most: dict[int, int] = {}

    def counts(self, length: int) -> NDArray[np.integer]:
        """Of each group of `length` inputs, counted from input 0: (rows, groups)."""
        if length not in self._counts:
            self._counts[length] = group_counts(self.keep, length)
        return self._counts[length]

    def most(self, length: int) -> int:
        """The most that any group of `length` inputs keeps."""
        if length not in self._most:
            self._most[length] = int(self.counts(length).max()) if self.keep.size else 0
        return self._most[length]


def group_counts(keep: Keep, length: int) -> NDArray[np.integer]:
    """Kept weights of every `length` inputs, groups counted from input 0: (rows, groups)."""
    rows, inputs = keep.shape
    length = min(length, max(inputs, 1))
    groups = -(-inputs // length)
    if inputs < groups * length:
        padded = np.zeros((rows, groups * length), np.bool_)
        padded[:, :inputs] = keep
        keep = padded
    counts = np.zeros((rows, groups), np.uint8 if length < 256 else np.int32)
    # Sums over an axis that short are slow: its columns are added one after the other.
    for at in range(length):
        counts += keep[:, at::length]
    return counts


class Mode(ABC):
    """One way to run a matrix; final classes are frozen dataclasses of whole numbers.

    flag_bits: stored for each block, besides the indices of its slots.
    """

    flag_bits: ClassVar[int] = 0

    @property
    @abstractmethod
    def name(self) -> str:
        """How reports call it."""

    @property
    @abstractmethod
    def choice(self) -> float:
        """Activations among which one is picked, for each multiplier."""

    @abstractmethod
    def holds(self, groups: Groups) -> bool:
        """Whether a whole matrix can run so."""

    @abstractmethod
    def terms(self, keep: Keep) -> tuple[Term, ...]:
        """What runs one after the other for the rows `keep` of a block."""

    @abstractmethod
    def placed(self, keep: Keep) -> tuple[Placed, ...]:
        """The kept weights of the rows `keep` of a block in each of its terms."""

    def slots(self, keep: Keep, block: int) -> int:
        """Slots of a whole matrix, taken in blocks of `block` rows."""
        return len(keep) * sum(term.slots for term in self.terms(keep[:1]))
