"""Does Cambricon-X take ⌈nnz/16⌉ cycles per output and window, and no others?"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from accel_sim.dataflows.cambricon_x import CambriconXArray, run_cambricon_x
from tests.accel_sim.dataflows.sums import check_sums

pytestmark = pytest.mark.rule(rivals=4)


def stepped(
    keep: NDArray[np.bool_], pes: int, multipliers: int, window: int
) -> tuple[int, list[dict[str, int]]]:
    """Cycles, and what each PE spent them on: every PE walks its outputs' windows by itself."""
    outputs, inputs = keep.shape
    work = [
        [
            int(keep[row, first : first + window].sum())
            for row in range(pe, outputs, pes)
            for first in range(0, inputs, window)
        ]
        for pe in range(pes)
    ]
    spent = [{"busy": 0, "empty_window": 0, "idle": 0} for _ in range(pes)]
    cycle = 0
    while any(work):
        for steps, states in zip(work, spent, strict=True):
            if not steps:
                states["idle"] += 1
                continue
            states["busy" if steps[0] else "empty_window"] += 1
            steps[0] -= multipliers
            if steps[0] <= 0:
                del steps[0]
        cycle += 1
    return cycle, spent


@given(
    seed=st.integers(0, 2**32),
    shape=st.tuples(st.integers(1, 20), st.integers(1, 30)),
    pes=st.integers(1, 5),
    multipliers=st.integers(1, 5),
    window=st.integers(1, 9),
    density=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
)
def test_does_it_equal_the_steps(
    seed: int,
    shape: tuple[int, int],
    pes: int,
    multipliers: int,
    window: int,
    density: float,
) -> None:
    keep = np.random.default_rng(seed).random(shape) < density
    machine = CambriconXArray(pes, multipliers, window, input_words=11, output_words=8)
    tiles, sizes = run_cambricon_x(keep, 3, machine)
    check_sums(tiles, sizes, int(keep.sum()))
    for tile in tiles:
        part = keep[tile.rows[0] : tile.rows[1], tile.cols[0] : tile.cols[1]]
        cycles, spent = stepped(part, pes, multipliers, window)
        assert int(tile.cycles[0]) == cycles + machine.pe_latency_cycles
        for state in ("busy", "empty_window", "idle"):
            ours = int(tile.units["pe"].states[state][0])
            assert ours == sum(states[state] for states in spent)
        # The first of the PEs that end last.
        ends = [states["busy"] + states["empty_window"] for states in spent]
        critical = spent[ends.index(max(ends))]
        assert int(tile.causes["empty_window"][0]) == critical["empty_window"]
        kinds = ("compute", "empty_lanes", "imbalance")
        assert sum(int(tile.causes[kind][0]) for kind in kinds) == critical["busy"]


def test_is_one_window_nnz_by_sixteen_a_neuron() -> None:
    # 32 outputs on 16 PEs, at most 256 inputs: 2·⌈nnz/16⌉ cycles; a tail of one costs a cycle.
    for kept, cycles in ((16, 1), (17, 2), (240, 15), (241, 16), (256, 16)):
        keep = np.zeros((32, 256), np.bool_)
        keep[:, :kept] = True
        (tile,), _ = run_cambricon_x(keep, 1, CambriconXArray())
        assert int(tile.cycles[0]) == 2 * cycles + 4


def test_does_time_fall_from_about_five_percent_on() -> None:
    # A full window of 256 takes 16 cycles. One cycle less needs 240 or fewer kept, 6.25 % dropped;
    # random masks reach that in some windows at 5 %, in hardly any at 2 %.
    dense = int(
        run_cambricon_x(np.ones((768, 768), np.bool_), 1, CambriconXArray())[0][0].cycles[0]
    )

    def saved(sparsity: float) -> float:
        keep = np.random.default_rng(7).random((768, 768)) >= sparsity
        (tile,), _ = run_cambricon_x(keep, 1, CambriconXArray())
        return 1 - int(tile.cycles[0]) / dense

    assert dense == 48 * 3 * 16 + 4
    assert saved(0.02) < 0.001
    assert 0.005 < saved(0.05) < 0.03
    assert saved(0.08) > 0.05
