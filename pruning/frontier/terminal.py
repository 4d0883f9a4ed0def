"""The study on the terminal: the verdict, then the table."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from accel_sim.reports.number_text import quantity
from pruning.frontier.page import every_row, loss_text, worth
from pruning.frontier.words import percent
from sparse_formats.terminal.tables import Column, print_table
from sparse_formats.untrusted import printable


def print_study(data: Mapping[str, Any], console: Console) -> None:
    """Print what frontier.json holds."""
    machines = list(data["machines"])
    has_quality = data["measure"] is not None
    columns = [Column("model"), Column("density", "right", rank=2)]
    if has_quality:
        columns += [
            Column("impor-\ntance", "right", rank=3),
            Column("quality", "right"),
            Column("loss", "right"),
        ]
    for name in machines:
        title = name.replace(" ", "\n")
        columns += [
            Column(f"{title}\n× faster", "right"),
            Column("× less\nenergy", "right", rank=1),
        ]
    columns.append(Column("worth", rank=0 if has_quality else 1))
    rows = [_row(point, data) for point in every_row(data)]
    for sentence in data["verdict"]:
        console.print(printable(sentence), soft_wrap=True)
    for name, machine in data["machines"].items():
        console.print(printable(_dense(name, machine)), soft_wrap=True)
    console.print()
    print_table(
        console,
        columns,
        rows,
        footnotes=tuple(f"note: {note}" for note in data["notes"]),
    )


def _dense(name: str, machine: Mapping[str, Any]) -> str:
    """What the factors of a machine refer to."""
    return (
        f"Dense on {name}: {quantity(machine['dense_latency_s'], 's')}, "
        f"{quantity(machine['dense_energy_j'], 'J')}; {machine['macs']:,} MACs, "
        f"{machine['area_mm2']:.1f} mm²."
    )


def _row(point: Mapping[str, Any], data: Mapping[str, Any]) -> tuple[str, ...]:
    cells = [point["name"], _share(point["density"])]
    if data["measure"] is not None:
        quality = point["quality"]
        cells += [
            _share(point["importance_kept"]),
            "–" if quality is None else f"{quality:.4g}",
            loss_text(point),
        ]
    for name in data["machines"]:
        figures = point.get("machines", {}).get(name)
        cells += (
            ["–", "–"]
            if figures is None
            else [f"{figures['speedup']:.2f}", f"{figures['energy_saving']:.2f}"]
        )
    return (*cells, worth(point))


def _share(value: float | None) -> str:
    return "–" if value is None else percent(value)
