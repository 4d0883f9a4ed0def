"""Does the machine, in hardware, do what the simulator says, to the cycle? (docs/rtl.md)"""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.rtl import mutants
from tests.rtl.comparison import Case, compared, draw, drawn_cases, simulated
from tests.rtl.encoding import SmallMachine, encode
from tests.rtl.hardware import Job, icarus, run
from tests.rtl.mutants import MUTANTS, Mutant
from tests.tiers import slow

if shutil.which("iverilog") is None:
    print(
        "tests/rtl: Icarus Verilog is not installed, so the RTL is not run (apt install iverilog)."
    )
    pytest.skip("Icarus Verilog is not installed", allow_module_level=True)

SMALL = SmallMachine(
    rows=2, lanes=4, lane_groups=(1, 2, 4), accumulators=16, word_bytes=12, zero_skip=2
)
MACHINES = {
    "sets": SmallMachine(),
    "one_set": SmallMachine(lanes=4, sets=1, lane_groups=(1, 2, 4), zero_skip=0, latency=1),
    "selects": replace(SMALL, lane_select=4),
    "snake": replace(SMALL, policy="snake", per_column=True, packing=False, queue=4),
    "interleaved": replace(
        SMALL, policy="interleaved", columns=1, lanes=8, lane_groups=(1, 2, 4, 8)
    ),
    "lpt": replace(SMALL, policy="lpt", rows=4, dram_bytes=3.25, window=8, inputs_per_cycle=1),
}


@pytest.mark.parametrize(
    "name", ["snake", "selects", *slow("sets", "one_set", "interleaved", "lpt")]
)
def test_a_tile_takes_the_cycles_counters_and_outputs_of_the_simulator(
    name: str, tmp_path: Path
) -> None:
    machine = MACHINES[name]
    rng = np.random.default_rng(1)
    # A strip is at least 16 outputs high; one group of tokens makes one pass.
    cases = drawn_cases(machine, 20, rng, sizes=(1, 16), tokens=machine.columns)
    assert all(len(case.tiles) == 1 for case in cases)
    if machine.lane_select > 1:
        layers = [case.expected.layer for case in cases]
        assert len({layer.orientation for layer in layers if layer.lane_select > 1}) == 2
    assert compared(icarus(machine, tmp_path), machine, cases)[0] == []


@pytest.mark.parametrize(
    ("name", "layers", "change"),
    [
        ("snake", 2, {"weight_bytes": 2048}),
        *(
            pytest.param(*values, marks=pytest.mark.slow)
            for values in (
                ("sets", 3, {"weight_bytes": 4096}),
                ("one_set", 2, {"weight_bytes": 4096}),
                ("interleaved", 2, {"weight_bytes": 32768, "resident": True}),
                ("lpt", 1, {"weight_bytes": 4096}),
                # Two candidates a lane, and a queue for each column.
                ("selects", 3, {"weight_bytes": 2048, "per_column": True, "lane_select": 2}),
            )
        ),
    ],
)
def test_a_layer_of_many_passes_does_too(
    name: str, layers: int, change: dict[str, Any], tmp_path: Path
) -> None:
    machine = replace(MACHINES[name], **change)
    cases = drawn_cases(machine, layers, np.random.default_rng(2), sizes=(32, 64), tokens=5)
    assert any(len(case.tiles) > 1 for case in cases)
    assert compared(icarus(machine, tmp_path), machine, cases)[0] == []


@pytest.mark.slow
def test_the_dense_stream_takes_the_cycles_of_the_dense_baseline(tmp_path: Path) -> None:
    machine = replace(SMALL, lane_groups=(2,))
    rng = np.random.default_rng(3)
    layers = [draw(machine, rng, 1, 24, 4) for _ in range(6)]
    jobs = [
        Job(
            encode(
                machine,
                np.ones_like(layer.keep),
                np.where(layer.keep, layer.weight, 0).astype(np.int8),
                is_row=is_row,
                n=2,
                is_dense=True,
            ),
            layer.activations,
            len(layer.keep),
        )
        for layer in layers
        for is_row in (True, False)
    ]
    runs = run(icarus(machine, tmp_path), machine, jobs)
    # The baseline takes the faster mode.
    fastest = [min(a.cycles, b.cycles) for a, b in zip(runs[::2], runs[1::2], strict=True)]
    assert fastest == [simulated(machine, layer).layer.dense_cycles for layer in layers]
    for one, other, layer in zip(runs[::2], runs[1::2], layers, strict=True):
        product = layer.activations.astype(np.int64) @ (layer.weight * layer.keep).T
        assert np.array_equal(one.outputs, product)
        assert np.array_equal(other.outputs, product)


@pytest.fixture(scope="module")
def layers() -> list[Case]:
    """What the mutants are tried on."""
    return mutants.cases()


@pytest.mark.slow
def test_the_layers_of_the_mutants_are_right_without_one(
    layers: list[Case], tmp_path: Path
) -> None:
    program = icarus(mutants.MACHINE, tmp_path)
    assert compared(program, mutants.MACHINE, layers)[0] == []


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_wrong_line_is_seen(mutant: Mutant, layers: Sequence[Case], tmp_path: Path) -> None:
    assert mutants.is_seen(mutant, layers, tmp_path)
