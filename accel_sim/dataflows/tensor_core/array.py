"""The keys of a tensor core, and which of its modes a matrix runs in (docs/rivals.md §5)."""

from dataclasses import dataclass
from math import comb
from typing import Annotated

import msgspec

from accel_sim.dataflows.abstract.account import ranges
from accel_sim.dataflows.abstract.machine_sections import Bits, Size, SizeOrZero
from accel_sim.dataflows.abstract.mask_machine import Keep
from accel_sim.dataflows.tensor_core.dense_blocks import DenseBlocks
from accel_sim.dataflows.tensor_core.hierarchical import Hierarchical
from accel_sim.dataflows.tensor_core.mode import Groups, Mode
from accel_sim.dataflows.tensor_core.n_m import DENSE, NM
from accel_sim.dataflows.tensor_core.sum_of_terms import sums
from sparse_formats.errors import InputError

MOST_SUMS = 1000
"""Sums that a machine may choose from: each is tried on every matrix that fits none before."""


MOST_TERMS = 8

Terms = Annotated[int, msgspec.Meta(ge=1, le=MOST_TERMS)]


@dataclass(frozen=True)
class TensorCoreArray:
    """`outputs` × `tokens` × `slots` multipliers. strip_outputs: whose sums fit the accumulators.

    modes: [N, M] that the machine can do, in any order; dense is always possible.
    vector_length: L of vector-wise K of L, K being the most that any group of the matrix keeps; 0
    where the machine has no such mode.
    hierarchical_modes: [G, H, N, M]: of H groups G keep anything, N of M inputs each.
    terms: most of `modes` whose sum may hold a matrix. dense_blocks: whether blocks of `outputs`
    outputs may run dense beside others in one of `modes`.
    """

    outputs: Size = 16
    tokens: Size = 16
    slots: Size = 16
    strip_outputs: Size = 128
    modes: tuple[tuple[Size, Size], ...] = ((2, 4), (1, 4))
    vector_length: SizeOrZero = 0
    hierarchical_modes: tuple[tuple[Size, Size, Size, Size], ...] = ()
    terms: Terms = 1
    dense_blocks: bool = False
    pe_latency_cycles: SizeOrZero = 4
    value_bits: Bits = 16
    accumulator_bits: Bits = 32

    @property
    def macs(self) -> int:
        return self.outputs * self.tokens * self.slots

    @property
    def fixed_modes(self) -> list[Mode]:
        """Every mode but vector-wise, whose K depends on the matrix; ties go in this order."""
        n_m = [NM(count, length) for count, length in self.modes]
        blocks = [DenseBlocks(mode) for mode in n_m] if self.dense_blocks else []
        hierarchical = [Hierarchical(*numbers) for numbers in self.hierarchical_modes]
        return [DENSE, *n_m, *hierarchical, *sums(n_m, self.terms), *blocks]

    @property
    def choice(self) -> float:
        """Activations among which one is picked, for each multiplier, in the widest mode."""
        return max([self.vector_length, *(mode.choice for mode in self.fixed_modes)])

    def check(self) -> None:
        """InputError where a mode keeps more than there is, has no part, or has too many."""
        if not self.modes and (self.terms > 1 or self.dense_blocks):
            key = "terms" if self.terms > 1 else "dense_blocks"
            raise InputError(
                f"array.{key} needs modes that it can use, and array.modes is empty; give some, "
                "e.g. [[2, 4]]"
            )
        for count, length in self.modes:
            if count > length:
                raise InputError(
                    f"array.modes has [{count}, {length}]; give [N, M] with N of M kept"
                )
        for groups, of_groups, count, length in self.hierarchical_modes:
            if groups > of_groups or count > length:
                raise InputError(
                    f"array.hierarchical_modes has {[groups, of_groups, count, length]}; give "
                    "[G, H, N, M] with G of H groups kept, N of M inputs in each"
                )
        several = len(self.modes)
        if self.terms > MOST_TERMS:
            raise InputError(f"array.terms is {self.terms}; give {MOST_TERMS} or fewer")
        series = sum(comb(several + count - 1, count) for count in range(2, self.terms + 1))
        if series > MOST_SUMS:
            raise InputError(
                f"array.terms is {self.terms}; with {several} modes that is a choice of {series} "
                f"sums, and at most {MOST_SUMS} are tried: give fewer terms or fewer modes"
            )


def mode_of(keep: Keep, array: TensorCoreArray) -> Mode:
    """The mode with the fewest slots that holds every row of bool mask `keep`."""
    modes, groups = array.fixed_modes, Groups(keep)
    if array.vector_length:
        most = max(groups.most(array.vector_length), 1)
        modes.insert(1 + len(array.modes), NM(most, array.vector_length))
    # Sorting keeps equals in their order, and the first that holds is the best: dense always does.
    by_slots = sorted(modes, key=lambda mode: mode.slots(keep, array.outputs))
    return next(mode for mode in by_slots if mode.holds(groups))


def strips(keep: Keep, array: TensorCoreArray) -> list[slice]:
    """The outputs of each tile."""
    outputs, inputs = keep.shape
    return [slice(*rows) for rows in ranges(outputs, array.strip_outputs)] if inputs else []


def blocks(keep: Keep, array: TensorCoreArray) -> list[slice]:
    """The rows of a tile that are multiplied together."""
    return [slice(*rows) for rows in ranges(len(keep), array.outputs)]
