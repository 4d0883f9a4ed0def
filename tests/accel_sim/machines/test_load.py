"""Is an accelerator file read as written, and is every mistake in it named?"""

import dataclasses
from pathlib import Path

import pytest

from accel_sim.dataflows.abstract.machine_sections import MARKS
from accel_sim.dataflows.registry import sections_of
from accel_sim.machines.builtin import builtin_accelerators
from accel_sim.machines.load import load_machine, resolved
from sparse_formats.errors import InputError
from tests.accel_sim.workloads import load_mixed_vector


@pytest.mark.parametrize("name", builtin_accelerators())
def test_does_every_value_of_a_shipped_machine_say_where_it_comes_from(name: str) -> None:
    machine = load_machine(name)
    tree = resolved(machine)
    assert tree["source"]
    for section in sections_of(machine.dataflow):
        for key, item in tree[section].items():
            assert item["mark"] in MARKS, key
            assert item["source"], f"{section}.{key} has no source"


@pytest.mark.rule(microarchitecture=1)
def test_does_tf_mvp_have_the_published_4096_macs() -> None:
    machine = load_mixed_vector("tf_mvp")
    assert machine.macs == 4096
    assert machine.published.gops_per_watt == 377.0


def test_can_a_file_extend_a_machine_and_change_one_value(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('extends = "tf_mvp"\nname = "mine"\n[array]\nlanes = 8\n')
    machine, base = load_mixed_vector(str(file)), load_mixed_vector("tf_mvp")
    assert (machine.name, machine.array.lanes) == ("mine", 8)
    assert dataclasses.replace(machine.array, lanes=16) == base.array
    assert machine.origins["array.lanes"].mark == "chosen"
    # The note goes with the machine, what its authors measured does not.
    assert machine.note == base.note
    assert machine.published.gops_per_watt is None
    assert "mine.toml" in machine.origins["array.lanes"].source


def test_is_a_setting_marked_as_set() -> None:
    machine = load_mixed_vector("tf_mvp", ["array.packing=false", "policy=snake", "clock_hz=2e8"])
    assert machine.array.packing is False
    assert machine.scheduler.policy == "snake"
    assert machine.clock.clock_hz == 2e8
    assert machine.origins["scheduler.policy"].mark == "set"


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("lane=3", ["unknown key 'lane'", "'array.lanes'"]),
        ("array.lane=3", ["unknown key", "array.lanes"]),
        ("bytes=3", ["activation_buffer.bytes or weight_buffer.bytes"]),
        ("lanes=3.5", ["'array.lanes' is 3.5", "a whole number"]),
        ("lanes=true", ["'array.lanes' is True", "a whole number"]),
        ("lanes=0", ["'array.lanes' is 0", ">= 1"]),
        ("lanes=65", ["<= 64"]),
        ("lanes", ["KEY=VALUE"]),
        ("=3", ["KEY=VALUE"]),
        ("lanes=16\nfoo=3", ["KEY=VALUE"]),
        ("completely_else=3", ["--show"]),
        ("policy=snak", ["'snak'", "interleaved, snake, lpt, set_associative"]),
        ("clock_hz=inf", ["finite"]),
        ("clock_hz=nan", ["finite"]),
        ("clock_hz=-1", ["'clock.clock_hz' is -1"]),
        ("sets=3", ["does not divide", "16", "with sets=3"]),
        ("accumulators_per_pe=8", ["less than", "array.lanes"]),
        ("window_inputs=8", ["less than", "array.lanes"]),
        ("efficiency_permille=[900]", ["as many of both"]),
        ("efficiency_run_bytes=[64, 64, 128]", ["must rise"]),
    ],
)
def test_is_a_bad_setting_refused_with_its_reason(setting: str, words: list[str]) -> None:
    with pytest.raises(InputError) as error:
        load_mixed_vector("tf_mvp", [setting])
    message = str(error.value)
    assert "\n" not in message
    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lanes = ", ["not TOML"]),
        ("", ["key 'name' is missing"]),
        ('extends = "tf_mvp"\n[aray]\nlanes = 8', ["unknown key 'aray'", "'array'"]),
        ('extends = "tf_mvp"\narray = 8', ["'array' must be a section"]),
        ('extends = "tf_mvp"\n[array]\nlane = 8', ["'array.lane'", "'lanes'"]),
        ('extends = "tf_mvp"\n[array]\nlanes = { valu = 8 }', ["array.lanes.valu", "'value'"]),
        ('extends = "tf_mvp"\n[array]\nlanes = { mark = "chosen" }', ["has no 'value'"]),
        (
            'extends = "tf_mvp"\n[array]\nlanes = { value = 8, mark = "gues" }',
            ["'gues'", "known: calibrated"],
        ),
        ('extends = "tf_mvp"\n[array]\nlanes = "8"', ["'array.lanes' is '8'"]),
        ("extends = 3", ["must name an accelerator"]),
        ('extends = "tf_mvp"\nlanes = 3', ["'lanes' stands outside", "[array]"]),
        ('extends = "tf_mpv"', ["neither known", "'tf_mvp'"]),
        ('extends = "self.toml"', ["leads back"]),
        ('name = "x"\ndescription = ""\nsource = "s"\ndataflow = "mixed_vector"', ["[clock]"]),
        ('extends = "tf_mvp"\nsource = ""', ["'source' is ''"]),
    ],
)
def test_is_a_bad_file_refused_naming_file_and_key(
    tmp_path: Path, text: str, words: list[str]
) -> None:
    file = tmp_path / "self.toml"
    file.write_text(text)
    with pytest.raises(InputError) as error:
        load_mixed_vector(str(file))
    message = str(error.value)
    assert all(word in message for word in words), message
    assert "self.toml" in message or "tf_mpv" in message


def test_are_unreadable_files_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        load_mixed_vector(str(tmp_path / "none.toml"))
    with pytest.raises(InputError, match="cannot be read"):
        (tmp_path / "folder.toml").mkdir()
        load_mixed_vector(str(tmp_path / "folder.toml"))
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="not UTF-8"):
        load_mixed_vector(str(tmp_path / "binary.toml"))
