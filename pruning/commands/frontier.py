"""The command `frontier`: quality × latency × energy, of every pattern, sparsity and machine."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from accel_sim.machines.builtin import builtin_accelerators, builtin_memories
from pruning.commands.options import MODEL_FORMS, MachineOptions
from pruning.evaluation.measure_settings import KINDS, MeasureSettings
from pruning.frontier.study import Rules
from pruning.patterns import forms
from sparse_formats.errors import InputError, SettingError
from sparse_formats.files.model_config import NAME as CONFIG
from sparse_formats.terminal.application import emit_json
from sparse_formats.terminal.command import command_line
from sparse_formats.terminal.options import JsonOption, MemoryOption
from sparse_formats.terminal.progress import progress
from sparse_formats.terminal.settings import Count, NotNegative, Share, Whole, group, option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from accel_sim.models.simulate import Request
    from pruning.frontier.evaluate import Task
    from pruning.frontier.plan import Plan
    from pruning.frontier.study import Recovery, Study
    from pruning.frontier.verdict import Verdict
    from sparse_formats.terminal.progress import Tell

DATA, TABLE, PAGE, PICTURE, MASKS = (
    "frontier.json", "frontier.csv", "frontier.html", "frontier.png", "masks.toml"
)  # fmt: skip
POINTS, DESCRIBED = "points", "model"
LISTED_AS = "study of frontier"

TOKENS = 128

_A_LAUNCH = 10.0
"""Seconds that processes of a killed study may take to end."""

Tokens = Annotated[int, msgspec.Meta(ge=1, le=2**20)]
TokensOrNone = Annotated[int, msgspec.Meta(ge=0, le=2**20)]


def _shapes() -> list[str]:
    from accel_sim.models.families import KNOWN
    from sparse_formats.masks.synthetic.shapes import SHAPES

    return list(dict.fromkeys((*SHAPES, *KNOWN)))


@dataclass(frozen=True, kw_only=True)
class Settings(MeasureSettings, MachineOptions, JsonOption, MemoryOption):
    """Measure quality, latency and energy of every pattern at every sparsity on every machine.

    The page and the table say which patterns lose least, what they gain on each machine, and which
    points are no better than a random mask. What was computed stays in the folder: a study that was
    stopped goes on, and one that is extended computes only what is new.
    """

    model: Path | None = option(f"Model to prune: {MODEL_FORMS}.", default=None)
    shapes: str | None = option(
        "Draw masks of these shapes instead, without quality.",
        default=None,
        choices=_shapes,
        or_else="sizes such as 2304x768,768x768",
    )
    patterns: tuple[str, ...] = option(
        "Patterns to compare.",
        default=("fine", "2:4", "block:32", "vector:8", "vector:16", "mvp"),
        choices=forms,
        or_else="the numbers of n_m alone, e.g. 2:4",
        is_separated=True,
    )
    sparsities: tuple[Share, ...] = option(
        "Shares of the weights to remove. A pattern with a sparsity of its own takes this one.",
        default=(0.5, 0.6, 0.7, 0.8, 0.9),
        is_separated=True,
    )
    accelerators: tuple[str, ...] = option(
        "Accelerators to simulate.",
        default=("tf_mvp",),
        choices=builtin_accelerators,
        or_else="the path of a .toml file",
        is_separated=True,
        reads=True,
    )
    memory: tuple[str, ...] = option(
        "Memory that the accelerators get in place of their own DRAM. Each of several is tried.",
        default=(),
        choices=builtin_memories,
    )
    set: tuple[str, ...] = option(
        "Change one value of all accelerators. Each of several values is tried.",
        default=(),
        metavar="KEY=VALUE[,VALUE…]",
    )
    tokens: Tokens | None = option(
        "Tokens through each matrix, which runs by itself.", default=None, otherwise=TOKENS
    )
    prefill: Tokens | None = option(
        "Simulate the whole model instead, with a prompt of so many tokens.", default=None
    )
    generate: TokensOrNone = option("With --prefill, tokens to generate behind it.", default=0)
    recover: Count | None = option(
        "Steps of training that each point gets, dense model and floors too. Without it nothing is "
        "trained.",
        default=None,
    )
    train_text: Path | None = option("With --recover, text to learn from.", default=None)
    train_table: Path | None = option(
        "With --recover, tab-separated file with labels to learn from.", default=None
    )
    train_squad: Path | None = option(
        "With --recover, SQuAD JSON file to learn from.", default=None
    )
    training: Path | None = option(
        "With --recover, TOML file whose table [training] holds the settings of the training.",
        default=None,
        otherwise="the defaults of train, method movement",
    )
    seeds: tuple[Whole, ...] = option(
        "Random seeds. Each trained point and each random mask is computed with all of them.",
        default=(0,),
        is_separated=True,
    )
    statistics: Path | None = option(
        "Statistics file that calibrate wrote, where the score or the update needs it.",
        default=None,
    )
    tolerances: tuple[NotNegative, ...] = option(
        "Shares of the dense quality that a recommended point may lose.",
        default=(0.01, 0.02, 0.05, 0.1),
        is_separated=True,
        is_replayed=True,
    )
    jobs: Count = option(
        "Points that are computed at once on this machine.", default=1, is_replayed=False
    )
    cluster: str | None = option(
        "Address of a Dask scheduler whose workers compute the points. They see the same files.",
        default=None,
        metavar="ADDRESS",
        is_replayed=False,
    )
    out: Path = option(
        "Folder of the study.",
        writes="folder",
        listed_as=LISTED_AS,
        holds=(DATA, TABLE, PAGE, PICTURE, MASKS),
    )
    rules: Any = group(Rules)


@dataclass(frozen=True, eq=False)
class Result:
    """data: what frontier.json holds. masks: masks.toml, "" where nothing was measured."""

    data: dict[str, Any]
    masks: str
    computed: int
    there: int


def run(settings: Settings) -> Result:
    """Compute what is missing of the study, and judge all of it."""
    from pruning.commands.rerun import write_commands
    from pruning.frontier.account import as_json, check_same_model, masks_toml
    from pruning.frontier.evaluate import is_done
    from pruning.frontier.plan import plan
    from pruning.frontier.results import collect
    from pruning.frontier.verdict import judge
    from sparse_formats.files.leftovers import locked
    from sparse_formats.files.output_folder import prepare_folder

    study = _study(settings)
    check_same_model(settings.out / DATA, _name(settings))
    planned = plan(study)
    points = settings.out / POINTS
    prepare_folder(points)
    with locked(points, _A_LAUNCH), progress() as tell:
        _describe(settings, study, tell)
        tell("looking at what is there")
        tasks = _tasks(settings, study, planned)
        missing = [task for task in tasks if not is_done(task)]
        for task in tasks:
            write_commands(task)
        _compute(settings, missing, tell)
        tell("judging")
        verdict = judge(collect(tasks), settings.tolerances)
    data = as_json(
        verdict,
        _machines(study, verdict),
        (*planned.skipped, *_notes(study)),
        command_line("pruning", "frontier", settings),
        {"name": _name(settings), "facts": _facts(settings, study)},
    )
    return Result(data, masks_toml(verdict, settings.out), len(missing), len(tasks) - len(missing))


def show(settings: Settings, result: Result) -> None:
    """Write the page, the tables and the picture; print the verdict and the table."""
    from pruning.frontier.account import as_csv
    from pruning.frontier.page import page
    from pruning.frontier.picture import draw
    from pruning.frontier.terminal import print_study
    from sparse_formats.files.atomic import json_text, write_text
    from sparse_formats.files.output_folder import replace_files
    from sparse_formats.terminal.tables import new_console

    data = result.data
    with replace_files(settings.out, LISTED_AS) as beside:
        draw(data, beside / PICTURE)
        write_text(beside / PAGE, page(data))
        write_text(beside / DATA, json_text(data))
        write_text(beside / TABLE, as_csv(data))
        if result.masks:
            write_text(beside / MASKS, result.masks)
    if settings.json is not None:
        emit_json(data, settings.json)
    console = new_console(is_stderr=settings.is_json_printed)
    print_study(data, console)
    console.print(
        f"{result.computed} points were computed, {result.there} were there already", soft_wrap=True
    )
    console.print(f"page     {settings.out / PAGE}", soft_wrap=True)


def _study(settings: Settings) -> "Study":
    """What is asked, checked as far as it can be before anything is computed."""
    from accel_sim.comparisons.variants import variants
    from pruning.frontier.identity import fingerprint
    from pruning.frontier.study import Load, Study

    if (settings.model is None) == (settings.shapes is None):
        raise InputError("give either --model FOLDER or --shapes NAME, but not both")
    if settings.prefill is None and settings.generate:
        raise SettingError("generate", "goes with --prefill, which simulates the whole model")
    if settings.prefill is not None and settings.tokens is not None:
        raise SettingError("tokens", "is for matrices by themselves; give it or --prefill")
    if settings.jobs > 1 and settings.device != "cpu":
        raise SettingError("jobs", f"is {settings.jobs}, but one device computes; give 1")
    for kind in ("patterns", "sparsities", "accelerators", "seeds"):
        if not getattr(settings, kind):
            raise SettingError(kind, "is empty; give one at least")
    if settings.model is None:
        _check_drawn(settings)
    else:
        settings.source()
    machines = variants(settings.accelerators, settings.memory, settings.set)
    study = Study(
        patterns=settings.patterns,
        sparsities=settings.sparsities,
        machines=tuple(machines.items()),
        load=Load(settings.tokens or TOKENS, _request(settings)),
        model=settings.model,
        shapes=settings.shapes,
        described=_described(settings),
        seeds=tuple(dict.fromkeys(settings.seeds)),
        rules=settings.rules,
        statistics=settings.statistics,
        recovery=_recovery(settings),
        measure=None if settings.model is None else _measure(settings),
        device=settings.device,
        threads=settings.threads,
    )
    return replace(study, fingerprint=fingerprint(study))


def _described(settings: Settings) -> str:
    """What says of which matrices the whole model consists: a name, or a folder."""
    if settings.prefill is None:
        return ""
    if settings.model is None:
        return str(settings.shapes)
    is_folder = (settings.model / CONFIG).is_file()
    return str(settings.model if is_folder else settings.out / DESCRIBED)


def _describe(settings: Settings, study: "Study", tell: "Tell") -> None:
    """Write what a model in one file consists of, as a config.json, for `accel_sim model`."""
    from pruning.models.opening import open_model
    from sparse_formats.files.atomic import write_text
    from sparse_formats.files.output_folder import prepare_folder

    folder = settings.out / DESCRIBED
    if study.model is None or study.described != str(folder):
        return
    tell(f"opening {study.model}")
    config = open_model(study.model).model.config.to_json_string(use_diff=False)
    prepare_folder(folder)
    write_text(folder / CONFIG, config)


def _check_drawn(settings: Settings) -> None:
    """Refuse what belongs to a model where masks are drawn."""
    for name in (*KINDS, "human", "recover", "statistics"):
        if getattr(settings, name) is not None:
            raise SettingError(name, "belongs to --model; masks of --shapes are drawn")


def _request(settings: Settings) -> "Request | None":
    from accel_sim.models.simulate import Request

    if settings.prefill is None:
        return None
    return Request(prefill=settings.prefill, generate=settings.generate)


def _measure(settings: Settings) -> MeasureSettings:
    names = MeasureSettings.__dataclass_fields__
    return MeasureSettings(**{name: getattr(settings, name) for name in names})


def _recovery(settings: Settings) -> "Recovery | None":
    from pruning.frontier.study import Recovery
    from pruning.training.settings import Training, read_training

    data = {kind: getattr(settings, f"train_{kind}") for kind in ("text", "table", "squad")}
    given = [kind for kind, path in data.items() if path is not None]
    if settings.recover is None:
        named = {"training": settings.training, **{f"train_{kind}": data[kind] for kind in given}}
        for name in (name for name, path in named.items() if path is not None):
            raise SettingError(name, "goes with --recover STEPS")
        return None
    if len(given) != 1:
        raise InputError(
            "--recover needs one file to learn from: --train-text, --train-table or --train-squad"
        )
    training = Training() if settings.training is None else read_training(settings.training)
    if settings.rules.score != Rules().score:
        raise SettingError("score", "has no effect with --recover: the training finds importance")
    return Recovery(replace(training, steps=settings.recover), **data)


def _tasks(settings: Settings, study: "Study", planned: "Plan") -> "list[Task]":
    from pruning.commands.rerun import making, simulating
    from pruning.frontier.evaluate import Task
    from pruning.frontier.identity import machine_key, mask_key, quality_key
    from pruning.frontier.machines import machine_of

    tasks = []
    for point in planned.points:
        masks = mask_key(study, point)
        machines = {
            name: machine_key(study, masks, machine_of(variant))
            for name, variant in study.machines
            if point.is_simulated
        }
        task = Task(
            study,
            point,
            settings.out / POINTS / f"{point.name}_{masks[:8]}",
            masks,
            None if study.measure is None else quality_key(study, masks),
            machines,
        )
        tasks.append(
            replace(
                task,
                commands=making(task),
                machine_commands={name: simulating(task, name) for name in machines},
            )
        )
    return tasks


def _compute(settings: Settings, tasks: "Sequence[Task]", tell: "Tell") -> None:
    """Compute the points, here or elsewhere."""
    import time
    from functools import partial

    from accel_sim.exploration.workers import open_workers
    from pruning.frontier.evaluate import evaluate

    if not tasks:
        return
    started, where = time.monotonic(), ""

    def begin(done: int) -> None:
        nonlocal where
        left = ""
        if done:
            seconds = (time.monotonic() - started) / done * (len(tasks) - done)
            left = f", {int(seconds) // 60}:{int(seconds) % 60:02d} left"
        where = f"point {done + 1} of {len(tasks)}{left}"
        tell(where)

    is_here = settings.jobs == 1 and settings.cluster is None
    work = partial(evaluate, tell=lambda step: tell(f"{where}: {step}")) if is_here else evaluate
    with open_workers(settings.jobs, settings.cluster) as workers:
        begin(0)
        for done, _ in enumerate(workers.map(work, tasks), 1):
            if done < len(tasks):
                begin(done)


def _machines(study: "Study", verdict: "Verdict") -> dict[str, dict[str, Any]]:
    """What to know of each machine: its size, and the dense model on it."""
    from accel_sim.costs.area import machine_area
    from pruning.frontier.machines import machine_of

    (dense,) = (c.result for c in verdict.candidates if c.is_dense)
    found = {}
    for name, figures in dense.machines.items():
        machine = machine_of(study.variants[name])
        found[name] = {
            "macs": machine.macs,
            "area_mm2": sum(machine_area(machine).values()),
            "dense_latency_s": figures.latency_s,
            "dense_energy_j": figures.energy_j,
        }
    return found


def _notes(study: "Study") -> list[str]:
    """What is counted, and what to know of the machines."""
    from accel_sim.machines.plausibility import implausible
    from pruning.frontier.machines import machine_of

    found: list[str] = []
    of_note: dict[str, list[str]] = {}
    if study.load.request is None:
        found.append(
            "Only products of weights are counted, matrix by matrix; with --prefill the whole "
            "model runs, attention and head included."
        )
    for name, variant in study.machines:
        machine = machine_of(variant)
        for note in filter(None, (machine.note, *implausible(machine))):
            of_note.setdefault(note, []).append(machine.name if note == machine.note else name)
    said = {note: ", ".join(dict.fromkeys(names)) for note, names in of_note.items()}
    return [*found, *(f"{names}: {note}" for note, names in said.items())]


def _name(settings: Settings) -> str:
    from pruning.models.model_files import model_name

    return model_name(settings.model) if settings.model is not None else str(settings.shapes)


def _facts(settings: Settings, study: "Study") -> list[str]:
    request = study.load.request
    if request is None:
        through = f"{study.load.tokens:,} tokens through each matrix"
    else:
        through = f"a prompt of {request.prefill:,} tokens, {request.generate:,} generated"
    if study.measure is None:
        return [through, "masks drawn"]
    _, data = study.measure.source()
    trained = (
        "pruned at once" if settings.recover is None else f"{settings.recover} steps of training"
    )
    return [through, trained, f"quality on {data.name}"]
