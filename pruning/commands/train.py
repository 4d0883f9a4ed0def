"""The command `train`: prune a model while it learns, or recover a pruned one."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparse_formats.errors import InputError
from sparse_formats.terminal.application import emit_json

if TYPE_CHECKING:
    from pruning.training.loop import Run
    from pruning.training.settings import Training


def train_command(
    model: Annotated[
        Path, typer.Option(help="Hugging Face directory, .gguf, or glassllm's .npz of weights.")
    ],
    out: Annotated[Path, typer.Option(help="Mask file to write (.npz), with the trained weights.")],
    recipe: Annotated[
        Path | None, typer.Option(help="TOML file: pattern, sparsity, budget, …, and [training].")
    ] = None,
    text: Annotated[Path | None, typer.Option(help="Text file, for a language model.")] = None,
    table: Annotated[
        Path | None, typer.Option(help="Tab-separated file with labels, for a classifier.")
    ] = None,
    squad: Annotated[Path | None, typer.Option(help="SQuAD JSON, for a question answerer.")] = None,
    mask: Annotated[
        Path | None,
        typer.Option(
            help="With method recovery: the mask to recover; the model's own zeros if not given."
        ),
    ] = None,
    teacher: Annotated[
        Path | None,
        typer.Option(help="Model to distil from; without it the model as it was, not pruned."),
    ] = None,
    save: Annotated[
        Path | None, typer.Option(help="Folder for the pruned model, as Hugging Face saves it.")
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="Folder for checkpoints; a run that was killed goes on from there."),
    ] = None,
    save_every: Annotated[int, typer.Option(help="Steps between checkpoints.", min=1)] = 50,
    method: Annotated[
        str | None,
        typer.Option(
            help="movement, soft_movement, l0, gradual_magnitude, head_gates, lora_prune, recovery."
        ),
    ] = None,
    pattern: Annotated[str | None, typer.Option(help="As of prune.")] = None,
    sparsity: Annotated[float | None, typer.Option(help="Fraction of weights to remove.")] = None,
    budget: Annotated[str | None, typer.Option(help="row, matrix, kind or global.")] = None,
    steps: Annotated[int | None, typer.Option(help="Steps of the optimiser.")] = None,
    batch: Annotated[int | None, typer.Option(help="Examples of a step.")] = None,
    length: Annotated[int | None, typer.Option(help="Tokens of an example.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Of the weights (AdamW).")] = None,
    distill: Annotated[
        float | None, typer.Option(help="Share of the loss learned from the teacher, up to 1.")
    ] = None,
    quantize: Annotated[
        str | None, typer.Option(help="int8: learn with the rounding of 8-bit numbers.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of data order, gates and new heads.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Any other key of a recipe, e.g. every=10."
        ),
    ] = None,
    new_head: Annotated[
        bool, typer.Option(help="With --table or --squad: a task head the model lacks begins new.")
    ] = False,
    threads: Annotated[int, typer.Option(help="Threads of PyTorch.", min=1)] = 1,
    json: Annotated[
        str | None, typer.Option(help="File for the account of the run; - is standard output.")
    ] = None,
) -> None:
    """Prune a model while it learns, or let a pruned one recover."""
    from dataclasses import fields

    from pruning.commands.progress import progress
    from pruning.models.opening import open_model, quiet
    from pruning.recipe import Recipe, read_recipe, read_settings
    from pruning.training.settings import Training, read_training
    from sparse_formats.files.atomic import check_writable
    from sparse_formats.files.mask_file import read_masks, sha256_of, write_masks

    data = [path for path in (text, table, squad) if path is not None]
    if out.suffix.lower() != ".npz":
        raise InputError(f"--out {out}: a mask file is called something.npz")
    if len(data) != 1:
        raise InputError(f"give one of --text, --table, --squad; found {len(data)} of them")
    inputs = [path for path in (model, mask, teacher, recipe, *data) if path is not None]
    check_writable(out, inputs)
    if json not in (None, "-"):
        check_writable(Path(json), inputs)
    flags = {"pattern": pattern, "sparsity": sparsity, "budget": budget, "seed": seed}
    of_training = {
        "method": method,
        "steps": steps,
        "batch": batch,
        "length": length,
        "learning_rate": learning_rate,
        "distill": distill,
        "quantize": quantize,
    }
    keys = {field.name for field in fields(Training)}
    given = read_settings(settings or (), [*(f.name for f in fields(Recipe)), *keys])
    resolved = read_recipe(recipe, flags, given)
    training = read_training(
        recipe,
        {key: value for key, value in given.items() if key in keys}
        | {key: value for key, value in of_training.items() if value is not None},
    )
    if training.quantize != "none" and save is None:
        raise InputError("--quantize needs --save: ranges are learned too, and stay in that folder")
    if new_head and training.method == "lora_prune":
        raise InputError("lora_prune learns factors alone: a new head would stay as it begins")
    masks = None if mask is None else read_masks(mask)
    for folder in (save, checkpoint):
        if folder is not None:
            _make_folder(folder, inputs)
    started = time.monotonic()
    with progress() as tell:
        tell(f"opening {model}")
        task = None if text is not None else "classify" if table is not None else "answer"
        head = _new_head(table) if new_head and text is None else None
        import torch

        torch.set_num_threads(threads)
        torch.manual_seed(resolved.seed)
        opened = open_model(model, task, resolved.include, resolved.exclude, head)
        from pruning.data.examples import examples_of
        from pruning.models.masking import densities_of, zeros_of
        from pruning.quantization.ranges import write_ranges
        from pruning.training.loop import train
        from pruning.training.pruner import prepare
        from pruning.training.report import account_of

        examples = examples_of(opened, text, table, squad, training.length or None, resolved.seed)
        if training.method == "recovery" and masks is None:
            masks = zeros_of(opened)
        pruner = prepare(opened, resolved, training, masks)
        guide = None
        if teacher is not None:
            tell(f"opening {teacher}")
            guide = open_model(teacher, opened.task)
        run = train(opened, pruner, examples, checkpoint, save_every, tell, guide)
        tell(f"writing {out}")
        write_masks(out, run.masks)
        if save is not None:
            with quiet():
                opened.model.save_pretrained(save)
            if opened.tokenizer is not None:
                opened.tokenizer.save_pretrained(save)
            write_ranges(save, run.ranges)
    density = densities_of(opened, run.masks)
    seconds = time.monotonic() - started
    if json is not None:
        account = {
            "schema_version": 1,
            "model": {"source": str(model), "name": opened.name, "task": opened.task},
            "data": {"source": str(data[0]), "sha256": sha256_of(data[0])},
            "teacher": None if guide is None else {"source": str(teacher), "name": guide.name},
            "mask": None if masks is None else {"source": str(mask or model)},
            "density": density,
            "seconds": seconds,
        }
        emit_json({**account, **account_of(pruner, run)}, json)
    if json != "-":
        _print(run, training, out, save, seconds, density)


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


def _make_folder(folder: Path, inputs: list[Path]) -> None:
    """A folder to write in, neither an input nor one that holds a model."""
    if folder.resolve() in [path.resolve() for path in inputs]:
        raise InputError(f"{folder} is an input; give another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make folder {folder}: {error.strerror}") from error
    if (folder / "config.json").exists():
        raise InputError(f"{folder} holds a model already (config.json); give a new folder")


def _print(
    run: "Run",
    training: "Training",
    out: Path,
    save: Path | None,
    seconds: float,
    density: Mapping[str, float],
) -> None:
    from sparse_formats.terminal.tables import Column, new_console, print_table

    steps = len(run.losses)
    shown = sorted({round(i * (steps - 1) / 7) for i in range(8)})
    columns = [Column("step", "right"), Column("loss", "right"), Column("density", "right")]
    rows = [(f"{i + 1}", f"{run.losses[i]:.3f}", f"{run.densities[i]:.3f}") for i in shown]
    taken = f"; taken up at step {run.resumed_at}" if run.resumed_at else ""
    footnotes = [
        f"{training.method}, {steps} steps in {seconds:.0f} s{taken}",
        f"density: {density['linear']:.3f} of the pruned matrices, {density['model']:.3f} of the "
        "whole model",
        f"wrote {out}",
    ]
    if save is not None:
        footnotes.append(f"wrote {save}")
    elif training.method != "lora_prune":
        footnotes.append(
            "note: the mask file holds the pruned matrices alone; the rest of the model learned "
            "too, keep it with --save"
        )
    print_table(new_console(), columns, rows, footnotes=tuple(footnotes))
