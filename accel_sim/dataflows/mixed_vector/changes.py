"""Changes of a mixed-vector machine, one thing at a time, and a layer run on each of them."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

import numpy as np

from accel_sim.dataflows.abstract.account import LayerRun
from accel_sim.dataflows.abstract.dataflow import Change
from accel_sim.dataflows.mixed_vector.configuration import WITH_SETS, Configuration
from accel_sim.dataflows.mixed_vector.cycle_loop import Stepper
from accel_sim.dataflows.mixed_vector.layer import run_steppers
from accel_sim.dataflows.mixed_vector.plan import PlannedTile, plan_layer, sorted_by
from accel_sim.dataflows.mixed_vector.schedule import least_loaded
from accel_sim.dataflows.mixed_vector.stream import Stored
from accel_sim.inputs.activations import Inputs, Layer
from sparse_formats.errors import InputError
from sparse_formats.masks.decompose import decompose

T = TypeVar("T", bound=Configuration)


def _dram(machine: T) -> T:
    faster = 2 * machine.dram.bytes_per_cycle
    return replace(machine, dram=replace(machine.dram, bytes_per_cycle=faster))


def _decompressor(machine: T) -> T:
    rates = machine.decompressor
    faster = replace(
        rates,
        bytes_per_cycle=2 * rates.bytes_per_cycle,
        entries_per_cycle=2 * rates.entries_per_cycle,
    )
    return replace(machine, decompressor=faster)


def _window(machine: T) -> T:
    window = machine.matching
    wider = replace(
        window,
        window_inputs=2 * window.window_inputs,
        inputs_per_cycle=2 * window.inputs_per_cycle,
    )
    return replace(machine, matching=wider)


def _queue(machine: T) -> T:
    deeper = replace(machine.queue, depth_entries=2 * machine.queue.depth_entries)
    return replace(machine, queue=deeper)


def _zero_skip(machine: T) -> T:
    entries = max(2 * machine.zero_skip.entries_per_cycle, 1)
    return replace(machine, zero_skip=replace(machine.zero_skip, entries_per_cycle=entries))


def _more_sets(machine: T) -> T | None:
    return _with_sets(machine, 2 * machine.scheduler.sets)


def _fewer_sets(machine: T) -> T | None:
    sets, odd = divmod(machine.scheduler.sets, 2)
    return None if odd else _with_sets(machine, sets)


def _with_sets(machine: T, sets: int) -> T | None:
    fits = machine.scheduler.policy in WITH_SETS and machine.array.pe_rows % sets == 0
    return replace(machine, scheduler=replace(machine.scheduler, sets=sets)) if fits else None


def _narrower(machine: T) -> T | None:
    """Half the lanes on twice the PE rows; as many weights per cycle leave the decompressor."""
    array, rates = machine.array, machine.decompressor
    if array.lanes % 2:
        return None
    return replace(
        machine,
        array=replace(array, lanes=array.lanes // 2, pe_rows=2 * array.pe_rows),
        decompressor=replace(rates, entries_per_cycle=2 * rates.entries_per_cycle),
    )


def _wider(machine: T) -> T | None:
    """Twice the lanes on half the PE rows."""
    array, sets = machine.array, machine.scheduler.sets
    lanes, (pe_rows, odd) = 2 * array.lanes, divmod(array.pe_rows, 2)
    uneven = machine.scheduler.policy in WITH_SETS and pe_rows % sets
    fits = lanes <= min(64, array.accumulators_per_pe, machine.matching.window_inputs)
    if odd or uneven or not fits:
        return None
    return replace(machine, array=replace(array, lanes=lanes, pe_rows=pe_rows))


def _freely_scheduled(machine: T) -> T:
    """The same sets, hence the same strips; each PE row with a queue of its own."""
    is_online = machine.scheduler.policy == "online"
    policy = "set_associative" if is_online else machine.scheduler.policy
    return replace(machine, scheduler=replace(machine.scheduler, policy=policy))


CHANGES = {
    "dram": Change("twice the DRAM bandwidth", _dram),
    "decompressor": Change("decompressor twice as fast, in bytes and in entries", _decompressor),
    "window": Change("matching window twice as wide, filled twice as fast", _window),
    "queue": Change("queues twice as deep", _queue),
    "zero_skip": Change("zero-skip looks twice as far ahead", _zero_skip),
    "more_sets": Change("twice as many sets of half the PE rows", _more_sets),
    "fewer_sets": Change("half as many sets of twice the PE rows", _fewer_sets),
    "narrower": Change(
        "half the lanes on twice the PE rows, with as many MACs and words per PE", _narrower
    ),
    "wider": Change(
        "twice the lanes on half the PE rows, with as many MACs and words per PE", _wider
    ),
    "schedule": Change(
        "perfect schedule: any entry to any PE row, with the same strips", _freely_scheduled
    ),
}
"""What would help, by its short name, in the order in which ties are broken."""


def run_changed(
    layer: Layer, inputs: Inputs, machine: Configuration, changed: Mapping[str, Configuration]
) -> tuple[LayerRun, dict[str, LayerRun | None]]:
    """One layer on the machine and on each changed one; None where it does not fit.

    Plans and passes that a change does not touch are taken over: twice the DRAM bandwidth only
    lays the same passes out in time anew.
    """
    matrix = layer.matrix
    layout = matrix.vectors if matrix.vectors is not None else decompose(matrix.keep)
    stored = Stored(layout, matrix.shape)
    plan = list(plan_layer(stored, machine, matrix.name))

    def run(plan: Iterable[PlannedTile], on: Configuration) -> LayerRun:
        steppers = (Stepper(planned, on, False, {}) for planned in plan)
        return run_steppers(layer, inputs, stored, steppers, on)

    base = run(plan, machine)
    runs: dict[str, LayerRun | None] = {}
    for key, other in changed.items():
        if key == "schedule":
            runs[key] = run([_balanced(planned, other) for planned in plan], other)
        elif _has_same(other, machine, "array", "scheduler", "weight_buffer"):
            # Nobody looks for zeros where there are none.
            passes = ("decompressor", "queue", "matching")
            passes += () if inputs.nonzero is None else ("zero_skip",)
            runs[key] = base if _has_same(other, machine, *passes) else run(plan, other)
        else:
            try:
                runs[key] = run(plan_layer(stored, other, matrix.name), other)
            except InputError:
                runs[key] = None
    return base, runs


def _has_same(one: Configuration, other: Configuration, *sections: str) -> bool:
    return all(getattr(one, section) == getattr(other, section) for section in sections)


def _balanced(planned: PlannedTile, machine: Configuration) -> PlannedTile:
    """The tile with every entry at the PE row that has the fewest so far."""
    pe_rows = machine.array.pe_rows
    queue = least_loaded(np.zeros(len(planned.entries), np.int32), pe_rows, pe_rows)
    first, order = sorted_by(queue, pe_rows)
    return replace(planned, queue=queue, first=first, order=order)
