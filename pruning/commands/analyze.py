"""The command `analyze`: what the masks of a file look like."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sparse_formats.terminal.application import emit_json
from sparse_formats.terminal.options import JsonOption, MemoryOption, NameOptions
from sparse_formats.terminal.progress import progress
from sparse_formats.terminal.settings import option

if TYPE_CHECKING:
    from pruning.direction.analysis import Analysis
    from pruning.direction.strength import DirectionStrength
    from sparse_formats.masks.vectors import Orientation

PICTURES = "set of pictures"


@dataclass(frozen=True, kw_only=True)
class Settings(NameOptions, JsonOption, MemoryOption):
    """Measure the direction strength of each matrix of a mask file; Q, K, V apart and stacked."""

    mask: Path = option("Mask file or pruned model to look at.")
    plot: Path | None = option(
        "Folder for one picture of each matrix. It is made if it does not exist.",
        default=None,
        writes="folder",
        listed_as=PICTURES,
        is_replayed=False,
    )


def run(settings: Settings) -> "tuple[Analysis, ...]":
    """Analyse every matrix, and Q, K and V of a layer stacked."""
    from pruning.direction.analysis import analyze, with_stacks
    from sparse_formats.files.mask_file import read_masks
    from sparse_formats.files.output_folder import check_owned
    from sparse_formats.masks.selection import select

    measure = settings.plot is not None or settings.json is not None
    with progress() as tell:
        tell(f"reading {settings.mask}")
        by_name = {m.name: m for m in read_masks(settings.mask).matrices}
        chosen = [by_name[name] for name in select(by_name, settings.include, settings.exclude)]
        matrices = list(with_stacks(chosen))
        if settings.plot is not None:
            check_owned(settings.plot, PICTURES, _names(matrix.name for matrix in matrices))
        found: list[Analysis] = []
        for matrix in matrices:
            tell(matrix.name)
            found.append(analyze(matrix, measure=measure))
    return tuple(found)


def show(settings: Settings, result: "Sequence[Analysis]") -> None:
    """Draw the pictures, and print a line for each matrix."""
    if settings.plot is not None:
        _draw(settings.plot, result)
    if settings.json is not None:
        from pruning.direction.analysis import as_json
        from sparse_formats.files.mask_file import sha256_of

        emit_json(
            {
                "schema_version": 1,
                "mask": {"source": str(settings.mask), "sha256": sha256_of(settings.mask)},
                "matrices": [as_json(analysis) for analysis in result],
            },
            settings.json,
        )
    if not settings.is_json_printed:
        _print(result)
        if settings.plot is not None:
            from sparse_formats.terminal.tables import say

            say(f"{len(result)} pictures in {settings.plot}")


def _draw(folder: Path, analyses: "Sequence[Analysis]") -> None:
    from pruning.direction.pictures import write_picture
    from sparse_formats.files.output_folder import replace_files

    names = _names(analysis.matrix.name for analysis in analyses)
    with progress() as tell, replace_files(folder, PICTURES) as beside:
        for name, analysis in zip(names, analyses, strict=True):
            tell(f"drawing {analysis.matrix.name}")
            write_picture(beside / name, analysis)


def _names(matrices: Iterable[str]) -> list[str]:
    return [picture_name(i, name) for i, name in enumerate(matrices, 1)]


def picture_name(number: int, name: str) -> str:
    """A file name for matrix `number`, safe whatever the matrix is called."""
    return f"{number:03d}-{re.sub(r'[^A-Za-z0-9.+-]+', '_', name)[:80].strip('._')}.png"


def _print(analyses: "Sequence[Analysis]") -> None:
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
        "D > 0 means horizontal stripes, D < 0 vertical ones. Var. diff. is the variance of the "
        "row densities minus that of the column densities.",
        "Retention is predicted from κ, in the better orientation (h or v).",
    )
    print_table(new_console(), columns, rows, footnotes=footnotes)


def _kappas(direction: "DirectionStrength", orientation: "Orientation") -> str:
    kappas = (direction.coherence(orientation, n).kappa for n in (4, 16, 64))
    return "/".join(_number(kappa, ".2f") for kappa in kappas)


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)
