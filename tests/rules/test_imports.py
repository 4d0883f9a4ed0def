"""Does every import follow the arrows of the house?"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]

MAY_IMPORT: dict[str, set[str]] = {
    "sparse_formats": set(),
    "kernels": {"sparse_formats"},
    "pruning": {"sparse_formats", "kernels", "accel_sim"},
    "accel_sim": {"sparse_formats"},
}
LEARNING = {"torch", "transformers"}
GOES_WITH_A_MODEL = "pruning/models/modeling_narrow.py"
"""Is put beside weights and run there, where nothing of ours is; here only functions import it."""
MAY_LEARN = (
    "pruning/",
    "kernels/benchmark/contenders.py",
    "kernels/sparse_linear.py",
    "kernels/torch_sparse.py",
)


class Import(NamedTuple):
    package: str
    line: int
    at_load: bool
    """Whether it is executed when its module is loaded, not when a function is called."""


def imports(node: ast.AST, at_load: bool = True) -> Iterator[Import]:
    """Every absolute import below `node`; relative ones cannot leave their package."""
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.Import(names=names):
                for alias in names:
                    yield Import(alias.name.partition(".")[0], child.lineno, at_load)
            case ast.ImportFrom(module=str(module), level=0):
                yield Import(module.partition(".")[0], child.lineno, at_load)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield from imports(child, at_load=False)
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                yield from imports(child, at_load=False)
            case _:
                yield from imports(child, at_load)


def violations(path: str, source: str) -> list[str]:
    """What the file `path` (relative, `package/…`) with text `source` imports and may not."""
    package = path.partition("/")[0]
    found: list[str] = []
    for name, line, at_load in imports(ast.parse(source)):
        if path == GOES_WITH_A_MODEL:
            if name not in LEARNING and name not in sys.stdlib_module_names:
                found.append(f"{path}:{line}: imports {name}, which is not there beside weights")
            continue
        if name in MAY_IMPORT and name != package and name not in MAY_IMPORT[package]:
            allowed = ", ".join(sorted(MAY_IMPORT[package])) or "none of ours"
            found.append(f"{path}:{line}: imports {name}; {package} may import {allowed}")
        if name in LEARNING and not path.startswith(MAY_LEARN):
            found.append(f"{path}:{line}: imports {name}; only {', '.join(MAY_LEARN)} may")
        elif name in LEARNING and at_load:
            found.append(f"{path}:{line}: imports {name} at load; import it in the function")
    return found


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_follow_the_arrows(package: str) -> None:
    found = [
        violation
        for path in sorted((ROOT / package).rglob("*.py"))
        for violation in violations(path.relative_to(ROOT).as_posix(), path.read_text("utf-8"))
    ]
    assert not found, "\n".join(found)


def test_only_functions_import_what_goes_with_a_model() -> None:
    module = GOES_WITH_A_MODEL.removesuffix(".py").rpartition("/")[2]
    texts = {path: path.read_text("utf-8") for path in (ROOT / "pruning").rglob("*.py")}
    inside = re.compile(rf"^ +from .*\b{module} import", re.MULTILINE)
    at_load = re.compile(rf"^(?:from|import) .*\b{module}\b", re.MULTILINE)
    assert any(inside.search(text) for text in texts.values())
    assert not [path for path, text in texts.items() if at_load.search(text)]


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("sparse_formats/x.py", "import kernels.products"),
        ("sparse_formats/x.py", "from pruning import scores"),
        ("kernels/x.py", "from accel_sim.reports.report import Report"),
        ("accel_sim/x.py", "if True:\n    import kernels"),
        ("accel_sim/x.py", "def f():\n    from pruning import scores"),
        ("accel_sim/x.py", "def f():\n    import torch"),
        ("kernels/csr.py", "def f():\n    import torch"),
        ("pruning/x.py", "import torch.nn as nn"),
        ("pruning/x.py", "class C:\n    from transformers import BertModel"),
        ("pruning/x.py", "try:\n    import torch\nexcept ImportError:\n    pass"),
        (GOES_WITH_A_MODEL, "def f():\n    from sparse_formats.errors import InputError"),
        (GOES_WITH_A_MODEL, "import numpy"),
    ],
)
def test_a_planted_violation_is_caught(path: str, source: str) -> None:
    assert len(violations(path, source)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("accel_sim/x.py", "from sparse_formats.masks.matrix import MaskSet\nimport numba"),
        ("accel_sim/x.py", "from . import torch"),
        ("pruning/x.py", "def f():\n    import torch"),
        ("pruning/x.py", "from accel_sim.pipeline import simulate\nimport kernels"),
        ("pruning/x.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch"),
        ("kernels/sparse_linear.py", "def f():\n    import torch"),
        (GOES_WITH_A_MODEL, "import math\nimport torch\nfrom transformers import BertModel"),
    ],
)
def test_what_is_allowed_is_not_reported(path: str, source: str) -> None:
    assert violations(path, source) == []
