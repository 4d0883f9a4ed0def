"""SCNN: vectors of non-zero weights times vectors of non-zero activations (docs/rivals.md §11).

Source: Parashar et al., ISCA 2017 (secondary notes); the rule is the one that meets its curve.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import sqrt
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
from accel_sim.inputs.convolutions import Convolution
from sparse_formats.errors import InputError
from sparse_formats.storage import Storage, bits_for

_QUEUED_WEIGHTS = 50
"""Of the queue of weights in a PE (secondary)."""


@dataclass(frozen=True)
class ScnnArray:
    """pe_rows × pe_cols PEs, each with a part of the plane and weights × activations multipliers.

    accumulators: sums of a PE; tokens_per_pe: most tokens of a PE where there is no plane.
    """

    pe_rows: Size = 8
    pe_cols: Size = 8
    weights: Size = 4
    activations: Size = 4
    accumulators: Size = 1024
    tokens_per_pe: Size = 64
    run_bits: Bits = 4
    pe_latency_cycles: SizeOrZero = 4
    value_bits: Bits = 16
    accumulator_bits: Bits = 24

    @property
    def pes(self) -> int:
        return self.pe_rows * self.pe_cols

    @property
    def multipliers(self) -> int:
        """Of a PE."""
        return self.weights * self.activations

    @property
    def macs(self) -> int:
        return self.pes * self.multipliers


CHANGES: Mapping[str, Change] = {
    **AROUND_THE_ARRAY,
    "accumulators": scaled("twice the accumulators in each PE", "array", accumulators=2),
    "flatter": scaled(
        "vectors of twice the weights and half the activations, with as many MACs",
        "array",
        weights=2,
        activations=0.5,
    ),
    "taller": scaled(
        "vectors of half the weights and twice the activations, with as many MACs",
        "array",
        weights=0.5,
        activations=2,
    ),
    "fewer_pes": scaled(
        "half the PE rows of twice the vectors of weights, with as many MACs",
        "array",
        pe_rows=0.5,
        weights=2,
    ),
}


@dataclass(frozen=True, kw_only=True)
class Scnn(MaskMachine):
    """Neither dropped weights nor zero activations take time; vectors that are not full do."""

    array: ScnnArray

    dataflow = "scnn"
    runs_convolutions = True
    causes: ClassVar[Mapping[str, Cause]] = {
        "compute": COMPUTE,
        "outside": Cause("products of positions outside of the plane of outputs", "#CC6677"),
        "array_edge": ARRAY_EDGE,
        "fragments": Cause("vectors of weights or activations that are not full", "#6699CC"),
        "imbalance": IMBALANCE,
        "pipeline": PIPELINE,
    }
    changes: ClassVar[Mapping[str, Change]] = CHANGES

    @property
    def skips_zeros(self) -> bool:
        return True

    @property
    def group_tokens(self) -> int:
        return self.array.pes * self.array.tokens_per_pe

    @property
    def tokens_at_once(self) -> int:
        return self.array.pes

    def tiles(self, keep: Keep, inputs: Inputs) -> Tiles:
        if inputs.convolution is None:
            return run_tokens(keep, inputs.nonzero, inputs.tokens, self.array)
        shape, nonzero = inputs.convolution, inputs.nonzero
        planes = None if nonzero is None else shape.fold(nonzero)
        return run_convolution(keep, planes, shape, self.array)

    def orders(self, keep: Keep, weight: NDArray[Any]) -> Iterator[Order]:
        if keep.size:
            yield run_order(zero_runs(keep), weight.T[keep.T])

    def format_of(self, keep: Keep) -> str:
        return "channel_runs"

    def area_parts(self) -> dict[str, dict[str, float]]:
        array = self.array
        sums = array.accumulators * array.accumulator_bits
        queue = _QUEUED_WEIGHTS * (array.value_bits + array.run_bits)
        operands = (array.weights + array.activations) * array.value_bits
        # Each of twice as many banks chooses among all products: one way in two, times and again.
        crossbar = 2 * array.multipliers * (array.multipliers - 1) * array.accumulator_bits
        return {
            "mac": {f"mac_{self.numbers.name}": array.macs},
            "accumulators": {"register_bit": array.pes * sums},
            "queues": {"register_bit": array.pes * (queue + operands)},
            "matching": {"mux_bit": array.pes * crossbar},
        }

    def wire_sides(self) -> WireSides:
        """Weights pass all PEs; activations and sums stay in theirs, half a PE away."""
        inside = 0.5 / sqrt(self.array.pes)
        return WireSides(weights=1.0, operands=inside, sums=inside)

    def resized(self, pes: int) -> Self:
        """`pes`: PE rows."""
        return replace(self, array=replace(self.array, pe_rows=pes))


@dataclass(frozen=True, eq=False)
class Part:
    """What the PEs hold of the plane in one group.

    live: non-zero activations of each channel, int64 (PEs, channels). reached: PEs that have a part
    of the plane. halo: sums of each output that go to a neighbour. useful: non-zero activations
    that each column of the matrix meets inside of the plane of outputs, int64 (columns,).
    """

    live: NDArray[np.int64]
    reached: int
    halo: int
    useful: NDArray[np.int64]


def run_tokens(keep: Keep, nonzero: Keep | None, tokens: int, machine: ScnnArray) -> Tiles:
    """Tiles of bool mask `keep` (outputs × inputs), and the tokens of each group.

    nonzero: bool (tokens, inputs); None where no activation is zero.
    """
    inputs = keep.shape[1]
    sizes = group_tokens(tokens, machine.pes * machine.tokens_per_pe)
    parts, first = [], 0
    for size in sizes:
        of_group = slice(first, first + int(size))
        of_pe = np.arange(size) // -(-size // machine.pes)
        live = np.zeros((machine.pes, inputs), np.int64)
        if nonzero is None:
            live += np.bincount(of_pe, minlength=machine.pes)[:, None]
        else:
            np.add.at(live, of_pe, nonzero[of_group])
        parts.append(Part(live, int(of_pe[-1]) + 1, 0, live.sum(axis=0)))
        first += int(size)
    sums = -(-int(sizes[0]) // machine.pes)
    return _tiles(keep, np.arange(inputs), parts, sizes, sums, 1, machine), sizes


def run_convolution(
    keep: Keep, planes: NDArray[np.bool_] | None, shape: Convolution, machine: ScnnArray
) -> Tiles:
    """Tiles of bool mask `keep` (outputs × inputs of the matrix), and the positions: one group.

    planes: bool (inputs, height, width), which activations are not zero; None where none is.

    Raises:
        InputError: sums of one output do not fit the accumulators of a PE.
    """
    assert shape.size is not None and shape.positions is not None
    (height, width), (down, across) = shape.size, shape.padding
    (kernel_rows, kernel_cols), (row_step, col_step) = shape.kernel, shape.stride
    if planes is None:
        planes = np.ones((shape.inputs, height, width), np.bool_)
    high, wide = -(-height // machine.pe_rows), -(-width // machine.pe_cols)
    live = np.zeros((machine.pes, shape.inputs, row_step, col_step), np.int64)
    for pe in range(machine.pes):
        row, col = pe // machine.pe_cols * high, pe % machine.pe_cols * wide
        part = planes[:, row : row + high, col : col + wide]
        for a in range(row_step):
            for b in range(col_step):
                of_phase = part[:, (a - down - row) % row_step :: row_step]
                of_phase = of_phase[:, :, (b - across - col) % col_step :: col_step]
                live[pe, :, a, b] = np.count_nonzero(of_phase, axis=(1, 2))
    c, r, q = np.unravel_index(np.arange(keep.shape[1]), (shape.inputs, *shape.kernel))
    channel = (c * row_step + r % row_step) * col_step + q % col_step
    reached = -(-height // high) * -(-width // wide)
    useful = np.count_nonzero(shape.unfold(planes), axis=0).astype(np.int64)
    sums = -(-(high + kernel_rows - 1) // row_step) * -(-(wide + kernel_cols - 1) // col_step)
    halo = max(0, reached * sums - shape.positions)
    parts = [Part(live.reshape(machine.pes, -1), reached, halo, useful)]
    sizes = group_tokens(shape.positions, shape.positions)
    return _tiles(keep, channel, parts, sizes, sums, kernel_rows * kernel_cols, machine), sizes


def zero_runs(keep: Keep) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What is stored of each kept weight, input by input: its input, and dropped ones before it."""
    input_, output = np.nonzero(keep.T)
    is_first = np.diff(input_, prepend=-1) > 0
    before = np.where(is_first, -1, np.roll(output, 1))
    return input_, output - before - 1


def run_order(runs: tuple[NDArray[np.int64], NDArray[np.int64]], values: NDArray[Any]) -> Order:
    """Each accumulator adds by ascending input, as the lists of the inputs are stored.

    values: of the kept weights in the order of `runs`.
    """
    input_, run = runs
    # Outputs passed since the first input, less those passed before the input of the entry.
    passed = np.cumsum(run + 1)
    is_first = np.diff(input_, prepend=-1) > 0
    before = np.maximum.accumulate(np.where(is_first, passed - run - 1, 0))
    output = passed - before - 1
    order = np.argsort(output, kind="stable")
    return Order(output[order], input_[order], values[order])


def _tiles(
    keep: Keep,
    channel: NDArray[np.int64],
    parts: list[Part],
    sizes: NDArray[np.int64],
    sums: int,
    kernel: int,
    machine: ScnnArray,
) -> tuple[Tile, ...]:
    """channel: of each column of `keep`; parts: of each group; sums: of an output in a PE; kernel:
    weights of a channel of an output.

    Raises:
        InputError: the sums of one output do not fit the accumulators of a PE.
    """
    if sums > machine.accumulators:
        raise InputError(
            f"an output has {sums} sums in a PE, which has {machine.accumulators} accumulators; "
            f"set array.accumulators to {sums} or more"
        )
    outputs, inputs = keep.shape
    tiles = []
    for strip, rows in enumerate(ranges(outputs, machine.accumulators // sums) if inputs else []):
        of_column = np.count_nonzero(keep[slice(*rows)], axis=0).astype(np.int64)
        of_channel = np.zeros(parts[0].live.shape[1], np.int64)
        np.add.at(of_channel, channel, of_column)
        spent = [_spent(of_column, of_channel, part, machine) for part in parts]
        nnz, v = int(of_column.sum()), machine.value_bits
        storage = Storage(
            nnz * v,
            nnz * machine.run_bits,
            inputs // kernel * bits_for((rows[1] - rows[0]) * kernel + 1),
        )
        of_groups = {name: np.array([each[name] for each in spent]) for name in spent[0]}
        tiles.append(_tile(strip, rows, inputs, storage, of_groups, nnz, sizes, machine))
    return tuple(tiles)


def _spent(
    of_column: NDArray[np.int64], of_channel: NDArray[np.int64], part: Part, machine: ScnnArray
) -> dict[str, int]:
    """One tile with kept weights `of_column` and `of_channel`, and one group.

    longest: cycles of the critical PE; busy: of all PEs; weights_read: out of their queues.
    """
    vectors = -(-part.live // machine.activations)
    cycles = _times(vectors, -(-of_channel // machine.weights))
    return {
        "longest": int(cycles.max()),
        "busy": int(cycles.sum()),
        "products": int(part.live.sum(axis=0) @ of_channel),
        "executed": int(part.useful @ of_column),
        "weights_read": int(vectors.sum(axis=0) @ of_channel),
        "reached": part.reached,
        "live": int(part.live.sum()),
        "halo": part.halo,
    }


def _times(matrix: NDArray[np.int64], vector: NDArray[np.int64]) -> NDArray[np.int64]:
    """Their product: counts this small are exact in FP64, which is much faster."""
    return np.rint(matrix.astype(np.float64) @ vector.astype(np.float64)).astype(np.int64)


def _tile(
    strip: int,
    rows: tuple[int, int],
    inputs: int,
    storage: Storage,
    of: Mapping[str, NDArray[np.int64]],
    nnz: int,
    sizes: NDArray[np.int64],
    machine: ScnnArray,
) -> Tile:
    """of: what `_spent` counted, of each group."""
    outputs, pes, lanes = rows[1] - rows[0], machine.pes, machine.multipliers
    longest, busy, products, executed = (
        of[name] for name in ("longest", "busy", "products", "executed")
    )
    latency = np.full_like(sizes, machine.pe_latency_cycles)
    balanced = np.minimum(longest, -(-busy // of["reached"]))
    reached = np.minimum(balanced, -(-products // (of["reached"] * lanes)))
    everywhere = np.minimum(reached, -(-products // (pes * lanes)))
    compute = np.minimum(everywhere, -(-executed // (pes * lanes)))
    v, a = machine.value_bits, machine.accumulator_bits
    read = of["live"] * (v + machine.run_bits)
    written = outputs * sizes * a
    return Tile(
        strip=strip,
        rows=rows,
        cols=(0, inputs),
        storage=storage,
        cycles=longest + latency,
        causes={
            "compute": compute,
            "outside": everywhere - compute,
            "array_edge": reached - everywhere,
            "fragments": balanced - reached,
            "imbalance": longest - balanced,
            "pipeline": latency,
        },
        executed=executed,
        skipped=nnz * sizes - executed,
        padding=busy * lanes - executed,
        units={
            "pe": Unit(pes, {"busy": busy, "idle": pes * longest - busy, "pipeline": pes * latency})
        },
        actions={
            "weight_bits_read": np.full_like(sizes, storage.bits),
            "activation_bits_read": read,
            "activation_bits_written": written,
            "register_bits": v * (of["reached"] * nnz + of["weights_read"]) + 2 * a * products,
            "macs": products,
            "gated_lanes": busy * lanes - products,
            "accumulator_bits": 2 * a * products,
            "adds": outputs * of["halo"],
            "weight_wire_bits": np.full_like(sizes, storage.bits),
            "operand_wire_bits": read,
            "sum_wire_bits": written,
        },
    )
