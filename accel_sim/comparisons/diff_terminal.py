"""What changed between two reports, as a person reads it in a terminal."""

from rich.console import Console

from accel_sim.comparisons.diff import ANSWERS, Change, Diff, PartDiff
from accel_sim.reports.number_text import number, quantity
from sparse_formats.terminal.tables import Column, print_table

_UNITS = {"_s": "s", "_j": "J", "_bytes": "B"}
"""Units of answers by the end of their key."""


def print_diff(changes: Diff, console: Console) -> None:
    """The inputs that differ, then part by part what became of cycles and energy."""
    for note in changes.notes:
        console.print(note, soft_wrap=True)
    if changes.is_same:
        console.print("The two reports have the same inputs, parts, cycles and energy.")
        return
    if changes.inputs:
        columns = [Column(header) for header in ("input", "", "before", "after")]
        rows = [(each.part, each.what, each.before, each.after) for each in changes.inputs]
        print_table(console, columns, rows)
    else:
        console.print("Both runs had the same inputs.")
    console.print()
    if changes.missing:
        names = ", ".join(changes.missing[:5]) + (", …" if len(changes.missing) > 5 else "")
        console.print(f"in one report only: {names}\n", soft_wrap=True)
    if changes.answers:
        columns = (
            Column("answer"),
            *(Column(word, "right") for word in ("before", "after", "change")),
        )
        print_table(console, columns, [_answer_cells(change) for change in changes.answers])
        console.print()
    columns = (
        Column("part"),
        Column("cycles", "right"),
        Column("→", "right"),
        Column("change", "right"),
        Column("by cause", rank=1),
        Column("energy", "right", rank=2),
        Column("→", "right", rank=2),
        Column("change", "right", rank=2),
        Column("by component", rank=3),
    )
    rows = [_part_cells(part) for part in changes.parts]
    print_table(console, columns, rows, total=_part_cells(changes.total))


def _answer_cells(change: Change) -> tuple[str, ...]:
    unit = next((unit for end, unit in _UNITS.items() if change.what.endswith(end)), None)
    before, after = (
        number(value) if unit is None else quantity(value, unit)
        for value in (change.before, change.after)
    )
    return ANSWERS[change.what], before, after, _relative(change)


def _part_cells(part: PartDiff) -> tuple[str, ...]:
    cycles, energy = part.cycles, part.energy_j
    return (
        part.name,
        f"{cycles.before:,}",
        f"{cycles.after:,}",
        _relative(cycles),
        ", ".join(f"{c.what} {_signed(f'{c.difference:+,}')}" for c in part.causes[:3]),
        quantity(energy.before, "J"),
        quantity(energy.after, "J"),
        _relative(energy),
        ", ".join(
            f"{c.what} {'+' if c.difference > 0 else '−'}{quantity(abs(c.difference), 'J')}"
            for c in part.components[:3]
        ),
    )


def _relative(change: Change) -> str:
    if not change.before or change.after is None:
        return "–"
    return _signed(f"{100 * change.difference / change.before:+.1f} %")


def _signed(text: str) -> str:
    return text.replace("-", "−")
