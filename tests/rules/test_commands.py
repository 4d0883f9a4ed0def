"""Does every command of every package say what it does, quickly and in whole sentences?"""

import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from sparse_formats.terminal.command import Command, help_of
from sparse_formats.terminal.options import MemoryOption
from sparse_formats.terminal.settings import settings_of

ROOT = Path(__file__).parents[2]
PACKAGES = ("sparse_formats", "kernels", "accel_sim", "pruning")
HEAVY = {
    *("distributed", "matplotlib", "numba", "optuna", "pandas", "scipy", "torch", "transformers")
}


def commands(package: str) -> dict[str, Command]:
    return importlib.import_module(f"{package}.__main__").COMMANDS


EVERY = [(package, name) for package in PACKAGES for name in commands(package)]


@pytest.mark.parametrize(("package", "name"), EVERY)
def test_help_is_whole_sentences(package: str, name: str) -> None:
    settings = commands(package)[name].Settings
    texts = {setting.name: setting.option.help for setting in settings_of(settings)}
    texts["the command"] = inspect.cleandoc(settings.__doc__ or "")
    for setting, text in texts.items():
        assert text[0].isupper() and text.endswith("."), f"{package} {name}, {setting}: {text}"
        assert "default" not in text.lower(), f"{package} {name}, {setting}: defaults are added"


@pytest.mark.parametrize(("package", "name"), EVERY)
def test_a_command_is_a_file_of_its_name(package: str, name: str) -> None:
    command = commands(package)[name]
    assert command.Settings.__module__ == f"{package}.commands.{name.replace('-', '_')}"


@pytest.mark.parametrize(("package", "name"), EVERY)
def test_every_choice_is_listed_in_the_help(package: str, name: str) -> None:
    for setting in settings_of(commands(package)[name].Settings):
        assert all(choice in help_of(setting) for choice in setting.choices)


@pytest.mark.parametrize(("package", "name"), EVERY)
def test_a_command_that_reads_files_can_be_given_more_memory(package: str, name: str) -> None:
    settings = commands(package)[name].Settings
    read = {
        setting.name
        for setting in settings_of(settings)
        if (setting.element is Path and not setting.option.writes) or setting.option.reads
    }
    assert issubclass(settings, MemoryOption) or read <= {"accelerator", "python"}


@pytest.mark.parametrize("package", PACKAGES)
def test_the_help_of_no_command_loads_what_is_slow(package: str) -> None:
    program = (
        "import sys\n"
        f"from {package}.__main__ import COMMANDS\n"
        "from sparse_formats.terminal.command import call\n"
        "for name in COMMANDS:\n"
        "    call(COMMANDS, name, '--help')\n"
        "print('LOADED', *{name.partition('.')[0] for name in sys.modules})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    text, _, loaded = done.stdout.rpartition("LOADED")
    assert text.count("--config") == len(commands(package))
    assert not HEAVY.intersection(loaded.split())
