"""Settings of a command: one frozen dataclass, whose fields are flags, TOML keys, defaults, help.

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        '''Simulate a mask file, layer by layer.'''

        mask: Path = option("Mask file to simulate.")
        tokens: Count = option("Tokens through each matrix.", default=128)

A field's type says what may be given: bool, int, float, str, Path, a Literal, each of them in a
tuple, or one of them or None; `msgspec.Meta` gives ranges. Nothing here knows of typer.
"""

import dataclasses
import types
from collections.abc import Callable, Iterable
from dataclasses import MISSING, dataclass, field
from inspect import get_annotations
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

Count = Annotated[int, msgspec.Meta(ge=1)]
Whole = Annotated[int, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]

Names = Iterable[str] | Callable[[], Iterable[str]]
"""Names, or what gives them when they are needed: a registry may be slow to import."""


Writes = Literal["", "file", "folder", "file or folder"]


@dataclass(frozen=True)
class Option:
    """What a field of settings says beside its name, type and default; see `option`."""

    help: str
    flags: tuple[str, ...]
    choices: Names
    or_else: str
    otherwise: object
    metavar: str
    is_argument: bool
    is_separated: bool
    is_replayed: bool
    reads: bool
    writes: Writes
    listed_as: str
    holds: Names
    suffix: str


def option(
    help: str,
    *,
    default: Any = MISSING,
    flags: tuple[str, ...] = (),
    choices: Names = (),
    or_else: str = "",
    otherwise: object = None,
    metavar: str = "",
    is_argument: bool = False,
    is_separated: bool = False,
    is_replayed: bool = True,
    reads: bool = False,
    writes: Writes = "",
    listed_as: str = "",
    holds: Names = (),
    suffix: str = "",
) -> Any:
    """A field of a settings dataclass; without `default` it must be given.

    help: whole sentences. The default, range, choices and whether it may be repeated are added.
    flags: its spellings where they are not --NAME alone; the first is the one that is replayed.
    choices: the names that may be given, or a function that returns them; a Literal says its own.
    or_else: what may be given beside the choices, e.g. "the path of a .toml file".
    otherwise: what None, the default, comes to: shown in the help, put in by the command.
    metavar: what stands for the value in the help.
    is_argument: given by its place, without a flag.
    is_separated: a tuple is one word with commas; else its flag is repeated.
    is_replayed: whether `words` repeats it; not what leaves the results as they are.
    reads: it may be the path of a file that is read, although it is no Path.
    writes: what is written there, checked before the command runs, together with `listed_as`, the
        name of the output in the folder's manifest, `holds`, the names of files that are written
        into the folder, and `suffix` of a file; see `files.outputs`.
    """
    said = Option(
        help, flags, choices, or_else, otherwise, metavar, is_argument, is_separated, is_replayed,
        reads, writes, listed_as, holds, suffix,
    )  # fmt: skip
    return field(default=default, metadata={"option": said})


def group(settings: type, *, is_table: bool = False) -> Any:
    """A field that holds other settings; their flags are those of the command.

    is_table: in TOML they are a table named as the field; else they lie among its keys.
    """
    return field(default_factory=settings, metadata={"group": settings, "is_table": is_table})


@dataclass(frozen=True)
class Setting:
    """A field that can be set.

    path: names of attributes that lead to it. key: of TOML keys. hint: its type, without None.
    """

    path: tuple[str, ...]
    key: tuple[str, ...]
    hint: Any
    default: Any
    option: Option

    @property
    def name(self) -> str:
        return self.path[-1]

    @property
    def flags(self) -> tuple[str, ...]:
        return self.option.flags or (f"--{self.name.replace('_', '-')}",)

    @property
    def is_bool(self) -> bool:
        return self.hint is bool

    @property
    def is_tuple(self) -> bool:
        return get_origin(self.hint) is tuple

    @property
    def element(self) -> Any:
        """The type of a tuple's elements, else its own."""
        return get_args(self.hint)[0] if self.is_tuple else self.hint

    @property
    def choices(self) -> tuple[str, ...]:
        if get_origin(self.element) is Literal:
            return get_args(self.element)
        named = self.option.choices
        return tuple(named() if callable(named) else named)

    def of(self, settings: object) -> Any:
        """Its value in `settings`."""
        for name in self.path:
            settings = getattr(settings, name)
        return settings


def settings_of(settings: type) -> list[Setting]:
    """All that can be set, a class's own fields before those it inherits."""
    found = _settings_of(settings, (), ())
    names = [setting.name for setting in found]
    twice = {name for name in names if names.count(name) > 1}
    assert not twice, f"{settings.__name__} has two settings of one name: {twice}"
    return found


def _settings_of(settings: type, path: tuple[str, ...], key: tuple[str, ...]) -> list[Setting]:
    hints = get_type_hints(settings, include_extras=True)
    fields = {field.name: field for field in dataclasses.fields(settings)}
    order = dict.fromkeys(name for cls in settings.__mro__ for name in get_annotations(cls))
    found: list[Setting] = []
    for name in (name for name in order if name in fields):
        said = fields[name].metadata
        if "group" in said:
            inside = (*key, name) if said["is_table"] else key
            found += _settings_of(said["group"], (*path, name), inside)
        elif "option" in said:
            hint, default = _without_none(hints[name]), fields[name].default
            found.append(Setting((*path, name), (*key, name), hint, default, said["option"]))
    return found


def label_of(setting: Setting) -> str:
    """What a setting is called on the command line: --tokens, or FILE by its place."""
    return metavar_of(setting) if setting.option.is_argument else setting.flags[0]


def metavar_of(setting: Setting) -> str:
    """What stands for its value in the help."""
    if setting.option.metavar or setting.option.is_argument:
        return setting.option.metavar or setting.name.upper()
    kinds = {"int": "INT", "float": "FLOAT", "Path": "PATH"}
    kind = kinds.get(getattr(bare(setting.element), "__name__", ""), "TEXT")
    return f"{kind},…" if setting.option.is_separated else kind


def words(settings: Any) -> list[str]:
    """Words of a command line that give these settings again: all that differs from defaults."""
    flagged, placed = [], []
    for setting in settings_of(type(settings)):
        value = setting.of(settings)
        if value is None or value == setting.default or not setting.option.is_replayed:
            continue
        flag = setting.flags[0]
        if setting.option.is_argument:
            placed.append(str(value))
        elif setting.is_bool:
            flagged.append(flag if value else f"--no-{flag.removeprefix('--')}")
        elif setting.option.is_separated:
            flagged += [flag, ",".join(map(str, value))]
        else:
            for item in value if setting.is_tuple else (value,):
                flagged += [flag, str(item)]
    return [*flagged, *placed]


def range_of(hint: Any) -> str:
    """The range of a number's type: "from 1 up", "above 0"; "" where it has none."""
    said: dict[str, float] = {}
    for meta in getattr(hint, "__metadata__", ()):
        bounds = {key: getattr(meta, key, None) for key in ("ge", "gt", "le", "lt")}
        said |= {key: bound for key, bound in bounds.items() if bound is not None}
    ends = {
        "ge": "from {:.12g}",
        "gt": "above {:.12g}",
        "le": "to {:.12g}",
        "lt": "and below {:.12g}",
    }
    parts = [text.format(said[key]) for key, text in ends.items() if key in said]
    return f"{parts[0]} up" if list(said) == ["ge"] else " ".join(parts).removeprefix("and ")


def _without_none(hint: Any) -> Any:
    """The type, of "it or None"."""
    if get_origin(hint) in (types.UnionType, Union):
        (hint,) = (part for part in get_args(hint) if part is not types.NoneType)
    return hint


def bare(hint: Any) -> Any:
    """A type without its range."""
    return hint.__origin__ if get_origin(hint) is Annotated else hint
