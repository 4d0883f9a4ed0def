"""The command `compare`: masks × accelerators × loads, each beside the first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accel_sim.commands.model_options import (
    ModelOptions,
    given_of,
    model_of_masks,
    model_of_shapes,
    prompt_of,
    requests_of,
)
from accel_sim.commands.simulation_options import (
    A_FILE,
    A_PATTERN_ELSE,
    SimulationOptions,
    TokenCount,
    check_generated,
    check_of_a_file,
    density_of,
    patterns,
)
from accel_sim.comparisons.equal_size import Equal
from accel_sim.inputs.defaults import ACCELERATOR, PATTERN, TOKENS
from accel_sim.machines.builtin import builtin_accelerators, builtin_memories
from sparse_formats.errors import InputError, SettingError
from sparse_formats.files.output_folder import replace_files
from sparse_formats.terminal.application import emit_json
from sparse_formats.terminal.command import command_line
from sparse_formats.terminal.settings import option

if TYPE_CHECKING:
    from accel_sim.comparisons.measures import Kind
    from accel_sim.comparisons.quality import Study
    from accel_sim.dataflows.abstract.dataflow import Machine
    from accel_sim.inputs.workload import Workload
    from accel_sim.models.weights import MaskedModel

DATA, PAGE, TABLE, PICTURE = "compare.json", "compare.html", "compare.csv", "compare.png"

ALL = "all"
"""The name of all accelerators that come with the package."""


def _accelerators() -> Iterable[str]:
    return [ALL, *builtin_accelerators()]


@dataclass(frozen=True, kw_only=True)
class Settings(ModelOptions, SimulationOptions):
    """Compare masks on accelerators: time, energy and area over the first pair's and over dense.

    With --model, --prefill or --generate whole models are compared instead of single products.
    """

    mask: tuple[Path, ...] = option("Mask file or folder to simulate.", default=())
    study: Path | None = option(
        "Folder of a study, or TOML file, that names masks with their measured quality.",
        default=None,
    )
    pattern: tuple[str, ...] = option(
        "Pattern of generated masks.",
        default=(),
        choices=patterns,
        or_else=A_PATTERN_ELSE,
        otherwise=PATTERN,
    )
    accelerator: tuple[str, ...] = option(
        "Accelerator to simulate.",
        default=(ACCELERATOR,),
        choices=_accelerators,
        or_else=A_FILE,
        reads=True,
    )
    memory: tuple[str, ...] = option(
        "Memory that the accelerators get in place of their own DRAM. Each of several is compared.",
        default=(),
        choices=builtin_memories,
    )
    set: tuple[str, ...] = option(
        "Change one value of all accelerators. Each of several values is compared.",
        default=(),
        metavar="KEY=VALUE[,VALUE…]",
    )
    equal: Equal = option(
        "Leave the accelerators as they are, or give each as many PEs as make its MACs or its "
        "area equal to the first one's.",
        default="as-is",
    )
    tokens: tuple[TokenCount, ...] = option(
        "Tokens through each matrix. Each of several numbers is compared.",
        default=(),
        otherwise=TOKENS,
        is_separated=True,
    )
    out: Path | None = option(
        f"Folder for {DATA}, {TABLE}, {PAGE} and {PICTURE}.",
        default=None,
        writes="folder",
        listed_as="comparison",
        holds=(DATA, PAGE, TABLE, PICTURE),
        is_replayed=False,
    )


@dataclass(frozen=True)
class Result:
    """data: what stands in compare.json. read: what was read of each mask file, in sentences."""

    data: Mapping[str, Any]
    read: tuple[str, ...]


def run(settings: Settings) -> Result:
    """Simulate every mask on every machine under every load."""
    from accel_sim.comparisons.equal_size import made_equal
    from accel_sim.comparisons.variants import variants

    every = variants(_expanded(settings.accelerator), settings.memory, settings.set)
    own = {name: variant.machine() for name, variant in every.items()}
    machines = dict(zip(own, made_equal(list(own.values()), settings.equal), strict=True))
    if given_of(settings):
        return _models(settings, machines)
    return _products(settings, machines)


def show(settings: Settings, result: Result) -> None:
    """Write the folder and the JSON; print the table and the notes."""
    from accel_sim.comparisons.compare_terminal import print_comparison
    from sparse_formats.terminal.tables import new_console
    from sparse_formats.untrusted import printable

    data = result.data
    if settings.out is not None:
        from accel_sim.comparisons.data import as_csv
        from accel_sim.comparisons.page import comparison_page
        from accel_sim.comparisons.picture import draw_pairs
        from sparse_formats.files.atomic import write_text

        with replace_files(settings.out, "comparison") as beside:
            draw_pairs(data, beside / PICTURE)
            write_text(beside / TABLE, as_csv(data))
            write_text(beside / PAGE, comparison_page(data))
            emit_json(data, beside / DATA)
    if settings.json is not None:
        emit_json(data, settings.json)
    console = new_console(is_stderr=settings.is_json_printed)
    for sentence in result.read:
        console.print(printable(sentence), soft_wrap=True)
    print_comparison(data, console)


def _expanded(accelerators: Iterable[str]) -> list[str]:
    """Every name once; `all` stands for all that come with the package, the default one first."""
    found: dict[str, None] = {}
    for name in accelerators:
        every = (ACCELERATOR, *builtin_accelerators()) if name == ALL else (name,)
        found |= dict.fromkeys(every)
    return list(found)


def _products(settings: Settings, machines: Mapping[str, Machine]) -> Result:
    """Single products of weights."""
    from accel_sim.comparisons.compare import compare

    workloads = _workloads(settings)
    # Who asks for all of them gets those that can run the masks, and is told of the others.
    left_out: dict[str, str] | None = {} if ALL in settings.accelerator else None
    tokens = settings.tokens or (TOKENS,)
    pairs = list(compare(workloads, machines, settings.threads, tokens, left_out))
    for name in left_out or ():
        pairs = [pair for pair in pairs if pair.accelerator != name]
        machines = {other: machine for other, machine in machines.items() if other != name}
    masks = {name: workload.origin for name, workload in workloads.items()}
    read = [each.origin.get("read", {}).get("sentences", ()) for each in workloads.values()]
    int8 = [name for name, workload in workloads.items() if workload.is_int8]
    data = _data("products", settings, pairs, machines, masks, int8)
    told = [{"of": [name], "note": reason} for name, reason in (left_out or {}).items()]
    data["notes"]["left_out"] = told
    return Result(data, tuple(sentence for sentences in read for sentence in sentences))


def _models(settings: Settings, machines: Mapping[str, Machine]) -> Result:
    """Whole models."""
    from accel_sim.comparisons.compare_models import compare_models

    for each in fields(SimulationOptions):
        single = ("experts_per_token", "expert_load", "activation_density")
        if each.name in single and getattr(settings, each.name) != each.default:
            raise SettingError(each.name, "is of single products; leave it out with whole models")
    if settings.tokens:
        raise SettingError("tokens", "is of single products; a whole model has --prefill")
    models, masks = _masked_models(settings)
    prefill = prompt_of(settings, next(iter(models.values())))
    requests = requests_of(settings, prefill)
    pairs = list(compare_models(models, machines, requests, settings.threads))
    int8 = [name for name, model in models.items() if model.is_int8]
    settings = replace(settings, prefill=prefill)
    return Result(_data("model", settings, pairs, machines, masks, int8), ())


def _data(
    kind: Kind,
    settings: Settings,
    pairs: Any,
    machines: Mapping[str, Machine],
    masks: Mapping[str, Mapping[str, Any]],
    int8: list[str],
) -> dict[str, Any]:
    """What stands in compare.json."""
    from accel_sim.comparisons.data import as_json

    study = _study(settings)
    is_generated = settings.shapes and not _files(settings)
    subject = settings.shapes if is_generated else settings.model
    if subject is None:
        subject = "1 mask" if len(masks) == 1 else f"{len(masks)} masks"
    if kind == "model":
        subject = f"{subject}: prompts of {settings.prefill}, {settings.generate} generated"
    about = {
        "command": command_line("accel_sim", "compare", _resolved(settings)),
        "subject": subject,
        "equal": settings.equal,
        "quality": {"measure": study.measure, "better": study.better} if study.quality else None,
    }
    data = as_json(kind, pairs, machines, masks, about, study.quality)
    for pair, command in zip(data["pairs"], _pair_commands(settings, data["pairs"]), strict=True):
        pair["command"] = command
    if int8:
        note = "The weights are INT8; every machine runs with its own datatype."
        data["notes"]["masks"].append({"of": int8, "note": note})
    return data


def _pair_commands(settings: Settings, pairs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The comparison of each pair alone; "" where it depends on others, or is the dense one."""
    from accel_sim.comparisons.variants import variants

    if settings.equal != "as-is" or settings.study is not None:
        return [""] * len(pairs)
    machines = variants(_expanded(settings.accelerator), settings.memory, settings.set)
    files, resolved = _files(settings), _resolved(settings)
    generated = {} if settings.shapes is None else _generated(settings)

    def command(pair: Mapping[str, Any]) -> str:
        name, machine = pair["mask"], machines[pair["accelerator"]]
        if pair["is_dense"] or (name not in generated and name not in files):
            return ""
        one: dict[str, Any] = {"mask": (), "pattern": ()}
        if name in generated:
            one["pattern"] = (generated[name][0],)
        else:
            one |= {"mask": (files[name],), "shapes": None, "density": None}
        return command_line(
            "accel_sim",
            "compare",
            replace(
                resolved,
                accelerator=(machine.accelerator,),
                memory=() if machine.memory is None else (machine.memory,),
                set=machine.set,
                **{key: (pair[key],) for key in ("tokens", "batch", "context") if key in pair},
                **one,
            ),
        )

    return [command(pair) for pair in pairs]


def _resolved(settings: Settings) -> Settings:
    """The settings with what was taken where nothing was said."""
    if settings.shapes is None:
        return replace(settings, pattern=())
    return replace(settings, pattern=settings.pattern or (PATTERN,))


def _study(settings: Settings) -> Study:
    from accel_sim.comparisons.quality import Study, read_study

    return Study({}, {}) if settings.study is None else read_study(settings.study)


def _files(settings: Settings) -> dict[str, Path]:
    """Mask files by their name in the table, those of a study behind the others.

    A file has its own name, its path where two have the same; the study says those of its masks.
    """
    names = [path.name for path in settings.mask]
    found = {
        path.name if names.count(path.name) == 1 else str(path): path for path in settings.mask
    }
    of_study = _study(settings).masks
    for name in of_study:
        if name in found:
            raise InputError(f"{settings.study} and --mask both have a mask called {name}")
    return {**found, **of_study}


def _generated(settings: Settings) -> dict[str, tuple[str, float]]:
    """Pattern and density of generated masks by their name in the table."""
    prefix = f"{settings.shapes} " if _files(settings) else ""
    return {
        f"{prefix}{pattern}": (pattern, density_of(pattern, settings.density))
        for pattern in settings.pattern or (PATTERN,)
    }


def _workloads(settings: Settings) -> dict[str, Workload]:
    """What is compared, by the name it has in the table: files first, then generated masks."""
    from accel_sim.inputs.activations import Activations
    from accel_sim.inputs.workload import Workload

    paths, shapes = _files(settings), settings.shapes
    if not paths and shapes is None:
        raise InputError("give --mask FILE, once for each mask, --study FOLDER, or --shapes NAME")
    if shapes is None:
        own = [("--density", settings.density is not None), ("--pattern", settings.pattern)]
        check_generated(next(iter(paths.values())), own)
    if not paths:
        check_of_a_file(settings)
    activations = Activations(TOKENS, settings.activation_density, settings.seed)
    include, exclude = settings.include, settings.exclude
    workloads = {
        name: Workload.of(
            path,
            activations,
            include=include,
            exclude=exclude,
            experts_per_token=settings.experts_per_token,
            expert_load=settings.expert_load,
            convolutions=settings.convolutions,
        )
        for name, path in paths.items()
    }
    for name, (pattern, density) in _generated(settings).items() if shapes is not None else ():
        workloads[name] = Workload.generated(
            shapes or "",
            activations,
            density=density,
            pattern=pattern,
            seed=settings.seed,
            include=include,
            exclude=exclude,
        )
    return workloads


def _masked_models(
    settings: Settings,
) -> tuple[dict[str, MaskedModel], dict[str, Mapping[str, Any]]]:
    """The model with each of the masks, and where these came from."""
    if (settings.model is None) == (settings.shapes is None):
        raise InputError("give either --model NAME_OR_FOLDER or --shapes NAME, but not both")
    models: dict[str, MaskedModel] = {}
    masks: dict[str, Mapping[str, Any]] = {}
    if settings.shapes is not None:
        for name in ("mask", "study"):
            if getattr(settings, name):
                raise SettingError(name, "belongs to --model; --shapes generates its masks")
        for name, (pattern, density) in _generated(settings).items():
            models[name], masks[name] = model_of_shapes(
                settings.shapes, density, pattern, settings.seed, settings.head_density
            )
        return models, masks
    for name, value in (
        ("density", settings.density is not None),
        ("pattern", settings.pattern),
        ("head_density", settings.head_density is not None),
    ):
        if value:
            raise SettingError(name, "belongs to masks generated with --shapes; leave it out")
    names = settings.include, settings.exclude
    for name, path in _files(settings).items():
        models[name], masks[name] = model_of_masks(settings.model or "", path, *names)
    if not models:
        models["dense"], masks["dense"] = model_of_masks(settings.model or "", None)
    return models, masks
