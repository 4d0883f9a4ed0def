"""Is a mixed-vector machine that nobody could build refused, with the key to change?"""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel_sim.comparisons.advice import changed_machines
from accel_sim.machines.load import load_machine
from sparse_formats.errors import InputError
from tests.accel_sim.workloads import load_mixed_vector, roomy


@pytest.mark.rule(microarchitecture=1)
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("lane_groups=[1, 3]", "array.lane_groups has 3, which does not divide array.lanes (16)"),
        ("accumulators_per_pe=132", "has 8, which does not divide array.accumulators_per_pe (132)"),
        (
            "lanes=12 accumulators_per_pe=132 lane_groups=[4, 6]",
            "has 4, which does not divide the largest of array.lane_groups (6)",
        ),
        ("lane_groups=[2, 1]", "array.lane_groups must rise"),
        ("lane_groups=[1, 1, 2]", "array.lane_groups must rise"),
        ("lane_groups=[]", "'array.lane_groups'"),
        ("lane_groups=[0]", "'array.lane_groups"),
        ("weight_buffer.port_bytes=39", "port_bytes is 39, less than decompressor.word_bytes 40"),
        ("weight_buffer.banks=15", "weight_buffer.banks is 15, but array.pe_rows is 16"),
        # Inputs: 8 · 16 · 2 B; partial sums, read and written: 2 · 128 · 4 B; 1,280 B are 40 banks.
        ("activation_buffer.banks=39", "draw 1280 B; set activation_buffer.banks to 40"),
        # Sums of 48 bits: 256 + 2 · 128 · 6 = 1,792 B are 56 banks.
        ("datatype=int16 activation_buffer.banks=55", "set activation_buffer.banks to 56"),
        ("words_per_cycle=257", "output.words_per_cycle draw 2312 B"),
        # 8 groups of 2 lanes: a word of 320 bits beside up to 2 · 17 + 4 + 21 bits of an entry.
        ("decompressor.buffer_words=15", "decompressor.buffer_words is 15"),
        ("decompressor.buffer_words=15", "1 words to each of 8 lane groups"),
        ("decompressor.buffer_words=15", "set it to 16 or more"),
        (
            "lane_select=4",
            "window_inputs is 32, less than array.lanes 16 times array.lane_select 4",
        ),
        ("lane_select=4", "set it to 64 or more"),
        ("lane_select=3 window_inputs=64", "array.lane_select is 3; it must be a power of two"),
        ("lane_select=32 window_inputs=512", "'array.lane_select"),
        ("lane_select=2 packing=false", "set array.packing to true or array.lane_select to 1"),
        # 2 · 17 + 25 = 59 bits fit beside a word, 2 · (17 + 4) + 25 = 67 do not.
        (
            "lane_select=16 window_inputs=256 word_bytes=8 buffer_words=16",
            "decompressor.buffer_words is 16",
        ),
        ("clock_hz=668e6", "clock.clock_hz is 6.68e+08, above clock.most_hz 6.67e+08"),
    ],
)
def test_is_what_cannot_be_built_refused(settings: str, words: str) -> None:
    with pytest.raises(InputError) as error:
        load_mixed_vector("tf_mvp", settings.replace(", ", ",").split())
    assert words in str(error.value)


@pytest.mark.rule(microarchitecture=1)
@pytest.mark.parametrize(
    "settings",
    [
        "activation_buffer.banks=40",
        "datatype=int16 activation_buffer.banks=56",
        "clock_hz=667e6",
        "lane_groups=[4]",
        "lane_select=2",
        "lane_select=8 window_inputs=128 word_bytes=9",
        "clock_hz=1e9 clock.most_hz=1e9",
    ],
)
def test_is_what_just_fits_accepted(settings: str) -> None:
    assert load_mixed_vector("tf_mvp", settings.split()).macs == 4096


@pytest.mark.rule(microarchitecture=1)
@pytest.mark.parametrize(
    ("accumulators", "word_bytes", "fits"),
    [(16, 12, True), (16, 11, False), (128, 12, True), (256, 12, False), (256, 13, True)],
)
def test_do_two_words_hold_a_word_and_what_an_entry_may_lack(
    accumulators: int, word_bytes: int, fits: bool
) -> None:
    # 4 lanes: 4 · 17 + t + 21 bits, with t = 4, 7 and 8 bits for 16, 128 and 256 units of a set:
    # 93, 96 and 97 bits beside a word, in two words of 88, 96 or 104 bits.
    settings = (
        f"accumulators_per_pe={accumulators}",
        f"decompressor.word_bytes={word_bytes}",
        "decompressor.buffer_words=2",
    )
    if fits:
        roomy(*settings)
        return
    with pytest.raises(InputError, match=r"buffer_words is 2.*set it to 3 or more"):
        roomy(*settings)


@pytest.mark.rule(microarchitecture=1)
@pytest.mark.parametrize("buffer", ["weight_buffer", "activation_buffer"])
def test_is_a_buffer_without_ports_refused(buffer: str) -> None:
    machine = load_mixed_vector("tf_mvp")
    blind = replace(machine, **{buffer: replace(getattr(machine, buffer), port_bytes=None)})
    with pytest.raises(InputError, match=rf"{buffer}\.port_bytes is missing"):
        blind.check()


@pytest.mark.rule(microarchitecture=10)
@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("policy=online", "choose from interleaved, snake, lpt, set_associative"),
        ("decompressor.entries_per_cycle=16", "unknown key 'decompressor.entries_per_cycle'"),
        ("decompressor.bytes_per_cycle=576", "unknown key 'decompressor.bytes_per_cycle'"),
    ],
)
def test_is_what_the_first_edition_had_refused(setting: str, words: str) -> None:
    with pytest.raises(InputError) as error:
        load_machine("tf_mvp", [setting])
    assert words in str(error.value)


@pytest.mark.rule(microarchitecture=11)
def test_the_machine_whose_lanes_choose_differs_in_two_values() -> None:
    chooses, plain = load_mixed_vector("tf_mvp_lane_select"), load_mixed_vector("tf_mvp")
    assert (chooses.array.lane_select, chooses.matching.window_inputs) == (4, 128)
    assert replace(chooses.array, lane_select=1) == plain.array
    assert replace(chooses.matching, window_inputs=32) == plain.matching
    for section in ("clock", "weight_buffer", "activation_buffer", "output", "vector", "dram"):
        assert getattr(chooses, section) == getattr(plain, section)


@pytest.mark.rule(microarchitecture=9)
@pytest.mark.parametrize("datatype", ["fp16", "int8", "int16"])
@pytest.mark.parametrize(
    ("name", "without"), [("tf_mvp", {"no_lane_select"}), ("tf_mvp_lane_select", set[str]())]
)
def test_can_every_change_of_the_default_machine_be_built(
    name: str, without: set[str], datatype: str
) -> None:
    # Where no lane chooses, there is nothing to go without.
    machine = load_mixed_vector(name, [f"datatype={datatype}"])
    changed = changed_machines(machine)
    assert set(changed) == set(machine.changes) - without
    for key, other in changed.items():
        other.check()
        assert other.macs == machine.macs, key
        assert (other == machine) == (key == "schedule"), key


@pytest.mark.rule(microarchitecture=9)
@given(
    lanes=st.sampled_from([1, 2, 4, 6, 12, 64]),
    lane_groups=st.sampled_from([(1,), (2,), (1, 2), (1, 2, 4), (2, 3, 6), (4, 12), (2, 3, 4, 12)]),
    pe_rows=st.sampled_from([1, 2, 12]),
    sets=st.sampled_from([1, 2, 4]),
    accumulators=st.sampled_from([4, 12, 96, 192]),
    select=st.sampled_from([1, 2, 4]),
    buffer_words=st.integers(2, 24),
    word_bytes=st.sampled_from([2, 5, 16, 40]),
    banks=st.integers(1, 70),
)
def test_can_every_change_of_any_machine_be_built_or_is_left_out(
    lanes: int,
    lane_groups: tuple[int, ...],
    pe_rows: int,
    sets: int,
    accumulators: int,
    select: int,
    buffer_words: int,
    word_bytes: int,
    banks: int,
) -> None:
    machine = load_mixed_vector("tf_mvp")
    machine = replace(
        machine,
        array=replace(
            machine.array,
            lanes=lanes,
            lane_groups=lane_groups,
            pe_rows=pe_rows,
            accumulators_per_pe=accumulators,
            lane_select=select,
        ),
        scheduler=replace(machine.scheduler, sets=sets),
        decompressor=replace(
            machine.decompressor, word_bytes=word_bytes, buffer_words=buffer_words
        ),
        matching=replace(machine.matching, window_inputs=256),
        weight_buffer=replace(machine.weight_buffer, banks=pe_rows),
        activation_buffer=replace(machine.activation_buffer, banks=banks),
    )
    try:
        machine.check()
    except InputError:
        return
    changed = changed_machines(machine)
    for other in changed.values():
        other.check()
    # More of the same can always be built.
    assert {"dram", "decompressor", "window", "queue", "zero_skip", "schedule"} <= set(changed)
