"""Commands that give each part of a study's point again, for its folder and for the page."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from accel_sim.commands import model as model_command
from accel_sim.commands import run as run_command
from pruning.commands import eval as eval_command
from pruning.commands import prune, train
from pruning.evaluation.measure_settings import MeasureSettings
from pruning.frontier.evaluate import COMMANDS, MODEL, Task
from pruning.frontier.evaluate import MASKS as MASK_FILE
from pruning.frontier.masks import method_of
from pruning.recipe import Recipe
from sparse_formats.files.atomic import write_text
from sparse_formats.files.output_folder import prepare_folder
from sparse_formats.terminal.command import command_line


def making(task: Task) -> tuple[str, ...]:
    """Commands that make the masks of a point again, and measure it; none for a zeroed model."""
    study, point = task.study, task.point
    if study.model is None or study.measure is None or point.kind == "zeroed":
        return ()
    is_trained = study.recovery is not None and point.kind != "dense"
    has_mask = not is_trained and point.kind != "dense"
    shared = {name: getattr(study.measure, name) for name in MeasureSettings.__dataclass_fields__}
    measured = eval_command.Settings(
        **shared,
        model=task.folder / MODEL if is_trained else study.model,
        mask=task.folder / MASK_FILE if has_mask else None,
        floors=False,
        device=study.device,
    )
    return (*_masks(task), command_line("pruning", "eval", measured))


def _masks(task: Task) -> list[str]:
    """Of a floor that is trained two commands: its mask is drawn first."""
    study, point = task.study, task.point
    if point.recipe is None or study.model is None:
        return []
    out = Path(f"{point.name}.npz")
    recovery, recipe = study.recovery, _plain(point.recipe)
    is_random = point.kind == "random mask"
    drawn = Path(f"{point.name}_drawn.npz") if is_random and recovery is not None else out
    found = []
    if is_random or recovery is None:
        asked = prune.Settings(
            out=drawn,
            model=study.model,
            statistics=None if recipe.score == "random" else study.statistics,
            recipe=prune.Asked(**vars(recipe)),
        )
        found.append(command_line("pruning", "prune", asked))
    if recovery is not None:
        trained = train.Settings(
            text=recovery.text,
            table=recovery.table,
            squad=recovery.squad,
            model=study.model,
            mask=drawn if is_random else None,
            out=out,
            save=Path(point.name),
            recipe=replace(recipe, score="magnitude", update=None),
            training=replace(recovery.training, method=method_of(point, recovery)),
            device=study.device,
        )
        found.append(command_line("pruning", "train", trained))
    return found


def _plain(recipe: Recipe) -> Recipe:
    """The recipe without what only says the default again."""

    return replace(recipe, tokens=Recipe().tokens) if recipe.count == "weights" else recipe


def simulating(task: Task, name: str) -> str:
    """The command that simulates a point on one machine; "" where there is none."""

    study, point = task.study, task.point
    variant = study.variants[name]
    is_dense = point.kind == "dense"
    mask = None if is_dense or study.model is None else task.folder / MASK_FILE
    drawn: dict[str, Any] = {}
    if study.model is None and not is_dense:
        drawn = {
            "shapes": study.shapes,
            "density": round(1 - point.sparsity, 9),
            "pattern": point.pattern,
            "seed": point.seed,
        }
    if study.load.request is not None:
        asked = model_command.Settings(
            **vars(variant),
            model=None if drawn else study.described,
            mask=mask,
            prefill=study.load.request.prefill,
            generate=study.load.request.generate,
            **drawn,
        )
        return command_line("accel_sim", "model", asked)
    if is_dense:
        return ""
    return command_line(
        "accel_sim",
        "run",
        run_command.Settings(
            **vars(variant),
            mask=mask,
            tokens=study.load.tokens,
            check=False,
            **drawn,
        ),
    )


def write_commands(task: Task) -> None:

    lines = [*task.commands, *task.machine_commands.values()]
    text = "".join(f"{line}\n" for line in lines if line)
    path = task.folder / COMMANDS
    if text and not (path.is_file() and path.read_text("utf-8") == text):
        prepare_folder(task.folder)
        write_text(path, text)
