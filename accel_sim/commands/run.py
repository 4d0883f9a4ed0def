"""The command `run`: one mask on one accelerator, layer by layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accel_sim.commands.accelerator_options import (
    AcceleratorOptions,
    accelerator,
    for_int8,
)
from accel_sim.commands.simulation_options import (
    A_PATTERN_ELSE,
    SimulationOptions,
    TokenCount,
    check_generated,
    check_of_a_file,
    density_of,
    patterns,
)
from accel_sim.commands.trace_options import TraceOptions, check_traces, wish_of, write_traces
from accel_sim.inputs.defaults import PATTERN, TOKENS
from sparse_formats.errors import InputError, SettingError
from sparse_formats.terminal.application import emit_json
from sparse_formats.terminal.command import command_line
from sparse_formats.terminal.settings import option

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from accel_sim.dataflows.abstract.dataflow import Machine
    from accel_sim.inputs.activations import Activations
    from accel_sim.inputs.workload import Workload
    from accel_sim.pipeline import Runs
    from accel_sim.reports.figures.timeline import Timeline
    from accel_sim.reports.report import Report

NO_ADVICE = "--advice simulates what would help; --out does so too where it is quick."


def _report_files() -> Iterable[str]:
    from accel_sim.reports.folder import NAMES

    return NAMES


@dataclass(frozen=True, kw_only=True)
class Settings(AcceleratorOptions, SimulationOptions, TraceOptions):
    """Simulate a mask file, or generated masks of known shapes, layer by layer."""

    mask: Path | None = option("Mask file or folder to simulate, e.g. out.npz.", default=None)
    pattern: str | None = option(
        "Pattern of generated masks.",
        default=None,
        choices=patterns,
        or_else=A_PATTERN_ELSE,
        otherwise=PATTERN,
    )
    tokens: TokenCount | None = option(
        "Tokens through each matrix.", default=None, otherwise=f"{TOKENS}, or as many as recorded"
    )
    activations: Path | None = option(
        "Recorded activations of each matrix, tokens × inputs (.npz or .safetensors). "
        "Without this file they are drawn.",
        default=None,
    )
    calibrated: bool = option(
        "Scale the energy of the core to the published GOPS/W.", default=False
    )
    check: bool = option("Compute the product and compare it with the dense one.", default=True)
    advice: bool | None = option(
        "Simulate which changes of the accelerator would help.",
        default=None,
        otherwise="yes, with --out and where it is quick",
    )
    out: Path | None = option(
        "Folder for the report as page, JSON, CSV and pictures.",
        default=None,
        writes="folder",
        listed_as="report",
        holds=_report_files,
        is_replayed=False,
    )
    outputs: Path | None = option(
        "File for the products (.npz): the first 256 tokens × outputs of each matrix.",
        default=None,
        writes="file",
        suffix=".npz",
    )


@dataclass(frozen=True)
class Result:
    """The report, and what its timeline is made of.

    products: of each matrix by name (outputs, tokens), where they are wanted.
    """

    report: Report
    products: Mapping[str, NDArray[Any]]
    workload: Workload
    runs: Runs


def run(settings: Settings) -> Result:
    """Simulate; compute the products and the advice that are asked for."""
    from accel_sim.comparisons.mask_advice import mask_advice
    from accel_sim.models.left_out import not_counted
    from accel_sim.reports.calibration import check_calibratable

    machine = accelerator(settings)
    check_traces(settings, machine)
    workload = _workload(settings)
    if workload.is_int8:
        machine, notes = for_int8(settings)
        workload = replace(workload, notes=(*workload.notes, *notes))
    if settings.calibrated:
        check_calibratable(machine)
    _check_outputs(settings, workload)
    workload = replace(workload, activations=_activations(settings, workload))

    products: dict[str, NDArray[Any]] = {}
    runs: list[Runs] = []
    report = _simulate(settings, workload, machine, products, runs)
    if settings.calibrated:
        from accel_sim.reports.calibration import calibrated

        report = calibrated(report)
    known = None if settings.mask is not None else settings.shapes
    notes = [not_counted(settings.mask, known, workload.names, machine.operand_bytes)]
    notes += [] if settings.outputs is None else _missing(settings.outputs, products, workload)
    # The machine of the report has the energy scale that was calibrated.
    advice = _advice(settings, workload, report.machine)
    if advice is None and settings.advice is None and machine.changes:
        notes.append(NO_ADVICE)
    report = replace(
        report,
        command=command_line("accel_sim", "run", _resolved(settings, workload, advice is not None)),
        notes=(*report.notes, *(note for note in notes if note)),
        advice=advice,
        mask_advice={} if advice is None else mask_advice(workload, report.total.density),
        timelines=_timelines(settings, runs[0], workload),
    )
    return Result(report, products, workload, runs[0])


def _timelines(settings: Settings, runs: Runs, workload: Workload) -> Mapping[str, Timeline]:
    """Those of the page, where there is one."""
    if settings.out is None:
        return {}
    from accel_sim.traces.page_timelines import page_timelines

    return page_timelines(runs, workload)


def show(settings: Settings, result: Result) -> int:
    """Write the folder, the JSON and the products; print the table. 1 if a product is wrong."""
    from accel_sim.reports.csv_table import as_csv
    from accel_sim.reports.folder import write_folder
    from accel_sim.reports.report import as_json
    from accel_sim.reports.terminal import print_report
    from sparse_formats.files.atomic import write_npz
    from sparse_formats.terminal.tables import new_console

    # Refused for its size before anything is written.
    said = write_traces(settings, result.runs, result.workload, wish_of(settings))
    data = as_json(result.report)
    if settings.outputs is not None:
        arrays = {name: product.T for name, product in result.products.items()}
        write_npz(settings.outputs, arrays)
    if settings.out is not None:
        report = result.report
        csv = as_csv(report.layers)
        write_folder(settings.out, data, csv, report.pictures, report.timelines)
    if settings.json is not None:
        emit_json(data, settings.json)
    console = new_console(is_stderr=settings.is_json_printed)
    print_report(result.report, console)
    if settings.out is not None:
        console.print(f"report   {settings.out / 'report.html'}", soft_wrap=True)
    for line in said:
        console.print(line, soft_wrap=True, markup=False)
    return int(result.report.total.product_is_equal is False)


def _workload(settings: Settings) -> Workload:
    """The masks of the file, or generated ones."""
    from accel_sim.inputs.workload import Workload

    if (settings.mask is None) == (settings.shapes is None):
        raise InputError("give either --mask FILE or --shapes NAME, but not both")
    if settings.mask is not None:
        own = [("--density", settings.density is not None), ("--pattern", settings.pattern)]
        check_generated(settings.mask, own)
        return Workload.of(
            settings.mask,
            include=settings.include,
            exclude=settings.exclude,
            experts_per_token=settings.experts_per_token,
            expert_load=settings.expert_load,
            convolutions=settings.convolutions,
        )
    check_of_a_file(settings)
    return Workload.generated(
        settings.shapes or "",
        density=density_of(settings.pattern or PATTERN, settings.density),
        pattern=settings.pattern or PATTERN,
        seed=settings.seed,
        include=settings.include,
        exclude=settings.exclude,
    )


def _check_outputs(settings: Settings, workload: Workload) -> None:
    """Refuse to write products that there will not be, before anything is computed."""
    if settings.outputs is None:
        return
    if not settings.check:
        raise SettingError("outputs", "needs the product, which --no-check does not compute")
    if not workload.is_weighted:
        raise SettingError("outputs", "needs weights in the mask file to compute the product")


def _activations(settings: Settings, workload: Workload) -> Activations:
    """Recorded ones where there is a file of them, else drawn ones."""
    from accel_sim.inputs.activations import Activations
    from accel_sim.inputs.activations_file import read_activations

    if settings.activations is None:
        tokens = TOKENS if settings.tokens is None else settings.tokens
        return Activations(tokens, settings.activation_density, settings.seed)
    if settings.activation_density != 1:
        raise InputError("give either --activations FILE or --activation-density, but not both")
    return read_activations(
        settings.activations,
        workload.names,
        settings.tokens,
        settings.seed,
        workload.convolutions,
    )


def _simulate(
    settings: Settings,
    workload: Workload,
    machine: Machine,
    products: dict[str, NDArray[Any]],
    runs: list[Runs],
) -> Report:
    """Run with a progress bar on stderr, where somebody is looking.

    Wanted `products` and what a timeline is made of, `runs`, are kept.
    """
    from rich.markup import escape
    from rich.progress import Progress

    from accel_sim.pipeline import simulate
    from sparse_formats.terminal.tables import new_console
    from sparse_formats.untrusted import printable

    console = new_console(is_stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("simulating", total=len(workload.names))
        return simulate(
            workload,
            machine,
            is_checked=settings.check,
            is_drawn=settings.out is not None,
            threads=settings.threads,
            on_layer=lambda name: progress.update(
                task, advance=1, description=escape(printable(name))
            ),
            on_outputs=None if settings.outputs is None else products.__setitem__,
            on_runs=runs.append,
        )


def _missing(path: Path, products: Mapping[str, Any], workload: Workload) -> list[str]:
    """A note, if there is not a product of each matrix."""
    missing = [name for name in workload.names if name not in products]
    if not missing:
        return []
    return [f"{path} holds no product of {len(missing)} matrices, e.g. {missing[0]}."]


def _advice(
    settings: Settings, workload: Workload, machine: Machine
) -> list[dict[str, Any]] | None:
    """What would help, where it is wanted, or goes into a report and does not take long."""
    from accel_sim.comparisons.advice import advise, is_quick

    if settings.advice is None:
        is_wanted = settings.out is not None and is_quick(workload, machine)
    else:
        is_wanted = settings.advice
    if not is_wanted:
        return None
    return [item.as_data() for item in advise(workload, machine, settings.threads)]


def _resolved(settings: Settings, workload: Workload, is_advised: bool) -> Settings:
    """The settings with what was taken where nothing was said, for the report's command."""
    is_generated, pattern = settings.mask is None, settings.pattern or PATTERN
    return replace(
        settings,
        tokens=workload.activations.tokens,
        density=density_of(pattern, settings.density) if is_generated else settings.density,
        pattern=pattern if is_generated else settings.pattern,
        advice=True if is_advised else settings.advice,
    )
