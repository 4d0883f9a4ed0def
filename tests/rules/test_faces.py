"""Can a package's public names be imported from it, and do they load only what they need?"""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {"matplotlib", "numba", "pandas", "scipy", "torch", "transformers"}
FACES = ("accel_sim", "kernels", "pruning", "sparse_formats")
"""Packages that export names. Each adds itself here."""


@pytest.mark.parametrize("package", FACES)
def test_every_public_name_is_there(package: str) -> None:
    pytest.importorskip("torch")  # some names are classes of torch's kind
    face = importlib.import_module(package)
    assert sorted(face.__all__) == sorted(face._HOMES)
    for name in face.__all__:
        assert getattr(face, name) is not None
    with pytest.raises(AttributeError, match=f"'{package}' has no attribute 'frobnicate'"):
        _ = face.frobnicate


@pytest.mark.parametrize("package", FACES)
def test_importing_a_package_loads_nothing_heavy(package: str) -> None:
    program = f"import sys, {package}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not HEAVY.intersection(done.stdout.split())


@pytest.mark.parametrize("package", FACES)
def test_no_module_bears_the_name_of_an_export(package: str) -> None:
    # Importing the module would put it in the name's place.
    modules = {path.stem for path in (ROOT / package).iterdir()}
    assert not modules.intersection(importlib.import_module(package).__all__)
