"""Cambricon-X: each PE picks the inputs of its kept weights out of a window (docs/rivals.md §4).

Source: Zhang et al., MICRO 2016 (abstract), and secondary notes; the body is not public here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import sqrt
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from accel_sim.dataflows.abstract.account import Tile, Unit, ranges
from accel_sim.dataflows.abstract.causes import COMPUTE, EMPTY_LANES, IMBALANCE, PIPELINE, Cause
from accel_sim.dataflows.abstract.changes import AROUND_THE_ARRAY, scaled
from accel_sim.dataflows.abstract.dataflow import Change, WireSides
from accel_sim.dataflows.abstract.machine_sections import Bits, Size, SizeOrZero
from accel_sim.dataflows.abstract.mask_machine import Keep, MaskMachine, Tiles
from accel_sim.dataflows.abstract.product import Order
from accel_sim.inputs.activations import Inputs, group_tokens
from sparse_formats.storage import Storage, bits_for


@dataclass(frozen=True)
class CambriconXArray:
    """pes PEs of `multipliers`; output r of a strip is of PE r mod pes.

    window_inputs: inputs among which the indexing module picks in one step. input_words,
    output_words: of the two neuron buffers.
    """

    pes: Size = 16
    multipliers: Size = 16
    window_inputs: Size = 256
    input_words: Size = 4096
    output_words: Size = 4096
    pe_latency_cycles: SizeOrZero = 4
    value_bits: Bits = 16
    accumulator_bits: Bits = 32

    @property
    def macs(self) -> int:
        return self.pes * self.multipliers


CHANGES = {
    **AROUND_THE_ARRAY,
    "window": scaled("indexing module over twice as many inputs", "array", window_inputs=2),
    "input_words": scaled("buffer of inputs twice as large", "array", input_words=2),
    "output_words": scaled("buffer of outputs twice as large", "array", output_words=2),
    "narrower": scaled(
        "half the multipliers in twice as many PEs, with as many MACs",
        "array",
        multipliers=0.5,
        pes=2,
    ),
    "wider": scaled(
        "twice the multipliers in half as many PEs, with as many MACs",
        "array",
        multipliers=2,
        pes=0.5,
    ),
}
"""What would help, by its short name, in the order in which ties are broken."""


@dataclass(frozen=True, kw_only=True)
class CambriconX(MaskMachine):
    """No activation is skipped."""

    array: CambriconXArray

    dataflow = "cambricon_x"
    weights_in_array = True
    causes: ClassVar[Mapping[str, Cause]] = {
        "compute": COMPUTE,
        "empty_lanes": EMPTY_LANES,
        "imbalance": IMBALANCE,
        "empty_window": Cause("windows of inputs in which an output keeps nothing", "#99DDFF"),
        "pipeline": PIPELINE,
    }
    changes: ClassVar[Mapping[str, Change]] = CHANGES

    def tiles(self, keep: Keep, inputs: Inputs) -> Tiles:
        return run_cambricon_x(keep, inputs.tokens, self.array)

    def orders(self, keep: Keep, weight: NDArray[Any]) -> Iterator[Order]:
        for _, rows, cols in blocks(keep, self.array):
            part = (slice(*rows), slice(*cols))
            yield step_order(keep[part], weight[part], (rows[0], cols[0]), self.array)

    def format_of(self, keep: Keep) -> str:
        return "step_indices"

    def area_parts(self) -> dict[str, dict[str, float]]:
        array = self.array
        return {
            "mac": {f"mac_{self.numbers.name}": array.macs},
            "accumulators": {"register_bit": array.pes * array.accumulator_bits},
            "matching": {"pick_of_16": array.macs * array.window_inputs / 16},
            "queues": {"register_bit": array.window_inputs * array.value_bits},
        }

    def wire_sides(self) -> WireSides:
        """Inputs come from the indexing module in the middle, sums go there.

        Weights cross half their PE.
        """
        return WireSides(weights=0.5 / sqrt(self.array.pes), operands=0.5, sums=0.5)

    def resized(self, pes: int) -> Self:
        return replace(self, array=replace(self.array, pes=pes))


def run_cambricon_x(keep: Keep, tokens: int, machine: CambriconXArray) -> Tiles:
    """Tiles of bool mask `keep` (outputs × inputs), and the tokens of each group: one each.

    No activation is skipped, so that all passes over a tile count the same.
    """
    tiles = [
        _tile(strip, rows, cols, keep[slice(*rows), slice(*cols)], machine)
        for strip, rows, cols in blocks(keep, machine)
    ]
    return tuple(tiles), group_tokens(tokens, 1)


def blocks(
    keep: Keep, machine: CambriconXArray
) -> Iterator[tuple[int, tuple[int, int], tuple[int, int]]]:
    """Strip, outputs and inputs of each tile."""
    outputs, inputs = keep.shape
    for strip, rows in enumerate(ranges(outputs, machine.output_words)):
        for cols in ranges(inputs, machine.input_words):
            yield strip, rows, cols


def kept_of_windows(keep: Keep, machine: CambriconXArray) -> NDArray[np.int64]:
    """Kept weights of each window of each output of a tile: int64 (outputs, windows)."""
    firsts = np.arange(0, keep.shape[1], machine.window_inputs)
    return np.add.reduceat(keep, firsts, axis=1, dtype=np.int64)


def step_order(
    keep: Keep, weight: NDArray[Any], first: tuple[int, int], machine: CambriconXArray
) -> Order:
    """Cycle by cycle of each PE: its multipliers take the next weights of a window, its adder tree
    adds their products, and the accumulator of the output adds the sum of the tree.

    first: output and input of the tile.
    """
    of_window = kept_of_windows(keep, machine)
    place = np.nonzero(keep)[1] % machine.window_inputs  # what the stored steps add up to
    counts = of_window.ravel()
    line = np.repeat(np.arange(len(counts)), counts)
    rank = np.arange(len(line)) - np.repeat(np.cumsum(counts) - counts, counts)
    cycle, lane = np.divmod(rank, machine.multipliers)
    output, window = np.divmod(line, of_window.shape[1])
    input_ = window * machine.window_inputs + place
    return Order(
        first[0] + output,
        first[1] + input_,
        weight[keep],
        part=np.zeros_like(output),
        # No cycle serves two windows.
        step=line * -(-machine.window_inputs // machine.multipliers) + cycle,
        lane=lane,
        lanes=machine.multipliers,
    )


def _tile(
    strip: int,
    rows: tuple[int, int],
    cols: tuple[int, int],
    keep: Keep,
    machine: CambriconXArray,
) -> Tile:
    outputs, inputs = keep.shape
    pes, lanes, latency = machine.pes, machine.multipliers, machine.pe_latency_cycles
    counts, pe = kept_of_windows(keep, machine), np.arange(outputs) % pes
    issues = _of_each(pe, pes, (-(-counts // lanes)).sum(axis=1))
    empty = _of_each(pe, pes, np.count_nonzero(counts == 0, axis=1))
    spent = issues + empty
    critical = int(np.argmax(spent))
    nnz, busy = int(np.count_nonzero(keep)), int(issues[critical])
    balanced = min(-(-int(issues.sum()) // pes), busy)
    compute = min(-(-nnz // (pes * lanes)), balanced)
    cycles = int(spent[critical]) + latency
    steps = outputs * -(-inputs // machine.window_inputs)
    v, a = machine.value_bits, machine.accumulator_bits
    index_bits = bits_for(machine.window_inputs)
    counts_bits = steps * bits_for(machine.window_inputs + 1)
    storage = Storage(nnz * v, nnz * index_bits, counts_bits)
    later = int(cols[0] > 0)
    return Tile(
        strip=strip,
        rows=rows,
        cols=cols,
        storage=storage,
        cycles=_once(cycles),
        causes={
            "compute": _once(compute),
            "empty_lanes": _once(balanced - compute),
            "imbalance": _once(busy - balanced),
            "empty_window": _once(int(empty[critical])),
            "pipeline": _once(latency),
        },
        executed=_once(nnz),
        skipped=_once(0),
        padding=_once(int(issues.sum()) * lanes - nnz),
        units={
            "pe": Unit(
                pes,
                {
                    "busy": _once(int(issues.sum())),
                    "empty_window": _once(int(empty.sum())),
                    "idle": _once(pes * (cycles - latency) - int(spent.sum())),
                    "pipeline": _once(pes * latency),
                },
            )
        },
        actions={
            "weight_bits_read": _once(storage.bits),
            "activation_bits_read": _once(outputs * inputs * v + later * outputs * a),
            "activation_bits_written": _once(outputs * a),
            "decoded_bits": _once(storage.bits - nnz * v),
            "register_bits": _once(2 * nnz * v),
            "macs": _once(nnz),
            "gated_lanes": _once(int(issues.sum()) * lanes - nnz),
            "accumulator_bits": _once(2 * a * int(issues.sum())),
            "adds": _once(later * outputs),
            "weight_wire_bits": _once(storage.bits),
            "operand_wire_bits": _once(nnz * v),
            "sum_wire_bits": _once(outputs * a),
        },
    )


def _of_each(pe: NDArray[np.int64], pes: int, of_output: NDArray[np.int64]) -> NDArray[np.int64]:
    """What the outputs of each PE add up to."""
    sums = np.zeros(pes, np.int64)
    np.add.at(sums, pe, of_output)
    return sums


def _once(count: int) -> NDArray[np.int64]:
    """A count that is the same for every group."""
    return np.array([count], np.int64)
