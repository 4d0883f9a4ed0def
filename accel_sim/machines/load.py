"""A machine (`machine.py`) read from one TOML file.

A value is either bare (`lanes = 16`) or says where it comes from
(`lanes = { value = 16, mark = "chosen", source = "…" }`). A file may start from another one
(`extends = "tf_mvp"`) and state only what differs; one of another dataflow takes over the clock,
the buffers, the memory and the energy tables.
"""

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from accel_sim.dataflows.abstract.dataflow import Machine
from accel_sim.dataflows.abstract.machine_sections import MARKS, SHARED, Origin, Positive
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


def load_machine(name: str | Path, settings: Iterable[str] = ()) -> Machine:
    """The machine called `name`, or described by the file `name`, with `KEY=VALUE` settings.

    Raises:
        InputError: no such machine or file; a key unknown, missing, mistyped or out of range; a
            value that does not fit another. The message names file and key.
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
    values, origins = _split_origins(tree, where, sections)
    settings = list(settings)
    for setting in settings:
        _apply_setting(values, origins, setting, sections)
    place = f"{where} with {', '.join(settings)}" if settings else where
    return _build(values, origins, place, sections)


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
    tree = read_toml(path)
    if "extends" in tree:
        parent = tree.pop("extends")
        if not isinstance(parent, str):
            raise InputError(f"{path}: key 'extends' must name an accelerator, found {parent!r}")
        if parent.endswith(".toml"):
            parent = str(path.parent / parent)
        base, _ = _read_tree(parent, (*seen, path.resolve()))
        # What the parent's authors published was not measured on this machine.
        base.pop("published", None)
        if tree.get("dataflow", base.get("dataflow")) != base.get("dataflow"):
            base = {key: section for key, section in base.items() if key in ("clock", *SHARED)}
            # Ports and the longest path are those of the parent's own circuits.
            for section, key in _OWN_CIRCUITS:
                base.get(section, {}).pop(key, None)
        dram, inherited = tree.get("dram"), base.get("dram")
        if isinstance(dram, dict) and "memory" in dram and isinstance(inherited, dict):
            # A memory named here says more than what the parent states of another one.
            base["dram"] = {k: v for k, v in inherited.items() if k not in DRAM_KEYS}
        tree = _merge(base, tree)
    return tree, str(path)


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`over` on top of `base`, section by section; a { value, … } counts as one value."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        both = isinstance(old, dict) and isinstance(value, dict)
        merged[key] = {**old, **value} if both else value  # type: ignore[dict-item]
    return merged


def _split_origins(
    tree: dict[str, Any], where: str, sections: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Origin]]:
    """Bare values, and where each `section.key` says it comes from."""
    values: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    for key, value in tree.items():
        homes = [path for path in sorted(_paths(sections)) if path.split(".")[1] == key]
        if homes and key not in sections:
            section = homes[0].split(".")[0]
            raise InputError(
                f"{where}: key '{key}' stands outside its section; move it to [{section}]"
            )
        _check_known(key, (*_TOP_KEYS, *sections, "extends"), where, "")
        if key not in sections:
            values[key] = value
            continue
        if not isinstance(value, dict):
            raise InputError(f"{where}: '{key}' must be a section [{key}], found {value!r}")
        values[key] = {}
        for leaf, item in value.items():
            _check_known(leaf, [f.name for f in fields(sections[key])], where, f"{key}.")
            values[key][leaf], origins[f"{key}.{leaf}"] = _origin(item, where, f"{key}.{leaf}")
    return values, origins


def _origin(item: Any, where: str, path: str) -> tuple[Any, Origin]:
    if not isinstance(item, dict):
        return item, Origin("chosen", f"stated bare in {Path(where).name}")
    for key in item:
        _check_known(key, ("value", "mark", "source"), where, f"{path}.")
    if "value" not in item:
        raise InputError(f"{where}: '{path}' has no 'value'; write {path} = {{ value = … }}")
    mark = item.get("mark", "chosen")
    if mark not in MARKS:
        raise InputError(f"{where}: '{path}.mark' is {mark!r}{nearest(str(mark), MARKS)}")
    return item["value"], Origin(mark, str(item.get("source", "")))


def _check_known(key: str, known: Iterable[str], where: str, prefix: str) -> None:
    known = list(known)
    if key not in known:
        raise InputError(f"{where}: unknown key '{prefix}{key}'{nearest(key, known)}")


def _paths(sections: Mapping[str, Any]) -> set[str]:
    """Every `section.key` there is."""
    return {f"{section}.{f.name}" for section, cls in sections.items() for f in fields(cls)}


def _nearest_setting(key: str, paths: list[str]) -> str:
    """The closest `section.key`, whether or not the section was written."""
    close = difflib.get_close_matches(key, paths, 1) or [
        path for path in paths if difflib.get_close_matches(key, [path.split(".")[1]], 1)
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
    paths = sorted(_paths(sections))
    matches = [path for path in paths if path == key or path.partition(".")[2] == key]
    if not matches:
        raise SettingError(
            "set", f"{setting} has the unknown key {key!r}{_nearest_setting(key, paths)}"
        )
    if len(matches) > 1:
        raise SettingError("set", f"{setting} could mean {' or '.join(matches)}; name one")
    value = toml_value(text)
    section, _, leaf = matches[0].partition(".")
    values.setdefault(section, {})[leaf] = value
    if matches[0] == "dram.memory":
        _forget_memory(values["dram"], origins)
    origins[matches[0]] = Origin("set", f"--set {setting}")


def _forget_memory(dram: dict[str, Any], origins: dict[str, Origin]) -> None:
    """Leave of what a memory states only that which was set for this run."""
    for key in DRAM_KEYS:
        if key in dram and origins[f"dram.{key}"].mark != "set":
            del dram[key], origins[f"dram.{key}"]


def _fill_from_memory(values: dict[str, Any], origins: dict[str, Origin], where: str) -> None:
    """Take from the machine's memory, if it names one, what the machine does not state itself."""
    dram, clock = values["dram"], values["clock"].get("clock_hz")
    if "memory" not in dram or clock is None:
        return
    name = _convert(dram["memory"], str, where, "dram.memory")
    clock_hz = _convert(clock, Positive, where, "clock.clock_hz")
    for key, item in in_cycles(name, clock_hz, f"{where}: 'dram.memory'").items():
        if key not in dram:
            dram[key], origins[f"dram.{key}"] = _origin(item, where, f"dram.{key}")


def _build(
    values: dict[str, Any], origins: dict[str, Origin], where: str, sections: Mapping[str, Any]
) -> Machine:
    for key in (*_TOP_KEYS, *sections):
        if key in ("published", "note"):
            values.setdefault(key, {} if key in sections else "")
        if key not in values:
            what = f"section [{key}]" if key in sections else f"key '{key}'"
            raise InputError(f'{where}: {what} is missing; add it or start with extends = "tf_mvp"')
    _fill_from_memory(values, origins, where)
    parts: dict[str, Any] = {}
    for key, section in sections.items():
        for field in fields(section):
            if field.name not in values[key] and field.default is MISSING:
                raise InputError(
                    f"{where}: key '{key}.{field.name}' is missing; "
                    'add it or start with extends = "tf_mvp"'
                )
        hints = get_type_hints(section, include_extras=True)
        converted: dict[str, Any] = {}
        for leaf, value in values[key].items():
            origin = origins[f"{key}.{leaf}"]
            place = origin.source if origin.mark == "set" else where
            converted[leaf] = _convert(value, hints[leaf], place, f"{key}.{leaf}")
        parts[key] = section(**converted)
    hints = get_type_hints(Machine, include_extras=True)
    texts = [key for key in _TOP_KEYS if key != "dataflow"]
    tops = {key: _convert(values[key], hints[key], where, key) for key in texts}
    machine = DATAFLOWS[values["dataflow"]](**tops, **parts, origins=origins)
    try:
        machine.check()
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    return machine


def _convert(value: Any, hint: Any, where: str, path: str) -> Any:
    # bool is an int to Python, and 16.0 is not a count: msgspec's strict mode knows both.
    choices = get_args(hint) if get_origin(hint) is Literal else ()
    if choices and value not in choices:
        raise InputError(f"{where}: '{path}' is {value!r}; choose from {', '.join(choices)}")
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{where}: '{path}' is {value}; give a finite number")
    try:
        return msgspec.convert(value, hint)
    except msgspec.ValidationError as error:
        raise InputError(f"{where}: '{path}' is {value!r}; {_in_words(error)}") from None


def _in_words(error: msgspec.ValidationError) -> str:
    """`expected a whole number ≥ 1`: msgspec's reason without its names of types."""
    words = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text"}
    reason = str(error).lower().partition(" - at ")[0]
    for name, word in {**words, "array": "a list", "object": "a table"}.items():
        reason = reason.replace(f"`{name}`", word)
    return reason


_DEFAULT = Origin("chosen", "default of the dataflow: docs/rivals.md")


def resolved(machine: Machine) -> dict[str, Any]:
    """Every value with its mark and source, JSON-able, in file order."""
    tree: dict[str, Any] = {key: getattr(machine, key) for key in _TOP_KEYS}
    tree |= {"title": machine.title, "values_set": machine.values_set}
    for key, section in sections_of(machine.dataflow).items():
        part = getattr(machine, key)
        tree[key] = {
            field.name: {"value": value, "mark": origin.mark, "source": origin.source}
            for field in fields(section)
            if (value := getattr(part, field.name)) is not None
            and (origin := machine.origins.get(f"{key}.{field.name}", _DEFAULT))
        }
    return tree
