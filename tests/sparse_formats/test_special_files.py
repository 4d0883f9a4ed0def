"""Is a pipe, a device or an endless file refused at once, wherever a command reads?"""

import importlib
import os
from dataclasses import MISSING
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from sparse_formats.errors import InputError
from sparse_formats.files.mask_file import read_masks
from sparse_formats.terminal.command import Command, call
from sparse_formats.terminal.settings import Setting, settings_of

PACKAGES = ("sparse_formats", "kernels", "accel_sim", "pruning")


def reading_settings() -> list[tuple[str, str, Setting]]:
    """Package, command and setting of every file that is read."""
    return [
        (package, name, setting)
        for package in PACKAGES
        for name, command in commands(package).items()
        for setting in settings_of(command.Settings)
        if (setting.element is Path and not setting.option.writes) or setting.option.reads
    ]


def commands(package: str) -> dict[str, Command]:
    return importlib.import_module(f"{package}.__main__").COMMANDS


def words_of(command: Command, wanted: Setting, path: Path, folder: Path) -> list[str]:
    """The words that give `path` for one setting, and something for all that must be given."""
    words: list[str] = []
    for setting in settings_of(command.Settings):
        is_wanted = setting.path == wanted.path
        if not is_wanted and not setting.option.is_argument and setting.default is not MISSING:
            continue
        if setting.option.writes:
            value = str(folder / f"out{setting.option.suffix}")
        elif is_wanted:
            value = str(path)
        else:
            value = str(folder) if setting.element is Path else _some(setting)
        words += [value] if setting.option.is_argument else [setting.flags[0], value]
    return words


def _some(setting: Setting) -> str:
    if setting.choices:
        return setting.choices[0]
    return "0.5" if "float" in str(setting.element) else "1"


@pytest.mark.parametrize("kind", ["a pipe", "a device"])
@pytest.mark.parametrize(
    ("package", "name", "setting"),
    [pytest.param(*case, id=f"{case[1]}-{case[2].name}") for case in reading_settings()],
)
def test_no_command_reads_from_a_pipe_or_a_device(
    tmp_path: Path, package: str, name: str, setting: Setting, kind: str
) -> None:
    path = tmp_path / "input.npz"
    os.mkfifo(path) if kind == "a pipe" else path.symlink_to("/dev/zero")
    words = words_of(commands(package)[name], setting, path, tmp_path)
    with pytest.raises(InputError, match=r"input\.npz"):
        call(commands(package), name, *words)


@pytest.mark.parametrize(
    ("package", "name"), [(package, name) for package in PACKAGES for name in commands(package)]
)
def test_no_config_is_a_pipe(tmp_path: Path, package: str, name: str) -> None:
    os.mkfifo(tmp_path / "a.toml")
    with pytest.raises(InputError, match=r"a\.toml .*is not a regular file"):
        call(commands(package), name, "--config", tmp_path / "a.toml")


@pytest.mark.parametrize(
    "name",
    ["model.safetensors", "config.json", "model.safetensors.index.json", "a.smtx", "a.mtx"],
)
def test_no_file_in_a_folder_is_a_pipe(tmp_path: Path, name: str) -> None:
    if name != "model.safetensors" and "index" not in name and not name.endswith("tx"):
        save_file({"a.weight": np.eye(4, dtype=np.float32)}, tmp_path / "model.safetensors")
    os.mkfifo(tmp_path / name)
    try:
        read_masks(tmp_path)
    except InputError as error:
        assert str(tmp_path) in str(error)
    else:
        assert name == "config.json"


def test_a_pipe_as_the_parent_of_a_machine_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    (tmp_path / "machine.toml").write_text('extends = "pipe.toml"\nname = "x"\n')
    with pytest.raises(InputError, match="not a regular file"):
        load(tmp_path / "machine.toml")


def load(path: Path) -> Any:
    from accel_sim.machines.load import load_machine

    return load_machine(path)
