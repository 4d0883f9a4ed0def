"""Structured pruning: heads and hidden neurons go whole, from every matrix they have lines in."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pruning.patterns.pattern import Break, Pattern, Pruned, Target
from pruning.selection.tiles import best_units
from pruning.structure.couplings import UNITS, Coupling
from pruning.structure.slices import ROWS, Slice
from sparse_formats.errors import InputError, SettingError
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.storage import Storage


@dataclass(frozen=True)
class Coupled(Pattern):
    """Units of `couplings`; matrices without any are left whole.

    A unit's importance is the sum of its weights' (LLM-Pruner), ranked per weight it takes. With
    `tokens` > 0 what is kept counts multiplications instead of weights: a head then also takes
    those of its attention over a sequence so long (K-prune's f_head, per token).
    """

    couplings: tuple[Coupling, ...]
    tokens: int = 0

    is_joint: ClassVar = True
    units: ClassVar = UNITS

    def pools(self, targets: Sequence[Target]) -> list[list[int]]:
        """The matrices of each coupling; those that share one are together.

        Raises:
            InputError: no matrix has a line of a unit.
        """
        place = {t.name: i for i, t in enumerate(targets)}
        pools: list[set[int]] = []
        for coupling in self._of(targets):
            mine = {place[part.matrix] for part in coupling.parts}
            shared = [pool for pool in pools if pool & mine]
            pools = [pool for pool in pools if not pool & mine] + [mine.union(*shared)]
        if not pools:
            self._check_known([t.name for t in targets], [])
        return sorted((sorted(pool) for pool in pools), key=lambda pool: pool[0])

    def size(self, targets: Sequence[Target]) -> int:
        """All weights, and with `tokens` the multiplications of all heads' attention."""
        extra = sum(self._attention(c) * c.count for c in self._of(targets))
        return super().size(targets) + extra

    def masks(self, targets: Sequence[Target], kept: int) -> list[Pruned]:
        """The best units that fit."""
        values, costs = self.measured(targets)
        # What lies outside all units stays.
        outside = self.size(targets) - int(costs.sum())
        return self.masks_of(targets, best_units(values, costs, kept - outside))

    def measured(self, targets: Sequence[Target]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Importance and cost of every unit that has lines in `targets`, coupling by coupling."""
        by_name = {t.name: t.scores for t in targets}
        values, costs = [np.empty(0)], [np.empty(0, np.int64)]
        for coupling in self._of(targets):
            value = np.zeros(coupling.count)
            cost = np.full(coupling.count, self._attention(coupling), np.int64)
            for part in coupling.parts:
                scores = by_name[part.matrix]
                across = 1 - part.axis
                value += _of_units(scores.sum(axis=across, dtype=np.float64), part, coupling)
                cost += part.size * scores.shape[across]
            values.append(value)
            costs.append(cost)
        return np.concatenate(values), np.concatenate(costs)

    def masks_of(self, targets: Sequence[Target], taken: NDArray[np.bool_]) -> list[Pruned]:
        """The masks in which the units `taken`, in the order of `measured`, stay."""
        keep = {t.name: np.ones(t.scores.shape, np.bool_) for t in targets}
        begin = 0
        for coupling in self._of(targets):
            mine = taken[begin : begin + coupling.count]
            begin += coupling.count
            for part in coupling.parts:
                mask = keep[part.matrix] if part.axis == ROWS else keep[part.matrix].T
                mask[part.of_units(coupling.count)[~mine].ravel()] = False
        return [Pruned(keep[t.name]) for t in targets]

    def conforms(self, matrices: Sequence[MaskedMatrix]) -> Break | None:
        """The first unit that is kept in part, over all of its matrices that are there.

        Raises:
            InputError: no matrix has a line of a unit.
        """
        by_name = {m.name: m.keep for m in matrices}
        mine = [c for c in self.couplings if c.unit in self.units]
        self._check_known(list(by_name), mine)
        for coupling in mine:
            parts = [p for p in coupling.parts if p.matrix in by_name]
            counts = [_counts(by_name[p.matrix], p, coupling) for p in parts]
            full = [p.size * by_name[p.matrix].shape[1 - p.axis] for p in parts]
            kept, most = sum(counts, np.zeros(coupling.count, np.int64)), sum(full)
            broken = (kept > 0) & (kept < most)
            if not broken.any():
                continue
            unit = int(np.argmax(broken))
            # The part to blame: one that is torn, or one that is gone where another stays.
            torn = [i for i, c in enumerate(counts) if 0 < c[unit] < full[i]]
            i = (torn or [i for i, c in enumerate(counts) if not c[unit]])[0]
            lines = parts[i].lines(unit)
            row, col = (lines.start, 0) if parts[i].axis == ROWS else (0, lines.start)
            words = "rows" if parts[i].axis == ROWS else "columns"
            return Break(
                parts[i].matrix,
                row,
                col,
                f"{coupling.unit} {unit}, {words} {lines.start}..{lines.stop - 1}, keeps "
                f"{int(counts[i][unit])} of {full[i]} here and {int(kept[unit])} of {most} in all "
                f"its {len(parts)} places",
            )
        return None

    def storage(self, matrix: MaskedMatrix, value_bits: int) -> Storage:
        """What is left, dense, and a bit a unit that tells which are."""
        units = sum(
            c.count for c in self.couplings if any(p.matrix == matrix.name for p in c.parts)
        )
        return Storage(matrix.nnz * value_bits, units, 0)

    def _check_known(self, names: Sequence[str], found: Sequence[Coupling]) -> None:
        if found or not names:
            return
        where = f"{names[0]} … {names[-1]}"
        if "head" in self.units:
            raise SettingError(
                "heads",
                f"is 0, and nothing else tells the heads of {where}; give their number, or a "
                "model folder with config.json",
            )
        raise InputError(f"no feed-forward layer is known by the names {where}")

    def _of(self, targets: Sequence[Target]) -> list[Coupling]:
        """The couplings of this pattern's units with all their lines in `targets`."""
        names = {t.name for t in targets}
        return [
            c
            for c in self.couplings
            if c.unit in self.units and all(part.matrix in names for part in c.parts)
        ]

    def _attention(self, coupling: Coupling) -> int:
        """Multiplications a token costs a unit's attention: 2·tokens·d_h per query head."""
        if not self.tokens or coupling.unit != "head":
            return 0
        # All query heads of the unit together: as wide as its columns of the attention output.
        return 2 * self.tokens * max(part.size for part in coupling.parts)


@dataclass(frozen=True)
class Head(Coupled):
    """Whole attention heads: rows of Q, K, V and columns of the attention output.

    Source: Michel et al. 2019 and Voita et al. 2019 for the pattern.
    """

    units: ClassVar = ("head",)


@dataclass(frozen=True)
class Channel(Coupled):
    """Whole hidden neurons: rows of FFN1 (gate, up) with the same columns of FFN2 (down)."""

    units: ClassVar = ("neuron",)


def _of_units(lines: NDArray[np.float64], part: Slice, coupling: Coupling) -> NDArray[np.float64]:
    """Sums over the lines of each unit."""
    return lines[part.of_units(coupling.count)].sum(axis=1)


def _counts(keep: NDArray[np.bool_], part: Slice, coupling: Coupling) -> NDArray[np.int64]:
    kept = np.count_nonzero(keep, axis=1 - part.axis)
    return _of_units(kept.astype(np.float64), part, coupling).astype(np.int64)
