"""MKL's inspector-executor CSR through ctypes: what our products are measured against.

A dependency of benchmarks only (`pip install mkl`); nothing here is used for a product of ours.
"""

import ctypes
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparse_formats.formats.csr import CSR

_NO_TRANSPOSE, _ROW_MAJOR, _GENERAL, _MANY_CALLS = 10, 101, 20, 10000


class _Description(ctypes.Structure):
    """`struct matrix_descr` of mkl_spblas.h."""

    _fields_ = (("type", ctypes.c_int), ("mode", ctypes.c_int), ("diag", ctypes.c_int))


@cache
def loaded() -> ctypes.CDLL | None:
    """MKL's single dynamic library, or None where it is not installed."""
    places = [Path(sys.prefix) / "lib", Path(sys.prefix) / "Library" / "bin"]
    for path in (p for place in places for p in sorted(place.glob("*mkl_rt*"))):
        try:
            return ctypes.CDLL(str(path))
        except OSError:
            continue
    return None


def product(weight: CSR, tokens: int) -> Callable[[NDArray[Any], NDArray[Any]], None]:
    """A function (x, out) → None: out = weight · x, analysed for so many calls that it is free.

    weight: float32. x: (in, tokens) and out: (out, tokens), float32, C-contiguous.

    Raises:
        RuntimeError: MKL is missing, or refuses the matrix.
    """
    mkl = loaded()
    if mkl is None:
        raise RuntimeError("MKL is not installed; pip install mkl")
    rows, cols = weight.shape
    indptr = np.ascontiguousarray(weight.indptr, np.int32)
    indices = np.ascontiguousarray(weight.indices, np.int32)
    data = np.ascontiguousarray(weight.data, np.float32)
    handle, description = ctypes.c_void_p(), _Description(_GENERAL, 0, 0)
    _check(
        mkl.mkl_sparse_s_create_csr(
            ctypes.byref(handle),
            0,
            rows,
            cols,
            _at(indptr),
            _at(indptr[1:]),
            _at(indices),
            _at(data),
        ),
        "create_csr",
    )
    if tokens == 1:
        hint = mkl.mkl_sparse_set_mv_hint(handle, _NO_TRANSPOSE, description, _MANY_CALLS)
    else:
        hint = mkl.mkl_sparse_set_mm_hint(
            handle, _NO_TRANSPOSE, description, _ROW_MAJOR, tokens, _MANY_CALLS
        )
    _check(hint, "set_hint")
    _check(mkl.mkl_sparse_optimize(handle), "optimize")
    one, nothing = ctypes.c_float(1), ctypes.c_float(0)
    # The handle points into the arrays: they live as long as the function does.
    arrays = (indptr, indices, data)

    def multiply(x: NDArray[Any], out: NDArray[Any]) -> None:
        assert len(arrays) == 3
        start = (_NO_TRANSPOSE, one, handle, description)
        if tokens == 1:
            status = mkl.mkl_sparse_s_mv(*start, _at(x), nothing, _at(out))
        else:
            status = mkl.mkl_sparse_s_mm(
                *start, _ROW_MAJOR, _at(x), tokens, tokens, nothing, _at(out), tokens
            )
        _check(status, "product")

    return multiply


def _at(array: NDArray[Any]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def _check(status: int, where: str) -> None:
    if status:
        raise RuntimeError(f"MKL: {where} failed with status {status}")
