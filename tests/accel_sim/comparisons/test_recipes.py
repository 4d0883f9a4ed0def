"""Does each line of advice, typed in, give exactly what it promises?"""

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from accel_sim.dataflows.abstract.dataflow import Machine
from accel_sim.dataflows.registry import sections_of
from accel_sim.machines.builtin import builtin_accelerators
from accel_sim.machines.load import load_machine
from accel_sim.machines.recipe import as_flags, settings_between
from sparse_formats.errors import InputError
from tests.accel_sim.commands.test_command_line import call

pytestmark = pytest.mark.rule(microarchitecture=9)

MACHINE = """
extends = "tf_mvp"
[array]
pe_rows = 4
token_columns = 2
lanes = 4
lane_groups = [1, 2]
accumulators_per_pe = 16
[scheduler]
sets = 2
[decompressor]
word_bytes = 12
[matching]
window_inputs = 8
[weight_buffer]
bytes = 8192
[dram]
memory = "lpddr4_2400"
"""
SMALL = "--accelerator mine.toml"
CASES = {
    "tf_mvp": "--tokens 40",
    "file": f"{SMALL} --tokens 5",
    "zeros": f"{SMALL} --tokens 5 --activation-density 0.4",
    "queues_per_column": f"{SMALL} --tokens 5 --activation-density 0.3 --set per_column=true",
    "recorded": f"{SMALL} --activations acts.npz --set zero_skip.entries_per_cycle=0",
    "memory": f"{SMALL} --tokens 3 --memory ddr4_3200 --set clock_hz=333e6",
    "resident": f"{SMALL} --tokens 3 --set dram.resident=true",
    "hardly": f"{SMALL} --tokens 3 --set dram.resident=true --set weight_buffer.bytes=3000",
    "snake": f"{SMALL} --tokens 3 --set policy=snake --set array.packing=false",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rng = np.random.default_rng(0)
    (tmp_path / "mine.toml").write_text(MACHINE)
    keep = rng.random((24, 40)) < 0.3
    np.savez(tmp_path / "mask.npz", a=keep * rng.standard_normal((24, 40)), b=keep.T * 1.0)
    acts = {name: rng.integers(0, 2, (4, n)) * 1.0 for name, n in (("a", 40), ("b", 24))}
    np.savez(tmp_path / "acts.npz", **acts)  # type: ignore[arg-type]
    monkeypatch.chdir(tmp_path)
    return tmp_path


def recipes(text: str) -> Iterator[tuple[int, str]]:
    """Cycles and what is to be typed, from the lines of a terminal."""
    lines = text.splitlines()
    for line, below in pairwise(lines):
        found = re.match(r"(?:helps|harms|neutral) .*: ([\d,]+) cycles \(", line)
        if found:
            yield int(found[1].replace(",", "")), below.strip()


@pytest.mark.parametrize(
    "case",
    [case if case == "zeros" else pytest.param(case, marks=pytest.mark.slow) for case in CASES],
)
def test_is_each_line_typed_in_what_it_says(
    case: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", "--mask", "mask.npz", *shlex.split(CASES[case]), "--json", "report.json"]
    assert call(monkeypatch, *words, "--advice") == 0
    data = json.loads((folder / "report.json").read_text())
    printed = dict(
        zip((a["key"] for a in data["advice"]), recipes(capsys.readouterr().out), strict=True)
    )
    assert printed["schedule"][1].startswith("a bound, and no recipe")
    assert len(printed) >= 8
    for item in data["advice"]:
        cycles, recipe = printed[item["key"]]
        assert cycles == item["cycles"]
        if item["settings"] is None:
            continue
        # Behind the command that the report gives.
        command = [word for word in shlex.split(data["command"]) if word != "--advice"]
        again = [*command[3:], *shlex.split(recipe), "--no-advice"]
        assert call(monkeypatch, *again, "--json", "again.json") == 0, recipe
        typed = json.loads((folder / "again.json").read_text())
        assert typed["total"]["cycles"] == item["cycles"], recipe
        assert typed["total"]["energy_j"] == pytest.approx(item["energy_j"], rel=1e-12), recipe
        assert typed["area_mm2"]["total"] == pytest.approx(item["area_mm2"], rel=1e-12), recipe
        edp = typed["total"]["energy_j"] * typed["total"]["latency_s"]
        assert edp == pytest.approx(item["energy_delay_js"], rel=1e-12), recipe
        ratio = typed["total"]["cycles"] / data["total"]["cycles"]
        assert item["difference"]["cycles"] == pytest.approx(ratio - 1), recipe


def test_are_calibrated_energies_those_of_this_runs_factor(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("run", "--mask", "mask.npz", "--tokens", "40", "--json", "report.json")
    assert call(monkeypatch, *words, "--advice", "--calibrated") == 0
    data = json.loads((folder / "report.json").read_text())
    scale = f"energy.scale={data['calibration']['factor']!r}"
    item = next(item for item in data["advice"] if item["key"] == "queue")
    flags = ("--no-advice", *shlex.split(as_flags([scale, *item["settings"]])))
    assert call(monkeypatch, *words, *flags) == 0
    typed = json.loads((folder / "report.json").read_text())
    assert typed["total"]["energy_j"] == pytest.approx(item["energy_j"], rel=1e-9)


def values(machine: Machine) -> dict[str, object]:
    return {section: getattr(machine, section) for section in sections_of(machine.dataflow)}


@pytest.mark.parametrize("memory", [None, "ddr4_3200"])
@pytest.mark.parametrize("name", builtin_accelerators())
@pytest.mark.parametrize("seed", range(2))
def test_do_the_settings_between_two_machines_make_the_other(
    name: str, memory: str | None, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    given_settings = [] if memory is None else [f"dram.memory={memory}"]
    machine = load_machine(name, given_settings)
    one, two = (int(n) for n in rng.integers(1, 600, 2))
    other = replace(
        machine,
        clock=replace(machine.clock, clock_hz=float(1e6 * one)),
        dram=replace(machine.dram, bytes_per_cycle=two / 8, resident=bool(one % 2)),
        activation_buffer=replace(machine.activation_buffer, bytes=one * 2**20),
        energy=replace(machine.energy, case="high"),
    )
    settings = settings_between(machine, other)
    assert values(load_machine(name, [*given_settings, *settings])) == values(other)
    assert settings_between(machine, machine) == ()


def test_is_a_setting_typed_as_the_shell_wants_it() -> None:
    assert as_flags(["array.lane_groups=[1, 2]", "array.packing=true"]) == (
        "--set 'array.lane_groups=[1, 2]' --set array.packing=true"
    )


def test_is_what_no_setting_can_do_refused() -> None:
    machine = load_machine("tf_mvp")
    with pytest.raises(InputError, match=r"takes clock\.most_hz away"):
        settings_between(machine, replace(machine, clock=replace(machine.clock, most_hz=None)))
    with pytest.raises(InputError, match="no setting makes a machine of dataflow eie"):
        settings_between(machine, load_machine("eie"))
