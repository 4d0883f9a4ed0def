"""Knobs of what a registry lists, gathered as fields of the settings that it is chosen by.

A pattern or a training method declares its knobs as dataclass fields made by `option`. Gathered,
they are settings like all others: flags, keys of a recipe, lines of help; a new knob is written
down once, where it belongs.
"""

import dataclasses
from collections.abc import Iterable
from dataclasses import Field, field, make_dataclass
from inspect import get_annotations
from typing import Any, get_type_hints


def knobs_of(owner: type) -> dict[str, Field[Any]]:
    """The fields of a dataclass that are settings, by name."""
    return {f.name: f for f in dataclasses.fields(owner) if "option" in f.metadata}


def with_knobs(called: str, settings: type, owners: Iterable[type]) -> Any:
    """A frozen dataclass: `settings` with the knobs of `owners` behind its own fields.

    Owners may share a knob, and must then say the same of it.
    """
    hints = get_type_hints(settings, include_extras=True)
    own = [f for f in dataclasses.fields(settings) if f.name in get_annotations(settings)]
    found = {f.name: (hints[f.name], f.default, f.metadata) for f in own}
    for owner in owners:
        hints = get_type_hints(owner, include_extras=True)
        for name, knob in knobs_of(owner).items():
            said = hints[name], knob.default, knob.metadata
            is_other = any(f.name == name for f in own) or found.setdefault(name, said) != said
            assert not is_other, f"{owner.__name__}.{name} is something else elsewhere"
    fields = [
        (name, hint, field(default=default, metadata=metadata))
        for name, (hint, default, metadata) in found.items()
    ]
    made = make_dataclass(called, fields, bases=(settings,), frozen=True)
    made.__module__, made.__doc__ = settings.__module__, settings.__doc__
    return made


def taken(knobs: type, settings: object) -> Any:
    """A dataclass of knobs with the values that `settings` has for them."""
    return knobs(**{name: getattr(settings, name) for name in knobs_of(knobs)})
