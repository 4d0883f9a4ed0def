"""Values of settings from the words of a command line and from a TOML file.

Both are converted and checked in the same way, as the type of the setting's field says.
"""

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any

import msgspec

from sparse_formats.errors import InputError, SettingError, nearest
from sparse_formats.files.toml import read_toml, toml_value
from sparse_formats.terminal.settings import (
    Setting,
    bare,
    label_of,
    range_of,
    settings_of,
)


@dataclass(frozen=True)
class Given:
    """Settings as they were given, and by which name each is known to whoever gave it."""

    settings: Any
    labels: Mapping[str, str]

    def message(self, error: SettingError) -> str:
        """What the error says, of the flag or the key of the file instead of the field."""
        return f"{self.labels.get(error.setting, error.setting)} {error.reason}"


def read(
    settings: type,
    flags: Mapping[str, Sequence[str | bool]],
    config: Path | None = None,
    ignored: Iterable[str] = (),
) -> Given:
    """The settings in the TOML file `config`, if any, with `flags` on top, the rest by default.

    flags: of each field, by name, all that was given for it, in order.
    ignored: keys of the file that belong to somebody else.

    Raises:
        InputError: an unreadable file; a key or value that cannot be used, by its name; what
            must be given and is not.
    """
    known = settings_of(settings)
    table = {} if config is None else read_toml(config)
    values = {
        setting.path: converted(value, setting, f"{config}: {'.'.join(setting.key)}", True)
        for setting, value in _keyed(table, known, f"{config}", set(ignored))
    }
    labels = {}
    for setting in known:
        labels[setting.name] = label_of(setting)
        if given := flags.get(setting.name):
            values[setting.path] = _from_words(given, setting)
        elif setting.path in values:
            labels[setting.name] = f"{config}: {'.'.join(setting.key)}"
        elif setting.default is MISSING:
            raise InputError(f"{labels[setting.name]} is missing; give it, or a --config with it")
    return Given(_made(settings, values), labels)


def checked(settings: Any, values: Mapping[str, Any]) -> Any:
    """Settings made in Python with `values` by name in their place, as the fields' types say.

    Raises:
        SettingError: a name that is none of a setting; a value that cannot be used.
    """
    known = {setting.name: setting for setting in settings_of(type(settings))}
    for name in values:
        if name not in known:
            raise SettingError(name, f"is not a setting{nearest(name, known)}")
    given = {}
    for name, value in values.items():
        setting = known[name]
        is_left_open = value is None and setting.default is None
        given[name] = None if is_left_open else converted(value, setting, name)
    return dataclasses.replace(settings, **given)


def spelled_out(words: Iterable[str], flag: str, settings: type) -> dict[str, list[str | bool]]:
    """Words KEY=VALUE behind one flag as what their own flags would be given, by setting.

    A value is TOML, or a text as it stands.

    Raises:
        InputError: a word without "=", or a key that is none of a setting.
    """
    known = {setting.name: setting for setting in settings_of(settings)}
    found: dict[str, list[str | bool]] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise InputError(f"{flag} {word}: write KEY=VALUE, e.g. seed=1")
        if (name := name.strip()) not in known:
            raise InputError(f"{flag} {word}: unknown key {name!r}{nearest(name, known)}")
        value = toml_value(text)
        each = value if isinstance(value, list) else [value]
        given = [item if isinstance(item, bool) else str(item) for item in each]
        if known[name].option.is_separated:
            given = [",".join(map(str, given))]
        found.setdefault(name, []).extend(given)
    return found


def _from_words(given: Sequence[str | bool], setting: Setting) -> Any:
    """The value of what stands on the command line, all of it one setting's."""
    if not setting.is_tuple or setting.option.is_separated:
        if len(different := list(dict.fromkeys(given))) > 1:
            flag = label_of(setting)
            if setting.is_bool:
                raise InputError(f"{flag} and --no-{flag[2:]} are both given; give one of them")
            first, second = different[:2]
            raise InputError(f"{flag} is given twice, as {first} and as {second}; give it once")
        given = given[:1]
    value: Any = list(given) if setting.is_tuple else given[0]
    if setting.option.is_separated:
        value = str(given[0]).split(",")
    return converted(value, setting, label_of(setting), False)


def converted(value: Any, setting: Setting, label: str, is_strict: bool = True) -> Any:
    """`value` as the setting's type says; strict: a number must be a number, not its digits.

    label: what the setting is called where it was given.

    Raises:
        InputError: by this label, what cannot be used and what can.
    """
    if not setting.is_tuple:
        return _element(value, setting, label, is_strict)
    if not isinstance(value, list | tuple):
        raise InputError(f"{label} is {value!r}; give a list of values")
    return tuple(_element(item, setting, label, is_strict) for item in value)


def _element(value: Any, setting: Setting, label: str, is_strict: bool) -> Any:
    choices = () if setting.option.or_else else setting.choices
    if choices and value not in choices:
        raise InputError(f"{label} is {value!r}{nearest(str(value), choices)}")
    hint = setting.element
    try:
        typed = _with_zero(value) if bare(hint) is float and not is_strict else value
        found = msgspec.convert(typed, hint, strict=is_strict, dec_hook=_path)
        usable = not isinstance(found, float) or math.isfinite(found)
    except msgspec.ValidationError:
        usable, found = False, value
    if not usable:
        # Digits are shown as they were typed, any other text in quotes.
        is_typed = isinstance(value, str) and not is_strict and _is_number(value)
        raise InputError(
            f"{label} is {value if is_typed else repr(value)}; give {_described(hint)}"
        )
    return found


def _with_zero(word: Any) -> Any:
    """`.2` is 0.2 to people, but not to msgspec."""
    is_short = isinstance(word, str) and re.fullmatch(r"-?\.\d+", word) is not None
    return word.replace(".", "0.") if is_short else word


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _described(hint: Any) -> str:
    kinds = {int: "a whole number", float: "a finite number", bool: "true or false", Path: "a path"}
    return f"{kinds.get(bare(hint), 'a text')} {range_of(hint)}".strip()


def _path(hint: type, value: Any) -> Any:
    if hint is Path and isinstance(value, str) and value:  # "" would be the current folder
        return Path(value)
    raise TypeError(f"not a path: {value!r}")


def _keyed(
    table: Mapping[str, Any], known: Sequence[Setting], where: str, ignored: set[str]
) -> list[tuple[Setting, Any]]:
    """The settings that a table's values are of."""
    by_key = {setting.key: setting for setting in known}
    tables = {key[:-1] for key in by_key}
    found: list[tuple[Setting, Any]] = []

    def enter(inner: Mapping[str, Any], above: tuple[str, ...]) -> None:
        for name, value in inner.items():
            key = (*above, name)
            if not above and name in ignored:
                continue
            if key in by_key:
                found.append((by_key[key], value))
            elif key in tables and isinstance(value, dict):
                enter(value, key)
            else:
                names = {k[len(above)] for k in by_key if k[: len(above)] == above}
                place = f"{where}: [{'.'.join(above)}]" if above else where
                raise InputError(f"{place}: unknown key {name!r}{nearest(name, names)}")

    enter(table, ())
    return found


def _made(settings: type, values: Mapping[tuple[str, ...], Any]) -> Any:
    """The dataclass with `values` by path."""
    given: dict[str, Any] = {path[0]: value for path, value in values.items() if len(path) == 1}
    for each in dataclasses.fields(settings):
        if "group" in each.metadata:
            inside = {path[1:]: v for path, v in values.items() if path[0] == each.name}
            given[each.name] = _made(each.metadata["group"], inside)
    return settings(**given)
