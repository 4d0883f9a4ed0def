"""Long checks of the RTL in rtl/, for docs/rtl.md. Needs Verilator, Icarus Verilog and yosys.

`tiles` runs drawn layers of up to a few passes with Verilator and compares each with the simulator;
`mutants` says which wrong lines of the RTL a few drawn layers show; `gates` synthesises each block,
and with `--beside-table` it prints the gates found once (gates.csv) beside those of the area table.
"""

import argparse
import re
import subprocess
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.rtl.beside_table import CHOOSING, choosing, print_beside_table
from tests.rtl import mutants as wrong_lines
from tests.rtl.comparison import compared, drawn_cases
from tests.rtl.encoding import SmallMachine
from tests.rtl.hardware import SOURCES, verilator

BUILT = {
    "lock-step, 4 × 2 × 8": SmallMachine(lane_select=2),
    "queues per column, 2 × 2 × 4": SmallMachine(
        rows=2, lanes=4, lane_groups=(1, 2, 4), lane_select=4, accumulators=16, word_bytes=12,
        zero_skip=2, queue=4, per_column=True,
    ),
}  # fmt: skip
"""What is compiled; the rest of a machine is drawn for each batch of layers."""

BATCH = 250

POLICIES = ("set_associative", "snake", "interleaved", "lpt")


def tiles(count: int, seed: int) -> None:
    """Compare `count` drawn layers, most of them of one tile, in cycles, counters and outputs."""
    start = time.time()
    for number, (name, machine) in enumerate(BUILT.items()):
        rng = np.random.default_rng([seed, number])
        total: Counter[str] = Counter()
        with tempfile.TemporaryDirectory() as folder:
            program = verilator(machine, Path(folder))
            print(f"{name}: built in {time.time() - start:.0f} s", flush=True)
            for first in range(0, count // len(BUILT), BATCH):
                drawn = _drawn(machine, rng)
                layers = min(BATCH, count // len(BUILT) - first)
                cases = drawn_cases(drawn, layers, rng, sizes=(1, 16), tokens=machine.columns + 1)
                began = time.time()
                wrong, runs = compared(program, drawn, cases)
                total["RTL and comparison, ms"] += round(1000 * (time.time() - began))
                total["differences"] += len(wrong)
                for case, one in zip(cases, runs, strict=True):
                    found = case.expected.layer
                    total.update(
                        layers=1, tiles=len(case.tiles), passes=len(one.passes), cycles=one.cycles
                    )
                    total[f"{found.orientation} {found.lane_groups} {found.lane_select}"] += 1
                print(*wrong, sep="\n", end="\n" if wrong else "", flush=True)
        print(f"{name}: {dict(total)}", flush=True)


def _drawn(machine: SmallMachine, rng: np.random.Generator) -> SmallMachine:
    lane_select = int(rng.choice([1, machine.lane_select]))
    return replace(
        machine,
        lane_select=lane_select,
        policy=str(rng.choice(POLICIES)),
        sets=int(rng.choice([s for s in (1, 2, 4) if machine.rows % s == 0])),
        packing=lane_select > 1 or bool(rng.integers(2)),
        dram_bytes=float(rng.choice([0.75, 4, 7.5, 16, 30])),
        burst=int(rng.choice([1, 16, 64])),
        first_latency=int(rng.choice([0, 1, 10])),
        resident=bool(rng.integers(4) == 0),
    )


def mutants() -> None:
    """Say which wrong lines are seen."""
    cases = wrong_lines.cases()
    for mutant in wrong_lines.MUTANTS:
        with tempfile.TemporaryDirectory() as folder:
            seen = wrong_lines.is_seen(mutant, cases, Path(folder))
            print(f"{mutant.name}: {'seen' if seen else 'NOT SEEN'}", flush=True)


SMALL = {
    "parser": {"L": 4, "E": 56, "XW": 8, "UW": 4},
    "taker": {"COLUMNS": 2, "L": 4, "Q": 4, "Z": 1, "W": 16, "XW": 8, "UW": 4},
    "slot": {"T": 2, "L": 4, "Q": 4, "Z": 1, "W": 16, "E": 56, "XW": 8, "UW": 4, "MOST_SHARE": 2},
    "row_port": {"M": 4, "B": 8, "BW": 8, "E": 56, "RW": 8},
    "weight_buffer": {"WORDS": 16, "B": 8, "LOADS": 2, "WAITING": 4, "RW": 8},
    "window": {"T": 2, "W": 16, "IPC": 4, "SLOTS": 8, "XW": 8},
    "pe": {"M": 4, "G": 4, "A": 16, "LATENCY": 4, "UW": 8},
    "write_back": {"P": 2, "T": 2, "M": 4, "G": 4, "A": 16, "WORDS": 4, "UW": 4},
    "pass_sequencer": {"T": 2, "LATENCY": 4, "PLACES": 4},
    "dram_port": {"MOST_BYTES": 8},
    "room": {"WORDS": 64, "RW": 8},
    "tile_memory": {"P": 2, "M": 4, "G": 4, "A": 16, "PLACES": 4, "UNITS": 16, "TABLE": 64,
                    "RW": 8, "UW": 4},
    "tile_loader": {"P": 2, "M": 4, "G": 4, "B": 8, "WIN": 32, "LOADS": 2, "LINES": 1,
                    "WORDS": 64, "TABLE": 64, "RW": 8},
}  # fmt: skip
"""Parameters at which each block is synthesised: those of a machine of 2 × 2 × 4."""


def gates(limit_s: int) -> None:
    """NAND2 equivalents and flip-flops of each block without its memories, by yosys."""
    print(
        subprocess.run(["yosys", "-V"], capture_output=True, text=True, check=True).stdout, end=""
    )
    blocks = [(name, name, parameters) for name, parameters in SMALL.items()]
    blocks += [(choosing(name), name, SMALL[name] | {"SELECT": 4}) for name in CHOOSING]
    for label, name, parameters in blocks:
        chparam = " ".join(f"-set {key} {value}" for key, value in parameters.items())
        files = " ".join(map(str, sorted(p for p in SOURCES.glob("*.sv") if p.stem != "bench")))
        script = (
            f"read_verilog -sv -defer {files}; chparam {chparam} {name}; hierarchy -top {name}; "
            "proc; flatten; opt; memory -nomap; opt; techmap; opt; "
            "abc -g NAND; opt_clean; stat"
        )
        began = time.time()
        try:
            done = subprocess.run(
                ["yosys", "-p", script],
                capture_output=True,
                text=True,
                timeout=limit_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            print(f"{label}: not finished in {limit_s} s", flush=True)
            continue
        last = done.stdout[done.stdout.rfind("Printing statistics") :]
        cells = {kind: int(n) for kind, n in re.findall(r"(\$\w+)\s+(\d+)", last)}
        nands = cells.get("$_NAND_", 0) + 0.5 * cells.get("$_NOT_", 0)
        flops = sum(n for kind, n in cells.items() if "DFF" in kind)
        print(
            f"{label}: {nands:.0f} NAND2, {flops} flip-flops, "
            f"{time.time() - began:.0f} s {done.stderr.strip()[-200:]}",
            flush=True,
        )


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["tiles", "mutants", "gates"])
    parser.add_argument("--count", type=int, default=10_000, help="Layers of `tiles`.")
    parser.add_argument("--seed", type=int, default=0, help="Random seed of `tiles`.")
    parser.add_argument("--limit", type=int, default=300, help="Seconds for a block of `gates`.")
    parser.add_argument(
        "--beside-table",
        action="store_true",
        help="With `gates`: print the frozen gates beside those of the area table.",
    )
    given = parser.parse_args()
    if given.beside_table and given.what != "gates":
        parser.error("--beside-table goes with gates; write: gates --beside-table")
    if given.what == "tiles":
        tiles(given.count, given.seed)
    elif given.what == "mutants":
        mutants()
    elif given.beside_table:
        print_beside_table()
    else:
        gates(given.limit)


if __name__ == "__main__":
    main()
