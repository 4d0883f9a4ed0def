"""Do the slices of a whole model sum to what its report counts?"""

from collections.abc import Sequence
from pathlib import Path

import pytest

from accel_sim.__main__ import COMMANDS
from accel_sim.machines.load import load_machine
from accel_sim.models.config import transformer
from accel_sim.models.phases import OperatorTotal
from accel_sim.models.simulate import ModelRun, Request, simulate_model
from accel_sim.models.weights import generated
from accel_sim.traces.events import Trace
from accel_sim.traces.whole_model import DECODE, PROMPT, record_model
from sparse_formats.errors import InputError
from sparse_formats.terminal.command import call
from tests.accel_sim.traces.perfetto_file import read
from tests.accel_sim.traces.sums import (
    Span,
    Tracks,
    causes_of,
    cycles_by_label,
    slices,
    spans,
    tracks_of,
)

SMALL = {
    "model_type": "llama",
    "num_hidden_layers": 2,
    "hidden_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 96,
    "vocab_size": 300,
    "max_position_embeddings": 400,
}


def small(machine: str, generate: int) -> tuple[ModelRun, Trace]:
    masked = generated(transformer(SMALL, "a test"), 0.3, "mvp", 0, None)
    request = Request(prefill=40, generate=generate)
    run = simulate_model(masked, request, load_machine(machine), threads=1)
    return run, record_model(run)


def check(tracks: Tracks, span: Span, operators: Sequence[OperatorTotal], cycles: int) -> None:
    """One step: its length, its waits, and the operators one by one."""
    assert span[1] - span[0] == cycles
    waits = causes_of(tracks, [span], ["dram", "decoder", "writeback"])
    assert waits == {key: sum(getattr(total.waits, key) for total in operators) for key in waits}
    # Attention is one operator in time, and three in the report.
    whole: list[int] = []
    for total in operators:
        if total.work.kind in ("softmax", "AV"):
            whole[-1] += total.cycles
        else:
            whole.append(total.cycles)
    inside = [(first, last) for _, (first, last) in spans(tracks) if span[0] <= first < span[1]]
    assert [last - first for first, last in inside if last > first] == [n for n in whole if n]


@pytest.mark.parametrize("machine", ["tf_mvp", "tensor_core_2_4"])
def test_do_operators_and_waits_sum_to_the_phases(machine: str) -> None:
    run, trace = small(machine, generate=2)
    tracks = tracks_of(trace)
    steps = {name: span for name, span, _ in slices(tracks, ("steps",))}
    assert run.decode is not None
    check(tracks, steps[PROMPT], run.prefill.operators, run.prefill.cycles)
    check(tracks, steps[DECODE], run.decode.operators, run.decode.cycles)
    assert steps[PROMPT][1] == steps[DECODE][0]
    dram = cycles_by_label(tracks, ("DRAM",), list(steps.values()))
    assert "first latency" in dram and len(dram) > 10


def test_is_said_what_is_not_shown() -> None:
    assert "Of 4 steps of decode the first is shown." in small("tf_mvp", generate=5)[1].said
    assert len(small("tf_mvp", generate=0)[1].said) == 1


def test_does_the_command_write_it(tmp_path: Path) -> None:
    path = tmp_path / "t.pftrace"
    model = ("model", "--model", "gpt2-small", "--prefill", "4")
    with pytest.raises(InputError, match="trace shows one run; give one --batch"):
        call(COMMANDS, *model, "--batch", "1,2", "--trace", str(path))
    assert not path.exists()
    assert call(COMMANDS, *model, "--trace", str(path)) == 0
    names = {name for name, *_ in read(path).slices["layers",]}
    assert "softmax of layer 0" in names or "attention of layer 0" in names
