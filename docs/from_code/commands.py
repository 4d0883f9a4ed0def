"""Commands, from their `Settings`: what each does, and its flags with ranges and defaults."""

import importlib
import inspect

from docs.from_code.markdown import code, plain, table
from docs.from_code.markdown import page as whole_page
from sparse_formats.terminal.command import Command, help_of
from sparse_formats.terminal.settings import Setting, label_of, metavar_of, settings_of

_INTRODUCTION = """\
This page is written from the code. Each command is started as `python -m {package} NAME`, or as
`{script} NAME` where the package is installed. `--help` prints the same text.

A key is what a flag is called in the TOML file that `--config FILE` reads. Flags win over the file.
In square brackets stand the choices, the range and the default of a value. A flag that is
*repeatable* may be given several times."""

_SCRIPTS = {
    "pruning": "mvpsim-prune",
    "sparse_formats": "mvpsim-formats",
    "kernels": "mvpsim-kernels",
    "accel_sim": "mvpsim-sim",
}


def page(package: str) -> str:
    """The page of all commands of a package."""
    main = importlib.import_module(f"{package}.__main__")
    parts = [_INTRODUCTION.format(package=package, script=_SCRIPTS[package]), plain(main.SUMMARY)]
    parts += [_command(package, name, command) for name, command in main.COMMANDS.items()]
    return whole_page(f"Commands of `{package}`", *parts)


def _command(package: str, name: str, command: Command) -> str:
    settings = command.Settings
    text = inspect.cleandoc(settings.__doc__ or "")
    said = "\n\n".join(plain(part) for part in text.split("\n\n"))
    rows = [_row(setting) for setting in settings_of(settings)]
    flags = table(["flag", "value", "key", "what it does"], rows)
    return f"## {name}\n\n```text\npython -m {package} {name}\n```\n\n{said}\n\n{flags}"


def _row(setting: Setting) -> list[str]:
    said = setting.option
    if said.is_argument:
        flags = [label_of(setting)]
    elif setting.is_bool:
        flags = [f"{flag}, --no-{flag.removeprefix('--')}" for flag in setting.flags]
    else:
        flags = list(setting.flags)
    value = "" if setting.is_bool else metavar_of(setting)
    return [
        " ".join(code(flag) for flag in ", ".join(flags).split(", ")),
        code(value),
        code(".".join(setting.key)),
        plain(help_of(setting)),
    ]
