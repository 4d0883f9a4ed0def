"""The command `convert`: masks and weights in PyTorch's files into a mask file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparse_formats.masks.matrix import MaskSet
from sparse_formats.terminal.application import emit_json
from sparse_formats.terminal.options import JsonOption, MemoryOption
from sparse_formats.terminal.progress import progress
from sparse_formats.terminal.settings import option


@dataclass(frozen=True, kw_only=True)
class Settings(JsonOption, MemoryOption):
    """Read masks or weights that torch.save wrote, without running code, and write a mask file.

    The file or folder holds a state dict, tensors by name, or one tensor. What is not zero is kept,
    and the weights stay in the mask file. What other commands read can be converted too.
    """

    source: Path = option(
        "File of torch.save (.pt, .pth, .bin, .ckpt), or a folder with pytorch_model.bin.",
        is_argument=True,
    )
    out: Path = option("Mask file to write.", writes="file", suffix=".npz")


@dataclass(frozen=True, eq=False)
class Result:
    """read: what was read, as `masks.what_was_read` says it."""

    masks: MaskSet
    read: dict[str, Any]


def run(settings: Settings) -> Result:
    """Read all matrices."""
    from pruning.models.torch_file import read_torch, recognises
    from sparse_formats.files.mask_file import read_masks
    from sparse_formats.masks.what_was_read import what_was_read

    source = settings.source
    with progress() as tell:
        tell(f"reading {source}")
        masks = read_torch(source) if recognises(source) else read_masks(source)
    read = what_was_read(masks.shapes, masks.header, masks.shapes.keys(), source.name)
    return Result(masks, read)


def show(settings: Settings, result: Result) -> None:
    """Write the mask file, and print what was read."""
    from sparse_formats.files.mask_file import write_masks

    matrices = result.masks.matrices
    write_masks(settings.out, result.masks)
    kept, size = sum(m.nnz for m in matrices), sum(m.size for m in matrices)
    density = kept / size if size else 0.0
    if settings.json is not None:
        account = {"schema_version": 1, "read": result.read, "kept": kept, "density": density}
        emit_json(account, settings.json)
    if not settings.is_json_printed:
        from sparse_formats.terminal.tables import say

        for sentence in result.read["sentences"]:
            say(sentence)
        say(f"{100 * density:.1f} % of the weights are kept; wrote {settings.out}")
