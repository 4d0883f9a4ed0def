"""Packages that a command does without, and that would take a third of its start.

Only whole processes of ours do this: a library must not change what others import.
"""

import gc
import sys
from functools import cache
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from typing import Any

import typer.core

_BLAS = "scipy.linalg.cython_blas"
_NEEDS_BLAS = "numba.np.arraymath"


@cache
def start_quickly() -> None:
    """Load neither SciPy's linear algebra for Numba nor pydantic for typer; once in a process.

    Numba imports the former as soon as it loads a compiled function, only to see whether it is
    there; what computes with it imports it again. Typer converts words with the latter, and all
    words of ours are converted by `setting_values`. Both are left as they are where a version of
    the two packages does this otherwise.
    """
    gc.set_threshold(50_000, 20, 20)  # what is imported is not garbage
    sys.meta_path.insert(0, _NoBlasYet())
    if hasattr(typer.core, "_TyperParameter"):
        typer.core._TyperParameter.get_runtime_param = lambda self: _AsGiven()  # type: ignore[attr-defined]


class _NoBlasYet(MetaPathFinder):
    """Hides SciPy's BLAS while Numba's arithmetic on arrays is imported."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if fullname != _NEEDS_BLAS:
            return None
        sys.meta_path.remove(self)
        from importlib.util import find_spec

        spec = find_spec(fullname)
        if spec is None or spec.loader is None or "scipy.linalg" in sys.modules:
            return spec
        execute = spec.loader.exec_module

        def without_blas(module: Any) -> None:
            sys.modules[_BLAS] = None  # type: ignore[assignment]
            try:
                execute(module)
            finally:
                del sys.modules[_BLAS]

        spec.loader.exec_module = without_blas  # type: ignore[method-assign]
        return spec


class _AsGiven:
    """What a flag was given, as words."""

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        del param, ctx
        return value
