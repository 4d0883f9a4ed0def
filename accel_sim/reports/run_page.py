"""The page of one run: the verdict, why it is not faster, what would help, every matrix.

Every figure is taken from the report as JSON; here it is only formatted.
"""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from accel_sim.reports.figures.mask_picture import MaskPicture
from accel_sim.reports.figures.timeline import Timeline
from accel_sim.reports.glossary import masks_words
from accel_sim.reports.html import (
    again,
    card_grid,
    document,
    drawn,
    folded,
    footer,
    item_sections,
    note_list,
    section,
)
from accel_sim.reports.html_advice import advice_list, mask_advice_list
from accel_sim.reports.html_tables import (
    accelerator_table,
    cost_tables,
    cycles_table,
    efficiency_table,
    energy_table,
)
from accel_sim.reports.number_text import (
    matrices,
    quantity,
    share,
    share_of,
    times,
    with_unit,
)
from accel_sim.reports.page_items import MOST_PICTURES
from accel_sim.reports.run_figures import run_figures
from accel_sim.reports.verdict import calibrated_to, efficiency_sentence, verdict
from sparse_formats.untrusted import escaped


def run_page(
    data: Mapping[str, Any],
    pictures: Mapping[str, MaskPicture],
    timelines: Mapping[str, Timeline],
) -> str:
    """The whole page. data: the report as JSON; pictures, timelines: as of `Report`."""
    title = f"{_mask_name(data)} on {data['accelerator']['title']}"
    figures = run_figures(data, pictures, timelines)
    body = (
        _heading(data, title),
        section("Verdict", verdict(data)),
        _cards(data),
        section(_why(data), _explained(_WATERFALL) + drawn("waterfall", "From ideal to real")),
        _advice(data),
        section("Where cycles and energy go", _explained(_BARS) + drawn("bars", "By cause")),
        *item_sections("matrix", "Every matrix"),
        section("What to know about this run", _notes(data, pictures)),
        section("The figures behind it", _behind(data)),
        footer(data),
    )
    return document(title, body, {"run": figures.as_data()})


_WATERFALL = (
    "Each line is one step from the run with nothing pruned (1.00×) to this run. The factors "
    "multiply to the simulated speed-up."
)
_BARS = (
    "One bar for each kind of matrix. Open a kind to see its matrices; click one to see it closely."
)


def _explained(words: str) -> str:
    return f"<p>{escaped(words)}</p>\n"


def _mask_name(data: Mapping[str, Any]) -> str:
    mask = data.get("mask") or {}
    source = PurePath(str(mask.get("source") or "masks")).name
    return f"{mask['shapes']} ({source})" if mask.get("shapes") else source


def _heading(data: Mapping[str, Any], title: str) -> str:
    mask, total = data.get("mask") or {}, data["total"]
    facts = [f"{total['tokens']:,} tokens", matrices(total["layers"])]
    facts.append(f"density {share(total['density'])}")
    facts += [f"{key} {mask[key]}" for key in ("pattern", "seed") if mask.get(key) is not None]
    lines = [f'<p class="facts">{escaped(" · ".join(facts))}</p>']
    return f"<header>\n<h1>{escaped(title)}</h1>\n" + "\n".join(lines) + "\n</header>"


def _why(data: Mapping[str, Any]) -> str:
    """The question of the waterfall, with this run's figures."""
    steps, speedup = data["total"]["waterfall"], data["total"]["speedup_vs_dense"]
    if not steps or speedup is None:
        return "From ideal to real"
    promised = next(each["factor"] for each in steps if each["step"] == "kept_weights")
    if abs(promised - speedup) < 0.005:
        return f"Why {times(speedup)}?"
    return f"Why {times(speedup)} and not {times(promised)}?"


def _advice(data: Mapping[str, Any]) -> str:
    if data.get("advice") is None:
        return ""
    content = _explained(
        "Each line simulates the same run on the machine with this one change. A difference in "
        "cycles below 1 % has no meaning. Each command gives exactly these cycles."
    )
    content += advice_list(data["advice"], data["command"])
    if data.get("mask_advice"):
        masks = data["mask_advice"]
        content += f"\n<p>{escaped(masks_words(masks['model']))}</p>\n"
        content += mask_advice_list(masks["commands"])
    return section("What would help", content)


def _notes(data: Mapping[str, Any], pictures: Mapping[str, MaskPicture]) -> str:
    mask = data.get("mask") or {}
    read = (mask.get("read") or {}).get("sentences", ())
    fewer = (
        f"The page draws the masks of the {MOST_PICTURES} matrices with the most cycles."
        if len(pictures) > MOST_PICTURES
        else ""
    )
    notes = note_list([*read, *data.get("notes", ()), _product_note(data["layers"]), fewer])
    digest = mask.get("sha256")
    hashed = f'\n<p class="hash">sha256 {escaped(str(digest))}</p>' if digest else ""
    return notes + hashed + again(data["command"])


def _product_note(layers: Any) -> str:
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


def _largest_area(area: Mapping[str, float]) -> str:
    parts = {part: mm2 for part, mm2 in area.items() if part != "total"}
    largest = max(parts, key=lambda part: parts[part], default="")
    if not largest:
        return ""
    return f"{largest.replace('_', ' ')}: {share_of(parts[largest], area['total'], '.0f')}"


def _behind(data: Mapping[str, Any]) -> str:
    efficiency = (
        f"<p>{efficiency_sentence(data)}</p>\n{calibrated_to(data)}{efficiency_table(data)}"
    )
    parts = {
        "Cycles by cause": cycles_table(data),
        "Energy by component": energy_table(data) + _band(data),
        "Operations per joule": efficiency,
        "The machine, value by value": accelerator_table(data["accelerator"]),
        "Energy and area per action": cost_tables(data["tables"]),
    }
    return "\n".join(folded(title, content) for title, content in parts.items())


def _band(data: Mapping[str, Any]) -> str:
    low, high = (sum(data["total"]["energy_band_j"][case].values()) for case in ("low", "high"))
    return (
        f"\n<p>The energy is {quantity(low, 'J')} with every row of the cost tables low, and "
        f"{quantity(high, 'J')} with every row high.</p>"
    )
