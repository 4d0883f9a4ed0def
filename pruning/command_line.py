"""The commands `prune` and `analyze`; what is slow to import is imported inside them."""

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pruning.calibrate_command import calibrate_command
from pruning.eval_command import eval_command
from pruning.heads_command import heads_command
from pruning.kprune_command import kprune_command
from pruning.quantize_command import quantize_command
from pruning.shrink_command import shrink_command
from pruning.train_command import train_command
from sparse_formats.errors import InputError
from sparse_formats.terminal import emit_json, new_app

if TYPE_CHECKING:
    from pruning.analysis import Analysis
    from pruning.direction import DirectionStrength
    from pruning.prune import Pruning
    from sparse_formats.vectors import Orientation

app = new_app(
    "Prune transformers into vectors an accelerator can use, and see what masks look like."
)
app.command("calibrate")(calibrate_command)
app.command("eval")(eval_command)
app.command("heads")(heads_command)
app.command("kprune")(kprune_command)
app.command("quantize")(quantize_command)
app.command("train")(train_command)
app.command("shrink")(shrink_command)

Include = Annotated[
    list[str] | None, typer.Option(help="Regular expression: only matrices whose name it matches.")
]
Exclude = Annotated[
    list[str] | None, typer.Option(help="Regular expression: not the matrices it matches.")
]


@app.command("prune")
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

    from pruning.couplings import heads_with, read_heads
    from pruning.prune import prune
    from pruning.recipe import check_source, read_recipe
    from pruning.scoring import score_mask, score_model
    from sparse_formats.files import check_writable
    from sparse_formats.mask_file import write_masks

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
        "menu": None if menu is None else _lengths(menu), "vector_cost": vector_cost,
        "epsilon": epsilon, "heads": heads, "key_value_heads": key_value_heads,
        "tokens": tokens, "seed": seed,
        "include": tuple(include) if include else None,
        "exclude": tuple(exclude) if exclude else None,
    }  # fmt: skip
    used = check_source(read_recipe(recipe, flags))
    origin = model_name(source)
    given = (used.score, used.seed, used.include, used.exclude, statistics)
    with _progress() as tell:
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


@app.command("check")
def check_command(
    mask: Annotated[Path, typer.Option(help="Mask file or pruned model to look at.")],
    pattern: Annotated[str, typer.Option(help="Pattern as in prune, e.g. 2:4 or block:32.")],
    menu: Annotated[
        str, typer.Option(help="Vector lengths of mvp and mvp_tiled.")
    ] = "1,4,8,16,32,64",
    heads: Annotated[int, typer.Option(help="Attention heads, where no config.json says it.")] = 0,
    key_value_heads: Annotated[
        int, typer.Option(help="Key-value heads they share; default: as many.")
    ] = 0,
    json: Annotated[
        str | None, typer.Option(help="File for the findings as JSON; - is standard output.")
    ] = None,
    include: Include = None,
    exclude: Exclude = None,
) -> None:
    """Say where a mask breaks a pattern; exit status 1 if it does."""
    from dataclasses import asdict

    from pruning.couplings import heads_with
    from pruning.recipe import Recipe, checked, pattern_of
    from sparse_formats.files import check_writable
    from sparse_formats.mask_file import read_masks
    from sparse_formats.selection import select

    if json not in (None, "-"):
        check_writable(Path(json), [mask])
    recipe = checked(
        Recipe(pattern, menu=_lengths(menu), heads=heads, key_value_heads=key_value_heads)
    )
    masks = read_masks(mask)
    by_name = {m.name: m for m in masks.matrices}
    taken = [by_name[name] for name in select(by_name, include or (), exclude or ())]
    wanted = pattern_of(recipe, {m.name: m.shape for m in taken}, heads_with(mask, masks.header))
    groups = [taken] if wanted.is_joint else [[m] for m in taken]
    breaks = [found for group in groups if (found := wanted.conforms(group)) is not None]
    if json is not None:
        emit_json(
            {
                "schema_version": 1,
                "pattern": pattern,
                "matrices": len(taken),
                "conforms": not breaks,
                "breaks": [asdict(found) for found in breaks],
            },
            json,
        )
    if json != "-":
        for found in breaks:
            print(f"not {pattern}: {found}")
        if not breaks:
            print(f"{len(taken)} matrices are {pattern}")
    if breaks:
        raise typer.Exit(1)


@app.command("analyze")
def analyze_command(
    mask: Annotated[Path, typer.Option(help="Mask file or pruned model to look at.")],
    plot: Annotated[
        Path | None, typer.Option(help="Folder for one picture a matrix (made if missing).")
    ] = None,
    json: Annotated[
        str | None, typer.Option(help="File for the figures as JSON; - is standard output.")
    ] = None,
    include: Include = None,
    exclude: Exclude = None,
) -> None:
    """Direction strength of each matrix of a mask file; Q, K, V apart and stacked."""
    from pruning.analysis import analyze, as_json, with_stacks
    from sparse_formats.files import check_writable
    from sparse_formats.mask_file import read_masks, sha256_of
    from sparse_formats.selection import select

    inputs = [mask]
    if json not in (None, "-"):
        check_writable(Path(json), inputs)
    with _progress() as tell:
        tell(f"reading {mask}")
        masks = read_masks(mask)
        by_name = {m.name: m for m in masks.matrices}
        chosen = [by_name[name] for name in select(by_name, include or (), exclude or ())]
        if plot is not None:
            _make_folder(plot)
        analyses: list[Analysis] = []
        for matrix in with_stacks(chosen):
            tell(f"{matrix.name}")
            analyses.append(analyze(matrix, measure=plot is not None or json is not None))
            if plot is not None:
                from pruning.pictures import write_picture

                picture = plot / picture_name(len(analyses), matrix.name)
                check_writable(picture, inputs)
                write_picture(picture, analyses[-1])
    if json is not None:
        emit_json(
            {
                "schema_version": 1,
                "mask": {"source": str(mask), "sha256": sha256_of(mask)},
                "matrices": [as_json(a) for a in analyses],
            },
            json,
        )
    if json != "-":
        _print_analyses(analyses)
        if plot is not None:
            print(f"{len(analyses)} pictures in {plot}")


def picture_name(number: int, name: str) -> str:
    """A file name for matrix `number`, safe whatever the matrix is called."""
    return f"{number:03d}-{re.sub(r'[^A-Za-z0-9.+-]+', '_', name)[:80].strip('._')}.png"


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


def _lengths(menu: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in menu.split(","))
    except ValueError:
        raise InputError(
            f"--menu {menu!r}: give whole numbers with commas between, e.g. 1,4,8,16"
        ) from None


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make folder {folder}: {error.strerror}") from error


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Show the step at work on standard error, if that is a terminal."""
    from rich.console import Console
    from rich.markup import escape

    with Console(stderr=True).status("") as status:
        yield lambda step: status.update(escape(step))


def _print_pruning(pruning: "Pruning", out: Path) -> None:
    from sparse_formats.tables import Column, new_console, print_table

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


def _print_analyses(analyses: "list[Analysis]") -> None:
    from sparse_formats.tables import Column, new_console, print_table

    columns = [
        Column("matrix"),
        Column("kind", rank=3),
        Column("p", "right"),
        Column("D", "right"),
        Column("var. diff.", "right", rank=7),
        Column("z", "right", rank=6),
        Column("T", "right", rank=5),
        Column("κ_h 4/16/64", "right", rank=4),
        Column("κ_v 4/16/64", "right", rank=4),
        Column("ℓ_h/ℓ_v", "right", rank=2),
        Column("direction"),
        Column("retention 4/16/64", "right", rank=1),
    ]
    rows = []
    for analysis in analyses:
        d = analysis.direction
        kept = {
            r.length: r.predicted_horizontal if d.better == "horizontal" else r.predicted_vertical
            for r in analysis.retention
        }
        rows.append(
            (
                analysis.matrix.name.removesuffix(".weight"),
                analysis.matrix.kind,
                f"{d.density:.3f}",
                f"{d.strength:+.3f}",
                f"{d.variance_difference:+.5f}",
                _number(d.z, "+.0f"),
                _number(d.structure, ".3f"),
                _kappas(d, "horizontal"),
                _kappas(d, "vertical"),
                f"{d.correlation_length('horizontal')}/{d.correlation_length('vertical')}",
                d.verdict,
                f"{d.better[0]} " + "/".join(_number(kept[n], ".2f") for n in (4, 16, 64)),
            )
        )
    footnotes = (
        "D > 0 horizontal stripes, < 0 vertical; var. diff.: row minus column density variance; "
        "retention: predicted from κ, in the better orientation (h or v)",
    )
    print_table(new_console(), columns, rows, footnotes=footnotes)


def _kappas(direction: "DirectionStrength", orientation: "Orientation") -> str:
    kappas = (direction.coherence(orientation, n).kappa for n in (4, 16, 64))
    return "/".join(_number(kappa, ".2f") for kappa in kappas)


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)
