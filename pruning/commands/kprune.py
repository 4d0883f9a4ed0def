"""The command `kprune`: a smaller encoder without training, from a few examples."""

import math
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparse_formats.errors import InputError, nearest
from sparse_formats.terminal.application import emit_json

if TYPE_CHECKING:
    from pruning.models.opening import OpenModel
    from pruning.retraining_free.method import Pruned, Settings
    from pruning.retraining_free.sublayers import Encoder

TOKENS = 100_000
"""Default calibration tokens. Source: K-prune (2024)."""


def kprune_command(
    model: Annotated[
        Path, typer.Option(help="Hugging Face directory: BERT or DistilBERT, fine-tuned.")
    ],
    data: Annotated[
        Path,
        typer.Option(help="Examples: tab-separated with a header, or a SQuAD .json."),
    ],
    out: Annotated[Path, typer.Option(help="New folder for the smaller model and masks.npz.")],
    flops: Annotated[
        float, typer.Option(help="Share of the encoder's FLOPs to keep, 0 to 1 (0.4: 60 % go).")
    ],
    method: Annotated[
        str,
        typer.Option(help="kprune; or what it is compared with: kwon, magnitude, random."),
    ] = "kprune",
    tokens: Annotated[
        int, typer.Option(help="Tokens of the examples drawn, padding not counted.", min=1)
    ] = TOKENS,
    length: Annotated[
        int | None, typer.Option(help="Cut examples to so many tokens; the model's, at most 512.")
    ] = None,
    predictive: Annotated[
        str,
        typer.Option(help="Of the answer: gauss_newton, or squared_gradient as published."),
    ] = "gauss_newton",
    predictive_weight: Annotated[
        float | None, typer.Option(help="λ of the knowledge of the answer (1).")
    ] = None,
    representational_weight: Annotated[
        float | None, typer.Option(help="λ of the knowledge of a sublayer's own output (0.1).")
    ] = None,
    head_weight: Annotated[
        float | None, typer.Option(help="μ: what a head counts beside a neuron (1).")
    ] = None,
    temperature: Annotated[float | None, typer.Option(help="Of the answers (2).")] = None,
    ridge: Annotated[
        float | None, typer.Option(help="Ridge of the tuning, in mean squares (0.001).")
    ] = None,
    tuning: Annotated[
        bool, typer.Option(help="Tune the output projections (kwon: scale the units).")
    ] = True,
    at_once: Annotated[
        bool, typer.Option("--at-once", help="Choose in all sublayers before any is pruned.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of the examples, and random.", min=0)] = 0,
    threads: Annotated[int, typer.Option(help="Threads of PyTorch.", min=1)] = 1,
    json: Annotated[
        str | None, typer.Option(help="File for the account of the run; - is standard output.")
    ] = None,
) -> None:
    """Make a fine-tuned encoder smaller without training: K-prune, Kwon et al., baselines."""
    from pruning.commands.progress import progress
    from pruning.data.examples import examples_of
    from pruning.models.masking import apply_masks
    from pruning.models.opening import open_model, quiet
    from pruning.surgery.shrink import shrink
    from sparse_formats.files.atomic import check_writable, json_text, write_text
    from sparse_formats.files.mask_file import write_masks

    settings = _settings(
        {
            "temperature": temperature,
            "predictive": predictive,
            "predictive_weight": predictive_weight,
            "representational_weight": representational_weight,
            "head_weight": head_weight,
            "ridge": ridge,
            "tuning": tuning,
            "at_once": at_once,
            "seed": seed,
        }
    )
    chosen = _method(method)
    if not 0 < flops < 1:
        raise InputError(f"--flops {flops:g}: give the share to keep, between 0 and 1")
    _check_new(out)
    if json not in (None, "-"):
        check_writable(Path(json), [model, data])
    started = time.monotonic()
    with progress() as tell, _whole_folder(out) as folder:
        tell(f"opening {model}")
        opened = open_model(model)
        import torch

        from pruning.retraining_free.partial_run import batches_of, sampled
        from pruning.retraining_free.sublayers import find_encoder, masks_of

        torch.set_num_threads(threads)
        encoder = find_encoder(opened)
        _check_family(opened)
        is_squad = data.suffix.lower() == ".json"
        table, squad = (None, data) if is_squad else (data, None)
        every = examples_of(opened, None, table, squad, length, seed)
        drawn, mean_length = sampled(every, tokens, seed)
        tell(f"{len(drawn)} examples")
        batches = batches_of(drawn)
        pruned = chosen(encoder, batches, mean_length, flops, settings, tell)
        account = _account(encoder, pruned, model, data, method, flops, mean_length, settings)
        account["examples"] = {
            "count": len(drawn), "tokens": sum(len(r["input_ids"]) for r in drawn.rows),
            "mean_length": mean_length, "of": len(every),
        }  # fmt: skip
        masks = masks_of(encoder, pruned.kept, {"model": opened.name, "method": method})
        apply_masks(opened, masks)
        tell("removing and comparing")
        small = shrink(opened, own_code=True)
        account |= {
            "parameters": {"before": small.before, "after": small.after},
            "outputs_differ_by": small.apart,
            "own_code": small.own_code,
            "seconds": {**pruned.seconds, "in all": time.monotonic() - started},
        }
        tell(f"writing {out}")
        with quiet():
            small.opened.model.save_pretrained(folder)
        if opened.tokenizer is not None:
            opened.tokenizer.save_pretrained(folder)
        write_masks(folder / "masks.npz", masks)
        write_text(folder / "account.json", json_text(account))
    if json is not None:
        emit_json(account, json)
    if json != "-":
        _print(account, out)


def _settings(given: dict[str, Any]) -> "Settings":
    import msgspec

    from pruning.retraining_free.knowledge import PREDICTIVE
    from pruning.retraining_free.method import Settings

    found = {key: value for key, value in given.items() if value is not None}
    endless = next((key for key, value in found.items() if value == math.inf), None)
    if endless is not None:
        raise InputError(f"--{endless.replace('_', '-')} is infinite; give a finite number")
    try:
        settings = msgspec.convert(found, Settings)
    except msgspec.ValidationError as error:
        raise InputError(f"settings of kprune: {error}") from None
    if settings.predictive not in PREDICTIVE:
        raise InputError(
            f"unknown --predictive {settings.predictive!r}"
            f"{nearest(settings.predictive, PREDICTIVE)}"
        )
    return settings


def _method(name: str) -> Any:
    from pruning.retraining_free import METHODS

    if name not in METHODS:
        raise InputError(f"unknown method {name!r}{nearest(name, METHODS)}")
    return METHODS[name]


def _check_family(opened: "OpenModel") -> None:
    """InputError where layers that differ could not be saved: before work is spent on them."""
    from pruning.surgery.narrow_config import KNOWN, narrow_class

    if narrow_class(opened.model) is None:
        decoder = " as decoder" if getattr(opened.model.config, "is_decoder", False) else ""
        raise InputError(
            f"model {opened.name} is a {type(opened.model).__name__}{decoder}: layers of different "
            f"widths can be saved of {KNOWN} alone; prune and shrink --pad make others smaller"
        )


def _check_new(out: Path) -> None:
    try:
        is_taken = out.exists() and (not out.is_dir() or any(out.iterdir()))
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror}; give another name") from error
    if is_taken:
        raise InputError(f"--out {out} exists already; give the name of a new folder")


@contextmanager
def _whole_folder(out: Path) -> Iterator[Path]:
    """A folder beside `out` that takes its place when the block ends well."""
    whole = out.resolve()  # behind a link: no folder can take a link's place
    try:
        part = Path(tempfile.mkdtemp(dir=whole.parent, prefix=f".{whole.name}.", suffix=".part"))
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror}") from error
    try:
        yield part
        # mkdtemp makes the folder private; give it the mode a plain mkdir() would have.
        umask = os.umask(0)
        os.umask(umask)
        part.chmod(0o777 & ~umask)
        try:
            part.replace(whole)
        except OSError as error:
            raise InputError(
                f"cannot write {out}: {error.strerror}; give the name of a new folder"
            ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _account(
    encoder: "Encoder",
    pruned: "Pruned",
    model: Path,
    data: Path,
    method: str,
    flops: float,
    length: float,
    settings: "Settings",
) -> dict[str, Any]:
    from dataclasses import asdict

    import torch
    import transformers

    from sparse_formats.files.mask_file import sha256_of

    whole = encoder.flops(length)
    return {
        "schema_version": 1,
        "model": {"source": str(model), "name": encoder.opened.name, "task": encoder.opened.task},
        "data": {"source": str(data), "sha256": sha256_of(data)},
        "method": method,
        "settings": asdict(settings),
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "flops": {
            "asked": flops,
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
        f"{examples['mean_length']:.1f} tokens (asked {flops['asked']:.0%}); "
        f"{parameters['before']:,} → {parameters['after']:,} parameters",
        "error: of the residual sum, relative to the variance of the dense model's",
        f"{examples['count']} examples, {examples['tokens']} tokens; {seconds['in all']:.1f} s: "
        f"{spent}",
        "outputs of the smaller and the masked model differ by "
        f"{account['outputs_differ_by']:.1e} of the largest",
        f"wrote {out} with masks.npz and account.json{opens}",
    )
    print_table(new_console(), columns, rows, footnotes=footnotes)


_ERRORS = ("error_before", "error_after")
