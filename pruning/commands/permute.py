"""The command `permute`: a model with the same outputs, in an order that vectors fit better."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pruning.commands.options import MODEL_FILES, MODEL_FORMS
from pruning.patterns.vector_pattern import BY_KIND
from pruning.recipe import SPARSITY, pattern_option
from sparse_formats.errors import InputError
from sparse_formats.terminal.application import emit_json
from sparse_formats.terminal.options import JsonOption, MemoryOption, NameOptions
from sparse_formats.terminal.progress import progress
from sparse_formats.terminal.settings import Share, option

if TYPE_CHECKING:
    from pruning.models.opening import OpenModel


@dataclass(frozen=True, kw_only=True)
class Settings(NameOptions, JsonOption, MemoryOption):
    """Move neurons, channels and heads of a model so that vectors keep more of its importance.

    The outputs stay the same, which is checked in double precision before anything is written.
    The folder holds permutation.json, with which --undo brings every unit back to its place.
    """

    model: Path = option(f"Model to permute: {MODEL_FORMS}.")
    save: Path = option(
        "Folder for the permuted model.",
        writes="folder",
        listed_as="permuted model",
        holds=(*MODEL_FILES, "permutation.json"),
    )
    pattern: str = pattern_option("--for", "--pattern")
    density: Share = option(
        "Fraction of the weights that the pattern will keep.", default=round(1 - SPARSITY, 4)
    )
    orientation: str = option(
        "Axis that vectors lie along. kind takes the residual stream for attention and the hidden "
        "neurons for the feed-forward layer, stream the residual stream for all, units heads and "
        "hidden neurons for all.",
        default="kind",
        choices=tuple(BY_KIND),
    )
    undo: bool = option(
        "Bring the units of a permuted model back to their first order.", default=False
    )


@dataclass(frozen=True, eq=False)
class Result:
    """The model as it is now, and what was moved, in sentences and as an account."""

    opened: "OpenModel"
    said: tuple[str, ...]
    account: dict[str, Any]


def run(settings: Settings) -> Result:
    """Look for a better order and move the units, or move them back."""
    from pruning.models.opening import open_model
    from pruning.permutation.permute import permute, said_of, undo

    with progress() as tell:
        tell(f"opening {settings.model}")
        opened = open_model(settings.model, include=settings.include, exclude=settings.exclude)
        if settings.undo:
            found = undo(opened, tell)
        else:
            knobs = {"orientation": settings.orientation}
            found = permute(opened, settings.pattern, settings.density, tell, knobs)
            if not found.permutation.moves:
                raise InputError(
                    f"no better order was found for {settings.model}: "
                    f"{'; '.join(found.notes) or 'the one it has is as good'}"
                )
    account: dict[str, Any] = {
        "schema_version": 1,
        "model": str(settings.model),
        "pattern": found.permutation.pattern,
        "density": found.permutation.density,
        "undone": settings.undo,
        "outputs_differ_by": found.apart,
        "moved": {kind: {"axes": done, "of": of} for kind, (done, of) in found.moved.items()},
        "notes": list(found.notes),
    }
    return Result(opened, said_of(found), account)


def show(settings: Settings, result: Result) -> None:
    """Save the permuted model, and print what was moved."""
    from pruning.models.saving import save_model
    from sparse_formats.files.output_folder import replace_files

    with progress() as tell:
        tell(f"writing {settings.save}")
        with replace_files(settings.save, "permuted model") as beside:
            save_model(result.opened, beside)
    if settings.json is not None:
        emit_json(result.account, settings.json)
    if not settings.is_json_printed:
        from sparse_formats.terminal.tables import say

        for line in result.said:
            say(line)
        say(f"wrote {settings.save}")
