"""JSON schemas (draft 2020-12) made from dataclasses, which stand for the objects of a file."""

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

_SIMPLE = {str: "string", int: "integer", float: "number", bool: "boolean", types.NoneType: "null"}


@dataclass(frozen=True)
class Layout:
    """How dataclasses stand in a file.

    meanings: of each key, in sentences. written_as: keys that stand in the file otherwise than in
    the dataclass, or in the file alone. instead: a dataclass in place of another one.
    """

    meanings: Mapping[str, str]
    written_as: Mapping[type, Mapping[str, Any]] = field(default_factory=dict)
    instead: Mapping[type, type] = field(default_factory=dict)


def schema_of(file: type, title: str, version: int, layout: Layout) -> dict[str, Any]:
    """The schema of a file whose keys are the fields of `file`, of one `schema_version`."""
    found: dict[str, Any] = {}
    whole = _of(file, found, layout)
    found[file.__name__]["properties"]["schema_version"]["const"] = version
    draft = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": draft, "title": title, **whole, "$defs": dict(sorted(found.items()))}


def _of(hint: Any, found: dict[str, Any], layout: Layout) -> dict[str, Any]:
    """The schema of a type; that of a dataclass is put into `found`."""
    origin, parts = get_origin(hint), get_args(hint)
    if hint in _SIMPLE:
        return {"type": _SIMPLE[hint]}
    if hint is Any:
        return {}
    if origin is Annotated:
        return _of(parts[0], found, layout)
    if origin in (Union, types.UnionType):
        return {"anyOf": [_of(part, found, layout) for part in parts]}
    if origin is Literal:
        return {"enum": list(parts)}
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _of(parts[1], found, layout)}
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return {"type": "array", "items": _of(parts[0], found, layout)}
    cls: Any = layout.instead.get(hint, hint)
    assert is_dataclass(cls), f"there is no schema for {hint}"
    name = cls.__name__  # pyright: ignore[reportAttributeAccessIssue]
    if name not in found:
        found[name] = _of_dataclass(cls, found, layout)
    return {"$ref": f"#/$defs/{name}"}


def _of_dataclass(cls: Any, found: dict[str, Any], layout: Layout) -> dict[str, Any]:
    written = get_type_hints(cls, include_extras=True)
    hints = {each.name: written[each.name] for each in fields(cls)} | layout.written_as.get(cls, {})
    keys = {
        key: {**_of(hint, found, layout), "description": layout.meanings[key]}
        for key, hint in hints.items()
    }
    return {
        "type": "object",
        "properties": keys,
        "required": list(keys),
        "additionalProperties": False,
    }
