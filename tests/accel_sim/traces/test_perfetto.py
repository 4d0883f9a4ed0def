"""Does a Perfetto file hold the timeline, as the perfetto package reads it?"""

import re
from pathlib import Path

import pytest

from accel_sim.__main__ import COMMANDS
from accel_sim.inputs.activations import Activations
from accel_sim.inputs.workload import Workload
from accel_sim.traces import events, perfetto
from accel_sim.traces.events import Slices
from accel_sim.traces.record import Wish
from sparse_formats.errors import InputError
from sparse_formats.terminal.command import call
from tests.accel_sim.traces.perfetto_file import read
from tests.accel_sim.traces.sums import recorded
from tests.accel_sim.workloads import load_mixed_vector, random_matrix

RUN = ("--shapes", "24x40,16x24", "--density", "0.4", "--tokens", "5", "--set", "pe_rows=4")
RUN += ("--set", "token_columns=2")


def test_does_the_file_hold_every_slice_value_and_arrow(tmp_path: Path) -> None:
    matrices = [random_matrix((24, 40), 0.4, name="a é"), random_matrix((9, 24), 0.5, name="b")]
    machine = load_mixed_vector("tf_mvp", ["pe_rows=4", "token_columns=2"])
    _, trace = recorded(Workload.of(matrices, Activations(5, 0.6)), machine, Wish("."))
    path = tmp_path / "t.pftrace"
    path.write_bytes(b"".join(perfetto.encode(trace)))
    found = read(path)
    assert "1 ns is 1 cycle" in found.process
    for track in trace.tracks:
        if isinstance(track, Slices):
            expected = [
                (
                    track.labels[track.label[i]],
                    int(track.start[i]),
                    int(track.end[i]),
                    (int(track.flow[i]),) if track.flow[i] else (),
                    dict(track.notes.get(i, {})),
                )
                for i in range(len(track.start))
            ]
            assert found.slices[track.path] == expected
        else:
            values = zip(track.time.tolist(), track.value.tolist(), strict=True)
            assert found.counters[track.path] == list(values)
            assert found.units[track.path] == track.unit
    # From a load to the first pass over its tile and on to the write-back of that pass.
    loads = [flow for name, _, _, flow, _ in found.slices["DRAM",] if name != "first latency"]
    passes = [flow for _, _, _, flow, _ in found.slices["passes",] if flow]
    backs = [flow for _, _, _, flow, _ in found.slices["write-back",]]
    assert passes == backs and len(loads) == 2 and set(loads) < set(passes)


def test_is_one_layer_shown_in_detail_and_which(tmp_path: Path) -> None:
    path = tmp_path / "t.pftrace"
    assert call(COMMANDS, "run", *RUN, "--trace", str(path)) == 0
    longest = read(path)
    assert call(COMMANDS, "run", *RUN, "--trace", str(path), "--trace-layer", "matrix1") == 0
    named = read(path)
    (first, second) = [(start, end) for _, start, end, _, _ in named.slices["layers",]]
    for found, (start, end) in ((longest, first), (named, second)):
        slots = [
            each for key, all_ in found.slices.items() if key[0] == "PE row 0" for each in all_
        ]
        assert slots and all(start <= each[1] and each[2] <= end for each in slots)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--trace-layer", "("), "'\\(' is not a regular expression"),
        (("--trace-layer", "a{99999999999}"), "is not a regular expression"),
        (("--trace-layer", "nothing"), "matches no layer"),
        (("--trace-cycles", "5:5"), "A below B"),
        (("--trace-cycles", "9"), "two whole numbers"),
        (("--trace-cycles", "100000:100001"), "the run ends at"),
    ],
)
def test_is_what_cannot_be_shown_refused(
    options: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "t.pftrace"
    with pytest.raises(InputError, match=message):
        call(COMMANDS, "run", *RUN, "--trace", str(path), *options)
    assert not path.exists()


def test_is_a_part_asked_for_without_a_timeline_refused() -> None:
    with pytest.raises(InputError, match="belongs to --trace or --vcd"):
        call(COMMANDS, "run", *RUN, "--trace-layer", "a")


def test_are_too_many_events_refused_with_their_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.pftrace"
    path.write_text("mine")
    machine = load_mixed_vector("tf_mvp", ["pe_rows=4", "token_columns=2"])
    work = Workload.of([random_matrix((24, 40), 0.4)], Activations(5))
    _, trace = recorded(work, machine, Wish())
    count = sum(
        2 * len(track.start) if isinstance(track, Slices) else len(track.time)
        for track in trace.tracks
    )
    monkeypatch.setattr(events, "MOST_EVENTS", count)
    recorded(work, machine, Wish())
    monkeypatch.setattr(events, "MOST_EVENTS", count - 1)
    with pytest.raises(
        InputError, match=f"would have {count:,} events, more than {count - 1:,}"
    ) as refusal:
        recorded(work, machine, Wish())
    # The cycles that it names fit.
    named = re.search(r"--trace-cycles (\d+):(\d+)", str(refusal.value))
    assert named is not None
    recorded(work, machine, Wish(cycles=(int(named[1]), int(named[2]))))
    monkeypatch.setattr(events, "MOST_EVENTS", 10)
    with pytest.raises(InputError, match="events"):
        call(COMMANDS, "run", *RUN, "--trace", str(path))
    assert path.read_text() == "mine"
