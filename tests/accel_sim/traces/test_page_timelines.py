"""Is the small timeline of the page a part of what the report counts?"""

import pytest

from accel_sim.inputs.activations import Activations
from accel_sim.inputs.workload import Workload
from accel_sim.machines.load import load_machine
from accel_sim.pipeline import Runs, simulate
from accel_sim.reports.figures.timeline import Timeline
from accel_sim.reports.report import Report
from accel_sim.traces import events, page_timelines
from tests.accel_sim.workloads import random_matrix


def drawn(name: str, *settings: str, density: float = 0.6) -> tuple[Report, dict[str, Timeline]]:
    work = Workload.of(
        [random_matrix((24, 40), 0.4, name="a"), random_matrix((33, 60), 0.3, name="b")],
        Activations(5, density),
    )
    runs: list[Runs] = []
    report = simulate(work, load_machine(name, settings), threads=1, on_runs=runs.append)
    return report, page_timelines.page_timelines(runs[0], work)


def check(timeline: Timeline) -> None:
    """Slices within the axis, in order of time, disjoint, and neighbours of different states."""
    assert timeline.first == 0 < timeline.last
    for track in timeline.tracks:
        for start, end, state in track.slices:
            assert 0 <= start < end <= timeline.last and state != "idle"
        for one, other in zip(track.slices, track.slices[1:], strict=False):
            assert one[1] < other[0] or (one[1] == other[0] and one[2] != other[2])


@pytest.mark.parametrize("name", ["tf_mvp", "scnn", "eie", "systolic_ws"])
def test_does_every_matrix_have_one_whose_states_are_causes(name: str) -> None:
    report, found = drawn(name)
    assert found.keys() == {"a", "b"}
    for layer in report.layers:
        timeline = found[layer.name]
        check(timeline)
        states = {state for track in timeline.tracks for _, _, state in track.slices}
        assert states <= {"busy", "queue_full", *layer.cycles_by_cause}
        names = [track.name for track in timeline.tracks]
        assert names[0] == "DRAM" and names[-1] == "write-back"


def test_do_the_passes_of_a_rival_say_what_the_report_does() -> None:
    report, found = drawn("scnn", density=1.0)
    layer, timeline = report.layers[1], found["b"]
    assert timeline.last == layer.cycles and "all" in timeline.words
    passes = next(track for track in timeline.tracks if track.name == "passes")
    sums = dict.fromkeys(layer.cycles_by_cause, 0)
    for start, end, state in passes.slices:
        sums[state] += end - start
    assert sums == layer.cycles_by_cause


def test_are_units_shown_of_the_slowest_and_few_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_timelines, "DETAILED", 1)
    report, found = drawn("tf_mvp", "pe_rows=4", "token_columns=2")
    assert report.layers[0].cycles > report.layers[1].cycles
    names = [track.name for track in found["a"].tracks]
    assert names == [
        "DRAM",
        "passes",
        *(f"decoder {r}" for r in range(4)),
        *(f"PE row {r}" for r in range(4)),
        "write-back",
    ]
    assert [track.name for track in found["b"].tracks] == ["DRAM", "passes", "write-back"]
    monkeypatch.setattr(page_timelines, "MOST_SLICES", 8)
    _, fewer = drawn("tf_mvp", "pe_rows=4", "token_columns=2")
    check(fewer["a"])
    units = [track for track in fewer["a"].tracks if track.name[:2] in ("de", "PE")]
    assert sum(len(track.slices) for track in units) < 8 + 2 * len(units)
    assert fewer["a"].last < found["a"].last
    assert f"cycles 0 to {fewer['a'].last} of {report.layers[0].cycles}" in fewer["a"].words


def test_does_a_matrix_of_many_passes_have_a_short_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MOST_EVENTS", 600)
    monkeypatch.setattr(page_timelines, "DETAILED", 0)
    work = Workload.of([random_matrix((60, 80), 0.4, name="a")], Activations(300))
    machine = load_machine("tf_mvp", ["token_columns=2", "pe_rows=4", "weight_buffer.bytes=4096"])
    runs: list[Runs] = []
    report = simulate(work, machine, threads=1, on_runs=runs.append)
    assert len(runs[0].layers[0].tiles) > 1
    timeline = page_timelines.page_timelines(runs[0], work)["a"]
    check(timeline)
    assert timeline.last < report.layers[0].cycles
    slices = sum(len(track.slices) for track in timeline.tracks)
    assert page_timelines.MOST_PLAIN / 2 < slices <= page_timelines.MOST_PLAIN + 3
