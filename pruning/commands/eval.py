"""The command `eval`: quality of a model, with and without a mask, and the floors."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparse_formats.errors import InputError
from sparse_formats.terminal.application import emit_json

if TYPE_CHECKING:
    from pruning.evaluation.comparison import Measure
    from pruning.models.opening import OpenModel
    from sparse_formats.files.int8_file import QuantizedMatrix

Tell = Callable[[str], None]

FORMATS = {"accuracy": ".4f", "f1": ".4f", "pearson": ".4f", "spearman": ".4f", "loss": ".1f"}
"""How figures are printed, where not with two decimals."""


def eval_command(
    model: Annotated[
        Path, typer.Option(help="Hugging Face directory, .gguf, or glassllm's .npz of weights.")
    ],
    mask: Annotated[
        Path | None, typer.Option(help="Mask file to put on; weights in it replace the model's.")
    ] = None,
    quantized: Annotated[
        Path | None,
        typer.Option(help="What quantize made of this model: measure it in 8-bit numbers too."),
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(
            help="With --quantized: folder for what each matrix multiplies (inputs.npz, for "
            "accel_sim run --activations) and its sums (sums.npz)."
        ),
    ] = None,
    text: Annotated[
        Path | None, typer.Option(help="Text file: perplexity, per token and per word.")
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(
            help="Tab-separated file with a header: accuracy and F1 of a classifier; agreement "
            "of a regression's answers, or of an encoder's text pairs, with the scores in it."
        ),
    ] = None,
    squad: Annotated[
        Path | None, typer.Option(help="SQuAD JSON: exact match and F1 of a question answerer.")
    ] = None,
    documents: Annotated[
        Path | None,
        typer.Option(
            help="One text a line: with --human agreement over all pairs, without it how many "
            "second halves are found."
        ),
    ] = None,
    human: Annotated[
        Path | None, typer.Option(help="Square matrix of people's similarities of --documents.")
    ] = None,
    count: Annotated[
        int | None, typer.Option(help="Only the first so many documents.", min=2)
    ] = None,
    length: Annotated[
        int | None,
        typer.Option(help="Tokens of a window or text; the model's own if not given.", min=1),
    ] = None,
    stride: Annotated[
        int | None, typer.Option(help="With --text: tokens a window moves on; length if not given.")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(help="With --text: only about so many tokens.", min=2)
    ] = None,
    text_column: Annotated[
        list[str] | None, typer.Option(help="With --table: name of a text's column.")
    ] = None,
    label_column: Annotated[
        str | None, typer.Option(help="With --table: name of the label's column.")
    ] = None,
    encoding: Annotated[
        str, typer.Option(help="How the text of the data file is encoded.")
    ] = "utf-8-sig",
    floors: Annotated[
        bool, typer.Option(help="Measure a random mask and the zeroed model too.")
    ] = True,
    seed: Annotated[int, typer.Option(help="Seed of the random mask.", min=0)] = 0,
    threads: Annotated[int, typer.Option(help="Threads of PyTorch.", min=1)] = 1,
    json: Annotated[
        str | None, typer.Option(help="File for the figures as JSON; - is standard output.")
    ] = None,
) -> None:
    """Quality of a model on your data: dense, under a mask, and the floors."""
    from pruning.commands.progress import progress
    from sparse_formats.files import int8_file
    from sparse_formats.files.atomic import check_writable
    from sparse_formats.files.mask_file import read_masks, sha256_of

    given = {"--text": text, "--table": table, "--squad": squad, "--documents": documents}
    sources = {option: path for option, path in given.items() if path is not None}
    if len(sources) != 1:
        raise InputError(
            f"give one of {', '.join(given)}, found {' and '.join(sources) or 'none of them'}"
        )
    ((option, data),) = sources.items()
    paths = (model, mask, quantized, data, human)
    inputs = [path for path in paths if path is not None]
    if json not in (None, "-"):
        check_writable(Path(json), inputs)
    if human is not None and documents is None:
        raise InputError("--human goes with --documents")
    if quantized is not None and mask is not None:
        raise InputError("give --mask or --quantized, one of the two")
    if record is not None:
        if quantized is None:
            raise InputError("--record goes with --quantized")
        _prepare_record(record, inputs)
    masks = None if mask is None else read_masks(mask)
    whole = None if quantized is None else int8_file.read(quantized)[0]
    with progress() as tell:
        tell(f"opening {model}")
        opened, measure = _prepared(
            option, data, model, human, count, length, stride, max_tokens,
            text_column, label_column, encoding, threads, tell,
        )  # fmt: skip
        from pruning.evaluation.comparison import measured

        figures = measured(opened, measure, masks, floors, seed, tell)
        if whole is not None:
            tell("quantized")
            figures["quantized"] = _quantized(opened, measure, whole, record)
    if json is not None:
        emit_json(
            {
                "schema_version": 1,
                "model": {"source": str(model), "name": opened.name, "task": opened.task},
                "mask": None if mask is None else {"source": str(mask), "sha256": sha256_of(mask)},
                "quantized": None
                if quantized is None
                else {"source": str(quantized), "sha256": sha256_of(quantized)},
                "data": {"source": str(data), "sha256": sha256_of(data)},
                "seed": seed,
                "figures": figures,
            },
            json,
        )
    if json != "-":
        _print(figures, opened, data, seed if masks is not None and floors else None, record)


def _prepare_record(folder: Path, inputs: list[Path]) -> None:
    from sparse_formats.files.atomic import check_writable

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make folder {folder}: {error.strerror}") from error
    for name in ("inputs.npz", "sums.npz"):
        check_writable(folder / name, inputs)


def _quantized(
    opened: "OpenModel",
    measure: "Measure",
    matrices: "Sequence[QuantizedMatrix]",
    record: Path | None,
) -> dict[str, Any]:
    """The figures of the model in 8-bit numbers; what it multiplied, into the folder `record`."""
    from dataclasses import asdict

    from pruning.quantization.integer_inference import Recording, integer_products

    recording = None if record is None else Recording()
    with integer_products(opened, matrices, recording):
        figures = asdict(measure(opened))
    if recording is not None and record is not None:
        recording.write(record)
    return figures


def _prepared(
    option: str,
    data: Path,
    model: Path,
    human: Path | None,
    count: int | None,
    length: int | None,
    stride: int | None,
    max_tokens: int | None,
    text_column: list[str] | None,
    label_column: str | None,
    encoding: str,
    threads: int,
    tell: Tell,
) -> "tuple[OpenModel, Measure]":
    """The opened model and what to measure of it; data are read before the model is opened."""
    from pruning.data import files as data_files
    from pruning.data.examples import is_regression
    from pruning.evaluation import classification as classes
    from pruning.evaluation import perplexity as perplexities
    from pruning.evaluation import question_answering as answers
    from pruning.evaluation import similarity as alike
    from pruning.models.opening import open_model

    def opened(task: str | None) -> "OpenModel":
        found = open_model(model, task)
        _set_threads(threads)
        return found

    if option == "--text":
        words = data_files.read_text(data, encoding)
        return opened(None), lambda m: perplexities.perplexity(
            m, words, length, stride, max_tokens, tell=tell
        )
    if option == "--table":
        rows = data_files.read_table(data, text_column or (), label_column, encoding)
        found = opened(None)
        if found.task == "classify" and is_regression(found.model.config):
            return found, lambda m: classes.regression(m, rows, length, tell=tell)
        if found.task != "encode":
            return found, lambda m: classes.classification(m, rows, length, tell=tell)
        first = alike.pools_first_token(model)
        return found, lambda m: alike.pair_agreement(
            alike.embedder(m, length or 256, first_token=first, tell=tell), rows
        )
    if option == "--squad":
        asked = data_files.read_questions(data, encoding)
        return opened("answer"), lambda m: answers.question_answering(m, asked, length, tell=tell)
    texts = alike.read_texts(data, count, encoding)
    judged = None if human is None else alike.read_human(human, len(texts))
    first = alike.pools_first_token(model)

    def alikeness(m: "OpenModel") -> Any:
        embed = alike.embedder(m, length or 256, first_token=first, tell=tell)
        if judged is None:
            return alike.second_half_retrieval(embed, texts)
        return alike.matrix_agreement(embed, texts, judged)

    return opened("encode"), alikeness


def _set_threads(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)


def _print(
    figures: dict[str, dict[str, Any]],
    opened: "OpenModel",
    data: Path,
    seed: int | None,
    record: Path | None,
) -> None:
    from sparse_formats.terminal.tables import Column, new_console, print_table

    names = list(next(iter(figures.values())))
    columns = [Column(""), *(Column(name.replace("_", " "), "right") for name in names)]
    rows = [(variant, *(_shown(n, found[n]) for n in names)) for variant, found in figures.items()]
    footnotes = [f"{opened.name} on {data}"]
    if "stride" in names:
        footnotes.append("words split at white space; compare figures of equal stride only")
    if seed is not None:
        footnotes.append(f"random mask: of each matrix's density, seed {seed}")
    if record is not None:
        footnotes.append(f"wrote {record / 'inputs.npz'}, {record / 'sums.npz'}")
    print_table(new_console(), columns, rows, footnotes=tuple(footnotes))


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "beyond"
    if isinstance(value, int):
        return f"{value}"
    return format(value, FORMATS.get(name, ".2f") if value < 1e6 else ".3g")
