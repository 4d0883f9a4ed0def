"""Is each answer to "what would help" what a run of the changed machine says?"""

from collections.abc import Iterator

import numpy as np
import pytest

from accel_sim.comparisons.advice import QUICK_WEIGHTS, Advice, Costs, advise, is_quick
from accel_sim.dataflows.abstract.dataflow import Change
from accel_sim.dataflows.mixed_vector.dataflow import MixedVector
from accel_sim.inputs.activations import Activations
from accel_sim.inputs.workload import Workload
from accel_sim.pipeline import settled
from sparse_formats.masks.matrix import MaskedMatrix
from tests.accel_sim.workloads import random_matrix, roomy, simulated, vector_matrix

pytestmark = pytest.mark.rule(microarchitecture=9)

# Ports no wider and banks no more than what reads and writes them needs.
TIGHT = (
    "decompressor.word_bytes=5",
    "decompressor.buffer_words=8",
    "weight_buffer.port_bytes=5",
    "weight_buffer.banks=4",
    "activation_buffer.port_bytes=16",
    "activation_buffer.banks=33",
    "queue.depth_entries=2",
    "zero_skip.entries_per_cycle=1",
    "window_inputs=8",
    "inputs_per_cycle=4",
    "dram.bytes_per_cycle=4",
    "weight_buffer.bytes=4096",
)


def matrices() -> Iterator[MaskedMatrix]:
    yield random_matrix((37, 29), 0.3, 1, "a")
    yield vector_matrix((32, 48), "vertical", 8, 0.3, 2, "b")
    yield vector_matrix((16, 80), "horizontal", 16, 0.5, 3, "c")


ACTIVE = Activations(5)


def cycles(machine: MixedVector, activations: Activations) -> int:
    return sum(result.cycles for result in simulated(matrices(), machine, activations))


# The changes again, in words of --set.
SETTINGS: dict[str, tuple[str, ...]] = {
    "dram": ("dram.bytes_per_cycle=8",),
    "decompressor": ("decompressor.word_bytes=10", "weight_buffer.port_bytes=10"),
    "window": ("window_inputs=16", "inputs_per_cycle=8", "activation_buffer.banks=34"),
    "queue": ("queue.depth_entries=4",),
    "zero_skip": ("zero_skip.entries_per_cycle=2",),
    "lane_groups": ("lane_groups=[1, 2]", "decompressor.buffer_words=16"),
    "lane_select": ("lane_select=2",),
    "more_sets": ("sets=4",),
    "fewer_sets": ("sets=1",),
    "narrower": ("lanes=2", "pe_rows=8", "weight_buffer.banks=8"),
    "wider": ("lanes=8", "pe_rows=2"),
}


@pytest.mark.parametrize("activation_density", [1.0, 0.4])
@pytest.mark.parametrize("per_column", ["false", "true"])
def test_is_each_answer_a_run_of_the_changed_machine(
    per_column: str, activation_density: float
) -> None:
    activations = Activations(5, activation_density)
    base = (*TIGHT, f"queue.per_column={per_column}")
    machine = roomy(*base)
    before = cycles(machine, activations)
    found = {advice.key: advice for advice in advise(Workload.of(matrices(), activations), machine)}
    # The machine has no lanes that choose, so it cannot go without.
    assert set(found) == set(machine.changes) - {"no_lane_select"}
    for key, settings in SETTINGS.items():
        changed = roomy(*base, *settings)
        assert found[key].costs.cycles == cycles(changed, activations), key
        difference = found[key].costs.cycles / before - 1
        assert found[key].difference["cycles"] == pytest.approx(difference), key
    found_cycles = [advice.costs.cycles for advice in found.values()]
    assert found_cycles == sorted(found_cycles)


# Machines on which each half of a twofold change shows: one half alone takes other cycles.
TELLING: dict[str, tuple[str, ...]] = {
    "window": ("inputs_per_cycle=1", "dram.bytes_per_cycle=64"),
    "narrower": ("weight_buffer.banks=8",),
    "wider": (),
    "lane_groups": ("decompressor.word_bytes=20", "weight_buffer.port_bytes=20"),
}
FILLED = (
    "window_inputs=64",
    "inputs_per_cycle=64",
    "activation_buffer.banks=48",
    "dram.bytes_per_cycle=64",
)
TWOFOLD: dict[str, tuple[str, ...]] = {
    "window": ("window_inputs=16", "inputs_per_cycle=2"),
    "narrower": ("lanes=2", "pe_rows=8"),
    "wider": ("lanes=8", "pe_rows=2"),
    "lane_groups": ("lane_groups=[1, 2]",),
}


@pytest.mark.parametrize("key", TELLING)
def test_is_no_part_of_a_change_forgotten(key: str) -> None:
    base = (*TIGHT, *(() if key == "window" else FILLED), *TELLING[key])
    whole = TWOFOLD[key]
    (found,) = (a for a in advise(Workload.of(matrices(), ACTIVE), roomy(*base)) if a.key == key)
    assert found.costs.cycles == cycles(roomy(*base, *whole), ACTIVE)
    for left_out in whole:
        rest = [setting for setting in whole if setting != left_out]
        assert found.costs.cycles != cycles(roomy(*base, *rest), ACTIVE), left_out


def test_does_a_perfect_schedule_even_out_what_a_bad_one_does_not() -> None:
    # Row mode: 4 rows of 16 entries and 60 of one, on 4 PE rows; interleaved, the rows that carry
    # the work all fall on PE row 0. Column mode would have 64 entries for each of these rows.
    keep = np.zeros((64, 64), np.bool_)
    keep[:, 0] = True
    keep[::16] = True
    # The DRAM is so fast that the first pass starts in the cycle after the first byte.
    machine = roomy("policy=interleaved", "dram.bytes_per_cycle=65536")
    heavy = MaskedMatrix("heavy", keep)
    (result,) = simulated([heavy], machine, Activations(2))
    assert result.orientation == "horizontal"
    assert result.pe_load == [2 * (4 * 16 + 12), 2 * 16, 2 * 16, 2 * 16]
    found = advise(Workload.of([heavy], Activations(2)), machine)
    (advice,) = (advice for advice in found if advice.key == "schedule")
    # 64 + 60 entries: 31 for each PE row instead of 76 for the first.
    assert result.cycles - advice.costs.cycles == 76 - 31


def test_are_impossible_changes_left_out() -> None:
    # One PE row of one lane and no sets: neither can be halved, there are no sets to change.
    machine = roomy("pe_rows=1", "lanes=1", "policy=snake")
    keys = {advice.key for advice in advise(Workload.of(matrices(), Activations(2)), machine)}
    assert not keys & {"narrower", "wider", "more_sets", "fewer_sets"}
    assert {"dram", "queue", "schedule"} <= keys


def test_does_a_machine_that_is_blind_to_zeros_look_one_entry_ahead() -> None:
    # Twice nothing would be no change. Column mode on one PE row: the entries of the last 8 inputs
    # wait in its queue when these inputs enter the window together. Every other one is zero for
    # both tokens, so a pair leaves in a cycle, one dropped and one issued: 4 cycles instead of 8.
    keep = np.zeros((4, 256), np.bool_)
    keep[:, 248:] = True
    matrix = MaskedMatrix("m", keep)
    odd = Activations(2, recorded={"m": np.tile([False, True], (2, 128))})
    settings = ("pe_rows=1", "sets=1", "inputs_per_cycle=8", "queue.depth_entries=8")
    blind = roomy(*settings, "zero_skip.entries_per_cycle=0")
    found = {a.key: a for a in advise(Workload.of([matrix], odd), blind)}
    (before,) = simulated([matrix], blind, odd)
    assert before.cycles - found["zero_skip"].costs.cycles == 4


def costs(cycles: int) -> Costs:
    """Made-up costs of a run of so many cycles."""
    return Costs(cycles, energy_j=2e-6, area_mm2=4.0, energy_delay_js=2e-6 * cycles)


@pytest.mark.parametrize(("cycles", "is_nothing"), [(991, True), (1009, True), (989, False)])
def test_is_less_than_a_percent_called_nothing(cycles: int, is_nothing: bool) -> None:
    advice = Advice("queue", "queues twice as deep", ("a.b=1",), costs(cycles), costs(1000))
    assert advice.as_data()["is_nothing"] is is_nothing


def test_do_all_costs_stand_beside_their_differences() -> None:
    # 3 µJ in 800 cycles of a microsecond, against 2 µJ in 1000: 2400 against 2000, 20 % more.
    changed = Costs(800, energy_j=3e-6, area_mm2=3.0, energy_delay_js=3e-6 * 800)
    data = Advice("wider", "twice the lanes", ("array.lanes=8",), changed, costs(1000)).as_data()
    assert (data["settings"], data["cycles"], data["area_mm2"]) == (["array.lanes=8"], 800, 3.0)
    assert data["difference"] == pytest.approx(
        {"cycles": -0.2, "energy_j": 0.5, "area_mm2": -0.25, "energy_delay_js": 0.2}
    )
    nothing = Costs(0, 0.0, 4.0, 0.0)
    data = Advice("wider", "twice the lanes", (), nothing, nothing).as_data()
    assert data["difference"]["cycles"] is None and data["is_nothing"]


def test_is_a_small_gain_called_nothing() -> None:
    # Nothing is ever zero here, so looking ahead for zeros changes nothing.
    given = Workload.of(matrices(), Activations(2))
    found = {advice.key: advice for advice in advise(given, roomy())}
    assert found["zero_skip"].difference["cycles"] == 0
    assert found["zero_skip"].is_nothing is True


def test_is_a_change_that_changes_nothing_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    changes = {"none": Change("nothing", lambda machine: machine)}
    monkeypatch.setattr(MixedVector, "changes", changes)
    assert advise(Workload.of(matrices(), ACTIVE), roomy()) == []


def test_do_weights_stay_on_the_chip_only_of_a_change_that_makes_room() -> None:
    # Twice the lanes of half the PE rows store the same weights in other bytes: the buffer has room
    # for the weights of the changed machine, or for those of the given one, but not for both.
    def needed(*settings: str) -> int:
        machine = roomy("dram.resident=true", *settings)
        return settled(Workload.of(matrices(), ACTIVE), machine, 1)[1]

    changes = {"lane_groups": ("lane_groups=[1, 2]",), "more_sets": ("sets=4",)}
    sizes = {key: needed(*settings) for key, settings in changes.items()}
    room = (needed() + min(sizes.values())) // 2
    key = min(sizes, key=lambda key: sizes[key])
    assert sizes[key] < room < needed()
    tight = (f"weight_buffer.bytes={room}", "dram.resident=true")
    found = {a.key: a for a in advise(Workload.of(matrices(), ACTIVE), roomy(*tight))}
    assert found[key].costs.cycles == cycles(roomy(*tight, *changes[key]), ACTIVE)


def of_size(weights: int, activations: Activations) -> Workload:
    """A workload of which only the size is ever looked at."""
    return Workload(
        names=("m",), weights=weights, matrices=lambda: iter(()), activations=activations
    )


def test_is_advice_unasked_only_where_it_is_quick() -> None:
    machine = roomy()
    assert is_quick(of_size(QUICK_WEIGHTS, Activations(128)), machine)
    assert not is_quick(of_size(QUICK_WEIGHTS + 1, Activations(128)), machine)
    # With zeros each group of two tokens is stepped apart.
    assert not is_quick(of_size(QUICK_WEIGHTS // 2, Activations(6, 0.5)), machine)
