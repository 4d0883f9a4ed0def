"""The command `quantize`: a model's linear layers in 8-bit numbers."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pruning.commands.options import MODEL_FORMS, MachineOptions, SampleOptions
from sparse_formats.errors import InputError
from sparse_formats.terminal.application import emit_json
from sparse_formats.terminal.options import JsonOption, MemoryOption
from sparse_formats.terminal.progress import progress
from sparse_formats.terminal.settings import option

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pruning.models.opening import OpenModel
    from pruning.quantization.ranges import Ranges
    from sparse_formats.files.int8_file import QuantizedMatrix

SCHEME = (
    "weights int8, symmetric per matrix, scale max|w|/127; inputs uint8, asymmetric per matrix; "
    "sums and biases int32 at scale weight_scale · input_scale"
)


@dataclass(frozen=True, kw_only=True)
class Settings(SampleOptions, MachineOptions, JsonOption, MemoryOption):
    """Write a model's linear layers as 8-bit numbers, which `accel_sim run` takes as INT8.

    The ranges of the inputs are those that `train --quantize` learned. Any other model has none.
    Then they are the smallest and largest values on the data given.
    """

    model: Path = option(f"Model to write in 8-bit numbers: {MODEL_FORMS}.")
    out: Path = option("File of 8-bit weights to write.", writes="file", suffix=".safetensors")


@dataclass(frozen=True, eq=False)
class Result:
    """The 8-bit matrices, where they come from, and the account of them."""

    matrices: "Sequence[QuantizedMatrix]"
    origin: dict[str, Any]
    account: dict[str, Any]


def run(settings: Settings) -> Result:
    """Take the ranges from the model's folder or from the data, and round its layers by them."""
    from pruning.models.opening import open_model
    from pruning.quantization.export import exported
    from pruning.quantization.ranges import RANGES, read_ranges
    from sparse_formats.files.mask_file import sha256_of

    model, data, device = settings.model, settings.data, settings.find_device()
    ranges = read_ranges(model)
    if ranges is not None and data:
        raise InputError(
            f"model {model} has learned its ranges ({RANGES}); leave {data[0]} out, or remove that "
            "file to take them from the data"
        )
    if ranges is None and len(data) != 1:
        raise InputError(
            f"model {model} has learned no ranges; give one of --text, --table, --squad to take "
            f"them from, found {len(data)} of them"
        )
    origin: dict[str, Any] = {"scheme": SCHEME, "versions": _versions(), "ranges": "learned"}
    with progress() as tell:
        tell(f"opening {model}")
        opened = open_model(model, device=device)
        if ranges is None:
            from pruning.quantization.export import calibrated

            examples = settings.examples(opened)
            ranges = calibrated(opened, examples, tell=tell)
            origin["ranges"] = {
                "data": data[0].name,
                "sha256": sha256_of(data[0]),
                "samples": len(examples),
                "seed": settings.seed,
            }
        origin |= {"model": opened.name, "sha256": sha256_of(model)}
        if runs := opened.execution.as_data():
            origin["execution"] = runs
        matrices = exported(opened, ranges)
    account = {
        "schema_version": 1,
        **origin,
        "left_in_floating_point": _left(opened, matrices),
        "matrices": [_entry(matrix, ranges[matrix.name]) for matrix in matrices],
    }
    return Result(matrices, origin, account)


def show(settings: Settings, result: Result) -> None:
    """Write the file, and print a line for each matrix."""
    from sparse_formats.files.int8_file import write

    write(settings.out, result.matrices, result.origin)
    if settings.json is not None:
        emit_json(result.account, settings.json)
    if not settings.is_json_printed:
        _print(result.account, settings.out)


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("mvpsim", "torch", "transformers")}


def _left(opened: "OpenModel", matrices: "Sequence[QuantizedMatrix]") -> list[str]:
    """The model's other matrices: embeddings, and what shares their weights."""
    held = {matrix.name for matrix in matrices}
    inside = {id(m.parameter) for m in opened.linears if m.name in held}
    every = opened.model.named_parameters()
    return [name for name, p in every if p.dim() == 2 and id(p) not in inside]


def _entry(matrix: "QuantizedMatrix", ranges: "Ranges") -> dict[str, Any]:
    import numpy as np

    from sparse_formats.masks.matrix_names import kind_of

    kept = int(np.count_nonzero(matrix.keep))
    return {
        "name": matrix.name,
        "kind": kind_of(matrix.name),
        "rows": matrix.weight.shape[0],
        "cols": matrix.weight.shape[1],
        "kept": kept,
        "kept_that_round_to_0": kept - int(np.count_nonzero(matrix.weight)),
        "weight_scale": matrix.weight_scale,
        "input_range": [ranges.inputs.low, ranges.inputs.high],
        "input_scale": matrix.input_scale,
        "input_zero_point": matrix.input_zero_point,
        "output": None if matrix.output is None else list(matrix.output),
    }


def _print(account: "Mapping[str, Any]", out: Path) -> None:
    from sparse_formats.terminal.tables import Column, new_console, print_table

    columns = [
        Column("matrix"),
        Column("kind", rank=2),
        Column("shape", "right", rank=3),
        Column("density", "right"),
        Column("rounds\nto 0", "right", rank=1),
        Column("weight\nscale", "right"),
        Column("inputs", "right"),
        Column("zero\npoint", "right", rank=1),
    ]
    rows = [
        (
            entry["name"].removesuffix(".weight"),
            entry["kind"],
            f"{entry['rows']}×{entry['cols']}",
            f"{entry['kept'] / max(1, entry['rows'] * entry['cols']):.3f}",
            f"{entry['kept_that_round_to_0'] / max(1, entry['kept']):.3f}",
            f"{entry['weight_scale']:.3g}",
            f"{entry['input_range'][0]:.3g} … {entry['input_range'][1]:.3g}",
            f"{entry['input_zero_point']}",
        )
        for entry in account["matrices"]
    ]
    learned = account["ranges"] == "learned"
    source = (
        "learned in training" if learned else f"seen on {account['ranges']['samples']} examples"
    )
    left = account["left_in_floating_point"]
    footnotes = (
        "Rounds to 0 is the share of the kept weights that do so; the mask stays as it is.",
        f"The ranges of inputs were {source}.",
        f"{', '.join(left) or 'No other matrices'}, norms and attention stay in floating point.",
        f"wrote {out}",
    )
    print_table(new_console(), columns, rows, footnotes=footnotes)
