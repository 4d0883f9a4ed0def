"""Channel merging: inputs whose kept weights do not meet share a column of cells.

docs/rivals.md §12. Source of the packing: column combining (Kung et al., ASPLOS 2019).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Self

import msgspec
import numpy as np
from numba import njit
from numpy.typing import NDArray

from accel_sim.dataflows.abstract.account import Tile, Unit, ranges
from accel_sim.dataflows.abstract.causes import ARRAY_EDGE, COMPUTE, PIPELINE, Cause
from accel_sim.dataflows.abstract.changes import AROUND_THE_ARRAY, scaled
from accel_sim.dataflows.abstract.dataflow import Change, WireSides
from accel_sim.dataflows.abstract.machine_sections import Bits, Size, SizeOrZero
from accel_sim.dataflows.abstract.mask_machine import Keep, MaskMachine, Tiles
from accel_sim.dataflows.abstract.product import Order
from accel_sim.inputs.activations import Inputs, group_tokens
from sparse_formats.storage import Storage, bits_for

_WORD = Annotated[int, msgspec.Meta(ge=1, le=64)]
"""Outputs of a tile, one bit each."""


@dataclass(frozen=True)
class ChannelMergingArray:
    """outputs × tokens cells of one multiplier, each of which picks one of merged_inputs inputs."""

    outputs: _WORD = 16
    tokens: Size = 256
    merged_inputs: Size = 8
    pe_latency_cycles: SizeOrZero = 4
    value_bits: Bits = 16
    accumulator_bits: Bits = 32

    @property
    def macs(self) -> int:
        return self.outputs * self.tokens


CHANGES: Mapping[str, Change] = {
    **AROUND_THE_ARRAY,
    "merged": scaled("twice the inputs among which a cell picks", "array", merged_inputs=2),
    "fewer_merged": scaled("half the inputs among which a cell picks", "array", merged_inputs=0.5),
    "lower": scaled(
        "half the outputs and twice the tokens, with as many MACs", "array", outputs=0.5, tokens=2
    ),
    "higher": scaled(
        "twice the outputs and half the tokens, with as many MACs", "array", outputs=2, tokens=0.5
    ),
}


@dataclass(frozen=True, kw_only=True)
class ChannelMerging(MaskMachine):
    """Time is that of the groups into which the inputs of each tile merge."""

    array: ChannelMergingArray

    dataflow = "channel_merging"
    causes: ClassVar[Mapping[str, Cause]] = {
        "compute": COMPUTE,
        "unused_cells": Cause("cells of a group of inputs that hold no kept weight", "#994455"),
        "array_edge": ARRAY_EDGE,
        "pipeline": PIPELINE,
    }
    changes: ClassVar[Mapping[str, Change]] = CHANGES

    def tiles(self, keep: Keep, inputs: Inputs) -> Tiles:
        return run_channel_merging(keep, inputs.tokens, self.array)

    def orders(self, keep: Keep, weight: NDArray[Any]) -> Iterator[Order]:
        for rows in strips(keep, self.array):
            part = slice(*rows)
            yield cell_order(cells(keep[part], self.array), weight[part], rows[0])

    def format_of(self, keep: Keep) -> str:
        return "merged_channels"

    @property
    def tokens_at_once(self) -> int:
        return self.array.tokens

    def area_parts(self) -> dict[str, dict[str, float]]:
        array = self.array
        operands = array.outputs + array.merged_inputs * array.tokens
        return {
            "mac": {f"mac_{self.numbers.name}": array.macs},
            "accumulators": {"register_bit": array.macs * array.accumulator_bits},
            "queues": {"register_bit": operands * array.value_bits},
            "matching": {"pick_of_16": array.macs * array.merged_inputs / 16},
        }

    def wire_sides(self) -> WireSides:
        """Both operands cross the array, each past the cells that share it."""
        return WireSides(weights=1.0, operands=1.0, sums=0.5)

    def resized(self, pes: int) -> Self:
        """`pes`: tokens at once."""
        return replace(self, array=replace(self.array, tokens=pes))


@dataclass(frozen=True, eq=False)
class Cells:
    """The kept weights of a tile, group by group: output of the tile, group, and its input's place
    in the group; members: int64 (groups, merged_inputs), inputs of each group, −1 for none."""

    output: NDArray[np.int64]
    group: NDArray[np.int64]
    place: NDArray[np.int64]
    members: NDArray[np.int64]


def strips(keep: Keep, machine: ChannelMergingArray) -> list[tuple[int, int]]:
    """Outputs of each tile."""
    outputs, inputs = keep.shape
    return ranges(outputs, machine.outputs) if inputs else []


def merge(keep: Keep, machine: ChannelMergingArray) -> NDArray[np.int64]:
    """Inputs of each group of a tile, in the order in which they came: (groups, merged_inputs)."""
    kept = np.count_nonzero(keep, axis=0)
    order = np.argsort(-kept, kind="stable")[: np.count_nonzero(kept)]
    bits = np.uint64(1) << np.arange(len(keep), dtype=np.uint64)
    columns = np.where(keep[:, order], bits[:, None], np.uint64(0)).sum(axis=0, dtype=np.uint64)
    group, place = np.empty_like(order), np.empty_like(order)
    groups = _merge(columns, kept[order], len(keep), machine.merged_inputs, group, place)
    members = np.full((groups, machine.merged_inputs), -1, np.int64)
    members[group, place] = order
    return members


@njit(cache=True, nogil=True)
def _merge(
    columns: Any, kept: Any, outputs: int, merged_inputs: int, group: Any, place: Any
) -> int:
    """Number of groups; `group` and `place` of each column. Groups with room are kept in a list."""
    count = len(columns)
    taken = np.zeros(count, np.uint64)
    filled = np.zeros(count, np.int64)
    members = np.zeros(count, np.int64)
    open_groups = np.empty(count, np.int64)
    opened = groups = 0
    for k in range(count):
        best = -1
        for i in range(opened):
            g = open_groups[i]
            if taken[g] & columns[k] == 0 and (best < 0 or filled[g] > filled[open_groups[best]]):
                best = i
        if best < 0:
            best = opened
            open_groups[opened] = groups
            opened += 1
            groups += 1
        g = open_groups[best]
        group[k], place[k] = g, members[g]
        taken[g] |= columns[k]
        filled[g] += kept[k]
        members[g] += 1
        if members[g] == merged_inputs or filled[g] == outputs:
            for i in range(best, opened - 1):
                open_groups[i] = open_groups[i + 1]
            opened -= 1
    return groups


def cells(keep: Keep, machine: ChannelMergingArray) -> Cells:
    """What is stored of a tile: group by group, by output."""
    members = merge(keep, machine)
    group, place = np.nonzero(members >= 0)
    holds = keep[:, members[group, place]]
    which, output = np.nonzero(holds.T)
    order = np.lexsort((output, group[which]))
    which = which[order]
    return Cells(output[order], group[which], place[which], members)


def cell_order(held: Cells, weight: NDArray[Any], first: int) -> Order:
    """Each accumulator adds a product of every group in which its output keeps a weight, in turn.

    first: output of the tile, with which `weight` begins.
    """
    input_ = held.members[held.group, held.place]
    return Order(first + held.output, input_, weight[held.output, input_])


def run_channel_merging(keep: Keep, tokens: int, machine: ChannelMergingArray) -> Tiles:
    """Tiles of bool mask `keep` (outputs × inputs), and the tokens of each group."""
    sizes = group_tokens(tokens, machine.tokens)
    tiles = [
        _tile(strip, rows, keep[slice(*rows)], sizes, machine)
        for strip, rows in enumerate(strips(keep, machine))
    ]
    return tuple(tiles), sizes


def _tile(
    strip: int,
    rows: tuple[int, int],
    keep: Keep,
    sizes: NDArray[np.int64],
    machine: ChannelMergingArray,
) -> Tile:
    outputs, inputs = keep.shape
    members = merge(keep, machine)
    groups, merged = len(members), int(np.count_nonzero(members >= 0))
    nnz, held = int(np.count_nonzero(keep)), outputs * groups
    latency = np.full_like(sizes, machine.pe_latency_cycles)
    steps = np.full_like(sizes, groups)
    compute = -(-nnz * sizes // machine.macs)
    filled = -(-held * sizes // machine.macs)
    v, a, choice = machine.value_bits, machine.accumulator_bits, bits_for(machine.merged_inputs)
    storage = Storage(
        nnz * v,
        held * choice + groups * machine.merged_inputs * bits_for(inputs),
        0,
        (held - nnz) * v,
    )
    read, written = merged * sizes * v, outputs * sizes * a
    return Tile(
        strip=strip,
        rows=rows,
        cols=(0, inputs),
        storage=storage,
        cycles=steps + latency,
        causes={
            "compute": compute,
            "unused_cells": filled - compute,
            "array_edge": steps - filled,
            "pipeline": latency,
        },
        executed=nnz * sizes,
        skipped=np.zeros_like(sizes),
        padding=(held - nnz) * sizes,
        units={
            "multiplier": Unit(
                machine.macs,
                {
                    "busy": nnz * sizes,
                    "unused_cells": (held - nnz) * sizes,
                    "array_edge": machine.macs * steps - held * sizes,
                    "pipeline": machine.macs * latency,
                },
            )
        },
        actions={
            "weight_bits_read": np.full_like(sizes, storage.bits),
            "activation_bits_read": read,
            "activation_bits_written": written,
            "decoded_bits": np.full_like(sizes, held * choice),
            "register_bits": 2 * v * (held + merged * sizes),
            "macs": held * sizes,
            "accumulator_bits": 2 * a * held * sizes,
            "weight_wire_bits": np.full_like(sizes, storage.bits),
            "operand_wire_bits": read,
            "sum_wire_bits": written,
        },
    )
