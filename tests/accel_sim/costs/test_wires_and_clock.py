"""Are wires bits × millimetres, and the clock registers × cycles, as one counts them by hand?"""

from math import sqrt
from typing import get_args, get_type_hints

import numpy as np
import pytest
from numpy.typing import NDArray

from accel_sim.costs.area import array_side_mm, machine_area
from accel_sim.costs.energy import prices_pj
from accel_sim.costs.tables import table_rows
from accel_sim.dataflows.abstract.machine_sections import Energy
from accel_sim.inputs.activations import Activations
from accel_sim.machines.load import load_machine
from sparse_formats.masks.matrix import MaskedMatrix
from tests.accel_sim.workloads import roomy, simulated, vector_matrix

pytestmark = pytest.mark.rule(microarchitecture=9)

PJ_PER_BIT_MM = 0.1
PJ_PER_CLOCKED_BIT = 0.0036 * 0.4


def test_is_the_array_what_stands_between_the_buffers() -> None:
    parts = machine_area(load_machine("tf_mvp"))
    inside = sum(parts.values()) - parts["weight_buffer"] - parts["activation_buffer"]
    assert array_side_mm(load_machine("tf_mvp")) == pytest.approx(sqrt(inside))
    # The weights of EIE lie in its PEs.
    eie = load_machine("eie")
    parts = machine_area(eie)
    inside = sum(parts.values()) - parts["activation_buffer"]
    assert array_side_mm(eie) == pytest.approx(sqrt(inside))


@pytest.mark.parametrize(
    ("mode", "keep", "operand_bits"),
    [
        # One output of 16 inputs: 4 entries of 4 lanes, each with an input, for 4 tokens.
        ("horizontal", np.ones((1, 16), np.bool_), 4 * 4 * 4 * 16),
        # One input of 16 outputs: 4 entries of 4 lanes, which share the input.
        ("vertical", np.eye(1, 8, dtype=np.bool_).repeat(16, axis=0), 4 * 4 * 16),
    ],
)
def test_of_mixed_vectors(mode: str, keep: NDArray[np.bool_], operand_bits: int) -> None:
    machine = roomy("array.lane_groups=[1]")
    (result,) = simulated([MaskedMatrix("m", keep)], machine, Activations(4))
    assert result.orientation == mode
    entry_bits = result.storage_bits["values"] + result.storage_bits["indices"]
    side = array_side_mm(machine)
    # Entries cross the array in both passes; operands and sums half of it; each output has a part
    # of its sum in each of the two slots of its set.
    bit_sides = 2 * entry_bits + operand_bits / 2 + len(keep) * 4 * 2 * 32 / 2
    picojoule = 1e12 * result.energy_by_component_j["wires"]
    assert picojoule == pytest.approx(bit_sides * side * PJ_PER_BIT_MM)


def test_is_the_clock_that_of_the_multipliers_registers_in_passes() -> None:
    machine = roomy("array.lane_groups=[1]")
    (result,) = simulated([vector_matrix((8, 16), "horizontal", 16, 1.0)], machine, Activations(4))
    # 32 multipliers: two operands of 16 bits, a product of 32, a sum of 32. Not while it waits.
    between = result.cycles_by_cause["dram"] + result.cycles_by_cause["writeback"]
    assert between > 0
    passes = result.cycles - between
    assert 1e12 * result.energy_by_component_j["clock"] == pytest.approx(
        passes * 32 * (32 + 32 + 32) * PJ_PER_CLOCKED_BIT
    )


@pytest.mark.rule(rivals=1)
@pytest.mark.parametrize(
    ("name", "settings", "bits", "weights", "operands", "sums"),
    [
        # Hops of one PE; 24 multipliers of 2·16 + 32 + 32 bits.
        ("systolic_ws", ("rows=4", "cols=6"), 24 * 96, 1 / sqrt(24), 1 / sqrt(24), 1 / sqrt(24)),
        ("systolic_os", ("rows=4", "cols=6"), 24 * 96, 1 / sqrt(24), 1 / sqrt(24), 0.5),
        # 16 PEs are 4 rows: a trunk and 4 branches. Decoded operands 32, product 32, sum 16, a word
        # of 64 and two pointers of 16.
        ("eie", ("pes=16",), 16 * (32 + 32 + 16 + 64 + 32), 1 / 8, 5, 0.5),
        ("cambricon_x", (), 256 * 96, 1 / 8, 0.5, 0.5),
        ("optimus", (), 1024 * 96, 0.5, 0.5, 0.5),
        # 16 tokens × 64 rows: a row of PEs is half a side long.
        ("optimus", ("pe_rows=64", "token_columns=16"), 1024 * 96, 1, 0.5, 0.5),
        ("tensor_core_2_4", (), 4096 * 96, 1, 1, 0.5),
        ("highlight", (), 4096 * 96, 1, 1, 0.5),
        ("snap", (), 252 * 96, 1, 1, 0.5),
        ("dual_side_tensor_core", (), 4096 * 96, 1, 1, 0.5),
        ("eyeriss_v2", (), 384 * (16 + 16 + 20), 1, 1, 0.5),
        ("sigma", ("dpes=2",), 256 * 96, 0.5, 1, 0.5),
        ("scnn", (), 1024 * (32 + 32 + 24), 1, 1 / 16, 1 / 16),
        ("channel_merging", (), 4096 * 96, 1, 1, 0.5),
        ("tf_mvp", (), 4096 * 96, 1, 0.5, 0.5),
        ("tf_mvp", ("datatype=int8",), 4096 * (16 + 16 + 32), 1, 0.5, 0.5),
    ],
)
def test_does_each_dataflow_have_its_lengths_and_registers(
    name: str,
    settings: tuple[str, ...],
    bits: int,
    weights: float,
    operands: float,
    sums: float,
) -> None:
    machine = load_machine(name, settings)
    prices, side = prices_pj(machine), array_side_mm(machine)
    assert prices["clocked_cycle"] == pytest.approx(bits * PJ_PER_CLOCKED_BIT)
    for kind, sides in (("weight", weights), ("operand", operands), ("sum", sums)):
        assert prices[f"{kind}_wire_bit"] == pytest.approx(sides * side * PJ_PER_BIT_MM)


def test_does_a_run_pay_for_its_wires_and_its_clock() -> None:
    # 2 × 2 PEs, one fold of 2 inputs × 1 output, 5 tokens: 2 + 5 + 2 + 2 − 2 cycles.
    machine = load_machine("systolic_ws", ("rows=2", "cols=2"))
    matrix = MaskedMatrix("m", np.ones((1, 2), np.bool_))
    (result,) = simulated([matrix], machine, Activations(5))
    picojoule = {part: 1e12 * joule for part, joule in result.energy_by_component_j.items()}
    assert picojoule["clock"] == pytest.approx(9 * 4 * 96 * PJ_PER_CLOCKED_BIT)
    hop_mm = array_side_mm(machine) / 2
    assert picojoule["wires"] == pytest.approx(
        ((1 + 2) * 16 + 10 * 16 + 10 * 32) * hop_mm * PJ_PER_BIT_MM
    )


@pytest.mark.parametrize(
    ("node", "energy", "area", "wire"),
    [("65nm", 2.47, 3.95, 1.2), ("45nm", 1.97, 2.65, 1.2), ("16nm", 0.37, 0.508, 0.8)],
)
def test_do_other_nodes_scale_transistors_and_wires(
    node: str, energy: float, area: float, wire: float
) -> None:
    machines = [load_machine("tf_mvp", (f"energy.table={table}",)) for table in ("28nm", node)]
    before, after = map(prices_pj, machines)
    assert array_side_mm(machines[1]) == pytest.approx(sqrt(area) * array_side_mm(machines[0]))
    for price in ("mac", "add", "register_bit", "weight_byte_read", "clocked_cycle"):
        assert after[price] == pytest.approx(energy * before[price])
    # Wires get shorter with the array.
    assert after["operand_wire_bit"] == pytest.approx(
        wire * sqrt(area) * before["operand_wire_bit"]
    )
    assert after["dram_byte"] == before["dram_byte"]
    assert after["leaking_cycle"] == before["leaking_cycle"]


def test_is_the_scaling_that_of_the_published_polynomials() -> None:
    # a·V² + b·V + c at 0.9 V; 28 nm a third of the way from 32 to 20.
    at = {
        "65nm": 3.755 * 0.81 - 4.398 * 0.9 + 1.975,
        "45nm": 1.103 * 0.81 - 0.362 * 0.9 + 0.2767,
        "16nm": 0.2958 * 0.81 - 0.1241 * 0.9 + 0.03024,
        "7nm": 0.1776 * 0.81 - 0.09097 * 0.9 + 0.02447,
    }
    at["14nm"] = 0.2363 * 0.81 - 0.09675 * 0.9 + 0.02239
    of_32 = 0.9559 * 0.81 - 0.7823 * 0.9 + 0.471
    of_20 = 0.373 * 0.81 - 0.1582 * 0.9 + 0.04104
    of_28 = (2 * of_32 + of_20) / 3
    at |= {"32nm": of_32, "22nm": of_32 / 6 + of_20 * 5 / 6}
    at["40nm"] = (8 * at["45nm"] + 5 * of_32) / 13
    rows = {row["factor"]: float(row["nominal"]) for row in table_rows()["nodes"]}
    for node, energy in at.items():
        assert rows[f"energy_{node}"] == pytest.approx(energy / of_28, rel=0.01)
    # Each table has each node of the keys.
    nodes = get_args(get_type_hints(Energy)["table"])
    assert {f"{what}_{node}" for what in ("energy", "area", "wire") for node in nodes} == set(rows)
