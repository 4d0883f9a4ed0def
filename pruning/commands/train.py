"""The command `train`: prune a model while it learns, or recover a pruned one."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pruning.commands.options import MODEL_FILES, MODEL_FORMS, DataOptions, MachineOptions
from pruning.processes import Processes, joined
from pruning.recipe import Recipe
from pruning.training.log import LOGS, Log, no_log
from pruning.training.settings import Training
from sparse_formats.errors import InputError
from sparse_formats.terminal.application import emit_json
from sparse_formats.terminal.options import JsonOption, MemoryOption
from sparse_formats.terminal.progress import Tell, progress
from sparse_formats.terminal.settings import Count, group, option

if TYPE_CHECKING:
    from pruning.models.opening import OpenModel
    from pruning.training.loop import Run


@dataclass(frozen=True, kw_only=True)
class Settings(DataOptions, MachineOptions, JsonOption, MemoryOption):
    """Prune a model while it learns, or let a pruned one recover."""

    CONFIG_FLAGS: ClassVar = ("--config", "--recipe")
    SET_FLAG: ClassVar = "--set"

    model: Path = option(f"Model to train: {MODEL_FORMS}.")
    out: Path = option(
        "Mask file to write, with the trained weights.", writes="file", suffix=".npz"
    )
    mask: Path | None = option(
        "With method recovery, the mask to recover.",
        default=None,
        otherwise="the zeros of the model",
    )
    teacher: Path | None = option(
        "Model to distil from.", default=None, otherwise="the model as it was, not pruned"
    )
    save: Path | None = option(
        "Folder for the pruned model, as Hugging Face saves it.",
        default=None,
        writes="folder",
        listed_as="trained model",
        holds=MODEL_FILES,
    )
    checkpoint: Path | None = option(
        "Folder for checkpoints. An interrupted run continues from there.",
        default=None,
        writes="folder",
        listed_as="checkpoint",
        holds=("checkpoint.json",),
        is_replayed=False,
    )
    log: str | None = option(
        "Form in which each step's loss, density, learning rate and gradient norm are written down "
        "while the run goes on.",
        default=None,
        choices=LOGS,
    )
    log_to: Path | None = option(
        "With --log, the file of JSON lines or the folder for TensorBoard.",
        default=None,
        otherwise="the name of --out, ending in .jsonl or .tensorboard",
        writes="file or folder",
        listed_as="log",
        is_replayed=False,
    )
    save_every: Count = option("Steps between checkpoints.", default=50, is_replayed=False)
    new_head: bool = option(
        "With --table or --squad, add a new task head to a model without one.", default=False
    )
    permute: bool = option(
        "Move neurons, channels and heads first, so that vectors keep more importance. The mask "
        "file holds the order, and commands that put the mask on a model move its units likewise.",
        default=False,
    )
    recipe: Recipe = group(Recipe)
    training: Training = group(Training, is_table=True)


@dataclass(frozen=True, eq=False)
class Result:
    """What training gave: the model as it is now, and the account of the run."""

    opened: "OpenModel"
    run: "Run"
    density: dict[str, float]
    seconds: float
    account: dict[str, Any]
    processes: Processes


def run(settings: Settings) -> Result:
    """Open the model, put the pruner around it, and train it to the end of its schedule."""
    from pruning.models.opening import open_model
    from pruning.recipe import checked
    from sparse_formats.files.mask_file import read_masks

    training, data = settings.training, settings.only_file()
    if training.quantize != "none" and settings.save is None:
        raise InputError("--quantize needs --save: ranges are learned too, and stay in that folder")
    if settings.new_head and training.method == "lora_prune":
        raise InputError("method lora_prune trains only factors, so it cannot train a new head")
    if settings.log_to is not None and settings.log is None:
        raise InputError(f"--log-to goes with --log; give --log {' or '.join(LOGS)}")
    recipe = checked(settings.recipe)
    masks = None if settings.mask is None else read_masks(settings.mask)
    started, device = time.monotonic(), settings.find_device()
    with joined(device) as processes, _told(processes) as tell:
        tell(f"opening {settings.model}")
        head = _new_head(settings.table) if settings.new_head and settings.text is None else None
        import torch

        torch.manual_seed(recipe.seed)
        opened = open_model(settings.model, settings.task, recipe.include, recipe.exclude, head)
        from pruning.models.masking import densities_of, zeros_of
        from pruning.training.account import account_of
        from pruning.training.loop import train
        from pruning.training.pruner import prepare

        examples = settings.examples_for(opened, training.length or None, recipe.seed)
        if training.method == "recovery" and masks is None:
            masks = zeros_of(opened)
        moved = _permuted(settings, recipe, opened, tell)
        # Not before: units are moved, and outputs compared, on the CPU.
        opened.model.to(device)  # type: ignore[arg-type]
        pruner = prepare(opened, recipe, training, masks)
        teacher = None
        if settings.teacher is not None:
            tell(f"opening {settings.teacher}")
            teacher = open_model(settings.teacher, opened.task, device=device)
        with _log(settings, processes) as log:
            found = train(
                opened, pruner, examples, settings.checkpoint, settings.save_every, tell, teacher,
                processes, log,
            )  # fmt: skip
    density, seconds = densities_of(opened, found.masks), time.monotonic() - started
    account = {
        "schema_version": 1,
        "model": {"source": str(settings.model), "name": opened.name, "task": opened.task},
        "data": {"source": str(data), "sha256": _sha256(data)},
        "teacher": None
        if teacher is None
        else {"source": str(settings.teacher), "name": teacher.name},
        "mask": None if masks is None else {"source": str(settings.mask or settings.model)},
        "density": density,
        "seconds": seconds,
        "device": device.type,
        "processes": processes.count,
        "permutation": moved,
        **account_of(pruner, found),
    }
    return Result(opened, found, density, seconds, account, processes)


def show(settings: Settings, result: Result) -> None:
    """Write the mask file and the model, and print some of the steps."""
    from pruning.models.saving import save_model
    from pruning.quantization.ranges import write_ranges
    from sparse_formats.files.mask_file import write_masks
    from sparse_formats.files.output_folder import replace_files

    if not result.processes.is_first:
        return  # All have the same model.
    with progress() as tell:
        tell(f"writing {settings.out}")
        write_masks(settings.out, result.run.masks)
        if settings.save is not None:
            with replace_files(settings.save, "trained model") as beside:
                save_model(result.opened, beside)
                write_ranges(beside, result.run.ranges)
    if settings.json is not None:
        emit_json(result.account, settings.json)
    if not settings.is_json_printed:
        _print(settings, result)


@contextlib.contextmanager
def _told(processes: Processes) -> Iterator[Tell]:
    """Progress, of the first process only."""
    if processes.is_first:
        with progress() as tell:
            yield tell
    else:
        yield lambda step: None


def _log(settings: Settings, processes: Processes) -> contextlib.AbstractContextManager[Log]:
    """Where each step is written down, by the first process only."""
    if settings.log is None or not processes.is_first:
        return contextlib.nullcontext(no_log)
    return LOGS[settings.log](_log_path(settings))


def _log_path(settings: Settings) -> Path:
    return settings.log_to or settings.out.with_suffix(f".{settings.log}")


def _permuted(
    settings: Settings, recipe: Recipe, opened: "OpenModel", tell: Tell
) -> list[str] | None:
    """Move the units of the model where that is asked for; what was moved, in sentences."""
    if not settings.permute:
        return None
    if settings.training.method == "recovery":
        raise InputError("--permute does not go with method recovery, whose mask is there already")
    from pruning.permutation.permute import permute, said_of

    assert recipe.sparsity is not None
    return [
        *said_of(permute(opened, recipe.pattern, round(1 - recipe.sparsity, 9), tell, vars(recipe)))
    ]


def _sha256(path: Path) -> str:
    from sparse_formats.files.mask_file import sha256_of

    return sha256_of(path)


def _new_head(table: Path | None) -> dict[str, Any]:
    """Config settings of a new task head: of a table, one class for each of its labels."""
    if table is None:
        return {}
    from pruning.data.files import read_table

    labels = sorted(set(read_table(table).labels))
    return {
        "num_labels": len(labels),
        "id2label": dict(enumerate(labels)),
        "label2id": {label: number for number, label in enumerate(labels)},
    }


def _print(settings: Settings, result: Result) -> None:
    from sparse_formats.terminal.tables import Column, new_console, print_table

    found, density, method = result.run, result.density, settings.training.method
    steps, training = len(found.losses), settings.training
    at_once = training.batch * training.accumulate * result.processes.count
    shown = sorted({round(i * (steps - 1) / 7) for i in range(8)})
    columns = [Column("step", "right"), Column("loss", "right"), Column("density", "right")]
    rows = [(f"{i + 1}", f"{found.losses[i]:.3f}", f"{found.densities[i]:.3f}") for i in shown]
    taken = f"; resumed at step {found.resumed_at}" if found.resumed_at else ""
    rate = result.account["training"]["learning_rate"]
    of = "" if settings.training.learning_rate else " (by the size of the model)"
    footnotes = [
        f"{method}, {steps} steps of {at_once} examples in {result.seconds:.0f} s{taken}; learning "
        f"rate {rate:g}{of}",
        f"density: {density['linear']:.3f} of the pruned matrices, {density['model']:.3f} of the "
        "whole model",
        *(f"note: {said}" for said in result.account["permutation"] or ()),
        f"wrote {settings.out}",
    ]
    if settings.log is not None:
        footnotes.append(f"wrote {_log_path(settings)}")
    if settings.save is not None:
        footnotes.append(f"wrote {settings.save}")
    elif method != "lora_prune":
        footnotes.append(
            "note: the mask file holds only the pruned matrices; the rest of the model was trained "
            "too, and --save keeps it"
        )
    print_table(new_console(), columns, rows, footnotes=tuple(footnotes))
