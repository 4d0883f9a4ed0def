"""What patterns that keep a number of weights in every group of neighbours have in common."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pruning.patterns.pattern import Break, Pattern, Pruned, Target
from pruning.selection.groups import best_of_groups, full_groups
from pruning.selection.weights import best_weights
from sparse_formats.errors import SettingError
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.pattern_text import check_groups


@dataclass(frozen=True)
class GroupPattern(Pattern):
    """`count` of every `length` neighbouring inputs.

    Groups start at multiples of `length` in a row; the last one of a row may be shorter.
    """

    count: int
    length: int

    numbers: ClassVar = ("count", "length")
    fits_rows: ClassVar = True

    def __post_init__(self) -> None:
        check_groups(self.count, self.length)

    @property
    def density(self) -> float:
        """What the groups hold when they are full."""
        return self.count / self.length

    def kept(self, targets: Sequence[Target], sparsity: float) -> int:
        """What the groups hold when full, if `sparsity` is the pattern's own."""
        if abs(sparsity - (1 - self.density)) > 1e-9:
            return super().kept(targets, sparsity)
        return sum(full_groups(t.scores.shape, self.count, self.length) for t in targets)

    def fullest(self, targets: Sequence[Target]) -> tuple[list[NDArray[np.bool_]], int]:
        """The best `count` of each group, and how many weights that is in all."""
        full = [best_of_groups(t.scores, self.count, self.length) for t in targets]
        return full, sum(int(np.count_nonzero(keep)) for keep in full)


def filled(
    pattern: Pattern, text: str, targets: Sequence[Target], full: list[NDArray[np.bool_]], kept: int
) -> list[Pruned]:
    """The `kept` best weights of `full`, which is the most that `pattern` can hold.

    Raises:
        SettingError: `kept` is more than that; text: what holds it.
    """
    most = sum(int(np.count_nonzero(keep)) for keep in full)
    if kept > most:
        raise SettingError(
            "sparsity",
            f"asks for {kept} of {pattern.size(targets)} weights, but {text} keeps at most "
            f"{most}; give {1 - pattern.densest:g} or more",
        )
    return [Pruned(keep) for keep in (full if kept == most else best_of(full, targets, kept))]


def best_of(
    full: list[NDArray[np.bool_]], targets: Sequence[Target], kept: int
) -> list[NDArray[np.bool_]]:
    """The `kept` best weights of masks."""
    chosen = [
        np.where(keep, t.scores, np.float32(-1)) for keep, t in zip(full, targets, strict=True)
    ]
    return best_weights(chosen, kept)


def broken_group(
    matrix: MaskedMatrix, counts: NDArray[np.int64], wrong: NDArray[np.bool_], length: int
) -> Break | None:
    """The first group, row by row, where `wrong`."""
    if not wrong.any():
        return None
    row, group = (int(n) for n in np.argwhere(wrong)[0])
    first = group * length
    last = min(first + length, matrix.shape[1]) - 1
    return Break(
        matrix.name, row, first, f"row {row}, columns {first}..{last} keep {counts[row, group]}"
    )
