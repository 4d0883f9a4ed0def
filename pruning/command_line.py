"""The commands `prune` and `analyze`; what is slow to import is imported inside them."""

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparse_formats.errors import InputError
from sparse_formats.terminal import emit_json, new_app

if TYPE_CHECKING:
    from rich.console import Console

    from pruning.analysis import Analysis
    from pruning.direction import DirectionStrength
    from pruning.prune import Pruning
    from sparse_formats.vectors import Orientation

app = new_app(
    "Prune transformers into vectors an accelerator can use, and see what masks look like."
)

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
        typer.Option(help="With --from-mask: .npz of importances named and shaped as the masks."),
    ] = None,
    method: Annotated[str, typer.Option(help="mvp: mixed-length vectors; fine: any weight.")] = (
        "mvp"
    ),
    sparsity: Annotated[float, typer.Option(help="Fraction of weights to remove, 0 to 1.")] = 0.8,
    algorithm: Annotated[
        str,
        typer.Option(help="C: mixed lengths; B: one length a matrix; A: longest losing ≤ epsilon."),
    ] = "C",
    budget: Annotated[
        str, typer.Option(help="matrix: each to the sparsity; global: all together.")
    ] = "matrix",
    menu: Annotated[
        str, typer.Option(help="Vector lengths, each dividing the next.")
    ] = "1,4,8,16,32,64",
    vector_cost: Annotated[
        float, typer.Option(help="Price of a vector in kept weights; more gives longer vectors.")
    ] = 1.5,
    epsilon: Annotated[float, typer.Option(help="Loss of importance algorithm A accepts.")] = 0.15,
    score: Annotated[str, typer.Option(help="Importance of a weight: magnitude or random.")] = (
        "magnitude"
    ),
    seed: Annotated[int, typer.Option(help="Seed of random scores.")] = 0,
    include: Include = None,
    exclude: Exclude = None,
) -> None:
    """Prune a model, or cut a mask into vectors, and write the mask file."""
    from pruning.prune import check_recipe, check_score, prune, score_mask, score_model
    from pruning.recipe import Recipe
    from sparse_formats.mask_file import write_masks

    source = _one_source(model, from_mask, scores)
    _check_output(out, [p for p in (model, from_mask, scores) if p is not None])
    check_score(score)
    lengths = _lengths(menu)
    recipe = check_recipe(
        Recipe(method, sparsity, score, seed, budget, algorithm, lengths, vector_cost, epsilon)
    )
    origin = source.resolve().name
    with _progress() as tell:
        tell(f"reading {source}")
        if from_mask is None:
            matrices = score_model(source, score, seed, include or (), exclude or ())
        else:
            matrices, masks, used = score_mask(
                source, scores, score, seed, include or (), exclude or ()
            )
            origin = str(masks.header.get("model", origin))
            recipe = check_recipe(
                Recipe(
                    method, sparsity, used, seed, budget, algorithm, lengths, vector_cost, epsilon
                )
            )
        pruning = prune(matrices, recipe, origin, tell)
        tell(f"writing {out}")
        write_masks(out, pruning.masks)
    _print_pruning(pruning, out)


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
    from sparse_formats.mask_file import read_masks, sha256_of
    from sparse_formats.selection import select

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

                write_picture(plot / picture_name(len(analyses), matrix.name), analyses[-1])
    if json is not None:
        emit_json(
            {
                "schema_version": 1,
                "mask": {"file": mask.resolve().name, "sha256": sha256_of(mask)},
                "matrices": [as_json(a) for a in analyses],
            },
            json,
        )
    if json != "-":
        _print_analyses(analyses)
        if plot is not None:
            _console().print(f"{len(analyses)} pictures in {plot}", highlight=False)


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


def _check_output(out: Path, inputs: list[Path]) -> None:
    if out.suffix.lower() != ".npz":
        raise InputError(f"--out {out}: a mask file is called something.npz")
    for path in inputs:
        if path.exists() and out.exists() and out.samefile(path):
            raise InputError(f"--out {out} is an input file; give it a name of its own")
    if not out.parent.is_dir():
        raise InputError(f"cannot write {out}: folder {out.parent} does not exist; create it first")


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


def _console() -> "Console":
    from rich.console import Console

    console = Console()
    # A file or a pipe has no width; do not squeeze the table into a guess.
    return console if console.is_terminal else Console(width=200)


def _print_pruning(pruning: "Pruning", out: Path) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("matrix", overflow="fold")
    table.add_column("kind")
    for heading in ("shape", "density"):
        table.add_column(heading, justify="right")
    table.add_column("orientation")
    for heading in ("vectors", "mean length", "retention", "D"):
        table.add_column(heading, justify="right")
    table.add_column("direction")
    for r in pruning.reports:
        table.add_row(
            escape(r.name.removesuffix(".weight")),
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
    total = pruning.total
    table.add_section()
    table.add_row(
        f"{total.matrices} matrices",
        "",
        f"{total.weights}",
        f"{total.density:.3f}",
        "",
        "–" if total.vectors is None else f"{total.vectors}",
        _number(total.mean_length, ".2f"),
        _number(total.retention, ".3f"),
        style="bold",
    )
    console = _console()
    console.print(table)
    console.print(
        "retention: importance kept ÷ kept by the best free choice of as many weights; "
        "D > 0 horizontal, < 0 vertical",
        style="dim",
        highlight=False,
    )
    console.print(f"wrote {escape(str(out))}", highlight=False)


def _print_analyses(analyses: "list[Analysis]") -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("matrix", overflow="fold")
    table.add_column("kind")
    headings = ("p", "D", "var. diff.", "z", "T", "κ_h 4/16/64", "κ_v 4/16/64", "ℓ_h/ℓ_v")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("direction", no_wrap=True)
    table.add_column("retention 4/16/64", justify="right", no_wrap=True)
    for analysis in analyses:
        d = analysis.direction
        kept = {
            r.length: r.predicted_horizontal if d.better == "horizontal" else r.predicted_vertical
            for r in analysis.retention
        }
        table.add_row(
            escape(analysis.matrix.name.removesuffix(".weight")),
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
    console = _console()
    console.print(table)
    console.print(
        "D > 0 horizontal stripes, < 0 vertical; var. diff.: row minus column density variance; "
        "retention: predicted from κ, in the better orientation (h or v)",
        style="dim",
        highlight=False,
    )


def _kappas(direction: "DirectionStrength", orientation: "Orientation") -> str:
    kappas = (direction.coherence(orientation, n).kappa for n in (4, 16, 64))
    return "/".join(_number(kappa, ".2f") for kappa in kappas)


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)
