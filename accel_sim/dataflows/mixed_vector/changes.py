"""Changes of a mixed-vector machine, one thing at a time, and a layer run on each of them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from accel_sim.dataflows.abstract.account import LayerRun
from accel_sim.dataflows.abstract.dataflow import Change
from accel_sim.dataflows.abstract.machine_sections import Buffer
from accel_sim.dataflows.mixed_vector.choice import Chosen, Encodings, choose
from accel_sim.dataflows.mixed_vector.configuration import WITH_SETS, Configuration
from accel_sim.dataflows.mixed_vector.layer import run_tiles
from accel_sim.dataflows.mixed_vector.lines import lines_of
from accel_sim.dataflows.mixed_vector.stream import balanced
from accel_sim.inputs.activations import Inputs, Layer
from sparse_formats.errors import InputError

T = TypeVar("T", bound=Configuration)


def _dram(machine: T) -> T:
    faster = 2 * machine.dram.bytes_per_cycle
    return replace(machine, dram=replace(machine.dram, bytes_per_cycle=faster))


def _decompressor(machine: T) -> T:
    word = 2 * machine.decompressor.word_bytes
    return replace(
        machine,
        decompressor=replace(machine.decompressor, word_bytes=word),
        weight_buffer=_with_ports(machine.weight_buffer, word),
    )


def _with_ports(buffer: Buffer, least: int) -> Buffer:
    return replace(buffer, port_bytes=max(least, buffer.port_bytes or 0))


def _window(machine: T) -> T:
    window = machine.matching
    wider = replace(
        window,
        window_inputs=2 * window.window_inputs,
        inputs_per_cycle=2 * window.inputs_per_cycle,
    )
    return _with_banks(replace(machine, matching=wider))


def _with_banks(machine: T) -> T:
    """As many banks as the ports of the buffers need."""
    weights, activations = machine.weight_buffer, machine.activation_buffer
    needed = -(-machine.activation_bytes_drawn // (activations.port_bytes or 1))
    return replace(
        machine,
        weight_buffer=replace(weights, banks=max(weights.banks, machine.array.pe_rows)),
        activation_buffer=replace(activations, banks=max(activations.banks, needed)),
    )


def _queue(machine: T) -> T:
    deeper = replace(machine.queue, depth_entries=2 * machine.queue.depth_entries)
    return replace(machine, queue=deeper)


def _zero_skip(machine: T) -> T:
    entries = max(2 * machine.zero_skip.entries_per_cycle, 1)
    return replace(machine, zero_skip=replace(machine.zero_skip, entries_per_cycle=entries))


def _lane_groups(machine: T) -> T | None:
    """Twice as many groups as the most; the words before a parser stay as many."""
    array, most = machine.array, 2 * machine.most_groups
    if array.lanes % most or array.accumulators_per_pe % most:
        return None
    words = 2 * machine.decompressor.buffer_words
    return replace(
        machine,
        array=replace(array, lane_groups=(*array.lane_groups, most)),
        decompressor=replace(machine.decompressor, buffer_words=words),
    )


def _lane_select(machine: T) -> T | None:
    """Lanes that choose among twice as many inputs, and a window that holds so many for each."""
    select = 2 * machine.array.lane_select
    return _selecting(machine, select) if machine.array.packing else None


def _no_lane_select(machine: T) -> T | None:
    return _selecting(machine, 1) if machine.array.lane_select > 1 else None


def _selecting(machine: T, select: int) -> T:
    array, window = machine.array, machine.matching
    inputs = max(window.window_inputs, array.lanes * select)
    return replace(
        machine,
        array=replace(array, lane_select=select),
        matching=replace(window, window_inputs=inputs),
    )


def _more_sets(machine: T) -> T | None:
    return _with_sets(machine, 2 * machine.scheduler.sets)


def _fewer_sets(machine: T) -> T | None:
    sets, odd = divmod(machine.scheduler.sets, 2)
    return None if odd else _with_sets(machine, sets)


def _with_sets(machine: T, sets: int) -> T | None:
    fits = machine.scheduler.policy in WITH_SETS and machine.array.pe_rows % sets == 0
    return replace(machine, scheduler=replace(machine.scheduler, sets=sets)) if fits else None


def _narrower(machine: T) -> T | None:
    """Half the lanes on twice the PE rows; groups of lanes stay as small where they can."""
    array = machine.array
    lanes, odd = divmod(array.lanes, 2)
    if odd:
        return None
    groups = tuple(n for n in array.lane_groups if lanes % n == 0 and n <= lanes) or (1,)
    narrower = replace(array, lanes=lanes, pe_rows=2 * array.pe_rows, lane_groups=groups)
    return _with_banks(replace(machine, array=narrower))


def _wider(machine: T) -> T | None:
    """Twice the lanes on half the PE rows."""
    array, sets = machine.array, machine.scheduler.sets
    lanes, (pe_rows, odd) = 2 * array.lanes, divmod(array.pe_rows, 2)
    uneven = machine.scheduler.policy in WITH_SETS and pe_rows % sets
    window = machine.matching.window_inputs // array.lane_select
    fits = lanes <= min(64, array.accumulators_per_pe, window)
    if odd or uneven or not fits:
        return None
    return replace(machine, array=replace(array, lanes=lanes, pe_rows=pe_rows))


def _freely_scheduled(machine: T) -> T:
    """The same sets, hence the same strips."""
    return machine


CHANGES = {
    "dram": Change("twice the DRAM bandwidth", _dram),
    "decompressor": Change("words from the weight buffer twice as wide", _decompressor),
    "window": Change("matching window twice as wide, filled twice as fast", _window),
    "queue": Change("queues twice as deep", _queue),
    "zero_skip": Change("zero-skip drops twice as many entries a cycle", _zero_skip),
    "lane_groups": Change("lanes that also work as twice as many groups", _lane_groups),
    "lane_select": Change(
        "lanes that choose among twice as many inputs each (a proposal of ours)", _lane_select
    ),
    "no_lane_select": Change("lanes that choose no inputs", _no_lane_select),
    "more_sets": Change("twice as many sets of half the PE rows", _more_sets),
    "fewer_sets": Change("half as many sets of twice the PE rows", _fewer_sets),
    "narrower": Change(
        "half the lanes on twice the PE rows, with as many MACs and words per PE", _narrower
    ),
    "wider": Change(
        "twice the lanes on half the PE rows, with as many MACs and words per PE", _wider
    ),
    "schedule": Change(
        "perfect schedule: any entry to any slot, with the same strips",
        _freely_scheduled,
        is_bound=True,
    ),
}
"""What would help, by its short name, in the order in which ties are broken."""


def run_changed(
    layer: Layer, inputs: Inputs, machine: Configuration, changed: Mapping[str, Configuration]
) -> tuple[LayerRun, dict[str, LayerRun | None]]:
    """One layer on the machine and on each changed one; None where it does not fit.

    Each has a choice of its own. Tiles that a change does not touch are taken over.
    """
    matrix, is_packed = layer.matrix, machine.array.packing

    def encodings_on(other: Configuration) -> Encodings:
        return Encodings(other, matrix.name, lambda m: lines_of(matrix, m, is_packed), {})

    encodings = encodings_on(machine)
    base = choose(layer, inputs, encodings, machine)
    runs: dict[str, LayerRun | None] = {}
    for key, other in changed.items():
        if key == "schedule":
            runs[key] = _run_balanced(layer, inputs, base, other)
        elif _is_encoded_alike(other, machine):
            looks = inputs.nonzero is not None  # nobody looks for zeros where there are none
            if key == "zero_skip" and not looks and machine.skips_zeros:
                runs[key] = base.run
            else:
                runs[key] = choose(layer, inputs, encodings, other).run
        else:
            try:
                runs[key] = choose(layer, inputs, encodings_on(other), other).run
            except InputError:
                runs[key] = None
    return base.run, runs


def _is_encoded_alike(one: Configuration, other: Configuration) -> bool:
    sections = ("array", "scheduler", "weight_buffer", "decompressor")
    return one.tile_room == other.tile_room and all(
        getattr(one, section) == getattr(other, section) for section in sections
    )


def _run_balanced(layer: Layer, inputs: Inputs, base: Chosen, machine: Configuration) -> LayerRun:
    """The chosen layer with every entry at the slot that has the fewest so far."""
    tiles = [tile._replace(stream=balanced(tile.stream)) for tile in base.tiles]
    return run_tiles(layer, inputs, base.lines, tiles, machine, base.way)
