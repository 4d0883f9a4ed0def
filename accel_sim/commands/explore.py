"""The command `explore`: many machines, and masks with them, and which of them nobody beats."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from accel_sim.commands.accelerator_options import AcceleratorOptions
from accel_sim.commands.simulation_options import (
    A_PATTERN_ELSE,
    ITS_DENSITY,
    TokenCount,
    patterns,
)
from accel_sim.inputs.defaults import PATTERN, TOKENS
from accel_sim.machines.builtin import builtin_accelerators
from sparse_formats.errors import InputError, SettingError
from sparse_formats.terminal.application import emit_json
from sparse_formats.terminal.command import command_line
from sparse_formats.terminal.options import JsonOption, MemoryOption, NameOptions
from sparse_formats.terminal.settings import Count, Share, Whole, option

if TYPE_CHECKING:
    from accel_sim.exploration.candidate import Candidate
    from accel_sim.exploration.plan import Plan
    from accel_sim.exploration.study import Results, Study

DATA, TABLE, PAGE, PICTURE = "explore.json", "explore.csv", "explore.html", "explore.png"
RECORD, POINTS = "record.jsonl", "points"
LISTED_AS = "study of explore"

TRIALS = 1000
PROMPT = 128

Tokens = Annotated[int, msgspec.Meta(ge=1, le=2**20)]
TokensOrNone = Annotated[int, msgspec.Meta(ge=0, le=2**20)]


def _shapes() -> Iterable[str]:
    from sparse_formats.masks.synthetic.shapes import SHAPES

    return SHAPES


def _models() -> Iterable[str]:
    from accel_sim.models.families import KNOWN

    return KNOWN


def _measures() -> Iterable[str]:
    from accel_sim.exploration.measures import MEASURES, QUALITY

    return (*MEASURES, QUALITY)


@dataclass(frozen=True, kw_only=True)
class Settings(AcceleratorOptions, NameOptions, JsonOption, MemoryOption):
    """Try many machines, alone or together with masks, and say which of them nobody beats.

    What may be chosen stands in a file with [space], or behind --vary. Every point is kept as soon
    as it is known, so a study that was stopped goes on where it was when it is started again.
    """

    space: tuple[Path, ...] = option(
        "TOML file with [space], [constraints] and [masks].", default=()
    )
    vary: tuple[str, ...] = option(
        "Try these values of one key of the accelerator, or of density or pattern, e.g. "
        "array.lanes=8,16,32.",
        default=(),
        metavar="KEY=A,B,C",
    )
    under: tuple[str, ...] = option(
        "Take only points with at most so much latency_s, energy_j, energy_delay_js, area_mm2 or "
        "power_w.",
        default=(),
        metavar="KEY=NUMBER",
    )
    minimise: tuple[str, ...] = option(
        "What is to be small.",
        default=(),
        choices=_measures,
        otherwise="latency and energy, and the quality of the masks where it is known",
    )
    mask: Path | None = option("Mask file or folder to simulate, e.g. out.npz.", default=None)
    shapes: str | None = option(
        "Generate masks of these shapes instead of reading a file.",
        default=None,
        choices=_shapes,
        or_else="sizes such as 2304x768,768x768",
    )
    pattern: str | None = option(
        "Pattern of generated masks.",
        default=None,
        choices=patterns,
        or_else=A_PATTERN_ELSE,
        otherwise=PATTERN,
    )
    density: Share | None = option(
        "Kept share of generated masks.", default=None, otherwise=ITS_DENSITY
    )
    tokens: TokenCount | None = option(
        "Tokens through each matrix.", default=None, otherwise=TOKENS
    )
    activation_density: Share = option("Share of drawn activations that are not zero.", default=1.0)
    model: str | None = option(
        "Run this whole model; of a folder its config.json is read.",
        default=None,
        choices=_models,
        or_else="a folder with a config.json",
        reads=True,
    )
    prefill: Tokens | None = option(
        "Tokens of the prompt, where the whole model is run.", default=None, otherwise=PROMPT
    )
    generate: TokensOrNone = option("Tokens to generate, where the whole model is run.", default=0)
    batch: Count = option("Requests that run together.", default=1)
    context: Whole = option("Tokens of each request that are cached before its prompt.", default=0)
    trials: Count = option("Number of different points to try at most.", default=TRIALS)
    sampler: Literal["grid", "random", "nsga2", "tpe"] | None = option(
        "Which points are tried.",
        default=None,
        otherwise="grid where --trials are enough for all points, else nsga2",
    )
    seed: Whole = option("Random seed for the sampler, masks and activations.", default=0)
    jobs: Count = option("Number of processes on this machine.", default=1, is_replayed=False)
    cluster: str | None = option(
        "Address of a Dask scheduler whose workers simulate.",
        default=None,
        metavar="tcp://HOST:PORT",
        is_replayed=False,
    )
    study: Path | None = option(
        f"Folder for the record of all points, {DATA}, {TABLE}, {PAGE}, {PICTURE} and a file for "
        f"each point in {POINTS}.",
        default=None,
        writes="folder",
        listed_as=LISTED_AS,
        holds=(DATA, TABLE, PAGE, PICTURE),
    )


@dataclass(frozen=True)
class Result:
    """plan: what was asked for, resolved. new: points that were simulated now, not known before."""

    plan: Plan
    study: Study
    new: int


def run(settings: Settings) -> Result:
    """Try the points, keeping each one as soon as it is known."""
    from accel_sim.exploration.plan import plan_of, read_space_files
    from accel_sim.exploration.study import search
    from accel_sim.exploration.subject import check_same_subject
    from accel_sim.exploration.workers import open_workers

    files = read_space_files(settings.space)
    plan = plan_of(
        _base(settings, bool(files.masks)),
        files,
        vary=settings.vary,
        under=settings.under,
        minimise=settings.minimise,
        trials=settings.trials,
        sampler=settings.sampler,
        seed=settings.seed,
    )
    if settings.study is not None:
        check_same_subject(settings.study / DATA, plan.subject)
    new = 0
    with (
        open_workers(settings.jobs, settings.cluster) as workers,
        _results(settings.study) as results,
        _progress(min(settings.trials, plan.space.size)) as advance,
    ):

        def on_trial(is_new: bool) -> None:
            nonlocal new
            new += is_new
            advance()

        study = search(
            plan.space,
            plan.sampler(),
            settings.trials,
            plan.goal,
            results,
            key_of=plan.key,
            simulate=lambda choices: plan.simulate(choices, workers),
            place_of=plan.place,
            known_of=plan.known,
            on_trial=on_trial,
        )
    return Result(plan, study, new)


def show(settings: Settings, result: Result) -> int:
    """Write the folder and the JSON; print the front. 1 where no point counts."""
    from accel_sim.exploration.outcome import as_csv, as_json, point_file
    from accel_sim.exploration.terminal import print_study
    from sparse_formats.terminal.tables import new_console

    plan, study = result.plan, result.study
    data = as_json(plan, study, command_line("accel_sim", "explore", settings))
    if settings.study is not None:
        from accel_sim.exploration.page import study_page
        from accel_sim.exploration.picture import draw_study
        from accel_sim.reports.html import png_url
        from sparse_formats.files.atomic import json_text, write_text
        from sparse_formats.files.output_folder import replace_files

        with replace_files(settings.study, LISTED_AS) as beside:
            (beside / POINTS).mkdir()
            for trial in study.trials:
                text = point_file(plan, trial)
                (beside / POINTS / f"{trial.key}.toml").write_text(text, encoding="utf-8")
            draw_study(data, beside / PICTURE)
            write_text(beside / DATA, json_text(data))
            write_text(beside / TABLE, as_csv(data))
            write_text(beside / PAGE, study_page(data, png_url((beside / PICTURE).read_bytes())))
    if settings.json is not None:
        emit_json(data, settings.json)
    console = new_console(is_stderr=settings.is_json_printed)
    print_study(data, result.new, settings.study, console)
    return int(not study.feasible)


def _base(settings: Settings, has_masks: bool) -> Candidate:
    """What all points have in common."""
    from accel_sim.exploration.candidate import Candidate

    given, whole = settings, settings.model is not None
    whole = whole or settings.prefill is not None or settings.generate > 0
    sources = [settings.mask is not None, settings.shapes is not None, has_masks]
    if sum(sources) > 1:
        raise InputError("give one of --mask FILE, --shapes NAME, or [masks] in a --space file")
    if not any(sources) and settings.model is None:
        raise InputError("give --mask FILE, --shapes NAME, or [masks] in a --space file")
    if whole and settings.shapes is None and settings.model is None:
        raise SettingError("prefill" if given.prefill else "generate", "needs --model NAME")
    if settings.shapes is not None and settings.model is not None:
        raise SettingError("model", "belongs to masks of a file; --shapes names the model itself")
    _check_given(settings, whole)
    is_generated = settings.shapes is not None
    memory = () if settings.memory is None else (f"dram.memory={settings.memory}",)
    return Candidate(
        accelerator=_absolute(settings.accelerator),
        set=(*memory, *settings.set),
        mask=None if settings.mask is None else str(settings.mask.resolve()),
        shapes=settings.shapes,
        pattern=(settings.pattern or PATTERN) if is_generated else None,
        density=settings.density,
        seed=settings.seed,
        include=settings.include,
        exclude=settings.exclude,
        tokens=None if whole else settings.tokens or TOKENS,
        activation_density=settings.activation_density,
        model=None if settings.model is None else _absolute(settings.model),
        prefill=(settings.prefill or PROMPT) if whole else None,
        generate=settings.generate,
        batch=settings.batch,
        context=settings.context,
    )


def _check_given(settings: Settings, whole: bool) -> None:
    """Refuse settings that would have no effect."""
    if settings.shapes is None:
        for name in ("pattern", "density"):
            if getattr(settings, name) is not None:
                raise SettingError(name, "belongs to masks generated with --shapes; leave it out")
    if whole:
        if settings.tokens is not None:
            raise SettingError("tokens", "belongs to single matrices; a whole model has --prefill")
        if settings.activation_density != 1:
            raise SettingError("activation_density", "belongs to single matrices; leave it out")
    elif settings.batch != 1 or settings.context:
        name = "batch" if settings.batch != 1 else "context"
        raise SettingError(name, "belongs to whole models; give --model or --prefill too")


def _absolute(name: str) -> str:
    """A path so that it leads to the same from anywhere; a name of ours as it is."""
    path = Path(name)
    is_ours = name in builtin_accelerators() or name in _models()
    return str(path.resolve()) if not is_ours and path.exists() else name


@contextlib.contextmanager
def _results(study: Path | None) -> Iterator[Results]:
    """Where results are kept: in the study's folder, if there is one."""
    from accel_sim.exploration.record import open_record
    from accel_sim.exploration.study import InMemory
    from sparse_formats.files.output_folder import prepare_folder

    if study is None:
        yield InMemory()
        return
    prepare_folder(study)
    with open_record(study / RECORD) as record:
        yield record


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """A bar on stderr with the time that is left, where somebody is looking."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    from sparse_formats.terminal.tables import new_console

    console = new_console(is_stderr=True)
    columns = (TextColumn("points"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("points", total=total)
        yield lambda: bar.advance(task)
