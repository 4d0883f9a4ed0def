"""Does the set-associative machine equal one stepped in plain Python, and balance as it should?"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from accel_sim.dataflows.rcsc import (
    POLICIES,
    Count,
    Policy,
    RcscArray,
    pass_counts,
    run_rcsc,
    schedule,
)
from accel_sim.inputs.activations import Activations
from accel_sim.machines.load import load_machine
from sparse_formats.formats.sa_rcsc import SARCSC
from sparse_formats.masks.matrix import MaskedMatrix
from tests.accel_sim.dataflows.sums import check_sums
from tests.accel_sim.workloads import simulated

pytestmark = pytest.mark.rule(rivals=6)


def counts_of(keep: NDArray[np.bool_], machine: RcscArray) -> NDArray[np.int64]:
    return pass_counts(schedule(keep, machine), machine.window_inputs)


def scheduled(keep: NDArray[np.bool_], machine: RcscArray) -> list[list[int]]:
    """Inputs of each PE row's entries, by docs/rivals.md §6."""
    rows = list(range(len(keep)))
    sets = machine.set_count
    if machine.policy != "interleaved":
        rows.sort(key=lambda row: (-int(keep[row].sum()), row))
    set_of: dict[int, int] = {}
    for i, row in enumerate(rows):
        place = i % sets
        is_back = machine.policy != "interleaved" and (i // sets) % 2 == 1
        set_of[row] = sets - 1 - place if is_back else place
    size = machine.pe_rows // sets
    entries: list[list[int]] = [[] for _ in range(machine.pe_rows)]
    for col in range(keep.shape[1]):
        for row in rows:
            if keep[row, col]:
                members = range(set_of[row] * size, (set_of[row] + 1) * size)
                min((entries[p] for p in members), key=len).append(col)
    return entries


def stepped(keep: NDArray[np.bool_], machine: RcscArray) -> list[int]:
    """The counters of one pass, in the order of `Count`."""
    queues = scheduled(keep, machine)
    busy = [len(queue) for queue in queues]
    stalled, last = [0] * len(queues), [-1] * len(queues)
    seen: set[int] = set()
    cycle = 0
    while any(queues):
        base = min(queue[0] for queue in queues if queue)
        window = range(base, min(base + machine.window_inputs, keep.shape[1]))
        seen |= set(window)
        for p, queue in enumerate(queues):
            if queue and queue[0] in window:
                del queue[0]
                last[p] = cycle
            elif queue:
                stalled[p] += 1
        cycle += 1
    critical = last.index(max(last))
    idle = sum(cycle - 1 - end for end in last)
    return [cycle, sum(busy), sum(stalled), idle, busy[critical], stalled[critical], len(seen)]


@given(
    seed=st.integers(0, 2**32),
    shape=st.tuples(st.integers(1, 25), st.integers(1, 25)),
    sets=st.integers(1, 4),
    set_size=st.integers(1, 3),
    policy=st.sampled_from(POLICIES),
    window=st.integers(1, 9),
    density=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
)
def test_does_it_equal_the_reference(
    seed: int,
    shape: tuple[int, int],
    sets: int,
    set_size: int,
    policy: Policy,
    window: int,
    density: float,
) -> None:
    keep = np.random.default_rng(seed).random(shape) < density
    machine = RcscArray(sets * set_size, 2, policy, sets, window, outputs_per_set=3)
    assert counts_of(keep, machine).tolist() == stepped(keep, machine)
    assert schedule(keep, machine).loads.tolist() == [len(q) for q in scheduled(keep, machine)]
    tiles, sizes = run_rcsc(keep, 5, machine)
    check_sums(tiles, sizes, int(keep.sum()))


def test_does_the_window_move_with_the_smallest_pending_input() -> None:
    # Two PEs, PE 0 has inputs 0, 1, 2 and PE 1 has input 3; W = 2. PE 1 waits until base is 2.
    keep = np.array([[1, 1, 1, 0], [0, 0, 0, 1]], np.bool_)
    counts = counts_of(keep, RcscArray(2, 1, "interleaved", window_inputs=2))
    assert counts[Count.CYCLES] == 3
    assert counts[Count.WINDOW] == 2
    # Over a gap it jumps: nobody waits for the inputs between.
    far = np.zeros((1, 1000), np.bool_)
    far[0, [0, 999]] = True
    assert counts_of(far, RcscArray(1, 1, "snake", window_inputs=4))[Count.CYCLES] == 2


def test_is_a_single_set_perfectly_balanced() -> None:
    keep = np.random.default_rng(2).random((40, 30)) < 0.3
    counts = counts_of(keep, RcscArray(16, 1, "set_associative", sets=1, window_inputs=30))
    assert counts[Count.CYCLES] == -(-int(keep.sum()) // 16)


@pytest.mark.parametrize("sets", [8, 256])
def test_is_the_stored_stream_that_of_the_format(sets: int) -> None:
    keep = np.random.default_rng(4).random((64, 200)) < 0.2
    machine = RcscArray(256, 1, "set_associative", sets)
    (tile,), _ = run_rcsc(keep, 1, machine)
    assert tile.storage.bits == SARCSC.encode(keep, sets=sets, window=128).storage(16).bits


@pytest.mark.parametrize(
    ("policy", "sets"), [("interleaved", 32), ("snake", 32), ("set_associative", 4)]
)
def test_is_it_the_mixed_vector_machine_with_one_lane(policy: Policy, sets: int) -> None:
    # With a window of all inputs the other machine takes three cycles more, for a word of records,
    # a word of entries and their delivery, and its pipeline.
    keep = np.random.default_rng(5).random((100, 90)) < 0.3
    settings = {
        "array.pe_rows": 32,
        "array.token_columns": 1,
        "array.lanes": 1,
        "array.lane_groups": [1],
        "array.accumulators_per_pe": 128,
        "scheduler.policy": policy,
        "scheduler.sets": sets,
        "matching.window_inputs": 90,
        "matching.inputs_per_cycle": 90,
        "weight_buffer.banks": 32,
        "queue.depth_entries": 1000,
        "zero_skip.entries_per_cycle": 0,
    }
    machine = load_machine("tf_mvp", [f"{key}={value}" for key, value in settings.items()])
    (layer,) = simulated([MaskedMatrix("m", keep)], machine, Activations(1))
    causes = layer.cycles_by_cause
    assert causes["decompressor"] == 3
    taken = causes["compute"] + causes["empty_lanes"] + causes["imbalance"] + causes["window"]
    assert taken == counts_of(keep, RcscArray(32, 1, policy, sets, 90))[Count.CYCLES]
