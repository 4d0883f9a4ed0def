"""The report as a person reads it in a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from rich.console import Console

from accel_sim.costs.tables import energy_pj
from accel_sim.dataflows.abstract.dataflow import Machine
from accel_sim.machines.recipe import as_flags
from accel_sim.reports.glossary import BOUND, MODES, masks_words
from accel_sim.reports.number_text import (
    change,
    judged,
    left_to_save,
    limit,
    of_unchanged,
    quantity,
)
from accel_sim.reports.report import Report
from accel_sim.reports.results import LayerResult, Totals
from sparse_formats.terminal.tables import Column, print_table
from sparse_formats.untrusted import printable

COLUMNS = (
    Column("name"),
    Column("kind", rank=3),
    Column("shape", "right", rank=5),
    Column("density", "right", rank=2),
    Column("mode, groups\nan entry", "right", rank=4),
    Column("format", rank=9),
    Column("DRAM\nMB", "right", rank=6),
    Column("cycles", "right"),
    Column("ideal\ncompute", "right", rank=7),
    Column("ideal\nDRAM", "right", rank=8),
    Column("latency\nµs", "right", rank=1),
    Column("× dense", "right"),
    Column("utili-\nsation", "right", rank=2),
    Column("bound by", rank=1),
    Column("imba-\nlance", "right", rank=10),
    Column("energy\nµJ", "right"),
    Column("pJ per\nMAC", "right", rank=3),
)


def print_report(report: Report, console: Console) -> None:
    """What was read, the per-layer table, the total, where cycles and energy went, the notes."""
    machine, total = report.machine, report.total
    for sentence in report.mask.get("read", {}).get("sentences", ()):
        console.print(printable(sentence), soft_wrap=True)
    prefix, names = short_names([layer.name for layer in report.layers])
    columns, total_cells = list(COLUMNS), _total_cells(total)
    rows = [_cells(name, layer) for name, layer in zip(names, report.layers, strict=True)]
    if any(layer.runs != 1 or layer.tokens != total.tokens for layer in report.layers):
        columns.insert(3, Column("runs ×\ntokens", "right", rank=2))
        total_cells.insert(3, "")
        for row, layer in zip(rows, report.layers, strict=True):
            row.insert(3, f"{layer.runs}×{layer.tokens}")
    print_table(
        console,
        columns,
        rows,
        title=f"{machine.title}: {total.tokens} tokens, {machine.macs} MACs "
        f"at {machine.clock.clock_hz / 1e6:g} MHz",
        total=total_cells,
        footnotes=[f"names begin with {prefix}"] if prefix else [],
    )
    for line in _summary(report):
        console.print(printable(line), soft_wrap=True)


def short_names(names: Sequence[str]) -> tuple[str, list[str]]:
    """The common beginning of all names up to a dot, and the names without it."""
    split = [name.split(".") for name in names]
    shared = 0
    while len(names) > 1 and all(
        len(parts) > shared + 1 and parts[shared] == split[0][shared] for parts in split
    ):
        shared += 1
    prefix = "".join(f"{part}." for part in split[0][:shared])
    return prefix, [name[len(prefix) :].removesuffix(".weight") for name in names]


def _total_cells(total: Totals) -> list[str]:
    return [
        "total",
        f"{total.layers} matrices",
        "",
        _share(total.density),
        "",
        "",
        _amount(total.dram_bytes / 1e6),
        f"{total.cycles:,}",
        f"{total.ideal_compute_cycles:,}",
        f"{total.ideal_dram_cycles:,}",
        _amount(total.latency_s * 1e6),
        _number(total.speedup_vs_dense),
        _share(total.utilization),
        _bound(total),
        _number(total.imbalance),
        _amount(total.energy_j * 1e6),
        _number(total.pj_per_executed_mac),
    ]


def _cells(name: str, layer: LayerResult) -> list[str]:
    mode = MODES.get(layer.orientation, "")
    # Lanes that choose among s inputs each: "row 8 select 4".
    select = f" select {layer.lane_select}" if layer.lane_select > 1 else ""
    groups = f"{mode} {layer.lane_groups}{select}, " if mode else ""
    return [
        name,
        layer.kind,
        f"{layer.rows}×{layer.cols}",
        _share(layer.density),
        f"{groups}{_number(layer.mean_entry_weights, '.1f')}",
        layer.format,
        _amount(layer.dram_bytes / 1e6),
        f"{layer.cycles:,}",
        f"{layer.ideal_compute_cycles:,}",
        f"{layer.ideal_dram_cycles:,}",
        _amount(layer.latency_s * 1e6),
        _number(layer.speedup_vs_dense),
        _share(layer.utilization),
        _bound(layer),
        _number(layer.imbalance),
        _amount(layer.energy_j * 1e6),
        _number(layer.pj_per_executed_mac),
    ]


def _summary(report: Report) -> list[str]:
    total = report.total
    causes, energy = total.cycles_by_cause, total.energy_by_component_j
    lines = [
        "",
        *_limit(total),
        f"cycles   {_stack(causes, total.cycles)}",
        f"energy   {_stack(energy, total.energy_j)}; {_energy_band(total)}",
        f"GOPS/W   {_efficiency(report)}",
        *_calibration(report),
        f"area     {sum(report.area_mm2.values()):.2f} mm²: "
        + ", ".join(f"{part} {mm2:.2f}" for part, mm2 in _largest(report.area_mm2)),
        f"product  {_product(report)}",
        *_balance(total.imbalance, report.advice or ()),
        *_advice(report.advice),
        *_mask_advice(report.mask_advice),
    ]
    lines += _last_cycles(report)
    return lines + [f"note     {note}" for note in report.notes]


def _last_cycles(report: Report) -> list[str]:
    """What SCALE-Sim prints as "Total Cycles": the number, from 0, of the array's last cycle."""
    if not report.machine.numbers_last_cycle:
        return []
    last = [f"{layer.last_pass_cycle:,}" for layer in report.layers if layer.last_pass_cycle]
    shown = ", ".join(last[:6]) + (", …" if len(last) > 6 else "")
    return [f"last_cycle of the array alone, counted from 0 as SCALE-Sim does: {shown}"]


def _energy_band(total: Totals) -> str:
    low, high = (sum(total.energy_band_j[case].values()) * 1e6 for case in ("low", "high"))
    return f"{_amount(low)} … {_amount(high)} µJ from low to high cost tables"


def _efficiency(report: Report) -> str:
    """Each of the four GOPS/W with its band, and what is published."""
    gops, bands = report.total.gops_per_watt, report.total.gops_per_watt_band
    machine, published = report.machine, report.machine.published.gops_per_watt

    def shown(key: str) -> str:
        low, high = (_number(value, ",.0f") for value in bands[key])
        return f"{_number(gops[key], ',.0f')} ({low} … {high})"

    text = (
        f"core: executed {shown('executed_core')}, "
        f"dense-equivalent {shown('dense_equivalent_core')};  "
        f"with DRAM: executed {shown('executed_with_dram')}, "
        f"dense-equivalent {shown('dense_equivalent_with_dram')}"
    )
    if not published:
        return text
    whose = of_unchanged(machine.name, machine.values_set)
    return f"{text}   (published{whose}: {published:g}, basis unknown)"


def _limit(total: Totals) -> list[str]:
    if not total.limited_by:
        return []
    return [f"limit    {limit(total.limited_by)}; {left_to_save(total.limited_by)}"]


def _calibration(report: Report) -> list[str]:
    found = report.calibration
    if found is None:
        return []
    published, machine = found.published_gops_per_watt, report.machine
    whose = of_unchanged(machine.name, machine.values_set)
    return [
        f"CALIBRATED: core energy × {found.factor:.2f}, so that dense-equivalent core GOPS/W is "
        f"the published {published:g}{whose}; uncalibrated it is "
        f"{found.uncalibrated_gops_per_watt:,.0f}: "
        f"{found.missing_pj_per_mac:.2f} of {2e3 / published:.2f} pJ per dense MAC are in no "
        "cost table"
    ]


def _balance(imbalance: float | None, advice: Sequence[Mapping[str, Any]]) -> list[str]:
    """How uneven the PE rows' loads are, and what a perfect schedule would save."""
    if imbalance is None:
        return []
    line = f"balance  the heaviest PE row carries {imbalance:.2f} × the mean"
    for item in advice:
        if item["key"] == "schedule":
            line += f"; perfect balance: {change(item['difference']['cycles'])} cycles"
    return [line]


def _advice(advice: Sequence[Mapping[str, Any]] | None) -> list[str]:
    """What would help, the most first, what would do nothing, and what would harm; recipes below.

    Each figure stands beside its difference from this run.
    """
    if advice is None:
        return []
    lines = []
    for item in advice:
        lines.append(f"{judged(item):8} {item['change']}: {_costs(item)}")
        lines.append(f"         {_recipe(item)}")
    return lines


def _costs(item: Mapping[str, Any]) -> str:
    figures = {
        "cycles": f"{item['cycles']:,} cycles",
        "energy_j": quantity(item["energy_j"], "J"),
        "area_mm2": f"{item['area_mm2']:.2f} mm²",
        "energy_delay_js": quantity(item["energy_delay_js"], "Js"),
    }
    return ", ".join(
        f"{figure} ({change(item['difference'][key])})" for key, figure in figures.items()
    )


def _recipe(item: Mapping[str, Any]) -> str:
    return BOUND if item["settings"] is None else as_flags(item["settings"])


def _mask_advice(advice: Mapping[str, Any]) -> list[str]:
    """Other masks of the same density, and the commands that make them."""
    if not advice:
        return []
    lines = [f"masks    {masks_words(advice['model'])}"]
    for item in advice["commands"]:
        lines += [f"         {item['change']}:", f"         {item['command']}"]
    return lines


def _product(report: Report) -> str:
    products = [layer.product for layer in report.layers if layer.product is not None]
    compared = [product for product in products if product["is_equal"] is not None]
    if not compared:
        return "not computed, because the mask file has no weights or the check is switched off"
    wrong = [p for p in compared if not p["is_equal"]]
    worst = max(p["max_error_over_bound"] for p in compared)
    verdict = "DIFFERS from" if wrong else "equals"
    noted = sum(bool(product["note"]) for product in products)
    return (
        f"computed in scheduled order, {verdict} the dense masked product in "
        f"{len(compared) - len(wrong)} of {len(compared)} matrices "
        f"(largest error {worst:.2g} of the FP32 rounding bound)"
        + (f"; {noted} with a note in the report" if noted else "")
    )


def _largest(parts: Any) -> list[tuple[str, float]]:
    return sorted(parts.items(), key=lambda item: -item[1])[:5]


def _stack(parts: Any, whole: float) -> str:
    """`compute 71 %, dram 20 %, …`: what is at least half a per cent, largest first."""
    if not whole:
        return "–"
    shares = sorted(((value / whole, key) for key, value in parts.items()), reverse=True)
    return ", ".join(f"{key} {100 * share:.0f} %" for share, key in shares if share >= 0.005)


def _bound(result: LayerResult | Totals) -> str:
    """The unit that limits, or else the cause of most cycles."""
    for unit, busy in result.limited_by.items():
        return f"{unit} busy {100 * busy:.0f} %"
    cause = result.bound_by
    if cause is None:
        return "–"
    return f"{cause} {100 * result.cycles_by_cause[cause] / result.cycles:.0f} %"


def _amount(value: float) -> str:
    """Two decimals, or two significant digits where those would show nothing."""
    return f"{value:,.2f}" if value >= 0.1 or value == 0 else f"{value:.2g}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _number(value: float | None, form: str = ".2f") -> str:
    return "–" if value is None else format(value, form)


def print_accelerators(machines: Sequence[Machine], console: Console) -> None:
    """One line per machine that comes with the package."""
    columns = [Column(header) for header in ("name", "MACs", "clock", "description", "source")]
    rows = [
        (m.name, str(m.macs), f"{m.clock.clock_hz / 1e6:g} MHz", m.description, m.source)
        for m in machines
    ]
    print_table(console, columns, rows)


def print_memories(sheets: Mapping[str, Mapping[str, Any]], console: Console) -> None:
    """One line per memory that comes with the package; `sheets` from `memory.load_memory`."""
    aligned: tuple[tuple[str, Literal["left", "right"]], ...] = (
        ("memory", "left"),
        ("GB/s", "right"),
        ("burst B", "right"),
        ("reached at run of", "left"),
        ("pJ/bit", "right"),
        ("description", "left"),
    )
    rows = []
    for name, sheet in sheets.items():
        runs = zip(
            sheet["efficiency_run_bytes"]["value"],
            sheet["efficiency_permille"]["value"],
            strict=True,
        )
        reached = ", ".join(f"{run} B {permille / 10:g} %" for run, permille in runs)
        energy = energy_pj(f"dram_{sheet['energy']['value']}", "nominal") / 8
        peak = sheet["peak_bytes_per_second"]["value"] / 1e9
        burst = str(sheet["burst_bytes"]["value"])
        rows.append((name, f"{peak:g}", burst, reached, f"{energy:g}", sheet["description"]))
    print_table(console, [Column(header, align) for header, align in aligned], rows)


def print_memory(name: str, sheet: Mapping[str, Any], console: Console) -> None:
    """Every value of one memory with its mark and source."""
    console.print(f"{name}: {sheet['description']}", soft_wrap=True)
    _print_values([(key, item) for key, item in sheet.items() if key != "description"], console)


def print_accelerator(tree: Mapping[str, Any], console: Console) -> None:
    """Every value of one machine with its mark and source; `tree` from `accelerator.resolved`."""
    title = f"{tree['name']}: {tree['description']}\n{tree['source']}"
    for line in (*title.splitlines(), tree["note"]):
        console.print(line, soft_wrap=True)
    items = [
        (f"{section}.{key}", item)
        for section, values in tree.items()
        if isinstance(values, dict)
        for key, item in values.items()
    ]
    _print_values(items, console)


def _print_values(items: Sequence[tuple[str, Mapping[str, Any]]], console: Console) -> None:
    rows = []
    for key, item in items:
        value = item["value"]
        shown = str(value).lower() if isinstance(value, bool) else str(value)
        rows.append((key, shown, item["mark"], item["source"]))
    columns = [Column(header) for header in ("key", "value", "mark", "source")]
    print_table(console, columns, rows)
