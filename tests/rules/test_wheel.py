"""Does the wheel hold all that it needs, and does it run in a clean environment?"""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from sparse_formats import write_masks

ROOT = Path(__file__).parents[2]
PACKAGES = ("pruning", "sparse_formats", "kernels", "accel_sim")
PYTHONS = ("3.11", "3.12", "3.13")
SCRIPTS = ("mvpsim-prune", "mvpsim-formats", "mvpsim-kernels", "mvpsim-sim")


def ran(*words: object, folder: Path) -> str:
    """Output of a program that knows nothing of this checkout."""
    known = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        env=known,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def at_hand(version: str) -> str:
    """The interpreter of a version, of pyenv or on the PATH; skips where there is none."""
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    pyenv = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"))
    found = str(pyenv[-1]) if pyenv else shutil.which(f"python{version}")
    if found is None:
        pytest.skip(f"Python {version} is not at hand")
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built from a copy so that nothing is left in it."""
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "copy"
    copy.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for name in PACKAGES:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    build = ("-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, copy)
    ran(sys.executable, *build, folder=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.mark.slow
def test_every_file_of_the_packages_is_in_the_wheel(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    files = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {Path(file).suffix for file in files} > {".py", ".toml", ".csv", ".css", ".json"}
    assert not files - held


@pytest.mark.slow
@pytest.mark.parametrize("version", PYTHONS)
def test_the_commands_of_the_demo_run_from_the_wheel(
    version: str, wheel: Path, tmp_path: Path
) -> None:
    ran(at_hand(version), "-m", "venv", tmp_path / "clean", folder=tmp_path)
    programs = tmp_path / "clean" / "bin"
    python = programs / "python"
    install = ("-m", "pip", "install", "-q", "--no-compile", "--disable-pip-version-check")
    ran(python, *install, "-c", ROOT / "constraints.txt", wheel, folder=tmp_path)
    draws = np.random.default_rng(0)
    layer = "encoder.layer.0.attention.self"
    weights = {
        f"{layer}.{name}.weight": draws.standard_normal((64, 64)).astype(np.float32)
        for name in ("query", "key", "value")
    }
    write_masks(tmp_path / "model.npz", weights)
    prune = ("prune", "--model", "model.npz", "--method", "mvp", "--sparsity", "0.8")
    ran(python, "-m", "pruning", *prune, "--out", "out.npz", folder=tmp_path)
    run = ("run", "--mask", "out.npz", "--out", "report")
    said = ran(python, "-m", "accel_sim", *run, folder=tmp_path)
    assert "3 matrices" in said
    report = json.loads((tmp_path / "report" / "report.json").read_text("utf-8"))
    assert report["versions"]["python"].startswith(f"{version}.")
    assert report["total"]["product_is_equal"]
    assert (tmp_path / "report" / "report.html").stat().st_size > 10_000
    for script in SCRIPTS:
        assert ran(programs / script, "--help", folder=tmp_path)
