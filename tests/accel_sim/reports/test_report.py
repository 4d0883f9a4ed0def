"""Do the report's figures add up, mean what they say, and stay the same?"""

import csv
import io
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel_sim.dataflows.abstract.account import Unit
from accel_sim.dataflows.abstract.loads import tokens_off_chip
from accel_sim.dataflows.abstract.timeline import alone
from accel_sim.dataflows.registry import causes_of
from accel_sim.inputs.activations import Activations, Inputs, Layer
from accel_sim.inputs.workload import Workload
from accel_sim.pipeline import simulate
from accel_sim.reports.csv_table import csv_rows
from accel_sim.reports.report import as_json
from accel_sim.reports.results import is_product_equal, limited_by
from sparse_formats.files.atomic import json_text
from sparse_formats.masks.matrix import MaskedMatrix
from tests.accel_sim.workloads import random_matrix, roomy, simulated, vector_matrix

TIGHT = (
    "decompressor.word_bytes=7",
    "array.lane_groups=[2]",
    "array.lane_groups=[1, 4]",
    "queue.per_column=true",
    "queue.depth_entries=2",
    "zero_skip.entries_per_cycle=2",
    "window_inputs=7",
    "inputs_per_cycle=2",
    "words_per_cycle=5",
    "weight_buffer.bytes=5000",
    "dram.bytes_per_cycle=3",
)


def workload() -> list[MaskedMatrix]:
    return [
        random_matrix((37, 29), 0.3, 1, "a"),
        vector_matrix((32, 48), "vertical", 8, 0.3, 2, "b"),
        vector_matrix((16, 80), "horizontal", 16, 0.5, 3, "c"),
        MaskedMatrix("d", np.zeros((3, 5), np.bool_)),
    ]


@pytest.mark.rule(microarchitecture=7)
@given(
    seed=st.integers(0, 2**32),
    tokens=st.integers(1, 7),
    activation_density=st.sampled_from([0.0, 0.3, 1.0]),
    settings=st.lists(st.sampled_from(TIGHT), unique=True),
)
def test_is_every_cycle_of_every_unit_accounted_for(
    seed: int, tokens: int, activation_density: float, settings: list[str]
) -> None:
    matrices = [
        random_matrix((19, 23), 0.3, seed),
        vector_matrix((20, 17), "vertical", 4, 0.4, seed),
    ]
    machine = roomy(*settings)
    activations = Activations(tokens, activation_density, seed % 1000)
    for result in simulated(matrices, machine, activations):
        assert sum(result.cycles_by_cause.values()) == result.cycles
        assert min(result.cycles_by_cause.values()) >= 0
        for kind, unit in result.units.items():
            total = unit.busy + sum(unit.stalled.values()) + unit.idle
            assert total == unit.count * result.cycles, kind
            assert min(unit.busy, unit.idle, *unit.stalled.values()) >= 0, kind
        assert result.macs_executed + result.macs_skipped == result.nnz * tokens
        assert result.macs_effectual == result.macs_executed
        assert result.utilization is not None and result.utilization <= 1
        assert result.ideal_compute_cycles <= result.cycles
        assert result.product is not None and result.product["is_equal"]


@pytest.mark.rule(microarchitecture=7)
def test_is_the_ideal_of_all_layers_that_of_their_sums() -> None:
    # 32 × 64 weights × 4 tokens on 4·2·4 MACs: 256 cycles. In column mode (test_terminal.py) 4,321
    # bytes, which are 68 bursts of 64: 68 cycles. An empty matrix computes nothing; descriptor,
    # table and records are a burst: 1 cycle.
    matrices = [MaskedMatrix("full", np.ones((32, 64), np.bool_))]
    matrices += [MaskedMatrix("empty", np.zeros((5, 7), np.bool_))]
    report = simulate(Workload.of(matrices, Activations(4)), roomy())
    assert [layer.ideal_cycles for layer in report.layers] == [256, 1]
    total = report.total
    assert (total.ideal_compute_cycles, total.ideal_dram_cycles) == (256, 69)
    assert total.ideal_cycles == 256


@pytest.mark.rule(microarchitecture=7)
def test_is_the_imbalance_of_all_layers_that_of_their_sums() -> None:
    # Interleaved, one token. Row mode: full rows of 16 entries, the others of 1; all four full
    # units are those of PE row 0: 76 against 16, 16 and 16. Column mode, with 64 entries for each
    # full row, is slower. Then all are equal: 16 units of 4 outputs have an entry each.
    uneven = np.zeros((64, 64), np.bool_)
    uneven[:, 0] = True
    even = uneven.copy()
    uneven[::16] = True
    matrices = [MaskedMatrix("uneven", uneven), MaskedMatrix("even", even)]
    machine = roomy("policy=interleaved")
    report = simulate(Workload.of(matrices, Activations(1)), machine)
    assert [layer.orientation for layer in report.layers] == ["horizontal", "vertical"]
    assert list(report.layers[0].pe_load) == [76, 16, 16, 16]
    assert list(report.layers[1].pe_load) == [4, 4, 4, 4]
    maxima = [max(layer.pe_load) for layer in report.layers]
    means = [sum(layer.pe_load) / 4 for layer in report.layers]
    assert report.total.imbalance == sum(maxima) / sum(means)
    # Neither that of the most uneven layer nor a mean over layers.
    ratios = [one / other for one, other in zip(maxima, means, strict=True)]
    assert report.total.imbalance not in (max(ratios), sum(ratios) / 2)


@pytest.mark.rule(microarchitecture=7)
def test_are_just_the_effectual_macs_executed() -> None:
    # In any mode and grouping of lanes, and in lock-step too: a lane whose weight is dead waits.
    machine = roomy("lane_groups=[1, 2, 4]")
    matrix = random_matrix((16, 24), 0.4, 5)
    activations = Activations(6, 0.5, 3)
    (result,) = simulated([matrix], machine, activations)
    x = activations.draw(24, 0)
    by_hand = sum(int(matrix.keep[:, c].sum()) * int(np.count_nonzero(x[:, c])) for c in range(24))
    assert result.macs_effectual == result.macs_executed == by_hand


@pytest.mark.parametrize("activation_density", [1.0, 0.4])
def test_is_the_json_the_same_for_any_number_of_threads(activation_density: float) -> None:
    machine = roomy(*TIGHT)
    texts = set()
    for threads in (1, 2, 5):
        given = Workload.of(workload(), Activations(5, activation_density))
        report = simulate(given, machine, threads=threads)
        texts.add(json_text(as_json(report, "then")))
    assert len(texts) == 1


def test_does_the_report_hold_the_promised_keys() -> None:
    machine = roomy()
    report = simulate(Workload.of(workload(), Activations(4)), machine)
    data = json.loads(json_text(as_json(report, "then")))
    assert data["schema_version"] == 3
    assert data["accelerator"]["array"]["lanes"]["value"] == 4
    adding_up = (
        *("nnz", "tokens", "cycles", "latency_s", "energy_j", "energy_by_component_j"),
        *("macs_dense", "macs_executed", "macs_skipped", "macs_padding", "speedup_vs_dense"),
        *("utilization", "dram_bytes", "cycles_by_cause", "units"),
    )
    of_layer = ("orientation", "lane_groups", "lane_select", "entries", "mean_entry_weights")
    for layer in data["layers"]:
        assert {*adding_up, *of_layer, "name", "kind", "rows", "cols", "format"} <= set(layer)
    assert set(adding_up) <= set(data["total"])
    for key in ("cycles", "nnz", "macs_executed", "dram_bytes"):
        assert data["total"][key] == sum(layer[key] for layer in data["layers"])
    assert data["total"]["energy_j"] == pytest.approx(sum(x["energy_j"] for x in data["layers"]))
    # Only a machine with XOR decoders waits for them.
    causes = [cause for cause in causes_of("mixed_vector") if cause != "decoder"]
    assert list(data["total"]["cycles_by_cause"]) == causes
    assert set(data["total"]["gops_per_watt"]) == {
        "dense_equivalent_core",
        "dense_equivalent_with_dram",
        "executed_core",
        "executed_with_dram",
    }


def test_are_layers_csv_and_json_the_same_figures() -> None:
    machine = roomy()
    results = simulated(workload(), machine, Activations(4))
    header, rows = csv_rows(results)
    text = io.StringIO()
    csv.writer(text).writerows([header, *rows])
    read = list(csv.DictReader(io.StringIO(text.getvalue())))
    assert [row["name"] for row in read] == ["a", "b", "c", "d"]
    for row, result in zip(read, results, strict=True):
        assert int(row["cycles"]) == result.cycles
        assert int(row["cycles_by_cause.compute"]) == result.cycles_by_cause["compute"]
        assert float(row["energy_by_component_j.mac"]) == result.energy_by_component_j["mac"]


@pytest.mark.rule(microarchitecture=8)
def test_does_a_wrong_product_get_noticed() -> None:
    # The machine is given one matrix and compared with another: a PE that dropped a weight.
    machine, matrix = roomy(), random_matrix((16, 16), 0.5, 7)
    assert matrix.weight is not None
    r, c = np.argwhere(matrix.keep)[3]
    less = matrix.keep.copy()
    less[r, c] = False
    from accel_sim.dataflows.mixed_vector.lines import lines_of
    from accel_sim.dataflows.mixed_vector.product import check_product
    from accel_sim.dataflows.mixed_vector.stream import encode, layout_of

    x = Activations(4).draw(16, 0)
    for keep, is_equal in ((matrix.keep, True), (less, False)):
        lines = lines_of(MaskedMatrix("m", keep), "horizontal", True)
        check, _ = check_product(
            encode(lines, layout_of(machine, 1), "m"), lines, matrix, x, machine
        )
        assert check.is_equal is is_equal


@pytest.mark.rule(microarchitecture=8)
def test_is_a_weight_beyond_fp16_reported_and_not_multiplied() -> None:
    keep = np.ones((2, 2), np.bool_)
    matrix = MaskedMatrix("big", keep, np.full((2, 2), 1e6, np.float32))
    (result,) = simulated([matrix], roomy(), Activations(1))
    assert result.product is not None
    assert "1e+06" in result.product["note"]
    assert is_product_equal([result]) is None


@pytest.mark.rule(microarchitecture=6)
def test_does_prefetching_hide_loads_and_never_lose_time() -> None:
    def total(prefetch: str) -> int:
        machine = roomy("dram.bytes_per_cycle=8", f"prefetch_across_layers={prefetch}")
        return sum(r.cycles for r in simulated(workload(), machine, Activations(64)))

    assert total("true") < total("false")


@pytest.mark.rule(microarchitecture=6)
def test_does_a_layer_without_prefetch_take_what_it_takes_alone() -> None:
    machine = roomy("prefetch_across_layers=false")
    together = simulated(workload(), machine, Activations(6))
    alone = [simulated([matrix], machine, Activations(6))[0] for matrix in workload()]
    assert [r.cycles for r in together] == [r.cycles for r in alone]


@pytest.mark.rule(microarchitecture=6)
def test_do_spilled_activations_cost_dram_bytes() -> None:
    # 16×16 at 4 tokens: 2·4·(16 + 16) = 256 bytes of activations.
    matrix = random_matrix((16, 16), 1.0)

    def traffic(room: int) -> Any:
        machine = roomy(f"activation_buffer.bytes={room}", "activation_buffer.banks=24")
        run = machine.run(Layer(0, matrix), Inputs(4, None, None))
        return alone(run, machine)

    # 64 bytes a token, in a buffer for all, three, one and none of them. The others' inputs, 32
    # bytes each, are read once (one strip) in one run, and their outputs written: bursts of 64.
    fits = traffic(256)
    assert fits.dram_write_bytes == 0
    for room, moved in ((255, 64), (192, 64), (127, 128), (64, 128), (63, 128), (1, 128)):
        spills = traffic(room)
        assert spills.dram_read_bytes - fits.dram_read_bytes == moved, room
        assert spills.dram_write_bytes == moved, room


@pytest.mark.rule(microarchitecture=6)
@pytest.mark.parametrize(
    ("room", "off_chip"),
    [
        # Two strips of 64 outputs and ranges of inputs: partial sums of 4·64 outputs, 4 bytes each,
        # take 1024. A token has 2·(128 + 64) = 384 bytes of inputs and outputs.
        (1024 + 4 * 384, 0),
        (1024 + 4 * 384 - 1, 1),
        (1024 + 384, 3),
        (1024 + 383, 4),
        (1, 4),
    ],
)
def test_do_partial_sums_have_room_before_activations(room: int, off_chip: int) -> None:
    matrix = MaskedMatrix("m", np.ones((128, 64), np.bool_))
    small = ("weight_buffer.bytes=6000", "accumulators_per_pe=32", "dram.burst_bytes=2")
    machine = roomy(*small, f"activation_buffer.bytes={room}", "activation_buffer.banks=24")
    run = machine.run(Layer(0, matrix), Inputs(4, None, None))
    assert run.input_ranges > 1 and {tile.outputs for tile in run.tiles} == {64}
    assert tokens_off_chip(run, machine) == off_chip
    # Each of the two strips reads all inputs, and writes its half of the outputs.
    time = alone(run, machine)
    read = 2 * 2 * 64 * off_chip
    weights = sum(-(-tile.bytes // 2) * 2 for tile in run.tiles)
    assert time.dram_read_bytes - weights == read
    assert time.dram_write_bytes == 2 * 128 * off_chip


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0)])
def test_does_a_matrix_without_entries_run_in_no_time(shape: tuple[int, int]) -> None:
    nothing = MaskedMatrix("none", np.zeros(shape, np.bool_), np.zeros(shape, np.float32))
    first, last = random_matrix((9, 8), 0.5, 1, "first"), random_matrix((7, 9), 0.5, 2, "last")
    machine = roomy()
    with_it = simulated([first, nothing, last], machine, Activations(3))
    without = simulated([first, last], machine, Activations(3))
    assert [r.cycles for r in with_it] == [without[0].cycles, 0, without[1].cycles]
    assert with_it[1].bound_by is None and with_it[1].density is None
    assert with_it[1].energy_j == 0
    report = simulate(Workload.of([nothing], Activations(3)), machine)
    assert report.total.cycles == 0
    json_text(as_json(report, "then"))


@pytest.mark.rule(microarchitecture=8)
def test_are_weights_too_small_for_fp16_counted() -> None:
    keep = np.ones((2, 2), np.bool_)
    matrix = MaskedMatrix("tiny", keep, np.array([[1, 1e-30], [1e-30, 2]], np.float32))
    (result,) = simulated([matrix], roomy(), Activations(1))
    assert result.product is not None and result.product["is_equal"]
    assert result.product["note"].startswith("2 kept weights are too small")


@pytest.mark.rule(microarchitecture=7)
def test_is_a_unit_busy_nearly_all_of_the_time_a_limit() -> None:
    # Of 3 PEs and 200 cycles 570 are 95 %; the DRAM has one cycle less than that.
    units = {
        "dram": Unit(1, {"busy": 189, "idle": 11}),
        "pe": Unit(3, {"busy": 570, "idle": 30}),
        "writeback": Unit(1, {"busy": 198, "idle": 2}),
    }
    assert limited_by(units, 200) == {"writeback": 0.99, "pe": 0.95}
    assert list(limited_by(units, 200)) == ["writeback", "pe"]
    assert limited_by({"pe": Unit(3, {"busy": 0})}, 0) == {}


@pytest.mark.rule(microarchitecture=7)
def test_is_a_run_of_one_token_limited_by_its_dram() -> None:
    # The last of many layers computes while nothing is left to be loaded; all else is the DRAM's.
    matrices = [random_matrix((64, 64), 0.5, seed, f"m{seed}") for seed in range(30)]
    machine = roomy("dram.bytes_per_cycle=1", "dram.first_latency_cycles=0")
    report = simulate(Workload.of(matrices, Activations(1)), machine)
    total = report.total
    least = sum(-(-1000 * layer.dram_bytes // 950) for layer in report.layers)
    assert list(total.limited_by) == ["dram"]
    assert total.limited_by["dram"] == pytest.approx(least / total.cycles, rel=0.001)
    assert as_json(report)["total"]["limited_by"] == total.limited_by
