"""The command `merge`: a LoRA adapter becomes part of a sparse model."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pruning.commands.options import MODEL_FILES, MODEL_FORMS
from sparse_formats.terminal.application import emit_json
from sparse_formats.terminal.options import JsonOption, MemoryOption
from sparse_formats.terminal.progress import progress
from sparse_formats.terminal.settings import option

if TYPE_CHECKING:
    from pruning.models.lora import Merged
    from pruning.models.opening import OpenModel


@dataclass(frozen=True, kw_only=True)
class Settings(JsonOption, MemoryOption):
    """Merge a LoRA adapter into a sparse model, whose zeros stay zeros."""

    model: Path = option(f"Sparse model that the adapter was trained on: {MODEL_FORMS}.")
    adapter: Path = option("Folder of the adapter, as PEFT saves it.")
    mask: Path | None = option(
        "Mask file to put on the model first. Without one the zeros of the model stay.",
        default=None,
    )
    out: Path = option(
        "Folder for the merged model.", writes="folder", listed_as="merged model", holds=MODEL_FILES
    )


@dataclass(frozen=True, eq=False)
class Result:
    """The merged model, and what became of each matrix with an update."""

    opened: "OpenModel"
    merged: "tuple[Merged, ...]"


def run(settings: Settings) -> Result:
    """Open the sparse model, and add the adapter where its weights are not 0."""
    from pruning.models.lora import merge_lora
    from pruning.models.masking import apply_masks
    from pruning.models.opening import open_model
    from sparse_formats.files.mask_file import read_masks

    masks = None if settings.mask is None else read_masks(settings.mask)
    with progress() as tell:
        tell(f"opening {settings.model}")
        opened = open_model(settings.model)
        if masks is not None:
            apply_masks(opened, masks)
        return Result(opened, merge_lora(opened, settings.adapter))


def show(settings: Settings, result: Result) -> None:
    """Save the model, and say how much of the updates the zeros let through."""
    from dataclasses import asdict

    from pruning.models.saving import save_model
    from sparse_formats.files.output_folder import replace_files
    from sparse_formats.terminal.tables import say

    with progress() as tell:
        tell(f"writing {settings.out}")
        with replace_files(settings.out, "merged model") as beside:
            save_model(result.opened, beside)
    if settings.json is not None:
        found = [asdict(one) for one in result.merged]
        emit_json({"schema_version": 1, "matrices": found}, settings.json)
    if not settings.is_json_printed:
        taken = [one.taken for one in result.merged]
        density = [one.density for one in result.merged]
        say(
            f"merged updates into {len(taken)} matrices with densities of {min(density):.3f} to "
            f"{max(density):.3f}; {sum(taken) / len(taken):.1%} of their energy fell on weights "
            f"that are not 0, the rest is left out; wrote {settings.out}"
        )
