"""The command `eval`: quality of a model, with and without a mask, and the floors."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from pruning.commands.options import MODEL_FORMS, MachineOptions
from sparse_formats.errors import InputError
from sparse_formats.terminal.application import emit_json
from sparse_formats.terminal.options import JsonOption, MemoryOption
from sparse_formats.terminal.progress import progress
from sparse_formats.terminal.settings import Count, Whole, option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pruning.evaluation.comparison import Measure
    from pruning.models.opening import OpenModel
    from pruning.quantization.integer_inference import Recording
    from sparse_formats.files.int8_file import QuantizedMatrix
    from sparse_formats.terminal.progress import Tell

FORMATS = {"accuracy": ".4f", "f1": ".4f", "pearson": ".4f", "spearman": ".4f", "loss": ".1f"}
"""How figures are printed, where not with two decimals."""

RECORDED = ("inputs.npz", "sums.npz")

AtLeastTwo = Annotated[int, msgspec.Meta(ge=2)]


@dataclass(frozen=True, kw_only=True)
class Settings(MachineOptions, JsonOption, MemoryOption):
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
    text: Path | None = option(
        "Text file, for the perplexity of a language model per token and per word.", default=None
    )
    table: Path | None = option(
        "Tab-separated file with a header, for the accuracy and F1 of a classifier. For a "
        "regression, or for text pairs of an encoder, the agreement with its numbers is "
        "measured.",
        default=None,
    )
    squad: Path | None = option(
        "SQuAD JSON file, for the exact match and F1 of a question answerer.", default=None
    )
    documents: Path | None = option(
        "File with one text per line, for an encoder. With --human the agreement over all pairs "
        "is measured, without it how many second halves of texts are found.",
        default=None,
    )
    human: Path | None = option(
        "File with a square matrix of human similarities of the --documents.", default=None
    )
    count: AtLeastTwo | None = option(
        "Number of documents to read, from the first on.", default=None
    )
    length: Count | None = option(
        "Tokens of a window or text.", default=None, otherwise="the model's own"
    )
    stride: Count | None = option(
        "With --text, tokens that a window moves on.", default=None, otherwise="the length"
    )
    max_tokens: AtLeastTwo | None = option(
        "With --text, approximate number of tokens to read.", default=None
    )
    text_column: tuple[str, ...] = option("With --table, name of the column of a text.", default=())
    label_column: str | None = option(
        "With --table, name of the column of the labels.", default=None
    )
    encoding: str = option("Encoding of the data file.", default="utf-8-sig")
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

    kind, data = _source(settings)
    masks = None if settings.mask is None else read_masks(settings.mask)
    whole = None if settings.quantized is None else int8_file.read(settings.quantized)[0]
    recorded, notes = None, ()
    with progress() as tell:
        tell(f"opening {settings.model}")
        opened, measure = _prepared(settings, kind, data, tell)
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


def _source(settings: Settings) -> tuple[str, Path]:
    """The one kind of data that is given, and its file."""
    kinds = ("text", "table", "squad", "documents")
    given = {kind: path for kind in kinds if (path := getattr(settings, kind)) is not None}
    if len(given) != 1:
        flags = [f"--{kind}" for kind in kinds]
        found = " and ".join(f"--{kind}" for kind in given) or "none of them"
        raise InputError(f"give one of {', '.join(flags)}, found {found}")
    if settings.human is not None and settings.documents is None:
        raise InputError("--human goes with --documents")
    if settings.quantized is not None and settings.mask is not None:
        raise InputError("give --mask or --quantized, one of the two")
    if settings.record is not None and settings.quantized is None:
        raise InputError("--record goes with --quantized")
    return next(iter(given.items()))


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
    from dataclasses import asdict

    from pruning.quantization.integer_inference import Recording, integer_products

    recording = Recording() if is_recorded else None
    with integer_products(opened, matrices, recording):
        return asdict(measure(opened)), recording


def _prepared(
    settings: Settings, kind: str, data: Path, tell: "Tell"
) -> "tuple[OpenModel, Measure]":
    """The opened model and what to measure of it; data are read before the model is opened."""
    from pruning.data import files
    from pruning.data.examples import is_regression
    from pruning.evaluation import classification, perplexity, question_answering, similarity
    from pruning.models.opening import open_model

    length, encoding, device = settings.length, settings.encoding, settings.find_device()

    def opened(task: str | None) -> "OpenModel":
        return open_model(settings.model, task, device=device)

    if kind == "text":
        words = files.read_text(data, encoding)
        stride, most = settings.stride, settings.max_tokens
        return opened(None), lambda m: perplexity.perplexity(
            m, words, length, stride, most, tell=tell
        )
    if kind == "table":
        rows = files.read_table(data, settings.text_column, settings.label_column, encoding)
        found = opened(None)
        if found.task == "classify" and is_regression(found.model.config):
            return found, lambda m: classification.regression(m, rows, length, tell=tell)
        if found.task != "encode":
            return found, lambda m: classification.classification(m, rows, length, tell=tell)
        first = similarity.pools_first_token(settings.model)
        return found, lambda m: similarity.pair_agreement(
            similarity.embedder(m, length or 256, first_token=first, tell=tell), rows
        )
    if kind == "squad":
        asked = files.read_questions(data, encoding)
        return opened("answer"), lambda m: question_answering.question_answering(
            m, asked, length, tell=tell
        )
    texts = similarity.read_texts(data, settings.count, encoding)
    judged = None if settings.human is None else similarity.read_human(settings.human, len(texts))
    first = similarity.pools_first_token(settings.model)

    def alikeness(m: "OpenModel") -> Any:
        embed = similarity.embedder(m, length or 256, first_token=first, tell=tell)
        if judged is None:
            return similarity.second_half_retrieval(embed, texts)
        return similarity.matrix_agreement(embed, texts, judged)

    return opened("encode"), alikeness


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
