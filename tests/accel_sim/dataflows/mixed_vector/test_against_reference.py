"""Does the simulator say what the contract says?

`reference/` builds the machine of docs/microarchitecture.md a second time. Here both get the same
small workloads, drawn at random; every figure must be equal to the last digit, every energy to
rounding. For more workloads than the ordinary number:

    MVPSIM_REFERENCE_EXAMPLES=10000 pytest tests/accel_sim -k against_reference

Cases whose cycles are counted on paper, for both, are in `test_passes_on_paper.py` and
`test_layers_on_paper.py`.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import settings
from numpy.typing import NDArray

from accel_sim.dataflows.mixed_vector.product import machine_product
from accel_sim.inputs.activations import Activations
from accel_sim.inputs.workload import Workload as SimulatorWorkload
from accel_sim.pipeline import simulate
from accel_sim.reports.report import Report
from accel_sim.reports.results import LayerResult, Totals
from sparse_formats.errors import InputError
from sparse_formats.masks.decompose import decompose_oriented
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.vectors import Orientation
from tests.accel_sim.dataflows.mixed_vector.drawn_workloads import (
    Workload,
    drawn_workload,
)
from tests.accel_sim.dataflows.mixed_vector.reference.accounts import CAUSES, Unit
from tests.accel_sim.dataflows.mixed_vector.reference.layers import (
    Reference,
    ReferenceLayer,
    reference,
)
from tests.accel_sim.dataflows.mixed_vector.reference.machine import Machine, refusals
from tests.accel_sim.dataflows.mixed_vector.reference.one_pass import run_pass
from tests.accel_sim.dataflows.mixed_vector.reference.product import (
    FLOATS,
    operands,
    ordered_product,
    product_error,
)
from tests.accel_sim.dataflows.mixed_vector.reference.tiles import DoesNotFit
from tests.accel_sim.workloads import load_mixed_vector, simulated

pytestmark = [
    pytest.mark.rule(microarchitecture=2),
    pytest.mark.rule(microarchitecture=3),
    pytest.mark.rule(microarchitecture=4),
    pytest.mark.rule(microarchitecture=5),
    pytest.mark.rule(microarchitecture=6),
    pytest.mark.rule(microarchitecture=7),
    pytest.mark.rule(microarchitecture=8),
    pytest.mark.rule(microarchitecture=9),
]

EXAMPLES = int(os.environ.get("MVPSIM_REFERENCE_EXAMPLES", 20 * settings().max_examples))
"""2000; `make check`, whose tests draw fewer examples, also draws fewer workloads."""
PARTS = 20
"""Tests that share them."""


def plain(value: object) -> object:
    """Units as dicts, so that they compare by their figures and print by name."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if all(hasattr(value, f.name) for f in fields(Unit)):
        return {f.name: plain(getattr(value, f.name)) for f in fields(Unit)}
    return list(value) if isinstance(value, tuple) else value


def differences(work: Workload) -> list[str]:
    """Every figure on which the two disagree, and what each says."""
    assert not refusals(work.machine)
    try:
        expected = reference(work.matrices, work.inputs(), work.machine, work.given())
    except DoesNotFit:
        with pytest.raises(InputError):
            simulated(work.matrices, work.simulated_machine, work.activations, threads=1)
        return []
    report, outputs = simulate_with_outputs(work)
    texts = total_differences(expected.layers, report.total)
    for index, (want, got) in enumerate(zip(expected.layers, report.layers, strict=True)):
        for f in fields(want):
            ours, theirs = plain(getattr(want, f.name)), plain(getattr(got, f.name))
            if ours != theirs:
                texts.append(f"{want.name}.{f.name}: reference {ours}, simulator {theirs}")
        texts += energy_differences(expected, index, got)
        if work.matrices[index].weight is None:
            texts += [] if got.product is None else [f"{want.name}.product: {got.product}"]
        else:
            texts += product_differences(work, expected, index, got, outputs.pop(0))
    return texts


def total_differences(layers: Sequence[ReferenceLayer], got: Totals) -> list[str]:
    """Figures of the total that are not sums of those of the layers (§7)."""
    heaviest = sum(max(layer.pe_load) for layer in layers)
    mean = sum(sum(layer.pe_load) / len(layer.pe_load) for layer in layers)
    compute, dram, cycles, dense = (
        sum(getattr(layer, key) for layer in layers)
        for key in ("ideal_compute_cycles", "ideal_dram_cycles", "cycles", "dense_cycles")
    )
    causes = {cause: sum(layer.cycles_by_cause[cause] for layer in layers) for cause in CAUSES}
    want = {
        "cycles": cycles,
        "ideal_cycles": max(compute, dram),
        "speedup_vs_dense": dense / cycles,
        "bound_by": max(causes, key=lambda cause: causes[cause]),
        "imbalance": heaviest / mean if mean else None,
    }
    assert cycles >= compute
    return [
        f"total.{key}: reference {value}, simulator {getattr(got, key)}"
        for key, value in want.items()
        if getattr(got, key) != value
    ]


def energy_differences(expected: Reference, index: int, got: LayerResult) -> list[str]:
    """Components of the energy in which they disagree, in any case of the tables."""
    cases = {
        expected.machine.energy.case: got.energy_by_component_j,
        "low": got.energy_band_j["low"],
        "high": got.energy_band_j["high"],
    }
    texts: list[str] = []
    for case, theirs in cases.items():
        want = expected.energy_by_component(index, case)
        if want.keys() != theirs.keys():
            return [f"components of energy: {sorted(want)}, {sorted(theirs)}"]
        texts += [
            f"{got.name}.energy.{name}, {case}: reference {joule}, simulator {theirs[name]}"
            for name, joule in want.items()
            if theirs[name] != pytest.approx(joule, rel=1e-9, abs=0)
        ]
    return texts


def simulate_with_outputs(work: Workload) -> tuple[Report, list[NDArray[Any]]]:
    """The report, and the layers' outputs, which no result holds, on their way to the check."""
    outputs: list[NDArray[Any]] = []

    def recorded(*arguments: Any) -> NDArray[Any]:
        outputs.append(machine_product(*arguments))
        return outputs[-1]

    with patch("accel_sim.dataflows.mixed_vector.product.machine_product", recorded):
        given = SimulatorWorkload.of(work.matrices, work.activations)
        return simulate(given, work.simulated_machine, threads=1), outputs


def product_differences(
    work: Workload, expected: Reference, index: int, got: LayerResult, output: NDArray[Any]
) -> list[str]:
    """`output`: (outputs, tokens) of the simulator, equal to the last bit; then its errors."""
    matrix, run, machine = work.matrices[index], expected.runs[index], work.machine
    assert matrix.weight is not None
    assert got.product is not None
    weight = operands(matrix.weight, matrix.keep, machine.array.datatype)
    found = ordered_product(weight, run.inputs, run.passes, run.choice, machine)
    if output.tolist() != [[float(word) for word in row] for row in found]:
        return [f"{got.name}.output: reference {found}, simulator {output.tolist()}"]
    if machine.array.datatype not in FLOATS:
        dense = np.where(matrix.keep, weight, 0).astype(np.int64) @ run.inputs.T.astype(np.int64)
        assert found == dense.tolist()
        largest = share = 0.0
    else:
        ranges = len({tile.inputs for tile in run.tiles})
        largest, share = product_error(
            matrix, weight, run.inputs, found, ranges, run.choice, machine
        )
    # The FP64 product it is measured against has rounding of its own, 2⁻²⁹ of an FP32 one.
    is_same = got.product["is_equal"] == (share <= 1)
    is_same &= got.product["max_abs_error"] == pytest.approx(largest, rel=1e-6, abs=1e-9)
    is_same &= got.product["max_error_over_bound"] == pytest.approx(share, rel=1e-6, abs=1e-6)
    return [] if is_same else [f"{got.name}.product: reference {largest, share}, {got.product}"]


@pytest.mark.parametrize("part", range(PARTS))
def test_does_the_simulator_agree_with_the_reference(part: int) -> None:
    for seed in range(part, EXAMPLES, PARTS):
        work = drawn_workload(seed)
        assert differences(work) == [], f"drawn_workload({seed}): {work}"


@pytest.mark.parametrize("seed", range(max(1, EXAMPLES // 100)))
def test_does_the_order_of_the_blocks_within_a_cycle_not_matter(seed: int) -> None:
    work = drawn_workload(seed)
    try:
        expected = reference(work.matrices[:1], work.inputs()[:1], work.machine, work.given()[:1])
    except DoesNotFit:
        return
    for one in expected.runs[0].passes:
        again = run_pass(one.tile, one.live, work.machine, is_backwards=True)
        assert again == one.count


@pytest.mark.rule(microarchitecture=1)
def test_are_the_defaults_those_of_the_page() -> None:
    machine = Machine.of(load_mixed_vector("tf_mvp"))
    assert plain(vars(machine.array)) == plain(vars(Machine().array))
    assert machine == Machine().having({"array.lane_groups": machine.array.lane_groups} | {
        f"dram.{key}": getattr(machine.dram, key)
        for key in ("efficiency_run_bytes", "efficiency_permille")
    })  # fmt: skip
    assert not refusals(machine)


@pytest.mark.rule(microarchitecture=1)
@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"array.lane_groups": [3]}, "array.lane_groups"),
        # They divide neither the words nor each other.
        ({"array.lane_groups": [8], "array.accumulators_per_pe": 132}, "array.lane_groups"),
        (
            {
                "array.lane_groups": [2, 3],
                "array.lanes": 12,
                "array.accumulators_per_pe": 132,
            },
            "array.lane_groups",
        ),
        ({"scheduler.sets": 3}, "scheduler.sets"),
        ({"matching.window_inputs": 15}, "matching.window_inputs"),
        # A position of 4·16 inputs.
        ({"array.lane_select": 4, "matching.window_inputs": 63}, "matching.window_inputs"),
        ({"array.lane_select": 3, "matching.window_inputs": 64}, "array.lane_select"),
        ({"array.lane_select": 32, "matching.window_inputs": 512}, "array.lane_select"),
        ({"array.lane_select": 2, "array.packing": False}, "array.lane_select"),
        ({"array.accumulators_per_pe": 8}, "array.accumulators_per_pe"),
        ({"weight_buffer.banks": 15}, "weight_buffer.banks"),
        ({"weight_buffer.port_bytes": 39}, "weight_buffer.port_bytes"),
        # 8·16·2 + 128·2·4 = 1280 bytes.
        ({"activation_buffer.banks": 39}, "activation_buffer"),
        # Of 8 groups of 2 lanes: 320·⌊bw/8⌋ ≥ 320 + 2·17 + 4 + 21: two words each.
        ({"decompressor.buffer_words": 15}, "decompressor.buffer_words"),
        # Of one group of 16 lanes: 320·2 ≥ 320 + 16·17 + 7 + 21, but not with 2 select bits a lane.
        (
            {
                "array.lane_groups": [1],
                "decompressor.buffer_words": 2,
                "array.lane_select": 4,
                "matching.window_inputs": 64,
            },
            "decompressor.buffer_words",
        ),
        ({"clock.clock_hz": 668e6}, "clock.clock_hz"),
    ],
)
def test_is_a_machine_refused(settings: dict[str, Any], key: str) -> None:
    assert refusals(Machine().having(settings)) == {key}
    texts = [f"{name}={str(value).lower()}" for name, value in settings.items()]
    with pytest.raises(InputError, match=key.rpartition(".")[2]):
        load_mixed_vector("tf_mvp", texts)


@pytest.mark.rule(microarchitecture=1)
def test_is_a_machine_with_the_fewest_ports_allowed() -> None:
    settings = {"activation_buffer.banks": 40, "decompressor.buffer_words": 16}
    assert not refusals(Machine().having(settings))
    load_mixed_vector("tf_mvp", [f"{name}={value}" for name, value in settings.items()])


@pytest.mark.parametrize("orientation", ["horizontal", "vertical"])
@pytest.mark.parametrize("lanes", [3, 8, 12])
@pytest.mark.parametrize("is_packed", [True, False])
@pytest.mark.parametrize("per_column", [True, False])
def test_is_the_output_summed_in_the_order_of_the_machine(
    orientation: Orientation, lanes: int, is_packed: bool, per_column: bool
) -> None:
    # Few drawn workloads have sums long enough for their order to show. Here five PE rows share
    # the units of one set, entries are well filled, several input ranges are added up.
    rng = np.random.default_rng(lanes)
    keep = rng.random((19, 40)) < 0.7
    weight = np.where(keep, rng.standard_normal(keep.shape) * 2.0 ** rng.integers(-6, 7, 40), 0)
    layout = decompose_oriented(keep, orientation)
    work = Workload(
        (MaskedMatrix("m", keep, weight.astype(np.float32), "other", layout),),
        {
            "array.pe_rows": 5,
            "array.token_columns": 2,
            "array.lanes": lanes,
            "array.lane_groups": [1],
            "array.accumulators_per_pe": 24,
            "array.packing": is_packed,
            "scheduler.sets": 1,
            "queue.per_column": per_column,
            "weight_buffer.bytes": 4000,
        },
        Activations(5, 0.9, 1),
    )
    (layer,) = reference(work.matrices, work.inputs(), work.machine, work.given()).layers
    assert layer.tiles > 1
    assert differences(work) == []
