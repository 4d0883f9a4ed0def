"""Is a file of waveforms whole, and refused where there is nothing to show?

tests/rtl/test_waves.py compares its values with those of the hardware.
"""

import re
from pathlib import Path

import pytest

from accel_sim.__main__ import COMMANDS
from accel_sim.dataflows.mixed_vector.recording import PassRecorder
from accel_sim.traces import events
from sparse_formats.errors import InputError
from sparse_formats.terminal.command import call
from tests.rtl.waves import read

RUN = ("run", "--shapes", "24x40,16x24", "--density", "0.4", "--tokens", "5")
SMALL = ("--set", "pe_rows=4", "--set", "token_columns=2")
SAVE_FILE = Path(__file__).parents[3] / "rtl" / "machine.gtkw"


def test_does_the_save_file_fit_the_waveforms_of_a_run(tmp_path: Path) -> None:
    path = tmp_path / "t.vcd"
    assert call(COMMANDS, *RUN, *SMALL, "--vcd", str(path)) == 0
    signals = read(path)
    named = [line for line in SAVE_FILE.read_text().splitlines() if line.startswith("bench.")]
    assert named and set(named) <= signals.keys()
    starts = signals["bench.machine.pass_starts"]
    assert starts.values.count("1") == 3


def test_are_the_waveforms_those_of_the_cycles_and_layers_that_are_wished(tmp_path: Path) -> None:
    path = tmp_path / "t.vcd"
    wish = ("--trace-layer", "matrix1", "--trace-cycles", "0:130")
    assert call(COMMANDS, *RUN, *SMALL, "--vcd", str(path), *wish) == 0
    signals = read(path)
    steps = signals["bench.machine.pass_step"]
    assert min(t for t, v in zip(steps.times, steps.values, strict=True) if v == "1") >= 2 * 113
    assert max(max(signal.times) for signal in signals.values()) <= 2 * 130 + 1


def test_are_waveforms_that_are_too_long_refused_at_the_pass_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.vcd"
    options = (*RUN, *SMALL, "--vcd", str(path), "--trace-layer", ".")
    stepped = []
    record = PassRecorder.record
    monkeypatch.setattr(
        PassRecorder, "record", lambda *given: stepped.append(given) or record(*given)
    )
    assert call(COMMANDS, *options) == 0
    every = len(stepped)
    path.write_text("mine")
    monkeypatch.setattr(events, "MOST_EVENTS", 200)
    stepped.clear()
    with pytest.raises(InputError, match=r"about [\d,]+ events, more than 200") as said:
        call(COMMANDS, *options)
    assert 0 < len(stepped) < every
    assert path.read_text() == "mine"
    named = re.search(r"--trace-cycles (\d+:\d+)", str(said.value))
    assert named is not None
    # What the refusal names lies within the run, however many cycles were asked for.
    with pytest.raises(InputError, match=f"--trace-cycles {named[1]},"):
        call(COMMANDS, *options, "--trace-cycles", "0:999999999")


def test_is_a_machine_that_is_not_stepped_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.vcd"
    with pytest.raises(InputError, match="stepped unit by unit, and scnn is not"):
        call(COMMANDS, *RUN, "--accelerator", "scnn", "--vcd", str(path))
    assert not path.exists()


def test_is_a_file_of_another_name_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.vcd"):
        call(COMMANDS, *RUN, "--vcd", str(tmp_path / "t.txt"))
