"""PEs that match the indices of non-zero weights and activations (docs/rivals.md §8).

Source: SNAP (VLSI 2019, JSSC 2021), abstracts; Eyeriss v2 (JETCAS 2019), the buffers of its PE.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from accel_sim.dataflows.abstract.account import Tile, Unit, ranges
from accel_sim.dataflows.abstract.causes import ARRAY_EDGE, COMPUTE, IMBALANCE, PIPELINE, Cause
from accel_sim.dataflows.abstract.changes import AROUND_THE_ARRAY, scaled
from accel_sim.dataflows.abstract.dataflow import Change, WireSides
from accel_sim.dataflows.abstract.machine_sections import Bits, Size, SizeOrZero
from accel_sim.dataflows.abstract.mask_machine import Keep, MaskMachine, Tiles
from accel_sim.dataflows.abstract.product import Order
from accel_sim.inputs.activations import Inputs, group_tokens
from sparse_formats.errors import InputError
from sparse_formats.storage import Storage, bits_for

INDEX_BITS = 16
"""Of an entry's input, in the windows of a PE."""
_MATCHER = 16 * 16
"""Comparisons of the matcher in the area table."""


@dataclass(frozen=True)
class IndexMatchingArray:
    """cores × pe_rows × pe_columns PEs, of different outputs, tokens and inputs.

    multipliers: of a PE. …_window: entries that a step looks at. …_per_pe: whose sums a PE holds.
    """

    cores: Size = 4
    pe_rows: Size = 7
    pe_columns: Size = 3
    multipliers: Size = 3
    weight_window: Size = 32
    activation_window: Size = 32
    outputs_per_pe: Size = 16
    tokens_per_pe: Size = 4
    pe_latency_cycles: SizeOrZero = 4
    value_bits: Bits = 16
    operand_bits: Bits = 16
    accumulator_bits: Bits = 32

    @property
    def pes(self) -> int:
        return self.cores * self.pe_rows * self.pe_columns

    @property
    def macs(self) -> int:
        return self.pes * self.multipliers

    @property
    def group_tokens(self) -> int:
        return self.pe_rows * self.tokens_per_pe


CHANGES: Mapping[str, Change] = {
    **AROUND_THE_ARRAY,
    "windows": scaled("both windows twice as long", "array", weight_window=2, activation_window=2),
    "multipliers": scaled("twice the multipliers in each PE", "array", multipliers=2),
    "outputs": scaled("twice the outputs in each PE", "array", outputs_per_pe=2),
    "tokens": scaled("twice the tokens in each PE", "array", tokens_per_pe=2),
    "columns": scaled(
        "twice the PE columns, which share the inputs, on half the cores, with as many MACs",
        "array",
        pe_columns=2,
        cores=0.5,
    ),
    "rows": scaled(
        "twice the PE rows, which share the tokens, on half the cores, with as many MACs",
        "array",
        pe_rows=2,
        cores=0.5,
    ),
}


@dataclass(frozen=True, kw_only=True)
class IndexMatching(MaskMachine):
    """Neither dropped weights nor zero activations take time; windows without a match do."""

    array: IndexMatchingArray

    dataflow = "index_matching"
    causes: ClassVar[Mapping[str, Cause]] = {
        "compute": COMPUTE,
        "array_edge": ARRAY_EDGE,
        "unmatched": Cause("multipliers without a matching pair beside busy ones", "#4477AA"),
        "imbalance": IMBALANCE,
        "no_match": Cause("comparing windows in which no index matches", "#CCBB44"),
        "pipeline": PIPELINE,
    }
    changes: ClassVar[Mapping[str, Change]] = CHANGES

    @property
    def operand_bits(self) -> int:
        return self.array.operand_bits

    @property
    def skips_zeros(self) -> bool:
        return True

    @property
    def group_tokens(self) -> int:
        return self.array.group_tokens

    @property
    def tokens_at_once(self) -> int:
        return self.array.pe_rows

    def check(self) -> None:
        super().check()
        for held, window in (
            ("outputs_per_pe", "weight_window"),
            ("tokens_per_pe", "activation_window"),
        ):
            most, count = getattr(self.array, window), getattr(self.array, held)
            if count > most:
                raise InputError(
                    f"array.{held} is {count}, array.{window} {most}; a window must hold all "
                    f"entries of an input, so give at most {most} {held}"
                )

    def tiles(self, keep: Keep, inputs: Inputs) -> Tiles:
        return run_index_matching(keep, inputs.nonzero, inputs.tokens, self.array)

    def orders(self, keep: Keep, weight: NDArray[Any]) -> Iterator[Order]:
        for rows in strips(keep, self.array):
            part = slice(*rows)
            yield list_order(entry_lists(keep[part], self.array), weight[part], rows[0], self.array)

    def format_of(self, keep: Keep) -> str:
        return "index_lists"

    def area_parts(self) -> dict[str, dict[str, float]]:
        array = self.array
        sums = array.outputs_per_pe * array.tokens_per_pe * array.accumulator_bits
        windows = array.weight_window * (array.value_bits + INDEX_BITS)
        windows += array.activation_window * (array.operand_bits + INDEX_BITS)
        compared = array.weight_window * array.activation_window
        return {
            "mac": {f"mac_{self.numbers.name}": array.macs},
            "accumulators": {"register_bit": array.pes * sums},
            "queues": {"register_bit": array.pes * windows},
            "matching": {"matcher": array.pes * compared / _MATCHER},
        }

    def wire_sides(self) -> WireSides:
        """Weights pass the PE rows, activations the cores; sums leave to the edge."""
        return WireSides(weights=1.0, operands=1.0, sums=0.5)

    def resized(self, pes: int) -> Self:
        """`pes`: PE rows of each core."""
        return replace(self, array=replace(self.array, pe_rows=pes))


@dataclass(frozen=True, eq=False)
class EntryLists:
    """The lists of a tile's weights, each list in its order.

    Of each entry: core and column of its PEs; place: its input among those of the column; slot: its
    output among those of the core.
    """

    core: NDArray[np.int64]
    column: NDArray[np.int64]
    place: NDArray[np.int64]
    slot: NDArray[np.int64]


def strips(keep: Keep, machine: IndexMatchingArray) -> list[tuple[int, int]]:
    """Outputs of each tile."""
    outputs, inputs = keep.shape
    return ranges(outputs, machine.cores * machine.outputs_per_pe) if inputs else []


def entry_lists(keep: Keep, machine: IndexMatchingArray) -> EntryLists:
    """What is stored of a tile: list by list, by ascending input, then by output."""
    output, input_ = np.nonzero(keep)
    core, slot = output % machine.cores, output // machine.cores
    column, place = input_ % machine.pe_columns, input_ // machine.pe_columns
    order = np.lexsort((slot, place, column, core))
    return EntryLists(*(field[order] for field in (core, column, place, slot)))


def list_order(
    lists: EntryLists, weight: NDArray[Any], first: int, machine: IndexMatchingArray
) -> Order:
    """Each accumulator adds in the order of its list, and the columns' sums are added in turn.

    first: output of the tile, with which `weight` begins.
    """
    output = lists.slot * machine.cores + lists.core
    input_ = lists.place * machine.pe_columns + lists.column
    # Accumulators are independent of each other: one after the other, each in the order of a list.
    order = np.lexsort((np.arange(len(output)), lists.column, output))
    output, input_ = output[order], input_[order]
    return Order(first + output, input_, weight[output, input_], part=lists.column[order])


def run_index_matching(
    keep: Keep, nonzero: Keep | None, tokens: int, machine: IndexMatchingArray
) -> Tiles:
    """Tiles of bool mask `keep` (outputs × inputs), and the tokens of each group.

    nonzero: bool (tokens, inputs); None where no activation is zero.
    """
    inputs, sizes = keep.shape[1], group_tokens(tokens, machine.group_tokens)
    parts = strips(keep, machine)
    if not parts:
        return (), sizes
    lists, which = _activations(nonzero, tokens, inputs, machine)
    spent = np.zeros((len(parts), machine.cores, machine.pe_columns, len(lists), _COUNTS), np.int64)
    _match(
        _weights(keep, len(parts), machine),
        lists,
        machine.weight_window,
        machine.activation_window,
        machine.multipliers,
        spent,
    )
    live = _live(nonzero, sizes, inputs)
    tiles = tuple(
        # (groups, cores, PE rows, PE columns, counts): PEs in the order of their numbers.
        _tile(
            strip,
            rows,
            keep,
            spent[strip][:, :, which].transpose(2, 0, 3, 1, 4),
            live,
            sizes,
            machine,
        )
        for strip, rows in enumerate(parts)
    )
    return tiles, sizes


def _weights(keep: Keep, strips: int, machine: IndexMatchingArray) -> NDArray[np.int64]:
    """Kept weights of each input, (strips, cores, inputs); output r of a strip: core r mod Q."""
    cores, held = machine.cores, machine.outputs_per_pe
    counts = np.zeros((strips, cores, keep.shape[1]), np.int64)
    for strip in range(strips):
        part = keep[strip * cores * held : (strip + 1) * cores * held]
        for core in range(min(cores, len(part))):
            counts[strip, core] = np.count_nonzero(part[core::cores], axis=0)
    return counts


def _activations(
    nonzero: Keep | None, tokens: int, inputs: int, machine: IndexMatchingArray
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Non-zero activations of each input in every list that differs, and whose list is which.

    (lists, inputs), and (groups, PE rows); token t of a group is of PE row t mod N.
    """
    rows, in_group = machine.pe_rows, machine.group_tokens
    groups = -(-tokens // in_group)
    if nonzero is None:
        held = np.bincount(
            np.arange(tokens) // in_group * rows + np.arange(tokens) % in_group % rows,
            minlength=groups * rows,
        )
        counts, which = np.unique(held, return_inverse=True)
        lists = np.repeat(counts[:, None], inputs, axis=1).astype(np.int64)
        return lists, which.reshape(groups, rows)
    padded = np.zeros((groups * in_group, inputs), np.bool_)
    padded[:tokens] = nonzero
    by_row = padded.reshape(groups, machine.tokens_per_pe, rows, inputs)
    lists = np.count_nonzero(by_row, axis=1).reshape(groups * rows, inputs)
    return lists.astype(np.int64), np.arange(groups * rows).reshape(groups, rows)


def _live(nonzero: Keep | None, sizes: NDArray[np.int64], inputs: int) -> NDArray[np.int64]:
    """Non-zero activations of each group."""
    if nonzero is None:
        return sizes * inputs
    return np.add.reduceat(
        np.count_nonzero(nonzero, axis=1), np.concatenate([[0], np.cumsum(sizes)[:-1]])
    ).astype(np.int64)


_TABLED = 2048
_BUSY, _NO_MATCH, _PAIRS, _STEPS, _COUNTS = range(5)


@njit(cache=True, nogil=True)
def _match(
    weights: Any,
    activations: Any,
    weight_window: int,
    activation_window: int,
    multipliers: int,
    spent: Any,
) -> None:
    """`spent` (strips, cores, columns, lists, counts) of a PE with each list of activations."""
    # Looking up the cycles of a step is much faster than dividing its pairs.
    cycles_of = (np.arange(_TABLED) + multipliers - 1) // multipliers
    strips, cores, columns = spent.shape[:3]
    for column in range(columns):
        lists = np.ascontiguousarray(activations[:, column::columns])
        for strip in range(strips):
            for core in range(cores):
                w = np.ascontiguousarray(weights[strip, core, column::columns])
                for i in range(len(lists)):
                    _match_lists(
                        w,
                        lists[i],
                        weight_window,
                        activation_window,
                        multipliers,
                        cycles_of,
                        spent[strip, core, column, i],
                    )


@njit(cache=True, nogil=True)
def _match_lists(
    w: Any,
    n: Any,
    weight_window: int,
    activation_window: int,
    multipliers: int,
    cycles_of: Any,
    counts: Any,
) -> None:
    """Steps of one PE whose list has w[k] weights and n[k] activations of its k-th input."""
    inputs = min(_used(w), _used(n))
    held_weights = held_activations = pairs = 0
    all_pairs = busy = no_match = steps = 0
    for k in range(inputs):
        held_weights += w[k]
        held_activations += n[k]
        if held_weights > weight_window or held_activations > activation_window:
            busy += cycles_of[pairs] if pairs < _TABLED else -(-pairs // multipliers)
            no_match += pairs == 0
            steps += 1
            all_pairs += pairs
            held_weights, held_activations, pairs = w[k], n[k], 0
        pairs += w[k] * n[k]
    if inputs > 0:
        busy += cycles_of[pairs] if pairs < _TABLED else -(-pairs // multipliers)
        no_match += pairs == 0
        steps += 1
        all_pairs += pairs
    counts[_BUSY] = busy
    counts[_NO_MATCH] = no_match
    counts[_PAIRS] = all_pairs
    counts[_STEPS] = steps


@njit(cache=True, nogil=True)
def _used(entries: Any) -> int:
    """Inputs up to and with the last one that has an entry."""
    inputs = len(entries)
    while inputs > 0 and entries[inputs - 1] == 0:
        inputs -= 1
    return inputs


def _tile(
    strip: int,
    rows: tuple[int, int],
    keep: Keep,
    spent: NDArray[np.int64],
    live: NDArray[np.int64],
    sizes: NDArray[np.int64],
    machine: IndexMatchingArray,
) -> Tile:
    outputs, inputs = rows[1] - rows[0], keep.shape[1]
    by_pe = spent.reshape(len(sizes), machine.pes, _COUNTS)
    taken = by_pe[:, :, _BUSY] + by_pe[:, :, _NO_MATCH]
    critical = taken.argmax(axis=1)
    of_critical = by_pe[np.arange(len(sizes)), critical]
    busy, no_match, pairs, steps = by_pe.sum(axis=1).T
    latency = np.full_like(sizes, machine.pe_latency_cycles)
    stepped = taken.max(axis=1)
    reached = min(machine.cores, outputs) * min(machine.pe_columns, inputs)
    reached = reached * np.minimum(machine.pe_rows, sizes)
    balanced = np.minimum(of_critical[:, _BUSY], -(-busy // reached))
    filled = np.minimum(balanced, -(-pairs // (reached * machine.multipliers)))
    compute = np.minimum(filled, -(-pairs // machine.macs))
    nnz = int(np.count_nonzero(keep[rows[0] : rows[1]]))
    v, x, a = machine.value_bits, machine.operand_bits, machine.accumulator_bits
    index_bits = bits_for(inputs)
    lists = machine.cores * machine.pe_columns
    longest = machine.outputs_per_pe * -(-inputs // machine.pe_columns)
    storage = Storage(
        nnz * v,
        nnz * (index_bits + bits_for(machine.outputs_per_pe)),
        lists * bits_for(longest + 1),
    )
    read = live * (x + index_bits + bits_for(machine.tokens_per_pe))
    windows = np.minimum(machine.pe_rows, sizes) * nnz * (v + INDEX_BITS)
    windows += min(machine.cores, outputs) * live * (x + INDEX_BITS)
    written = outputs * sizes * a
    gated = busy * machine.multipliers - pairs
    return Tile(
        strip=strip,
        rows=rows,
        cols=(0, inputs),
        storage=storage,
        cycles=stepped + latency,
        causes={
            "compute": compute,
            "array_edge": filled - compute,
            "unmatched": balanced - filled,
            "imbalance": of_critical[:, _BUSY] - balanced,
            "no_match": of_critical[:, _NO_MATCH],
            "pipeline": latency,
        },
        executed=pairs,
        skipped=nnz * sizes - pairs,
        padding=gated,
        units={
            "pe": Unit(
                machine.pes,
                {
                    "busy": busy,
                    "no_match": no_match,
                    "idle": machine.pes * stepped - busy - no_match,
                    "pipeline": machine.pes * latency,
                },
            )
        },
        actions={
            "weight_bits_read": np.full_like(sizes, storage.bits),
            "activation_bits_read": read,
            "activation_bits_written": written,
            "register_bits": 2 * windows,
            "compares": steps * machine.weight_window * machine.activation_window,
            "macs": pairs,
            "gated_lanes": gated,
            "accumulator_bits": 2 * a * pairs,
            "adds": outputs * sizes * (machine.pe_columns - 1),
            "weight_wire_bits": np.full_like(sizes, storage.bits),
            "operand_wire_bits": read,
            "sum_wire_bits": written,
        },
    )
