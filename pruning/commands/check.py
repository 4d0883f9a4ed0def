"""The command `check`: does a mask keep to a pattern?"""

from pathlib import Path
from typing import Annotated

import typer

from pruning.commands.options import Exclude, Include, lengths
from sparse_formats.terminal.application import emit_json


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

    from pruning.models.model_files import heads_with
    from pruning.recipe import Recipe, checked, pattern_of
    from sparse_formats.files.atomic import check_writable
    from sparse_formats.files.mask_file import read_masks
    from sparse_formats.masks.selection import select

    if json not in (None, "-"):
        check_writable(Path(json), [mask])
    recipe = checked(
        Recipe(pattern, menu=lengths(menu), heads=heads, key_value_heads=key_value_heads)
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
