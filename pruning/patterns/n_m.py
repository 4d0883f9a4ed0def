"""N:M: at most N kept of every M neighbouring inputs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pruning.patterns.fine_grained import best_weights, top_mask
from pruning.patterns.pattern import Break, Local, Pattern, Pruned, Target
from pruning.patterns.ties import of_groups
from sparse_formats.errors import InputError
from sparse_formats.formats.n_m import NM as Format
from sparse_formats.formats.n_of_m_groups import LONGEST_GROUP
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.vectors import VectorLayout
from sparse_formats.storage import Storage


@dataclass(frozen=True)
class NM(Pattern):
    """At most `count` of `length`; N counts the kept (NVIDIA's convention).

    Groups start at multiples of M in a row; the last one of a row may be shorter.
    """

    count: int
    length: int

    numbers: ClassVar = ("count", "length")
    fits_rows: ClassVar = True

    def __post_init__(self) -> None:
        check_group(self.count, self.length)

    @property
    def density(self) -> float:
        """N/M: what the groups hold when they are full."""
        return self.count / self.length

    def kept(self, targets: Sequence[Target], sparsity: float) -> int:
        """What the groups hold when full, if `sparsity` is the pattern's own."""
        if abs(sparsity - (1 - self.density)) > 1e-9:
            return super().kept(targets, sparsity)
        return sum(full_groups(t.scores.shape, self.count, self.length) for t in targets)

    def masks(self, targets: Sequence[Target], kept: int) -> list[Pruned]:
        """The best N of each group; where `kept` is less, the best of those over all groups.

        Raises:
            InputError: `kept` is more than the groups can hold.
        """
        full = [best_of_groups(t.scores, self.count, self.length) for t in targets]
        most = sum(int(np.count_nonzero(keep)) for keep in full)
        if kept > most:
            raise InputError(
                f"{self.count}:{self.length} keeps at most {most} of {self.size(targets)} weights, "
                f"not {kept}; give a sparsity of {1 - self.density:g} or more"
            )
        if kept < most:
            chosen = [
                np.where(keep, t.scores, np.float32(-1))
                for keep, t in zip(full, targets, strict=True)
            ]
            full = best_weights(chosen, kept)
        return [Pruned(keep) for keep in full]

    def conforms(self, matrices: Sequence[MaskedMatrix]) -> Break | None:
        """The first group, row by row, that keeps more than N."""
        for matrix in matrices:
            counts, _ = group_counts(matrix.keep, self.length)
            found = broken_group(matrix, counts, counts > self.count, self.length)
            if found is not None:
                return found
        return None

    def local(self, keep: NDArray[np.bool_], layout: VectorLayout | None) -> Local:
        """The best N of the groups in some columns; of those the best where `keep` has fewer."""
        is_full = np.count_nonzero(keep) >= full_groups(keep.shape, self.count, self.length)

        def choose(scores: NDArray[np.float32], kept: int) -> NDArray[np.bool_]:
            full = best_of_groups(scores, self.count, self.length)
            return full if is_full else top_mask(np.where(full, scores, -1), kept) & full

        return Local(self.length, choose, None)

    def storage(self, matrix: MaskedMatrix, value_bits: int) -> Storage:
        """In the format n_m."""
        return Format.encode(matrix.keep, None, self.count, self.length).storage(value_bits)


def full_groups(shape: tuple[int, ...], kept: int, length: int) -> int:
    """Weights that groups of a matrix keep when full."""
    rows, cols = shape
    return rows * (cols // length * kept + min(kept, cols % length))


def check_group(kept: int, length: int) -> None:
    """InputError unless `kept` of `length` makes sense."""
    if not 1 <= kept <= length <= LONGEST_GROUP:
        raise InputError(
            f"pattern {kept}:{length}: the first number is how many are kept, the second of how "
            f"many, up to {LONGEST_GROUP}, e.g. 2:4"
        )


def best_of_groups(scores: NDArray[np.float32], kept: int, length: int) -> NDArray[np.bool_]:
    """True at the `kept` best of every `length` neighbours of a row, equals chosen without bias."""
    rows, cols = scores.shape
    groups = -(-cols // length)
    # Behind the end of a row stands what no weight loses against.
    padded = np.full((rows, groups * length), -1, np.float32)
    padded[:, :cols] = scores
    grouped = padded.reshape(rows * groups, length)
    keep = of_groups(grouped, kept).reshape(rows, groups * length)
    return np.ascontiguousarray(keep[:, :cols])


def group_counts(
    keep: NDArray[np.bool_], length: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Kept entries of each group, (out, groups), and how many entries a group has (groups,)."""
    starts = np.arange(0, keep.shape[1], length)
    sizes = np.minimum(length, keep.shape[1] - starts)
    if not keep.size:
        return np.zeros((keep.shape[0], len(starts)), np.int64), sizes
    return np.add.reduceat(keep, starts, axis=1, dtype=np.int64), sizes


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
