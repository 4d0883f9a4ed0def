"""Command line: ``python -m sparse_formats inspect --mask out.npz``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparse_formats.terminal.application import emit_json, new_app, run

if TYPE_CHECKING:
    from sparse_formats.inspect.format_costs import Inspection

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
    value_bits: Annotated[
        int | None,
        typer.Option(min=1, max=64, help="bits of a kept weight: 16, or 8 where all are int8"),
    ] = None,
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
    from sparse_formats.files.atomic import check_writable
    from sparse_formats.files.mask_file import read_masks, sha256_of
    from sparse_formats.inspect.format_costs import as_json, bits_of, claim, total
    from sparse_formats.inspect.format_costs import inspect as inspected
    from sparse_formats.masks.selection import select

    if json not in (None, "-"):
        check_writable(Path(json), [mask])
    if plot is not None:
        plot = plot / "formats.png" if plot.is_dir() or not plot.suffix else plot
        if plot.parent.parent.is_dir():
            plot.parent.mkdir(exist_ok=True)
        check_writable(plot, [mask])
    masks = read_masks(mask)
    names = set(select([m.name for m in masks.matrices], include or (), exclude or ()))
    chosen = [matrix for matrix in masks.matrices if matrix.name in names]
    value_bits = bits_of(chosen) if value_bits is None else value_bits
    layers = [inspected(matrix, value_bits) for matrix in chosen]
    claimed = claim(total(layers), layers, value_bits)
    if json != "-":
        _print(layers, total(layers), value_bits, claimed)
    if plot is not None:
        from sparse_formats.inspect.picture import draw

        draw(plot, layers, value_bits)
    if json is not None:
        report = {
            "schema_version": 1,
            "mask": {"source": str(mask), "sha256": sha256_of(mask), "origin": dict(masks.header)},
            "value_bits": value_bits,
            "layers": [as_json(layer) for layer in layers],
            "total": as_json(total(layers)),
            "claim": claimed,
        }
        emit_json(report, json)


def _print(layers: list[Inspection], total: Inspection, value_bits: int, claimed: str) -> None:
    from sparse_formats.formats.registry import FORMATS
    from sparse_formats.inspect.format_costs import megabytes
    from sparse_formats.terminal.tables import Column, new_console, print_table

    def bits_per_element(part: Inspection, name: str) -> str:
        if name not in part.storage:
            return "– "
        return _or_dash(part.bits_per_element(name)) + ("*" if name == part.smallest else " ")

    def row(part: Inspection, name: str, shape: str) -> list[str]:
        turn = {"horizontal": "─", "vertical": "│"}.get(part.orientation or "", " ")
        return [
            name,
            part.kind,
            shape,
            _or_dash(part.density, 3),
            f"{part.vectors}{turn}",
            _or_dash(part.mean_vector_length),
            *(bits_per_element(part, format) for format in shown),
            part.smallest,
            _or_dash(part.ratio_to_dense_fp16),
        ]

    shown = [name for name in FORMATS if any(name in layer.storage for layer in layers)]
    columns = [
        Column("matrix"),
        Column("kind", rank=3),
        Column("shape", "right", rank=2),
        Column("kept", "right"),
        Column("vectors", "right", rank=4),
        Column("mean", "right", rank=4),
        # On a narrow terminal those at home in every toolbox and ours stay longest.
        *(
            Column(name.replace("_", "\n"), "right", 1 if name in _STAY_LONGEST else 2)
            for name in shown
        ),
        Column("smallest"),
        Column("ratio", "right"),
    ]
    sizes = (f"{name} {megabytes(size.bits):.3f} MB" for name, size in total.storage.items())
    none = [name for name in FORMATS if name not in shown]
    print_table(
        new_console(),
        columns,
        [row(layer, layer.name, f"{layer.rows}×{layer.cols}") for layer in layers],
        title=f"bits per element, {value_bits}-bit values; * smallest; – cannot hold the mask; "
        "ratio: dense FP16 to the smallest",
        total=row(total, f"total of {len(layers)}", ""),
        footnotes=[
            "; ".join(sizes),
            *([f"no matrix fits {', '.join(none)}: --json says why"] if none else []),
            claimed,
        ],
    )


_STAY_LONGEST = ("dense", "csr", "bitmap", "mixed_vectors")


def _or_dash(number: float | None, digits: int = 2) -> str:
    return "–" if number is None else f"{number:.{digits}f}"


def main() -> None:
    """Run the command line; bad input ends in one line and exit status 2."""
    run(app, "sparse_formats")


if __name__ == "__main__":
    main()
