"""The report of a whole model as one HTML page: no script, no network, all text escaped."""

from collections.abc import Mapping, Sequence
from typing import Any

from accel_sim.costs.energy import COMPONENTS
from accel_sim.dataflows.registry import causes_of
from accel_sim.models.output_check import said_of_output
from accel_sim.models.report import VECTOR
from accel_sim.models.verdict import pruning_words
from accel_sim.reports.html import card_grid, document, footer, note_list, section
from accel_sim.reports.html_tables import accelerator_table, parts_table, scrolled, table_row
from accel_sim.reports.number_text import change, number, quantity, share_of
from sparse_formats.untrusted import escaped

_VECTOR_WORDS = "the vector unit works and the array has nothing to do"
_DRAM_WORDS = "waiting for weights, keys and values, or embeddings to arrive from the DRAM"
_OPERATION_WORDS = "operations of the vector unit"

_MEMORY_WORDS = {
    "layers": "weights of the layers, as they are stored",
    "head": "weights of the head",
    "again": "weights in a second encoding, where the prompt runs best in another one than decode",
    "embedding": "embedding tables, norms and biases",
    "cache": "keys and values of all tokens at the end",
    "activations": "inputs and outputs of the largest operator",
}
_BYTE_WORDS = {
    "weights": "weights that are loaded",
    "cache": "keys and values that are read and written",
    "activations": "inputs, outputs and scores that do not stay on the chip",
    "embedding": "rows of the embedding tables, norms and biases",
}


def model_page(data: Mapping[str, Any]) -> str:
    """The page; `data`: the report as JSON."""
    machine = data["accelerator"]
    title = f"{data['model']['family']} on {machine['title']}"
    phases = data["phases"]
    body = [
        _heading(data, title),
        section("Verdict", _verdict(data) + note_list(data["notes"])),
        _cards(data),
        _advice(data),
        section("Operator by operator", _operators(phases)),
        *(
            section(f"Where the cycles of {name} went", _causes(phase, machine["dataflow"]))
            for name, phase in phases.items()
        ),
        *(
            section(f"Where the energy of {name} went", _energy(phase))
            for name, phase in phases.items()
        ),
        *(section(f"What {name} moves", _bytes(phase)) for name, phase in phases.items()),
        *_output(data["output"]),
        section("Peak memory", _memory(data["answer"]["memory_bytes"])),
        section("The machine, value by value", accelerator_table(machine)),
        footer(data),
    ]
    return document(title, body)


def _heading(data: Mapping[str, Any], title: str) -> str:
    request, mask = data["request"], data["mask"]
    facts = [
        f"{request['batch']} × {request['prefill']:,} tokens of prompt",
        f"{request['generate']:,} generated",
        f"masks: {mask.get('shapes') or mask.get('source') or 'none'}",
    ]
    if request["context"]:
        facts.insert(1, f"behind {request['context']:,} cached")
    return (
        f"<header>\n<h1>{escaped(title)}</h1>\n"
        f'<p class="facts">{escaped(" · ".join(facts))}</p>\n</header>'
    )


def _verdict(data: Mapping[str, Any]) -> str:
    answer = data["answer"]
    said = [
        f"The first token takes <strong>{quantity(answer['time_to_first_token_s'], 's')}</strong>."
    ]
    if (token := answer["time_per_output_token_s"]) is not None:
        said.append(f"Each further one takes <strong>{quantity(token['mean'], 's')}</strong>.")
    if pruning := pruning_words(answer):
        said.append(escaped(f"Pruning: {pruning}"))
    for name, phase in data["phases"].items():
        slow = max(phase["by_kind"], key=lambda each: each["cycles"])
        part = share_of(slow["cycles"], phase["cycles"], ".0f")
        said.append(
            f"In {name} {escaped(slow['kind'])} takes the largest part, {part} of the time."
        )
    return f'<p class="verdict">{" ".join(said)}</p>'


def _output(data: Mapping[str, Any] | None) -> list[str]:
    """What the model computes, where that was asked for."""
    return [] if data is None else [section("Output", f"<p>{escaped(said_of_output(data))}</p>")]


def _cards(data: Mapping[str, Any]) -> str:
    answer = data["answer"]
    token, memory = answer["time_per_output_token_s"], answer["memory_bytes"]
    cards = [
        ("Time to first token", quantity(answer["time_to_first_token_s"], "s"), "the prompt"),
        ("Energy of the prompt", quantity(answer["prefill_energy_j"], "J"), ""),
        ("Peak memory", quantity(memory["total"], "B"), f"cache {quantity(memory['cache'], 'B')}"),
    ]
    if token is not None:
        first, last = quantity(token["first"], "s"), quantity(token["last"], "s")
        cards += [
            ("Time per output token", quantity(token["mean"], "s"), f"{first} to {last}"),
            ("Output tokens", f"{number(answer['tokens_per_second'], ',.1f')} /s", "all requests"),
            ("Energy per output token", quantity(answer["energy_per_output_token_j"], "J"), ""),
        ]
    return card_grid(cards)


def _advice(data: Mapping[str, Any]) -> str:
    if not data["advice"]:
        return ""
    rows = "\n".join(
        table_row(
            (
                escaped(each["change"]),
                change(each["difference"]["prefill"]),
                change(each["difference"]["output_token"]),
                f"<code>{escaped(each['recipe'])}</code>",
            ),
            ("text", "number", "number", "text"),
        )
        for each in data["advice"]
    )
    heads = _heads(["change", "prompt", "output token", "how to repeat it"], text=(0, 3))
    return section("What would help", _table(heads, rows))


def _operators(phases: Mapping[str, Any]) -> str:
    decode = {each["kind"]: each for each in phases.get("decode", {}).get("by_kind", ())}
    titles = ["operator", "prefill", "share", "MMAC executed", "DRAM", "energy"]
    if decode:
        titles += ["output token", "share", "DRAM", "energy"]
    rows = []
    for each in phases["prefill"]["by_kind"]:
        cells = [escaped(each["kind"]), *_operator(each, phases["prefill"], has_macs=True)]
        if decode:
            cells += _operator(decode[each["kind"]], phases["decode"], has_macs=False)
        rows.append(table_row(cells, ("text", *["number"] * (len(cells) - 1))))
    return _table(_heads(titles, text=(0,)), "\n".join(rows))


def _operator(each: Mapping[str, Any], phase: Mapping[str, Any], *, has_macs: bool) -> list[str]:
    """Of one step."""
    steps = phase["steps"]
    cells = [quantity(each["latency_s"] / steps, "s"), share_of(each["cycles"], phase["cycles"])]
    if has_macs:
        macs = each["macs_executed"]
        cells.append(number(macs / 1e6, ",.0f") if macs else "")
    moved = sum(each["dram_bytes"].values())
    return [*cells, quantity(moved / steps, "B"), quantity(each["energy_j"] / steps, "J")]


def _causes(phase: Mapping[str, Any], dataflow: str) -> str:
    words = {name: cause.words for name, cause in causes_of(dataflow).items()}
    causes = {cause: cycles for cause, cycles in phase["cycles_by_cause"].items() if cycles}
    words |= {VECTOR: _VECTOR_WORDS, "dram": _DRAM_WORDS}
    return parts_table("cause", "cycles", causes, phase["cycles"], words, lambda n: f"{n:,}")


def _energy(phase: Mapping[str, Any]) -> str:
    words = {name: component.words for name, component in COMPONENTS.items()}
    words[VECTOR] = _OPERATION_WORDS
    parts = phase["energy_by_component_j"]
    whole = phase["energy_j"]
    return parts_table("component", "energy", parts, whole, words, lambda j: quantity(j, "J"))


def _bytes(phase: Mapping[str, Any]) -> str:
    parts = phase["dram_bytes"]
    whole = sum(parts.values())
    return parts_table("bytes", "moved", parts, whole, _BYTE_WORDS, lambda n: quantity(n, "B"))


def _memory(parts: Mapping[str, int]) -> str:
    own = {key: parts[key] for key in _MEMORY_WORDS}
    whole = parts["total"]
    return parts_table("part", "bytes", own, whole, _MEMORY_WORDS, lambda n: quantity(n, "B"))


def _heads(titles: Sequence[str], text: Sequence[int]) -> str:
    return "".join(
        f'<th scope="col" class="{"text" if i in text else "number"}">{title}</th>'
        for i, title in enumerate(titles)
    )


def _table(heads: str, rows: str) -> str:
    return scrolled(
        f'<table class="parts">\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n'
        "</table>"
    )
