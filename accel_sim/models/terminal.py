"""The report of a whole model as a person reads it in a terminal."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from accel_sim.models.output_check import said_of_output
from accel_sim.models.report import ModelReport, OperatorResult
from accel_sim.models.verdict import pruning_words
from accel_sim.reports.number_text import change, number, quantity, share_of
from sparse_formats.terminal.tables import Column, print_table
from sparse_formats.untrusted import printable

_OPERATORS = (
    Column("operator"),
    Column("prefill\nms", "right"),
    Column("share", "right", rank=1),
    Column("MMAC\nexecuted", "right", rank=3),
    Column("DRAM\nMB", "right", rank=2),
    Column("energy\nmJ", "right", rank=4),
)
_DECODE = (
    Column("output token\nµs", "right"),
    Column("share", "right", rank=1),
    Column("DRAM\nMB", "right", rank=2),
    Column("energy\nµJ", "right", rank=4),
)


def print_model(report: ModelReport, console: Console) -> None:
    """Operators and causes of both phases side by side, the answer, the notes."""
    for note in report.all_notes[:1]:
        console.print(printable(note), soft_wrap=True)
    _print_operators(report, console)
    _print_causes(report, console)
    for line in _summary(report):
        console.print(printable(line), soft_wrap=True)


def _print_operators(report: ModelReport, console: Console) -> None:
    run, request = report.run, report.run.request
    decode = {each.kind: each for each in report.by_kind.get("decode", ())}
    columns = [*_OPERATORS, *(_DECODE if decode else ())]
    rows = []
    for each in report.by_kind["prefill"]:
        row = [each.kind, *_prefill(each, report)]
        if decode:
            row += _decode(decode[each.kind], report)
        rows.append(row)
    requests = f"{request.batch} request{'s' if request.batch > 1 else ''}"
    tokens = f"{request.prefill} token{'s' if request.prefill > 1 else ''}"
    cached = f" behind {request.context} cached" if request.context else ""
    print_table(
        console,
        columns,
        rows,
        title=f"{run.model.family} on {run.machine.title}: {requests} of {tokens}"
        f"{cached}, {request.generate} generated",
        total=_total(report, bool(decode)),
    )


def _prefill(each: OperatorResult, report: ModelReport) -> list[str]:
    phase = report.phases["prefill"]
    return [
        number(each.latency_s * 1e3, ",.3f"),
        share_of(each.cycles, phase["cycles"]),
        number(each.macs_executed / 1e6, ",.0f") if each.macs_executed else "",
        number(sum(each.dram_bytes.values()) / 1e6, ",.1f"),
        number(each.energy_j * 1e3, ",.3f"),
    ]


def _decode(each: OperatorResult, report: ModelReport) -> list[str]:
    phase = report.phases["decode"]
    return [
        number(each.latency_s * 1e6 / phase["steps"], ",.1f"),
        share_of(each.cycles, phase["cycles"]),
        number(sum(each.dram_bytes.values()) / 1e6 / phase["steps"], ",.2f"),
        number(each.energy_j * 1e6 / phase["tokens"], ",.1f"),
    ]


def _total(report: ModelReport, has_decode: bool) -> list[str]:
    prefill = report.phases["prefill"]
    cells = [
        "total",
        number(prefill["latency_s"] * 1e3, ",.3f"),
        "",
        number(prefill["macs_executed"] / 1e6, ",.0f"),
        number(sum(prefill["dram_bytes"].values()) / 1e6, ",.1f"),
        number(prefill["energy_j"] * 1e3, ",.3f"),
    ]
    if not has_decode:
        return cells
    decode = report.phases["decode"]
    return [
        *cells,
        number(decode["latency_s"] * 1e6 / decode["steps"], ",.1f"),
        "",
        number(sum(decode["dram_bytes"].values()) / 1e6 / decode["steps"], ",.2f"),
        number(decode["energy_j"] * 1e6 / decode["tokens"], ",.1f"),
    ]


def _print_causes(report: ModelReport, console: Console) -> None:
    shares = {
        name: {
            cause: share_of(cycles, phase["cycles"])
            for cause, cycles in phase["cycles_by_cause"].items()
        }
        for name, phase in report.phases.items()
    }
    named = [cause for cause in report.causes if any(cause in each for each in shares.values())]
    rows = [[cause, *(each.get(cause, "") for each in shares.values())] for cause in named]
    columns = [Column("cycles by cause"), *(Column(name, "right") for name in shares)]
    console.print()
    print_table(console, columns, rows)
    console.print()


def _summary(report: ModelReport) -> list[str]:
    answer = report.answer
    lines = [f"time to first token      {quantity(answer['time_to_first_token_s'], 's')}"]
    if (times := answer["time_per_output_token_s"]) is not None:
        lines += [
            f"time per output token    {quantity(times['mean'], 's')} on average, "
            f"{quantity(times['first'], 's')} the first, {quantity(times['last'], 's')} the last",
            f"output tokens a second   {number(answer['tokens_per_second'], ',.1f')}",
            f"energy per output token  {quantity(answer['energy_per_output_token_j'], 'J')}",
        ]
    lines += [
        f"energy of the prompt     {quantity(answer['prefill_energy_j'], 'J')}",
        f"peak memory              {_memory(answer['memory_bytes'])}",
        f"scores                   {_scores(report)}",
        *_pruning(answer),
    ]
    if report.output is not None:
        lines.append(f"output                   {said_of_output(report.output.as_data())}")
    lines += [_helps(each) for each in report.advice or ()]
    unasked = ["--advice simulates what would help."] if report.advice is None else []
    return [*lines, *report.all_notes[1:], *unasked]


def _memory(parts: Mapping[str, int]) -> str:
    words = {
        "layers": "weights of the layers",
        "head": "head",
        "again": "weights in a second encoding",
        "embedding": "embedding",
        "cache": "KV cache",
        "activations": "activations",
    }
    named = ", ".join(f"{quantity(parts[key], 'B')} {words[key]}" for key in words if parts[key])
    return f"{quantity(parts['total'], 'B')}: {named}"


def _scores(report: ModelReport) -> str:
    words = {
        "rows": "stay on chip as rows",
        "tiles": "stay on chip in tiles (online softmax)",
        "dram": "go to the DRAM",
    }
    said = []
    for name, phase in report.phases.items():
        for each in phase["attention"]:
            where, block = words[each["scores"]], each["query_block"]
            queries = "1 query" if block == 1 else f"{block} queries"
            window = "" if each["window"] is None else f", window {each['window']}"
            said.append(f"{where} in {name}, {queries} at a time{window}")
    return "; ".join(dict.fromkeys(said))


def _pruning(answer: Mapping[str, Any]) -> list[str]:
    said = pruning_words(answer)
    return [f"pruning                  {said}"] if said else []


def _helps(advice: Mapping[str, Any]) -> str:
    first, token = advice["difference"]["prefill"], advice["difference"]["output_token"]
    said = f"what would help          {advice['change']}: prompt {change(first)}"
    if token is not None:
        said += f", output token {change(token)}"
    return f"{said}   {advice['recipe']}"
