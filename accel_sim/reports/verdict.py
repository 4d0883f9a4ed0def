"""The architect's questions answered in sentences: how fast, what bounds it, what to try."""

from collections.abc import Mapping, Sequence
from typing import Any

from accel_sim.dataflows.abstract.causes import Cause
from accel_sim.dataflows.registry import causes_of
from accel_sim.reports.number_text import (
    breakable,
    change,
    judged,
    left_to_save,
    limit,
    matrices,
    number,
    of_unchanged,
    quantity,
    share,
    share_of,
    spoken,
)
from sparse_formats.untrusted import escaped


def verdict(data: Mapping[str, Any]) -> str:
    """Three answers: what the run gets, what bounds it, and what to try. data: report as JSON."""
    total, layers = data["total"], data["layers"]
    gets = (
        f"{total['tokens']:,} tokens through {matrices(total['layers'])} take "
        f"<strong>{quantity(total['latency_s'], 's')}</strong> and "
        f"<strong>{quantity(total['energy_j'], 'J')}</strong>{_against_dense(total)}."
    )
    bounds = (
        _bound_sentence(total, causes_of(data["accelerator"]["dataflow"])),
        _costliest_sentence(layers, total),
        _balance_sentence(data),
    )
    return answers(
        {
            "What you get": gets,
            "What bounds it": " ".join(each for each in bounds if each),
            "What to try": _try_sentences(data),
        }
    )


def answers(answered: Mapping[str, str]) -> str:
    """Answers by what they answer; they are HTML already."""
    items = "\n".join(
        f"<dt>{escaped(about)}</dt>\n<dd>{answer}</dd>"
        for about, answer in answered.items()
        if answer
    )
    return f'<dl class="verdict">\n{items}\n</dl>'


def _try_sentences(data: Mapping[str, Any]) -> str:
    """The best of what was simulated, or how to simulate it."""
    total, advice = data["total"], data.get("advice")
    if not total["cycles"]:
        return ""
    said = []
    computing = total["cycles_by_cause"].get("compute", 0)
    if 2 * computing >= total["cycles"]:
        said.append(
            f"{share_of(computing, total['cycles'], '.0f')} of the cycles multiply kept weights: "
            "only fewer weights or more multipliers shorten these."
        )
        waits_for = total["ideal_dram_cycles"]
        if waits_for > computing:
            said.append(
                f"More multipliers alone save at most "
                f"{share_of(total['cycles'] - waits_for, total['cycles'])} of the cycles, "
                f"because the DRAM needs {waits_for:,}."
            )
    if advice is None:
        said.append("Run it again with <code>--advice</code> to see which change would help.")
        return " ".join(said)
    helpful = [item for item in advice if item["settings"] is not None and judged(item) == "helps"]
    if not helpful:
        said.append(
            f"None of the {len(advice)} simulated changes of the machine saves 1 % of the cycles."
            if advice
            else "No change of this machine is known that could be simulated."
        )
    for item in helpful[:1]:
        said.append(
            f"Of the simulated changes of the machine, <strong>{escaped(item['change'])}</strong> "
            f"saves most: {share(-item['difference']['cycles'])} of the cycles, with "
            f"{change(item['difference']['energy_j'])} energy and "
            f"{change(item['difference']['area_mm2'])} area."
        )
    thrifty = min(helpful, key=_energy_delay, default=None)
    if thrifty is not None and thrifty is not helpful[0] and _energy_delay(thrifty) < 0:
        said.append(
            f"Best for energy × delay is <strong>{escaped(thrifty['change'])}</strong>, with "
            f"{change(thrifty['difference']['energy_delay_js'])}."
        )
    if data.get("mask_advice"):
        said.append("Commands for this and for other masks stand under <em>What would help</em>.")
    return " ".join(said)


def _energy_delay(item: Mapping[str, Any]) -> float:
    """How much more it is than without the change, as a share; 0 where that is undefined."""
    return item["difference"]["energy_delay_js"] or 0.0


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
        sentence += (
            f", followed by {spoken(others[0])} with {second} ({escaped(known[others[0]].words)})"
        )
    ideal = f"{total['ideal_cycles']:,} of its {total['cycles']:,} cycles"
    dram_needs_more = total["ideal_dram_cycles"] > total["ideal_compute_cycles"]
    needed_by = "the DRAM needs" if dram_needs_more else "the kept weights need"
    return f"{sentence}; the ideal would be {ideal}, which {needed_by}."


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


def efficiency_sentence(data: Mapping[str, Any]) -> str:
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


def _of_unchanged(data: Mapping[str, Any]) -> str:
    machine = data["accelerator"]
    return escaped(of_unchanged(machine["name"], machine["values_set"]))


def calibrated_to(data: Mapping[str, Any]) -> str:
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
