"""The command `shrink`: remove what a mask empties and save a smaller dense model."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pruning.commands.options import MODEL_FILES, MODEL_FORMS
from sparse_formats.terminal.options import MemoryOption
from sparse_formats.terminal.progress import progress
from sparse_formats.terminal.settings import option

if TYPE_CHECKING:
    from pruning.surgery.shrink import Shrunk


@dataclass(frozen=True, kw_only=True)
class Settings(MemoryOption):
    """Remove empty heads, neurons and channels, and save the smaller dense model."""

    model: Path = option(f"Model to make smaller: {MODEL_FORMS}.")
    out: Path = option(
        "Folder for the smaller model.",
        writes="folder",
        listed_as="shrunk model",
        holds=MODEL_FILES,
    )
    mask: Path | None = option("Mask file. Without one the zeros of the model count.", default=None)
    pad: bool = option(
        "Where layers differ, keep as many units as the largest layer everywhere, and fill the "
        "rest with zeros.",
        default=False,
    )
    own_code: bool = option(
        "Where layers differ or heads are missing in BERT or DistilBERT, put the code of this "
        "package's own model into the folder, which then opens with trust_remote_code=True.",
        default=False,
    )


@dataclass(frozen=True, eq=False)
class Result:
    """note: what to know of the mask, "" if nothing."""

    shrunk: "Shrunk"
    note: str


def run(settings: Settings) -> Result:
    """Put the mask on, take out what it empties, and compare the outputs."""
    from pruning.models.masking import apply_masks, said_of_weights, with_other_weights
    from pruning.models.opening import open_model
    from pruning.surgery.shrink import shrink
    from sparse_formats.files.mask_file import read_masks

    masks = None if settings.mask is None else read_masks(settings.mask)
    with progress() as tell:
        tell(f"opening {settings.model}")
        opened = open_model(settings.model)
        note = ""
        if masks is not None:
            note = said_of_weights(with_other_weights(opened, masks), masks)
            apply_masks(opened, masks)
        tell("removing and comparing")
        return Result(shrink(opened, settings.pad, settings.own_code), note)


def show(settings: Settings, result: Result) -> None:
    """Save the smaller model, and print what was removed."""
    from pruning.models.saving import save_model
    from sparse_formats.files.output_folder import replace_files
    from sparse_formats.terminal.tables import say

    shrunk = result.shrunk
    with progress() as tell:
        tell(f"writing {settings.out}")
        with replace_files(settings.out, "shrunk model") as beside:
            save_model(shrunk.opened, beside)
    if result.note:
        say(f"note: {result.note}")
    say(
        f"removed {shrunk.heads} heads, {shrunk.neurons} neurons, {shrunk.channels} channels: "
        f"{shrunk.before:,} → {shrunk.after:,} parameters; outputs differ by {shrunk.apart:.1e} of "
        f"the largest; wrote {settings.out}"
    )
    if shrunk.own_code:
        say("the folder contains its model file, so trust_remote_code=True opens it")
