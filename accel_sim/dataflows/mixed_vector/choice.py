"""Which mode, lane groups and select width a matrix gets: what takes the fewest cycles.

docs/microarchitecture.md §2, "Choice".
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from accel_sim.dataflows.abstract.account import LayerRun
from accel_sim.dataflows.abstract.loads import least_weight_cycles
from accel_sim.dataflows.abstract.timeline import alone
from accel_sim.dataflows.mixed_vector.configuration import Configuration
from accel_sim.dataflows.mixed_vector.kept import Store
from accel_sim.dataflows.mixed_vector.layer import counted_run, step_tiles, timed_run
from accel_sim.dataflows.mixed_vector.lines import Lines, entry_count
from accel_sim.dataflows.mixed_vector.passes import Stepped
from accel_sim.dataflows.mixed_vector.stream import EncodedTile, TileStream, Way, encode, layout_of
from accel_sim.inputs.activations import Inputs, Layer, group_tokens
from sparse_formats.errors import InputError
from sparse_formats.masks.vectors import Orientation
from sparse_formats.storage import bits_for

MODES: tuple[Orientation, ...] = ("horizontal", "vertical")


@dataclass(frozen=True, eq=False)
class Chosen:
    """A layer in one way: how it is stored, and its run."""

    way: Way
    lines: Lines
    tiles: list[EncodedTile]
    run: LayerRun


class Encodings:
    """A matrix in every way.

    lines_of: the lines of a mode. store: where lines and tiles are kept for another run.
    """

    def __init__(
        self,
        machine: Configuration,
        name: str,
        lines_of: Callable[[Orientation], Lines],
        store: Store | None = None,
    ) -> None:
        self._machine, self._name, self._lines_of = machine, name, lines_of
        self._lines: Store = {} if store is None else store
        self._store = store

    def lines(self, mode: Orientation) -> Lines:
        lines = self._lines.get(mode)
        if lines is None:
            self._lines[mode] = lines = self._lines_of(mode)
        return lines

    def tiles(self, way: Way) -> list[EncodedTile]:
        """The matrix encoded.

        Raises:
            InputError: it does not fit the machine.
        """
        layout = layout_of(self._machine, way.groups, way.select)
        tiles = None if self._store is None else self._store.get((way.mode, layout))
        if tiles is None:
            tiles = encode(self.lines(way.mode), layout, self._name)
            if self._store is not None:
                self._store[way.mode, layout] = tiles
        return tiles


def choose(layer: Layer, inputs: Inputs, encodings: Encodings, machine: Configuration) -> Chosen:
    """The way in which the matrix alone takes the fewest cycles.

    Ties: fewest bytes of tiles, lanes that do not choose, fewest groups, row mode. What cannot be
    as fast as what has been simulated already is left out.

    Raises:
        InputError: the matrix does not fit the machine in any of them.
    """
    best: tuple[Lines, list[EncodedTile], list[Stepped]] | None = None
    best_key: tuple[int, int, Way] | None = None
    problem: InputError | None = None
    for bound, way in sorted(_bounds(encodings, inputs, machine)):
        if best_key is not None and bound > best_key[0]:
            break
        try:
            tiles = encodings.tiles(way)
        except InputError as error:
            problem = problem or error
            continue
        lines = encodings.lines(way.mode)
        if best_key is not None and _least_time(layer, inputs, lines, tiles, machine) > best_key[0]:
            continue
        stepped = step_tiles(inputs, lines, tiles, machine)
        cycles = (each.cycles for each in stepped)
        time = alone(timed_run(layer, inputs, lines, tiles, cycles, machine), machine)
        bytes_ = sum(tile.stream.bytes for tile in tiles)
        key = (time.cycles, bytes_, way)
        if best_key is None or key < best_key:
            best, best_key = (lines, tiles, stepped), key
    if best is None or best_key is None:
        assert problem is not None
        raise problem
    (lines, tiles, stepped), way = best, best_key[-1]
    run = counted_run(layer, inputs, lines, tiles, stepped, machine, way)
    return Chosen(way, lines, tiles, run)


def _least_time(
    layer: Layer,
    inputs: Inputs,
    lines: Lines,
    tiles: Sequence[EncodedTile],
    machine: Configuration,
) -> int:
    """Cycles that the encoded layer takes at least: as if no slot ever waited for anything."""
    latency = machine.array.pe_latency_cycles
    cycles = (np.array([_least_steps(tile.stream) + latency]) for tile in tiles)
    return alone(timed_run(layer, inputs, lines, tiles, cycles, machine), machine).cycles


def _least_steps(stream: TileStream) -> int:
    """Of a pass: the first entry is read behind the records and issued two cycles later."""
    entries = stream.most_entries
    return stream.record_words + (2 + entries if entries else 0)


def _bounds(
    encodings: Encodings, inputs: Inputs, machine: Configuration
) -> Iterator[tuple[int, Way]]:
    """(least cycles, way) of everything that could be chosen."""
    passes = len(group_tokens(inputs.tokens, machine.array.token_columns))
    for mode in MODES:
        lines, fewest = encodings.lines(mode), math.inf
        for groups in machine.array.lane_groups:
            if lines.is_dense:
                # No entry need have an empty lane: more groups only help where fewer do.
                of_a_slot = entry_count(lines, machine.slots(groups).lanes)[0] / groups
                if of_a_slot >= fewest:
                    continue
                fewest = of_a_slot
            for select in (1,) if lines.is_dense else machine.select_widths:
                way = Way(select, groups, mode)
                yield _least_cycles(lines, way, passes, machine), way


def _least_cycles(lines: Lines, way: Way, passes: int, machine: Configuration) -> int:
    """No pass is shorter than its entries take, one a slot and cycle; no load than its bits."""
    if 0 in lines.shape:
        return 0
    slots, (rows, cols) = machine.slots(way.groups, way.select), lines.shape
    # Tiles more than 64 inputs wide begin at multiples of 64, and those narrower than that at
    # multiples of a power of two, which only cuts more entries apart, unless the first half of the
    # inputs is narrower already: then they begin anywhere.
    position = slots.position_inputs(lines.mode)
    begins_aligned = position == 1 or (64 % position == 0 and cols > 2 * 64 - 2)
    if begins_aligned:
        entries, partial = entry_count(lines, slots.lanes, slots.select)
    else:
        entries, partial = -(-lines.nnz // slots.lanes), 0
    strips = -(-rows // slots.strip_outputs(lines.mode))
    bits = lines.nnz * (machine.value_bits + slots.select_bits)
    if not lines.is_dense:
        outputs = (rows - 1) % slots.strip_outputs(lines.mode) + 1  # of the last strip
        units = outputs if lines.is_row_mode else -(-outputs // slots.lanes)
        # Every pattern has a bitmap for an entry that is not full.
        bits += entries * bits_for(-(-units // slots.sets)) + partial * slots.lanes
    around = machine.record_words(way.groups) + machine.array.pe_latency_cycles
    stepped = passes * (-(-entries // slots.count) + strips * around)
    return max(stepped, least_weight_cycles(bits // 8, machine))
