"""What would help: the machine changed in one thing at a time, simulated, and ranked.

Nothing is estimated: every answer is a run of the same matrices and activations on the changed
machine, without the product and without the dense baseline.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from accel_sim.dataflows.abstract.account import LayerRun
from accel_sim.dataflows.abstract.dataflow import Machine
from accel_sim.dataflows.abstract.timeline import lay_out_in
from accel_sim.inputs.activations import Layer
from accel_sim.inputs.workload import Workload
from accel_sim.pipeline import each_layer, settled
from sparse_formats.errors import InputError, SettingError

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


def is_quick(workload: Workload, machine: Machine) -> bool:
    """Whether `advise` ends in about a second; False where the dataflow names no changes."""
    if not machine.changes:
        return False
    groups = 1
    if not workload.activations.is_dense:
        groups = -(-workload.activations.tokens // machine.group_tokens)
    return workload.weights * groups <= QUICK_WEIGHTS


def advise(workload: Workload, machine: Machine, threads: int | None = None) -> list[Advice]:
    """Every possible change of the machine, simulated; the largest gain first, ties as listed.

    Changes that cannot be built, or under which a matrix no longer fits, are left out.

    Raises:
        SettingError: the dataflow names no changes.
        InputError: a matrix does not fit the machine as it is.
    """
    if not machine.changes:
        raise SettingError(
            "advice",
            f"is not available for dataflow {machine.dataflow}, which names no changes; change the "
            "machine yourself, or compare it with others",
        )
    machine = settled(workload, machine, threads)[0]
    machines = {
        key: settled(workload, changed, threads)[0]
        for key, changed in changed_machines(machine).items()
    }
    runs: dict[str, list[LayerRun | None]] = {key: [] for key in machines}
    base: list[LayerRun] = []

    def variants(layer: Layer) -> tuple[LayerRun, dict[str, LayerRun | None]]:
        inputs = workload.activations.inputs(layer, machine.numbers, is_multiplied=False)
        return machine.run_changed(layer, inputs, machines)

    for run, of_layer in each_layer(variants, workload, machine, threads):
        base.append(run)
        for key, changed_run in of_layer.items():
            runs[key].append(changed_run)
    order = workload.order([run.name for run in base])
    before = _cycles(order, base, machine)
    found = []
    for key, changed in machines.items():
        fitting = [run for run in runs[key] if run is not None]
        if len(fitting) == len(base):
            cycles = _cycles(order, fitting, changed)
            gain = 1 - cycles / before if before else 0.0
            found.append(Advice(key, machine.changes[key].words, cycles, gain))
    return sorted(found, key=lambda advice: -advice.gain)


def changed_machines(machine: Machine) -> dict[str, Machine]:
    """Every change of `changes` that gives a machine which its own check accepts."""
    accepted: dict[str, Machine] = {}
    for key, change in machine.changes.items():
        changed = change.change(machine)
        if changed is None:
            continue
        with suppress(InputError):
            changed.check()
            accepted[key] = changed
    return accepted


def _cycles(order: Sequence[int], runs: Sequence[LayerRun], machine: Machine) -> int:
    return sum(time.cycles for times in lay_out_in(order, runs, machine) for time in times)
