"""The gates of the RTL's blocks beside what the area table counts for them, for docs/rtl.md.

The gates are those of gates.csv, written down from `python -m benchmarks.rtl gates` with Yosys
0.23, so that nothing has to be synthesised. The table's figures are `area_parts()` of the
simulator's machine at the parameters of the blocks.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from accel_sim import load_machine
from accel_sim.costs.tables import area, table_rows
from accel_sim.dataflows.abstract.dataflow import Machine
from tests.rtl.comparison import settings
from tests.rtl.encoding import SmallMachine

GATES = Path(__file__).parent / "gates.csv"

GROUPED = SmallMachine(
    rows=2, lanes=4, lane_groups=(1, 2, 4), accumulators=16, word_bytes=8, queue=4
)
"""The machine of the PE and of the window, which has the bounds of eight slots."""
WHOLE = SmallMachine(rows=2, lanes=4, lane_groups=(1,), accumulators=16, word_bytes=8, queue=4)
"""The machine with one slot of four lanes in each PE row: the parser, taker and slot measured."""


CHOOSING = ("parser", "taker", "slot", "pe")
"""Blocks that have been measured with lanes that choose among four inputs too."""


def choosing(block: str) -> str:
    """The name of a block with such lanes."""
    return f"{block} with selects"


@dataclass(frozen=True)
class Beside:
    """A block in the RTL and in the table: NAND2 equivalents and flip-flops.

    table_gates: nominal; table_gates_high: with the rows' high values, and a gate's nominal area.
    """

    block: str
    gates: float
    flip_flops: int
    table_gates: float
    table_gates_high: float
    table_flip_flops: float

    @property
    def difference(self) -> float:
        """Of the table's gates from the RTL's, as a share of the RTL's."""
        return self.table_gates / self.gates - 1


def compared() -> list[Beside]:
    """Every block that the table has parts for."""
    with_selects = table_parts(4)
    parts = table_parts() | {choosing(block): with_selects[block] for block in CHOOSING}
    with GATES.open(encoding="utf-8", newline="") as file:
        measured = {row["block"]: row for row in csv.DictReader(file)}
    return [
        Beside(
            block,
            float(measured[block]["nand2"]),
            int(measured[block]["flip_flops"]),
            _gates(counts, "nominal"),
            _gates(counts, "high"),
            counts.get("register_bit", 0),
        )
        for block, counts in parts.items()
    ]


def table_parts(lane_select: int = 1) -> dict[str, dict[str, float]]:
    """Rows of the area table and how many of each, for each block of the RTL."""
    whole, grouped = (
        _parts(replace(machine, lane_select=lane_select)) for machine in (WHOLE, GROUPED)
    )
    slots = WHOLE.rows
    parser = {"expander": whole["decompressor"]["expander"] / slots}
    taker = {
        "zero_skip": whole["zero_skip"]["zero_skip"] / slots,
        "mux_bit": whole["matching"]["mux_bit"] / slots,
        # Of the two comparisons of a slot the taker has that with `loaded`.
        "compare_bit": whole["matching"]["compare_bit"] / slots / 2,
        "register_bit": whole["queues"]["register_bit"] / slots,
    }
    pes = GROUPED.rows * GROUPED.columns
    return {
        "parser": parser,
        "taker": taker,
        "slot": {**parser, **taker},
        "window": {
            # And the window has that of the least bound.
            "compare_bit": grouped["matching"]["compare_bit"] / 2,
            "register_bit": grouped["matching"]["register_bit"],
        },
        "pe": {row: count / pes for row, count in grouped["mac"].items()},
    }


def _parts(small: SmallMachine) -> dict[str, dict[str, float]]:
    machine: Machine = load_machine("tf_mvp", settings(small))
    return machine.area_parts()


def _gates(counts: Mapping[str, float], case: str) -> float:
    """NAND2 equivalents of all parts that are not flip-flops."""
    units = {row["part"]: row["unit"] for row in table_rows()["area"]}
    return sum(
        count * area(row, case) / (1 if units[row] == "gates" else area("gate", "nominal"))
        for row, count in counts.items()
        if row != "register_bit"
    )


def print_beside_table() -> None:
    """Print the rows of the table of docs/rtl.md."""
    print(
        "| block | NAND2, RTL | NAND2, table | difference, % | NAND2, table high "
        "| flip-flops, RTL | flip-flops, table |\n|---|--:|--:|--:|--:|--:|--:|"
    )
    for one in compared():
        print(
            f"| {one.block} | {one.gates:,.0f} | {one.table_gates:,.0f} "
            f"| {100 * one.difference:+.0f} | {one.table_gates_high:,.0f} "
            f"| {one.flip_flops} | {one.table_flip_flops:.0f} |"
        )
