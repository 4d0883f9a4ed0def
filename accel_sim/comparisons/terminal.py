"""Comparisons as a person reads them: validate, compare and diff in a terminal."""

from collections.abc import Iterable, Sequence

from rich.console import Console

from accel_sim.comparisons.compare import QUANTITIES, Pair
from accel_sim.comparisons.diff import Change, Diff, LayerDiff
from accel_sim.comparisons.energy_order import EnergyOrder, Flip, energy_orders
from accel_sim.reports.number_text import number, quantity, share, times
from accel_sim.validation.agreement import WITNESSES, Finding
from sparse_formats.terminal.tables import Column, print_table
from sparse_formats.untrusted import printable

_FINDING_COLUMNS = (
    Column("machine"),
    Column("what"),
    Column("theirs", "right"),
    Column("ours", "right"),
    Column("error", "right"),
    Column("mark"),
    Column("agreement"),
    Column("source", rank=2),
    Column("note", rank=3),
)


def print_findings(found: Iterable[Finding], console: Console) -> bool:
    """A table for each witness, and whether all that are asserted hold, which is returned."""
    findings, holds = list(found), True
    for witness, heading in WITNESSES.items():
        of_witness = [each for each in findings if each.agreement.witness == witness]
        if not of_witness:
            continue
        console.print(f"{heading}.", soft_wrap=True)
        print_table(console, _FINDING_COLUMNS, [finding_row(each) for each in of_witness])
        asserted = [each.holds for each in of_witness if each.agreement.is_asserted]
        console.print(
            f"{sum(asserted)} of {len(asserted)} asserted rows hold; "
            f"{len(of_witness) - len(asserted)} more are only shown.\n",
            soft_wrap=True,
        )
        holds &= all(asserted)
    return holds


def finding_row(finding: Finding) -> tuple[str, ...]:
    """The cells of an agreement, source and note last."""
    agreement = finding.agreement
    return (
        agreement.machine,
        agreement.what,
        _figure(agreement.theirs),
        _figure(finding.ours),
        _figure(finding.error, sign=True),
        agreement.mark,
        verdict(finding),
        agreement.source,
        agreement.note,
    )


def verdict(finding: Finding) -> str:
    """`holds`, `FAILS` or `shown`, with the tolerance of what is asserted.

    Of what is asked to be within a factor it says which factor of their number ours is.
    """
    agreement = finding.agreement
    is_factor = agreement.relation == "within a factor"
    ratio = f"{finding.ours / agreement.theirs:.2f} times" if is_factor else ""
    if agreement.tolerance is None:
        return f"shown, {ratio}" if ratio else "shown"
    allowed = "exact" if agreement.tolerance == 0 else f"±{agreement.tolerance:g}"
    if agreement.relation == "at least":
        allowed = "at least"
    if is_factor:
        allowed = f"{ratio}, allowed: {agreement.tolerance:g} either way"
    return f"{'holds' if finding.holds else 'FAILS'} ({allowed})"


def _figure(value: float, sign: bool = False) -> str:
    text = f"{value:{'+' if sign else ''},.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    return "0" if value == 0 else text.replace("-", "−")


def print_pairs(pairs: Sequence[Pair], console: Console) -> None:
    """The grid, each quantity beside itself over that of the first pair."""
    columns = (
        Column("mask"),
        Column("accelerator"),
        Column("MACs", "right", rank=2),
        Column("stored as", rank=1),
        Column("kept\nweights", "right", rank=1),
        Column("cycles", "right", rank=3),
        Column("bound by", rank=4),
        Column("time", "right"),
        Column("/ first", "right"),
        Column("energy", "right"),
        Column("/ first", "right"),
        Column("energy ×\ndelay", "right", rank=2),
        Column("/ first", "right"),
        Column("area\nmm²", "right", rank=1),
        Column("/ first", "right", rank=2),
    )
    rows = []
    for pair in pairs:
        over = [times(pair.as_data(pairs[0])["over_first"][key]) for key in QUANTITIES]
        rows.append(
            (
                pair.mask,
                pair.accelerator,
                f"{pair.macs:,}",
                pair.stored,
                share(pair.kept_share),
                f"{pair.cycles:,}",
                pair.bound_by or "–",
                quantity(pair.latency_s, "s"),
                over[0],
                quantity(pair.energy_j, "J"),
                over[1],
                quantity(pair.energy_delay_js, "Js"),
                over[2],
                number(pair.area_mm2),
                over[3],
            )
        )
    print_table(console, columns, rows)
    console.print(
        "\nKept weights are the share of kept weights in the multiplications that occupy lanes. "
        "Where the share is low, the machine cannot use the pattern of the mask.",
        soft_wrap=True,
    )
    for order in energy_orders(pairs):
        console.print()
        for sentence in order_sentences(order):
            console.print(sentence, soft_wrap=True)


_MOST_WIRES = 2.0
"""Flips at more times the cost of wires are in compare.json alone."""


def order_sentences(order: EnergyOrder) -> list[str]:
    """Which machine needs less energy, within which band, and where that flips."""
    least, most = order.wires_from, order.wires_to
    if most is not None:
        where = f"where wires cost from {least:.2f} to {most:.2f} times what the tables say"
    elif least > 0:
        where = f"where wires cost at least {least:.2f} times what the tables say"
    else:
        where = "whatever wires cost"
    sentences = [
        f"Energy on {printable(order.mask)}, from least to most: "
        f"{', '.join(map(printable, order.accelerators))}.",
        f"This order holds {where}.",
    ]
    if all(flip.case is None for flip in order.flips):
        sentences.append("It also holds with every row of the cost tables low, and with all high.")
    near = [flip for flip in order.flips if flip.wires is None or flip.wires <= _MOST_WIRES]
    return [*sentences, *map(_flip_sentence, near)]


def _flip_sentence(flip: Flip) -> str:
    where = f"with every row of the cost tables {flip.case}"
    if flip.wires is not None:
        than = "more" if flip.is_above else "less"
        where = f"where wires cost {than} than {flip.wires:.2f} times"
    return f"{printable(flip.dearer)} needs less than {printable(flip.cheaper)} {where}."


def print_diff(changes: Diff, console: Console) -> None:
    """The machine's values that differ, then layer by layer what became of cycles and energy."""
    if changes.is_same:
        console.print("The two reports have the same machine, layers, cycles and energy.")
        return
    if changes.machine:
        columns = [Column(header) for header in ("machine", "before", "after")]
        print_table(console, columns, changes.machine)
        console.print()
    if changes.missing:
        names = ", ".join(changes.missing[:5]) + (", …" if len(changes.missing) > 5 else "")
        console.print(f"in one report only: {names}\n", soft_wrap=True)
    columns = (
        Column("layer"),
        Column("cycles", "right"),
        Column("→", "right"),
        Column("change", "right"),
        Column("by cause", rank=1),
        Column("energy", "right", rank=2),
        Column("→", "right", rank=2),
        Column("change", "right", rank=2),
        Column("by component", rank=3),
    )
    rows = [_diff_cells(layer) for layer in changes.layers]
    print_table(console, columns, rows, total=_diff_cells(changes.total))


def _diff_cells(layer: LayerDiff) -> tuple[str, ...]:
    cycles, energy = layer.cycles, layer.energy_j
    return (
        layer.name,
        f"{cycles.before:,}",
        f"{cycles.after:,}",
        _relative(cycles),
        ", ".join(f"{c.what} {_signed(f'{c.difference:+,}')}" for c in layer.causes[:3]),
        quantity(energy.before, "J"),
        quantity(energy.after, "J"),
        _relative(energy),
        ", ".join(
            f"{c.what} {'+' if c.difference > 0 else '−'}{quantity(abs(c.difference), 'J')}"
            for c in layer.components[:3]
        ),
    )


def _relative(change: Change) -> str:
    if not change.before:
        return "–"
    return _signed(f"{100 * change.difference / change.before:+.1f} %")


def _signed(text: str) -> str:
    return text.replace("-", "−")
