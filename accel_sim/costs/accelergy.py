"""Prices and areas from Accelergy's reference tables in place of ours (`[energy.ert]`).

An ERT has pJ for each action of each component, an ART has µm² for each component, and the two
summaries name the estimators. The layout is that of Accelergy 0.3 and 0.4.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from accel_sim.costs.energy import CHARGES
from accel_sim.costs.tables import table_rows
from accel_sim.dataflows.abstract.machine_sections import Energy, Estimate
from sparse_formats.errors import InputError, nearest
from sparse_formats.files.yaml_file import read_yaml

PRICES = tuple(dict.fromkeys(c.price for c in CHARGES.values() if c.price != "leaking_cycle"))
"""What a price may be given for; leakage is a power of the machine (`energy.leakage_w`)."""
BANKS = ("weight_buffer_bank", "activation_buffer_bank")

_UNITS = {"ERT": ("pJ", "pj"), "ART": ("um^2", "um2", "µm²", "µm^2")}
_MOST = 1e12
"""pJ, µm², and units in an action: a joule, a square metre."""
_ESTIMATORS = ("primitive_estimations", "primitive_estimation(s)", "primitive_estimation")


class _Wanted(msgspec.Struct, forbid_unknown_fields=True):
    """An action of a file; per: how many of what we count one action is, bytes of an access say."""

    action: str
    per: float = 1
    arguments: dict[str, int | float | str] | None = None


class _Mapping(msgspec.Struct, forbid_unknown_fields=True):
    """The section [energy.ert]."""

    files: list[str]
    prices: dict[str, str | _Wanted] = {}
    areas: dict[str, str] = {}


@dataclass(frozen=True)
class _Table:
    """A component in a file: what the file has for it."""

    path: Path
    entry: Mapping[str, Any]


def with_estimates(tree: dict[str, Any], path: Path) -> dict[str, Any]:
    """The tree of the machine file at `path` with [energy.ert] as the values that it refers to.

    Raises:
        InputError: naming the file and the key: an unknown row, component or action, a value that
            is missing or no number of at least 0, another unit, a file that cannot be read.
    """
    energy = tree.get("energy")
    if not isinstance(energy, dict) or "ert" not in energy:
        return tree
    try:
        mapping = msgspec.convert(energy["ert"], _Mapping)
    except msgspec.ValidationError as error:
        raise InputError(
            f"{path}: [energy.ert] is not as it should be: {error}; give 'files' (a list of "
            "paths), 'prices' and 'areas' (tables)"
        ) from None
    if not mapping.files:
        raise InputError(f"{path}: 'energy.ert.files' is empty; name an ERT or ART")
    files = [path.parent / name for name in mapping.files]
    tables: dict[str, dict[str, list[_Table]]] = {}
    for file in files:
        for kind, name, table in _tables(file):
            tables.setdefault(kind, {}).setdefault(name, []).append(table)
    estimates = (
        *(_price(path, row, wanted, tables) for row, wanted in mapping.prices.items()),
        *(_area(path, row, name, tables) for row, name in mapping.areas.items()),
    )
    source = f"{len(estimates)} rows of {', '.join(mapping.files)}"
    item = {"value": estimates, "mark": "computed", "source": source}
    return {**tree, "energy": {**energy, "ert": item}}


def estimated_rows(energy: Energy) -> dict[str, list[dict[str, str]]]:
    """A table of the rows that stand in place of ours, in the layout of `table_rows`; or none."""
    if not energy.ert:
        return {}
    rows = []
    for estimate in energy.ert:
        value = f"{estimate.value:g}"
        rows.append(
            {
                "row": estimate.row,
                "unit": estimate.unit,
                **dict.fromkeys(("low", "nominal", "high"), value),
                "mark": "computed",
                "source": estimate.source,
            }
        )
    return {"accelergy": rows}


def _tables(file: Path) -> Iterator[tuple[str, str, _Table]]:
    """Kind ("ERT", "ERT_summary", …), component and entry of everything in a file."""
    tree = read_yaml(file)
    kinds = {"ERT": "tables", "ART": "tables"} | {
        "ERT_summary": "table_summary",
        "ART_summary": "table_summary",
    }
    found = [kind for kind in kinds if isinstance(tree, dict) and kind in tree]
    if not found:
        raise InputError(
            f"{file}: none of the keys {', '.join(kinds)} is there; give a table of Accelergy"
        )
    for kind in found:
        root, key = tree[kind], kinds[kind]
        entries = root.get(key) if isinstance(root, dict) else None
        if not isinstance(entries, list):
            raise InputError(f"{file}: '{kind}.{key}' is not a list; give a table of Accelergy")
        _check_unit(file, kind, kind, root)
        for number, entry in enumerate(entries):
            if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
                raise InputError(f"{file}: '{kind}.{key}[{number}]' has no 'name'; correct it")
            yield kind, entry["name"], _Table(file, entry)


def _check_unit(file: Path, kind: str, key: str, entry: Mapping[str, Any]) -> None:
    """Refuse an entry that states another unit than the layout's."""
    allowed = _UNITS[kind.partition("_")[0]]
    for word in ("unit", "units"):
        if word in entry and str(entry[word]) not in allowed:
            raise InputError(
                f"{file}: '{key}.{word}' is {entry[word]!r}; give the values in {allowed[0]}"
            )


def _price(
    path: Path,
    row: str,
    wanted: str | _Wanted,
    tables: Mapping[str, Mapping[str, list[_Table]]],
) -> Estimate:
    where = f"{path}: 'energy.ert.prices.{row}'"
    if row not in PRICES:
        raise InputError(f"{where} is not a price{nearest(row, PRICES)}")
    if isinstance(wanted, str):
        wanted = _Wanted(wanted)
    if not 1 / _MOST <= wanted.per <= _MOST:
        raise InputError(
            f"{where} has per = {wanted.per}; give a number from {1 / _MOST:g} to {_MOST:g}"
        )
    component, _, action = wanted.action.rpartition(".")
    table = _component(where, component, "ERT", tables)
    _check_unit(table.path, "ERT", component, table.entry)
    actions = table.entry.get("actions")
    listed = [a for a in actions if isinstance(a, dict)] if isinstance(actions, list) else []
    named = [a for a in listed if a.get("name") == action]
    if not named:
        known = [str(a.get("name")) for a in listed]
        raise InputError(
            f"{where}: {table.path} has no action {action!r} of {component!r}"
            f"{nearest(action, list(dict.fromkeys(known)))}"
        )
    if wanted.arguments is not None:
        named = [a for a in named if (a.get("arguments") or {}) == wanted.arguments]
    if len(named) != 1:
        raise InputError(
            f"{where}: {table.path} has {len(named)} actions {wanted.action!r} "
            f"{'with these' if wanted.arguments is not None else 'with different'} arguments; "
            f"write {{ action = …, arguments = {{ … }} }} for one of them"
        )
    _check_unit(table.path, "ERT", wanted.action, named[0])
    value = _number(where, table.path, f"{wanted.action}.energy", named[0].get("energy"))
    per = f", over {wanted.per:g}" if wanted.per != 1 else ""
    source = f"{wanted.action} in {table.path.name}{per}; {_estimators(component, 'ERT', tables)}"
    return Estimate("price", row, value / wanted.per, f"pJ per {_words(row)}", source)


def _area(
    path: Path, row: str, component: str, tables: Mapping[str, Mapping[str, list[_Table]]]
) -> Estimate:
    where = f"{path}: 'energy.ert.areas.{row}'"
    # A gate is what other rows are counted in, and a second port is a factor.
    rows = [r["part"] for r in table_rows()["area"] if r["part"] not in ("gate", "second_port")]
    if row not in (*rows, *BANKS):
        raise InputError(f"{where} is not an area{nearest(row, (*rows, *BANKS))}")
    table = _component(where, component, "ART", tables)
    _check_unit(table.path, "ART", component, table.entry)
    value = _number(where, table.path, f"{component}.area", table.entry.get("area"))
    source = f"{component} in {table.path.name}; {_estimators(component, 'ART', tables)}"
    return Estimate("area", row, value, f"um2 per {_words(row)}", source)


def _component(
    where: str, name: str, kind: str, tables: Mapping[str, Mapping[str, list[_Table]]]
) -> _Table:
    """The one table of a component."""
    of_kind = tables.get(kind, {})
    if not of_kind:
        raise InputError(f"{where} needs an {kind}; name its file in 'energy.ert.files'")
    found = of_kind.get(name, [])
    files = ", ".join(dict.fromkeys(str(t.path) for ts in of_kind.values() for t in ts))
    if len(found) > 1:
        raise InputError(f"{where}: {files} has the component {name!r} twice; name one file")
    if not found:
        raise InputError(f"{where}: {files} has no component {name!r}{nearest(name, of_kind)}")
    return found[0]


def _number(where: str, file: Path, key: str, value: Any) -> float:
    if value is None:
        raise InputError(f"{where}: {file} has no value at '{key}'; correct the file")
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= _MOST:
        raise InputError(
            f"{where}: {file} has {str(value)[:80]!r} at '{key}'; it must be a number from 0 to "
            f"{_MOST:g}"
        )
    return float(value)


def _estimators(component: str, kind: str, tables: Mapping[str, Mapping[str, list[_Table]]]) -> str:
    """Who estimated a component, as the summary says."""
    names: dict[str, None] = {}
    for table in tables.get(f"{kind}_summary", {}).get(component, []):
        for key in _ESTIMATORS:
            found = table.entry.get(key, [])
            for item in found if isinstance(found, list) else [found]:
                name = item.get("estimator") if isinstance(item, dict) else item
                if name is not None:
                    names[" ".join(str(name).split())] = None
    if not names:
        return f"no {kind}_summary names its estimator"
    return f"estimator {', '.join(names)}"


def _words(row: str) -> str:
    return row.replace("_", " ")
