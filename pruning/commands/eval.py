"""The command `eval`: quality of a model, with and without a mask, and the floors."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pruning.commands.options import MODEL_FORMS, MachineOptions
from pruning.evaluation.measure_settings import MeasureSettings
from sparse_formats.errors import InputError
from sparse_formats.terminal.application import emit_json
from sparse_formats.terminal.options import JsonOption, MemoryOption
from sparse_formats.terminal.progress import progress
from sparse_formats.terminal.settings import Whole, option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pruning.evaluation.comparison import Measure
    from pruning.models.opening import OpenModel
    from pruning.quantization.integer_inference import Recording
    from sparse_formats.files.int8_file import QuantizedMatrix

FORMATS = {"accuracy": ".4f", "f1": ".4f", "pearson": ".4f", "spearman": ".4f", "loss": ".1f"}
"""How figures are printed, where not with two decimals."""

RECORDED = ("inputs.npz", "sums.npz")


@dataclass(frozen=True, kw_only=True)
class Settings(MeasureSettings, MachineOptions, JsonOption, MemoryOption):
    """Measure the quality of a model on your data, dense, under a mask, and at its floors.

    The floors tell what a figure is worth: they are a random mask of the same density, and the
    model with all of its pruned matrices at zero.
    """

    model: Path = option(f"Model to measure: {MODEL_FORMS}.")
    mask: Path | None = option(
        "Mask file to put on. Weights in it replace those of the model.", default=None
    )
    quantized: Path | None = option(
        "File of 8-bit weights that quantize made from this model. Their quality is measured too.",
        default=None,
    )
    record: Path | None = option(
        "With --quantized, folder for the inputs of each matrix (inputs.npz, for accel_sim run "
        "--activations) and for its sums (sums.npz).",
        default=None,
        writes="folder",
        listed_as="recording",
        holds=RECORDED,
        is_replayed=False,
    )
    floors: bool = option("Measure a random mask and the zeroed model too.", default=True)
    seed: Whole = option("Random seed of the random mask.", default=0)


@dataclass(frozen=True, eq=False)
class Result:
    """figures: by variant of the model, by name. recorded: what its matrices multiplied.

    notes: what to know of the mask.
    """

    opened: "OpenModel"
    data: Path
    figures: dict[str, dict[str, Any]]
    recorded: "Recording | None"
    notes: tuple[str, ...] = ()


def run(settings: Settings) -> Result:
    """Measure the model as it is, masked, at its floors, and in 8-bit numbers."""
    from sparse_formats.files import int8_file
    from sparse_formats.files.mask_file import read_masks

    data = _source(settings)
    masks = None if settings.mask is None else read_masks(settings.mask)
    whole = None if settings.quantized is None else int8_file.read(settings.quantized)[0]
    recorded, notes = None, ()
    with progress() as tell:
        tell(f"opening {settings.model}")
        opened, measure = settings.open_measured(settings.model, settings.find_device(), tell)
        from pruning.evaluation.comparison import measured
        from pruning.models.masking import said_of_weights, with_other_weights

        if masks is not None:
            notes = (said_of_weights(with_other_weights(opened, masks), masks),)
        figures = measured(opened, measure, masks, settings.floors, settings.seed, tell)
        if whole is not None:
            tell("quantized")
            figures["quantized"], recorded = _quantized(
                opened, measure, whole, settings.record is not None
            )
    return Result(opened, data, figures, recorded, tuple(note for note in notes if note))


def show(settings: Settings, result: Result) -> None:
    """Write what was recorded, and print a line for each variant."""
    if result.recorded is not None and settings.record is not None:
        from sparse_formats.files.output_folder import replace_files

        with replace_files(settings.record, "recording") as beside:
            result.recorded.write(beside)
    if settings.json is not None:
        opened = result.opened
        emit_json(
            {
                "schema_version": 1,
                "model": {
                    "source": str(settings.model),
                    "name": opened.name,
                    "task": opened.task,
                },
                "mask": _file(settings.mask),
                "quantized": _file(settings.quantized),
                "data": _file(result.data),
                "seed": settings.seed,
                "figures": result.figures,
                "notes": result.notes,
            },
            settings.json,
        )
    if not settings.is_json_printed:
        _print(settings, result)


def _source(settings: Settings) -> Path:
    """The file of data; refuses what does not go together."""
    _, found = settings.source()
    if settings.quantized is not None and settings.mask is not None:
        raise InputError("give --mask or --quantized, one of the two")
    if settings.record is not None and settings.quantized is None:
        raise InputError("--record goes with --quantized")
    return found


def _file(path: Path | None) -> dict[str, str] | None:
    from sparse_formats.files.mask_file import sha256_of

    return None if path is None else {"source": str(path), "sha256": sha256_of(path)}


def _quantized(
    opened: "OpenModel",
    measure: "Measure",
    matrices: "Sequence[QuantizedMatrix]",
    is_recorded: bool,
) -> "tuple[dict[str, Any], Recording | None]":
    """The figures of the model in 8-bit numbers, and what it multiplied."""
    from pruning.evaluation.figures import figures_of
    from pruning.quantization.integer_inference import Recording, integer_products

    recording = Recording() if is_recorded else None
    with integer_products(opened, matrices, recording):
        return figures_of(measure(opened)), recording


def _print(settings: Settings, result: Result) -> None:
    from sparse_formats.terminal.tables import Column, new_console, print_table

    figures = result.figures
    names = list(next(iter(figures.values())))
    columns = [Column(""), *(Column(name.replace("_", " "), "right") for name in names)]
    rows = [(variant, *(_shown(n, found[n]) for n in names)) for variant, found in figures.items()]
    footnotes = [f"{result.opened.name} on {result.data}"]
    if "stride" in names:
        footnotes.append("Words are split at white space. Compare only figures of equal stride.")
    if settings.mask is not None and settings.floors:
        footnotes.append(f"The random mask has the density of each matrix, seed {settings.seed}.")
    footnotes += [f"note: {note}" for note in result.notes]
    if settings.record is not None:
        footnotes.append(f"wrote {', '.join(str(settings.record / name) for name in RECORDED)}")
    print_table(new_console(), columns, rows, footnotes=tuple(footnotes))


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "beyond"
    if isinstance(value, int):
        return f"{value}"
    return format(value, FORMATS.get(name, ".2f") if value < 1e6 else ".3g")
