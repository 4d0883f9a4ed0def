"""Do the rival machines run from their files, and do their reports add up?"""

from pathlib import Path

import numpy as np
import pytest

from accel_sim.costs.area import machine_area
from accel_sim.costs.energy import COMPONENTS
from accel_sim.dataflows.abstract.dataflow import Machine
from accel_sim.dataflows.abstract.machine_sections import Buffer, Clock
from accel_sim.dataflows.registry import causes_of
from accel_sim.inputs.activations import Activations
from accel_sim.machines.builtin import builtin_accelerators
from accel_sim.machines.load import load_machine
from accel_sim.reports.csv_table import csv_rows
from accel_sim.reports.report import Report, as_json
from accel_sim.reports.results import LayerResult, notes_on_loads, notes_on_use
from sparse_formats.errors import InputError
from sparse_formats.masks.matrix import MaskedMatrix
from tests.accel_sim.workloads import random_matrix, simulated

RIVALS = [name for name in builtin_accelerators() if load_machine(name).dataflow != "mixed_vector"]


def run(machine: Machine, *matrices: MaskedMatrix, density: float = 1.0) -> list[LayerResult]:
    return simulated(matrices, machine, Activations(5, density), threads=1)


@pytest.mark.rule(rivals=1)
@pytest.mark.parametrize("density", [1.0, 0.4])
@pytest.mark.parametrize("name", RIVALS)
def test_does_everything_counted_add_up(name: str, density: float) -> None:
    machine = load_machine(name)
    matrices = [random_matrix((70, 90), 0.3, name="a"), random_matrix((33, 130), 0.1, name="b")]
    layers = run(machine, *matrices, density=density)
    for layer, matrix in zip(layers, matrices, strict=True):
        assert layer.macs_executed + layer.macs_skipped == matrix.nnz * 5
        assert sum(layer.cycles_by_cause.values()) == layer.cycles
        has_decoders = machine.xor_decoder.decoders > 0
        causes = [c for c in causes_of(machine.dataflow) if has_decoders or c != "decoder"]
        assert list(layer.cycles_by_cause) == causes
        assert tuple(layer.energy_by_component_j) == tuple(COMPONENTS)
        for unit in layer.units.values():
            assert unit.busy + sum(unit.stalled.values()) + unit.idle == unit.count * layer.cycles
        assert layer.storage_bits["values"] == matrix.nnz * machine.value_bits
        assert layer.product is not None and layer.product["is_equal"] is True
        assert layer.macs_executed == layer.macs_effectual or not machine.skips_zeros
    data = as_json(Report(machine, tuple(layers)))
    assert data["total"]["cycles"] == sum(layer.cycles for layer in layers)
    assert data["total"]["imbalance"] is None
    assert csv_rows(layers)[1]


@pytest.mark.rule(rivals=1)
@pytest.mark.parametrize("name", RIVALS)
def test_is_a_mask_with_nothing_pruned_its_own_dense_baseline(name: str) -> None:
    whole = MaskedMatrix("m", np.ones((40, 48), np.bool_))
    (layer,) = run(load_machine(name), whole)
    assert layer.dense_cycles == layer.cycles


@pytest.mark.rule(rivals=1)
@pytest.mark.parametrize("name", RIVALS)
def test_does_a_matrix_without_outputs_take_no_time(name: str) -> None:
    machine = load_machine(name)
    matrices = (MaskedMatrix("none", np.zeros((0, 8), np.bool_)), random_matrix((8, 8), 0.5))
    empty, other = run(machine, *matrices)
    assert empty.cycles == 0
    assert empty.cycles_by_cause.keys() == other.cycles_by_cause.keys()
    assert Report(machine, (empty, other)).total.cycles == other.cycles


@pytest.mark.rule(rivals=5)
def test_is_a_pattern_that_cannot_be_used_told() -> None:
    machine = load_machine("tensor_core_2_4")
    pairs = MaskedMatrix("p", np.tile([True, True, False, False], (32, 8)))
    random = random_matrix((32, 32), 0.5, name="r")
    layers = run(machine, pairs, random)
    assert [layer.format for layer in layers] == ["2:4", "dense"]
    (note,) = notes_on_use(layers, machine)
    assert "1 of 2 matrices as 2:4" in note
    assert "1 of 2 matrices as dense" in note
    assert layers[1].macs_padding == 32 * 32 * 5 - layers[1].macs_executed
    # Slots of the one matrix are full, of the other a weight each; a token is multiplied by all.
    kept, slots = 32 * 16 + int(random.keep.sum()), 32 * 16 + 32 * 32
    assert f"{100 * kept / slots:.1f} % of the issued multiplications" in note
    machine = load_machine("tf_mvp")
    assert notes_on_use(run(machine, random), machine) == []


def test_are_matrices_told_that_were_loaded_while_others_ran() -> None:
    # The weights of the second one arrive while the larger first one is multiplied.
    machine = load_machine("sigma", ["dram.bytes_per_cycle=16"])
    sizes = {"a": (128, 512), "b": (64, 64)}
    matrices = [MaskedMatrix(name, np.ones(shape, np.bool_)) for name, shape in sizes.items()]
    layers = simulated(matrices, machine, Activations(40), threads=1)
    assert layers[1].cycles < layers[1].ideal_dram_cycles
    (note,) = notes_on_loads(layers)
    assert note.startswith("1 of 2 matrices take fewer cycles than the DRAM needs")
    assert "(b, …)" in note
    assert notes_on_loads(layers[:1]) == []


@pytest.mark.rule(rivals=2)
def test_does_a_systolic_array_alone_end_in_the_cycle_that_scale_sim_prints() -> None:
    machine = load_machine("systolic_ws")
    keep = np.ones((768, 768), np.bool_)
    (layer,) = simulated([MaskedMatrix("m", keep)], machine, Activations(128), threads=1)
    assert layer.last_pass_cycle == 45_791


@pytest.mark.rule(rivals=1)
def test_is_a_matrix_cut_until_its_tiles_fit() -> None:
    matrix = random_matrix((64, 100), 0.5)
    whole = run(load_machine("tensor_core_dense"), matrix)[0]
    # 32 outputs of 100 inputs take 6,400 bytes: half of 6,400 holds 16 of them.
    cut = run(load_machine("tensor_core_dense", ["weight_buffer.bytes=6400"]), matrix)[0]
    assert (whole.tiles, cut.tiles) == (2, 4)
    assert cut.macs_executed == whole.macs_executed
    assert cut.storage_bits == whole.storage_bits
    with pytest.raises(InputError, match=r"weight_buffer\.bytes to 400"):
        run(load_machine("tensor_core_dense", ["weight_buffer.bytes=300"]), matrix)


@pytest.mark.rule(rivals=1)
@pytest.mark.parametrize("name", RIVALS)
def test_has_every_machine_the_area_of_its_multipliers(name: str) -> None:
    machine = load_machine(name)
    parts = machine_area(machine)
    of_one = {"fp16": 2194e-6, "int16": 462e-6, "int8": 158e-6, "bf16": 1903e-6}
    assert parts["mac"] == pytest.approx(machine.macs * of_one[machine.numbers.name])
    assert min(parts.values()) > 0


@pytest.mark.parametrize(
    ("name", "setting", "words"),
    [
        ("systolic_ws", "rows=0", ["'array.rows' is 0", ">= 1"]),
        ("systolic_ws", "stationary=weights", ["weight, output, input"]),
        ("systolic_ws", "lanes=3", ["unknown key 'lanes'"]),
        ("optimus", "sets=3", ["does not divide", "1024"]),
        ("eie", "run_bits=17", ["'array.run_bits' is 17", "<= 16"]),
        ("tensor_core_2_4", "modes=[[3, 2]]", ["[3, 2]", "N of M"]),
        ("tensor_core_2_4", "modes=[[0, 2]]", ["array.modes"]),
        ("highlight", "hierarchical_modes=[[2, 4, 3, 2]]", ["[2, 4, 3, 2]", "G of H"]),
        ("highlight", "hierarchical_modes=[[2, 4]]", ["array.hierarchical_modes"]),
        ("tasd", "terms=0", ["'array.terms' is 0"]),
        ("tasd", "terms=8", ["array.terms is 8", "5 modes", "fewer terms"]),
        ("tensor_core_dense", "terms=2", ["array.terms", "array.modes is empty"]),
        ("tensor_core_dense", "dense_blocks=true", ["array.dense_blocks", "[[2, 4]]"]),
        ("spense", "dense_blocks=2", ["array.dense_blocks"]),
        ("cambricon_x", "window_inputs=0", ["'array.window_inputs' is 0"]),
        ("eie", "datatype=fp32", ["fp16, int8, int16"]),
    ],
)
def test_is_a_bad_setting_refused(name: str, setting: str, words: list[str]) -> None:
    with pytest.raises(InputError) as error:
        load_machine(name, [setting])
    assert all(word in str(error.value) for word in words), str(error.value)


@pytest.mark.rule(rivals=1)
def test_can_a_file_change_the_dataflow_of_the_machine_it_extends(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        'extends = "tf_mvp"\nname = "mine"\ndescription = "d"\nsource = "s"\n'
        'dataflow = "systolic"\n[array]\nrows = 4\ncols = 8\nstationary = "output"\n'
        '[operands]\ndatatype = "int8"\n'
    )
    machine, base = load_machine(str(file)), load_machine("tf_mvp")
    assert machine.macs == 32
    assert machine.dram == base.dram
    # Ports and the longest path are those of the circuits of the machine that it extends.
    assert machine.clock == Clock(base.clock.clock_hz, most_hz=None)
    for ours, theirs in (
        (machine.weight_buffer, base.weight_buffer),
        (machine.activation_buffer, base.activation_buffer),
    ):
        assert ours == Buffer(theirs.bytes, theirs.banks, port_bytes=None)
    file.write_text(file.read_text().replace('"systolic"', '"systolik"'))
    with pytest.raises(InputError, match="'dataflow' is 'systolik'; choose from mixed_vector"):
        load_machine(str(file))
