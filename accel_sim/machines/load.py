"""A machine (`machine.py`) read from one TOML file.

A value is either bare (`lanes = 16`) or says where it comes from
(`lanes = { value = 16, mark = "chosen", source = "…" }`). A file may start from another one
(`extends = "tf_mvp"`) and state only what differs; one of another dataflow takes over the clock,
the buffers, the memory and the energy tables. What the other file says of itself stays there: its
name, description, source, note and published figures are those of another machine.
"""

import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from accel_sim.costs.accelergy import with_estimates
from accel_sim.dataflows.abstract.dataflow import Machine
from accel_sim.dataflows.abstract.machine_sections import MARKS, SHARED, Buffer, Origin, Positive
from accel_sim.dataflows.registry import DATAFLOWS, sections_of
from accel_sim.machines.builtin import builtin_accelerators
from accel_sim.machines.memory import DRAM_KEYS, in_cycles
from sparse_formats.errors import InputError, SettingError, nearest
from sparse_formats.files.toml import read_toml, toml_value

_OWN_CIRCUITS = (
    ("clock", "most_hz"),
    ("weight_buffer", "port_bytes"),
    ("activation_buffer", "port_bytes"),
)
_TOP_KEYS = ("name", "description", "source", "dataflow", "note")
_ADD = 'add {} or start with extends = "tf_mvp"'
_SHOWN = 6
"""Changed values that the origin of a file names."""


def load_machine(name: str | Path, settings: Iterable[str] = ()) -> Machine:
    """The machine called `name`, or described by the file `name`, with `KEY=VALUE` settings.

    Raises:
        InputError: no such machine or file; keys unknown, missing, mistyped or out of range, all of
            them at once; a value that does not fit another. The message names file and keys.
    """
    if not isinstance(name, (str, Path)):
        known = ", ".join(builtin_accelerators())
        raise InputError(
            f"an accelerator is named by text, found {type(name).__name__}; give one of {known}, "
            "or the path of a .toml file"
        )
    tree, where = _read_tree(str(name), seen=())
    dataflow = tree.get("dataflow", "mixed_vector")
    if dataflow not in list(DATAFLOWS):
        raise InputError(f"{where}: 'dataflow' is {dataflow!r}; choose from {', '.join(DATAFLOWS)}")
    sections = sections_of(dataflow)
    problems: list[str] = []
    values, origins = _split_origins(tree, where, sections, problems)
    settings = list(settings)
    for setting in settings:
        _apply_setting(values, origins, setting, sections)
    place = f"{where} with {', '.join(settings)}" if settings else where
    return _build(values, origins, place, sections, problems)


def _read_tree(name: str, seen: tuple[Path, ...]) -> tuple[dict[str, Any], str]:
    builtin = builtin_accelerators()
    path = builtin.get(name, Path(name))
    if name not in builtin and path.suffix != ".toml":
        if len(path.parts) != 1:
            raise InputError(f"accelerator file {name} does not end in .toml; give a TOML file")
        raise InputError(
            f"accelerator {name!r} is neither known nor a .toml file{nearest(name, builtin)}"
        )
    if path.resolve() in seen:
        raise InputError(f"{path}: 'extends' leads back to this file; remove one of the links")
    tree = with_estimates(read_toml(path), path)
    if "extends" in tree:
        parent = tree.pop("extends")
        if not isinstance(parent, str):
            raise InputError(f"{path}: key 'extends' must name an accelerator, found {parent!r}")
        if parent.endswith(".toml"):
            parent = str(path.parent / parent)
        base, _ = _read_tree(parent, (*seen, path.resolve()))
        tree = _extended(base, tree, path.stem)
    return {"name": path.stem, **tree}, str(path)


def _extended(base: dict[str, Any], tree: dict[str, Any], name: str) -> dict[str, Any]:
    """The tree of a file on top of that of the file which it extends."""
    changed = [
        f"{key}.{leaf}"
        for key, section in tree.items()
        if isinstance(section, dict)
        for leaf, item in section.items()
        if _bare(item) != _bare(_section(base, key).get(leaf))
    ]
    # What the parent's authors published was not measured on this machine.
    of_parent = ("published", "name", "description", "source", "note")
    parent, base = base["name"], {k: v for k, v in base.items() if k not in of_parent}
    if tree.get("dataflow", base.get("dataflow")) != base.get("dataflow"):
        base = {key: section for key, section in base.items() if key in ("clock", *SHARED)}
        # Ports and the longest path are those of the parent's own circuits.
        for section, key in _OWN_CIRCUITS:
            base[section] = {k: v for k, v in _section(base, section).items() if k != key}
    dram, inherited = tree.get("dram"), base.get("dram")
    if isinstance(dram, dict) and "memory" in dram and isinstance(inherited, dict):
        # A memory named here says more than what the parent states of another one.
        base["dram"] = {k: v for k, v in inherited.items() if k not in DRAM_KEYS}
    origin = f"extends {parent} with {_counted(changed)}"
    texts = {
        "name": name,
        "description": f"a machine that extends {parent}",
        "source": origin,
        "note": f"{tree.get('name', name)} {origin}.",
    }
    return {**texts, **_merge(base, tree)}


def _section(tree: Mapping[str, Any], key: str) -> dict[str, Any]:
    section = tree.get(key)
    return section if isinstance(section, dict) else {}


def _bare(item: Any) -> Any:
    """The value of what may be { value, mark, source }."""
    return item["value"] if isinstance(item, dict) and "value" in item else item


def _counted(changed: list[str]) -> str:
    """`2 changed values: array.lanes, queue.depth_entries`."""
    if not changed:
        return "no changed value"
    shown = ", ".join(changed[:_SHOWN])
    more = f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
    return f"{len(changed)} changed {'value' if len(changed) == 1 else 'values'}: {shown}{more}"


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`over` on top of `base`, section by section; a { value, … } counts as one value."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        both = isinstance(old, dict) and isinstance(value, dict)
        merged[key] = {**old, **value} if both else value  # type: ignore[dict-item]
    return merged


def _split_origins(
    tree: dict[str, Any], where: str, sections: Mapping[str, Any], problems: list[str]
) -> tuple[dict[str, Any], dict[str, Origin]]:
    """Bare values, and where each `section.key` says it comes from.

    What cannot be used is left out, and told in `problems`.
    """
    values: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    for key, value in tree.items():
        homes = [path for path in sorted(_paths(sections)) if path.split(".")[1] == key]
        if homes and key not in sections:
            section = homes[0].split(".")[0]
            problems.append(f"key '{key}' stands outside its section; move it to [{section}]")
        elif key not in (*_TOP_KEYS, *sections):
            problems.append(_unknown(key, (*_TOP_KEYS, *sections, "extends"), ""))
        elif key not in sections:
            values[key] = value
        elif not isinstance(value, dict):
            problems.append(f"'{key}' must be a section [{key}], found {value!r}")
            values[key] = None
        else:
            values[key] = {}
            for leaf, item in value.items():
                known = [field.name for field in fields(sections[key])]
                if leaf not in known:
                    problems.append(_unknown(leaf, known, f"{key}."))
                    continue
                values[key][leaf] = _bare(item)
                origins[f"{key}.{leaf}"] = _origin(item, where, f"{key}.{leaf}", problems)
    return values, origins


def _origin(item: Any, where: str, path: str, problems: list[str]) -> Origin:
    if not isinstance(item, dict):
        return Origin("chosen", f"stated bare in {Path(where).name}")
    known = ("value", "mark", "source")
    problems += [_unknown(key, known, f"{path}.") for key in item if key not in known]
    if "value" not in item:
        problems.append(f"'{path}' has no 'value'; write {path} = {{ value = … }}")
    mark = item.get("mark", "chosen")
    if mark not in MARKS:
        problems.append(f"'{path}.mark' is {mark!r}{nearest(str(mark), MARKS)}")
    return Origin(mark, str(item.get("source", "")))


def _unknown(key: str, known: Iterable[str], prefix: str) -> str:
    return f"unknown key '{prefix}{key}'{nearest(key, known)}"


def _told(where: str, problems: list[str]) -> InputError:
    """One error in one line, of however many problems."""
    if len(problems) == 1:
        return InputError(f"{where}: {problems[0]}")
    numbered = " ".join(f"({i}) {problem}" for i, problem in enumerate(problems, 1))
    return InputError(f"{where}: {len(problems)} problems: {numbered}")


def _paths(sections: Mapping[str, Any]) -> set[str]:
    """Every `section.key` there is."""
    return {f"{section}.{f.name}" for section, cls in sections.items() for f in fields(cls)}


def full_key(key: str, dataflow: str, others: Iterable[str] = ()) -> str:
    """`section.key` of a machine of this dataflow; the section may be left out where it is clear.

    others: words that may stand beside keys, for the suggestion.

    Raises:
        InputError: there is no such key, or there are several.
    """
    return _full_key(key, sections_of(dataflow), others)


def _full_key(key: str, sections: Mapping[str, Any], others: Iterable[str]) -> str:
    paths = sorted(_paths(sections))
    matches = [path for path in paths if path == key or path.partition(".")[2] == key]
    if not matches:
        raise InputError(f"has the unknown key {key!r}{_nearest_key(key, [*others, *paths])}")
    if len(matches) > 1:
        raise InputError(f"could mean {' or '.join(matches)}; name one")
    return matches[0]


def typed_value(value: Any, key: str, dataflow: str) -> Any:
    """`value` as the key `section.key` of a machine of this dataflow takes it.

    Raises:
        InputError: it is of another type, or out of range.
    """
    section, _, leaf = key.partition(".")
    hints = get_type_hints(sections_of(dataflow)[section], include_extras=True)
    return _convert(value, hints[leaf], key)


def _nearest_key(key: str, paths: list[str]) -> str:
    """The closest `section.key`, whether or not the section was written."""
    close = difflib.get_close_matches(key, paths, 1) or [
        path for path in paths if difflib.get_close_matches(key, [path.partition(".")[2]], 1)
    ]
    if not close:
        return "; python -m accel_sim accelerators --show tf_mvp lists the keys"
    return f"; did you mean {' or '.join(repr(path) for path in close[:3])}?"


def _apply_setting(
    values: dict[str, Any], origins: dict[str, Origin], setting: str, sections: Mapping[str, Any]
) -> None:
    """One `--set section.key=value`; the section may be left out where the key is unique."""
    key, equals, text = (part.strip() for part in setting.partition("="))
    if not equals or not key or not text or len(setting.splitlines()) != 1:
        raise SettingError(
            "set", f"{setting!r} is not KEY=VALUE; write for example array.token_columns=1"
        )
    try:
        path = _full_key(key, sections, ())
    except InputError as error:
        raise SettingError("set", f"{setting} {error}") from None
    value = toml_value(text)
    if path == "energy.ert" and value != []:
        raise SettingError(
            "set",
            f"{setting} cannot be set; state [energy.ert] in a machine file, or take it away with "
            "energy.ert=[]",
        )
    section, _, leaf = path.partition(".")
    values.setdefault(section, {})[leaf] = value
    if path == "dram.memory":
        _forget_memory(values["dram"], origins)
    origins[path] = Origin("set", f"--set {setting}")


def _forget_memory(dram: dict[str, Any], origins: dict[str, Origin]) -> None:
    """Leave of what a memory states only that which was set for this run."""
    for key in DRAM_KEYS:
        if key in dram and origins[f"dram.{key}"].mark != "set":
            del dram[key], origins[f"dram.{key}"]


def _fill_from_memory(values: dict[str, Any], origins: dict[str, Origin], where: str) -> None:
    """Take from the machine's memory, if it names one, what the machine does not state itself."""
    dram, clock = values.get("dram") or {}, (values.get("clock") or {}).get("clock_hz")
    if "memory" not in dram or clock is None:
        return
    try:
        name = _convert(dram["memory"], str, "dram.memory")
        clock_hz = _convert(clock, Positive, "clock.clock_hz")
    except InputError:
        return  # told with the other values
    for key, item in in_cycles(name, clock_hz, f"{where}: 'dram.memory'").items():
        if key not in dram:
            dram[key] = item["value"]
            origins[f"dram.{key}"] = Origin(item["mark"], item["source"])


def _build(
    values: dict[str, Any],
    origins: dict[str, Origin],
    where: str,
    sections: Mapping[str, Any],
    problems: list[str],
) -> Machine:
    values.setdefault("published", {})
    values.setdefault("vector", {})
    values.setdefault("xor_decoder", {})
    values.setdefault("note", "")
    _fill_from_memory(values, origins, where)
    missing = _missing(values, sections)
    if missing:
        it, are = ("it", "is") if len(missing) == 1 else ("them", "are")
        problems.append(f"{', '.join(missing)} {are} missing; {_ADD.format(it)}")
    converted: dict[str, dict[str, Any]] = {}
    for key, section in sections.items():
        hints = get_type_hints(section, include_extras=True)
        converted[key] = {}
        for leaf, value in (values.get(key) or {}).items():
            origin = origins[f"{key}.{leaf}"]
            if isinstance(value, dict):
                continue  # it has no 'value', as was told
            try:
                converted[key][leaf] = _convert(value, hints[leaf], f"{key}.{leaf}")
            except InputError as error:
                if origin.mark == "set":
                    raise InputError(f"{origin.source}: {error}") from None
                problems.append(str(error))
    tops = {}
    hints = get_type_hints(Machine, include_extras=True)
    for key in (key for key in _TOP_KEYS if key in values and key != "dataflow"):
        try:
            tops[key] = _convert(values[key], hints[key], key)
        except InputError as error:
            problems.append(str(error))
    if problems:
        raise _told(where, problems)
    parts = {key: section(**converted[key]) for key, section in sections.items()}
    machine = DATAFLOWS[values["dataflow"]](**tops, **parts, origins=origins)
    try:
        machine.check()
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    return machine


def _missing(values: Mapping[str, Any], sections: Mapping[str, Any]) -> list[str]:
    """Keys and sections that must be there and are not, in words."""
    found = [f"key '{key}'" for key in _TOP_KEYS if key not in values]
    for key, section in sections.items():
        if key not in values:
            found.append(f"section [{key}]")
        elif values[key] is not None:
            found += [
                f"key '{key}.{field.name}'"
                for field in fields(section)
                if field.default is MISSING and field.name not in values[key]
            ]
    return found


def _convert(value: Any, hint: Any, path: str) -> Any:
    # bool is an int to Python, and 16.0 is not a count: msgspec's strict mode knows both.
    choices = get_args(hint) if get_origin(hint) is Literal else ()
    if choices and value not in choices:
        raise InputError(f"'{path}' is {value!r}; choose from {', '.join(choices)}")
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"'{path}' is {value}; give a finite number")
    try:
        return msgspec.convert(value, hint)
    except msgspec.ValidationError as error:
        raise InputError(f"'{path}' is {value!r}; {_in_words(error)}") from None


def _in_words(error: msgspec.ValidationError) -> str:
    """`expected a whole number ≥ 1`: msgspec's reason without its names of types."""
    words = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text"}
    reason = str(error).lower().partition(" - at ")[0]
    for name, word in {**words, "array": "a list", "object": "a table"}.items():
        reason = reason.replace(f"`{name}`", word)
    return reason


_DEFAULT = Origin("chosen", "default: docs/rivals.md, docs/whole_models.md")


def resolved(machine: Machine) -> dict[str, Any]:
    """Every value with its mark and source, JSON-able, in file order."""
    tree: dict[str, Any] = {key: getattr(machine, key) for key in _TOP_KEYS}
    tree |= {"title": machine.title, "values_set": machine.values_set}
    for key, section in sections_of(machine.dataflow).items():
        part = getattr(machine, key)
        tree[key] = {
            field.name: {
                "value": value,
                "mark": origin.mark,
                "source": _with_meaning(machine, f"{key}.{field.name}", origin.source),
            }
            for field in fields(section)
            if field.name != "ert"
            and (value := getattr(part, field.name)) is not None
            and (origin := machine.origins.get(f"{key}.{field.name}", _DEFAULT))
        }
    tree["energy"] |= {
        f"ert.{each.kind}.{each.row}": {
            "value": each.value,
            "mark": "computed",
            "source": f"{each.unit}: {each.source}",
        }
        for each in machine.energy.ert
    }
    return tree


def _with_meaning(machine: Machine, path: str, source: str) -> str:
    """The source, and what the value comes to on this machine where it depends on another one."""
    meaning = _MEANINGS.get(path)
    return "; ".join(text for text in (source, meaning and meaning(machine)) if text)


def _bandwidth(machine: Machine) -> str:
    clock = machine.clock.clock_hz
    return f"{machine.dram.bytes_per_cycle * clock / 1e9:.4g} GB/s at {clock / 1e6:g} MHz"


def _latency(machine: Machine) -> str:
    clock = machine.clock.clock_hz
    return f"{machine.dram.first_latency_cycles / clock * 1e9:.4g} ns at {clock / 1e6:g} MHz"


def _bank(buffer: Buffer) -> str:
    return f"{buffer.bytes / buffer.banks / 1024:.4g} KB each"


_MEANINGS: dict[str, Callable[[Machine], str]] = {
    "dram.bytes_per_cycle": _bandwidth,
    "dram.first_latency_cycles": _latency,
    "weight_buffer.banks": lambda machine: _bank(machine.weight_buffer),
    "activation_buffer.banks": lambda machine: _bank(machine.activation_buffer),
}
"""What a value comes to together with another one that may be changed."""
