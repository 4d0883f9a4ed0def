"""What would help: the machine changed in one thing at a time, simulated, and ranked.

Nothing is estimated: every answer is a run of the same matrices and activations on the changed
machine, without the product and without the dense baseline. Each comes with the settings that
repeat it.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from accel_sim.costs.area import machine_area
from accel_sim.costs.energy import energy_of
from accel_sim.dataflows.abstract.account import LayerRun, together
from accel_sim.dataflows.abstract.dataflow import Machine
from accel_sim.dataflows.abstract.timeline import lay_out_in
from accel_sim.inputs.activations import Layer
from accel_sim.inputs.workload import Workload
from accel_sim.machines.recipe import settings_between
from accel_sim.pipeline import each_layer, settled
from sparse_formats.errors import InputError, SettingError

NOTHING = 0.01
"""A gain or a loss below this share of the cycles is called nothing."""

QUICK_WEIGHTS = 20_000_000
"""Weights × groups stepped apart up to which advice is given unasked: a few seconds."""


@dataclass(frozen=True)
class Costs:
    """What a whole run takes on a machine, and how large the machine is."""

    cycles: int
    energy_j: float
    area_mm2: float
    energy_delay_js: float


@dataclass(frozen=True)
class Advice:
    """A change, what the whole run costs with it, and what it costs without.

    key: short name; change: what is changed and what is held. settings: KEY=VALUE of every value
    that the change changes, which repeat it behind `--set`; None for a bound, which no machine
    reaches.
    """

    key: str
    change: str
    settings: tuple[str, ...] | None
    costs: Costs
    before: Costs

    @property
    def difference(self) -> dict[str, float | None]:
        """Of each of the costs, as a share of what it is without the change; negative is less."""
        return {
            key: after / before - 1 if (before := getattr(self.before, key)) else None
            for key, after in asdict(self.costs).items()
        }

    @property
    def is_nothing(self) -> bool:
        return abs(self.difference["cycles"] or 0) < NOTHING

    def as_data(self) -> dict[str, Any]:
        """As it stands in report.json."""
        return {
            "key": self.key,
            "change": self.change,
            "settings": None if self.settings is None else list(self.settings),
            **asdict(self.costs),
            "difference": self.difference,
            "is_nothing": self.is_nothing,
        }


def is_quick(workload: Workload, machine: Machine) -> bool:
    """Whether `advise` ends in a few seconds; False where the dataflow names no changes."""
    if not machine.changes:
        return False
    groups = 1
    if not workload.activations.is_dense:
        groups = -(-workload.activations.tokens // machine.group_tokens)
    return workload.weights * groups <= QUICK_WEIGHTS


def advise(workload: Workload, machine: Machine, threads: int | None = None) -> list[Advice]:
    """Every possible change of the machine, simulated; fewest cycles first, ties as listed.

    Changes that cannot be built, that change nothing, or under which a matrix no longer fits, are
    left out.

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
    changed = changed_machines(machine)
    machines = _fitting(workload, changed, threads)
    base_machine, _ = settled(workload, machine, threads)
    runs: dict[str, list[LayerRun | None]] = {key: [] for key in machines}
    base: list[LayerRun] = []

    def variants(layer: Layer) -> tuple[LayerRun, dict[str, LayerRun | None]]:
        inputs = workload.activations.inputs(layer, machine.numbers, is_multiplied=False)
        return base_machine.run_changed(layer, inputs, machines)

    for run, of_layer in each_layer(variants, workload, machine, threads):
        base.append(run)
        for key, changed_run in of_layer.items():
            runs[key].append(changed_run)
    order = workload.order([run.name for run in base])
    before = _costs(order, base, base_machine)
    found = []
    for key, other in machines.items():
        fitting = [run for run in runs[key] if run is not None]
        if len(fitting) == len(base):
            costs, change = _costs(order, fitting, other), machine.changes[key]
            settings = None if change.is_bound else settings_between(machine, changed[key])
            found.append(Advice(key, change.words, settings, costs, before))
    return sorted(found, key=lambda advice: advice.costs.cycles)


def changed_machines(machine: Machine) -> dict[str, Machine]:
    """Every change of `changes` that gives another machine which its own check accepts."""
    accepted: dict[str, Machine] = {}
    for key, change in machine.changes.items():
        changed = change.change(machine)
        if changed is None or (changed == machine and not change.is_bound):
            continue
        with suppress(InputError):
            changed.check()
            accepted[key] = changed
    return accepted


def _fitting(
    workload: Workload, machines: Mapping[str, Machine], threads: int | None
) -> dict[str, Machine]:
    """The machines as they hold the weights, without those that a matrix is known not to fit."""
    found = {}
    for key, machine in machines.items():
        with suppress(InputError):
            found[key], _ = settled(workload, machine, threads)
    return found


def _costs(order: Sequence[int], runs: Sequence[LayerRun], machine: Machine) -> Costs:
    cycles, energy = 0, 0.0
    for run, times in zip(runs, lay_out_in(order, runs, machine), strict=True):
        cycles += sum(time.cycles for time in times)
        account = together([machine.account(run, time) for time in times])
        energy += sum(energy_of(account.actions, machine).values())
    delay = cycles / machine.clock.clock_hz
    return Costs(cycles, energy, sum(machine_area(machine).values()), energy * delay)
