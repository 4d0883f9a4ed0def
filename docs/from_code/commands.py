"""Commands, from their `Settings`: what each does, and its flags with ranges and defaults."""

import importlib
import inspect

from docs.from_code.markdown import code, plain
from docs.from_code.markdown import page as whole_page
from sparse_formats.terminal.command import Command, help_of
from sparse_formats.terminal.settings import Setting, label_of, metavar_of, settings_of

_INTRODUCTION = """\
This page is written from the code. Each command is started as `python -m {package} NAME`, or as
`{script} NAME` where the package is installed. `--help` prints the same text.

In the TOML file that `--config FILE` reads, a flag is a key with `_` in place of `-`, unless
another key is named. Flags win over the file. In square brackets stand the choices, the range and
the default of a value. A flag that is *repeatable* may be given several times."""

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
    flags = "\n".join(_flag(setting) for setting in settings_of(settings))
    return f"## {name}\n\n```text\npython -m {package} {name}\n```\n\n{said}\n\n{flags}"


def _flag(setting: Setting) -> str:
    """An item of the list: the flag with its value, its key, and what it does."""
    said, key = setting.option, ".".join(setting.key)
    flags = [label_of(setting)] if said.is_argument else list(setting.flags)
    if setting.is_bool:
        flags += [f"--no-{flag.removeprefix('--')}" for flag in flags]
    elif not said.is_argument:
        flags = [f"{flag} {metavar_of(setting)}" for flag in flags]
    named = "" if flags[0].split()[0] == f"--{key.replace('_', '-')}" else f" Key: {code(key)}."
    return f"- {', '.join(map(code, flags))}: {plain(help_of(setting))}{named}"
