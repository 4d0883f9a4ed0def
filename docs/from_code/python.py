"""The Python API: the public names of each package, with their docstrings."""

import ast
import importlib
import inspect
from types import ModuleType

from docs.from_code.markdown import code, plain
from docs.from_code.markdown import page as whole_page

_INTRODUCTION = """\
This page is written from the code. These are the public names of the four packages. Everything else
may change without notice. Importing a package does no work: a name is loaded when it is first used.
"""

_PACKAGES = ("pruning", "sparse_formats", "kernels", "accel_sim")


def page() -> str:
    """The page of all public names."""
    return whole_page("Python", _INTRODUCTION, *(_package(name) for name in _PACKAGES))


def _package(package: str) -> str:
    module = importlib.import_module(package)
    names = [_name(package, name) for name in module.__all__]
    return "\n\n".join([f"## {package}", *names])


def _name(package: str, name: str) -> str:
    """What is shown of a name: what autodoc finds where it is defined, or what a registry holds."""
    home = _home(package, name)
    if name not in vars(home):
        return f"### {name}\n\nA class that is made when torch is there.\n\n{_inner(home, name)}"
    given = getattr(home, name)
    if isinstance(given, dict):
        return f"### {name}\n\nA registry. It holds {', '.join(map(code, given))}."
    if not given.__module__.startswith(f"{package}."):
        return f"### {name}\n\nThe same as `{given.__module__.partition('.')[0]}.{name}`."
    kind, options = "autofunction", ""
    if inspect.isclass(given):
        kind, options = "autoclass", "\n   :members:"
    directive = f".. {kind}:: {given.__module__}.{given.__qualname__}{options}"
    return f"### {name}\n\n```{{eval-rst}}\n{directive}\n```"


def _home(package: str, name: str) -> ModuleType:
    """The module in which a public name is defined."""
    path = importlib.import_module(package)._HOMES[name]
    known = path.split(".")[0] in _PACKAGES
    return importlib.import_module(path if known else f"{package}.{path}")


def _inner(home: ModuleType, name: str) -> str:
    """The docstring of a class that a function of a module makes."""
    for node in ast.walk(ast.parse(inspect.getsource(home))):
        if isinstance(node, ast.ClassDef) and node.name == name:
            return plain(ast.get_docstring(node) or "")
    raise LookupError(f"{home.__name__} has no class {name}")
