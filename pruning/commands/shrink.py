"""The command `shrink`: remove what a mask empties and save a smaller dense model."""

from pathlib import Path
from typing import Annotated

import typer

from sparse_formats.errors import InputError


def shrink_command(
    model: Annotated[
        Path, typer.Option(help="Hugging Face directory, .gguf, or glassllm's .npz of weights.")
    ],
    out: Annotated[Path, typer.Option(help="New folder for the smaller model.")],
    mask: Annotated[
        Path | None, typer.Option(help="Mask file; without it the zeros of the model count.")
    ] = None,
    pad: Annotated[
        bool,
        typer.Option(
            help="Where layers differ, keep as many as the largest everywhere, the rest as zeros."
        ),
    ] = False,
    own_code: Annotated[
        bool,
        typer.Option(
            help="Where layers differ or heads are missing in BERT or DistilBERT, put a model of "
            "our own code into the folder, which opens with trust_remote_code=True."
        ),
    ] = False,
) -> None:
    """Remove empty heads, neurons and channels, and save the smaller dense model."""
    from pruning.commands.progress import progress
    from pruning.models.masking import apply_masks
    from pruning.models.opening import open_model, quiet
    from pruning.surgery.shrink import shrink
    from sparse_formats.files.mask_file import read_masks

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"--out {out} exists already; give the name of a new folder")
    masks = None if mask is None else read_masks(mask)
    with progress() as tell:
        tell(f"opening {model}")
        opened = open_model(model)
        if masks is not None:
            apply_masks(opened, masks)
        tell("removing and comparing")
        small = shrink(opened, pad, own_code)
        tell(f"writing {out}")
        with quiet():
            small.opened.model.save_pretrained(out)
        if opened.tokenizer is not None:
            opened.tokenizer.save_pretrained(out)
    print(
        f"removed {small.heads} heads, {small.neurons} neurons, {small.channels} channels: "
        f"{small.before:,} → {small.after:,} parameters; outputs differ by {small.apart:.1e} of "
        f"the largest; wrote {out}"
    )
    if small.own_code:
        print("its layers are those of modeling_narrow.py inside: trust_remote_code=True opens it")
