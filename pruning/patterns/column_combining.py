"""Column combining: inputs in groups, of each of which an output keeps one weight.

A machine that merges inputs (docs/rivals.md §12) multiplies a group in one column of cells. Source:
Kung, McDanel, Zhang, ASPLOS 2019; there the whole matrix is combined, and training follows.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pruning.patterns.pattern import Break, Pattern, Pruned, Target
from pruning.selection.weights import best_weights
from sparse_formats.errors import SettingError
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.terminal.settings import NotNegative, option

_TRIES = 8
"""Masks that are combined until one keeps enough; then everything is combined."""


@dataclass(frozen=True)
class ColumnCombining(Pattern):
    """Groups of up to `columns` inputs, found anew for every `height` outputs.

    A fine-grained mask is combined: of the weights of an output in a group the most important one
    stays. It begins with as many weights more as that drops.
    """

    columns: int = 8
    height: int = 32
    conflicts: NotNegative | None = option(
        "Weights of an output in a group of the pattern combined that may be one too many, on "
        "average; as many as there are if it is not given.",
        default=None,
    )

    numbers: ClassVar = ("columns", "height")

    def __post_init__(self) -> None:
        if self.columns < 2 or self.height < 1:
            raise SettingError(
                "pattern",
                f"is combined:{self.columns}:{self.height}; give 2 or more columns and 1 or more "
                "outputs, e.g. combined:8:32",
            )

    @property
    def densest(self) -> float:
        """One of a whole group; all where conflicts may be refused."""
        return 1 / self.columns if self.conflicts is None else 1.0

    def masks(self, targets: Sequence[Target], kept: int) -> list[Pruned]:
        """Exactly `kept` weights.

        Raises:
            SettingError: `kept` is more than combined matrices hold.
        """
        scores = [t.scores for t in targets]
        size, first = sum(s.size for s in scores), kept
        for _ in range(_TRIES):
            found = self._combine_all(scores, min(first, size))
            missing = kept - sum(int(np.count_nonzero(keep)) for keep in found)
            if missing <= 0:
                return [Pruned(keep) for keep in _largest(scores, found, kept)]
            first += 2 * missing
        found = self._combine_all(scores, size)
        most = sum(int(np.count_nonzero(keep)) for keep in found)
        if most >= kept:
            return [Pruned(keep) for keep in _largest(scores, found, kept)]
        raise SettingError(
            "sparsity",
            f"asks for {kept} of {size} weights, but combined:{self.columns}:{self.height} keeps "
            f"at most {most}; give {math.ceil(1e4 * (size - most) / size) / 1e4:g} or more",
        )

    def conforms(self, matrices: Sequence[MaskedMatrix]) -> Break | None:
        """The first output that keeps more weights than there are groups.

        Nothing else is checked: which groups a mask was made with, it does not say. Where conflicts
        may be refused, any mask is of this pattern.
        """
        if self.conflicts is not None:
            return None
        for matrix in matrices:
            most = -(-matrix.shape[1] // self.columns)
            kept = np.count_nonzero(matrix.keep, axis=1)
            for row in np.flatnonzero(kept > most)[:1].tolist():
                col = int(np.flatnonzero(matrix.keep[row])[most])
                said = f"row {row} keeps {int(kept[row])}, more than one of each of {most} groups"
                return Break(matrix.name, row, col, said)
        return None

    def _combine_all(
        self, scores: Sequence[NDArray[np.float32]], first: int
    ) -> list[NDArray[np.bool_]]:
        """What is left of the best `first` weights of all matrices."""
        masks = best_weights(scores, first)
        return [self._combined(s, keep) for s, keep in zip(scores, masks, strict=True)]

    def _combined(self, scores: NDArray[np.float32], keep: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """What is left of a mask of one matrix."""
        from sparse_formats.masks.column_groups import group_columns, keep_largest

        found = np.zeros_like(keep)
        for rows in self._strips(len(keep)):
            groups = group_columns(keep[rows], self.columns, self.conflicts)
            found[rows] = keep_largest(scores[rows], keep[rows], groups)
        return found

    def _strips(self, rows: int) -> Iterator[slice]:
        return (slice(first, first + self.height) for first in range(0, rows, self.height))


def _largest(
    scores: Sequence[NDArray[np.float32]], masks: Sequence[NDArray[np.bool_]], kept: int
) -> list[NDArray[np.bool_]]:
    """Of the kept weights of all masks the `kept` most important ones; ties: the first."""
    every = np.concatenate([s[keep] for s, keep in zip(scores, masks, strict=True)])
    stays = np.zeros(len(every), np.bool_)
    stays[np.argsort(-every, kind="stable")[:kept]] = True
    found, at = [], 0
    for keep in masks:
        mask, count = np.zeros_like(keep), int(np.count_nonzero(keep))
        mask[keep] = stays[at : at + count]
        found.append(mask)
        at += count
    return found
