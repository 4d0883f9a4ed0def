"""The command `inspect`: what the matrices of a mask file cost in each sparse format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from sparse_formats.files.output_folder import replace_files
from sparse_formats.files.outputs import is_file_name
from sparse_formats.terminal.application import emit_json
from sparse_formats.terminal.options import JsonOption, MemoryOption, NameOptions
from sparse_formats.terminal.settings import option

if TYPE_CHECKING:
    from sparse_formats.inspect.format_costs import Inspection
    from sparse_formats.masks.matrix import MaskSet

PICTURE = "formats.png"

Bits = Annotated[int, msgspec.Meta(ge=1, le=64)]


@dataclass(frozen=True, kw_only=True)
class Settings(NameOptions, JsonOption, MemoryOption):
    """Show what each matrix of a pruned model costs in every sparse format, in bits per element."""

    mask: Path = option(
        "Mask file (.npz, .safetensors, .smtx or .mtx), or the folder of a pruned model."
    )
    value_bits: Bits | None = option(
        "Bits of a kept weight.", default=None, otherwise="16, or 8 where all weights are int8"
    )
    plot: Path | None = option(
        "Draw bits per element over density to this .png file, or to formats.png in this folder.",
        default=None,
        writes="file or folder",
        listed_as="picture",
        holds=(PICTURE,),
        is_replayed=False,
    )


@dataclass(frozen=True)
class Result:
    """layers: one of each matrix taken. total: their sum. masks: all that the file holds.
    read: what of it was taken and what was left out, see `what_was_read`."""

    layers: tuple[Inspection, ...]
    total: Inspection
    value_bits: int
    claim: str
    masks: MaskSet
    read: Mapping[str, Any]


def run(settings: Settings) -> Result:
    """Encode every chosen matrix in every format and count the bits."""
    from sparse_formats.files.mask_file import read_masks
    from sparse_formats.inspect.format_costs import bits_of, claim, inspect, total
    from sparse_formats.masks.selection import select
    from sparse_formats.masks.what_was_read import what_was_read

    masks = read_masks(settings.mask)
    names = [matrix.name for matrix in masks.matrices]
    taken = set(select(names, settings.include, settings.exclude))
    chosen = [matrix for matrix in masks.matrices if matrix.name in taken]
    bits = bits_of(chosen) if settings.value_bits is None else settings.value_bits
    layers = tuple(inspect(matrix, bits) for matrix in chosen)
    whole = total(layers)
    read = what_was_read(masks.shapes, masks.header, taken, settings.mask.name)
    return Result(layers, whole, bits, claim(whole, layers, bits), masks, read)


def show(settings: Settings, result: Result) -> None:
    """Print the table; write the picture and the JSON."""
    if not settings.is_json_printed:
        _print(result)
    if settings.plot is not None:
        from sparse_formats.inspect.picture import draw

        if is_file_name(settings.plot):
            draw(settings.plot, result.layers, result.value_bits)
        else:
            with replace_files(settings.plot, "picture") as beside:
                draw(beside / PICTURE, result.layers, result.value_bits)
    if settings.json is not None:
        from sparse_formats.files.mask_file import sha256_of
        from sparse_formats.inspect.format_costs import as_json

        report = {
            "schema_version": 1,
            "mask": {
                "source": str(settings.mask),
                "sha256": sha256_of(settings.mask),
                "origin": dict(result.masks.header),
                "read": result.read,
            },
            "value_bits": result.value_bits,
            "layers": [as_json(layer) for layer in result.layers],
            "total": as_json(result.total),
            "claim": result.claim,
        }
        emit_json(report, settings.json)


def _print(result: Result) -> None:
    from sparse_formats.formats.registry import FORMATS
    from sparse_formats.inspect.format_costs import megabytes
    from sparse_formats.terminal.tables import Column, new_console, print_table, printable

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

    layers, total = result.layers, result.total
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
    console = new_console()
    for sentence in result.read["sentences"]:
        console.print(printable(sentence), soft_wrap=True)
    print_table(
        console,
        columns,
        [row(layer, layer.name, f"{layer.rows}×{layer.cols}") for layer in layers],
        title=f"Bits per element with {result.value_bits}-bit values. * marks the smallest format, "
        "– one that cannot hold the mask. Ratio is dense FP16 ÷ smallest.",
        total=row(total, f"total of {len(layers)}", ""),
        footnotes=[
            "; ".join(sizes),
            *([f"No matrix fits {', '.join(none)}; --json gives the reasons."] if none else []),
            result.claim,
        ],
    )


_STAY_LONGEST = ("dense", "csr", "bitmap", "mixed_vectors")


def _or_dash(number: float | None, digits: int = 2) -> str:
    return "–" if number is None else f"{number:.{digits}f}"
