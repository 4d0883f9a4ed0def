"""Command line: ``python -m sparse_formats inspect --mask out.npz``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparse_formats.terminal import emit_json, new_app, run

if TYPE_CHECKING:
    from rich.table import Table

    from sparse_formats.inspection import Inspection

app = new_app("What a pruned model's matrices cost in each sparse format.")


@app.callback()
def _commands() -> None:
    """What a pruned model's matrices cost in each sparse format."""


@app.command()
def inspect(
    mask: Annotated[
        Path,
        typer.Option(help="mask file (.npz, .safetensors, .smtx, .mtx) or model directory"),
    ],
    value_bits: Annotated[int, typer.Option(min=1, max=64, help="bits of a kept weight")] = 16,
    include: Annotated[
        list[str] | None, typer.Option(help="regular expression of names to take; repeatable")
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(help="regular expression of names to leave; repeatable")
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="draw bits per element over density to this .png file, or folder"),
    ] = None,
    json: Annotated[
        str | None, typer.Option(help="write JSON to this file, or - for standard output")
    ] = None,
) -> None:
    """Show bits per element in every format, layer by layer."""
    # Here, so that --help need not wait for numba and scipy.
    from sparse_formats.files import check_writable
    from sparse_formats.inspection import as_json, claim, total
    from sparse_formats.inspection import inspect as inspected
    from sparse_formats.mask_file import read_masks, sha256_of
    from sparse_formats.selection import select

    if json not in (None, "-"):
        check_writable(Path(json))
    if plot is not None:
        plot = plot / "formats.png" if plot.is_dir() or not plot.suffix else plot
        if plot.parent.parent.is_dir():
            plot.parent.mkdir(exist_ok=True)
        check_writable(plot)
    masks = read_masks(mask)
    chosen = set(select([m.name for m in masks.matrices], include or (), exclude or ()))
    layers = [inspected(m, value_bits) for m in masks.matrices if m.name in chosen]
    claimed = claim(total(layers), layers, value_bits)
    if json != "-":
        from rich.console import Console

        # A file or a pipe has no width to fit into: there, no line is broken. A terminal that is
        # too narrow wraps what it cannot show, and shows it.
        width = max(Console().width if sys.stdout.isatty() else 0, 200)
        console = Console(width=width, soft_wrap=True)
        console.print(_table(layers, total(layers), value_bits))
        console.print(claimed, highlight=False)
    if plot is not None:
        from sparse_formats.pictures import draw

        draw(plot, layers, value_bits)
    if json is not None:
        report = {
            "schema_version": 1,
            "mask": {"path": str(mask), "sha256": sha256_of(mask), "origin": dict(masks.header)},
            "value_bits": value_bits,
            "layers": [as_json(layer) for layer in layers],
            "total": as_json(total(layers)),
            "claim": claimed,
        }
        emit_json(report, json)


def _table(layers: list[Inspection], total: Inspection, value_bits: int) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from sparse_formats.formats import FORMATS
    from sparse_formats.inspection import megabytes

    table = Table(
        title=f"bits per element, {value_bits}-bit values; * smallest; ratio: dense FP16 to it",
        box=box.SIMPLE,
        padding=0,
        show_footer=True,
        show_edge=False,
        caption="; ".join(
            f"{name} {megabytes(storage.bits):.3f} MB" for name, storage in total.storage.items()
        ),
    )

    def column(head: str, foot: str, width: int | None = None) -> None:
        # On a narrow terminal names fold, numbers never.
        numbers = width is None
        justify = "right" if numbers else "left"
        table.add_column(
            head, foot, justify=justify, overflow="fold", no_wrap=numbers, min_width=width
        )

    def bits_per_element(part: Inspection, name: str) -> str:
        if name not in part.storage:
            return "– "
        star = "*" if name == part.smallest else " "
        return f"{_or_dash(part.bits_per_element(name))}{star}"

    column("matrix", f"total of {len(layers)}", width=12)
    column("kind", "", width=9)
    column("shape", "")
    column("kept", _or_dash(total.density, 3))
    column("vectors", f"{total.vectors} ")
    column("mean", _or_dash(total.mean_vector_length))
    shown = [name for name in FORMATS if any(name in layer.storage for layer in layers)]
    for name in shown:
        column(name.replace("_", "\n"), bits_per_element(total, name))
    column("ratio", _or_dash(total.ratio_to_dense_fp16))
    for layer in layers:
        table.add_row(
            Text(layer.name),
            layer.kind,
            f"{layer.rows}×{layer.cols}",
            _or_dash(layer.density, 3),
            f"{layer.vectors}{'─' if layer.orientation == 'horizontal' else '│'}",
            _or_dash(layer.mean_vector_length),
            *(bits_per_element(layer, name) for name in shown),
            _or_dash(layer.ratio_to_dense_fp16),
        )
    return table


def _or_dash(number: float | None, digits: int = 2) -> str:
    return "–" if number is None else f"{number:.{digits}f}"


def main() -> None:
    """Run the command line; bad input ends in one line and exit status 2."""
    run(app, "sparse_formats")


if __name__ == "__main__":
    main()
