"""The command `prune`: a model, or a mask that is there, into a mask file."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pruning.commands.options import DataOptions
from pruning.recipe import OTHER_TABLES, Recipe, check_source, pattern_option
from pruning.targets.settings import Goal, check_goal, said
from sparse_formats.errors import InputError, SettingError
from sparse_formats.terminal.application import emit_json
from sparse_formats.terminal.options import JsonOption, MemoryOption
from sparse_formats.terminal.progress import progress
from sparse_formats.terminal.settings import group, option

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pruning.report import Pruning, Total
    from sparse_formats.masks.matrix import MaskSet
    from sparse_formats.terminal.progress import Tell
    from sparse_formats.terminal.tables import Column


@dataclass(frozen=True, kw_only=True)
class Asked(Recipe):
    """A recipe whose pattern may be called method."""

    pattern: str = pattern_option("--pattern", "--method")


@dataclass(frozen=True, kw_only=True)
class Settings(DataOptions, JsonOption, MemoryOption):
    """Prune a model, or cut a mask into vectors, and write the mask file.

    With a target (--target-latency, --speedup or --target-energy) the model is pruned until the
    accelerator meets it, and a text, a table or questions calibrate what is lost.
    """

    CONFIG_FLAGS: ClassVar = ("--config", "--recipe")
    FOREIGN_TABLES: ClassVar = OTHER_TABLES

    out: Path = option("Mask file to write.", writes="file", suffix=".npz")
    model: Path | None = option(
        "Model to prune: a Hugging Face directory, or a .safetensors or .npz file of weights.",
        default=None,
    )
    from_mask: Path | None = option(
        "Mask file to prune further, or to cut into vectors.", default=None
    )
    scores: Path | None = option(
        "File of importances, named and shaped as the masks of --from-mask.", default=None
    )
    statistics: Path | None = option(
        "Statistics file that calibrate wrote, where the score or the update needs it.",
        default=None,
    )
    permute: bool = option(
        "Move neurons, channels and heads first, so that vectors keep more importance. The mask "
        "file holds the order, and commands that put the mask on a model move its units likewise.",
        default=False,
    )
    recipe: Recipe = group(Asked)
    goal: Goal = group(Goal)


def run(settings: Settings) -> "Pruning":
    """Score the matrices and prune them by the recipe, or until the target is met."""
    check_goal(settings.goal)
    if settings.goal.is_given:
        return _for_machine(settings)
    if settings.data:
        raise InputError(
            "--text, --table and --squad calibrate a target; give --target-latency, --speedup or "
            "--target-energy, or leave them out"
        )
    from pruning.models.model_files import heads_with, model_name, read_heads
    from pruning.models.order import HEADER, as_json, read_permutation
    from pruning.pipeline import prune_matrices
    from pruning.scoring import score_masks, score_weights
    from sparse_formats.files.mask_file import read_masks, read_model, read_weights
    from sparse_formats.masks.execution import execution_in
    from sparse_formats.masks.what_was_read import what_was_read

    source, statistics = _source(settings), settings.statistics
    recipe = check_source(settings.recipe)
    with progress() as tell:
        tell(f"reading {source}")
        if settings.permute:
            return _permuted(settings, recipe, tell)
        if settings.from_mask is None:
            model = read_model(source)
            shapes, header = {n: w.shape for n, w in model.matrices.items()}, model.header
            matrices = score_weights(model.matrices, recipe, statistics)
            heads, origin = read_heads(source), model_name(source)
        else:
            masks = read_masks(source)
            shapes, header = masks.shapes, masks.header
            given = None if settings.scores is None else read_weights(settings.scores)
            matrices, used = score_masks(masks, recipe, given, statistics)
            recipe, heads = replace(recipe, score=used), heads_with(source, masks.header)
            origin = str(masks.header.get("model", model_name(source)))
        read = what_was_read(shapes, header, {m.name for m in matrices}, source.name)
        runs = execution_in(header, str(source))
        found = prune_matrices(matrices, recipe, origin, tell, statistics, heads, runs)
        order = header.get(HEADER)
        if order is None and (there := read_permutation(source)) is not None:
            order = as_json(there)
        return replace(found, read=read, masks=_with_order(found.masks, order))


def show(settings: Settings, result: "Pruning") -> None:
    """Write the mask file, and print what was done to each matrix."""
    result.save(settings.out)
    if settings.json is not None:
        account = {
            "schema_version": 1,
            **result.masks.header,
            "notes": result.notes,
            "read": result.read,
            **({"target": result.target} if result.target else {}),
        }
        emit_json(account, settings.json)
    if not settings.is_json_printed:
        _print(result, settings.out)


def _for_machine(settings: Settings) -> "Pruning":
    """Open the model and prune it until the accelerator meets the target."""
    from accel_sim.machines.load import load_machine
    from pruning.models.opening import open_model
    from pruning.models.order import HEADER, header_of
    from pruning.recipe import checked
    from pruning.targets.levels import levels_of
    from pruning.targets.prune import prune_for_machine
    from sparse_formats.masks.what_was_read import what_was_read

    model, goal, asked = settings.model, settings.goal, settings.recipe
    if model is None:
        raise InputError("a target goes with --model; a mask alone has no outputs to lose")
    for name in ("scores", "statistics", "permute"):
        if getattr(settings, name):
            raise InputError(
                f"--{name} does not go with a target, which calibrates the model as it is"
            )
    default = Recipe()
    for name in ("sparsity", "budget", "profile", "count"):
        if getattr(asked, name) != getattr(default, name):
            raise SettingError(name, "does not go with a target, which says how much is kept")
    if goal.prefill is not None and asked.tokens != default.tokens:
        raise SettingError("tokens", "are those through each matrix; with --prefill leave them out")
    if not settings.data:
        raise InputError(
            "a target needs examples to tell what is lost: give --text, or --table or --squad for "
            "a model of that kind"
        )
    settings.only_file()
    recipe = check_source(checked(asked))
    memory = [] if goal.memory is None else [f"dram.memory={goal.memory}"]
    machine = load_machine(vars(asked)["accelerator"], [*memory, *goal.set])
    levels_of((recipe.pattern, *goal.alternatives), vars(recipe), goal)  # refuses before it is long
    with progress() as tell:
        tell(f"opening {model}")
        opened = open_model(model, settings.task, recipe.include, recipe.exclude)
        examples = settings.examples_for(opened, goal.length, recipe.seed)
        from pruning.data.examples import drawn

        examples = drawn(examples, goal.samples, recipe.seed)
        found = prune_for_machine(opened, examples, recipe, goal, machine, tell)
    shapes = {matrix.name: matrix.shape for matrix in opened.matrices}
    read = what_was_read(shapes, found.masks.header, shapes.keys(), model.name)
    masks = _with_order(found.masks, header_of(opened.model).get(HEADER))
    return replace(found, read=read, masks=masks)


def _permuted(settings: Settings, recipe: Recipe, tell: "Tell") -> "Pruning":
    """Open the model, move its units, and prune it as it stands then."""
    from pruning.models.model_files import model_name
    from pruning.models.opening import open_model
    from pruning.models.order import HEADER, header_of
    from pruning.permutation.permute import permute, said_of
    from pruning.pipeline import prune_matrices
    from pruning.recipe import checked
    from pruning.scoring import score_weights
    from sparse_formats.masks.what_was_read import what_was_read

    if settings.model is None:
        raise InputError("--permute goes with --model; the units of a mask alone cannot move")
    if settings.statistics is not None:
        raise InputError(
            "--statistics were collected on the model before its units move; run `python -m "
            "pruning permute`, then calibrate and prune the permuted model"
        )
    recipe = checked(recipe)
    assert recipe.sparsity is not None
    opened = open_model(settings.model, None, recipe.include, recipe.exclude)
    moved = permute(opened, recipe.pattern, round(1 - recipe.sparsity, 9), tell, vars(recipe))
    weights = {matrix.name: matrix.weight() for matrix in opened.matrices}
    matrices = score_weights(weights, recipe)
    origin, execution = model_name(settings.model), opened.execution
    found = prune_matrices(matrices, recipe, origin, tell, None, opened.heads, execution)
    shapes = {name: (w.shape[0], w.shape[1]) for name, w in weights.items()}
    return replace(
        found,
        read=what_was_read(shapes, found.masks.header, weights.keys(), settings.model.name),
        masks=_with_order(found.masks, header_of(opened.model).get(HEADER)),
        notes=(*said_of(moved), *found.notes),
    )


def _with_order(masks: "MaskSet", order: Any) -> "MaskSet":
    """The masks with the order of their model in the header, where it has one of its own."""
    from pruning.models.order import HEADER

    return masks if order is None else replace(masks, header={**masks.header, HEADER: order})


def _source(settings: Settings) -> Path:
    model, mask = settings.model, settings.from_mask
    if (model is None) == (mask is None):
        given = "neither" if model is None else "both"
        raise InputError(f"give either --model or --from-mask, found {given}")
    if settings.scores is not None and mask is None:
        raise InputError("--scores goes with --from-mask; a --model is scored by --score")
    found = model if mask is None else mask
    assert found is not None
    return found


def _planned_columns() -> "list[Column]":
    """What the table says besides of a model that met a target."""
    from sparse_formats.terminal.tables import Column

    return [
        Column("pattern"),
        Column("output\nerror", "right"),
        Column("lane\ngroups", "right", rank=3),
    ]


def _print(pruning: "Pruning", out: Path) -> None:
    from sparse_formats.terminal.tables import Column, new_console, print_table, printable

    console = new_console()
    for sentence in pruning.read.get("sentences", ()):
        console.print(printable(sentence), soft_wrap=True)
    plan = pruning.target.get("plan", [])
    columns = [
        Column("matrix"),
        *(
            [Column("pattern"), Column("output\nerror", "right"), Column("lane\ngroups", "right")]
            if plan
            else []
        ),
        Column("kind", rank=2),
        Column("shape", "right", rank=3),
        Column("density", "right"),
        Column("orientation", rank=1),
        Column("vectors", "right", rank=2),
        Column("mean\nlength", "right", rank=1),
        Column("impor-\ntance", "right"),
        Column("reten-\ntion", "right"),
        Column("D fine", "right"),
        Column("direction\nfine", rank=4),
    ]
    rows = [
        (
            r.name.removesuffix(".weight"),
            *_planned(plan[i] if plan else None, r.output_error),
            r.kind,
            f"{r.rows}×{r.cols}",
            f"{r.density:.3f}",
            r.orientation or "–",
            "–" if r.vectors is None else f"{r.vectors}",
            _number(r.mean_length, ".2f"),
            _number(r.importance_kept, ".3f"),
            _number(r.retention, ".3f"),
            _number(r.strength, "+.3f"),
            r.verdict,
        )
        for i, r in enumerate(pruning.reports)
    ]
    t = pruning.total
    total = (
        f"{t.matrices} matrices",
        *(("", "", "") if plan else ()),
        "",
        f"{t.weights}",
        f"{t.density:.3f}",
        "",
        "–" if t.vectors is None else f"{t.vectors}",
        _number(t.mean_length, ".2f"),
        _number(t.importance_kept, ".3f"),
        _number(t.retention, ".3f"),
        "",
        "",
    )
    footnotes = (
        *_said_of_importance(t),
        "Importance is what the kept weights hold of that of all weights. Retention is the same ÷ "
        "what the best free choice of as many weights holds.",
        f"D fine is the direction strength of {pruning.measured_on}: > 0 horizontal, < 0 vertical. "
        "The command analyze measures the mask that was written.",
        *_said_of_target(pruning),
        *(f"note: {note}" for note in pruning.notes),
        f"wrote {out}",
    )
    print_table(console, columns, rows, total=total, footnotes=footnotes)


def _said_of_importance(total: "Total") -> tuple[str, ...]:
    """The importance kept in absolute terms: retention alone flatters high sparsities."""
    if total.importance_kept is None or not total.retention:
        return ()
    best = total.importance_kept / total.retention
    return (
        f"The {100 * total.density:.1f} % of the weights that are kept hold "
        f"{100 * total.importance_kept:.1f} % of the importance; the best free choice of as many "
        f"would hold {100 * best:.1f} %.",
    )


def _planned(row: "Mapping[str, Any] | None", error: float | None) -> tuple[str, ...]:
    """The cells of a matrix that say what a plan made of it; none without a plan."""
    if row is None:
        return ()
    return row["pattern"], _number(error, ".3f"), f"{row['lane_groups'] or '–'}"


def _said_of_target(pruning: "Pruning") -> tuple[str, ...]:
    """What was pruned for and what it came to, in sentences."""
    found = pruning.target
    if not found:
        return ()
    measure = found["measure"]
    faster = "" if found["speedup"] is None else f", {found['speedup']:.2f} times the unpruned one"
    low, high = (said(value, measure) for value in found["reachable"])
    return (
        f"{found['accelerator']} takes {said(found['reached'], measure)}{faster}; the target is "
        f"{said(found['target'], measure)}, and these patterns and densities reach {low} to "
        f"{high}.",
        f"The outputs of the plan have a {found['judged_by']} of {found['loss']:.4g} to those of "
        f"the unpruned model, and had {found['loss_first']:.4g} before the search, which judged "
        f"{found['judged']} plans.",
        "The command train recovers it with these masks: --method recovery --mask.",
    )


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)
