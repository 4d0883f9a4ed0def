"""Does index matching count what its contract says (docs/rivals.md §8)?"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel_sim.dataflows.abstract.account import summed
from accel_sim.dataflows.index_matching import IndexMatchingArray, run_index_matching
from accel_sim.inputs.activations import Activations
from accel_sim.machines.load import load_machine
from sparse_formats.errors import InputError
from sparse_formats.masks.matrix import MaskedMatrix
from tests.accel_sim.dataflows.index_matching_reference import run_pass
from tests.accel_sim.dataflows.sums import check_sums
from tests.accel_sim.dataflows.two_sided import Drawn, two_sided
from tests.accel_sim.workloads import simulated

pytestmark = pytest.mark.rule(rivals=8)

machines = st.builds(
    IndexMatchingArray,
    cores=st.integers(1, 3),
    pe_rows=st.integers(1, 3),
    pe_columns=st.integers(1, 3),
    multipliers=st.integers(1, 4),
    weight_window=st.integers(4, 9),
    activation_window=st.integers(3, 7),
    outputs_per_pe=st.integers(1, 4),
    tokens_per_pe=st.integers(1, 3),
    pe_latency_cycles=st.integers(0, 2),
)


@given(machine=machines, drawn=two_sided(14, 20, 12))
def test_is_every_pass_that_of_the_plain_machine(machine: IndexMatchingArray, drawn: Drawn) -> None:
    keep, nonzero = drawn.keep, drawn.nonzero
    tokens = drawn.tokens
    tiles, sizes = run_index_matching(keep, drawn.given, tokens, machine)
    check_sums(tiles, sizes, drawn.nnz)
    ends = np.cumsum(sizes)
    pairs = 0
    for tile in tiles:
        for group, end in enumerate(ends):
            found = run_pass(keep[slice(*tile.rows)], nonzero[end - sizes[group] : end], machine)
            assert tile.cycles[group] == found.cycles
            assert {cause: n[group] for cause, n in tile.causes.items()} == found.causes
            states = tile.units["pe"].states
            assert {state: n[group] for state, n in states.items()} == found.states
            assert tile.executed[group] == len(set(found.pairs)) == len(found.pairs)
            assert tile.actions["compares"][group] == (
                found.steps * machine.weight_window * machine.activation_window
            )
            pairs += len(found.pairs)
    assert pairs == int(keep.sum(axis=0) @ nonzero.sum(axis=0))


@pytest.mark.parametrize(
    ("outputs_per_pe", "tokens_per_pe", "at_once"), [(16, 4, 2), (8, 4, 4), (32, 1, 1), (4, 2, 8)]
)
def test_is_a_dense_pass_what_the_closed_form_says(
    outputs_per_pe: int, tokens_per_pe: int, at_once: int
) -> None:
    machine = IndexMatchingArray(outputs_per_pe=outputs_per_pe, tokens_per_pe=tokens_per_pe)
    outputs, tokens = 4 * outputs_per_pe, 7 * tokens_per_pe
    (tile,), _ = run_index_matching(np.ones((outputs, 3 * 64), np.bool_), None, tokens, machine)
    of_a_step = -(-at_once * outputs_per_pe * tokens_per_pe // 3)
    assert tile.cycles.tolist() == [64 // at_once * of_a_step + 4]


@pytest.mark.parametrize("name", ["snap", "eyeriss_v2"])
def test_are_the_executed_macs_those_of_non_zero_pairs(name: str) -> None:
    # Counts of columns and of activations chosen by hand: 3·2 + 1·0 + 0·4 + 2·4 + 3·1 = 17.
    keep = np.array([[1, 0, 0, 1, 1], [1, 1, 0, 1, 1], [1, 0, 0, 0, 1]], np.bool_)
    nonzero = np.array([[1, 0, 1, 1, 0], [1, 0, 1, 1, 0], [0, 0, 1, 1, 1], [0, 0, 1, 1, 0]])
    (layer,) = simulated(
        [MaskedMatrix("m", keep)],
        load_machine(name),
        Activations(4, recorded={"m": nonzero.astype(np.bool_)}),
    )
    assert layer.macs_executed == layer.macs_effectual == 17


def test_do_windows_that_match_nothing_take_a_cycle_each() -> None:
    # One PE, 4 outputs; weights at even inputs, activations at odd ones: 8 entries fill a window.
    machine = IndexMatchingArray(1, 1, 1, 3, 8, 4, 4, 1, pe_latency_cycles=0)
    keep = np.tile([True, False], (4, 8))
    (tile,), _ = run_index_matching(keep, ~keep[:1], 1, machine)
    # Weights of inputs 0, 2 / 4, 6 / 8, 10 / 12, 14; the fourth step has all that is left.
    assert {cause: int(n[0]) for cause, n in tile.causes.items() if n[0]} == {"no_match": 4}
    assert summed(tile.skipped, 1) == 32


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("outputs_per_pe=33", ["outputs_per_pe is 33", "weight_window 32"]),
        ("activation_window=3", ["tokens_per_pe is 4", "at most 3"]),
    ],
)
def test_is_a_window_too_short_for_an_input_refused(setting: str, words: list[str]) -> None:
    with pytest.raises(InputError) as error:
        load_machine("snap", [setting])
    assert all(word in str(error.value) for word in words), str(error.value)
