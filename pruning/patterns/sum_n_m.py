"""A sum of two N:M masks: what the first holds, and N:M of what it leaves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pruning.patterns.group_pattern import filled
from pruning.patterns.pattern import Break, Local, Pattern, Pruned, Target
from pruning.selection.groups import best_of_groups, full_groups, group_counts
from pruning.selection.weights import top_mask
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.pattern_text import check_terms
from sparse_formats.masks.vectors import VectorLayout
from sparse_formats.storage import Storage


@dataclass(frozen=True)
class SumNM(Pattern):
    """`count`:`length` + `further`:`of`, where `length` divides `of`.

    A group of `of` inputs keeps `count` weights in each of its groups of `length`, and any
    `further` weights besides. Source: TASD (Jeong et al., MLSys 2025), whose series takes the
    largest weights of each group, and then those of what is left; where one length divides the
    other this is the best that two terms can hold.
    """

    count: int
    length: int
    further: int
    of: int

    numbers: ClassVar = ("count", "length", "further", "of")
    fits_rows: ClassVar = True

    def __post_init__(self) -> None:
        check_terms(self.count, self.length, self.further, self.of)

    @property
    def density(self) -> float:
        """What two full terms hold."""
        return min(self.count / self.length + self.further / self.of, 1.0)

    def kept(self, targets: Sequence[Target], sparsity: float) -> int:
        """What the terms hold when full, if `sparsity` is the pattern's own."""
        if abs(sparsity - (1 - self.density)) > 1e-9:
            return super().kept(targets, sparsity)
        return sum(self._most(t.scores.shape) for t in targets)

    def masks(self, targets: Sequence[Target], kept: int) -> list[Pruned]:
        """The best that two terms hold; where `kept` is less, the best of those.

        Raises:
            InputError: `kept` is more than the terms can hold.
        """
        full = [self._full(t.scores) for t in targets]
        return filled(self, self._text, targets, full, kept)

    def conforms(self, matrices: Sequence[MaskedMatrix]) -> Break | None:
        """The first group of `of`, row by row, in which both terms cannot hold everything."""
        for matrix in matrices:
            counts, _ = group_counts(matrix.keep, self.length)
            left = np.maximum(counts - self.count, 0)
            starts = np.arange(0, left.shape[1], self.of // self.length)
            if not left.size:
                continue
            left = np.add.reduceat(left, starts, axis=1)
            if (left > self.further).any():
                row, group = (int(n) for n in np.argwhere(left > self.further)[0])
                first = group * self.of
                last = min(first + self.of, matrix.shape[1]) - 1
                return Break(
                    matrix.name,
                    row,
                    first,
                    f"row {row}, columns {first}..{last} keep {left[row, group]} weights besides "
                    f"{self.count}:{self.length}",
                )
        return None

    def local(self, keep: NDArray[np.bool_], layout: VectorLayout | None) -> Local:
        """The best of the groups in some columns, as many as asked for."""

        def choose(scores: NDArray[np.float32], kept: int) -> NDArray[np.bool_]:
            full = self._full(scores)
            return top_mask(np.where(full, scores, np.float32(-1)), kept) & full

        return Local(self.of, choose, None)

    def storage(self, matrix: MaskedMatrix, value_bits: int) -> Storage:
        """In the format sum_n_m, whose remainder keeps nothing then."""
        from sparse_formats.formats.sum_n_m import SumNM as Format

        numbers = self.count, self.length, self.further, self.of
        return Format.encode(matrix.keep, None, *numbers).storage(value_bits)

    @property
    def _text(self) -> str:
        return f"{self.count}:{self.length} + {self.further}:{self.of}"

    def _most(self, shape: tuple[int, ...]) -> int:
        """Weights that both terms keep when full."""
        rows, cols = shape
        rest = cols % self.of
        first = full_groups((1, self.of), self.count, self.length)
        in_rest = full_groups((1, rest), self.count, self.length)
        whole = first + min(self.further, self.of - first)
        last = in_rest + min(self.further, rest - in_rest)
        return rows * (cols // self.of * whole + last)

    def _full(self, scores: NDArray[np.float32]) -> NDArray[np.bool_]:
        first = best_of_groups(scores, self.count, self.length)
        left = np.where(first, np.float32(-1), scores)
        return first | best_of_groups(left, self.further, self.of)
