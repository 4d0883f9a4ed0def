"""Do columns skip what they may, alone or in lock-step, under every policy?

Numbers in comments follow docs/microarchitecture.md, section by section.
"""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel_sim.dataflows.mixed_vector.schedule import POLICIES
from accel_sim.inputs.activations import Activations
from accel_sim.reports.results import LayerResult
from sparse_formats.masks.matrix import MaskedMatrix
from tests.accel_sim.workloads import random_matrix, roomy, simulated, vector_matrix

OWN_QUEUES = "queue.per_column=true"


def recorded(matrix: MaskedMatrix, x: list[list[Any]], *settings: str) -> LayerResult:
    values = np.array(x, np.float32)
    activations = Activations(len(values), recorded={matrix.name: values})
    (result,) = simulated([matrix], roomy(*settings), activations)
    return result


def one_unit(inputs: int) -> MaskedMatrix:
    """A single output row, all kept: in row mode a single unit, entries of 4 inputs."""
    return MaskedMatrix("m", np.ones((1, inputs), np.bool_))


@pytest.mark.rule(microarchitecture=5)
@pytest.mark.rule(microarchitecture=7)
def test_does_a_gated_column_wait_for_its_neighbour() -> None:
    # 1 × 16, row mode, 4 entries of 4 inputs, one PE row (interleaved: unit 0 → PE row 0).
    # Token 0 needs entries 0, 1; token 1 needs 2, 3. In lock-step nothing is dead for both: the row
    # issues 4 entries, each live for one of two tokens.
    x = [[1] * 8 + [0] * 8, [0] * 8 + [1] * 8]
    result = recorded(one_unit(16), x, "policy=interleaved")
    pe = result.units["pe"]
    assert pe.busy == pe.stalled["lockstep"] == 4
    assert result.macs_executed == result.macs_effectual == 16
    assert result.macs_padding == 0
    assert result.pe_load == [8, 0, 0, 0]
    # §7: c = 4 busy cycles; compute ⌈16/(4·4·2)⌉ = 1, live pairs ⌈4/8⌉ = 1, issued ⌈8/8⌉ = 1.
    causes = result.cycles_by_cause
    assert (causes["compute"], causes["lockstep"], causes["imbalance"]) == (1, 0, 3)


@pytest.mark.rule(microarchitecture=5)
def test_does_a_column_of_its_own_skip_what_is_dead_for_it() -> None:
    # The same with queues of their own: each PE issues 2 and drops 2. The record is read in cycle
    # 0, all bits in 1; an entry is delivered a cycle from 2 on. Token 0 issues in 3 and 4 and drops
    # in 5 and 6, token 1 the other way round.
    x = [[1] * 8 + [0] * 8, [0] * 8 + [1] * 8]
    result = recorded(one_unit(16), x, "policy=interleaved", OWN_QUEUES)
    pe, causes = result.units["pe"], result.cycles_by_cause
    assert (pe.busy, pe.stalled["lockstep"]) == (4, 0)
    assert result.pe_load == [4, 0, 0, 0]
    # Both take the last in 6; column 0 counts: two issues, of which 16 MACs on 32 lanes need one.
    assert (causes["compute"], causes["imbalance"], causes["zero_skip"]) == (1, 1, 2)
    assert result.units["zero_skip"].count == 8
    assert result.units["zero_skip"].busy == 4
    # 3 cycles before the first issue, 4 with takes, 3 of latency.
    in_pass = result.cycles - causes["dram"] - causes["writeback"]
    assert in_pass == 3 + 4 + 3


@pytest.mark.rule(microarchitecture=4)
def test_do_the_slots_of_a_set_share_its_entries() -> None:
    # Two sets of two PE rows. 1 × 16 is one unit, hence set 0: its 4 entries go to the two slots in
    # turn, and take 2 cycles instead of 4.
    result = recorded(one_unit(16), [[1.0] * 16], "policy=set_associative")
    assert result.pe_load == [2, 2, 0, 0]
    alone = recorded(one_unit(16), [[1.0] * 16], "policy=snake")
    assert alone.pe_load == [4, 0, 0, 0]
    assert alone.cycles - result.cycles == 2


@pytest.mark.rule(microarchitecture=4)
def test_does_longest_first_fill_the_least_loaded_row_with_room() -> None:
    # 8 units of 4, 3, 2, 2, 1, 1, 1, 0 entries on 4 PE rows: the first four open a row each;
    # 1 → row 2, 1 → row 3, 1 → row 1 (3, 3 and 3: ties to the lowest).
    keep = np.zeros((8, 16), np.bool_)
    for unit, load in enumerate((4, 3, 2, 2, 1, 1, 1, 0)):
        keep[unit, : 4 * load] = True
    few = recorded(MaskedMatrix("m", keep), [[1.0] * 16], "policy=lpt")
    assert few.orientation == "horizontal"
    assert few.pe_load == [4, 4, 3, 3]
    # 16 units on 4 PE rows of 4 words: one of 9 entries, 15 of 1. Rows 1 to 3 have less to do, but
    # no room for more than 4 units each; the last 3 go to row 0.
    keep = np.zeros((16, 36), np.bool_)
    keep[0] = True
    keep[1:, :4] = True
    full = recorded(MaskedMatrix("m", keep), [[1.0] * 36], "policy=lpt", "accumulators_per_pe=4")
    assert full.orientation == "horizontal"
    assert full.pe_load == [12, 4, 4, 4]


@pytest.mark.rule(microarchitecture=7)
@given(
    seed=st.integers(0, 2**32),
    density=st.sampled_from([0.0, 0.2, 0.7, 1.0]),
    policy=st.sampled_from(sorted(POLICIES)),
    per_column=st.booleans(),
    tokens=st.integers(1, 5),
)
def test_is_what_is_executed_what_is_effectual(
    seed: int, density: float, policy: str, per_column: bool, tokens: int
) -> None:
    machine = roomy(f"policy={policy}", f"queue.per_column={str(per_column).lower()}")
    columns = vector_matrix((20, 17), "vertical", 4, 0.4, seed % 999)
    scalars = roomy(f"policy={policy}", f"queue.per_column={str(per_column).lower()}", "lanes=1")
    activations = Activations(tokens, density, seed % 1000)
    for on, matrix in ((machine, columns), (scalars, random_matrix((11, 19), 0.3, seed % 999))):
        (result,) = simulated([matrix], on, activations)
        x = activations.draw(matrix.shape[1], 0)
        by_hand = int(matrix.keep.sum(axis=0) @ np.count_nonzero(x, axis=0))
        assert result.macs_executed == result.macs_effectual == by_hand
        assert result.macs_skipped == matrix.nnz * tokens - by_hand
        assert result.product is not None and result.product["is_equal"]
        if per_column:
            assert result.units["pe"].stalled["lockstep"] == 0


@pytest.mark.rule(microarchitecture=5)
@pytest.mark.parametrize("policy", POLICIES)
def test_are_columns_alone_and_in_step_the_same_where_nothing_is_zero(policy: str) -> None:
    matrix = random_matrix((37, 29), 0.3, 1)
    (together,) = simulated([matrix], roomy(f"policy={policy}"), Activations(5))
    (alone,) = simulated([matrix], roomy(f"policy={policy}", OWN_QUEUES), Activations(5))
    assert together.cycles == alone.cycles
    assert together.units["pe"] == alone.units["pe"]
    assert together.pe_load == alone.pe_load


@pytest.mark.rule(microarchitecture=5)
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("settings", [(), (OWN_QUEUES,)])
def test_are_equal_passes_stepped_once_counted_as_often(
    policy: str, settings: tuple[str, ...]
) -> None:
    # 3 times the same 2 tokens: three passes with zeros at the same places.
    matrix = random_matrix((24, 40), 0.3, 2)
    once = np.where(np.random.default_rng(0).random((2, 40)) < 0.4, 1.0, 0.0).tolist()
    one = recorded(matrix, once, f"policy={policy}", *settings)
    three = recorded(matrix, once * 3, f"policy={policy}", *settings)
    assert three.macs_executed == 3 * one.macs_executed
    assert three.pe_load == [3 * load for load in one.pe_load]
    assert three.units["zero_skip"].busy == 3 * one.units["zero_skip"].busy
    for state in ("lockstep", "zero_skip", "window", "decompressor"):
        assert three.units["pe"].stalled[state] == 3 * one.units["pe"].stalled[state]


@pytest.mark.rule(microarchitecture=5)
@pytest.mark.parametrize("settings", [(), (OWN_QUEUES,)])
def test_do_tokens_of_other_groups_not_matter(settings: tuple[str, ...]) -> None:
    # Groups in another order: the same passes in another order.
    matrix = random_matrix((24, 40), 0.3, 2)
    x = np.where(np.random.default_rng(1).random((6, 40)) < 0.3, 1.0, 0.0)
    turned = np.concatenate([x[4:], x[2:4], x[:2]])
    one = recorded(matrix, x.tolist(), *settings)
    other = recorded(matrix, turned.tolist(), *settings)
    assert one.units["pe"].stalled["zero_skip"] == other.units["pe"].stalled["zero_skip"]
    assert one.pe_load == other.pe_load
    assert one.macs_executed == other.macs_executed


@pytest.mark.rule(microarchitecture=2)
@pytest.mark.parametrize("length", [1, 8])
@pytest.mark.parametrize("packing", ["true", "false"])
@pytest.mark.parametrize("per_column", ["true", "false"])
def test_is_a_weight_with_a_zero_input_not_multiplied(
    length: int, packing: str, per_column: str
) -> None:
    # §2: an entry is taken when one of its weights is live; only its live weights multiply.
    machine = roomy(f"packing={packing}", f"queue.per_column={per_column}")
    matrix = vector_matrix((9, 24), "horizontal", length, 0.4, 7)
    activations = Activations(5, 0.3, 2)
    (result,) = simulated([matrix], machine, activations)
    used = activations.draw(24, 0) != 0
    by_hand = int(matrix.keep.sum(axis=0) @ used.sum(axis=0))
    assert result.macs_executed == result.macs_effectual == by_hand
    assert result.macs_skipped == matrix.nnz * 5 - by_hand
