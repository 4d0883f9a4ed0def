"""The command `accelerators`: the machines and memories that come with the package."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from accel_sim.commands.simulation_options import A_FILE
from accel_sim.machines.builtin import builtin_accelerators, builtin_memories
from sparse_formats.terminal.settings import option

if TYPE_CHECKING:
    from accel_sim.dataflows.abstract.dataflow import Machine


def _names() -> list[str]:
    return [*builtin_accelerators(), *builtin_memories()]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """List the accelerators and memories, or show every value of one with its mark and source."""

    show: str | None = option(
        "Accelerator or memory of which every value is shown.",
        default=None,
        choices=_names,
        or_else=A_FILE,
    )


@dataclass(frozen=True)
class Result:
    """The machines, and the data sheets of the memories by name."""

    machines: tuple[Machine, ...]
    memories: dict[str, dict[str, Any]]


def run(settings: Settings) -> Result:
    """Read the files of all, or of the one that is to be shown."""
    from accel_sim.machines.load import load_machine
    from accel_sim.machines.memory import load_memory

    if settings.show is None:
        machines = tuple(load_machine(name) for name in builtin_accelerators())
        return Result(machines, {name: load_memory(name) for name in builtin_memories()})
    if settings.show in builtin_memories():
        return Result((), {settings.show: load_memory(settings.show)})
    return Result((load_machine(settings.show),), {})


def show(settings: Settings, result: Result) -> None:
    """Print two tables, or every value of the one."""
    from accel_sim.machines.load import resolved
    from accel_sim.machines.plausibility import implausible
    from accel_sim.reports import terminal
    from sparse_formats.terminal.tables import new_console

    console = new_console()
    if settings.show is None:
        terminal.print_accelerators(result.machines, console)
        console.print()
        terminal.print_memories(result.memories, console)
        return
    for machine in result.machines:
        terminal.print_accelerator(resolved(machine), console)
        for note in implausible(machine):
            console.print(note, soft_wrap=True)
    for name, sheet in result.memories.items():
        terminal.print_memory(name, sheet, console)
