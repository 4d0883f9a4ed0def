"""The page of a comparison: the best of each figure, the pairs over each other, every pair.

data: as in compare.json.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from accel_sim.comparisons.compare_terminal import note_text, order_sentences
from accel_sim.comparisons.data import varying
from accel_sim.comparisons.measures import LOADS, MEASURES
from accel_sim.comparisons.quality import quality_measure
from accel_sim.comparisons.scatter import scatter
from accel_sim.reports.html import again, card_grid, document, drawn, footer, note_list, section
from accel_sim.reports.html_tables import scrolled, table_row
from accel_sim.reports.number_text import UNKNOWN, share, times
from sparse_formats.untrusted import escaped

_SCATTER_WORDS = (
    "<p>Hold the pointer on a point to see what it is, and click it for its command. The line "
    "joins the pairs that none beats in the two figures shown.</p>\n"
)


def comparison_page(data: Mapping[str, Any]) -> str:
    """The whole page."""
    title = f"Comparison: {data['subject']}"
    orders = [" ".join(order_sentences(order)) for order in data["energy_orders"]]
    notes = [note_text(note) for of_kind in data["notes"].values() for note in of_kind]
    body = [
        f"<header>\n<h1>{escaped(title)}</h1>\n{_facts(data)}\n</header>",
        section("The best of each figure", _cards(data)),
        section("The pairs over each other", _SCATTER_WORDS + drawn("pairs", "Pairs")),
        section("Every pair", _table(data)),
        *([section("Who needs less energy", note_list(orders))] if orders else []),
        *([section("Notes", note_list(notes))] if notes else []),
        section("Masks", note_list(_mask(mask) for mask in data["masks"]) + again(data["command"])),
        footer(data),
    ]
    return document(title, body, {"scatters": [scatter(data).as_data()]})


def _facts(data: Mapping[str, Any]) -> str:
    pairs = data["pairs"]
    facts = [f"{len(data['masks'])} masks", f"{len(data['accelerators'])} accelerators"]
    for key, words in LOADS[data["kind"]].items():
        values = dict.fromkeys(pair[key] for pair in pairs)
        facts.append(f"{words} {', '.join(f'{value:,}' for value in values)}")
    equal = {"macs": "equal MACs", "area": "equal area"}.get(data["equal"])
    facts += [equal] if equal else []
    return f'<p class="facts">{escaped(" · ".join(facts))}</p>'


def _cards(data: Mapping[str, Any]) -> str:
    cards = []
    for measure in MEASURES[data["kind"]]:
        known = [
            pair for pair in data["pairs"] if pair[measure.key] is not None and not pair["is_dense"]
        ]
        if not known:
            continue
        sign = -1 if measure.is_rate else 1
        best = min(known, key=lambda pair: sign * pair[measure.key])
        loads = [f"{words} {best[key]:,}" for key, words in LOADS[data["kind"]].items()]
        where = ", ".join([f"{best['mask']} on {best['accelerator']}", *loads])
        cards.append((measure.words, measure.text(best[measure.key]), where))
    return card_grid(cards)


def _table(data: Mapping[str, Any]) -> str:
    pairs, kind = data["pairs"], data["kind"]
    keys = varying(data, pairs) or ["accelerator"]
    measures = [m for m in MEASURES[kind] if any(pair[m.key] is not None for pair in pairs)]
    heads = [(LOADS[kind].get(key, key), "text") for key in keys]
    for column in _more(data, pairs[0]):
        heads.append((column[0], column[2]))
    for measure in measures:
        heads += [(measure.words, "number"), ("/ first", "number"), ("/ dense", "number")]
    classes = [css for _, css in heads]
    rows = []
    for pair in pairs:
        cells = [
            escaped(f"{pair[key]:,}" if isinstance(pair[key], int) else pair[key]) for key in keys
        ]
        cells += [escaped(text) for _, text, _ in _more(data, pair)]
        for measure in measures:
            cells += [
                measure.text(pair[measure.key]),
                times(pair["over_first"][measure.key]),
                "" if pair["is_dense"] else times(pair["over_dense"][measure.key]),
            ]
        rows.append(table_row(cells, classes))
    head = "".join(f'<th scope="col" class="{css}">{escaped(name)}</th>' for name, css in heads)
    words = (
        "<p>/ first is over the first pair, / dense over the accelerator's own dense run."
        + (
            " <em>Needed</em> is the share of issued multiplications that a kept weight needs."
            if kind == "products"
            else ""
        )
        + "</p>"
    )
    return words + scrolled(
        f'<table class="parts sortable">\n<thead><tr>{head}</tr></thead>\n<tbody>\n'
        + "\n".join(rows)
        + "\n</tbody>\n</table>"
    )


def _more(data: Mapping[str, Any], pair: Mapping[str, Any]) -> Sequence[tuple[str, str, str]]:
    """What stands between the names and the figures: header, text, class."""
    found = [
        ("kept", share(pair["density"]), "number"),
        ("MACs", f"{pair['macs']:,}", "number"),
        ("bound by", (pair["bound_by"] or UNKNOWN).replace("_", " "), "text"),
    ]
    if data["kind"] == "products":
        found += [
            ("stored as", pair["stored"], "text"),
            ("weights", "stay on chip" if pair["is_resident"] else "are loaded", "text"),
            ("needed", share(pair["needed_share"]), "number"),
            ("cycles", f"{pair['cycles']:,}", "number"),
        ]
    if data["quality"] is not None:
        measure = quality_measure(data["quality"])
        found.append((measure.words, measure.text(pair["quality"]), "number"))
    return found


def _mask(mask: Mapping[str, Any]) -> str:
    parts = [str(mask["source"])] if mask.get("source") != mask["name"] else []
    parts += [f"{key} {mask[key]}" for key in ("pattern", "density", "seed") if key in mask]
    parts += [f"sha256 {mask['sha256']}"] if mask.get("sha256") else []
    return f"{mask['name']}: {', '.join(parts)}"
