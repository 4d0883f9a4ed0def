"""The report as one HTML page: no script, no network, everything from the file escaped.

Every figure is taken from the report as JSON; here it is only formatted.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import Any
from urllib.parse import quote

CAUSE_WORDS = {
    "compute": "multiplying kept weights",
    "empty_lanes": "multipliers idle beside others, because vectors do not fill an entry",
    "imbalance": "PE rows waiting for the one with the most work",
    "zero_skip": "looking for entries whose activations are not all zero",
    "window": "the activation needed next was not in the window yet",
    "decompressor": "PE rows waiting for weights to be decoded",
    "pipeline": "filling and draining the multiply pipeline",
    "dram": "waiting for weights to arrive from DRAM",
    "writeback": "waiting for results to be written out",
}
"""What each cause of docs/microarchitecture.md §7 means, in a few words."""

COMPONENT_WORDS = {
    "dram": "weights from memory (off the chip; all else is the core)",
    "weight_buffer": "compressed weights written once, read once per group of tokens",
    "decompressor": "decoding the format",
    "queues": "entries waiting for their PE row",
    "zero_skip": "inspecting entries for zero activations",
    "matching": "comparing indices, activation window",
    "activation_buffer": "reading the layer's input",
    "mac": "multiplications, and gating of empty lanes",
    "accumulators": "partial sums read and written",
    "writeback": "adding partial sums, writing the output",
    "leakage": "power that flows whatever is done",
}
"""What each component of docs/microarchitecture.md §9 spends its energy on."""

MARK_WORDS = {
    "published": "printed by the machine's authors or in a data sheet",
    "inferred": "follows from something published",
    "chosen": "our choice; no source gives it",
    "computed": "from another public model",
    "calibrated": "fitted so that a published figure comes out",
    "set": "changed for this run with --set",
}
"""What each mark of docs/microarchitecture.md means."""

CAPTIONS = {
    "cycles_by_cause.png": "Look for bars far longer than their black ideal mark: the colour that "
    "fills the gap names what to improve.",
    "energy_by_component.png": "Look at the hatched part first: it is traffic to DRAM, and only "
    "fewer bytes make it shorter.",
    "pe_load.png": "Look for dark red cells: a PE row with more than its share makes all others "
    "wait; an evenly pale row is a balanced layer.",
    "roofline.png": "Look at the distance to the black roof: points under its slope need fewer "
    "bytes, points under its flat part need fuller lanes (above the slope: fetched in part while "
    "the layer before was running).",
}
"""What to look for in each picture of `pictures.PICTURES`."""

_UNKNOWN = "–"


def page(data: Mapping[str, Any], picture_names: Sequence[str]) -> str:
    """The whole page; `data` is the report as JSON, pictures are files beside the page."""
    title = f"{_mask_name(data)} on {data['accelerator']['name']}"
    body = (
        _heading(data, title),
        _section("Verdict", _verdict(data) + _notes(data)),
        _cards(data),
        _section("Layer by layer", _layers_table(data)),
        *(_picture(name) for name in picture_names),
        _section("Where the cycles went", _cycles_table(data)),
        _section("Where the energy went", _energy_table(data)),
        _section("The machine, value by value", _accelerator_table(data["accelerator"])),
        _section("Energy and area per action", _cost_tables(data["tables"])),
        _footer(data),
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)}</title>\n<style>\n{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(body)
        + "\n</main>\n</body>\n</html>\n"
    )


def quantity(value: float | None, unit: str) -> str:
    """Three digits and an SI prefix: 0.000204 s → `204 µs`; None → `–`."""
    if value is None:
        return _UNKNOWN
    prefixes = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"))
    # Rounded first, so that 999.9996 µ becomes 1 m and not 1000 µ.
    rounded = float(f"{value:.3g}")
    scale, prefix = next(((s, p) for s, p in prefixes if abs(rounded) >= s), (1e-12, "p"))
    if not rounded:
        return f"0 {unit}"
    return f"{_three_digits(rounded / scale)} {prefix}{unit}"


def _three_digits(value: float) -> str:
    """1.00, 12.3, 123, 1,234: at least three digits, never an exponent."""
    decimals = 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
    return f"{value:,.{decimals}f}"


def _number(value: float | None, form: str = ",.2f") -> str:
    return _UNKNOWN if value is None else format(value, form)


def _share(value: float | None, form: str = ".1f") -> str:
    return _UNKNOWN if value is None else f"{100 * value:{form}} %"


def _share_of(part: float, whole: float, form: str = ".1f") -> str:
    return _share(part / whole if whole else None, form)


def _spoken(key: str) -> str:
    return escape(key.replace("_", " "))


def _section(title: str, content: str) -> str:
    return f"<section>\n<h2>{escape(title)}</h2>\n{content}\n</section>"


def _mask_name(data: Mapping[str, Any]) -> str:
    mask = data.get("mask") or {}
    source = str(mask.get("source") or "masks")
    return f"{mask['shapes']} ({source})" if mask.get("shapes") else source


def _heading(data: Mapping[str, Any], title: str) -> str:
    mask, total = data.get("mask") or {}, data["total"]
    facts = [f"{total['tokens']:,} tokens", _matrices(total["layers"])]
    facts.append(f"density {_share(total['density'])}")
    facts += [f"{key} {mask[key]}" for key in ("pattern", "seed") if mask.get(key) is not None]
    lines = [f'<p class="facts">{escape(" · ".join(facts))}</p>']
    if mask.get("sha256"):
        lines.append(f'<p class="hash">sha256 {escape(str(mask["sha256"]))}</p>')
    return f"<header>\n<h1>{escape(title)}</h1>\n" + "\n".join(lines) + "\n</header>"


def _matrices(count: int) -> str:
    return f"{count:,} {'matrix' if count == 1 else 'matrices'}"


def _verdict(data: Mapping[str, Any]) -> str:
    """The architect's question answered in four sentences."""
    total, layers = data["total"], data["layers"]
    sentences = (
        f"{total['tokens']:,} tokens through {_matrices(total['layers'])} take "
        f"<strong>{quantity(total['latency_s'], 's')}</strong> and "
        f"<strong>{quantity(total['energy_j'], 'J')}</strong>{_against_dense(total)}.",
        _bound_sentence(total),
        _costliest_sentence(layers, total),
        _efficiency_sentence(data),
    )
    return f'<p class="verdict">{" ".join(sentence for sentence in sentences if sentence)}</p>'


def _against_dense(total: Mapping[str, Any]) -> str:
    speedup = total["speedup_vs_dense"]
    if speedup is None:
        return ""
    dense = "the same machine with nothing pruned"
    if speedup < 1:
        return f", <strong>slower</strong> than {dense} ({speedup:.2f} times its speed)"
    return f", <strong>{speedup:.2f} times as fast</strong> as {dense}"


def _bound_sentence(total: Mapping[str, Any]) -> str:
    if not total["cycles"]:
        return "No cycle was spent: there was nothing to do."
    causes, bound = total["cycles_by_cause"], total["bound_by"]
    share = _share_of(causes[bound], total["cycles"], ".0f")
    meaning = f" ({CAUSE_WORDS[bound]})" if bound in CAUSE_WORDS else ""
    sentence = f"It is bound by <strong>{_spoken(bound)}</strong>{meaning}: {share} of the cycles"
    others = sorted((key for key in causes if key != bound), key=lambda key: -causes[key])
    if others and causes[others[0]]:
        second = _share_of(causes[others[0]], total["cycles"], ".0f")
        sentence += f", followed by {_spoken(others[0])} with {second}"
    ideal = f"{total['ideal_cycles']:,} of its {total['cycles']:,} cycles"
    return f"{sentence}; the ideal would be {ideal}."


def _costliest_sentence(layers: Sequence[Mapping[str, Any]], total: Mapping[str, Any]) -> str:
    if len(layers) < 2 or not total["cycles"]:
        return ""
    slow = max(layers, key=lambda layer: layer["cycles"])
    hungry = max(layers, key=lambda layer: layer["energy_j"])
    energy = f"{_share_of(hungry['energy_j'], total['energy_j'])} of the energy"
    # <wbr> lets a long dotted name break at its dots.
    name, other = (_breakable(layer["name"]) for layer in (slow, hungry))
    return (
        f"The costliest matrix is <strong>{name}</strong> with "
        f"{_share_of(slow['cycles'], total['cycles'])} of the cycles"
        + (f" and {energy}." if slow is hungry else f"; {other} takes the most energy, {energy}.")
    )


def _efficiency_sentence(data: Mapping[str, Any]) -> str:
    gops = data["total"]["gops_per_watt"]
    form = ",.0f"
    published = (data["accelerator"].get("published") or {}).get("gops_per_watt")
    beside = ""
    if published:
        beside = f" (its authors publish {published['value']:,g}: see its source below)"
    return (
        "In GOPS/W that is "
        f"<strong>{_number(gops['executed_with_dram'], form)}</strong> executed with DRAM and "
        f"{_number(gops['executed_core'], form)} in the core alone, or, counting the pruned "
        f"operations as done, {_number(gops['dense_equivalent_with_dram'], form)} and "
        f"{_number(gops['dense_equivalent_core'], form)}{beside}."
    )


def _breakable(name: str) -> str:
    return escape(name).replace(".", ".<wbr>")


def _notes(data: Mapping[str, Any]) -> str:
    notes = [*data.get("notes", ()), _product_note(data["layers"])]
    items = "\n".join(f"<li>{escape(str(note))}</li>" for note in notes if note)
    return f'\n<ul class="notes">\n{items}\n</ul>' if items else ""


def _product_note(layers: Iterable[Mapping[str, Any]]) -> str:
    """Whether the scheduled product was compared with the dense one, and agreed."""
    products = [layer["product"] for layer in layers if layer.get("product") is not None]
    compared = [product for product in products if product.get("is_equal") is not None]
    if not compared:
        return ""
    right = sum(bool(product["is_equal"]) for product in compared)
    return (
        "The output was computed in the scheduled order; it equals the dense masked product in "
        f"{right} of {_matrices(len(compared))}."
    )


def _cards(data: Mapping[str, Any]) -> str:
    total, area = data["total"], data["area_mm2"]
    energy = total["energy_by_component_j"]
    dram = _share_of(energy.get("dram", 0.0), total["energy_j"], ".0f")
    cards = (
        ("Latency", quantity(total["latency_s"], "s"), f"{total['cycles']:,} cycles"),
        (
            "Speed-up over dense",
            _times(total["speedup_vs_dense"]),
            f"dense: {total['dense_cycles']:,} cycles",
        ),
        ("Energy", quantity(total["energy_j"], "J"), f"DRAM: {dram}"),
        (
            "Per executed MAC",
            _with_unit(total["pj_per_executed_mac"], "pJ"),
            f"{quantity(total['macs_executed'], 'MAC')} executed",
        ),
        (
            "Utilisation",
            _share(total["utilization"]),
            f"ideal: {total['ideal_cycles']:,} cycles",
        ),
        (
            "Efficiency",
            _with_unit(total["gops_per_watt"]["executed_with_dram"], "GOPS/W", ",.0f"),
            "executed, with DRAM",
        ),
        ("DRAM traffic", quantity(total["dram_bytes"], "B"), "read and written"),
        ("Area", _with_unit(area["total"], "mm²"), _largest_area(area)),
    )
    items = "\n".join(
        f'<div class="card"><span class="label">{escape(label)}</span>'
        f'<span class="figure">{escape(figure)}</span>'
        f'<span class="beside">{escape(beside)}</span></div>'
        for label, figure, beside in cards
    )
    return f'<div class="cards">\n{items}\n</div>'


def _times(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value:,.2f}×"


def _with_unit(value: float | None, unit: str, form: str = ",.2f") -> str:
    return _UNKNOWN if value is None else f"{value:{form}} {unit}"


def _largest_area(area: Mapping[str, float]) -> str:
    parts = {part: mm2 for part, mm2 in area.items() if part != "total"}
    largest = max(parts, key=lambda part: parts[part], default="")
    if not largest:
        return ""
    return f"{largest.replace('_', ' ')}: {_share_of(parts[largest], area['total'], '.0f')}"


_LAYER_COLUMNS = (
    ("name", "text"),
    ("kind", "text"),
    ("shape", "number"),
    ("density", "number"),
    ("mean vector", "text"),
    ("format", "text"),
    ("DRAM MB", "number"),
    ("cycles", "number"),
    ("ideal cycles", "number"),
    ("latency µs", "number"),
    ("× dense", "number"),
    ("utilisation", "number"),
    ("bound by", "text"),
    ("energy µJ", "number"),
    ("pJ per MAC", "number"),
)


def _layers_table(data: Mapping[str, Any]) -> str:
    classes = [css for _, css in _LAYER_COLUMNS]
    head = "".join(f'<th scope="col" class="{css}">{name}</th>' for name, css in _LAYER_COLUMNS)
    rows = "\n".join(_row(_layer_cells(layer), classes) for layer in data["layers"])
    total = data["total"]
    foot = _row(("total", "", "", _share(total["density"]), "", "", *_costs(total)), classes)
    return _scrolled(
        f'<table class="layers">\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody>\n<tfoot>\n{foot}\n</tfoot>\n</table>"
    )


_ORIENTATIONS = {"horizontal": "horiz.", "vertical": "vert."}


def _layer_cells(layer: Mapping[str, Any]) -> tuple[str, ...]:
    orientation = _ORIENTATIONS.get(layer["orientation"], "")
    return (
        _breakable(layer["name"]),
        escape(layer["kind"]),
        f"{layer['rows']:,}×{layer['cols']:,}",
        _share(layer["density"]),
        f"{orientation} {_number(layer['mean_vector_length'], ',.1f')}",
        _spoken(layer["format"]),
        *_costs(layer),
    )


def _costs(result: Mapping[str, Any]) -> tuple[str, ...]:
    """The columns that a layer and the total share."""
    bound, cycles = result["bound_by"], result["cycles"]
    bounded = _UNKNOWN
    if bound is not None:
        share = _share_of(result["cycles_by_cause"][bound], cycles, ".0f")
        bounded = f"{_spoken(bound)} {share}"
    return (
        f"{result['dram_bytes'] / 1e6:,.3f}",
        f"{cycles:,}",
        f"{result['ideal_cycles']:,}",
        f"{result['latency_s'] * 1e6:,.1f}",
        _number(result["speedup_vs_dense"]),
        _share(result["utilization"]),
        bounded,
        f"{result['energy_j'] * 1e6:,.2f}",
        _number(result["pj_per_executed_mac"]),
    )


def _row(cells: Sequence[str], classes: Sequence[str]) -> str:
    """A table row; the first cell heads it. Cells are HTML already."""
    first = f'<th scope="row" class="{classes[0]}">{cells[0]}</th>'
    rest = (
        f'<td class="{css}">{cell}</td>' for cell, css in zip(cells[1:], classes[1:], strict=True)
    )
    return f"<tr>{first}{''.join(rest)}</tr>"


def _scrolled(table: str) -> str:
    return f'<div class="scrolled" tabindex="0">\n{table}\n</div>'


def _picture(name: str) -> str:
    caption = CAPTIONS.get(name, "")
    source, text = escape(quote(name)), escape(caption or name)
    return (
        f'<figure>\n<img src="{source}" alt="{escape(name)}">\n'
        f"<figcaption>{text}</figcaption>\n</figure>"
    )


def _cycles_table(data: Mapping[str, Any]) -> str:
    causes, whole = data["total"]["cycles_by_cause"], data["total"]["cycles"]
    return _parts_table("cause", "cycles", causes, whole, CAUSE_WORDS, lambda value: f"{value:,}")


def _energy_table(data: Mapping[str, Any]) -> str:
    parts, whole = data["total"]["energy_by_component_j"], data["total"]["energy_j"]
    words = COMPONENT_WORDS
    return _parts_table("component", "energy", parts, whole, words, lambda j: quantity(j, "J"))


def _parts_table(
    part: str,
    unit: str,
    values: Mapping[str, Any],
    whole: float,
    words: Mapping[str, str],
    shown: Callable[[Any], str],
) -> str:
    """What a total is made of: each part, its share drawn as a line, and what it means."""
    rows = "\n".join(
        _row(
            (
                _spoken(key),
                shown(value),
                _share_of(value, whole),
                _meter(value / whole if whole else 0.0),
                escape(words.get(key, "")),
            ),
            ("text", "number", "number", "meter", "text"),
        )
        for key, value in values.items()
    )
    return _scrolled(
        f'<table class="parts">\n<thead><tr><th scope="col">{part}</th>'
        f'<th scope="col" class="number">{unit}</th><th scope="col" class="number">share</th>'
        '<th scope="col"></th><th scope="col">what it is</th></tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody>\n</table>"
    )


def _meter(share: float) -> str:
    return f'<span class="bar" style="width:{100 * share:.1f}%"></span>' if share else ""


def _accelerator_table(accelerator: Mapping[str, Any]) -> str:
    """Every key with value, mark and source, in the order of the machine's file."""
    about = f"<p>{escape(accelerator['description'])}.</p>\n"
    about += f"<p>Source: {escape(accelerator['source'])}.</p>"
    classes = ("text", "number", "text", "text")
    rows = "\n".join(
        _row(
            (_breakable(key), escape(_value(item["value"])), _mark(item["mark"]), _source(item)),
            classes,
        )
        for key, item in _values(accelerator)
    )
    return f"{about}\n{_marks_legend(accelerator)}\n" + _scrolled(
        '<table class="machine">\n<thead><tr><th scope="col">key</th>'
        '<th scope="col" class="number">value</th><th scope="col">mark</th>'
        '<th scope="col">source</th></tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody>\n</table>"
    )


def _cost_tables(tables: Mapping[str, Sequence[Mapping[str, str]]]) -> str:
    """The tables that energy and area were counted with, row by row with mark and source."""
    return "\n".join(_cost_table(rows) for rows in tables.values())


def _cost_table(rows: Sequence[Mapping[str, str]]) -> str:
    plain = ("mark", "source")
    heads = "".join(f'<th scope="col">{escape(key.replace("_", " "))}</th>' for key in rows[0])
    body = "\n".join(
        _row(
            tuple(_mark(row[key]) if key == "mark" else escape(row[key]) for key in row),
            tuple("text" if key in plain or i == 0 else "number" for i, key in enumerate(row)),
        )
        for row in rows
    )
    head = f"<thead><tr>{heads}</tr></thead>"
    return _scrolled(f'<table class="costs">\n{head}\n<tbody>\n{body}\n</tbody>\n</table>')


def _values(accelerator: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return [
        (f"{section}.{key}", item)
        for section, items in accelerator.items()
        if isinstance(items, Mapping)
        for key, item in items.items()
    ]


def _value(value: Any) -> str:
    """As it would stand in the file, whole numbers with separators."""
    if value is None:
        return _UNKNOWN
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.12g}" if abs(value) < 1e15 else f"{value:g}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(_value(item) for item in value)
    return str(value)


def _source(item: Mapping[str, Any]) -> str:
    return escape(item["source"]) or _UNKNOWN


def _mark(mark: str) -> str:
    css = mark if mark in MARK_WORDS else "chosen"
    return f'<span class="mark {css}">{escape(mark)}</span>'


def _marks_legend(accelerator: Mapping[str, Any]) -> str:
    """How many values carry each mark, and what the mark means."""
    marks = [item["mark"] for _, item in _values(accelerator)]
    items = "\n".join(
        f"<li>{_mark(mark)} &nbsp;{marks.count(mark)} of {len(marks)}: {escape(meaning)}</li>"
        for mark, meaning in MARK_WORDS.items()
        if mark in marks
    )
    return f'<ul class="marks">\n{items}\n</ul>'


def _footer(data: Mapping[str, Any]) -> str:
    versions = " ".join(f"{name} {version}" for name, version in data["versions"].items())
    return (
        f"<footer>\n<p><code>{escape(data['command'])}</code></p>\n"
        f"<p>{escape(versions)} · {escape(data['timestamp'])}</p>\n</footer>"
    )


_STYLE = """\
:root {
  color-scheme: light dark;
  --paper: #ffffff; --raised: #f5f6f8; --ink: #1b1f24; --quiet: #59636e; --line: #d5d9de;
  --accent: #0b62a8; --warn: #9a5b00; --warn-paper: #fff6e5;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171b; --raised: #1e2329; --ink: #e6e9ec; --quiet: #9aa4af; --line: #363d46;
    --accent: #6cb4f0; --warn: #f0b760; --warn-paper: #2a2416;
  }
  img { filter: brightness(.9); }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
}
main { max-width: 88rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
p { margin: .4rem 0; }
.facts { color: var(--quiet); }
.hash { color: var(--quiet); font: .8rem/1.4 ui-monospace, monospace; overflow-wrap: anywhere; }
.verdict { font-size: 1.12rem; max-width: 62rem; overflow-wrap: anywhere; }
.notes {
  max-width: 62rem; margin: 1rem 0 0; padding: .6rem 1rem .6rem 2rem; color: var(--ink);
  background: var(--warn-paper); border-left: 4px solid var(--warn); overflow-wrap: anywhere;
}
.cards {
  display: grid; grid-template-columns: repeat(4, 1fr); gap: .7rem;
  max-width: 62rem; margin-top: 1.4rem;
}
.card {
  display: flex; flex-direction: column; padding: .7rem .9rem;
  background: var(--raised); border: 1px solid var(--line); border-radius: .5rem;
}
.card .label, .card .beside { font-size: .82rem; color: var(--quiet); }
.card .figure { font-size: 1.4rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.scrolled { overflow: auto; border: 1px solid var(--line); border-radius: .5rem; }
.scrolled:focus-visible { outline: 2px solid var(--accent); }
.scrolled:has(.layers) { max-height: 85vh; }
table { border-collapse: separate; border-spacing: 0; width: 100%; font-size: .85rem; }
th, td { padding: .32rem .5rem; text-align: left; vertical-align: top; font-weight: normal; }
tbody tr + tr > * { border-top: 1px solid var(--line); }
thead th {
  color: var(--quiet); vertical-align: bottom; background: var(--raised);
  border-bottom: 1px solid var(--line);
}
td.number, th.number {
  text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums;
}
th.number { white-space: normal; }
.layers td.text { white-space: nowrap; }
.layers thead th { position: sticky; top: 0; z-index: 1; }
.layers tfoot > tr > * {
  position: sticky; bottom: 0; font-weight: 600; background: var(--raised);
  border-top: 1px solid var(--line);
}
.layers th:first-child {
  position: sticky; left: 0; z-index: 1; background: var(--paper); min-width: 9rem;
  max-width: 20rem; overflow-wrap: anywhere; border-right: 1px solid var(--line);
}
.layers thead th:first-child, .layers tfoot th:first-child {
  z-index: 2; background: var(--raised);
}
.parts td.text { color: var(--quiet); min-width: 14rem; }
.parts th { white-space: nowrap; }
td.meter { width: 30%; min-width: 6rem; vertical-align: middle; }
.bar { display: block; height: .6rem; min-width: 1px; background: var(--accent); }
.machine td.number, .costs td.number { white-space: normal; }
.machine td:last-child, .costs td:last-child { color: var(--quiet); min-width: 14rem; }
figure { margin: 2.2rem 0 0; }
figure img {
  display: block; width: 100%; max-width: 70rem; height: auto; background: #ffffff;
  border: 1px solid var(--line); border-radius: .5rem;
}
figcaption { max-width: 62rem; margin-top: .4rem; color: var(--quiet); }
.marks { list-style: none; padding: 0; margin: .6rem 0 1rem; font-size: .9rem; }
.marks li { margin: .25rem 0; }
.mark {
  display: inline-block; min-width: 5.6rem; padding: 0 .5rem; text-align: center;
  font-size: .8rem; line-height: 1.5; border: 2px solid; border-radius: 1rem;
}
.mark.published { color: #ffffff; background: #00664b; border-color: #00664b; font-weight: 600; }
.mark.inferred { color: var(--accent); border-style: solid; }
.mark.chosen { color: var(--quiet); border-style: dashed; }
.mark.computed { color: var(--accent); border-style: double; border-width: 4px; }
.mark.calibrated { color: var(--warn); border-style: dotted; }
.mark.set { color: #ffffff; background: #a33b00; border-color: #a33b00; border-radius: .2rem; }
footer { margin-top: 2.5rem; font-size: .85rem; color: var(--quiet); overflow-wrap: anywhere; }
@media (max-width: 40rem) {
  main { padding: 1rem .8rem 2rem; }
  h1 { font-size: 1.35rem; }
  .verdict { font-size: 1rem; }
  .cards { grid-template-columns: 1fr 1fr; }
  .card .figure { font-size: 1.15rem; }
  .layers th:first-child { max-width: 7.5rem; min-width: 7.5rem; }
}
@media print { .scrolled { overflow: visible; max-height: none; } }
"""
