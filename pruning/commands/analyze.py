"""The command `analyze`: what the masks of a file look like."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pruning.commands.options import Exclude, Include
from pruning.commands.progress import progress
from sparse_formats.errors import InputError
from sparse_formats.terminal.application import emit_json

if TYPE_CHECKING:
    from pruning.direction.analysis import Analysis
    from pruning.direction.strength import DirectionStrength
    from sparse_formats.masks.vectors import Orientation


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
    from pruning.direction.analysis import analyze, as_json, with_stacks
    from sparse_formats.files.atomic import check_writable
    from sparse_formats.files.mask_file import read_masks, sha256_of
    from sparse_formats.masks.selection import select

    inputs = [mask]
    if json not in (None, "-"):
        check_writable(Path(json), inputs)
    with progress() as tell:
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
                from pruning.direction.pictures import write_picture

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


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make folder {folder}: {error.strerror}") from error


def _print_analyses(analyses: "list[Analysis]") -> None:
    from sparse_formats.terminal.tables import Column, new_console, print_table

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
