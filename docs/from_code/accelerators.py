"""Keys of accelerator files, from the dataclasses of the sections, and the machines with marks.

What a key means is said in the tables of the contracts; the tests hold these against the code.
"""

import re
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from accel_sim.dataflows.abstract.machine_sections import SHARED, Clock
from accel_sim.dataflows.registry import DATAFLOWS
from accel_sim.machines.builtin import builtin_accelerators, builtin_memories
from accel_sim.machines.load import load_machine, resolved
from accel_sim.reports.glossary import MARK_WORDS
from docs.from_code.markdown import code, plain, table
from docs.from_code.markdown import page as whole_page
from sparse_formats.terminal.settings import bare, range_of

_DOCS = Path(__file__).parents[1]

_INTRODUCTION = """\
This page is written from the code. An accelerator is one TOML file, as
[How to describe an accelerator](../describe_an_accelerator.md) explains. A key is given in its
section, bare (`lanes = 16`) or with its origin
(`lanes = { value = 16, mark = "chosen", source = "…" }`). A key without a default must be given, or
comes from the file that is extended.

`python -m accel_sim accelerators --show NAME` prints every value of a machine with its mark and its
source. [The machine, to the cycle](../microarchitecture.md) and
[The rival machines](../rivals.md) say what each key does to the cycle."""

_UNITS = {
    "_hz": "Hz",
    "bytes_per_cycle": "bytes per cycle",
    "words_per_cycle": "words per cycle",
    "inputs_per_cycle": "inputs per cycle",
    "elements_per_cycle": "elements per cycle",
    "entries_per_cycle": "entries per cycle",
    "_per_cycle": "per cycle",
    "_cycles": "cycles",
    "_bytes": "bytes",
    "_bits": "bits",
    "_permille": "‰",
    "_operations": "operations",
    "_entries": "entries",
    "_inputs": "inputs",
    "_words": "words",
    "_w": "W",
    "gops_per_watt": "GOPS/W",
}
"""Unit by how a key ends; the first that fits."""


def page() -> str:
    """The page of all keys."""
    shared = {"clock": Clock, **SHARED}
    meanings = _meanings("microarchitecture.md")
    parts = [_INTRODUCTION, _marks(), "## Sections of every machine"]
    tf_mvp = _values("tf_mvp")
    parts += [_section(name, cls, meanings, tf_mvp) for name, cls in shared.items()]
    for name, dataflow in DATAFLOWS.items():
        machines = [m for m in builtin_accelerators() if load_machine(m).dataflow == name]
        parts.append(f"## Sections of the dataflow `{name}`")
        if machines:
            parts.append(
                f"Machines: {', '.join(map(code, machines))}. Values are those of the first."
            )
        values = _values(machines[0]) if machines else {}
        own = dataflow.own_sections()
        known = meanings if name == "mixed_vector" else _meanings("rivals.md", machines, own)
        parts += [_section(section, cls, known, values) for section, cls in own.items()]
    return whole_page("Keys of accelerator files", *parts, _machines(), _memories())


def _marks() -> str:
    rows = [[code(mark), f"{plain(words)}"] for mark, words in MARK_WORDS.items()]
    return "## Marks\n\nA mark says where a value comes from.\n\n" + table(
        ["mark", "meaning"], rows
    )


def _section(
    name: str, section: type, meanings: Mapping[str, str], values: Mapping[str, tuple[Any, str]]
) -> str:
    """The keys of one section."""
    hints = get_type_hints(section, include_extras=True)
    own = _said(section)
    rows = []
    for each in fields(section):
        if each.name == "ert":
            continue
        key = f"{name}.{each.name}"
        value, mark = values.get(key, ("", ""))
        default = "" if each.default is MISSING or each.default is None else _shown(each.default)
        meaning = meanings.get(key, meanings.get(each.name, plain(own.get(each.name, ""))))
        rows.append(
            [
                code(key),
                plain(_kind(hints[each.name])),
                _unit(each.name),
                code(default),
                f"{code(_shown(value))} {mark}" if mark else "",
                meaning,
            ]
        )
    header = ["key", "type and range", "unit", "default", "value and mark", "meaning"]
    return f"### `[{name}]`\n\n{table(header, rows)}"


def _said(section: type) -> dict[str, str]:
    """Key → what the docstring of a section says of it, as `key: what it is.`"""
    text = " ".join((section.__doc__ or "").split())
    return dict(re.findall(r"(\w+): (.*?\.)(?= \w+(?:, \w+)*: |$)", text))


def _machines() -> str:
    rows = []
    for name in builtin_accelerators():
        machine = load_machine(name)
        rows.append(
            [code(name), code(machine.dataflow), plain(machine.description), plain(machine.source)]
        )
    header = ["machine", "dataflow", "what it is", "source"]
    return "## Machines that come with the package\n\n" + table(header, rows)


def _memories() -> str:
    names = ", ".join(code(name) for name in builtin_memories())
    return (
        "## Memories that come with the package\n\n"
        f"`--memory` and `dram.memory` take {names}. Each fills the keys of `[dram]` that are not "
        "stated beside it."
    )


def _values(machine: str) -> dict[str, tuple[Any, str]]:
    """Value and mark of every key of a machine."""
    tree = resolved(load_machine(machine))
    return {
        f"{section}.{key}": (item["value"], item["mark"])
        for section, keys in tree.items()
        if isinstance(keys, dict)
        for key, item in keys.items()
    }


def _meanings(document: str, machines: list[str] | None = None, own: Any = None) -> dict[str, str]:
    """Key → what the tables of a contract say of it; of the sections that name these machines."""
    text = (_DOCS / document).read_text("utf-8")
    found: dict[str, str] = {}
    for section in re.split(r"^## ", text, flags=re.MULTILINE):
        keys = dict(_rows(section))
        if machines is None:
            found |= keys
        elif own and set(keys) & {each.name for cls in own.values() for each in fields(cls)}:
            names = {each.name for cls in own.values() for each in fields(cls)}
            if len(set(keys) & names) > len(set(found) & names):
                found = keys
    return found


def _rows(section: str) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for head in re.finditer(
        r"^\| key \| default \| mark \| meaning \|\n\|[-|]+\|\n", section, re.M
    ):
        for line in section[head.end() :].splitlines():
            if not line.startswith("|"):
                break
            keys, *_, meaning = (cell.strip() for cell in line.strip("|").split("|"))
            names = re.findall(r"`([^`]+)`", keys)
            rows += [(name, _without_sections(meaning)) for name in names]
    return rows


def _without_sections(meaning: str) -> str:
    """A meaning without references such as (§2), which lead nowhere from another page."""
    return re.sub(r" \(§[^)]*\)", "", meaning)


def _kind(hint: Any) -> str:
    """A type and its range in words."""
    if get_origin(hint) in (types.UnionType, Union):
        parts = [_kind(part) for part in get_args(hint) if part is not types.NoneType]
        return " or ".join(dict.fromkeys(parts))
    if get_origin(bare(hint)) is Literal:
        return ", ".join(map(str, get_args(bare(hint))))
    if get_origin(bare(hint)) is tuple:
        return f"list of: {_kind(get_args(bare(hint))[0])}"
    kinds = {int: "whole number", float: "number", bool: "true or false", str: "text"}
    name = kinds.get(bare(hint), getattr(bare(hint), "__name__", str(bare(hint))))
    limits = re.sub(r" to [\d.]+e\+\d+$", " up", range_of(hint))
    return f"{name} {limits}" if limits else name


def _unit(key: str) -> str:
    if key == "bytes":
        return "bytes"
    return next((unit for ending, unit in _UNITS.items() if key.endswith(ending)), "")


def _shown(value: Any) -> str:
    """A value as a file would give it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(_shown, value))}]"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else f"{value:g}"
    return str(value)
