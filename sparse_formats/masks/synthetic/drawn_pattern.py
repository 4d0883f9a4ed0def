"""What a pattern of drawn masks is, and how items are drawn."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.synthetic.shapes import MatrixShape
from sparse_formats.masks.vectors import Orientation

ORIENTATION_OF_KIND: dict[str, Orientation] = {
    "Q": "horizontal",
    "K": "horizontal",
    "V": "horizontal",
    "QKV": "horizontal",
    "FFN1": "horizontal",
    "gate": "horizontal",
    "up": "horizontal",
    "attention out": "vertical",
    "FFN2": "vertical",
    "down": "vertical",
}
"""Orientation of vectors and slots; other kinds alternate. Source: Yoo & Lee 2023, for GPT-2."""


@dataclass(frozen=True)
class Order:
    """A mask that is wanted: of which matrix, its number among others, and how much it keeps."""

    shape: MatrixShape
    number: int
    density: float
    seed: int

    @property
    def size(self) -> tuple[int, int]:
        return self.shape.rows, self.shape.cols

    @property
    def nnz(self) -> int:
        """Kept weights that come nearest to the density."""
        return round(self.density * self.shape.rows * self.shape.cols)

    @property
    def orientation(self) -> Orientation:
        alternating: Orientation = "vertical" if self.number % 2 else "horizontal"
        return ORIENTATION_OF_KIND.get(self.shape.kind, alternating)

    def rng(self) -> np.random.Generator:
        """Of this matrix alone."""
        return generator(self.seed, self.number)

    def masked(self, keep: NDArray[np.bool_]) -> MaskedMatrix:
        """The matrix with a mask that no vectors or slots describe."""
        return MaskedMatrix(self.shape.name, keep, kind=self.shape.kind)


class DrawnPattern(ABC):
    """A pattern without importances; final classes are frozen dataclasses of its numbers."""

    @property
    def density(self) -> float | None:
        """The kept share where the pattern itself says it."""
        return None

    @property
    def densest(self) -> float:
        """The largest share that it can keep."""
        return 1.0 if self.density is None else self.density

    @property
    def is_rigid(self) -> bool:
        """Whether it keeps `density` and no other share."""
        return False

    def is_whole(self, shape: MatrixShape) -> bool:
        """Whether the pattern leaves such a matrix as it is."""
        return False

    @abstractmethod
    def mask(self, order: Order) -> MaskedMatrix:
        """A mask of this pattern that comes as near to the density as the pattern allows."""


def generator(seed: int, *numbers: int) -> np.random.Generator:
    """One of its own for each seed and numbers."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=numbers)))


def subset(size: int, count: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """A uniformly drawn subset of `count` out of `size` items, as bools.

    A coin per item, then uniformly drawn corrections: given its size, a set of independent coins
    is uniform, and stays so. Far faster than a permutation.
    """
    threshold = count * 65536 // max(size, 1)
    if threshold > 65535:
        return np.ones(size, np.bool_)
    chosen = rng.integers(0, 65536, size, np.uint16) < np.uint16(threshold)
    excess = int(np.count_nonzero(chosen)) - count
    while excess:
        wrong = excess > 0
        # Enough draws to hit the wrong ones; duplicates and misses fall out, the rest comes next.
        share = (count + excess) / size if wrong else 1 - (count + excess) / size
        drawn = rng.integers(0, size, int(abs(excess) / share) + 16)
        drawn = drawn[chosen[drawn] == wrong]
        _, first = np.unique(drawn, return_index=True)
        flipped = drawn[np.sort(first)[: abs(excess)]]
        chosen[flipped] = not wrong
        excess -= len(flipped) if wrong else -len(flipped)
    return chosen
