"""The command `model`: a whole transformer on one accelerator, prompt to last token."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accel_sim.commands.accelerator_options import AcceleratorOptions, accelerator, for_int8
from accel_sim.commands.model_options import (
    ModelOptions,
    known_models,
    model_of_masks,
    model_of_shapes,
    prompt_of,
    requests_of,
)
from accel_sim.commands.output_options import OutputOptions, given_prompt
from accel_sim.commands.simulation_options import (
    A_PATTERN_ELSE,
    ITS_DENSITY,
    density_of,
    patterns,
)
from accel_sim.inputs.defaults import PATTERN
from sparse_formats.errors import InputError, SettingError
from sparse_formats.terminal.application import emit_json
from sparse_formats.terminal.command import command_line
from sparse_formats.terminal.options import JsonOption, MemoryOption, NameOptions
from sparse_formats.terminal.settings import Count, Share, Whole, option

if TYPE_CHECKING:
    from accel_sim.dataflows.abstract.dataflow import Machine
    from accel_sim.models.output_check import OutputCheck
    from accel_sim.models.outputs.prompt import Prompt
    from accel_sim.models.report import ModelReport
    from accel_sim.models.simulate import ModelRun, Request
    from accel_sim.models.weights import MaskedModel

DATA, PAGE, TABLE, PICTURE = "model.json", "model.html", "operators.csv", "sweep.png"


@dataclass(frozen=True, kw_only=True)
class Settings(
    ModelOptions, AcceleratorOptions, OutputOptions, NameOptions, JsonOption, MemoryOption
):
    """Simulate a whole transformer: products, attention, KV cache, vector unit and head."""

    mask: Path | None = option(
        "Mask file or folder of the model's matrices. Without it they are dense.", default=None
    )
    shapes: str | None = option(
        "Simulate this known model with generated masks in all layers.",
        default=None,
        choices=known_models,
    )
    density: Share | None = option(
        "Kept share of generated masks.", default=None, otherwise=ITS_DENSITY
    )
    pattern: str | None = option(
        "Pattern of generated masks.",
        default=None,
        choices=patterns,
        or_else=A_PATTERN_ELSE,
        otherwise=PATTERN,
    )
    seed: Whole = option("Random seed for generated masks.", default=0)
    advice: bool = option("Simulate what would help.", default=False)
    threads: Count | None = option(
        "Number of products simulated at once.",
        default=None,
        otherwise="one for each core",
        is_replayed=False,
    )
    trace: Path | None = option(
        "File for a timeline of the operators that ui.perfetto.dev opens (.pftrace).",
        default=None,
        writes="file",
        suffix=".pftrace",
        is_replayed=False,
    )
    out: Path | None = option(
        f"Folder for {DATA}, with {PAGE} and {TABLE} of one run or {PICTURE} of a sweep.",
        default=None,
        writes="folder",
        listed_as="report",
        holds=(DATA, PAGE, TABLE, PICTURE),
        is_replayed=False,
    )


def run(settings: Settings) -> tuple[ModelReport, ...]:
    """Simulate the model with each batch and context, and what would help where it is asked for."""
    from accel_sim.models.advice import advise
    from accel_sim.models.report import ModelReport

    if settings.trace is not None and len(requests_of(settings, 1)) > 1:
        raise SettingError("trace", "shows one run; give one --batch and one --context")
    prompt = given_prompt(settings, settings.model)
    machine = accelerator(settings)
    masked, origin = _masked(settings)
    if masked.is_int8:
        machine, notes = for_int8(settings)
        masked = replace(masked, notes=(*masked.notes, *notes))
    settings = replace(settings, prefill=_prompt(settings, masked, prompt))
    command = command_line("accel_sim", "model", settings)
    compute = None if prompt is None else _computation(settings, prompt, masked, machine)
    reports = []
    for request in requests_of(settings, settings.prefill or 1):
        found = _simulate(masked, request, machine, settings)
        advice = None
        if settings.advice:
            advice = [each.as_data() for each in advise(found, _head(settings), settings.threads)]
        output = None if compute is None else compute(found)
        reports.append(
            ModelReport(found, mask=origin, advice=advice, command=command, output=output)
        )
    return tuple(reports)


def show(settings: Settings, reports: tuple[ModelReport, ...]) -> int:
    """Write the folder, the JSON and the output; print the tables. 1 if the output is wrong."""
    from datetime import UTC, datetime

    from accel_sim.models.page import model_page
    from accel_sim.models.report import as_csv, as_json
    from accel_sim.models.sweep import draw_sweep, print_sweep, sweep_data
    from accel_sim.models.terminal import print_model
    from sparse_formats.files.atomic import json_text, write_npz, write_text
    from sparse_formats.files.output_folder import replace_files
    from sparse_formats.terminal.tables import new_console

    report, *others = reports
    said = [] if settings.trace is None else _write_trace(settings.trace, report.run)
    if settings.outputs is not None and report.output is not None:
        write_npz(settings.outputs, {"ids": report.output.ids, "outputs": report.output.outputs})
    now = datetime.now(UTC).isoformat(timespec="seconds")
    data = sweep_data(reports, now) if others else as_json(report, now)
    if settings.out is not None:
        with replace_files(settings.out, "report") as beside:
            write_text(beside / DATA, json_text(data))
            if others:
                draw_sweep(reports, beside / PICTURE)
            else:
                write_text(beside / PAGE, model_page(data))
                write_text(beside / TABLE, as_csv(report))
    if settings.json is not None:
        emit_json(data, settings.json)
    console = new_console(is_stderr=settings.is_json_printed)
    if others:
        print_sweep(reports, console)
    else:
        print_model(report, console)
    for line in said:
        console.print(line, soft_wrap=True, markup=False)
    return int(report.output is not None and not report.output.is_equal)


def _write_trace(path: Path, run: ModelRun) -> list[str]:
    """Write the timeline; what to tell about it, a line each."""
    from accel_sim.traces import perfetto
    from accel_sim.traces.whole_model import record_model
    from sparse_formats.files.atomic import replace_file

    trace = record_model(run)
    with replace_file(path) as file:
        for piece in perfetto.encode(trace):
            file.write(piece)
    told = [f"trace    {path}: open it in ui.perfetto.dev; 1 ns is 1 cycle"]
    return told + [f"         {each}" for each in trace.said]


def _masked(settings: Settings) -> tuple[MaskedModel, dict[str, Any]]:
    """The model with its masks, and where these came from."""
    if (settings.model is None) == (settings.shapes is None):
        raise InputError("give either --model NAME_OR_FOLDER or --shapes NAME, but not both")
    names = settings.include, settings.exclude
    for name, value in zip(("include", "exclude"), names, strict=True):
        if value and settings.mask is None:
            raise SettingError(name, "chooses among the masks of --mask; leave it out")
    pattern = settings.pattern or PATTERN
    if settings.shapes is not None:
        if settings.mask is not None:
            raise SettingError("mask", "belongs to --model; --shapes generates its masks")
        density = density_of(pattern, settings.density)
        return model_of_shapes(
            settings.shapes, density, pattern, settings.seed, settings.head_density
        )
    for name, is_used in (("density", False), ("pattern", settings.head_density is not None)):
        if getattr(settings, name) is not None and not is_used:
            raise SettingError(name, "belongs to masks generated with --shapes; leave it out")
    found, origin = model_of_masks(settings.model or "", settings.mask, *names)
    if settings.head_density is not None:
        from accel_sim.models.weights import with_head

        found = with_head(found, settings.head_density, pattern, settings.seed)
        origin |= {
            "head_density": settings.head_density,
            "head_pattern": pattern,
            "head_seed": settings.seed,
        }
    return found, origin


def _prompt(settings: Settings, masked: MaskedModel, prompt: Prompt | None) -> int:
    """Tokens of the prompt where nothing is said."""
    if settings.prefill is None and prompt is not None and prompt.tokens is not None:
        return prompt.tokens
    return prompt_of(settings, masked)


def _computation(
    settings: Settings, prompt: Prompt, masked: MaskedModel, machine: Machine
) -> Callable[[ModelRun], OutputCheck]:
    """What computes the output of a run; all that it needs is read before anything is simulated."""
    from functools import partial

    from accel_sim.models.outputs.check import check_machine, check_output, check_request
    from accel_sim.models.outputs.parameters import read_parameters
    from accel_sim.models.outputs.prompt import prompt_ids

    request, *others = requests_of(settings, settings.prefill or 1)
    if others:
        raise SettingError("check", "computes one output; give one --batch and one --context")
    check_machine(machine)
    check_request(request, 8 * machine.operand_bytes)
    parameters = read_parameters(Path(settings.model or ""), masked)
    vocabulary = masked.model.embedding_rows[0]
    ids, origin = prompt_ids(prompt, request.batch, request.prefill, vocabulary, settings.seed)
    return partial(check_output, parameters=parameters, ids=ids, prompt=origin)


def _head(settings: Settings) -> tuple[str, int] | None:
    """Pattern and seed of a mask that advice may give the head; None where it has one."""
    if settings.head_density is not None:
        return None
    return settings.pattern or PATTERN, settings.seed


def _simulate(masked: MaskedModel, request: Request, machine: Machine, settings: Settings) -> Any:
    """Run with a progress bar on stderr, where somebody is looking."""
    from rich.markup import escape
    from rich.progress import Progress

    from accel_sim.models.simulate import simulate_model
    from sparse_formats.terminal.tables import new_console
    from sparse_formats.untrusted import printable

    console = new_console(is_stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("simulating", total=None)
        return simulate_model(
            masked,
            request,
            machine,
            threads=settings.threads,
            on_product=lambda name: progress.update(
                task, advance=1, description=escape(printable(name))
            ),
        )
