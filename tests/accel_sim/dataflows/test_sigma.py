"""Does SIGMA count what its contract says (docs/rivals.md §9)?"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel_sim.dataflows.abstract.account import total_cycles
from accel_sim.dataflows.sigma import SigmaArray, run_sigma
from tests.accel_sim.dataflows.sigma_reference import run_pass
from tests.accel_sim.dataflows.sums import check_sums
from tests.accel_sim.dataflows.two_sided import Drawn, two_sided

pytestmark = pytest.mark.rule(rivals=9)

machines = st.builds(
    SigmaArray,
    dpes=st.integers(1, 4),
    dpe_multipliers=st.integers(1, 6),
    dpe_words=st.integers(1, 6),
    fill_words=st.integers(1, 9),
    strip_outputs=st.integers(1, 9),
    pe_latency_cycles=st.integers(0, 2),
)


@given(machine=machines, drawn=two_sided(14, 20, 6))
def test_is_every_pass_that_of_the_plain_machine(machine: SigmaArray, drawn: Drawn) -> None:
    keep, nonzero = drawn.keep, drawn.nonzero
    tokens = drawn.tokens
    tiles, sizes = run_sigma(keep, drawn.given, tokens, machine)
    assert sizes.tolist() == [tokens]
    check_sums(tiles, sizes, drawn.nnz)
    for tile in tiles:
        found = run_pass(keep[slice(*tile.rows)], nonzero, machine)
        assert tile.cycles[0] == found.cycles
        assert {cause: n[0] for cause, n in tile.causes.items()} == found.causes
        states = tile.units["multiplier"].states
        assert {state: n[0] for state, n in states.items()} == found.states
        assert tile.executed[0] == len(set(found.pairs)) == len(found.pairs)
        assert tile.actions["adds"][0] == found.continued * tokens
        assert tile.actions["accumulator_bits"][0] == 2 * 32 * found.pieces * tokens
    executed = sum(int(tile.executed[0]) for tile in tiles)
    assert executed == int(keep.sum(axis=0) @ nonzero.sum(axis=0))


def test_does_a_dense_product_take_the_fills_of_stonne() -> None:
    machine = SigmaArray(dpes=2, dpe_multipliers=128, dpe_words=64, fill_words=128)
    tiles, sizes = run_sigma(np.ones((64, 768), np.bool_), None, 64, machine)
    assert total_cycles(tiles, len(sizes)) == 192 * (1 + 2 + 64 * 2 + 8 + 4)


def test_are_inputs_that_are_zero_for_every_token_left_out() -> None:
    machine = SigmaArray(dpes=2, dpe_multipliers=4, fill_words=8, pe_latency_cycles=0)
    keep, nonzero = np.ones((4, 8), np.bool_), np.zeros((3, 8), np.bool_)
    nonzero[:, ::4] = nonzero[0, 1] = True
    (tile,), _ = run_sigma(keep, nonzero, 3, machine)
    # Inputs 0, 1, 4 of 4 outputs: 12 weights, fills of 8 and of 4; three levels of reduction.
    assert tile.cycles.tolist() == [2 * (1 + 1 + 3 + 3)]
    # Input 1 is zero for two of three tokens.
    assert tile.executed.tolist() == [4 * (3 + 1 + 3)]
    assert tile.padding.tolist() == [4 * 2]
