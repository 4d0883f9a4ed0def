"""What would help: the machine changed in one thing at a time, simulated, and ranked.

Nothing is estimated: every answer is a run of the same matrices and activations on the changed
machine, without the product and without the dense twin. Plans and passes that a change does not
touch are taken over: twice the DRAM bandwidth only lays the same passes out in time anew.
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from accel_sim.costs.timeline import lay_out
from accel_sim.dataflows.mixed_vector.cycle_loop import Stepper
from accel_sim.dataflows.mixed_vector.layer import LayerRun, run_steppers
from accel_sim.dataflows.mixed_vector.plan import PlannedTile, plan_layer, sorted_by
from accel_sim.dataflows.mixed_vector.schedule import least_loaded
from accel_sim.dataflows.mixed_vector.stream import Stored
from accel_sim.machines.description import WITH_SETS, Accelerator
from accel_sim.pipeline import in_order
from accel_sim.workload import Activations, Layer, group_tokens, layers_of
from sparse_formats.errors import InputError
from sparse_formats.masks.decompose import decompose
from sparse_formats.masks.matrix import MaskedMatrix

NOTHING = 0.01
"""A gain or a loss below this share of the cycles is called nothing."""

QUICK_WEIGHTS = 20_000_000
"""Weights × groups stepped apart up to which advice is given unasked: about a second."""


@dataclass(frozen=True)
class Advice:
    """A change, the cycles of the whole run with it, and the share of cycles it saves.

    key: short name; change: what is changed and what is held. gain is negative where it harms.
    """

    key: str
    change: str
    cycles: int
    gain: float

    def as_data(self) -> dict[str, Any]:
        """As it stands in report.json."""
        return {**asdict(self), "is_nothing": abs(self.gain) < NOTHING}


def _dram(machine: Accelerator) -> Accelerator:
    faster = 2 * machine.dram.bytes_per_cycle
    return replace(machine, dram=replace(machine.dram, bytes_per_cycle=faster))


def _decompressor(machine: Accelerator) -> Accelerator:
    rates = machine.decompressor
    faster = replace(
        rates,
        bytes_per_cycle=2 * rates.bytes_per_cycle,
        entries_per_cycle=2 * rates.entries_per_cycle,
    )
    return replace(machine, decompressor=faster)


def _window(machine: Accelerator) -> Accelerator:
    window = machine.matching
    wider = replace(
        window,
        window_inputs=2 * window.window_inputs,
        inputs_per_cycle=2 * window.inputs_per_cycle,
    )
    return replace(machine, matching=wider)


def _queue(machine: Accelerator) -> Accelerator:
    deeper = replace(machine.queue, depth_entries=2 * machine.queue.depth_entries)
    return replace(machine, queue=deeper)


def _zero_skip(machine: Accelerator) -> Accelerator:
    entries = max(2 * machine.zero_skip.entries_per_cycle, 1)
    return replace(machine, zero_skip=replace(machine.zero_skip, entries_per_cycle=entries))


def _more_sets(machine: Accelerator) -> Accelerator | None:
    return _with_sets(machine, 2 * machine.scheduler.sets)


def _fewer_sets(machine: Accelerator) -> Accelerator | None:
    sets, odd = divmod(machine.scheduler.sets, 2)
    return None if odd else _with_sets(machine, sets)


def _with_sets(machine: Accelerator, sets: int) -> Accelerator | None:
    fits = machine.scheduler.policy in WITH_SETS and machine.array.pe_rows % sets == 0
    return replace(machine, scheduler=replace(machine.scheduler, sets=sets)) if fits else None


def _narrower(machine: Accelerator) -> Accelerator | None:
    """Half the lanes on twice the PE rows; as many weights per cycle leave the decompressor."""
    array, rates = machine.array, machine.decompressor
    if array.lanes % 2:
        return None
    return replace(
        machine,
        array=replace(array, lanes=array.lanes // 2, pe_rows=2 * array.pe_rows),
        decompressor=replace(rates, entries_per_cycle=2 * rates.entries_per_cycle),
    )


def _wider(machine: Accelerator) -> Accelerator | None:
    """Twice the lanes on half the PE rows."""
    array, sets = machine.array, machine.scheduler.sets
    lanes, (pe_rows, odd) = 2 * array.lanes, divmod(array.pe_rows, 2)
    uneven = machine.scheduler.policy in WITH_SETS and pe_rows % sets
    fits = lanes <= min(64, array.accumulators_per_pe, machine.matching.window_inputs)
    if odd or uneven or not fits:
        return None
    return replace(machine, array=replace(array, lanes=lanes, pe_rows=pe_rows))


def _freely_scheduled(machine: Accelerator) -> Accelerator:
    """The same sets, hence the same strips; each PE row with a queue of its own."""
    is_online = machine.scheduler.policy == "online"
    policy = "set_associative" if is_online else machine.scheduler.policy
    return replace(machine, scheduler=replace(machine.scheduler, policy=policy))


CHANGES: dict[str, tuple[str, Callable[[Accelerator], Accelerator | None]]] = {
    "dram": ("twice the DRAM bandwidth", _dram),
    "decompressor": ("decompressor twice as fast, in bytes and in entries", _decompressor),
    "window": ("matching window twice as wide, filled twice as fast", _window),
    "queue": ("queues twice as deep", _queue),
    "zero_skip": ("zero-skip looks twice as far ahead", _zero_skip),
    "more_sets": ("twice as many sets of half the PE rows", _more_sets),
    "fewer_sets": ("half as many sets of twice the PE rows", _fewer_sets),
    "narrower": ("half the lanes on twice the PE rows, MACs and each PE's words held", _narrower),
    "wider": ("twice the lanes on half the PE rows, MACs and each PE's words held", _wider),
    "schedule": ("perfect schedule: any entry to any PE row, strips held", _freely_scheduled),
}
"""Key → what is changed, and how; None where the machine cannot be changed so."""


def is_quick(weights: int, activations: Activations, machine: Accelerator) -> bool:
    """Whether `advise` on so many weights ends in about a second."""
    groups = len(group_tokens(activations.tokens, machine.array.token_columns))
    return weights * (1 if activations.is_dense else groups) <= QUICK_WEIGHTS


def advise(
    matrices: Callable[[], Iterable[MaskedMatrix]],
    machine: Accelerator,
    activations: Activations,
    threads: int | None = None,
) -> list[Advice]:
    """Every possible change of `CHANGES`, simulated; the largest gain first, ties as listed.

    Changes under which a matrix no longer fits are left out.

    Raises:
        InputError: a matrix does not fit the machine as it is.
    """
    possible = {key: change(machine) for key, (_, change) in CHANGES.items()}
    machines = {key: changed for key, changed in possible.items() if changed is not None}
    runs: dict[str, list[LayerRun | None]] = {key: [] for key in machines}
    base: list[LayerRun] = []

    def variants(layer: Layer) -> tuple[LayerRun, dict[str, LayerRun | None]]:
        return _variants(layer, machine, machines, activations)

    layers = layers_of(iter(matrices()))
    for run, of_layer in in_order(variants, layers, threads or os.cpu_count() or 1):
        base.append(run)
        for key, changed_run in of_layer.items():
            runs[key].append(changed_run)
    before = _cycles(base, machine)
    found = []
    for key, changed in machines.items():
        fitting = [run for run in runs[key] if run is not None]
        if len(fitting) == len(base):
            cycles = _cycles(fitting, changed)
            gain = 1 - cycles / before if before else 0.0
            found.append(Advice(key, CHANGES[key][0], cycles, gain))
    return sorted(found, key=lambda advice: -advice.gain)


def _cycles(runs: list[LayerRun], machine: Accelerator) -> int:
    return sum(time.cycles for time in lay_out(runs, machine))


def _variants(
    layer: Layer,
    machine: Accelerator,
    machines: dict[str, Accelerator],
    activations: Activations,
) -> tuple[LayerRun, dict[str, LayerRun | None]]:
    """One layer on the machine and on each changed one; None where it does not fit."""
    matrix = layer.matrix
    layout = matrix.vectors if matrix.vectors is not None else decompose(matrix.keep)
    stored = Stored(layout, matrix.shape)
    inputs = activations.inputs(layer, machine.numbers, is_multiplied=False)
    plan = plan_layer(stored, machine, matrix.name)

    def run(plan: list[PlannedTile], on: Accelerator) -> LayerRun:
        steppers = [Stepper(planned, on, False, {}) for planned in plan]
        return run_steppers(layer, inputs, stored, steppers, on)

    base = run(plan, machine)
    runs: dict[str, LayerRun | None] = {}
    for key, changed in machines.items():
        if key == "schedule":
            runs[key] = run([_balanced(planned, changed) for planned in plan], changed)
        elif _has_same(changed, machine, "array", "scheduler", "weight_buffer"):
            # Nobody looks for zeros where there are none.
            passes = ("decompressor", "queue", "matching")
            passes += () if inputs.nonzero is None else ("zero_skip",)
            runs[key] = base if _has_same(changed, machine, *passes) else run(plan, changed)
        else:
            try:
                runs[key] = run(plan_layer(stored, changed, matrix.name), changed)
            except InputError:
                runs[key] = None
    return base, runs


def _has_same(one: Accelerator, other: Accelerator, *sections: str) -> bool:
    return all(getattr(one, section) == getattr(other, section) for section in sections)


def _balanced(planned: PlannedTile, machine: Accelerator) -> PlannedTile:
    """The tile with every entry at the PE row that has the fewest so far."""
    pe_rows = machine.array.pe_rows
    queue = least_loaded(np.zeros(len(planned.entries), np.int32), pe_rows, pe_rows)
    first, order = sorted_by(queue, pe_rows)
    return replace(planned, queue=queue, first=first, order=order)
