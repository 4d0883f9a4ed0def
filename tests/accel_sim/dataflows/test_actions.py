"""Are the actions that energy is charged for those that one counts by hand?"""

import numpy as np
import pytest

from accel_sim.dataflows.abstract.account import Tile
from accel_sim.dataflows.cambricon_x import CambriconXArray, run_cambricon_x
from accel_sim.dataflows.channel_merging import ChannelMergingArray, run_channel_merging
from accel_sim.dataflows.dual_side import DualSideArray, run_dual_side
from accel_sim.dataflows.eie import EieArray, run_eie
from accel_sim.dataflows.index_matching import IndexMatchingArray, run_index_matching
from accel_sim.dataflows.rcsc import RcscArray, run_rcsc
from accel_sim.dataflows.scnn import ScnnArray, run_convolution, run_tokens
from accel_sim.dataflows.sigma import SigmaArray, run_sigma
from accel_sim.dataflows.systolic import SystolicArray, run_systolic
from accel_sim.dataflows.tensor_core.array import TensorCoreArray
from accel_sim.dataflows.tensor_core.dataflow import run_tensor_core
from accel_sim.inputs.convolutions import Convolution


def once(tile: Tile) -> dict[str, int]:
    """The actions of the first group."""
    return {action: int(counted[0]) for action, counted in tile.actions.items()}


@pytest.mark.rule(rivals=2)
def test_of_a_held_weight() -> None:
    # 2 × 2 PEs; 3 inputs, 1 output, 5 tokens: folds of 2 inputs and of 1.
    (first, second), _ = run_systolic(np.ones((1, 3), np.bool_), 5, SystolicArray(2, 2, "weight"))
    assert once(first) == {
        "weight_bits_read": 2 * 16,
        "activation_bits_read": 10 * 16,
        "activation_bits_written": 5 * 32,
        # Ten MACs pass on an input and a sum; weights step down 1 + 2 rows. Written and read.
        "register_bits": 2 * (10 * 48 + 3 * 16),
        "macs": 10,
        "accumulator_bits": 0,
        "adds": 0,
        # Hops from PE to PE: the weights down, the inputs on, the sums down.
        "weight_wire_bits": 3 * 16,
        "operand_wire_bits": 10 * 16,
        "sum_wire_bits": 10 * 32,
    }
    # The second fold's sums are added to the first's.
    assert once(second)["activation_bits_read"] == 5 * 16 + 5 * 32
    assert once(second)["adds"] == 5


@pytest.mark.rule(rivals=3)
def test_of_eie() -> None:
    # 18 outputs on one PE, inputs 0 and 1 of 3 not zero. Column 0 keeps row 17 (a padding zero and
    # a weight), column 1 rows 0 and 2, column 2 row 5.
    keep = np.zeros((18, 3), np.bool_)
    keep[[17, 0, 2, 5], [0, 1, 1, 2]] = True
    (tile,), _ = run_eie(keep, np.array([[True, True, False]]), 1, EieArray(pes=1))
    assert once(tile) == {
        "weight_bits_read": 4 * (4 + 4) + 2 * 2 * 16,
        "activation_bits_read": 3 * 16,
        "activation_bits_written": 18 * 16,
        "decoded_bits": 4 * 8,
        "register_bits": 2 * 2 * 16,
        "compares": 3,
        "macs": 3,
        "gated_lanes": 1,
        "accumulator_bits": 2 * 16 * 3,
        "weight_wire_bits": 4 * (4 + 4) + 2 * 2 * 16,
        # Two columns are broadcast, each an activation and its number.
        "operand_wire_bits": 2 * (16 + 16),
        "sum_wire_bits": 18 * 16,
    }
    assert int(tile.skipped[0]) == 1


@pytest.mark.rule(rivals=4)
def test_of_cambricon_x() -> None:
    # 2 outputs × 6 inputs in windows of 4, two multipliers: 3 + 0 and 1 + 2 kept: 2 + 1 + 1 issues.
    keep = np.array([[1, 1, 1, 0, 0, 0], [0, 0, 1, 0, 1, 1]], np.bool_)
    (tile,), _ = run_cambricon_x(keep, 1, CambriconXArray(pes=2, multipliers=2, window_inputs=4))
    stored = 6 * (16 + 2) + 4 * 3
    assert tile.storage.bits == stored
    assert once(tile) == {
        "weight_bits_read": stored,
        "activation_bits_read": 12 * 16,
        "activation_bits_written": 2 * 32,
        "decoded_bits": stored - 6 * 16,
        "register_bits": 2 * 6 * 16,
        "macs": 6,
        "gated_lanes": 2,
        "accumulator_bits": 2 * 32 * 4,
        "adds": 0,
        "weight_wire_bits": stored,
        "operand_wire_bits": 6 * 16,
        "sum_wire_bits": 2 * 32,
    }


@pytest.mark.rule(rivals=5)
def test_of_a_tensor_core() -> None:
    # 3 outputs × 8 inputs, 2:4: 4 slots a row of which row 2 uses none; 2 × 2 × 2 multipliers.
    keep = np.array([[1, 1, 0, 0] * 2, [0, 1, 0, 1] * 2, [0] * 8], np.bool_)
    (tile,), _ = run_tensor_core(keep, 2, TensorCoreArray(2, 2, 2, modes=((2, 4),)))
    assert tile.storage.bits == 12 * 18
    assert once(tile) == {
        "weight_bits_read": 12 * 18,
        "activation_bits_read": 2 * 8 * 2 * 16,
        "activation_bits_written": 3 * 2 * 32,
        "decoded_bits": 12 * 2,
        "register_bits": 2 * 16 * (12 + 2 * 4 * 2),
        "macs": 24,
        "accumulator_bits": 2 * 32 * 3 * 2 * 2,
        "weight_wire_bits": 12 * 18,
        # Two blocks of outputs, past which all 8 inputs of both tokens come.
        "operand_wire_bits": 2 * 8 * 2 * 16,
        "sum_wire_bits": 3 * 2 * 32,
    }
    assert int(tile.padding[0]) == 8


@pytest.mark.rule(rivals=13)
def test_of_a_tensor_core_with_groups_of_groups() -> None:
    # 3 outputs × 16 inputs, 1 of 2 groups of 2:4: two sets, 4 slots a row; row 2 uses none.
    keep = np.array([[1, 1, 0, 0, 0, 0, 0, 0] * 2, [0] * 4 + [0, 1, 0, 1] + [0] * 8, [0] * 16])
    array = TensorCoreArray(2, 2, 2, modes=(), hierarchical_modes=((1, 2, 2, 4),))
    (tile,), _ = run_tensor_core(keep.astype(np.bool_), 2, array)
    # Of each place which of 2 groups, of each slot which of 4 inputs.
    index = 3 * 2 * (1 + 2 * 2)
    assert tile.storage.bits == 12 * 16 + index
    assert once(tile) == {
        "weight_bits_read": 12 * 16 + index,
        "activation_bits_read": 2 * 16 * 2 * 16,
        "activation_bits_written": 3 * 2 * 32,
        "decoded_bits": index,
        "register_bits": 2 * 16 * (12 + 2 * 4 * 2),
        "macs": 24,
        "accumulator_bits": 2 * 32 * 3 * 2 * 2,
        "weight_wire_bits": 12 * 16 + index,
        "operand_wire_bits": 2 * 16 * 2 * 16,
        "sum_wire_bits": 3 * 2 * 32,
    }


@pytest.mark.rule(rivals=14)
def test_of_a_tensor_core_with_a_sum_of_terms() -> None:
    # 2 outputs × 8 inputs, 1:4 + 1:8: slots 2 and 1 a row, which take 1 cycle each.
    keep = np.array([[1, 1, 0, 0, 1, 0, 0, 0], [0, 0, 0, 1, 0, 0, 0, 0]], np.bool_)
    array = TensorCoreArray(2, 2, 2, modes=((1, 4), (1, 8)), terms=2)
    (tile,), _ = run_tensor_core(keep, 2, array)
    index = 2 * (2 * 2 + 1 * 3)
    assert int(tile.cycles[0]) == 2 + 4
    assert once(tile) == {
        "weight_bits_read": 6 * 16 + index,
        # All inputs for each of the two terms.
        "activation_bits_read": 2 * 8 * 2 * 16,
        "activation_bits_written": 2 * 2 * 32,
        "decoded_bits": index,
        "register_bits": 2 * 16 * (6 + 3 * 2),
        "macs": 12,
        "accumulator_bits": 2 * 32 * 2 * 2 * 2,
        "weight_wire_bits": 6 * 16 + index,
        "operand_wire_bits": 2 * 8 * 2 * 16,
        "sum_wire_bits": 2 * 2 * 32,
    }


@pytest.mark.rule(rivals=15)
def test_of_a_tensor_core_with_a_dense_block() -> None:
    # 3 outputs × 4 inputs, blocks of 2: the first is 2:4, the second, a single output, is dense.
    keep = np.array([[1, 1, 0, 0], [0, 0, 0, 1], [1, 1, 1, 0]], np.bool_)
    array = TensorCoreArray(2, 2, 2, modes=((2, 4),), dense_blocks=True)
    (tile,), _ = run_tensor_core(keep, 2, array)
    index = 2 * 2 * 2 + 2
    assert int(tile.cycles[0]) == 1 + 2 + 4
    assert once(tile) == {
        "weight_bits_read": 8 * 16 + index,
        "activation_bits_read": 2 * 4 * 2 * 16,
        "activation_bits_written": 3 * 2 * 32,
        "decoded_bits": index,
        "register_bits": 2 * 16 * (8 + (2 + 4) * 2),
        "macs": 16,
        "accumulator_bits": 2 * 32 * 2 * (2 * 1 + 1 * 2),
        "weight_wire_bits": 8 * 16 + index,
        "operand_wire_bits": 2 * 4 * 2 * 16,
        "sum_wire_bits": 3 * 2 * 32,
    }


@pytest.mark.rule(rivals=6)
def test_of_a_set_of_scalar_pes() -> None:
    # One set of two PEs, inputs 0, 1 and 9 of 10, W = 2: inputs 0 and 1, then 9 enter the window.
    keep = np.zeros((2, 10), np.bool_)
    keep[[0, 0, 1], [0, 9, 1]] = True
    (tile,), _ = run_rcsc(keep, 1, RcscArray(2, 1, sets=1, window_inputs=2))
    actions = once(tile)
    assert actions["activation_bits_read"] == 3 * 16
    assert actions["register_bits"] == (3 + 3) * 16
    assert actions["weight_bits_read"] == actions["decoded_bits"] == tile.storage.bits
    assert actions["adds"] == 2
    assert actions["activation_bits_written"] == 2 * 32
    assert actions["macs"] == actions["compares"] == 3
    assert actions["weight_wire_bits"] == tile.storage.bits
    assert actions["operand_wire_bits"] == 3 * 16
    # Both PEs of the set hold a part of both sums.
    assert actions["sum_wire_bits"] == 2 * 2 * 32


def test_of_held_outputs_and_held_inputs() -> None:
    # 2 × 2 PEs, 2 inputs, 1 output, 2 tokens: 4 MACs.
    (tile,), _ = run_systolic(np.ones((1, 2), np.bool_), 2, SystolicArray(2, 2, "output"))
    assert once(tile)["weight_wire_bits"] == once(tile)["operand_wire_bits"] == 4 * 16
    # Two sums leave, over wires of their own.
    assert once(tile)["sum_wire_bits"] == 2 * 32
    (tile,), _ = run_systolic(np.ones((1, 2), np.bool_), 2, SystolicArray(2, 2, "input"))
    # The inputs of two tokens step down one row and two.
    assert once(tile)["operand_wire_bits"] == 2 * 3 * 16
    assert once(tile)["weight_wire_bits"] == 4 * 16
    assert once(tile)["sum_wire_bits"] == 4 * 32


@pytest.mark.rule(rivals=8)
def test_of_index_matching() -> None:
    # Two cores of one PE row and two columns; 3 outputs × 5 inputs keep 6, 2 tokens have 7 inputs.
    machine = IndexMatchingArray(2, 1, 2, 2, 4, 4, outputs_per_pe=2, tokens_per_pe=2)
    keep = np.array([[1, 1, 0, 0, 1], [0, 1, 0, 0, 0], [1, 0, 0, 1, 0]], np.bool_)
    nonzero = np.array([[1, 1, 1, 0, 1], [1, 0, 0, 1, 1]], np.bool_)
    (tile,), _ = run_index_matching(keep, nonzero, 2, machine)
    # Three bits say which of 5 inputs, one which output or token of the PE; a list has ≤ 6 entries.
    stored = 6 * (16 + 3 + 1) + 4 * 3
    # Core 0, inputs 0, 2, 4 | 1, 3: 4 + 2 | 1 + 1 pairs (2 + 0 + 1 weights, 2 + 1 + 2 activations,
    # so that input 4 takes a step of its own); core 1: no pair, none | 1 pair.
    assert tile.storage.bits == stored
    assert once(tile) == {
        "weight_bits_read": stored,
        "activation_bits_read": 7 * (16 + 3 + 1),
        "activation_bits_written": 3 * 2 * 32,
        "register_bits": 2 * (6 + 2 * 7) * 32,
        "compares": 4 * 16,
        "macs": 9,
        # 2 + 1, 1 and 1 cycles of two multipliers.
        "gated_lanes": 10 - 9,
        "accumulator_bits": 2 * 32 * 9,
        "adds": 3 * 2,
        "weight_wire_bits": stored,
        "operand_wire_bits": 7 * (16 + 3 + 1),
        "sum_wire_bits": 3 * 2 * 32,
    }


@pytest.mark.rule(rivals=9)
def test_of_sigma() -> None:
    # Two engines of two multipliers; 3 outputs × 4 inputs keep 7, of which input 3, zero for both
    # tokens, keeps one: 6 are live, in fills of 4 (outputs 0, 0, 0, 1) and of 2 (outputs 1, 2).
    keep = np.array([[1, 1, 1, 0], [1, 0, 1, 1], [0, 1, 0, 0]], np.bool_)
    nonzero = np.array([[1, 0, 1, 0], [1, 1, 1, 0]], np.bool_)
    (tile,), _ = run_sigma(keep, nonzero, 2, SigmaArray(dpes=2, dpe_multipliers=2))
    assert tile.storage.bits == 7 * 16 + 12
    assert once(tile) == {
        "weight_bits_read": 6 * 16 + 12,
        # Five activations and a bitmap of 8, for each fill.
        "activation_bits_read": 2 * (5 * 16 + 8),
        # Output 1 goes on in the second fill, for two tokens.
        "partial_bits_read": 2 * 32,
        "activation_bits_written": (3 + 1) * 2 * 32,
        "decoded_bits": 12 * 16,
        "register_bits": 2 * 16 * (6 + 12),
        # Token 0 has a zero where two live weights wait.
        "macs": 10,
        "gated_lanes": 2,
        "accumulator_bits": 2 * 32 * 4 * 2,
        "adds": 2,
        "weight_wire_bits": 6 * 16,
        # Three inputs of two tokens pass the engines in each fill.
        "operand_wire_bits": 2 * 3 * 2 * 16,
        "sum_wire_bits": (3 + 1) * 2 * 32,
    }


@pytest.mark.rule(rivals=10)
def test_of_a_dual_side_tensor_core() -> None:
    # A core of 4 outputs × 3 tokens, steps of 2 × 2. Input 0: 3 weights, 1 token; input 1: 1 and 3;
    # input 2: 2 and none.
    keep = np.array([[1, 0, 1], [1, 0, 0], [1, 1, 0], [0, 0, 1]], np.bool_)
    nonzero = np.array([[1, 1, 0], [0, 1, 0], [0, 1, 0]], np.bool_)
    machine = DualSideArray(1, 1, 4, 3, 2, 2)
    (tile,), _ = run_dual_side(keep, nonzero, 3, machine)
    assert int(tile.cycles[0]) == 2 + 2 + 4
    assert tile.storage.bits == 6 * 16 + 12
    assert once(tile) == {
        "weight_bits_read": 6 * 16 + 12,
        "activation_bits_read": 4 * 16 + 9,
        "activation_bits_written": 4 * 3 * 32,
        "decoded_bits": 12 + 9,
        # Three weights for a step each, one activation for two; one weight for two, three for one.
        "register_bits": 2 * 16 * (3 + 2 + 2 + 3),
        "macs": 6,
        "gated_lanes": 4 * 4 - 6,
        "accumulator_bits": 2 * 32 * 6,
        "weight_wire_bits": 6 * 16 + 12,
        "operand_wire_bits": 4 * 16 + 9,
        "sum_wire_bits": 4 * 3 * 32,
    }


@pytest.mark.rule(rivals=11)
def test_of_scnn() -> None:
    # Two PEs of 2 × 2 multipliers; 3 tokens: two in the first, one in the second. Input 0 is kept
    # by three outputs, input 1 by one, input 2 by none; token 1 has a zero in input 0.
    machine = ScnnArray(2, 1, weights=2, activations=2)
    keep = np.array([[1, 1, 0], [1, 0, 0], [1, 0, 0]], np.bool_)
    nonzero = np.array([[1, 1, 1], [0, 1, 1], [1, 1, 1]], np.bool_)
    (tile,), _ = run_tokens(keep, nonzero, 3, machine)
    stored = 4 * (16 + 4) + 3 * 2
    assert tile.storage.bits == stored
    # First PE: 2 cycles for 1 · 3 products, 1 for 2 · 1; second: 2 for 1 · 3, 1 for 1 · 1.
    assert once(tile) == {
        "weight_bits_read": stored,
        "activation_bits_read": 8 * (16 + 4),
        "activation_bits_written": 3 * 3 * 24,
        # Four weights into two queues, each read out for one vector of activations.
        "register_bits": 16 * (2 * 4 + 2 * 4) + 2 * 24 * 9,
        "macs": 9,
        "gated_lanes": 6 * 4 - 9,
        "accumulator_bits": 2 * 24 * 9,
        "adds": 0,
        "weight_wire_bits": stored,
        "operand_wire_bits": 8 * (16 + 4),
        "sum_wire_bits": 3 * 3 * 24,
    }


@pytest.mark.rule(rivals=11)
def test_of_scnn_s_halo() -> None:
    # 4 × 1 inputs in two PEs, a kernel of 3 × 1 that keeps its first row: sums of 4 positions in
    # each PE, for 2 positions of outputs.
    shape = Convolution(1, 1, (3, 1), (4, 1))
    machine = ScnnArray(2, 1, weights=2, activations=2)
    (tile,), sizes = run_convolution(np.array([[True, False, False]]), None, shape, machine)
    assert sizes.tolist() == [2]
    assert once(tile)["adds"] == 8 - 2
    # Rows 2 and 3 would belong to positions 2 and 3, which the plane of outputs has not.
    assert (once(tile)["macs"], int(tile.executed[0]), int(tile.padding[0])) == (4, 2, 8 - 2)
    assert tile.storage.bits == 20 + 2


@pytest.mark.rule(rivals=12)
def test_of_channel_merging() -> None:
    # Two cells high, two tokens wide. Input 0 keeps output 0, input 2 output 1: they merge; input 3
    # keeps both, input 1 none.
    keep = np.array([[1, 0, 0, 1], [0, 0, 1, 1]], np.bool_)
    machine = ChannelMergingArray(outputs=2, tokens=2, merged_inputs=2)
    (tile,), _ = run_channel_merging(keep, 2, machine)
    stored = 2 * 2 * (16 + 1) + 2 * 2 * 2
    assert tile.storage.bits == stored
    assert once(tile) == {
        "weight_bits_read": stored,
        "activation_bits_read": 3 * 2 * 16,
        "activation_bits_written": 2 * 2 * 32,
        "decoded_bits": 2 * 2,
        "register_bits": 2 * 16 * (4 + 3 * 2),
        "macs": 8,
        "accumulator_bits": 2 * 32 * 8,
        "weight_wire_bits": stored,
        "operand_wire_bits": 3 * 2 * 16,
        "sum_wire_bits": 2 * 2 * 32,
    }
