"""Dual-side sparse tensor cores: outer products of what is not zero (docs/rivals.md §10).

Source: Wang et al., Dual-side Sparse Tensor Core, ISCA 2021, as digitised in Sparseloop's artifact.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from accel_sim.dataflows.abstract.account import Tile, Unit, ranges
from accel_sim.dataflows.abstract.causes import ARRAY_EDGE, COMPUTE, IMBALANCE, PIPELINE, Cause
from accel_sim.dataflows.abstract.changes import AROUND_THE_ARRAY, scaled
from accel_sim.dataflows.abstract.dataflow import Change, WireSides
from accel_sim.dataflows.abstract.machine_sections import Bits, Size, SizeOrZero
from accel_sim.dataflows.abstract.mask_machine import Keep, MaskMachine, Tiles
from accel_sim.dataflows.abstract.product import Order
from accel_sim.inputs.activations import Inputs, group_tokens
from sparse_formats.formats.bitmap import Bitmap
from sparse_formats.storage import Storage


@dataclass(frozen=True)
class DualSideArray:
    """core_rows × core_columns cores, each with tile_outputs × tile_tokens sums.

    A core multiplies step_outputs weights by step_tokens activations of one input in a cycle.
    """

    core_rows: Size = 8
    core_columns: Size = 4
    tile_outputs: Size = 32
    tile_tokens: Size = 32
    step_outputs: Size = 8
    step_tokens: Size = 16
    pe_latency_cycles: SizeOrZero = 4
    value_bits: Bits = 16
    accumulator_bits: Bits = 32

    @property
    def cores(self) -> int:
        return self.core_rows * self.core_columns

    @property
    def core_macs(self) -> int:
        """Multipliers of a core."""
        return self.step_outputs * self.step_tokens

    @property
    def macs(self) -> int:
        return self.cores * self.core_macs

    @property
    def strip_outputs(self) -> int:
        return self.core_rows * self.tile_outputs

    @property
    def group_tokens(self) -> int:
        return self.core_columns * self.tile_tokens


CHANGES = {
    **AROUND_THE_ARRAY,
    "step_outputs": scaled(
        "steps of twice the weights and half the activations, with as many MACs",
        "array",
        step_outputs=2,
        step_tokens=0.5,
    ),
    "step_tokens": scaled(
        "steps of half the weights and twice the activations, with as many MACs",
        "array",
        step_outputs=0.5,
        step_tokens=2,
    ),
    "smaller_steps": scaled(
        "steps of half the weights in twice as many core rows, with as many MACs",
        "array",
        step_outputs=0.5,
        core_rows=2,
    ),
    "tile_outputs": scaled("sums of twice as many outputs in each core", "array", tile_outputs=2),
    "tile_tokens": scaled("sums of twice as many tokens in each core", "array", tile_tokens=2),
    "more_rows": scaled(
        "twice the core rows, half the core columns, with as many MACs",
        "array",
        core_rows=2,
        core_columns=0.5,
    ),
    "more_columns": scaled(
        "half the core rows, twice the core columns, with as many MACs",
        "array",
        core_rows=0.5,
        core_columns=2,
    ),
}
"""What would help, by its short name, in the order in which ties are broken."""


@dataclass(frozen=True, kw_only=True)
class DualSide(MaskMachine):
    """Neither dropped weights nor zero activations are multiplied; steps may be partly filled."""

    array: DualSideArray

    dataflow = "dual_side"
    causes: ClassVar[Mapping[str, Cause]] = {
        "compute": COMPUTE,
        "array_edge": ARRAY_EDGE,
        "partial_steps": Cause("steps that what is not zero does not fill", "#D4A5D9"),
        "imbalance": IMBALANCE,
        "pipeline": PIPELINE,
    }
    changes: ClassVar[Mapping[str, Change]] = CHANGES

    @property
    def skips_zeros(self) -> bool:
        return True

    @property
    def group_tokens(self) -> int:
        return self.array.group_tokens

    @property
    def tokens_at_once(self) -> int:
        return self.array.core_columns * self.array.step_tokens

    def tiles(self, keep: Keep, inputs: Inputs) -> Tiles:
        return run_dual_side(keep, inputs.nonzero, inputs.tokens, self.array)

    def orders(self, keep: Keep, weight: NDArray[Any]) -> Iterator[Order]:
        for rows in strips(keep, self.array):
            yield outer_order(Bitmap.encode(keep[rows], weight[rows]), rows.start)

    def format_of(self, keep: Keep) -> str:
        return "bitmap"

    def area_parts(self) -> dict[str, dict[str, float]]:
        """A core picks its operands out of a column of the tile, and the places of their sums."""
        array = self.array
        sums = array.tile_outputs * array.tile_tokens
        operands = array.step_outputs + array.step_tokens
        picks = array.step_outputs * array.tile_outputs + array.step_tokens * array.tile_tokens
        picks += array.core_macs * (array.tile_outputs + array.tile_tokens)
        return {
            "mac": {f"mac_{self.numbers.name}": array.macs},
            "accumulators": {"register_bit": array.cores * sums * array.accumulator_bits},
            "queues": {"register_bit": array.cores * operands * array.value_bits},
            "matching": {"pick_of_16": array.cores * picks / 16},
        }

    def wire_sides(self) -> WireSides:
        """Weights run along the cores of their row, activations along those of their column."""
        return WireSides(weights=1.0, operands=1.0, sums=0.5)

    def resized(self, pes: int) -> Self:
        """`pes`: core rows."""
        return replace(self, array=replace(self.array, core_rows=pes))


def run_dual_side(keep: Keep, nonzero: Keep | None, tokens: int, machine: DualSideArray) -> Tiles:
    """Tiles of bool mask `keep` (outputs × inputs), and the tokens of each group.

    nonzero: bool (tokens, inputs); None where no activation is zero.
    """
    sizes = group_tokens(tokens, machine.group_tokens)
    live = live_tokens(nonzero, keep.shape[1], tokens, machine)
    tiles = [
        _tile(strip, (rows.start, rows.stop), keep[rows], live, sizes, machine)
        for strip, rows in enumerate(strips(keep, machine))
    ]
    return tuple(tiles), sizes


def strips(keep: Keep, machine: DualSideArray) -> list[slice]:
    """The outputs of each tile."""
    outputs, inputs = keep.shape
    return [slice(*rows) for rows in ranges(outputs, machine.strip_outputs)] if inputs else []


def live_tokens(
    nonzero: Keep | None, inputs: int, tokens: int, machine: DualSideArray
) -> NDArray[np.int64]:
    """n_B: of each block of tile_tokens tokens, how many are not zero in each input.

    int64 (groups, core_columns, inputs).
    """
    width = machine.tile_tokens
    groups = -(-tokens // machine.group_tokens)
    live = np.zeros((groups * machine.core_columns, inputs), np.int64)
    for block, (first, end) in enumerate(ranges(tokens, width)):
        live[block] = (
            end - first if nonzero is None else np.count_nonzero(nonzero[first:end], axis=0)
        )
    return live.reshape(groups, machine.core_columns, inputs)


def outer_order(stored: Bitmap, first_output: int) -> Order:
    """Input by input of the bitmap: each product is added to its sum."""
    keep, weight = stored.decode()
    assert weight is not None
    input_, output = np.nonzero(keep.T)
    return Order(first_output + output, input_, weight.T[keep.T])


def _tile(
    strip: int,
    rows: tuple[int, int],
    keep: Keep,
    live: NDArray[np.int64],
    sizes: NDArray[np.int64],
    machine: DualSideArray,
) -> Tile:
    """live: of `live_tokens`."""
    outputs, inputs = keep.shape
    kept = np.add.reduceat(
        keep, np.arange(0, outputs, machine.tile_outputs), axis=0, dtype=np.int64
    )  # n_A of each core row
    weight_steps, token_steps = -(-kept // machine.step_outputs), -(-live // machine.step_tokens)
    steps = _pairs(weight_steps, token_steps)  # cycles of each group, core row and core column
    critical = steps.max(axis=(1, 2))
    busy, executed = steps.sum(axis=(1, 2)), _pairs(kept, live).sum(axis=(1, 2))
    used = len(kept) * -(-sizes // machine.tile_tokens)
    balanced = np.minimum(critical, -(-busy // used))
    filled = np.minimum(balanced, -(-executed // (used * machine.core_macs)))
    compute = np.minimum(filled, -(-executed // machine.macs))
    latency = np.full_like(sizes, machine.pe_latency_cycles)
    v, a = machine.value_bits, machine.accumulator_bits
    nnz = int(kept.sum())
    storage = Storage(nnz * v, outputs * inputs, 0)
    # A weight is latched for each step that it takes part in, an activation likewise.
    weights_latched = _pairs(kept, token_steps).sum(axis=(1, 2))
    latched = weights_latched + _pairs(weight_steps, live).sum(axis=(1, 2))
    bitmap = inputs * sizes
    operand_bits = live.sum(axis=(1, 2)) * v + bitmap
    padding = machine.core_macs * busy - executed
    return Tile(
        strip=strip,
        rows=rows,
        cols=(0, inputs),
        storage=storage,
        cycles=critical + latency,
        causes={
            "compute": compute,
            "array_edge": filled - compute,
            "partial_steps": balanced - filled,
            "imbalance": critical - balanced,
            "pipeline": latency,
        },
        executed=executed,
        skipped=nnz * sizes - executed,
        padding=padding,
        units={
            "core": Unit(
                machine.cores,
                {
                    "busy": busy,
                    "idle": machine.cores * critical - busy,
                    "pipeline": machine.cores * latency,
                },
            )
        },
        actions={
            "weight_bits_read": np.full_like(sizes, storage.bits),
            "activation_bits_read": operand_bits,
            "activation_bits_written": outputs * sizes * a,
            "decoded_bits": outputs * inputs + bitmap,
            "register_bits": 2 * v * latched,
            "macs": executed,
            "gated_lanes": padding,
            "accumulator_bits": 2 * a * executed,
            "weight_wire_bits": np.full_like(sizes, storage.bits),
            "operand_wire_bits": operand_bits,
            "sum_wire_bits": outputs * sizes * a,
        },
    )


def _pairs(of_outputs: NDArray[np.int64], of_tokens: NDArray[np.int64]) -> NDArray[np.int64]:
    """Σ over inputs of the product of (core rows, inputs) and (groups, core columns, inputs).

    int64 (groups, core rows, core columns). Sums stay below 2^53, so that floats are exact.
    """
    by_input = of_tokens.astype(np.float64).transpose(0, 2, 1)
    return (of_outputs.astype(np.float64) @ by_input).astype(np.int64)
