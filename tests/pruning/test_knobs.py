"""Is a knob written down once, where it belongs?"""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import pytest

from pruning.knobs import knobs_of, taken, with_knobs
from pruning.patterns import PATTERNS
from pruning.recipe import Recipe, as_json
from pruning.training.methods import METHODS
from pruning.training.settings import Training
from pruning.training.settings import as_json as training_json
from sparse_formats.terminal.command import help_of
from sparse_formats.terminal.setting_values import read
from sparse_formats.terminal.settings import Count, option, settings_of


@dataclass(frozen=True)
class Owner:
    length: int
    depth: Count = option("How deep it is.", default=2)
    shape: str = option("What it looks like.", default="round", choices=("round", "square"))


@dataclass(frozen=True)
class Sharing:
    depth: Count = option("How deep it is.", default=2)


@dataclass(frozen=True)
class Bare:
    """What is set whoever is chosen."""

    size: Count = option("How large it is.", default=1)


def test_knobs_become_settings_with_help_range_and_choices(tmp_path: Path) -> None:
    made: Any = with_knobs("Made", Bare, [Owner, Sharing])
    assert made.__name__ == "Made" and issubclass(made, Bare) and made.__doc__ == Bare.__doc__
    assert [s.name for s in settings_of(made)] == ["size", "depth", "shape"]
    shown = {s.name: help_of(s) for s in settings_of(made)}
    assert shown["depth"] == "How deep it is. [from 1 up; default: 2]"
    assert shown["shape"] == "What it looks like. [round, square; default: round]"
    (tmp_path / "r.toml").write_text("depth = 3\n")
    found: Any = read(made, {"shape": ["square"]}, tmp_path / "r.toml").settings
    assert found == replace(made(), depth=3, shape="square")
    assert taken(Sharing, found) == Sharing(depth=3)
    with pytest.raises(AttributeError):
        found.depth = 4


@pytest.mark.parametrize("change", ["default", "help", "type"])
def test_owners_that_share_a_knob_say_the_same(change: str) -> None:
    said: dict[str, Any] = {"default": 3 if change == "default" else 2}
    text = "How wide it is." if change == "help" else "How deep it is."
    kind = int if change == "type" else Count
    other = dataclass(frozen=True)(
        type("Other", (), {"__annotations__": {"depth": kind}, "depth": option(text, **said)})
    )
    with pytest.raises(AssertionError, match=r"Other\.depth is something else elsewhere"):
        with_knobs("Made", Bare, [Owner, other])


def test_a_knob_does_not_take_the_place_of_a_setting() -> None:
    other = dataclass(frozen=True)(
        type(
            "Other",
            (),
            {"__annotations__": {"size": Count}, "size": option("How large it is.", default=1)},
        )
    )
    with pytest.raises(AssertionError, match=r"Other\.size is something else elsewhere"):
        with_knobs("Made", Bare, [other])


@pytest.mark.parametrize(
    ("settings", "owners", "json"),
    [
        (Recipe, PATTERNS.values(), as_json),
        (Training, [method.Knobs for method in METHODS.values()], training_json),
    ],
)
def test_every_knob_of_a_registry_is_a_setting(settings: Any, owners: Any, json: Any) -> None:
    knobs = {name for owner in owners for name in knobs_of(owner)}
    assert knobs and knobs <= {field.name for field in fields(settings)}
    assert knobs <= json(settings()).keys()
    assert replace(settings(), **dict.fromkeys(knobs)) != settings()
