"""What changed between two reports, as a person reads it in a terminal."""

from rich.console import Console

from accel_sim.comparisons.diff import Change, Diff, LayerDiff
from accel_sim.reports.number_text import quantity
from sparse_formats.terminal.tables import Column, print_table


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
