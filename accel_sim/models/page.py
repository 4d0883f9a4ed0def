"""The page of a whole model: the answer, why, what would help, and every operator by phase."""

from collections.abc import Mapping, Sequence
from typing import Any

from accel_sim.costs.energy import COMPONENTS
from accel_sim.dataflows.registry import causes_of
from accel_sim.models.output_check import said_of_output
from accel_sim.models.page_figures import DRAM_WORDS, OPERATION_WORDS, VECTOR_WORDS, model_figures
from accel_sim.models.report import VECTOR
from accel_sim.models.verdict import pruning_words
from accel_sim.reports.html import (
    again,
    card_grid,
    command_line,
    document,
    drawn,
    folded,
    footer,
    item_sections,
    note_list,
    section,
)
from accel_sim.reports.html_advice import advice_items
from accel_sim.reports.html_tables import accelerator_table, parts_table, scrolled, table_row
from accel_sim.reports.number_text import change, number, quantity, share_of, spoken
from accel_sim.reports.verdict import answers
from sparse_formats.untrusted import escaped

_MEANING = 0.01
"""Of the time, below which a difference has no meaning."""

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
        section("Verdict", _verdict(data)),
        _cards(data),
        '<div id="phases"></div>',
        section(
            "From ideal to real",
            f"<p>{escaped(_waterfall_words(phases))}</p>\n"
            + drawn("waterfall", "From ideal to real"),
        ),
        _advice(data),
        section("Where cycles and energy go", drawn("bars", "By cause, a bar for each kind")),
        *item_sections("operator", "Every operator"),
        *_output(data["output"]),
        section("What to know about this run", note_list(data["notes"]) + again(data["command"])),
        section("The figures behind it", _behind(data)),
        footer(data),
    ]
    return document(title, body, {"run": model_figures(data).as_data()})


def _waterfall_words(phases: Mapping[str, Any]) -> str:
    said = (
        "Each line is one step from the model with nothing pruned (1.00×) to this one. The factors "
        "multiply to the simulated speed-up."
    )
    if decode := phases.get("decode"):
        said += f" Prefill is the prompt; decode is all {decode['steps']:,} steps behind it."
    return said


def _behind(data: Mapping[str, Any]) -> str:
    """Tables, folded away."""
    phases, machine = data["phases"], data["accelerator"]
    tables = {"Operators, prefill beside decode": _operators(phases)}
    for name, phase in phases.items():
        tables[f"Cycles of {name} by cause"] = _causes(phase, machine["dataflow"])
        tables[f"Energy of {name} by component"] = _energy(phase)
        tables[f"What {name} moves"] = _bytes(phase)
    tables["Peak memory"] = _memory(data["answer"]["memory_bytes"])
    tables["The machine, value by value"] = accelerator_table(machine)
    return "\n".join(folded(title, table) for title, table in tables.items())


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
    gets = [
        f"The first token takes <strong>{quantity(answer['time_to_first_token_s'], 's')}</strong>."
    ]
    if (token := answer["time_per_output_token_s"]) is not None:
        gets.append(f"Each further one takes <strong>{quantity(token['mean'], 's')}</strong>.")
    if pruning := pruning_words(answer):
        gets.append(escaped(f"Pruning: {pruning}"))
    bounds = [
        _bound_words(name, phase, data["accelerator"]["dataflow"])
        for name, phase in data["phases"].items()
    ]
    return answers(
        {
            "What you get": " ".join(gets),
            "What bounds it": " ".join(bounds),
            "What to try": _try_words(data["advice"]),
        }
    )


def _bound_words(name: str, phase: Mapping[str, Any], dataflow: str) -> str:
    """The operator and the cause with the most cycles."""
    slow = max(phase["by_kind"], key=lambda each: each["cycles"])
    part = share_of(slow["cycles"], phase["cycles"], ".0f")
    said = f"In {name} {escaped(slow['kind'])} takes the largest part, {part} of the time."
    causes = phase["cycles_by_cause"]
    if most := max(causes, key=lambda cause: causes[cause], default=""):
        of_all = share_of(causes[most], phase["cycles"], ".0f")
        words = escaped(_cause_words(dataflow)[most])
        said += f" Of the causes, <strong>{spoken(most)}</strong> ({words}) has most cycles, "
        said += f"{of_all}."
    return said


def _try_words(advice: Sequence[Mapping[str, Any]] | None) -> str:
    """The change that saves most of the prompt, and of an output token."""
    if not advice:
        return "Run it again with <code>--advice</code> to see which change would help."
    said = []
    for key, words in (("prefill", "the prompt"), ("output_token", "an output token")):
        known = [each for each in advice if (each["difference"][key] or 0) <= -_MEANING]
        if known:
            best = min(known, key=lambda each: each["difference"][key])
            said.append(
                f"For {words} <strong>{escaped(best['change'])}</strong> saves most: "
                f"{change(best['difference'][key])} time."
            )
    return " ".join(said) or "None of the simulated changes saves 1 % of the time."


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
    items = [_advice_item(each, data["command"]) for each in data["advice"]]
    helpful, others = (
        [item for item, each in zip(items, data["advice"], strict=True) if _helps(each) is wanted]
        for wanted in (True, False)
    )
    content = advice_items(helpful, "helps")
    if others:
        content += folded(f"{len(others)} that do not help", advice_items(others, "rest"))
    return section("What would help", content)


def _helps(each: Mapping[str, Any]) -> bool:
    return any((value or 0) <= -_MEANING for value in each["difference"].values())


def _advice_item(each: Mapping[str, Any], command: str) -> str:
    difference = each["difference"]
    figures = [f"<strong>{change(difference['prefill'])}</strong> prompt"]
    if difference["output_token"] is not None:
        figures.append(f"<strong>{change(difference['output_token'])}</strong> output token")
    words = each["change"][:1].upper() + each["change"][1:]
    recipe = each["recipe"]
    how = (
        command_line(f"{command} {recipe}".strip())
        if recipe.startswith("--")
        else (f"<p>{escaped(recipe)}</p>")
    )
    return (
        f'<p class="change">{escaped(words)}</p>\n'
        f'<p class="differences">{" · ".join(figures)}</p>\n{how}'
    )


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


def _cause_words(dataflow: str) -> dict[str, str]:
    """What each cause of a phase means."""
    words = {name: cause.words for name, cause in causes_of(dataflow).items()}
    return words | {VECTOR: VECTOR_WORDS, "dram": DRAM_WORDS}


def _causes(phase: Mapping[str, Any], dataflow: str) -> str:
    words = _cause_words(dataflow)
    causes = {cause: cycles for cause, cycles in phase["cycles_by_cause"].items() if cycles}
    return parts_table("cause", "cycles", causes, phase["cycles"], words, lambda n: f"{n:,}")


def _energy(phase: Mapping[str, Any]) -> str:
    words = {name: component.words for name, component in COMPONENTS.items()}
    words[VECTOR] = OPERATION_WORDS
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
