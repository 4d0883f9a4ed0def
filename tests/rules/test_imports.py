"""Does every import follow the rules of the packages?"""

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
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
    module: str
    """As it is written; of `from a import b` it is a.b, whether b is a module or not."""
    line: int
    at_load: bool
    """Whether it is executed when its module is loaded, not when a function is called."""

    @property
    def package(self) -> str:
        return self.module.partition(".")[0]


def imports(node: ast.AST, at_load: bool = True) -> Iterator[Import]:
    """Every absolute import below `node`; relative ones cannot leave their package."""
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.Import(names=names):
                for alias in names:
                    yield Import(alias.name, child.lineno, at_load)
            case ast.ImportFrom(module=str(module), names=names, level=0):
                for alias in names:
                    yield Import(f"{module}.{alias.name}", child.lineno, at_load)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield from imports(child, at_load=False)
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                yield from imports(child, at_load=False)
            case _:
                yield from imports(child, at_load)


@cache
def imports_of(source: str) -> tuple[Import, ...]:
    """Every import in the text of a file."""
    return tuple(imports(ast.parse(source)))


def violations(path: str, source: str) -> list[str]:
    """What the file `path` (relative, `package/…`) with text `source` imports and may not."""
    package = path.partition("/")[0]
    found: list[str] = []
    seen: set[tuple[str, int]] = set()
    for each in imports_of(source):
        name, line, at_load = each.package, each.line, each.at_load
        if (name, line) in seen:
            continue
        seen.add((name, line))
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


def modules(sources: Mapping[str, str]) -> dict[str, dict[str, bool]]:
    """Module → the modules of ours that it imports, and whether at load.

    sources: the text of each file, by its path (`package/…`). A package is the module of its
    `__init__.py`; importing what lies in it imports it too.
    """
    names = {
        path.removesuffix(".py").removesuffix("/__init__").replace("/", "."): path
        for path in sources
    }
    graph: dict[str, dict[str, bool]] = {name: {} for name in names}
    for name, path in names.items():
        for each in imports_of(sources[path]):
            target = each.module if each.module in names else each.module.rpartition(".")[0]
            while target in names and not f"{name}.".startswith(f"{target}."):
                graph[name][target] = graph[name].get(target, False) or each.at_load
                target = target.rpartition(".")[0]
    return graph


def cycle_at_load(sources: Mapping[str, str]) -> list[str]:
    """Modules that cannot be loaded one after the other, as each needs the next; none, if none."""
    graph = modules(sources)
    at_load = {
        name: [to for to, is_at_load in used.items() if is_at_load] for name, used in graph.items()
    }
    try:
        list(TopologicalSorter(at_load).static_order())
    except CycleError as error:
        return error.args[1]
    return []


def entangled_folders(sources: Mapping[str, str]) -> set[tuple[str, str]]:
    """Pairs of folders of one package that import each other, directly or by way of others.

    A package's folders are its subpackages, each whole, and the files that lie in it directly; the
    latter are called as the package. What a command line or a public face loads when it is used
    (`__main__.py`, `__init__.py`) lies above all folders.
    """
    graph = modules(sources)
    packages = {
        path.removesuffix("/__init__.py").replace("/", ".")
        for path in sources
        if path.endswith("/__init__.py")
    }
    found: set[tuple[str, str]] = set()
    for package in packages:
        reached: dict[str, set[str]] = {}
        for name, used in graph.items():
            folder = folder_of(name, package, packages)
            if folder is None or name == f"{package}.__main__":
                continue
            reached.setdefault(folder, set()).update(
                other
                for to, is_at_load in used.items()
                if is_at_load or name != package
                if (other := folder_of(to, package, packages)) not in (None, folder)
            )
        for _ in reached:
            for folders in reached.values():
                folders |= {
                    further for folder in list(folders) for further in reached.get(folder, ())
                }
        found |= {(a, b) for a in reached for b in reached[a] if a < b and a in reached.get(b, ())}
    return found


def folder_of(module: str, package: str, packages: set[str]) -> str | None:
    """The subpackage of `package` that holds the module, or the package itself; None outside."""
    if module == package:
        return package
    if not module.startswith(f"{package}."):
        return None
    folder = f"{package}.{module.removeprefix(f'{package}.').partition('.')[0]}"
    return folder if folder in packages else package


def all_sources() -> dict[str, str]:
    return {
        path.relative_to(ROOT).as_posix(): path.read_text("utf-8")
        for package in MAY_IMPORT
        for path in (ROOT / package).rglob("*.py")
    }


def test_is_there_no_circle_of_imports() -> None:
    assert cycle_at_load(all_sources()) == []


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_do_no_two_rooms_import_each_other(package: str) -> None:
    found = {pair for pair in entangled_folders(all_sources()) if pair[0].startswith(package)}
    assert not found, "\n".join(f"{a} and {b} import each other" for a, b in sorted(found))


def test_is_a_planted_circle_caught() -> None:
    circle = {
        "p/__init__.py": "",
        "p/a.py": "from p.b import f",
        "p/b.py": "import p.c.d",
        "p/c/__init__.py": "",
        "p/c/d.py": "from p import a",
    }
    assert set(cycle_at_load(circle)) == {"p.a", "p.b", "p.c.d"}
    assert entangled_folders(circle) == {("p", "p.c")}
    later = {**circle, "p/c/d.py": "def f():\n    from p import a"}
    assert cycle_at_load(later) == []
    assert entangled_folders(later) == {("p", "p.c")}
    assert entangled_folders({**circle, "p/c/d.py": ""}) == set()


def test_are_three_rooms_in_a_ring_caught() -> None:
    ring = {f"p/{a}/x.py": f"from p.{b}.x import f" for a, b in ("ab", "bc", "ca")}
    folders = {f"p/{folder}__init__.py": "" for folder in ("", "a/", "b/", "c/")}
    assert entangled_folders(ring | folders) == {("p.a", "p.b"), ("p.a", "p.c"), ("p.b", "p.c")}


def test_is_a_face_or_a_command_line_above_the_rooms() -> None:
    house = {
        "p/__init__.py": "def __getattr__(name):\n    from p.a.x import f",
        "p/__main__.py": "import p.a.x",
        "p/errors.py": "",
        "p/a/__init__.py": "",
        "p/a/x.py": "from p.errors import E",
    }
    assert entangled_folders(house) == set()
    assert entangled_folders({**house, "p/__init__.py": "import p.a.x"}) == {("p", "p.a")}
