"""Hybrid pruning: square blocks in attention, whole hidden neurons in the feed-forward layers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pruning.patterns.block import Block
from pruning.patterns.coupled import Channel
from pruning.patterns.pattern import Break, Pattern, Pruned, Target
from pruning.selection.tiles import best_units, spread, tile_sizes, tile_sums
from pruning.structure.couplings import Coupling
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.storage import Storage


@dataclass(frozen=True)
class Hybrid(Pattern):
    """Blocks of `block` in all matrices but those that have hidden neurons, which go as such.

    Source: Lagunas et al., EMNLP 2021, "hybrid": 32×32 blocks in attention, and one score per
    hidden unit, shared by the rows of FFN1 and the columns of FFN2.
    """

    block: int
    couplings: tuple[Coupling, ...] = ()

    numbers: ClassVar = ("block",)
    units: ClassVar = ("neuron",)
    is_joint: ClassVar = True

    def pools(self, targets: Sequence[Target]) -> list[list[int]]:
        """Each attention matrix by itself, each feed-forward layer as one."""
        blocks, _ = self._split(targets)
        pools = [[i] for i, t in enumerate(targets) if t in blocks]
        if len(blocks) < len(targets):
            pools += self._neurons.pools(targets)
        return sorted(pools)

    def masks(self, targets: Sequence[Target], kept: int) -> list[Pruned]:
        """The best blocks and neurons that fit, by importance per weight."""
        blocks, neurons = self._split(targets)
        tile = self.block, self.block
        sums = [tile_sums(t.scores, tile) for t in blocks]
        sizes = [tile_sizes(t.scores.shape, tile) for t in blocks]
        values, costs = self._neurons.measured(neurons)
        taken = best_units(
            np.concatenate([*(s.ravel() for s in sums), values]),
            np.concatenate([*(s.ravel() for s in sizes), costs]),
            kept,
            [*(s.size for s in sums), *self._neurons.counts(neurons)],
            is_empty=kept <= 0,
        )
        ends = np.cumsum([0, *(s.size for s in sums)])
        masks = {
            t.name: Pruned(spread(taken[a:b].reshape(s.shape), t.scores.shape, tile))
            for t, s, a, b in zip(blocks, sums, ends[:-1], ends[1:], strict=True)
        }
        masked = self._neurons.masks_of(neurons, taken[ends[-1] :])
        masks |= {t.name: m for t, m in zip(neurons, masked, strict=True)}
        return [masks[t.name] for t in targets]

    def conforms(self, matrices: Sequence[MaskedMatrix]) -> Break | None:
        """The first block, else the first neuron, that is kept in part."""
        coupled = self._coupled
        blocks = [m for m in matrices if m.name not in coupled]
        found = Block(self.block).conforms(blocks)
        return found or (self._neurons.conforms(matrices) if coupled else None)

    def storage(self, matrix: MaskedMatrix, value_bits: int) -> Storage:
        """As block or channel pruning stores it."""
        part = self._neurons if matrix.name in self._coupled else Block(self.block)
        return part.storage(matrix, value_bits)

    @property
    def _neurons(self) -> Channel:
        return Channel(tuple(c for c in self.couplings if c.unit == "neuron"))

    @property
    def _coupled(self) -> set[str]:
        return {part.matrix for c in self._neurons.couplings for part in c.parts}

    def _split(self, targets: Sequence[Target]) -> tuple[list[Target], list[Target]]:
        coupled = self._coupled
        return (
            [t for t in targets if t.name not in coupled],
            [t for t in targets if t.name in coupled],
        )
