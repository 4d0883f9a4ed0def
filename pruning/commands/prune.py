"""The command `prune`: a model, or a mask that is there, into a mask file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pruning.commands.options import Exclude, Include, lengths
from pruning.commands.progress import progress
from sparse_formats.errors import InputError
from sparse_formats.terminal.application import emit_json

if TYPE_CHECKING:
    from pruning.pipeline import Pruning


def prune_command(
    out: Annotated[Path, typer.Option(help="Mask file to write (.npz).")],
    model: Annotated[
        Path | None,
        typer.Option(help="Hugging Face directory, .safetensors or .npz of weights to prune."),
    ] = None,
    from_mask: Annotated[
        Path | None, typer.Option(help="Mask file to prune further or to cut into vectors.")
    ] = None,
    scores: Annotated[
        Path | None,
        typer.Option(help="With --from-mask: file of importances named and shaped as the masks."),
    ] = None,
    statistics: Annotated[
        Path | None, typer.Option(help="What calibrate found out: gradients, sizes of inputs.")
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(help="TOML file of the knobs below; flags go before it.")
    ] = None,
    pattern: Annotated[
        str | None,
        typer.Option(
            "--pattern",
            "--method",
            help="mvp (default): mixed-length vectors; mvp_tiled; vector:16; fine: any weight; "
            "2:4; vector_wise:4:16; block:32; row; column; channel; head; coupled; hybrid:32.",
        ),
    ] = None,
    sparsity: Annotated[
        float | None,
        typer.Option(help="Fraction to remove, 0 to 1; default: the pattern's own, else 0.8."),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(help="Brought to the sparsity: each row, matrix (default), kind, or global."),
    ] = None,
    count: Annotated[
        str | None, typer.Option(help="What sparsity counts: weights (default), flops or bits.")
    ] = None,
    score: Annotated[
        str | None,
        typer.Option(
            help="Importance of a weight: magnitude (default), random, first_order, fisher, "
            "wanda, sparsegpt, obs."
        ),
    ] = None,
    update: Annotated[
        str | None,
        typer.Option(help="Of the survivors: none (default), least_squares, sparsegpt, obs."),
    ] = None,
    algorithm: Annotated[
        str | None,
        typer.Option(
            help="Of mvp: C (default): mixed lengths; B: one length a matrix; A: longest losing "
            "≤ epsilon."
        ),
    ] = None,
    menu: Annotated[
        str | None, typer.Option(help="Vector lengths, each dividing the next: 1,4,8,16,32,64.")
    ] = None,
    vector_cost: Annotated[
        float | None,
        typer.Option(help="Price of a vector in kept weights (1.5); more gives longer vectors."),
    ] = None,
    epsilon: Annotated[
        float | None, typer.Option(help="Loss of importance algorithm A accepts (0.15).")
    ] = None,
    heads: Annotated[
        int | None, typer.Option(help="Attention heads, where no config.json says it.")
    ] = None,
    key_value_heads: Annotated[
        int | None, typer.Option(help="Key-value heads they share; default: as many.")
    ] = None,
    tokens: Annotated[
        int | None, typer.Option(help="Sequence length that FLOPs are counted at (128).")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of random scores.")] = None,
    json: Annotated[
        str | None, typer.Option(help="File for the account as JSON; - is standard output.")
    ] = None,
    include: Include = None,
    exclude: Exclude = None,
) -> None:
    """Prune a model, or cut a mask into vectors, and write the mask file."""
    from dataclasses import replace

    from pruning.models.model_files import heads_with, read_heads
    from pruning.pipeline import prune
    from pruning.recipe import check_source, read_recipe
    from pruning.scoring import score_mask, score_model
    from sparse_formats.files.atomic import check_writable
    from sparse_formats.files.mask_file import write_masks

    source = _one_source(model, from_mask, scores)
    if out.suffix.lower() != ".npz":
        raise InputError(f"--out {out}: a mask file is called something.npz")
    inputs = [source, *(p for p in (scores, statistics, recipe) if p is not None)]
    check_writable(out, inputs)
    if json not in (None, "-"):
        check_writable(Path(json), inputs)
        if Path(json).resolve() == out.resolve():
            raise InputError(f"--json {json}: the mask file goes there; give another name")
    flags = {
        "pattern": pattern, "sparsity": sparsity, "budget": budget, "count": count,
        "score": score, "update": update, "algorithm": algorithm,
        "menu": None if menu is None else lengths(menu), "vector_cost": vector_cost,
        "epsilon": epsilon, "heads": heads, "key_value_heads": key_value_heads,
        "tokens": tokens, "seed": seed,
        "include": tuple(include) if include else None,
        "exclude": tuple(exclude) if exclude else None,
    }  # fmt: skip
    used = check_source(read_recipe(recipe, flags))
    origin = model_name(source)
    given = (used.score, used.seed, used.include, used.exclude, statistics)
    with progress() as tell:
        tell(f"reading {source}")
        if from_mask is None:
            matrices, cut = score_model(source, *given), read_heads(source)
        else:
            matrices, masks, found = score_mask(source, scores, *given)
            cut = heads_with(source, masks.header)
            origin = str(masks.header.get("model", origin))
            used = replace(used, score=found)
        pruning = prune(matrices, used, origin, tell, statistics, cut)
        tell(f"writing {out}")
        write_masks(out, pruning.masks)
    if json is not None:
        emit_json({"schema_version": 1, **pruning.masks.header, "notes": pruning.notes}, json)
    if json != "-":
        _print_pruning(pruning, out)


def _one_source(model: Path | None, from_mask: Path | None, scores: Path | None) -> Path:
    if (model is None) == (from_mask is None):
        given = "neither" if model is None else "both"
        raise InputError(f"give either --model or --from-mask, found {given}")
    if scores is not None and from_mask is None:
        raise InputError("--scores goes with --from-mask; a --model is scored by --score")
    found = model if from_mask is None else from_mask
    assert found is not None
    return found


def model_name(path: Path) -> str:
    """What a mask file calls the model it came from: a file's name, a folder's with its parent's.

    Many model folders are called "model" or by a revision; the whole path is the user's own.
    """
    whole = path.resolve()
    return "/".join(whole.parts[1:][-2:]) if whole.is_dir() else whole.name


def _print_pruning(pruning: "Pruning", out: Path) -> None:
    from sparse_formats.terminal.tables import Column, new_console, print_table

    columns = [
        Column("matrix"),
        Column("kind", rank=2),
        Column("shape", "right", rank=3),
        Column("density", "right"),
        Column("orientation", rank=1),
        Column("vectors", "right", rank=2),
        Column("mean\nlength", "right", rank=1),
        Column("reten-\ntion", "right"),
        Column("D fine", "right"),
        Column("direction\nfine", rank=4),
    ]
    rows = [
        (
            r.name.removesuffix(".weight"),
            r.kind,
            f"{r.rows}×{r.cols}",
            f"{r.density:.3f}",
            r.orientation or "–",
            "–" if r.vectors is None else f"{r.vectors}",
            _number(r.mean_length, ".2f"),
            _number(r.retention, ".3f"),
            _number(r.strength, "+.3f"),
            r.verdict,
        )
        for r in pruning.reports
    ]
    t = pruning.total
    total = (
        f"{t.matrices} matrices",
        "",
        f"{t.weights}",
        f"{t.density:.3f}",
        "",
        "–" if t.vectors is None else f"{t.vectors}",
        _number(t.mean_length, ".2f"),
        _number(t.retention, ".3f"),
        "",
        "",
    )
    footnotes = (
        "retention: importance kept ÷ kept by the best free choice of as many weights",
        f"D fine: of {pruning.measured_on}; > 0 horizontal, < 0 vertical; "
        "analyze measures the mask that was written",
        *(f"note: {note}" for note in pruning.notes),
        f"wrote {out}",
    )
    print_table(new_console(), columns, rows, total=total, footnotes=footnotes)


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)
