"""Products of the array. What one pass counts is the simulator's; how passes follow is §6's."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from accel_sim.dataflows.abstract.account import LayerRun, Tile
from accel_sim.dataflows.abstract.dataflow import Machine
from accel_sim.inputs.activations import Inputs, Layer
from sparse_formats.masks.matrix import MaskedMatrix
from tests.accel_sim.models.reference.timeline import Part, Timeline, up


@dataclass(frozen=True)
class Product:
    """The tiles of a matrix with the passes of each, for so many tokens.

    encoding: what tells apart the ways in which the matrix is stored.
    """

    rows: int
    cols: int
    tokens: int
    nnz: int
    tiles: tuple[Tile, ...]
    groups: tuple[int, ...]
    encoding: tuple[Any, ...]

    @property
    def pass_cycles(self) -> int:
        return sum(self.of_all(tile.cycles) for tile in self.tiles)

    @property
    def room(self) -> int:
        """Bytes on the chip, with what stands beside the tiles there."""
        return sum(
            (tile.bytes if tile.room is None else tile.room) + tile.head_bytes
            for tile in self.tiles
        )

    @property
    def padding(self) -> int:
        return sum(self.of_all(tile.padding) for tile in self.tiles)

    @property
    def stored_bytes(self) -> int:
        return sum(tile.bytes for tile in self.tiles)

    def of_all(self, counted: Any) -> int:
        """A count over all groups: one number, one for each group, or one that each group has."""
        numbers = np.atleast_1d(counted)
        if isinstance(counted, int) or len(numbers) == len(self.groups):
            return int(numbers.sum())
        return int(numbers[0]) * len(self.groups)

    def counts(self, of: str) -> dict[str, int]:
        """ "causes" or "actions" of all passes."""
        found: dict[str, int] = {}
        for tile in self.tiles:
            for key, counted in getattr(tile, of).items():
                found[key] = found.get(key, 0) + self.of_all(counted)
        return found


def masked(keep: Any, tokens: int, machine: Machine) -> Product:
    """The product of a mask, as `run` has it."""
    run = machine.run(Layer(0, MaskedMatrix("weights", keep)), Inputs(tokens, None, None))
    return _product(run, int(np.sum(keep)))


def dense(rows: int, cols: int, tokens: int, machine: Machine) -> Product:
    """The product of a dense matrix, without any index."""
    matrix = MaskedMatrix("dense", np.ones((rows, cols), np.bool_))
    run = machine.dense_baseline()(Layer(0, matrix), Inputs(tokens, None, None))
    return _product(run, rows * cols)


def _product(run: LayerRun, nnz: int) -> Product:
    sizes = tuple(int(size) for size in run.group_sizes)
    encoding = run.orientation, run.lane_groups, run.lane_select, [t.storage for t in run.tiles]
    return Product(*run.shape, sum(sizes), nnz, run.tiles, sizes, encoding)


@dataclass(frozen=True)
class Waits:
    """Cycles of a product besides its passes."""

    dram: int = 0
    writeback: int = 0


def lay(
    product: Product, line: Timeline, machine: Machine, *, is_resident: bool, keeps_all: bool
) -> Waits:
    """Run it behind the operator before. keeps_all: all inputs and outputs are on the chip."""
    dram, begin = machine.dram, line.now
    off_chip = 0 if keeps_all else product.tokens - on_chip_tokens(product, machine)
    earliest = begin if off_chip or not dram.prefetch_across_layers else 0
    b, pass_end, write_ends = machine.operand_bytes, begin, [begin, begin]
    waited = {"dram": 0, "writeback": 0}
    for index, tile in enumerate(product.tiles):
        parts = [] if is_resident else [Part("weights", 1, tile.bytes)]
        if off_chip:
            parts.append(_numbers(tile.cols, product.cols, off_chip, b))
            if index + 1 == len(product.tiles) or product.tiles[index + 1].strip != tile.strip:
                parts.append(_numbers(tile.rows, product.rows, off_chip, b))
        room = tile.bytes if tile.room is None else tile.room
        load = line.load(
            parts,
            earliest,
            0 if is_resident else room,
            None if is_resident else tile.places,
        )
        ready = load.end
        if parts and not off_chip:
            ready = load.first_byte + lead(tile, parts[0], machine)
        for group, tokens in enumerate(product.groups):
            start = max(pass_end, ready, write_ends[-2], begin)
            cause = "dram" if ready >= write_ends[-2] else "writeback"
            waited[cause] += start - pass_end
            cycles = tile.cycles[group if len(tile.cycles) > 1 else 0]
            pass_end = start + int(cycles)
            words = up(tile.outputs * tokens, machine.output.words_per_cycle)
            write_start = max(pass_end, write_ends[-1])
            write_ends.append(write_start + max(words, tile.least_write_cycles))
        load.released, load.place_free = pass_end, write_ends[-1]
    waited["writeback"] += write_ends[-1] - pass_end
    line.now = write_ends[-1]
    return Waits(**waited)


def lead(tile: Tile, part: Part, machine: Machine) -> int:
    """Cycles from the first byte of a tile to its first pass."""
    whole = part.cycles(machine.dram)
    if tile.lines is None:
        return whole
    worst = 0
    for line, (number_of_bytes, writing) in enumerate(tile.lines.T.tolist()):
        loaded = min(whole, part.cycles_for(number_of_bytes, machine.dram))
        worst = max(worst, max(loaded, writing) - line)
    return worst


def on_chip_tokens(product: Product, machine: Machine) -> int:
    """Of how many tokens the activation buffer holds inputs and outputs."""
    sums, strips = 0, [tile.strip for tile in product.tiles]
    if len(strips) > len(set(strips)):
        tallest = max(tile.outputs for tile in product.tiles)
        sums = machine.accumulator_bytes * product.tokens * tallest
    room = max(machine.activation_buffer.bytes - sums, 0)
    return min(product.tokens, room // (machine.operand_bytes * (product.rows + product.cols)))


def _numbers(some: tuple[int, int], every: int, tokens: int, operand_bytes: int) -> Part:
    width = some[1] - some[0]
    if width == every:
        return Part("activations", 1, operand_bytes * tokens * every)
    return Part("activations", tokens, operand_bytes * width)


def alone(product: Product, machine: Machine) -> tuple[int, Waits]:
    """Cycles with resident weights and with all inputs and outputs on the chip."""
    line = Timeline(machine.dram, machine.weight_buffer.bytes)
    waits = lay(product, line, machine, is_resident=True, keeps_all=True)
    return line.now, waits


def made_resident(machine: Machine) -> Machine:
    return replace(machine, dram=replace(machine.dram, resident=True))


def added(*counts: Mapping[str, int]) -> dict[str, int]:
    found: dict[str, int] = {}
    for count in counts:
        for key, number in count.items():
            found[key] = found.get(key, 0) + number
    return found
