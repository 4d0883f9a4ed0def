"""Tensor cores: dense tiles, and N of M kept in every group of inputs (docs/rivals.md §5).

Source: NVIDIA's Ampere (2:4: half the operand, twice the mathematics); vector-wise K of L: Zhu et
al., Sparse Tensor Core, MICRO 2019.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from accel_sim.dataflows.abstract.account import Tile, Unit, ranges
from accel_sim.dataflows.abstract.causes import ARRAY_EDGE, COMPUTE, PIPELINE, Cause
from accel_sim.dataflows.abstract.changes import AROUND_THE_ARRAY, scaled, set_to
from accel_sim.dataflows.abstract.dataflow import Change, WireSides
from accel_sim.dataflows.abstract.machine_sections import Bits, Size, SizeOrZero
from accel_sim.dataflows.abstract.mask_machine import Keep, MaskMachine, Tiles
from accel_sim.dataflows.abstract.product import Order
from accel_sim.inputs.activations import Inputs, group_tokens
from sparse_formats.errors import InputError
from sparse_formats.storage import Storage, bits_for

Mode = tuple[Size, Size]
"""N slots for every M neighbouring inputs; (1, 1) is dense."""


@dataclass(frozen=True)
class TensorCoreArray:
    """`outputs` × `tokens` × `slots` multipliers. strip_outputs: whose sums fit the accumulators.

    modes: what the machine can do, in any order; dense, (1, 1), is always possible.
    vector_length: L of vector-wise K of L, K being the most that any group of the matrix keeps; 0
    where the machine has no such mode.
    """

    outputs: Size = 16
    tokens: Size = 16
    slots: Size = 16
    strip_outputs: Size = 128
    modes: tuple[Mode, ...] = ((2, 4), (1, 4))
    vector_length: SizeOrZero = 0
    pe_latency_cycles: SizeOrZero = 4
    value_bits: Bits = 16
    accumulator_bits: Bits = 32

    @property
    def macs(self) -> int:
        return self.outputs * self.tokens * self.slots


def _with_mode(slots: int, length: int) -> Change:
    def change(machine: "TensorCore") -> "TensorCore | None":
        modes = machine.array.modes
        if (slots, length) in modes:
            return None
        return replace(machine, array=replace(machine.array, modes=(*modes, (slots, length))))

    return Change(f"{slots}:{length} as a further mode", change)


CHANGES = {
    **AROUND_THE_ARRAY,
    "2:4": _with_mode(2, 4),
    "1:4": _with_mode(1, 4),
    "vector_wise": set_to(
        "the most that any 16 inputs keep as a further mode", "array", vector_length=16
    ),
    "strip": scaled("accumulators for twice as many outputs", "array", strip_outputs=2),
    "more_slots": scaled(
        "twice the slots for half as many tokens, with as many MACs", "array", slots=2, tokens=0.5
    ),
    "more_tokens": scaled(
        "half the slots for twice as many tokens, with as many MACs", "array", slots=0.5, tokens=2
    ),
    "more_outputs": scaled(
        "twice the outputs for half as many tokens, with as many MACs",
        "array",
        outputs=2,
        tokens=0.5,
    ),
    "fewer_outputs": scaled(
        "half the outputs for twice as many tokens, with as many MACs",
        "array",
        outputs=0.5,
        tokens=2,
    ),
}
"""What would help, by its short name, in the order in which ties are broken."""


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
        for slots, length in self.array.modes:
            if slots > length:
                raise InputError(
                    f"array.modes has [{slots}, {length}]; give [N, M] with N of M kept"
                )

    def tiles(self, keep: Keep, inputs: Inputs) -> Tiles:
        return run_tensor_core(keep, inputs.tokens, self.array)

    def orders(self, keep: Keep, weight: NDArray[Any]) -> Iterator[Order]:
        mode = mode_of(keep, self.array)
        for rows in strips(keep, self.array):
            yield slot_order(keep[rows], weight[rows], rows.start, mode, self.array)

    def format_of(self, keep: Keep) -> str:
        slots, length = mode_of(keep, self.array)
        return "dense" if length == 1 else f"{slots}:{length}"

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
        longest = max([array.vector_length, *(length for _, length in array.modes)])
        if longest:
            parts["matching"] = {"pick_of_16": array.macs * longest / 16}
        return parts

    def wire_sides(self) -> WireSides:
        """Both operands cross the array, each past the multipliers that share it."""
        return WireSides(weights=1.0, operands=1.0, sums=0.5)

    def resized(self, pes: int) -> Self:
        """`pes`: tokens at once."""
        return replace(self, array=replace(self.array, tokens=pes))


def mode_of(keep: Keep, machine: TensorCoreArray) -> Mode:
    """The mode with the fewest slots that holds every group of bool mask `keep`, ties to dense."""
    possible: list[Mode] = [(1, 1)]
    for slots, length in machine.modes:
        if most_kept(keep, length) <= slots:
            possible.append((slots, length))
    if machine.vector_length:
        most = most_kept(keep, machine.vector_length)
        possible.append((max(most, 1), machine.vector_length))
    return min(possible, key=lambda mode: slots_of(keep.shape[1], mode))


def most_kept(keep: Keep, length: int) -> int:
    """The most that any `length` neighbouring inputs of a row keep, groups counted from input 0."""
    outputs, inputs = keep.shape
    if not keep.size:
        return 0
    groups = -(-inputs // length)
    padded = np.zeros((outputs, groups * length), np.bool_)
    padded[:, :inputs] = keep
    return int(np.count_nonzero(padded.reshape(outputs, groups, length), axis=2).max())


def slots_of(inputs: int, mode: Mode) -> int:
    """Slots of a row: N for every M inputs, a last short group counting whole."""
    slots, length = mode
    return -(-inputs // length) * slots


def run_tensor_core(keep: Keep, tokens: int, machine: TensorCoreArray) -> Tiles:
    """Tiles of bool mask `keep` (outputs × inputs), and the tokens of each group."""
    mode = mode_of(keep, machine)
    sizes = group_tokens(tokens, machine.tokens)
    tiles = [
        _tile(strip, (rows.start, rows.stop), keep[rows], mode, sizes, machine)
        for strip, rows in enumerate(strips(keep, machine))
    ]
    return tuple(tiles), sizes


def strips(keep: Keep, machine: TensorCoreArray) -> list[slice]:
    """The outputs of each tile."""
    outputs, inputs = keep.shape
    return [slice(*rows) for rows in ranges(outputs, machine.strip_outputs)] if inputs else []


def slots_and_indices(
    keep: Keep, mode: Mode
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Of each kept weight, row by row: its row, its slot, and which input of its group it is.

    The weights of a group fill its slots in the order of their inputs.
    """
    slots, length = mode
    row, col = np.nonzero(keep)
    group, index = np.divmod(col, length)
    line = row * -(-keep.shape[1] // length) + group
    first = np.searchsorted(line, line, side="left")
    return row, group * slots + np.arange(len(line)) - first, index


def slot_order(
    keep: Keep, weight: NDArray[Any], first_output: int, mode: Mode, machine: TensorCoreArray
) -> Order:
    """In one cycle an output takes the products of `slots` slots, each with the input that its
    index picks; an adder tree adds them, and the accumulator adds its sum. Empty slots add 0."""
    slots, length = mode
    output, slot, index = slots_and_indices(keep, mode)
    input_ = slot // slots * length + index
    step, lane = np.divmod(slot, machine.slots)
    return Order(
        first_output + output,
        input_,
        weight[keep],
        part=np.zeros_like(output),
        step=step,
        lane=lane,
        lanes=machine.slots,
    )


def _tile(
    strip: int,
    rows: tuple[int, int],
    keep: Keep,
    mode: Mode,
    sizes: NDArray[np.int64],
    machine: TensorCoreArray,
) -> Tile:
    outputs, inputs = keep.shape
    nnz, slots = int(np.count_nonzero(keep)), slots_of(inputs, mode)
    multipliers = machine.outputs * machine.tokens * machine.slots
    blocks = -(-outputs // machine.outputs)
    steps = np.full_like(sizes, blocks * -(-slots // machine.slots))
    latency = np.full_like(sizes, machine.pe_latency_cycles)
    filled = -(-outputs * slots * sizes // multipliers)
    # A dense product multiplies dropped weights like kept ones: they are padding.
    compute = -(-nnz * sizes // multipliers)
    v, a = machine.value_bits, machine.accumulator_bits
    index_bits = bits_for(mode[1])
    offered_slots = outputs * slots
    storage = Storage(nnz * v, offered_slots * index_bits, 0, (offered_slots - nnz) * v)
    executed, offered = nnz * sizes, outputs * slots * sizes
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
            # Every block of outputs reads the tokens' inputs anew.
            "activation_bits_read": blocks * inputs * sizes * v,
            "activation_bits_written": outputs * sizes * a,
            "decoded_bits": np.full_like(sizes, outputs * slots * index_bits),
            # An operand is latched once for each row or column of multipliers it serves.
            "register_bits": 2 * v * (outputs * slots + blocks * slots * sizes),
            "macs": offered,
            "accumulator_bits": 2 * a * outputs * sizes * -(-slots // machine.slots),
            "weight_wire_bits": np.full_like(sizes, storage.bits),
            # Whatever a multiplier may pick from must come by.
            "operand_wire_bits": blocks * inputs * sizes * v,
            "sum_wire_bits": outputs * sizes * a,
        },
    )
