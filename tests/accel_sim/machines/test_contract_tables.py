"""Do the machines have the values, and the marks, of the tables in the two contracts?"""

import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from accel_sim.machines.builtin import builtin_accelerators
from accel_sim.machines.load import load_machine, resolved

DOCS = Path(__file__).parents[3] / "docs"
HEADER = "| key | default | mark | meaning |"
DIFFERENT = "| accelerator | key | value | mark |"
WIDTHS = {"v": "value_bits", "x": "operand_bits", "a": "accumulator_bits"}
WIDTH = re.compile(r"[vxa](, [vxa])*")


class Row(NamedTuple):
    """One key, with its default and its mark as they stand in the table."""

    key: str
    default: str
    mark: str


def cells(document: str, section: int, header: str) -> list[list[str]]:
    """What stands in the table with this header, row by row; nothing where there is none."""
    text = (DOCS / document).read_text("utf-8")
    (part,) = re.findall(rf"^## {section}\. .*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    if header not in part:
        return []
    lines = part[part.index(header) :].splitlines()[2:]
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in lines[: lines.index("")]
    ]


def table(document: str, section: int) -> list[Row]:
    """The table of defaults of a section, a row for each key."""
    rows: list[Row] = []
    for keys, default, mark, _ in cells(document, section, HEADER):
        names = re.findall(r"`([^`]+)`", keys)
        if keys == "clock":
            names = [keys]
        elif WIDTH.fullmatch(keys):
            names = [WIDTHS[letter] for letter in keys.split(", ")]
        values = default.split(", ") if len(names) > 1 else [default]
        rows += [Row(name, value, mark) for name, value in zip(names, values, strict=True)]
    return rows


def value(text: str) -> Any:
    """A default as a machine's file would give it."""
    if text in ("true", "false"):
        return text == "true"
    if text == "none":
        return ()
    if re.fullmatch(r"\d+(:\d+)+(, \d+(:\d+)+)*", text):
        return tuple(tuple(int(n) for n in mode.split(":")) for mode in text.split(", "))
    if re.fullmatch(r"\[\d+(, \d+)*\]", text):
        return tuple(int(n) for n in text[1:-1].split(", "))
    try:
        return float(text)
    except ValueError:
        return text


@pytest.mark.rule(microarchitecture=1)
def test_has_tf_mvp_the_numbers_of_its_table() -> None:
    tree = resolved(load_machine("tf_mvp"))
    apart = ("dram.efficiency_*", "dram.memory")
    rows = [row for row in table("microarchitecture.md", 1) if row.key not in apart]
    assert len(rows) > 30
    for row in rows:
        section, key = row.key.split(".")
        found = tree[section][key]
        assert (found["value"], found["mark"]) == (value(row.default), row.mark), row.key
    dram = tree["dram"]
    assert list(dram["efficiency_run_bytes"]["value"]) == [64, 256, 1024]
    assert list(dram["efficiency_permille"]["value"]) == [800, 900, 950]


rule = pytest.mark.rule
DATAFLOWS = [
    pytest.param("eie", 3, "eie", marks=rule(rivals=3)),
    pytest.param("cambricon_x", 4, "cambricon_x", marks=rule(rivals=4)),
    pytest.param("tensor_core", 5, "tensor_core_2_4", marks=rule(rivals=5)),
    pytest.param("rcsc", 6, "optimus", marks=rule(rivals=6)),
    pytest.param("index_matching", 8, "snap", marks=rule(rivals=8)),
    pytest.param("sigma", 9, "sigma", marks=rule(rivals=9)),
    pytest.param("dual_side", 10, "dual_side_tensor_core", marks=rule(rivals=10)),
    pytest.param("scnn", 11, "scnn", marks=rule(rivals=11)),
    pytest.param("channel_merging", 12, "channel_merging", marks=rule(rivals=12)),
]


@pytest.mark.parametrize(("dataflow", "section", "shipped"), DATAFLOWS)
def test_has_a_dataflow_the_defaults_of_its_table(
    dataflow: str, section: int, shipped: str, tmp_path: Path
) -> None:
    file = tmp_path / "plain.toml"
    file.write_text(
        f'extends = "tf_mvp"\nname = "plain"\nsource = "a test"\ndescription = "a test"\n'
        f'dataflow = "{dataflow}"\n[array]\n[operands]\ndatatype = "fp16"\n'
    )
    plain, marked = (resolved(load_machine(name)) for name in (str(file), shipped))
    rows = table("rivals.md", section)
    assert rows
    for row in rows:
        if row.key == "clock":
            number, unit = row.default.split()
            clock = marked["clock"]["clock_hz"]
            assert clock["value"] == float(number) * {"MHz": 1e6, "GHz": 1e9}[unit]
            assert clock["mark"] == row.mark
            continue
        default = value(row.default)
        assert plain["array"][row.key]["value"] == default, row.key
        # The machine may state another value; "v remembered, a chosen" says more than one thing.
        if marked["array"][row.key]["value"] == default and " " not in row.mark:
            assert marked["array"][row.key]["mark"] == row.mark, row.key


@pytest.mark.rule(rivals=2)
def test_has_the_systolic_array_the_numbers_of_its_table() -> None:
    array = resolved(load_machine("systolic_ws"))["array"]
    for row in table("rivals.md", 2):
        assert (array[row.key]["value"], array[row.key]["mark"]) == (value(row.default), row.mark)


SECTIONS = {
    "systolic": 2,
    "eie": 3,
    "cambricon_x": 4,
    "tensor_core": 5,
    "rcsc": 6,
    "index_matching": 8,
    "sigma": 9,
    "dual_side": 10,
    "scnn": 11,
    "channel_merging": 12,
}


@pytest.mark.parametrize("dataflow", list(SECTIONS))
def test_does_a_section_say_all_that_accelerators_state_otherwise(dataflow: str) -> None:
    section = SECTIONS[dataflow]
    loaded = {name: load_machine(name) for name in builtin_accelerators()}
    machines = {name: resolved(m)["array"] for name, m in loaded.items() if m.dataflow == dataflow}
    assert machines
    said: dict[str, dict[str, tuple[Any, str]]] = {name: {} for name in machines}
    for names, key, text, mark in cells("rivals.md", section, DIFFERENT):
        for name in said if names == "all" else [names.strip("`")]:
            said[name][key.strip("`")] = value(text), mark
    for name, array in machines.items():
        found = {row.key: array[row.key] for row in table("rivals.md", section) if row.key in array}
        defaults = {row.key: value(row.default) for row in table("rivals.md", section)}
        assert said[name] == {
            key: (entry["value"], entry["mark"])
            for key, entry in found.items()
            if entry["value"] != defaults[key]
        }, name
