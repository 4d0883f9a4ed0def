"""Settings of commands that simulate one accelerator, and the machine that they make."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from accel_sim.commands.simulation_options import A_FILE
from accel_sim.inputs.defaults import ACCELERATOR
from accel_sim.machines.builtin import builtin_accelerators, builtin_memories
from sparse_formats.terminal.settings import option

if TYPE_CHECKING:
    from accel_sim.dataflows.abstract.dataflow import Machine


@dataclass(frozen=True, kw_only=True)
class AcceleratorOptions:
    """The accelerator, its memory, and values of it that are changed."""

    accelerator: str = option(
        "Accelerator to simulate.",
        default=ACCELERATOR,
        choices=builtin_accelerators,
        or_else=A_FILE,
        reads=True,
    )
    memory: str | None = option(
        "Memory that the accelerator gets in place of its own DRAM.",
        default=None,
        choices=builtin_memories,
    )
    set: tuple[str, ...] = option(
        "Change one value of the accelerator.", default=(), metavar="KEY=VALUE"
    )


def accelerator(settings: AcceleratorOptions, values: Iterable[str] | None = None) -> Machine:
    """The accelerator with its memory and the KEY=VALUE `values`, those set if none are given."""
    from accel_sim.machines.load import load_machine

    memory = [] if settings.memory is None else [f"dram.memory={settings.memory}"]
    return load_machine(
        settings.accelerator, [*memory, *(settings.set if values is None else values)]
    )


def for_int8(settings: AcceleratorOptions) -> tuple[Machine, list[str]]:
    """The accelerator for weights that are 8-bit numbers, and what the report says of it."""
    machine = accelerator(settings)
    datatype, key = machine.numbers.name, machine.datatype_key
    if datatype == "int8":
        return machine, []
    if key is None:
        return machine, [f"The weights are INT8; {machine.name} is run with its own {datatype}."]
    if machine.origins[key].mark == "set":
        return machine, [f"The weights are INT8; they are run as {datatype}, as was set."]
    note = (
        f"The weights are INT8, so the machine was set to {key}=int8; --set "
        f"{key}={datatype} runs them as {datatype}."
    )
    return accelerator(settings, (*settings.set, f"{key}=int8")), [note]
