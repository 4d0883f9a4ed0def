"""Tensor cores: every matrix runs in the mode with the fewest slots that holds it.

docs/rivals.md §5, and §13–§15 for the modes that have files of their own.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from accel_sim.dataflows.abstract.account import Tile, Unit
from accel_sim.dataflows.abstract.causes import ARRAY_EDGE, COMPUTE, PIPELINE, Cause
from accel_sim.dataflows.abstract.dataflow import Change, WireSides
from accel_sim.dataflows.abstract.mask_machine import Keep, MaskMachine, Tiles
from accel_sim.dataflows.abstract.product import Order
from accel_sim.dataflows.tensor_core.array import TensorCoreArray, blocks, mode_of, strips
from accel_sim.dataflows.tensor_core.changes import CHANGES
from accel_sim.dataflows.tensor_core.mode import Mode
from accel_sim.inputs.activations import Inputs, group_tokens
from sparse_formats.storage import Storage


@dataclass(frozen=True, kw_only=True)
class TensorCore(MaskMachine):
    """Each matrix runs in the mode with the fewest slots that holds it."""

    array: TensorCoreArray

    dataflow = "tensor_core"
    causes: ClassVar[Mapping[str, Cause]] = {
        "compute": COMPUTE,
        "unused_slots": Cause("multiplying slots that hold no kept weight", "#AA3377"),
        "array_edge": ARRAY_EDGE,
        "pipeline": PIPELINE,
    }
    changes: ClassVar[Mapping[str, Change]] = CHANGES

    def check(self) -> None:
        super().check()
        self.array.check()

    def tiles(self, keep: Keep, inputs: Inputs) -> Tiles:
        return run_tensor_core(keep, inputs.tokens, self.array)

    def orders(self, keep: Keep, weight: NDArray[Any]) -> Iterator[Order]:
        mode = mode_of(keep, self.array)
        for rows in strips(keep, self.array):
            for block in blocks(keep[rows], self.array):
                first, last = rows.start + block.start, rows.start + block.stop
                yield slot_order(keep[first:last], weight[first:last], first, mode, self.array)

    def format_of(self, keep: Keep) -> str:
        return mode_of(keep, self.array).name

    @property
    def tokens_at_once(self) -> int:
        return self.array.tokens

    def area_parts(self) -> dict[str, dict[str, float]]:
        array = self.array
        operands = array.outputs * array.slots + array.slots * array.tokens
        sums = array.strip_outputs * array.tokens * array.accumulator_bits
        parts: dict[str, dict[str, float]] = {
            "mac": {f"mac_{self.numbers.name}": array.macs},
            "accumulators": {"register_bit": sums},
            "queues": {"register_bit": operands * array.value_bits},
        }
        if array.choice:
            parts["matching"] = {"pick_of_16": array.macs * array.choice / 16}
        return parts

    def wire_sides(self) -> WireSides:
        """Both operands cross the array, each past the multipliers that share it."""
        return WireSides(weights=1.0, operands=1.0, sums=0.5)

    def resized(self, pes: int) -> Self:
        """`pes`: tokens at once."""
        return replace(self, array=replace(self.array, tokens=pes))


def run_tensor_core(keep: Keep, tokens: int, machine: TensorCoreArray) -> Tiles:
    """Tiles of bool mask `keep` (outputs × inputs), and the tokens of each group."""
    mode = mode_of(keep, machine)
    sizes = group_tokens(tokens, machine.tokens)
    tiles = [
        _tile(strip, (rows.start, rows.stop), keep[rows], mode, sizes, machine)
        for strip, rows in enumerate(strips(keep, machine))
    ]
    return tuple(tiles), sizes


def slot_order(
    keep: Keep, weight: NDArray[Any], first_output: int, mode: Mode, machine: TensorCoreArray
) -> Order:
    """The order of a block of outputs, whose terms go on in the accumulators one after the other.

    In one cycle an output takes the products of `slots` slots, each with the input that its index
    picks; an adder tree adds them, and the accumulator adds its sum. Empty slots add 0.
    """
    terms, cycles = [], 0
    for term, placed in zip(mode.terms(keep), mode.placed(keep), strict=True):
        step, lane = np.divmod(placed.slot, machine.slots)
        terms.append((placed.row, placed.input, weight[placed.keep], cycles + step, lane))
        cycles += -(-term.slots // machine.slots)
    row, input_, value, step, lane = (np.concatenate(each) for each in zip(*terms, strict=True))
    if len(terms) > 1:
        by_row = np.lexsort((lane, step, row))
        row, input_, value, step, lane = (each[by_row] for each in (row, input_, value, step, lane))
    return Order(
        first_output + row,
        input_,
        value,
        part=np.zeros_like(row),
        step=step,
        lane=lane,
        lanes=machine.slots,
    )


@dataclass(frozen=True)
class _Offered:
    """What the blocks of a tile offer in all their terms.

    slots: of all rows; index_bits: with the flags of blocks; cycles: of a group of tokens;
    additions: of each token into accumulators; reads: how often all inputs are read; operands:
    activations of each token that are latched.
    """

    slots: int = 0
    index_bits: int = 0
    cycles: int = 0
    additions: int = 0
    reads: int = 0
    operands: int = 0


def _offered(keep: Keep, mode: Mode, machine: TensorCoreArray) -> _Offered:
    slots = index_bits = cycles = additions = reads = operands = 0
    for block in blocks(keep, machine):
        rows = block.stop - block.start
        index_bits += mode.flag_bits
        for term in mode.terms(keep[block]):
            of_term = -(-term.slots // machine.slots)
            slots += rows * term.slots
            index_bits += rows * term.index_bits
            cycles += of_term
            additions += rows * of_term
            reads += 1
            operands += term.slots
    return _Offered(slots, index_bits, cycles, additions, reads, operands)


def _tile(
    strip: int,
    rows: tuple[int, int],
    keep: Keep,
    mode: Mode,
    sizes: NDArray[np.int64],
    machine: TensorCoreArray,
) -> Tile:
    outputs, inputs = keep.shape
    nnz, offers = int(np.count_nonzero(keep)), _offered(keep, mode, machine)
    multipliers = machine.outputs * machine.tokens * machine.slots
    steps = np.full_like(sizes, offers.cycles)
    latency = np.full_like(sizes, machine.pe_latency_cycles)
    filled = -(-offers.slots * sizes // multipliers)
    # A dense product multiplies dropped weights like kept ones: they are padding.
    compute = -(-nnz * sizes // multipliers)
    v, a = machine.value_bits, machine.accumulator_bits
    storage = Storage(nnz * v, offers.index_bits, 0, (offers.slots - nnz) * v)
    executed, offered = nnz * sizes, offers.slots * sizes
    return Tile(
        strip=strip,
        rows=rows,
        cols=(0, inputs),
        storage=storage,
        cycles=steps + latency,
        causes={
            "compute": compute,
            "unused_slots": filled - compute,
            "array_edge": steps - filled,
            "pipeline": latency,
        },
        executed=executed,
        skipped=np.zeros_like(sizes),
        padding=offered - executed,
        units={
            "multiplier": Unit(
                multipliers,
                {
                    "busy": executed,
                    "unused_slots": offered - executed,
                    "array_edge": multipliers * steps - offered,
                    "pipeline": multipliers * latency,
                },
            )
        },
        actions={
            "weight_bits_read": np.full_like(sizes, storage.bits),
            # Every block of outputs reads the tokens' inputs anew, and so does every term.
            "activation_bits_read": offers.reads * inputs * sizes * v,
            "activation_bits_written": outputs * sizes * a,
            "decoded_bits": np.full_like(sizes, offers.index_bits),
            # An operand is latched once for each row or column of multipliers it serves.
            "register_bits": 2 * v * (offers.slots + offers.operands * sizes),
            "macs": offered,
            "accumulator_bits": 2 * a * offers.additions * sizes,
            "weight_wire_bits": np.full_like(sizes, storage.bits),
            # Whatever a multiplier may pick from must come by.
            "operand_wire_bits": offers.reads * inputs * sizes * v,
            "sum_wire_bits": outputs * sizes * a,
        },
    )
