"""Is each answer to "what would help" what a run of the changed machine says?"""

from collections.abc import Iterator

import pytest

from accel_sim.comparisons.advice import QUICK_WEIGHTS, Advice, advise, is_quick
from accel_sim.dataflows.mixed_vector.dataflow import MixedVector
from accel_sim.inputs.activations import Activations
from accel_sim.inputs.workload import Workload
from sparse_formats.masks.matrix import MaskedMatrix
from tests.accel_sim.workloads import random_matrix, roomy, simulated, vector_matrix

pytestmark = pytest.mark.rule(microarchitecture=9)

TIGHT = (
    "decompressor.bytes_per_cycle=24",
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
    "decompressor": ("decompressor.bytes_per_cycle=48", "decompressor.entries_per_cycle=8"),
    "window": ("window_inputs=16", "inputs_per_cycle=8"),
    "queue": ("queue.depth_entries=4",),
    "zero_skip": ("zero_skip.entries_per_cycle=2",),
    "more_sets": ("sets=4",),
    "fewer_sets": ("sets=1",),
    "narrower": ("lanes=2", "pe_rows=8", "decompressor.entries_per_cycle=8"),
    "wider": ("lanes=8", "pe_rows=2"),
}


@pytest.mark.parametrize("activation_density", [1.0, 0.4])
@pytest.mark.parametrize("policy", ["set_associative", "online"])
def test_is_each_answer_a_run_of_the_changed_machine(
    policy: str, activation_density: float
) -> None:
    activations = Activations(5, activation_density)
    machine = roomy(*TIGHT, f"policy={policy}")
    before = cycles(machine, activations)
    found = {advice.key: advice for advice in advise(Workload.of(matrices(), activations), machine)}
    assert set(found) == set(machine.changes)
    for key, settings in SETTINGS.items():
        changed = roomy(*TIGHT, f"policy={policy}", *settings)
        assert found[key].cycles == cycles(changed, activations), key
        assert found[key].gain == pytest.approx(1 - found[key].cycles / before), key
    gains = [advice.gain for advice in found.values()]
    assert gains == sorted(gains, reverse=True)


# Machines on which each half of a twofold change shows: one half alone takes other cycles.
TELLING: dict[str, tuple[str, ...]] = {
    "window": ("inputs_per_cycle=1", "dram.bytes_per_cycle=64", "decompressor.bytes_per_cycle=400"),
    "decompressor": ("decompressor.entries_per_cycle=2", "queue.depth_entries=8"),
    "narrower": ("queue.depth_entries=8",),
    "wider": ("queue.depth_entries=8",),
}
FILLED = ("window_inputs=64", "inputs_per_cycle=64", "dram.bytes_per_cycle=64")
TWOFOLD: dict[str, tuple[str, ...]] = {
    "window": ("window_inputs=16", "inputs_per_cycle=2"),
    "decompressor": ("decompressor.bytes_per_cycle=48", "decompressor.entries_per_cycle=4"),
    "narrower": SETTINGS["narrower"],
    "wider": SETTINGS["wider"],
}


@pytest.mark.parametrize("key", TELLING)
def test_is_no_part_of_a_change_forgotten(key: str) -> None:
    base = (*TIGHT, *(() if key == "window" else FILLED), *TELLING[key])
    whole = TWOFOLD[key]
    (found,) = (a for a in advise(Workload.of(matrices(), ACTIVE), roomy(*base)) if a.key == key)
    assert found.cycles == cycles(roomy(*base, *whole), ACTIVE)
    for left_out in whole:
        rest = [setting for setting in whole if setting != left_out]
        assert found.cycles != cycles(roomy(*base, *rest), ACTIVE), left_out


def test_does_a_perfect_schedule_even_out_what_a_bad_one_does_not() -> None:
    # Row mode: 4 rows of 16 entries and 12 of one, on 4 PE rows; interleaved, the rows that carry
    # the work all fall on PE row 0.
    keep = random_matrix((16, 64), 0.0).keep.copy()
    keep[:, 0] = True
    keep[::4] = True
    machine = roomy("policy=interleaved", "window_inputs=64", "inputs_per_cycle=64")
    heavy = MaskedMatrix("heavy", keep)
    (result,) = simulated([heavy], machine, Activations(2))
    assert result.orientation == "horizontal"
    assert result.pe_load == [128, 8, 8, 8]
    found = advise(Workload.of([heavy], Activations(2)), machine)
    (advice,) = (advice for advice in found if advice.key == "schedule")
    # 64 + 12 entries: 19 for each PE row instead of 64 for the first.
    assert result.cycles - advice.cycles == 64 - 19


def test_are_impossible_changes_left_out() -> None:
    # One PE row of one lane and no sets: neither can be halved, there are no sets to change.
    machine = roomy("pe_rows=1", "lanes=1", "policy=snake")
    keys = {advice.key for advice in advise(Workload.of(matrices(), Activations(2)), machine)}
    assert not keys & {"narrower", "wider", "more_sets", "fewer_sets"}
    assert {"dram", "queue", "schedule"} <= keys


def test_does_a_machine_that_is_blind_to_zeros_look_one_entry_ahead() -> None:
    # Twice nothing would be no change.
    some = Activations(5, 0.1)
    blind = roomy("zero_skip.entries_per_cycle=0")
    found = {a.key: a for a in advise(Workload.of(matrices(), some), blind)}
    seeing = cycles(roomy("zero_skip.entries_per_cycle=1"), some)
    assert found["zero_skip"].cycles == seeing < cycles(blind, some)


@pytest.mark.parametrize(("gain", "is_nothing"), [(0.009, True), (-0.009, True), (0.011, False)])
def test_is_less_than_a_percent_called_nothing(gain: float, is_nothing: bool) -> None:
    assert Advice("queue", "queues twice as deep", 100, gain).as_data()["is_nothing"] is is_nothing


def test_is_a_small_gain_called_nothing() -> None:
    # Nothing is ever zero here, so looking ahead for zeros changes nothing.
    given = Workload.of(matrices(), Activations(2))
    found = {advice.key: advice for advice in advise(given, roomy())}
    assert found["zero_skip"].as_data()["gain"] == 0
    assert found["zero_skip"].as_data()["is_nothing"] is True


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
