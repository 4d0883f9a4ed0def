"""Structured pruning: heads and hidden neurons go whole, from every matrix they have lines in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pruning.patterns.pattern import Break, Pattern, Pruned, Target
from pruning.selection.tie_breaking import best_first
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
            mine = {place[name] for name in coupling.matrices}
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
        """The best units whose amount comes nearest, and what those that stay share."""
        values, costs = self.measured(targets)
        counts = [coupling.count for coupling in self._of(targets)]
        groups, shared = self._groups(targets)
        # What lies outside all units stays.
        rest = kept - (self.size(targets) - int(costs.sum()) - int(shared.sum()))
        if kept <= 0 or not len(shared):
            return self.masks_of(targets, best_units(values, costs, rest, counts, kept <= 0))
        # What a group shares is there from its best unit on, so an order of units decides: less is
        # then always a part of more, and what was dropped can stay dropped.
        order = best_first(values / np.maximum(costs, 1))
        best = _firsts(np.repeat(np.arange(len(counts)), counts)[order])
        order = np.concatenate([order[best], np.delete(order, best)])
        grown = costs[order]
        firsts = [i for i in _firsts(groups[order]) if groups[order[i]] >= 0]
        grown[firsts] += shared[groups[order[firsts]]]
        least = len(best)
        apart = np.abs(np.cumsum(grown)[least - 1 :] - rest)
        taken = np.zeros(len(costs), np.bool_)
        taken[order[: least + int(np.argmin(apart))]] = True
        return self.masks_of(targets, taken)

    def measured(self, targets: Sequence[Target]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Importance and cost of every unit that has lines in `targets`, coupling by coupling.

        What units share with others counts for none of them.
        """
        by_name = {t.name: t.scores for t in targets}
        values, costs = [np.empty(0)], [np.empty(0, np.int64)]
        for coupling in self._of(targets):
            value = np.zeros(coupling.count)
            cost = np.full(coupling.count, self._attention(coupling), np.int64)
            for part in coupling.parts:
                scores = by_name[part.matrix]
                across = 1 - part.axis
                lines = scores.sum(axis=across, dtype=np.float64)
                value += _of_units(lines, part, coupling.count)
                cost += part.size * scores.shape[across]
            values.append(value)
            costs.append(cost)
        return np.concatenate(values), np.concatenate(costs)

    def counts(self, targets: Sequence[Target]) -> list[int]:
        """How many units each coupling has, in the order of `measured`."""
        return [coupling.count for coupling in self._of(targets)]

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
            for part in coupling.shared:
                dead = ~coupling.groups_with(mine)
                keep[part.matrix][part.of_units(coupling.groups)[dead].ravel()] = False
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
            counts = [_counts(by_name[p.matrix], p, coupling.count) for p in parts]
            full = [p.size * by_name[p.matrix].shape[1 - p.axis] for p in parts]
            kept, most = sum(counts, np.zeros(coupling.count, np.int64)), sum(full)
            broken = (kept > 0) & (kept < most)
            if not broken.any():
                found = _broken_group(coupling, by_name, kept > 0 if parts else None)
                if found is not None:
                    return found
                continue
            unit = int(np.argmax(broken))
            # The part to blame: one that is torn, or one that is gone where another stays.
            torn = [i for i, c in enumerate(counts) if 0 < c[unit] < full[i]]
            i = (torn or [i for i, c in enumerate(counts) if not c[unit]])[0]
            return _break(
                parts[i],
                unit,
                f"{coupling.unit} {unit}",
                f"{int(counts[i][unit])} of {full[i]} here and {int(kept[unit])} of {most} in all "
                f"its {len(parts)} places",
            )
        return None

    def storage(self, matrix: MaskedMatrix, value_bits: int) -> Storage:
        """What is left, dense, and a bit a unit that tells which are."""
        units = sum(
            c.count if any(p.matrix == matrix.name for p in c.parts) else c.groups
            for c in self.couplings
            if matrix.name in c.matrices
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
        return [c for c in self.couplings if c.unit in self.units and c.matrices <= names]

    def _groups(self, targets: Sequence[Target]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The number of each unit's group, −1 for none, and how many weights each group shares."""
        cols = {t.name: t.scores.shape[1] for t in targets}
        of_units, shared = [np.empty(0, np.int64)], list[int]()
        for coupling in self._of(targets):
            if not coupling.shared:
                of_units.append(np.full(coupling.count, -1))
                continue
            numbers = len(shared) + np.arange(coupling.groups)
            of_units.append(np.repeat(numbers, coupling.count // coupling.groups))
            size = sum(part.size * cols[part.matrix] for part in coupling.shared)
            shared += [size] * coupling.groups
        return np.concatenate(of_units), np.array(shared, np.int64)

    def _attention(self, coupling: Coupling) -> int:
        """Multiplications a token costs a unit's attention: 2·tokens·d_h per query head."""
        if not self.tokens or coupling.unit != "head":
            return 0
        # As wide as its columns of the attention output.
        return 2 * self.tokens * max(part.size for part in coupling.parts)


@dataclass(frozen=True)
class Head(Coupled):
    """Whole attention heads: rows of Q, K, V and columns of the attention output.

    With grouped-query attention K and V go where no query head of their group is left.

    Source: Michel et al. 2019 and Voita et al. 2019 for the pattern.
    """

    units: ClassVar = ("head",)


@dataclass(frozen=True)
class Channel(Coupled):
    """Whole hidden neurons: rows of FFN1 (gate, up) with the same columns of FFN2 (down)."""

    units: ClassVar = ("neuron",)


def _of_units(lines: NDArray[np.float64], part: Slice, count: int) -> NDArray[np.float64]:
    """Sums over the lines of each of `count` units."""
    return lines[part.of_units(count)].sum(axis=1)


def _counts(keep: NDArray[np.bool_], part: Slice, count: int) -> NDArray[np.int64]:
    kept = np.count_nonzero(keep, axis=1 - part.axis)
    return _of_units(kept.astype(np.float64), part, count).astype(np.int64)


def _firsts(numbers: NDArray[np.int64]) -> NDArray[np.intp]:
    """Where each number comes first, in order."""
    return np.sort(np.unique(numbers, return_index=True)[1])


def _broken_group(
    coupling: Coupling, keeps: Mapping[str, NDArray[np.bool_]], alive: NDArray[np.bool_] | None
) -> Break | None:
    """The first lines of a group that are kept in part, or gone while a unit of it stays.

    alive: which units stay, None where nothing tells.
    """
    for part in coupling.shared:
        if part.matrix not in keeps:
            continue
        counts = _counts(keeps[part.matrix], part, coupling.groups)
        full = part.size * keeps[part.matrix].shape[1 - part.axis]
        broken = (counts > 0) & (counts < full)
        if alive is not None:
            broken |= (counts < full) & coupling.groups_with(alive)
        if broken.any():
            group = int(np.argmax(broken))
            what = f"what the {coupling.unit}s of group {group} share"
            return _break(part, group, what, f"{int(counts[group])} of {full}")
    return None


def _break(part: Slice, unit: int, what: str, found: str) -> Break:
    lines = part.lines(unit)
    row, col = (lines.start, 0) if part.axis == ROWS else (0, lines.start)
    words = "rows" if part.axis == ROWS else "columns"
    return Break(
        part.matrix, row, col, f"{what}, {words} {lines.start}..{lines.stop - 1}, keeps {found}"
    )
