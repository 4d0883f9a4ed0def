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
    # What its authors measured is of the other machine.
    assert machine.published.gops_per_watt is None
    assert "mine.toml" in machine.origins["array.lanes"].source


def test_is_a_setting_marked_as_set() -> None:
    machine = load_mixed_vector("tf_mvp", ["array.packing=false", "policy=snake", "clock_hz=2e8"])
    assert machine.array.packing is False
    assert machine.scheduler.policy == "snake"
    assert machine.clock.clock_hz == 2e8
    assert machine.origins["scheduler.policy"].mark == "set"


def written(folder: Path, name: str, text: str) -> str:
    path = folder / f"{name}.toml"
    path.write_text(text)
    return str(path)


def test_does_a_file_say_of_itself_only_what_is_its_own(tmp_path: Path) -> None:
    base = load_machine("tf_mvp")
    # lanes = 16 is what tf_mvp has; the two others differ.
    text = 'extends = "tf_mvp"\n[array]\nlanes = 16\npe_rows = 8\n[queue]\n'
    file = written(tmp_path, "mine", text + 'depth_entries = { value = 2, mark = "inferred" }\n')
    machine = load_machine(file)
    assert machine.name == "mine"
    assert machine.source == (
        "extends tf_mvp with 2 changed values: array.pe_rows, queue.depth_entries"
    )
    assert machine.note == f"mine {machine.source}."
    assert machine.description == "a machine that extends tf_mvp"
    # A file on top of a file is on top of that one; what it says of itself is kept.
    text = 'extends = "mine.toml"\nname = "ours"\nsource = "s"\n[array]\npe_rows = { value = 8 }'
    child = load_machine(written(tmp_path, "child", text))
    assert (child.name, child.source) == ("ours", "s")
    assert child.note == "ours extends mine with no changed value."
    # Each shipped machine says all of it itself.
    for name in builtin_accelerators():
        assert "extends" not in load_machine(name).note
        assert name == "tf_mvp" or load_machine(name).source != base.source


def test_are_only_some_of_many_changed_values_named(tmp_path: Path) -> None:
    keys = ("bytes_per_cycle", "burst_bytes", "first_latency_cycles", "row_bytes")
    text = 'extends = "tf_mvp"\n[dram]\n' + "".join(f"{key} = 32\n" for key in keys)
    text += "[weight_buffer]\nbytes = 32\n[clock]\nclock_hz = 32\n[energy]\nscale = 32\n"
    assert load_machine(written(tmp_path, "m", text)).source == (
        "extends tf_mvp with 7 changed values: dram.bytes_per_cycle, dram.burst_bytes, "
        "dram.first_latency_cycles, dram.row_bytes, weight_buffer.bytes, clock.clock_hz and 1 more"
    )


def test_is_a_machine_with_settings_called_so() -> None:
    assert load_machine("tf_mvp").title == "tf_mvp"
    assert load_machine("tf_mvp", ["lanes=16"]).title == "tf_mvp with 1 value set"
    both = load_machine("tf_mvp", ["dram.memory=ddr4_3200", "queue.depth_entries=2"])
    assert (both.title, both.values_set) == ("tf_mvp with 2 values set", 2)
    assert resolved(both)["title"] == both.title


def test_are_all_mistakes_of_a_file_told_at_once(tmp_path: Path) -> None:
    text = (
        'extends = "tf_mvp"\nlanes = 3\ncolour = "red"\nname = 5\n[aray]\nlanes = 8\n[array]\n'
        'lane = 8\npe_rows = "8"\ntoken_columns = { valu = 8 }\n'
        'packing = { value = 1, mark = "x" }\n'
        "[dram]\nbytes_per_cycle = -1\n"
    )
    with pytest.raises(InputError) as error:
        load_machine(written(tmp_path, "m", text))
    message = str(error.value)
    assert "\n" not in message and "m.toml: 11 problems: (1) " in message
    for words in (
        "key 'lanes' stands outside its section; move it to [array]",
        "unknown key 'colour'",
        "unknown key 'aray'; did you mean 'array'?",
        "unknown key 'array.lane'; did you mean 'lanes'?",
        "unknown key 'array.token_columns.valu'",
        "'array.token_columns' has no 'value'",
        "'array.packing.mark' is 'x'",
        "'array.pe_rows' is '8'",
        "'array.packing' is 1; expected true or false",
        "'dram.bytes_per_cycle' is -1",
        "'name' is 5",
    ):
        assert words in message


def test_are_all_missing_keys_told_at_once(tmp_path: Path) -> None:
    text = (
        'description = "d"\nsource = "s"\ndataflow = "mixed_vector"\n[clock]\n[array]\nlanes = 4\n'
    )
    with pytest.raises(InputError) as error:
        load_machine(written(tmp_path, "m", text))
    message = str(error.value)
    keys = ("clock.clock_hz", "array.pe_rows", "array.datatype")
    sections = ("dram", "queue", "activation_buffer", "energy")
    assert all(f"key '{key}'" in message for key in keys), message
    assert all(f"section [{section}]" in message for section in sections), message
    assert "most_hz" not in message and "published" not in message  # these may be left out
    assert message.endswith('are missing; add them or start with extends = "tf_mvp"')


def test_does_each_origin_say_what_a_value_comes_to_on_this_machine(tmp_path: Path) -> None:
    dram = resolved(load_machine("tf_mvp"))["dram"]
    assert dram["bytes_per_cycle"]["source"].endswith("; 32 GB/s at 500 MHz")
    assert dram["first_latency_cycles"]["source"].endswith("; 100 ns at 500 MHz")
    # 64 bytes and 50 cycles at 250 MHz.
    slow = resolved(load_machine("tf_mvp", ["clock_hz=250e6"]))["dram"]
    assert slow["bytes_per_cycle"]["source"].endswith("; 16 GB/s at 250 MHz")
    assert slow["first_latency_cycles"]["source"].endswith("; 200 ns at 250 MHz")
    assert "32 GB/s" not in str(slow)
    fast = resolved(load_machine("tf_mvp", ["dram.bytes_per_cycle=1.5"]))["dram"]
    assert (
        fast["bytes_per_cycle"]["source"] == "--set dram.bytes_per_cycle=1.5; 0.75 GB/s at 500 MHz"
    )
    # 640 KB in 32 banks.
    banks = resolved(load_machine("tf_mvp", ["weight_buffer.banks=32"]))["weight_buffer"]["banks"]
    assert banks["source"].endswith("; 20 KB each")


@pytest.mark.parametrize("name", builtin_accelerators())
def test_does_no_origin_of_a_shipped_machine_state_what_a_setting_changes(name: str) -> None:
    machine = load_machine(name)
    half = load_machine(name, [f"clock_hz={machine.clock.clock_hz / 2}"])
    gigabytes = machine.dram.bytes_per_cycle * machine.clock.clock_hz / 1e9
    assert f"{gigabytes:g} GB/s" not in str(resolved(half)["dram"])


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
        ("", ["key 'description', key 'source', ", "section [clock]", "are missing; add them"]),
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
