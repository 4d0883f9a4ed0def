"""Does the machine, in hardware, do what the simulator says, to the cycle? (docs/rtl.md)"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from tests.rtl.comparison import (
    Expected,
    Layer,
    differences,
    draw,
    encoded,
    expected,
    job,
    with_groups,
)
from tests.rtl.encoding import SmallMachine, Tile
from tests.rtl.hardware import SOURCES, Stuck, icarus, run
from tests.rtl.mutants import MUTANTS, Mutant

if shutil.which("iverilog") is None:
    print("tests/rtl: Icarus Verilog is not installed, so the RTL is not run (apt install iverilog).")
    pytest.skip("Icarus Verilog is not installed", allow_module_level=True)

SMALL = SmallMachine(
    rows=2, lanes=4, lane_groups=(1, 2, 4), accumulators=16, word_bytes=12, zero_skip=2
)
MACHINES = {
    "sets": SmallMachine(),
    "one_set": SmallMachine(lanes=4, sets=1, lane_groups=(1, 2, 4), zero_skip=0, latency=1),
    "snake": replace(SMALL, policy="snake", per_column=True, packing=False, queue=4),
    "interleaved": replace(SMALL, policy="interleaved", columns=1, lanes=8, lane_groups=(1, 2, 4, 8)),
    "lpt": replace(SMALL, policy="lpt", rows=4, dram_bytes=3.25, window=8, inputs_per_cycle=1),
}


@dataclass(frozen=True)
class Case:
    """A layer with the machine of its number of lane groups, and what the simulator says of it."""

    machine: SmallMachine
    layer: Layer
    expected: Expected
    tiles: Sequence[Tile]


def _cases(
    machine: SmallMachine, layers: int, *, seed: int, sizes: tuple[int, int], tokens: int
) -> list[Case]:
    """Drawn layers: half of them with one number of lane groups, half with the host's choice."""
    rng = np.random.default_rng(seed)
    cases = []
    for number in range(layers):
        of = with_groups(machine, int(rng.choice(machine.lane_groups))) if number % 2 else machine
        layer = draw(rng, *sizes, tokens)
        found = expected(of, [layer])[0]
        cases.append(Case(of, layer, found, encoded(of, layer, found.layer)))
    return cases


def _differences(
    program: Path, machine: SmallMachine, cases: Sequence[Case], most_cycles: int = 20000
) -> list[str]:
    jobs = [job(case.machine, case.layer, case.tiles) for case in cases]
    runs = run(program, machine, jobs, most_cycles)
    return [
        f"layer {number}, {case.layer.keep.shape}, {case.expected.layer.orientation}, "
        f"n = {case.expected.layer.lane_groups}: {difference}"
        for number, (case, done) in enumerate(zip(cases, runs, strict=True))
        for difference in differences(case.machine, case.layer, case.tiles, done, case.expected)
    ]


@pytest.mark.parametrize(
    "name", ["snake", *(pytest.param(n, marks=pytest.mark.slow) for n in MACHINES if n != "snake")]
)
def test_a_tile_takes_the_cycles_counters_and_outputs_of_the_simulator(
    name: str, tmp_path: Path
) -> None:
    machine = MACHINES[name]
    # A strip is a set's accumulators high; one group of tokens makes one pass.
    cases = _cases(machine, 20, seed=1, sizes=(1, 16), tokens=machine.columns)
    assert all(len(case.tiles) == 1 for case in cases)
    assert _differences(icarus(machine, tmp_path), machine, cases) == []


@pytest.mark.parametrize(
    ("name", "layers", "change"),
    [
        ("snake", 2, {"weight_bytes": 2048}),
        *(
            pytest.param(*values, marks=pytest.mark.slow)
            for values in [
                ("sets", 3, {"weight_bytes": 4096}),
                ("one_set", 2, {"weight_bytes": 4096}),
                ("interleaved", 2, {"weight_bytes": 32768, "resident": True}),
                ("lpt", 1, {"weight_bytes": 4096}),
            ]
        ),
    ],
)
def test_a_layer_of_many_passes_does_too(
    name: str, layers: int, change: dict[str, int], tmp_path: Path
) -> None:
    machine = replace(MACHINES[name], **change)
    cases = _cases(machine, layers, seed=2, sizes=(32, 64), tokens=5)
    assert any(len(case.tiles) > 1 for case in cases)
    assert _differences(icarus(machine, tmp_path), machine, cases) == []


@pytest.fixture(scope="module")
def small_cases() -> list[Case]:
    """Layers of one and of many passes for the machine that the mutants are made from."""
    machine = replace(SMALL, weight_bytes=2048)
    return _cases(machine, 12, seed=3, sizes=(1, 16), tokens=2) + _cases(
        machine, 3, seed=4, sizes=(24, 48), tokens=5
    )


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_wrong_line_is_seen(mutant: Mutant, small_cases: list[Case], tmp_path: Path) -> None:
    machine = replace(SMALL, weight_bytes=2048)
    program = icarus(machine, tmp_path, mutant.write(SOURCES, tmp_path / "sources"))
    try:
        found = _differences(program, machine, small_cases, most_cycles=2000)
    except Stuck:
        return
    assert found != []
