"""Commands from dataclasses: `python -m PACKAGE NAME --flag value`, each command one module.

The module has `Settings` (see `settings`), `run`, which computes, and `show`, which writes and
prints. Its flags, help, `--config` and checks of files come from the fields of `Settings`.
"""

import inspect
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer

from sparse_formats.errors import InputError, SettingError
from sparse_formats.files.outputs import Output, check_outputs, expected
from sparse_formats.memory import budget
from sparse_formats.terminal import application
from sparse_formats.terminal.quick_start import start_quickly
from sparse_formats.terminal.setting_values import Given, read, spelled_out
from sparse_formats.terminal.settings import (
    Setting,
    label_of,
    metavar_of,
    range_of,
    settings_of,
    words,
)

STANDARD_OUTPUT = Path("-")
"""As the value of a setting that writes a file of any name: it goes to standard output."""


class Command(Protocol):
    """A module `commands/NAME.py`.

    Settings: a frozen dataclass; its docstring is the help, the first paragraph the summary.
        Where it reads files it inherits `MemoryOption`.
        CONFIG_FLAGS: other spellings of --config. FOREIGN_TABLES: tables of the TOML file that
        belong to other commands. SET_FLAG: a flag that takes any setting as KEY=VALUE.
    run: from settings to a result. show: writes and prints it; gives the exit status, or None.
    """

    @property
    def Settings(self) -> type[Any]: ...

    @property
    def run(self) -> Callable[[Any], Any]: ...

    @property
    def show(self) -> Callable[[Any, Any], int | None]: ...


def main(package: str, summary: str, commands: Mapping[str, Command]) -> None:
    """The command line of `package`; never returns."""
    start_quickly()
    application.run(app_of(summary, commands, sys.argv[1:]), package)


def call(commands: Mapping[str, Command], *given: object) -> int:
    """Run one of the commands in this process, with the words of its command line.

    Raises:
        InputError: what the command line would print after ``error:``.
        typer.TyperException: an unknown option, or one without its value.
    """
    argv = [str(word) for word in given]
    return app_of("", commands, argv)(argv, standalone_mode=False)


def app_of(summary: str, commands: Mapping[str, Command], argv: Sequence[str]) -> typer.Typer:
    """The commands as a typer application, for these words of a command line.

    Only the command that is called gets its flags: others need not look up what they can choose.
    """
    app = application.new_app(summary)
    app.callback()(lambda: None)  # else a single command would be the application itself
    called = next((word for word in argv if not word.startswith("-")), None)
    for name, command in commands.items():
        text = inspect.cleandoc(command.Settings.__doc__ or "")
        short = " ".join(text.split("\n\n")[0].split())
        function = _function(command, is_called=name == called)
        app.command(name, help=text, short_help=short)(function)
    return app


def command_line(package: str, name: str, settings: Any) -> str:
    """The command that gives these settings again, to be pasted into a shell."""
    return shlex.join(["python", "-m", package, name, *words(settings)])


def _function(command: Command, *, is_called: bool) -> Callable[..., int]:
    """A function with a parameter for each setting, as typer wants it."""
    cls = command.Settings

    set_flag = getattr(cls, "SET_FLAG", "")

    def function(
        config: list[str] | None = None, settings: list[str] | None = None, **flags: Any
    ) -> int:
        given = {name: _listed(value) for name, value in flags.items() if value is not None}
        for name, value in spelled_out(settings or (), set_flag, cls).items():
            given[name] = [*given.get(name, []), *value]
        path = None if not config else Path(_only(config))
        found = read(cls, given, path, getattr(cls, "FOREIGN_TABLES", ()))
        try:
            outputs = _outputs_of(found)
            inputs = [*_inputs_of(found), *([] if path is None else [path])]
            check_outputs(outputs, inputs)
            with expected(outputs), budget(getattr(found.settings, "most_bytes", None)):
                return command.show(found.settings, command.run(found.settings)) or 0
        except SettingError as error:
            raise InputError(found.message(error)) from error

    parameters = [_parameter(setting) for setting in settings_of(cls)] if is_called else []
    config = Annotated[
        list[str] | None,
        typer.Option(
            *getattr(cls, "CONFIG_FLAGS", ("--config",)),
            metavar="FILE",
            help="TOML file of these settings. Flags win over it.",
        ),
    ]
    setting = Annotated[
        list[str] | None,
        typer.Option(
            set_flag or "--set",
            metavar="KEY=VALUE",
            help="Any of these settings by its key in the TOML file, e.g. seed=1. [repeatable]",
        ),
    ]
    if is_called:
        parameters.append(_keyword("config", config))
    if is_called and set_flag:
        parameters.append(_keyword("settings", setting))
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    function.__annotations__ = {p.name: p.annotation for p in parameters}
    return function


def _parameter(setting: Setting) -> inspect.Parameter:
    said = setting.option
    if said.is_argument:
        argument = typer.Argument(metavar=metavar_of(setting), help=help_of(setting))
        return _keyword(setting.name, Annotated[str | None, argument])
    flags = list(setting.flags)
    if setting.is_bool:
        flags = [f"{flag}/--no-{flag.removeprefix('--')}" for flag in flags]
    given = typer.Option(*flags, metavar=metavar_of(setting), help=help_of(setting))
    # Lists, so that what is given twice is seen.
    kind = list[bool] if setting.is_bool else list[str]
    return _keyword(setting.name, Annotated[kind | None, given])


def _keyword(name: str, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )


def help_of(setting: Setting) -> str:
    """The help of a setting: its sentences, and what its type, default and registry say."""
    said = setting.option
    notes = [", ".join([*setting.choices, *([f"or {said.or_else}"] if said.or_else else [])])]
    notes.append(range_of(setting.element))
    default = said.otherwise if setting.default in (None, ()) else setting.default
    if isinstance(default, bool):
        notes.append("default: yes" if default else "")
    elif setting.default is MISSING:
        notes.append("required")
    elif isinstance(default, tuple):
        notes.append(f"default: {','.join(map(str, default))}" if default else "")
    elif default not in (None, ""):
        notes.append(f"default: {default}")
    if setting.is_tuple and not said.is_separated:
        notes.append("repeatable")
    note = "; ".join(filter(None, notes))
    return f"{said.help} [{note}]" if note else said.help


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _only(given: Sequence[str]) -> str:
    if len(set(given)) > 1:
        raise InputError(f"--config is given twice, as {given[0]} and as {given[1]}; give it once")
    return given[0]


def _inputs_of(given: Given) -> list[Path]:
    """All files and folders that the settings name and that are read."""
    return [
        path for setting, paths in _paths_of(given) if not setting.option.writes for path in paths
    ]


def _outputs_of(given: Given) -> list[Output]:
    """All files and folders that the settings name and that are written."""
    outputs: list[Output] = []
    for setting, paths in _paths_of(given):
        said = setting.option
        if not said.writes:
            continue
        holds = tuple(said.holds() if callable(said.holds) else said.holds)
        for path in paths:
            if path == STANDARD_OUTPUT and said.writes == "file" and not said.suffix:
                continue
            if said.suffix and path.suffix.lower() != said.suffix:
                raise SettingError(
                    setting.name, f"is {path}; give the name of a {said.suffix} file"
                )
            outputs.append(Output(path, label_of(setting), said.writes, said.listed_as, holds))
    return outputs


def _paths_of(given: Given) -> Iterator[tuple[Setting, list[Path]]]:
    """The settings that name files, and the paths they were given."""
    for setting in settings_of(type(given.settings)):
        value, said = setting.of(given.settings), setting.option
        if value is not None and (said.writes or said.reads or setting.element is Path):
            yield setting, [Path(item) for item in (value if setting.is_tuple else [value])]
