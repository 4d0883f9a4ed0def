"""The command `heads`: how much each attention head matters, by gradient or by leaving it out."""

from pathlib import Path
from typing import Annotated, Any

import typer

from sparse_formats.errors import InputError, nearest
from sparse_formats.terminal.application import emit_json

READINGS = ("example", "batch", "token", "leave_one_out")


def heads_command(
    model: Annotated[
        Path, typer.Option(help="Hugging Face directory, .gguf, or glassllm's .npz of weights.")
    ],
    text: Annotated[Path | None, typer.Option(help="Text file, for a language model.")] = None,
    table: Annotated[
        Path | None, typer.Option(help="Tab-separated file with labels, for a classifier.")
    ] = None,
    squad: Annotated[Path | None, typer.Option(help="SQuAD JSON, for a question answerer.")] = None,
    variant: Annotated[
        str,
        typer.Option(
            help="Size of the gate's gradient taken per example (Michel's paper), batch "
            "(run_bertology) or token (Michel's code); or leave_one_out: the loss without it."
        ),
    ] = "example",
    normalise: Annotated[
        bool, typer.Option(help="Divide each layer by its L2 norm, as both codes do.")
    ] = False,
    samples: Annotated[int, typer.Option(help="Examples, drawn by the seed.", min=1)] = 128,
    length: Annotated[
        int | None, typer.Option(help="Tokens of an example; the model's own, at most 512.")
    ] = None,
    batch: Annotated[int, typer.Option(help="Examples at a time.", min=1)] = 8,
    seed: Annotated[int, typer.Option(help="Seed of the choice of examples.", min=0)] = 0,
    threads: Annotated[int, typer.Option(help="Threads of PyTorch.", min=1)] = 1,
    json: Annotated[
        str | None, typer.Option(help="File for the figures as JSON; - is standard output.")
    ] = None,
) -> None:
    """Importance of each attention head: Michel, Levy & Neubig 2019, its variants told apart."""
    from pruning.commands.progress import progress
    from pruning.data.examples import Examples, examples_of, step_numbers
    from pruning.evaluation.head_importance import head_importance, leave_one_out
    from pruning.models.opening import OpenModel, open_model
    from sparse_formats.files.atomic import check_writable

    if variant not in READINGS:
        raise InputError(f"unknown variant {variant!r}{nearest(variant, READINGS)}")
    if normalise and variant == "leave_one_out":
        raise InputError("--normalise goes with gradients, leave_one_out is in units of the loss")
    given = [path for path in (model, text, table, squad) if path is not None]
    if json not in (None, "-"):
        check_writable(Path(json), given)
    with progress() as tell:
        tell(f"opening {model}")
        task = None if text is not None else "classify" if table is not None else "answer"
        opened = open_model(model, task)
        import torch

        torch.set_num_threads(threads)
        every = examples_of(opened, text, table, squad, length, seed)
        chosen = step_numbers(len(every), min(samples, len(every)), 0, seed)
        drawn = Examples([every.rows[int(number)] for number in chosen], every.pad)
        parts = [range(i, min(i + batch, len(drawn))) for i in range(0, len(drawn), batch)]

        def loss(m: OpenModel) -> float:
            with torch.no_grad():
                losses = [m.model(**drawn.batch(part)).loss.item() * len(part) for part in parts]
            return sum(losses) / len(drawn)

        tell(f"heads of {opened.name}: {variant}")
        found = (
            leave_one_out(opened, loss)
            if variant == "leave_one_out"
            else head_importance(opened, drawn, variant, normalise, batch)  # type: ignore[arg-type]
        )
    layers: list[dict[str, Any]] = [
        {"attention_out": attention.out.matrix, "heads": [float(value) for value in values]}
        for attention, values in zip(opened.attentions, found, strict=True)
    ]
    if json is not None:
        emit_json({"schema_version": 1, "variant": variant, "layers": layers}, json)
    if json != "-":
        _print(layers, f"{variant}, {len(drawn)} examples of {opened.name}")


def _print(layers: list[dict[str, Any]], footnote: str) -> None:
    from sparse_formats.terminal.tables import Column, new_console, print_table

    widest = max((len(layer["heads"]) for layer in layers), default=0)
    columns = [Column("matrix"), *(Column(f"{head}", "right") for head in range(widest))]
    rows = []
    for layer in layers:
        shown = [f"{value:.2e}" for value in layer["heads"]]
        rows.append((layer["attention_out"], *shown, *[""] * (widest - len(shown))))
    print_table(new_console(), columns, rows, footnotes=(footnote,))
