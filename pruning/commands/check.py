"""The command `check`: does a mask keep to a pattern?"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pruning.recipe import PatternKnobs, Recipe, pattern_option
from sparse_formats.terminal.application import emit_json
from sparse_formats.terminal.options import JsonOption, MemoryOption, NameOptions
from sparse_formats.terminal.settings import Whole, group, option

if TYPE_CHECKING:
    from pruning.patterns.pattern import Break


@dataclass(frozen=True, kw_only=True)
class Settings(NameOptions, JsonOption, MemoryOption):
    """Say where a mask breaks a pattern; the exit status is 1 if it does."""

    mask: Path = option("Mask file or pruned model to look at.")
    pattern: str = pattern_option(is_required=True)
    heads: Whole = option("Attention heads, where no config.json says how many.", default=0)
    key_value_heads: Whole = option(
        "Key-value heads that the heads share. With 0 there are as many as heads.", default=0
    )
    knobs: Any = group(PatternKnobs)


@dataclass(frozen=True)
class Result:
    """matrices: how many were looked at. breaks: the first of each that breaks the pattern."""

    matrices: int
    breaks: "tuple[Break, ...]"


def run(settings: Settings) -> Result:
    """Hold every matrix against the pattern, or all together where they depend on each other."""
    from pruning.models.model_files import heads_with
    from pruning.recipe import checked, pattern_of
    from sparse_formats.files.mask_file import read_masks
    from sparse_formats.masks.selection import select
    from sparse_formats.memory import check_dense

    heads = {"heads": settings.heads, "key_value_heads": settings.key_value_heads}
    recipe = checked(Recipe(settings.pattern, **heads, **vars(settings.knobs)))
    masks = read_masks(settings.mask)
    by_name = {m.name: m for m in masks.matrices}
    taken = [by_name[name] for name in select(by_name, settings.include, settings.exclude)]
    shapes = {m.name: m.shape for m in taken}
    wanted = pattern_of(recipe, shapes, heads_with(settings.mask, masks.header))
    for matrix in taken:
        check_dense([matrix], 12, "checking")
    groups = [taken] if wanted.is_joint else [[m] for m in taken]
    breaks = (found for group in groups if (found := wanted.conforms(group)) is not None)
    return Result(len(taken), tuple(breaks))


def show(settings: Settings, result: Result) -> int:
    """Print the breaks; 1 if there are any."""
    if settings.json is not None:
        emit_json(
            {
                "schema_version": 1,
                "pattern": settings.pattern,
                "matrices": result.matrices,
                "conforms": not result.breaks,
                "breaks": [asdict(found) for found in result.breaks],
            },
            settings.json,
        )
    if not settings.is_json_printed:
        from sparse_formats.terminal.tables import say

        for found in result.breaks:
            say(f"not {settings.pattern}: {found}")
        if not result.breaks:
            say(f"all {result.matrices} matrices conform to {settings.pattern}")
    return 1 if result.breaks else 0
