"""The command `heads`: how much each attention head matters, by gradient or by leaving it out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pruning.commands.options import MODEL_FORMS, MachineOptions, SampleOptions
from sparse_formats.errors import InputError
from sparse_formats.terminal.application import emit_json
from sparse_formats.terminal.options import JsonOption, MemoryOption
from sparse_formats.terminal.progress import progress
from sparse_formats.terminal.settings import Count, option

if TYPE_CHECKING:
    from pruning.models.opening import OpenModel


@dataclass(frozen=True, kw_only=True)
class Settings(SampleOptions, MachineOptions, JsonOption, MemoryOption):
    """Measure how much each attention head matters.

    The variants of Michel, Levy and Neubig (2019) differ in what the absolute gradient of a gate
    is taken over: an example as in their paper, a batch as in run_bertology, or a token as in
    their code.
    """

    model: Path = option(f"Model to measure: {MODEL_FORMS}.")
    variant: Literal["example", "batch", "token", "leave_one_out"] = option(
        "What the absolute gradient of a head is taken over. With leave_one_out the importance is "
        "how much the loss grows without the head.",
        default="example",
    )
    normalise: bool = option("Divide each layer by its L2 norm, as both codes do.", default=False)
    batch: Count = option("Examples at a time.", default=8)


@dataclass(frozen=True)
class Result:
    """layers: the importance of each head by attention output. examples: of model `name`."""

    layers: Sequence[dict[str, Any]]
    examples: int
    name: str


def run(settings: Settings) -> Result:
    """Run the model on the examples, with gradients or without each head."""
    from pruning.evaluation.head_importance import head_importance, leave_one_out
    from pruning.models.opening import open_model

    if settings.normalise and settings.variant == "leave_one_out":
        raise InputError("--normalise applies only to gradients; leave it out with leave_one_out")
    device = settings.find_device()
    with progress() as tell:
        tell(f"opening {settings.model}")
        opened = open_model(settings.model, settings.task, device=device)
        import torch

        examples, batch = settings.examples(opened), settings.batch
        parts = [range(i, min(i + batch, len(examples))) for i in range(0, len(examples), batch)]

        def loss(m: "OpenModel") -> float:
            with torch.no_grad():
                losses = [m.model(**examples.batch(p, device)).loss.item() * len(p) for p in parts]
            return sum(losses) / len(examples)

        tell(f"heads of {opened.name}: {settings.variant}")
        if settings.variant == "leave_one_out":
            found = leave_one_out(opened, loss)
        else:
            found = head_importance(opened, examples, settings.variant, settings.normalise, batch)
    layers = [
        {"attention_out": attention.out.matrix, "heads": [float(value) for value in values]}
        for attention, values in zip(opened.attentions, found, strict=True)
    ]
    return Result(layers, len(examples), opened.name)


def show(settings: Settings, result: Result) -> None:
    """Print a line for each layer."""
    if settings.json is not None:
        found = {"schema_version": 1, "variant": settings.variant, "layers": result.layers}
        emit_json(found, settings.json)
    if not settings.is_json_printed:
        _print(result.layers, f"{settings.variant}, {result.examples} examples of {result.name}")


def _print(layers: Sequence[dict[str, Any]], footnote: str) -> None:
    from sparse_formats.terminal.tables import Column, new_console, print_table

    widest = max((len(layer["heads"]) for layer in layers), default=0)
    columns = [Column("matrix"), *(Column(f"{head}", "right") for head in range(widest))]
    rows = []
    for layer in layers:
        shown = [f"{value:.2e}" for value in layer["heads"]]
        rows.append((layer["attention_out"], *shown, *[""] * (widest - len(shown))))
    print_table(new_console(), columns, rows, footnotes=(footnote,))
