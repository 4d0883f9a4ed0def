"""The command `compare`: masks × accelerators, each beside the first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accel_sim.commands.simulation_options import (
    A_FILE,
    SimulationOptions,
    TokenCount,
    check_generated,
    check_of_a_file,
    patterns,
)
from accel_sim.comparisons.equal_size import Equal
from accel_sim.inputs.defaults import ACCELERATOR, DENSITY, PATTERN, TOKENS
from accel_sim.machines.builtin import builtin_accelerators
from sparse_formats.errors import InputError
from sparse_formats.files.output_folder import replace_files
from sparse_formats.terminal.application import emit_json
from sparse_formats.terminal.command import command_line
from sparse_formats.terminal.settings import option

if TYPE_CHECKING:
    from accel_sim.comparisons.compare import Pair
    from accel_sim.dataflows.abstract.dataflow import Machine
    from accel_sim.inputs.workload import Workload

PICTURE, DATA = "compare.png", "compare.json"


@dataclass(frozen=True, kw_only=True)
class Settings(SimulationOptions):
    """Compare masks on accelerators: time, energy, their product and area over the first pair's."""

    mask: tuple[Path, ...] = option("Mask file or folder to simulate.", default=())
    pattern: tuple[str, ...] = option(
        "Pattern of generated masks.", default=(), choices=patterns, otherwise=PATTERN
    )
    accelerator: tuple[str, ...] = option(
        "Accelerator to simulate.",
        default=(ACCELERATOR,),
        choices=builtin_accelerators,
        or_else=A_FILE,
        reads=True,
    )
    equal: Equal = option(
        "Leave the accelerators as they are, or give each as many PEs as make its MACs or its "
        "area equal to the first one's.",
        default="as-is",
    )
    tokens: TokenCount = option("Tokens through each matrix.", default=TOKENS)
    out: Path | None = option(
        f"Folder for {DATA} and {PICTURE}.",
        default=None,
        writes="folder",
        listed_as="comparison",
        holds=(DATA, PICTURE),
        is_replayed=False,
    )


@dataclass(frozen=True)
class Result:
    """pairs: mask by mask, machines in their order. workloads: by the name in the table."""

    pairs: tuple[Pair, ...]
    workloads: Mapping[str, Workload]
    machines: tuple[Machine, ...]


def run(settings: Settings) -> Result:
    """Simulate every mask on every machine."""
    from accel_sim.comparisons.compare import compare
    from accel_sim.comparisons.equal_size import made_equal
    from accel_sim.machines.load import load_machine

    workloads = _workloads(settings)
    loaded = [load_machine(name) for name in settings.accelerator]
    machines = made_equal(loaded, settings.equal)
    pairs = tuple(compare(workloads, machines, settings.threads))
    return Result(pairs, workloads, tuple(machines))


def show(settings: Settings, result: Result) -> None:
    """Write the JSON and the picture; print the table and the notes."""
    from accel_sim.comparisons.terminal import print_pairs
    from accel_sim.machines.plausibility import implausible
    from sparse_formats.terminal.tables import new_console
    from sparse_formats.untrusted import printable

    data = _data(settings, result)
    if settings.out is not None:
        from accel_sim.comparisons.picture import draw_pairs

        with replace_files(settings.out, "comparison") as beside:
            draw_pairs(data, beside / PICTURE)
            emit_json(data, beside / DATA)
    if settings.json is not None:
        emit_json(data, settings.json)
    console = new_console(is_stderr=settings.is_json_printed)
    for workload in result.workloads.values():
        for sentence in workload.origin.get("read", {}).get("sentences", ()):
            console.print(printable(sentence), soft_wrap=True)
    print_pairs(result.pairs, console)
    for name, workload in result.workloads.items():
        if routed := workload.routed:
            console.print(f"note     {printable(name)}: {routed}", soft_wrap=True)
    for name, workload in result.workloads.items():
        if workload.is_int8:
            console.print(
                f"note     {name}: its weights are INT8; every machine runs with its own datatype",
                soft_wrap=True,
            )
    for machine in result.machines:
        for note in (machine.note, *implausible(machine)):
            if note:
                console.print(f"note     {machine.name}: {note}", soft_wrap=True)


def _workloads(settings: Settings) -> dict[str, Workload]:
    """What is compared, by the name it has in the table: files first, then generated masks."""
    from accel_sim.inputs.activations import Activations
    from accel_sim.inputs.workload import Workload

    paths, shapes = settings.mask, settings.shapes
    if not paths and shapes is None:
        raise InputError("give --mask FILE, once for each mask, or --shapes NAME")
    if shapes is None:
        own = [("--density", settings.density is not None), ("--pattern", settings.pattern)]
        check_generated(paths[0], own)
    if not paths:
        check_of_a_file(settings)
    activations = Activations(settings.tokens, settings.activation_density, settings.seed)
    include, exclude = settings.include, settings.exclude
    names = [path.name for path in paths]
    workloads = {
        path.name if names.count(path.name) == 1 else str(path): Workload.of(
            path,
            activations,
            include=include,
            exclude=exclude,
            experts_per_token=settings.experts_per_token,
            expert_load=settings.expert_load,
        )
        for path in paths
    }
    for pattern in (settings.pattern or (PATTERN,)) if shapes is not None else ():
        workloads[f"{shapes} {pattern}"] = Workload.generated(
            shapes or "",
            activations,
            density=DENSITY if settings.density is None else settings.density,
            pattern=pattern,
            seed=settings.seed,
            include=include,
            exclude=exclude,
        )
    return workloads


def _data(settings: Settings, result: Result) -> dict[str, Any]:
    """What stands in compare.json."""
    is_generated = settings.shapes is not None
    resolved = replace(
        settings,
        density=DENSITY if is_generated and settings.density is None else settings.density,
        pattern=(settings.pattern or (PATTERN,)) if is_generated else (),
    )
    return {
        "command": command_line("accel_sim", "compare", resolved),
        "equal": settings.equal,
        "masks": [workload.origin for workload in result.workloads.values()],
        "pairs": [pair.as_data(result.pairs[0]) for pair in result.pairs],
    }
