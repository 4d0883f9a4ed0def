"""A model under several batches and contexts: one table, one picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from accel_sim.machines.load import resolved
from accel_sim.models.report import SCHEMA_VERSION, ModelReport
from accel_sim.reports.number_text import number, quantity
from accel_sim.reports.report import versions
from sparse_formats.terminal.tables import Column, print_table
from sparse_formats.untrusted import printable

_COLUMNS = (
    Column("batch", "right"),
    Column("context", "right"),
    Column("first token", "right"),
    Column("× dense", "right"),
    Column("at most", "right", rank=2),
    Column("output token", "right"),
    Column("× dense", "right"),
    Column("at most", "right", rank=2),
    Column("tokens/s", "right"),
    Column("energy a token", "right", rank=1),
    Column("memory", "right", rank=3),
)


def sweep_data(reports: Sequence[ModelReport], timestamp: str) -> dict[str, Any]:
    """JSON-able: what each batch and context came to, in order."""
    first = reports[0]
    return {
        "schema_version": SCHEMA_VERSION,
        "timestamp": timestamp,
        "command": first.command,
        "versions": versions(),
        "mask": first.mask,
        "notes": list(dict.fromkeys(note for each in reports for note in each.all_notes)),
        "runs": [
            {
                "batch": each.run.request.batch,
                "context": each.run.request.context,
                "prefill": each.run.request.prefill,
                "generate": each.run.request.generate,
                "answer": each.answer,
            }
            for each in reports
        ],
        "accelerator": resolved(first.run.machine),
    }


def print_sweep(reports: Sequence[ModelReport], console: Console) -> None:
    """One row a batch and context, and the notes of all of them."""
    first = reports[0].run
    rows = [_row(each) for each in reports]
    print_table(
        console,
        _COLUMNS,
        rows,
        title=f"{first.model.family} on {first.machine.title}: prompts of {first.request.prefill} "
        f"tokens, {first.request.generate} generated",
    )
    for note in dict.fromkeys(note for each in reports for note in each.all_notes):
        console.print(printable(note), soft_wrap=True)


def _row(report: ModelReport) -> list[str]:
    answer, request = report.answer, report.run.request
    times, gained = answer["time_per_output_token_s"], answer["speedup_vs_dense"]
    most = answer["most_speedup_by_pruning"]
    return [
        str(request.batch),
        str(request.context),
        quantity(answer["time_to_first_token_s"], "s"),
        number(gained["prefill"]),
        number(most["prefill"]),
        quantity(None if times is None else times["mean"], "s"),
        number(gained["output_token"]),
        number(most["output_token"]),
        number(answer["tokens_per_second"], ",.1f"),
        quantity(answer["energy_per_output_token_j"], "J"),
        quantity(answer["memory_bytes"]["total"], "B"),
    ]


def draw_sweep(reports: Sequence[ModelReport], path: Path) -> None:
    """Mean times over the context, a line a batch, pruned and dense.

    The same reports give the same bytes.
    """
    from matplotlib.figure import Figure

    from sparse_formats.files.pictures import own_style, write_png

    panels = [
        ("time to first token, ms", "time_to_first_token_s", "time_to_first_token_s"),
        (
            "mean time per output token, ms",
            "time_per_output_token_s",
            "mean_time_per_output_token_s",
        ),
    ]
    if reports[0].answer["time_per_output_token_s"] is None:
        panels = panels[:1]
    batches = sorted({each.run.request.batch for each in reports})
    colours = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#882255")
    with own_style():
        figure = Figure((6.0 * len(panels), 4.0), layout="constrained", facecolor="white")
        all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for axes, (title, key, dense_key) in zip(all_axes, panels, strict=True):
            for index, batch in enumerate(batches):
                some = sorted(
                    (each for each in reports if each.run.request.batch == batch),
                    key=lambda each: each.run.request.context,
                )
                contexts = [each.run.request.context for each in some]
                colour = colours[index % len(colours)]
                own = [1e3 * _mean(each.answer[key]) for each in some]
                dense = [1e3 * each.answer["dense"][dense_key] for each in some]
                axes.plot(contexts, own, marker="o", color=colour, label=f"batch {batch}")
                axes.plot(contexts, dense, marker="o", color=colour, linestyle=":", alpha=0.7)
            axes.set_title(title, fontsize=10)
            axes.set_xlabel("tokens cached before the prompt; dotted: dense")
            axes.set_ylim(bottom=0)
            axes.spines[["top", "right"]].set_visible(False)
        all_axes[-1].legend(frameon=False, fontsize=8)
        write_png(path, figure, 130)


def _mean(times: Any) -> float:
    return times["mean"] if isinstance(times, dict) else times
