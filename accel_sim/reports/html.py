"""The report as one HTML page: no script, no network, everything from the file escaped.

Every figure is taken from the report as JSON; here it is only formatted.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from accel_sim.dataflows.abstract.causes import Cause
from accel_sim.dataflows.registry import causes_of
from accel_sim.reports.glossary import CAPTIONS, masks_words
from accel_sim.reports.html_tables import (
    accelerator_table,
    advice_table,
    cost_tables,
    cycles_table,
    efficiency_table,
    energy_table,
    layers_table,
    mask_advice_table,
)
from accel_sim.reports.number_text import (
    breakable,
    left_to_save,
    limit,
    matrices,
    number,
    of_unchanged,
    quantity,
    share,
    share_of,
    spoken,
    times,
    with_unit,
)
from sparse_formats.untrusted import escaped


def page(data: Mapping[str, Any], picture_names: Sequence[str]) -> str:
    """The whole page; `data` is the report as JSON, pictures are files beside the page."""
    title = f"{_mask_name(data)} on {data['accelerator']['title']}"
    body = (
        _heading(data, title),
        section("Verdict", _verdict(data) + _notes(data)),
        _cards(data),
        _advice(data),
        section("Layer by layer", layers_table(data)),
        *(_picture(name) for name in picture_names),
        section("Where the cycles went", cycles_table(data)),
        section("Where the energy went", energy_table(data) + _band(data)),
        section("Operations per joule", _calibration(data) + efficiency_table(data)),
        section("The machine, value by value", accelerator_table(data["accelerator"])),
        section("Energy and area per action", cost_tables(data["tables"])),
        footer(data),
    )
    return document(title, body)


def document(title: str, body: Iterable[str]) -> str:
    """A page with these parts, which are HTML already."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escaped(title)}</title>\n<style>\n{_style()}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(body)
        + "\n</main>\n</body>\n</html>\n"
    )


def section(title: str, content: str) -> str:
    """A part of a page under its heading; the content is HTML already."""
    return f"<section>\n<h2>{escaped(title)}</h2>\n{content}\n</section>"


def _mask_name(data: Mapping[str, Any]) -> str:
    mask = data.get("mask") or {}
    source = str(mask.get("source") or "masks")
    return f"{mask['shapes']} ({source})" if mask.get("shapes") else source


def _heading(data: Mapping[str, Any], title: str) -> str:
    mask, total = data.get("mask") or {}, data["total"]
    facts = [f"{total['tokens']:,} tokens", matrices(total["layers"])]
    facts.append(f"density {share(total['density'])}")
    facts += [f"{key} {mask[key]}" for key in ("pattern", "seed") if mask.get(key) is not None]
    lines = [f'<p class="facts">{escaped(" · ".join(facts))}</p>']
    if mask.get("sha256"):
        lines.append(f'<p class="hash">sha256 {escaped(str(mask["sha256"]))}</p>')
    return f"<header>\n<h1>{escaped(title)}</h1>\n" + "\n".join(lines) + "\n</header>"


def _verdict(data: Mapping[str, Any]) -> str:
    """The architect's question answered in a few sentences."""
    total, layers = data["total"], data["layers"]
    sentences = (
        f"{total['tokens']:,} tokens through {matrices(total['layers'])} take "
        f"<strong>{quantity(total['latency_s'], 's')}</strong> and "
        f"<strong>{quantity(total['energy_j'], 'J')}</strong>{_against_dense(total)}.",
        _bound_sentence(total, causes_of(data["accelerator"]["dataflow"])),
        _costliest_sentence(layers, total),
        _balance_sentence(data),
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


def _bound_sentence(total: Mapping[str, Any], known: Mapping[str, Cause]) -> str:
    if not total["cycles"]:
        return "No cycle was spent, because there was nothing to do."
    causes, bound = total["cycles_by_cause"], total["bound_by"]
    part = share_of(causes[bound], total["cycles"], ".0f")
    meaning = f" ({known[bound].words})"
    limited_by = total["limited_by"]
    if limited_by:
        sentence = (
            f"It is limited by <strong>{escaped(limit(limited_by))}</strong>; "
            f"{left_to_save(limited_by)}. Of the causes, {spoken(bound)}{meaning} has most cycles, "
            f"{part}"
        )
    else:
        sentence = f"It is bound by <strong>{spoken(bound)}</strong>{meaning}: {part} of the cycles"
    others = sorted((key for key in causes if key != bound), key=lambda key: -causes[key])
    if others and causes[others[0]]:
        second = share_of(causes[others[0]], total["cycles"], ".0f")
        sentence += f", followed by {spoken(others[0])} with {second}"
    ideal = f"{total['ideal_cycles']:,} of its {total['cycles']:,} cycles"
    return f"{sentence}; the ideal would be {ideal}."


def _costliest_sentence(layers: Sequence[Mapping[str, Any]], total: Mapping[str, Any]) -> str:
    if len(layers) < 2 or not total["cycles"]:
        return ""
    slow = max(layers, key=lambda layer: layer["cycles"])
    hungry = max(layers, key=lambda layer: layer["energy_j"])
    energy = f"{share_of(hungry['energy_j'], total['energy_j'])} of the energy"
    # <wbr> lets a long dotted name break at its dots.
    name, other = (breakable(layer["name"]) for layer in (slow, hungry))
    return (
        f"The costliest matrix is <strong>{name}</strong> with "
        f"{share_of(slow['cycles'], total['cycles'])} of the cycles"
        + (f" and {energy}." if slow is hungry else f"; {other} takes the most energy, {energy}.")
    )


def _efficiency_sentence(data: Mapping[str, Any]) -> str:
    gops = data["total"]["gops_per_watt"]
    form = ",.0f"
    published = (data["accelerator"].get("published") or {}).get("gops_per_watt")
    beside = ""
    if published:
        beside = (
            f" (its authors publish {published['value']:,g}{_of_unchanged(data)}; see the source "
            "below)"
        )
    is_calibrated = data.get("calibration") is not None
    return (
        f"The{' calibrated' if is_calibrated else ''} efficiency in GOPS/W is "
        f"<strong>{number(gops['executed_with_dram'], form)}</strong> with DRAM and "
        f"{number(gops['executed_core'], form)} for the core alone. If pruned operations count "
        f"as done, it is {number(gops['dense_equivalent_with_dram'], form)} and "
        f"{number(gops['dense_equivalent_core'], form)}{beside}."
    )


def _balance_sentence(data: Mapping[str, Any]) -> str:
    """How uneven the PE rows' loads are, and what a perfect schedule would save."""
    imbalance, advice = data["total"]["imbalance"], data.get("advice") or ()
    if imbalance is None:
        return ""
    sentence = f"The heaviest PE row carries {imbalance:.2f} times the mean"
    bound = next((item for item in advice if item["key"] == "schedule"), None)
    if bound is not None and bound["difference"]["cycles"] is not None:
        saving = -bound["difference"]["cycles"] or 0.0
        sentence += f"; perfect balance would save {share(saving)} of the cycles"
    return f"{sentence}."


def _advice(data: Mapping[str, Any]) -> str:
    if data.get("advice") is None:
        return ""
    explained = (
        "<p>Each line simulates the same run on the machine with this one change, beside the "
        "difference from this run. Whether it helps is judged by the cycles, of which a difference "
        "below 1 % has no meaning. The last column, typed behind the command of this run, gives "
        "exactly these cycles.</p>\n"
    )
    content = explained + advice_table(data)
    if data.get("mask_advice"):
        masks = data["mask_advice"]
        content += f"\n<p>{escaped(masks_words(masks['model']))}</p>\n"
        content += mask_advice_table(masks["commands"])
    return section("What would help", content)


def _band(data: Mapping[str, Any]) -> str:
    low, high = (sum(data["total"]["energy_band_j"][case].values()) for case in ("low", "high"))
    return (
        f"\n<p>The energy is {quantity(low, 'J')} with every row of the cost tables low, and "
        f"{quantity(high, 'J')} with every row high.</p>"
    )


def _calibration(data: Mapping[str, Any]) -> str:
    """What the calibration did, in the box of warnings; nothing for a run without."""
    fit = data.get("calibration")
    if fit is None:
        return ""
    published = fit["published_gops_per_watt"]
    return (
        '<ul class="notes">\n<li class="calibrated">Calibrated: all core energy is multiplied by '
        f"{fit['factor']:.2f}, so that dense-equivalent core GOPS/W is the published "
        f"{published:g}{_of_unchanged(data)}. Uncalibrated it is "
        f"{fit['uncalibrated_gops_per_watt']:,.0f}: "
        f"{fit['missing_pj_per_mac']:.2f} of {2e3 / published:.2f} pJ per dense MAC are in no "
        "cost table.</li>\n</ul>\n"
    )


def _of_unchanged(data: Mapping[str, Any]) -> str:
    machine = data["accelerator"]
    return escaped(of_unchanged(machine["name"], machine["values_set"]))


def _style() -> str:
    return Path(__file__).with_name("page.css").read_text(encoding="utf-8")


def _notes(data: Mapping[str, Any]) -> str:
    read = ((data.get("mask") or {}).get("read") or {}).get("sentences", ())
    return note_list([*read, *data.get("notes", ()), _product_note(data["layers"])])


def note_list(notes: Iterable[Any]) -> str:
    """Notes as a list, "" where there are none."""
    items = "\n".join(f"<li>{escaped(str(note))}</li>" for note in notes if note)
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
        f"{right} of {matrices(len(compared))}."
    )


def _cards(data: Mapping[str, Any]) -> str:
    total, area = data["total"], data["area_mm2"]
    energy = total["energy_by_component_j"]
    dram = share_of(energy.get("dram", 0.0), total["energy_j"], ".0f")
    cards = (
        ("Latency", quantity(total["latency_s"], "s"), f"{total['cycles']:,} cycles"),
        (
            "Speed-up over dense",
            times(total["speedup_vs_dense"]),
            f"dense: {total['dense_cycles']:,} cycles",
        ),
        ("Energy", quantity(total["energy_j"], "J"), f"DRAM: {dram}"),
        (
            "Per executed MAC",
            with_unit(total["pj_per_executed_mac"], "pJ"),
            f"{quantity(total['macs_executed'], 'MAC')} executed",
        ),
        (
            "Utilisation",
            share(total["utilization"]),
            f"ideal: {total['ideal_cycles']:,} cycles",
        ),
        (
            "Efficiency",
            with_unit(total["gops_per_watt"]["executed_with_dram"], "GOPS/W", ",.0f"),
            "executed, with DRAM",
        ),
        ("DRAM traffic", quantity(total["dram_bytes"], "B"), "read and written"),
        ("Area", with_unit(area["total"], "mm²"), _largest_area(area)),
    )
    return card_grid(cards)


def card_grid(cards: Iterable[tuple[str, str, str]]) -> str:
    """Figures that are seen first: each with its name, and what stands beside it."""
    items = "\n".join(
        f'<div class="card"><span class="label">{escaped(label)}</span>'
        f'<span class="figure">{escaped(figure)}</span>'
        f'<span class="beside">{escaped(beside)}</span></div>'
        for label, figure, beside in cards
    )
    return f'<div class="cards">\n{items}\n</div>'


def _largest_area(area: Mapping[str, float]) -> str:
    parts = {part: mm2 for part, mm2 in area.items() if part != "total"}
    largest = max(parts, key=lambda part: parts[part], default="")
    if not largest:
        return ""
    return f"{largest.replace('_', ' ')}: {share_of(parts[largest], area['total'], '.0f')}"


def _picture(name: str) -> str:
    caption = CAPTIONS.get(name, "")
    source, text = escaped(quote(name)), escaped(caption or name)
    return (
        f'<figure>\n<img src="{source}" alt="{escaped(name)}">\n'
        f"<figcaption>{text}</figcaption>\n</figure>"
    )


def footer(data: Mapping[str, Any]) -> str:
    """The command, the versions and the time of a report."""
    versions = " ".join(f"{name} {version}" for name, version in data["versions"].items())
    return (
        f"<footer>\n<p><code>{escaped(data['command'])}</code></p>\n"
        f"<p>{escaped(versions)} · {escaped(data['timestamp'])}</p>\n</footer>"
    )
