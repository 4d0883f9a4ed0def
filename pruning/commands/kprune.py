"""The command `kprune`: a smaller encoder without training, from a few examples."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from pruning.commands.options import MODEL_FILES, MachineOptions
from pruning.retraining_free import METHODS
from pruning.retraining_free.method import MethodSettings
from sparse_formats.errors import InputError
from sparse_formats.terminal.application import emit_json
from sparse_formats.terminal.options import JsonOption, MemoryOption
from sparse_formats.terminal.progress import progress
from sparse_formats.terminal.settings import Count, group, option

if TYPE_CHECKING:
    from pruning.models.opening import OpenModel
    from pruning.retraining_free.method import Pruned
    from pruning.retraining_free.sublayers import Encoder
    from pruning.surgery.shrink import Shrunk
    from sparse_formats.masks.matrix import MaskSet

MASKS, ACCOUNT = "masks.npz", "account.json"

TOKENS = 100_000
"""Default calibration tokens. Source: K-prune (2024)."""

Part = Annotated[float, msgspec.Meta(gt=0, lt=1)]


@dataclass(frozen=True, kw_only=True)
class Settings(MachineOptions, JsonOption, MemoryOption):
    """Make a fine-tuned encoder smaller without training, by K-prune, Kwon et al. or a baseline."""

    model: Path = option("Hugging Face directory of a fine-tuned BERT or DistilBERT.")
    data: Path = option(
        "File of examples: tab-separated with a header, or a SQuAD file called something.json."
    )
    out: Path = option(
        f"Folder for the smaller model and {MASKS}.",
        writes="folder",
        listed_as="pruned model",
        holds=(*MODEL_FILES, MASKS, ACCOUNT),
    )
    flops: Part = option("Share of the encoder's FLOPs to keep. 0.4 removes 60 %.")
    method: str = option(
        "Method that chooses what is removed. The others are baselines for kprune.",
        default="kprune",
        choices=METHODS,
    )
    tokens: Count = option("Tokens of the examples drawn, without padding.", default=TOKENS)
    length: Count | None = option(
        "Tokens that examples are cut to.", default=None, otherwise="the model's own, at most 512"
    )
    knobs: MethodSettings = group(MethodSettings)


@dataclass(frozen=True, eq=False)
class Result:
    """The smaller model, the masks that make it so, and the account of the run."""

    small: "Shrunk"
    masks: "MaskSet"
    account: dict[str, Any]


def run(settings: Settings) -> Result:
    """Draw examples, choose and remove heads and neurons, and compare the outputs."""
    from pruning.data.examples import examples_of
    from pruning.models.masking import apply_masks
    from pruning.models.opening import open_model
    from pruning.surgery.shrink import shrink

    started, device = time.monotonic(), settings.find_device()
    with progress() as tell:
        tell(f"opening {settings.model}")
        opened = open_model(settings.model, device=device)

        from pruning.retraining_free.partial_run import batches_of, sampled
        from pruning.retraining_free.sublayers import find_encoder, masks_of

        encoder, seed = find_encoder(opened), settings.knobs.seed
        _check_family(opened)
        is_squad = settings.data.suffix.lower() == ".json"
        table, squad = (None, settings.data) if is_squad else (settings.data, None)
        every = examples_of(opened, None, table, squad, settings.length, seed)
        drawn, mean_length = sampled(every, settings.tokens, seed)
        tell(f"{len(drawn)} examples")
        choose = METHODS[settings.method]
        pruned = choose(
            encoder, batches_of(drawn, device), mean_length, settings.flops, settings.knobs, tell
        )
        account = _account(encoder, pruned, settings, mean_length)
        account["examples"] = {
            "count": len(drawn), "tokens": sum(len(r["input_ids"]) for r in drawn.rows),
            "mean_length": mean_length, "of": len(every),
        }  # fmt: skip
        header = {"model": opened.name, "method": settings.method}
        masks = masks_of(encoder, pruned.kept, header)
        apply_masks(opened, masks)
        tell("removing and comparing")
        opened.model.to("cpu")  # type: ignore[arg-type]
        small = shrink(opened, own_code=True)
    account |= {
        "parameters": {"before": small.before, "after": small.after},
        "outputs_differ_by": small.apart,
        "own_code": small.own_code,
        "seconds": {**pruned.seconds, "in all": time.monotonic() - started},
    }
    return Result(small, masks, account)


def show(settings: Settings, result: Result) -> None:
    """Write the folder, whole or not at all, and print a line for each sublayer."""
    from pruning.models.saving import save_model
    from sparse_formats.files.atomic import json_text, write_text
    from sparse_formats.files.mask_file import write_masks
    from sparse_formats.files.output_folder import replace_files

    with progress() as tell, replace_files(settings.out, "pruned model") as beside:
        tell(f"writing {settings.out}")
        save_model(result.small.opened, beside)
        write_masks(beside / MASKS, result.masks)
        write_text(beside / ACCOUNT, json_text(result.account))
    if settings.json is not None:
        emit_json(result.account, settings.json)
    if not settings.is_json_printed:
        _print(result.account, settings.out)


def _check_family(opened: "OpenModel") -> None:
    """InputError where layers that differ could not be saved: before work is spent on them."""
    from pruning.surgery.narrow_config import KNOWN, narrow_class

    if narrow_class(opened.model) is None:
        decoder = " as decoder" if getattr(opened.model.config, "is_decoder", False) else ""
        raise InputError(
            f"model {opened.name} is a {type(opened.model).__name__}{decoder}, but layers of "
            f"different widths can be saved only for {KNOWN}; use prune and shrink --pad"
        )


def _account(
    encoder: "Encoder", pruned: "Pruned", settings: Settings, length: float
) -> dict[str, Any]:
    import torch
    import transformers

    from sparse_formats.files.mask_file import sha256_of

    whole, opened = encoder.flops(length), encoder.opened
    return {
        "schema_version": 1,
        "model": {"source": str(settings.model), "name": opened.name, "task": opened.task},
        "data": {"source": str(settings.data), "sha256": sha256_of(settings.data)},
        "method": settings.method,
        "settings": asdict(settings.knobs),
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "flops": {
            "asked": settings.flops,
            "kept": encoder.kept_flops(pruned.kept, length) / whole,
            "before": whole,
            "after": encoder.kept_flops(pruned.kept, length),
        },
        "sublayers": [
            {
                "layer": each.layer,
                "unit": each.unit,
                "count": each.count,
                "kept": int(keep.sum()),
                "error_before": None if tuned is None else tuned.error_before,
                "error_after": None if tuned is None else tuned.error_after,
            }
            for each, keep, tuned in zip(encoder.sublayers, pruned.kept, pruned.tuned, strict=True)
        ],
    }


def _print(account: dict[str, Any], out: Path) -> None:
    from sparse_formats.terminal.tables import Column, new_console, print_table

    columns = [
        Column("layer", "right"),
        Column("unit"),
        Column("kept", "right"),
        Column("of", "right"),
        Column("error\nbefore", "right", rank=1),
        Column("after", "right", rank=1),
    ]
    rows = [
        (
            f"{each['layer']}",
            f"{each['unit']}s",
            f"{each['kept']}",
            f"{each['count']}",
            *("–" if each[key] is None else f"{each[key]:.4f}" for key in _ERRORS),
        )
        for each in account["sublayers"]
    ]
    flops, parameters, examples = account["flops"], account["parameters"], account["examples"]
    seconds = account["seconds"]
    spent = ", ".join(f"{name} {value:.1f}" for name, value in seconds.items() if name != "in all")
    opens = "; trust_remote_code=True opens it" if account["own_code"] else ""
    footnotes = (
        f"{account['method']}: {flops['kept']:.1%} of {flops['before'] / 1e9:.3g} GFLOPs kept at "
        f"{examples['mean_length']:.1f} tokens ({flops['asked']:.0%} requested); "
        f"{parameters['before']:,} → {parameters['after']:,} parameters",
        "The error is that of the residual sum, relative to its variance in the dense model.",
        f"{examples['count']} examples, {examples['tokens']} tokens; {seconds['in all']:.1f} s: "
        f"{spent}",
        "outputs of the smaller and the masked model differ by "
        f"{account['outputs_differ_by']:.1e} of the largest",
        f"wrote {out} with {MASKS} and {ACCOUNT}{opens}",
    )
    print_table(new_console(), columns, rows, footnotes=footnotes)


_ERRORS = ("error_before", "error_after")
